#include "base/buf.h"

#include <emmintrin.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

static const size_t default_limit = (size_t)64 << 20;

/* The capacity never passes the limit, so that what fits is within it, too. */
char *buf_grow(struct buf *b, size_t n)
{
    size_t limit = b->limit ? b->limit : default_limit;
    if (n > limit - b->n || b->overflow) {
        b->overflow = true;
        return NULL;
    }
    size_t cap = b->cap ? b->cap * 2 : 256;
    while (cap < b->n + n) {
        cap *= 2;
    }
    cap = cap < limit ? cap : limit;
    if (b->arena) {
        char *p = arena_alloc(b->arena, cap);
        if (b->n) {
            memcpy(p, b->p, b->n);
        }
        b->p = p;
    } else {
        b->p = mem_realloc(b->p, cap);
    }
    b->cap = cap;
    char *at = b->p + b->n;
    b->n += n;
    return at;
}

void buf_add_slice(struct buf *b, struct str s)
{
    char *at = s.n ? buf_room(b, s.n) : NULL;
    if (at) {
        memcpy(at, s.p, s.n);
    }
}

void buf_addz(struct buf *b, const char *z)
{
    buf_add(b, str_of(z));
}

/* log10(2) is about 1233 / 4096: an estimate from the bits that is right or one too high. */
static size_t digits_of(uint64_t v)
{
    static const uint64_t power[20] = {
        1U,
        10U,
        100U,
        1000U,
        10000U,
        100000U,
        1000000U,
        10000000U,
        100000000U,
        1000000000U,
        10000000000U,
        100000000000U,
        1000000000000U,
        10000000000000U,
        100000000000000U,
        1000000000000000U,
        10000000000000000U,
        100000000000000000U,
        1000000000000000000U,
        10000000000000000000U,
    };
    size_t guess = (size_t)(64 - __builtin_clzll(v | 1)) * 1233 >> 12;
    return guess + (v >= power[guess]);
}

size_t u64_print(char *to, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    if (v < 10) {
        to[0] = (char)('0' + v);
        return 1;
    }
    if (v < 100) {
        memcpy(to, pairs + v * 2, 2);
        return 2;
    }
    if (v < 1000) {
        to[0] = (char)('0' + v / 100);
        memcpy(to + 1, pairs + v % 100 * 2, 2);
        return 3;
    }
    size_t n = digits_of(v), at = n;
    while (v >= 10) {
        at -= 2;
        memcpy(to + at, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (at) {
        to[0] = (char)('0' + v);
    }
    return n;
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    enum { DIGITS_MAX = 20 };
    if (b->n <= b->cap && b->cap - b->n >= DIGITS_MAX && !b->overflow) {
        b->n += u64_print(b->p + b->n, v); /* nearly always: nobody has to count first */
        return;
    }
    char *at = buf_room(b, digits_of(v | 1));
    if (at) {
        u64_print(at, v);
    }
}

void buf_add_i64(struct buf *b, int64_t v)
{
    if (v < 0) {
        buf_addc(b, '-');
        buf_add_u64(b, ~(uint64_t)v + 1);
    } else {
        buf_add_u64(b, (uint64_t)v);
    }
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->n < b->cap && !b->overflow ? b->cap - b->n : 0;
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    if (n > 0 && (size_t)n < room) {
        b->n += (size_t)n; /* as mostly, it fitted at once; the NUL is not part of the text */
    } else {
        char *at = n > 0 ? buf_room(b, (size_t)n + 1) : NULL;
        if (at) {
            vsnprintf(at, (size_t)n + 1, fmt, again);
            b->n--;
        }
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

static void add_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    switch (c) {
    case '"':
        buf_add(b, STR("\\\""));
        break;
    case '\\':
        buf_add(b, STR("\\\\"));
        break;
    case '\n':
        buf_add(b, STR("\\n"));
        break;
    case '\r':
        buf_add(b, STR("\\r"));
        break;
    case '\t':
        buf_add(b, STR("\\t"));
        break;
    default:
        buf_add(b, str_make(six, sizeof six));
    }
}

/* How many bytes at p are ASCII that needs no escape; fewer than 16 at the end are not looked at. */
static size_t plain_run(const char *p, size_t n)
{
    const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  slash = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7f);
    size_t at = 0;
    for (; n - at >= 16; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        /* Signed: bytes from 0x80 on are below 0x20, too. */
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_cmpeq_epi8(x, quote));
        odd = _mm_or_si128(odd, _mm_or_si128(_mm_cmpeq_epi8(x, slash), _mm_cmpeq_epi8(x, del)));
        unsigned bits = (unsigned)_mm_movemask_epi8(odd);
        if (bits) {
            return at + (size_t)__builtin_ctz(bits);
        }
    }
    return at;
}

void buf_add_json(struct buf *b, struct str s)
{
    size_t plain = 0, i = plain_run(s.p, s.n);
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t len = c < 0x80 ? 1 : utf8_len(s.p + i, s.n - i);
        if (len && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += len;
            i += s.n - i >= 16 ? plain_run(s.p + i, s.n - i) : 0;
            continue;
        }
        buf_add(b, str_make(s.p + plain, i - plain));
        if (len) {
            add_escape(b, c);
        } else {
            buf_add(b, STR("\xEF\xBF\xBD"));
        }
        plain = ++i;
    }
    buf_add(b, str_from(s, plain));
}

void buf_free(struct buf *b)
{
    if (!b->arena) {
        free(b->p);
    }
    *b = (struct buf){.limit = b->limit, .arena = b->arena};
}
