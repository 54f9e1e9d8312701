#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Two digits for each twelve bits; filled before main(). */
static char pair[4096][2];

__attribute__((constructor)) static void fill_pairs(void)
{
    for (unsigned i = 0; i < 4096; i++) {
        pair[i][0] = digits[i >> 6];
        pair[i][1] = digits[i & 63];
    }
}

static void put_group(char *to, const unsigned char *p)
{
    unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
    memcpy(to, pair[v >> 12], 2);
    memcpy(to + 2, pair[v & 4095], 2);
}

size_t base64_add(struct base64 *e, char *to, struct str piece)
{
    const unsigned char *p = (const unsigned char *)piece.p, *end = p + piece.n;
    char *at = to;
    while (e->_n && e->_n < 3 && p < end) {
        e->_rest[e->_n++] = *p++;
    }
    if (e->_n == 3) {
        put_group(at, e->_rest);
        at += 4;
        e->_n = 0;
    }
    for (; end - p >= 3; p += 3, at += 4) {
        put_group(at, p);
    }
    while (p < end) {
        e->_rest[e->_n++] = *p++;
    }
    return (size_t)(at - to);
}

size_t base64_end(struct base64 *e, char *to)
{
    if (e->_n == 0) {
        return 0;
    }
    memset(e->_rest + e->_n, 0, sizeof e->_rest - e->_n);
    put_group(to, e->_rest);
    to[3] = '=';
    to[2] = e->_n == 1 ? '=' : to[2];
    e->_n = 0;
    return 4;
}
