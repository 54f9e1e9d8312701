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

/* The byte behind the closing quote of the string whose text starts at `p`, NULL when there is none
 * in front of `end`. p[-1] is the opening quote. `last` is where the last 64 bytes in front of `end`
 * begin, NULL when these are not all the text's document. */
typedef const char *quote_end(const char *p, const char *end, const char *last);

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

static inline const char *quote_end_plain(const char *p, const char *end, const char *last)
{
    (void)last;
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        if (!quote_is_escaped(p++)) {
            return p;
        }
    }
    return NULL;
}

#ifdef __x86_64__
#include <immintrin.h>

#define QUOTE_AVX2 __attribute__((target("avx2,bmi,bmi2")))

/* Which of p[0..64) are quotes. */
static inline QUOTE_AVX2 uint64_t quote_bits_avx2(const char *p)
{
    const __m256i quote = _mm256_set1_epi8('"');
    __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)p), quote);
    __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(p + 32)), quote);
    uint64_t upper = (uint32_t)_mm256_movemask_epi8(high);
    return (uint32_t)_mm256_movemask_epi8(low) | upper << 32;
}

static inline QUOTE_AVX2 const char *quote_end_avx2(const char *p, const char *end,
                                                    const char *last)
{
    for (; p <= last; p += 64) {
        for (uint64_t bits = quote_bits_avx2(p); bits; bits &= bits - 1) {
            const char *q = p + __builtin_ctzll(bits);
            if (__builtin_expect(q[-1] != '\\', 1) || !quote_is_escaped(q)) {
                return q + 1;
            }
        }
    }
    return quote_end_plain(p, end, last);
}
#endif

#endif
