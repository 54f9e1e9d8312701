/* Below json/scan.h: where the text of a string ends when nobody asks what stands in it.
 *
 * An escape is a backslash and the byte behind it, so a quote ends the text unless an odd number of
 * backslashes stands in front of it. Other escapes than that of a quote need no look at all, which
 * makes one comparison per register out of what the strict scan needs four for. */
#ifndef JSON_QUOTE_H
#define JSON_QUOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define QUOTE_INLINE static inline __attribute__((always_inline))

/* The byte behind the closing quote of the string whose text starts at `p`, NULL when there is none
 * in front of `end`. p[-1] is the opening quote. `last` is where the last 64 bytes in front of
 * `end` begin, NULL when the document is shorter. */
typedef const char *quote_end(const char *p, const char *end, const char *last);

/* The same for a short text of nothing but plain ASCII; NULL when it is not that, or may not be. */
typedef const char *quote_plain(const char *p, const char *end, const char *last);

/* Whether the quote at `p` is escaped. The backslashes counted are those of this text: the opening
 * quote stops the count at the latest, and no backslash is counted for two quotes. */
static inline bool quote_is_escaped(const char *p)
{
    const char *from = p;
    while (from[-1] == '\\') {
        from--;
    }
    return (p - from) & 1;
}

/* The byte behind the first quote that is not escaped of `bits`, which are those at `p`, or NULL.
 */
QUOTE_INLINE const char *quote_first(const char *p, uint64_t bits)
{
    for (; bits; bits &= bits - 1) {
        const char *q = p + __builtin_ctzll(bits);
        if (__builtin_expect(q[-1] != '\\', 1) || !quote_is_escaped(q)) {
            return q + 1;
        }
    }
    return NULL;
}

#ifdef __SSE2__
QUOTE_INLINE uint64_t quote_bits_sse2(const char *p)
{
    __m128i x = _mm_loadu_si128((const void *)p);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
}

QUOTE_INLINE const char *quote_end_any(const char *p, const char *end, const char *last)
{
    for (; end - p >= 16; p += 16) {
        const char *behind = quote_first(p, quote_bits_sse2(p));
        if (behind) {
            return behind;
        }
    }
    if (last && p < end) {
        return quote_first(p, quote_bits_sse2(end - 16) >> (p - (end - 16)));
    }
    for (; p < end; p++) {
        if (*p == '"' && !quote_is_escaped(p)) {
            return p + 1;
        }
    }
    return NULL;
}
#else
QUOTE_INLINE const char *quote_end_any(const char *p, const char *end, const char *last)
{
    (void)last;
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        if (!quote_is_escaped(p++)) {
            return p;
        }
    }
    return NULL;
}
#endif

QUOTE_INLINE const char *quote_plain_any(const char *p, const char *end, const char *last)
{
    (void)p;
    (void)end;
    (void)last;
    return NULL;
}

#ifdef __x86_64__
#define QUOTE_AVX2 __attribute__((target("avx2,bmi,bmi2")))

/* Which of p[0..64) are quotes. */
QUOTE_INLINE QUOTE_AVX2 uint64_t quote_bits_avx2(const char *p)
{
    const __m256i quote = _mm256_set1_epi8('"');
    __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)p), quote);
    __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(p + 32)), quote);
    uint64_t upper = (uint32_t)_mm256_movemask_epi8(high);
    return (uint32_t)_mm256_movemask_epi8(low) | upper << 32;
}

QUOTE_INLINE QUOTE_AVX2 const char *quote_end_avx2(const char *p, const char *end, const char *last)
{
    for (; p <= last; p += 64) {
        const char *behind = quote_first(p, quote_bits_avx2(p));
        if (behind) {
            return behind;
        }
    }
    return p < end ? quote_first(p, quote_bits_avx2(last) >> (p - last)) : NULL;
}

/* A shuffle looks up, by a byte's low four bits, the one marked byte that it could be (0 for bytes
 * above 0x7F); equality with the byte itself tests for all of them in two instructions. Entry 0 is
 * a byte that cannot equal its index, so that NUL is not marked by the zeros. */
static const _Alignas(32) char quote_by_low[32] = {
    [0] = 1, [2] = '"', ['\\' & 15] = '\\', [16] = 1, [18] = '"', [16 + ('\\' & 15)] = '\\',
};

/* 0xFF at each quote and backslash. */
QUOTE_INLINE QUOTE_AVX2 __m256i quote_marks_avx2(__m256i x)
{
    __m256i table = _mm256_load_si256((const void *)quote_by_low);
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, x), x);
}

/* The upper bit is set at what a strict string stops at: besides these at control characters and,
 * as they are negative, at the bytes above 0x7F. */
QUOTE_INLINE QUOTE_AVX2 __m256i quote_stops_avx2(__m256i x)
{
    return _mm256_or_si256(quote_marks_avx2(x), _mm256_subs_epi8(x, _mm256_set1_epi8(0x20)));
}

/* The same but for quotes. */
QUOTE_INLINE QUOTE_AVX2 __m256i quote_odd_avx2(__m256i x)
{
    return _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')),
                           _mm256_subs_epi8(x, _mm256_set1_epi8(0x20)));
}

QUOTE_INLINE QUOTE_AVX2 const char *quote_plain_avx2(const char *p, const char *end,
                                                     const char *last)
{
    if (p >= end) {
        return NULL;
    }
    const char *from = p <= last + 32 ? p : last + 32;
    __m256i x = _mm256_loadu_si256((const void *)from);
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(quote_stops_avx2(x)) >> (p - from);
    p += __builtin_ctzll(bits | 1ULL << 32);
    return bits && *p == '"' ? p + 1 : NULL;
}
#endif

#endif
