#include "json/canonical.h"

#include <stdlib.h>

#include "json/decimal.h"

enum {
    PLAIN_DIGITS = 21
}; /* integers of up to so many digits have no exponent (RFC 8785, 3.2.2.3) */

static void add_number(struct buf *b, struct str spelled)
{
    struct decimal d = decimal_of(spelled);
    size_t n = d.to - d.from;
    if (n == 0) {
        buf_addc(b, '0');
        return;
    }
    if (d.huge) { /* its exponent is beyond arithmetic: only its spelling tells it */
        buf_add(b, spelled);
        return;
    }
    if (d.negative) {
        buf_addc(b, '-');
    }
    for (size_t i = d.from; i < d.to; i++) {
        buf_addc(b, decimal_digit(&d, i));
    }
    if (d.exponent >= 0 && d.exponent + (int64_t)n <= PLAIN_DIGITS) {
        for (int64_t i = 0; i < d.exponent; i++) {
            buf_addc(b, '0');
        }
    } else {
        buf_addc(b, 'e');
        buf_add_i64(b, d.exponent);
    }
}

/* The order of UTF-16 code units is that of UTF-8 bytes, but for characters beyond the first plane
 * (lead byte F0 and up): as surrogates (D800 to DFFF) they stand before U+E000 to U+FFFF (lead byte
 * EE and EF). */
static int rank(unsigned char lead)
{
    return lead >= 0xF0 ? 0xED00 + lead : lead >= 0xEE ? 0xEE00 + 0x100 + lead : lead << 8;
}

static int by_name(const void *x, const void *y)
{
    const struct json *a = *(const struct json *const *)x, *b = *(const struct json *const *)y;
    size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
    for (size_t i = 0; i < n; i++) {
        if (a->key.p[i] != b->key.p[i]) {
            return rank((unsigned char)a->key.p[i]) < rank((unsigned char)b->key.p[i]) ? -1 : 1;
        }
    }
    return a->key.n < b->key.n ? -1 : a->key.n > b->key.n;
}

static void add_text(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    buf_add_json(b, s);
    buf_addc(b, '"');
}

static void add_object(struct buf *b, const struct json *j)
{
    enum { FEW = 32 };
    const struct json *few[FEW], **all = few;
    size_t n = json_count(j), i = 0;
    if (n > FEW) {
        all = mem_zalloc(n * sizeof *all);
    }
    for (const struct json *c = j->first; c; c = c->next) {
        all[i++] = c;
    }
    qsort((void *)all, n, sizeof *all, by_name);
    buf_addc(b, '{');
    for (i = 0; i < n; i++) {
        if (i) {
            buf_addc(b, ',');
        }
        add_text(b, all[i]->key);
        buf_addc(b, ':');
        json_canonical(b, all[i]);
    }
    buf_addc(b, '}');
    if (all != few) {
        free((void *)all);
    }
}

void json_canonical(struct buf *b, const struct json *j)
{
    switch (j->type) {
    case JSON_NUMBER:
        add_number(b, j->text);
        break;
    case JSON_STRING:
        add_text(b, j->text);
        break;
    case JSON_ARRAY:
        buf_addc(b, '[');
        for (const struct json *c = j->first; c; c = c->next) {
            json_canonical(b, c);
            if (c->next) {
                buf_addc(b, ',');
            }
        }
        buf_addc(b, ']');
        break;
    case JSON_OBJECT:
        add_object(b, j);
        break;
    default:
        json_print(b, j, 0);
    }
}
