#include "http/query.h"

#include <errno.h>

#include "base/buf.h"
#include "base/utf8.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_utf8(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_len(s.p + i, s.n - i);
        if (!n) {
            return false;
        }
        i += n;
    }
    return true;
}

int url_decode(struct arena *a, struct str text, bool plus, struct str *ret)
{
    char *to = arena_alloc(a, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = text.n - i > 2 ? hex(text.p[i + 1]) : -1;
            int low = text.n - i > 2 ? hex(text.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return -EBADMSG;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[n++] = c;
    }
    struct str s = str_make(to, n);
    if (!is_utf8(s)) {
        return -EBADMSG;
    }
    *ret = s;
    return 0;
}

int query_parse(struct arena *a, struct str text, struct query *ret)
{
    struct str pair, name;
    ret->n = 0;
    while (text.n) {
        (void)str_cut(&text, '&', &pair);
        if (!pair.n) {
            continue;
        }
        if (ret->n == QUERY_PARAMETERS_MAX) {
            return -E2BIG;
        }
        (void)str_cut(&pair, '=', &name);
        struct query_parameter *p = &ret->all[ret->n];
        if (url_decode(a, name, true, &p->name) < 0 || url_decode(a, pair, true, &p->value) < 0) {
            return -EBADMSG;
        }
        ret->n++;
    }
    return 0;
}

struct str query_get(const struct query *q, struct str name)
{
    for (size_t i = 0; i < q->n; i++) {
        if (str_eq(q->all[i].name, name)) {
            return q->all[i].value;
        }
    }
    return (struct str){0};
}

void url_encode(struct buf *b, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            memchr("-._~", c, 4)) {
            buf_addc(b, (char)c);
        } else {
            buf_addc(b, '%');
            buf_addc(b, digits[c >> 4]);
            buf_addc(b, digits[c & 15]);
        }
    }
}
