/* When a second attempt is worth making beside one that is slow: the times in which a target's streams had their first
 * content, and a budget. Shared by all workers: atomic words, all zero at first. Numbers in, decisions out.
 *
 * A time falls into one of 8 places for each doubling, from a millisecond up, so a percentile is at most an eighth too
 * long. Every HEDGE_WINDOW times all counts are halved: what was is forgotten.
 *
 * The budget is a bucket, empty at first: each call puts `percent` in, a second attempt takes 100 out, and it holds
 * HEDGE_BURST attempts. */
#ifndef POLICY_HEDGE_H
#define POLICY_HEDGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { HEDGE_PLACES = 8 * 20, HEDGE_WINDOW = 2000, HEDGE_BURST = 10 };

struct hedge {
    _Atomic uint32_t times[HEDGE_PLACES];
    _Atomic uint32_t n;      /* of all places together, nearly */
    _Atomic uint32_t budget; /* hundredths of an attempt */
};

/* A stream had its first content after `ms`, or has been without any for so long. */
void hedge_add(struct hedge *h, uint64_t ms);
/* The time within which `percent` of the streams had content, in milliseconds; 0 with fewer than `min_samples`. */
uint64_t hedge_after_ms(const struct hedge *h, unsigned percent, uint32_t min_samples);
/* A call that might be hedged begins. */
void hedge_earn(struct hedge *h, unsigned percent);
/* Takes what a second attempt costs; false: there is not so much. */
bool hedge_take(struct hedge *h);
/* Gives it back: the attempt was not made after all. */
void hedge_give(struct hedge *h);

#endif
