#include "base/str.h"

#include <emmintrin.h>
#include <errno.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_istarts(struct str s, struct str prefix)
{
    if (s.n < prefix.n) {
        return false;
    }
    for (size_t i = 0; i < prefix.n; i++) {
        if (s.p[i] != prefix.p[i] && lower(s.p[i]) != lower(prefix.p[i])) {
            return false;
        }
    }
    return true;
}

bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_istarts(a, b);
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0) {
        return 0;
    }
    if (needle.n < 2 || s.n < needle.n) {
        return needle.n == 0 ? 0 : s.n < needle.n ? -1 : str_chr(s, needle.p[0]);
    }
    /* Sixteen places at a time: where the needle's first and last byte both fit, compare. */
    const __m128i first = _mm_set1_epi8(needle.p[0]), last = _mm_set1_epi8(needle.p[needle.n - 1]);
    const char *at = s.p, *end = s.p + (s.n - needle.n) + 1;
    for (; end - at >= 16; at += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(at + needle.n - 1));
        unsigned hits = (unsigned)_mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last)));
        for (; hits; hits &= hits - 1) {
            const char *hit = at + __builtin_ctz(hits);
            if (memcmp(hit + 1, needle.p + 1, needle.n - 2) == 0) {
                return hit - s.p;
            }
        }
    }
    for (; at < end; at++) {
        if (*at == needle.p[0] && memcmp(at, needle.p, needle.n) == 0) {
            return at - s.p;
        }
    }
    return -1;
}

bool str_cut(struct str *s, char c, struct str *head)
{
    ptrdiff_t at = str_chr(*s, c);
    if (at < 0) {
        *head = *s;
        *s = str_from(*s, s->n);
        return false;
    }
    *head = str_first(*s, (size_t)at);
    *s = str_from(*s, (size_t)at + 1);
    return true;
}

int str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned char)s.p[i] - (unsigned)'0';
        if (d > 9) {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(v, 10U, &v) || __builtin_add_overflow(v, d, &v)) {
            return -ERANGE;
        }
    }
    *ret = v;
    return 0;
}

unsigned str_distance(struct str a, struct str b)
{
    enum { MOST = 64 };
    unsigned row[MOST + 1];
    a = str_first(a, MOST);
    b = str_first(b, MOST);
    for (unsigned j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (lower(a.p[i - 1]) != lower(b.p[j - 1]));
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[b.n];
}
