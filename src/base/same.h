/* Equality of texts that may hold a key: how long it takes tells nothing about where they differ. */
#ifndef BASE_SAME_H
#define BASE_SAME_H

#include <emmintrin.h>
#include <stdbool.h>
#include <string.h>

static inline __m128i same_16(const char *a, const char *b)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm_cmpeq_epi8(x, y);
}

/* Equality of n bytes, by registers that overlap at the end: the texts are too short for a call to pay. From 16
 * on all bytes are always compared; a key has no room in less. */
static inline bool same_bytes(const char *a, const char *b, size_t n)
{
    if (n < 16) {
        return memcmp(a, b, n) == 0;
    }
    __m128i same = same_16(a + n - 16, b + n - 16);
    for (size_t i = 0; i < n - 16; i += 16) {
        same = _mm_and_si128(same, same_16(a + i, b + i));
    }
    return _mm_movemask_epi8(same) == 0xffff;
}

#endif
