#include <errno.h>

#include "base/utf8.h"
#include "json/wide.h"
#include "policy/mask_look.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Copies in blocks until a backslash; the block's remainder is copied too, and written over. `high` gets bit 7 when
 * a byte above 0x7F was copied. Reads p[0..n) only, writes up to 32 bytes behind. */
typedef size_t copy_plain(const char *p, size_t n, char *to, unsigned *high);

/* Inlined into each variant: legacy SSE instructions behind AVX2's cost a stall at each change. */
#define INLINE static inline __attribute__((always_inline))

INLINE size_t copy_tail(const char *p, size_t i, size_t n, char *to, unsigned *high)
{
    for (; i < n && p[i] != '\\'; i++) {
        to[i] = p[i];
        *high |= (unsigned char)p[i] & 0x80;
    }
    return i;
}

#ifdef __x86_64__
INLINE size_t copy_16(const char *p, size_t i, size_t n, char *to, unsigned *high)
{
    const __m128i slash = _mm_set1_epi8('\\');
    for (; i + 16 <= n; i += 16) {
        __m128i x = _mm_loadu_si128((const void *)(p + i));
        _mm_storeu_si128((void *)(to + i), x);
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, slash));
        *high |= _mm_movemask_epi8(x) ? 0x80 : 0;
        if (bits) {
            return i + (size_t)__builtin_ctz(bits);
        }
    }
    return copy_tail(p, i, n, to, high);
}

static size_t copy_sse2(const char *p, size_t n, char *to, unsigned *high)
{
    return copy_16(p, 0, n, to, high);
}

__attribute__((target("avx2,bmi"))) static size_t copy_avx2(const char *p, size_t n, char *to,
                                                            unsigned *high)
{
    size_t i = 0;
    const __m256i slash = _mm256_set1_epi8('\\');
    for (; i + 32 <= n; i += 32) {
        __m256i x = _mm256_loadu_si256((const void *)(p + i));
        _mm256_storeu_si256((void *)(to + i), x);
        unsigned bits = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, slash));
        *high |= _mm256_movemask_epi8(x) ? 0x80 : 0;
        if (bits) {
            return i + (size_t)__builtin_ctz(bits);
        }
    }
    return copy_16(p, i, n, to, high);
}
#endif

static size_t copy_portable(const char *p, size_t n, char *to, unsigned *high)
{
    return copy_tail(p, 0, n, to, high);
}

static copy_plain *copier(void)
{
#ifdef __x86_64__
    return wide.level == WIDE_AVX2   ? copy_avx2
           : wide.level == WIDE_SSE2 ? copy_sse2
                                     : copy_portable;
#else
    return copy_portable;
#endif
}

static int hex4(const char *p)
{
    int v = 0;
    for (unsigned i = 0; i < 4; i++) {
        int c = (unsigned char)p[i];
        if (!is_hex(c)) {
            return -1;
        }
        v = v << 4 | (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

/* A \u escape at p. Returns its length (12 for a pair), 0 when it is not whole. */
static size_t take_unicode(const char *p, size_t n, bool more, char *to, size_t *ret_n)
{
    *ret_n = 1;
    *to = '?';
    if (n < 6) {
        return more ? 0 : n; /* invalid JSON; as if it were one character */
    }
    int unit = hex4(p + 2);
    if (unit < 0) {
        return 2;
    }
    if (unit < 0xD800 || unit > 0xDFFF) {
        *ret_n = utf8_put(to, (uint32_t)unit);
        return 6;
    }
    if (unit > 0xDBFF) {
        return 6;
    }
    if (n < 12 && more && (n < 7 || p[6] == '\\') && (n < 8 || p[7] == 'u')) {
        return 0;
    }
    int low = n >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) {
        return 6;
    }
    *ret_n = utf8_put(to, 0x10000 + (((uint32_t)unit - 0xD800) << 10) + ((uint32_t)low - 0xDC00));
    return 12;
}

static size_t take_escape(const char *p, size_t n, bool more, char *to, size_t *ret_n)
{
    static const char meant[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    *ret_n = 1;
    if (n < 2) {
        *to = '\\';
        return more ? 0 : 1;
    }
    if (p[1] == 'u') {
        return take_unicode(p, n, more, to, ret_n);
    }
    char c = meant[(unsigned char)p[1]];
    *to = c ? c : '?';
    return 2;
}

/* How many bytes at the end of p[0..n) are the beginning of a character. */
static size_t cut_character(const char *p, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        unsigned char c = (unsigned char)p[n - k];
        if (c < 0x80) {
            return 0;
        }
        if (c >= 0xC0) {
            return (c >= 0xF0 ? 4U : c >= 0xE0 ? 3U : 2U) > k ? k : 0;
        }
    }
    return 0;
}

static void mend(char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_len(p + i, n - i);
        if (k == 0) {
            p[i] = '?';
            k = 1;
        }
        i += k;
    }
}

/* Readers of UTF-8 that do not check must be given nothing else. */
static void make_valid(char *p, size_t n)
{
    const char *at = p, *end = p + n;
    while (at < end) {
        const char *stop = wide.utf8(at, end);
        if (!stop) {
            mend(p, n);
            return;
        }
        at = stop + (stop < end);
    }
}

static bool add_row(struct mask_scratch *s, size_t plain_at, size_t raw_at)
{
    if (!SCRATCH_ROOM(s, rows, s->n_rows + 1)) {
        return false;
    }
    s->rows[s->n_rows++] = (struct row){(uint32_t)plain_at, (uint32_t)raw_at};
    return true;
}

int mask_decode(struct mask_scratch *s, struct str text, char *to, size_t plain_at, size_t raw_at,
                bool more, size_t *ret_n, size_t *ret_used)
{
    copy_plain *copy = copier();
    unsigned high = 0;
    size_t i = 0, n = 0, whole = text.n - (more ? cut_character(text.p, text.n) : 0);
    bool ok = add_row(s, plain_at, raw_at);
    while (ok && i < whole) {
        size_t k = copy(text.p + i, whole - i, to + n, &high);
        i += k;
        n += k;
        if (i == whole) {
            break;
        }
        size_t put, taken = take_escape(text.p + i, text.n - i, more, to + n, &put);
        if (taken == 0) {
            break;
        }
        high |= put > 1 ? 0x80 : 0;
        i += taken;
        n += put;
        ok = add_row(s, plain_at + n, raw_at + i);
    }
    if (high) {
        make_valid(to, n);
    }
    *ret_n = n;
    *ret_used = i;
    return ok ? 0 : -E2BIG;
}

size_t mask_raw_at(const struct mask_scratch *s, size_t plain)
{
    size_t low = 0, high = s->n_rows; /* the last row at or in front of it */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s->rows[mid].plain_at <= plain) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return s->rows[low].raw_at + (plain - s->rows[low].plain_at);
}
