/* Equality of texts that may hold a key: how long it takes tells nothing about where they differ. */
#ifndef BASE_SAME_H
#define BASE_SAME_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>
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

enum { SAME_FRONT_MIN = 32 };

/* How many bytes are the same at the front of n, SAME_FRONT_MIN to 2,048. All are looked at, wherever the first other
 * one is. */
static inline size_t same_front(const char *a, const char *b, size_t n)
{
    uint64_t other = 0; /* bit i: something in block i */
    size_t last = n - 32, at;
    for (size_t i = 0; 32 * i < n; i++) {
        at = 32 * i < last ? 32 * i : last;
        __m128i same = _mm_and_si128(same_16(a + at, b + at), same_16(a + at + 16, b + at + 16));
        other |= (uint64_t)(_mm_movemask_epi8(same) != 0xffff) << i;
    }
    if (!other) {
        return n;
    }
    at = 32 * (size_t)__builtin_ctzll(other);
    at = at < last ? at : last;
    unsigned low = (unsigned)_mm_movemask_epi8(same_16(a + at, b + at));
    unsigned high = (unsigned)_mm_movemask_epi8(same_16(a + at + 16, b + at + 16));
    return at + (size_t)__builtin_ctz(~(low | high << 16));
}

#endif
