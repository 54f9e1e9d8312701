/* Wide registers over JSON text: the loops that decide what a scan costs, in 64-byte blocks.
 *
 * A finder walks blocks and stops at the first that holds a marked byte; the block's marks come
 * back as bits, so that the short strings behind it are found by shifts and not by another load.
 * Nothing outside of [start, end) is ever read. The variant (AVX2, SSE2, plain C) is chosen once
 * before main(); afterwards `wide` is read-only. */
#ifndef JSON_WIDE_H
#define JSON_WIDE_H

#include "base/str.h"

enum { WIDE_BLOCK = 64 };

/* The marks of the bytes base[0..64): bit i stands for base[i]. Zero is a valid, stale window. */
struct window {
    const char *base;
    uint64_t bits;
};

/* The first block at or behind `p` with a mark, {end, 0} when there is none. Blocks start at `p`;
 * start <= p <= end, and [start, end) is readable. */
typedef struct window wide_find(const char *p, const char *start, const char *end);

enum wide_level { WIDE_PLAIN, WIDE_SSE2, WIDE_AVX2 };

struct wide {
    enum wide_level level;
    wide_find *text;   /* what a strict string stops at: quote, backslash, below 0x20, above 0x7F */
    wide_find *quotes; /* quote and backslash */
    wide_find *odd;    /* backslash, below 0x20, above 0x7F */
    /* The first quote, backslash or control character at or behind `p`, or `end`; NULL when the
     * bytes in front of it are not UTF-8 (base/utf8.h). `p` is the start of a sequence. */
    const char *(*utf8)(const char *p, const char *end);
};

extern struct wide wide;

/* Takes a variant for tests; false when this machine does not have it. */
bool wide_choose(enum wide_level level);

/* The first marked byte at or behind `p`, or `end`. `w` remembers the last block between calls on
 * the same text. */
static inline const char *window_next(struct window *w, wide_find *find, const char *p,
                                      const char *start, const char *end)
{
    uintptr_t off = (uintptr_t)p - (uintptr_t)w->base;
    if (off < WIDE_BLOCK) {
        uint64_t bits = w->bits >> off;
        if (bits) {
            return p + __builtin_ctzll(bits);
        }
        if (end - w->base <= WIDE_BLOCK) {
            return end;
        }
        p = w->base + WIDE_BLOCK;
    }
    *w = find(p, start, end);
    return w->bits ? w->base + __builtin_ctzll(w->bits) : end;
}

#endif
