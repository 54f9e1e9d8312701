#include "hist.h"

/* Values below HIST_STEPS have a bucket each; above, the top seven bits choose it. */
static uint32_t bucket_of(uint64_t ns)
{
    if (ns < HIST_STEPS) {
        return (uint32_t)ns;
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - 6;
    uint32_t bucket = (shift + 1) * HIST_STEPS + (uint32_t)(ns >> shift) - HIST_STEPS;
    return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

static uint64_t middle_of(uint32_t bucket)
{
    if (bucket < HIST_STEPS) {
        return bucket;
    }
    uint32_t shift = bucket / HIST_STEPS - 1;
    uint64_t low = (uint64_t)(bucket % HIST_STEPS + HIST_STEPS) << shift;
    return low + (UINT64_C(1) << shift) / 2;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->buckets[bucket_of(ns)]++;
    h->count++;
    if (ns > h->max_ns) {
        h->max_ns = ns;
    }
}

uint64_t hist_percentile_ns(const struct hist *h, double share)
{
    if (h->count == 0) {
        return 0;
    }
    uint64_t wanted = (uint64_t)((double)h->count * share);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted) {
            return middle_of(i);
        }
    }
    return h->max_ns;
}
