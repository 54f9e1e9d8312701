/*
 * A histogram of nanoseconds: 64 steps per power of two, so that a percentile is within 1.6 %.
 * All zero is an empty one.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum { HIST_STEPS = 64, HIST_BUCKETS = 40 * HIST_STEPS };

struct hist {
    uint64_t count;
    uint64_t max_ns;
    uint32_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);

/* The value that a share (0.5, 0.99 ...) of what was added does not exceed; 0 when empty. */
uint64_t hist_percentile_ns(const struct hist *h, double share);

#endif
