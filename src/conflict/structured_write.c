/* Section 4.1 of RFC 9651. */
#include "conflict/structured.h"

#include <errno.h>

static const int64_t integer_max = 999999999999999;

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool first = (c >= 'a' && c <= 'z') || c == '*';
        if (!first && (i == 0 || !((c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool first = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
        if (!first && (i == 0 || !c || !strchr("0123456789!#$%&'+-.^_`|~:/", c))) {
            return false;
        }
    }
    return s.n > 0;
}

static int write_integer(struct buf *b, int64_t n)
{
    if (n > integer_max || n < -integer_max) {
        return -EINVAL;
    }
    buf_printf(b, "%lld", (long long)n);
    return 0;
}

/* At least one digit behind the point, and no zeros at the end. */
static int write_decimal(struct buf *b, int64_t thousandths)
{
    int64_t n = thousandths < 0 ? -thousandths : thousandths;
    if (n > integer_max) {
        return -EINVAL;
    }
    int fraction = (int)(n % 1000), digits = 3;
    while (digits > 1 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    buf_printf(b, "%s%lld.%0*d", thousandths < 0 ? "-" : "", (long long)(n / 1000), digits,
               fraction);
    return 0;
}

static int write_string(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e) {
            return -EINVAL;
        }
        if (s.p[i] == '"' || s.p[i] == '\\') {
            buf_addc(b, '\\');
        }
        buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
    return 0;
}

static void write_bytes(struct buf *b, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_addc(b, ':');
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t bits = 0;
        size_t n = s.n - i < 3 ? s.n - i : 3;
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < n ? (unsigned char)s.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_addc(b, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
        }
    }
    buf_addc(b, ':');
}

static void write_display(struct buf *b, struct str s)
{
    buf_add(b, STR("%\""));
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c < 0x20 || c > 0x7e || c == '%' || c == '"') {
            buf_printf(b, "%%%02x", (unsigned)(unsigned char)c);
        } else {
            buf_addc(b, c);
        }
    }
    buf_addc(b, '"');
}

static int write_bare(struct buf *b, const struct sf_item *i)
{
    switch (i->type) {
    case SF_INTEGER:
        return write_integer(b, i->n);
    case SF_DECIMAL:
        return write_decimal(b, i->n);
    case SF_STRING:
        return write_string(b, i->text);
    case SF_TOKEN:
        buf_add(b, i->text);
        return is_token(i->text) ? 0 : -EINVAL;
    case SF_BYTES:
        write_bytes(b, i->text);
        return 0;
    case SF_BOOLEAN:
        buf_addz(b, i->n ? "?1" : "?0");
        return 0;
    case SF_DATE:
        buf_addc(b, '@');
        return write_integer(b, i->n);
    case SF_DISPLAY:
        write_display(b, i->text);
        return 0;
    case SF_INNER:
        break;
    }
    return -EINVAL;
}

static bool is_true(const struct sf_item *i)
{
    return i->type == SF_BOOLEAN && i->n;
}

static int write_parameters(struct buf *b, const struct sf_item *i)
{
    int r = 0;
    for (size_t k = 0; r == 0 && k < i->n_parameters; k++) {
        const struct sf_member *p = &i->parameters[k];
        buf_addc(b, ';');
        buf_add(b, p->name);
        r = is_name(p->name) ? 0 : -EINVAL;
        if (r == 0 && !is_true(&p->item)) {
            buf_addc(b, '=');
            r = write_bare(b, &p->item);
        }
    }
    return r;
}

int sf_write_item(struct buf *b, const struct sf_item *i)
{
    int r = 0;
    if (i->type != SF_INNER) {
        r = write_bare(b, i);
        return r < 0 ? r : write_parameters(b, i);
    }
    buf_addc(b, '(');
    for (size_t k = 0; r == 0 && k < i->n_members; k++) {
        buf_addz(b, k ? " " : "");
        r = i->members[k].item.type == SF_INNER ? -EINVAL : sf_write_item(b, &i->members[k].item);
    }
    buf_addc(b, ')');
    return r < 0 ? r : write_parameters(b, i);
}

int sf_write_list(struct buf *b, const struct sf_member *all, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        buf_addz(b, i ? ", " : "");
        r = sf_write_item(b, &all[i].item);
    }
    return r;
}

int sf_write_dictionary(struct buf *b, const struct sf_member *all, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        buf_addz(b, i ? ", " : "");
        buf_add(b, all[i].name);
        if (!is_name(all[i].name)) {
            r = -EINVAL;
        } else if (is_true(&all[i].item)) {
            r = write_parameters(b, &all[i].item);
        } else {
            buf_addc(b, '=');
            r = sf_write_item(b, &all[i].item);
        }
    }
    return r;
}
