/* Blocks of 64 bytes for readers that follow nesting: which of them are quotes, backslashes, braces
 * or brackets. Inlined, so that the marks stay in registers; a reader has its loop once for each
 * kind of machine (wide.level says which). */
#ifndef JSON_MARKS_H
#define JSON_MARKS_H

#include "json/wide.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MARKS_INLINE static inline __attribute__((always_inline))

struct marks {
    uint64_t quotes, slashes, brackets;
    /* From each odd quote on, up to the even one: strings, if no quote is escaped. */
    uint64_t inside;
};

/* The marks of p[0..64). */
typedef struct marks marks_block(const char *p);

/* Each bit becomes the parity of the bits up to and with it. */
static inline uint64_t parities(uint64_t bits)
{
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    return bits;
}

MARKS_INLINE struct marks marks_plain(const char *p)
{
    struct marks m = {0};
    for (unsigned i = 0; i < WIDE_BLOCK; i++) {
        uint64_t bit = 1ULL << i;
        m.quotes |= p[i] == '"' ? bit : 0;
        m.slashes |= p[i] == '\\' ? bit : 0;
        m.brackets |= strchr("{}[]", p[i]) && p[i] ? bit : 0;
    }
    m.inside = parities(m.quotes);
    return m;
}

#ifdef __x86_64__
/* Four times 16 bits of what `test` says about 16 bytes. */
#define MARKS_SSE2(test, p)                                                                        \
    ((uint64_t)(uint32_t)_mm_movemask_epi8(test(p)) |                                              \
     (uint64_t)(uint32_t)_mm_movemask_epi8(test((p) + 16)) << 16 |                                 \
     (uint64_t)(uint32_t)_mm_movemask_epi8(test((p) + 32)) << 32 |                                 \
     (uint64_t)(uint32_t)_mm_movemask_epi8(test((p) + 48)) << 48)

MARKS_INLINE __m128i marks_quote_sse2(const char *p)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const void *)p), _mm_set1_epi8('"'));
}

MARKS_INLINE __m128i marks_slash_sse2(const char *p)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const void *)p), _mm_set1_epi8('\\'));
}

/* Braces are brackets with bit 5 set. */
MARKS_INLINE __m128i marks_bracket_sse2(const char *p)
{
    __m128i x = _mm_or_si128(_mm_loadu_si128((const void *)p), _mm_set1_epi8(0x20));
    return _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('{')),
                        _mm_cmpeq_epi8(x, _mm_set1_epi8('}')));
}

MARKS_INLINE struct marks marks_sse2(const char *p)
{
    struct marks m = {
        .quotes = MARKS_SSE2(marks_quote_sse2, p),
        .slashes = MARKS_SSE2(marks_slash_sse2, p),
        .brackets = MARKS_SSE2(marks_bracket_sse2, p),
    };
    m.inside = parities(m.quotes);
    return m;
}

#define MARKS_AVX2 __attribute__((target("avx2,pclmul,bmi,bmi2")))

MARKS_INLINE MARKS_AVX2 uint64_t marks_bits_avx2(__m256i low, __m256i high)
{
    uint64_t upper = (uint32_t)_mm256_movemask_epi8(high);
    return (uint32_t)_mm256_movemask_epi8(low) | upper << 32;
}

/* What stands at the low four bits of a byte that can be marked: a shuffle looks up by a byte's low
 * half the one byte that it could be, and equality tests for all of them at once. 0 is a byte
 * that no byte with bit 5 set can equal. */
static const _Alignas(32) char marks_brackets[32] = {
    ['{' & 15] = '{',
    ['}' & 15] = '}',
    [16 + ('{' & 15)] = '{',
    [16 + ('}' & 15)] = '}',
};

MARKS_INLINE MARKS_AVX2 __m256i marks_brackets_avx2(__m256i x)
{
    __m256i table = _mm256_load_si256((const void *)marks_brackets);
    x = _mm256_or_si256(x, _mm256_set1_epi8(0x20)); /* braces are brackets with bit 5 set */
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, x), x);
}

/* Multiplying the quotes by all ones without carries sums up, for each bit, those up to it. */
MARKS_INLINE MARKS_AVX2 struct marks marks_avx2(const char *p)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\');
    __m256i x = _mm256_loadu_si256((const void *)p);
    __m256i y = _mm256_loadu_si256((const void *)(p + 32));
    struct marks m;
    m.quotes = marks_bits_avx2(_mm256_cmpeq_epi8(x, quote), _mm256_cmpeq_epi8(y, quote));
    m.slashes = marks_bits_avx2(_mm256_cmpeq_epi8(x, slash), _mm256_cmpeq_epi8(y, slash));
    m.brackets = marks_bits_avx2(marks_brackets_avx2(x), marks_brackets_avx2(y));
    __m128i quotes = _mm_set_epi64x(0, (long long)m.quotes);
    m.inside = (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(quotes, _mm_set1_epi8(-1), 0));
    return m;
}
#endif

/* The same of the fewer bytes [p, end); [start, end) is readable. */
MARKS_INLINE struct marks marks_last(const char *p, const char *start, const char *end,
                                     marks_block *block)
{
    unsigned before = 0; /* bytes that the block holds in front of `p` */
    size_t n = (size_t)(end - p);
    struct marks m;
    if (end - start >= WIDE_BLOCK) {
        before = (unsigned)(WIDE_BLOCK - n);
        m = block(p - before);
    } else {
        char copy[WIDE_BLOCK] = {0};
        memcpy(copy, p, n);
        m = block(copy);
    }
    m.quotes >>= before;
    m.slashes >>= before;
    m.brackets >>= before;
    m.inside = parities(m.quotes);
    return m;
}

struct marks_escapes {
    uint64_t quotes; /* those that are not escaped */
    bool open;       /* the byte behind the block is escaped */
};

/* Finds the escapes of a block of `n` bytes; `carry` is all ones when it begins in a string. */
struct marks_escapes marks_find_escapes(uint64_t quotes, uint64_t slashes, uint64_t carry,
                                        size_t n);

/* What loops over blocks go by: a block whose strings are known. */
struct marks_step {
    const char *next;  /* where the block behind it starts */
    uint64_t quotes;   /* not escaped */
    uint64_t brackets; /* outside of strings */
    uint64_t inside;
    bool escape; /* the byte at `next` is escaped */
    bool text;   /* nothing but a string's text */
};

/* The block at `p`, of which [start, end) is readable. `*carry` is all ones in a string; it is moved to the
 * block's end. */
MARKS_INLINE struct marks_step marks_next(const char *start, const char *end, const char *p,
                                          uint64_t *carry, marks_block *block)
{
    bool full = end - p >= WIDE_BLOCK;
    struct marks m = full ? block(p) : marks_last(p, start, end, block);
    struct marks_step b = {.next = full ? p + WIDE_BLOCK : end, .quotes = m.quotes};
    if (m.slashes) {
        struct marks_escapes e =
            marks_find_escapes(m.quotes, m.slashes, *carry, (size_t)(b.next - p));
        b.quotes = e.quotes;
        b.escape = e.open;
        m.inside = parities(e.quotes);
    }
    b.inside = m.inside ^ *carry;
    b.brackets = m.brackets & ~b.inside;
    b.text = *carry && !(m.quotes | m.slashes);
    *carry = (uint64_t)((int64_t)b.inside >> 63);
    return b;
}

/* In ASCII, what closes has bit 2 and what opens has not. */
MARKS_INLINE uint32_t marks_level(char bracket)
{
    return bracket & 4 ? -1U : 1;
}

#endif
