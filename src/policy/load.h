/* How much a target has to do, and how long it takes to begin an answer.
 *
 * Latency is a peak-sensitive moving average, as in Finagle's PeakEwma: a slower sample counts at once and whole, a
 * faster one by how long ago the last one was. While nothing is measured it fades, so that a target that was slow is
 * tried again some day, and one that is new at once.
 *
 * Numbers of calls are kept per worker, each in a cache line of its own that only this worker writes; who asks adds
 * them up. The average is one word for all of them. */
#ifndef POLICY_LOAD_H
#define POLICY_LOAD_H

#include <stdatomic.h>

#include "base/str.h"

enum {
    LOAD_FADE_MS = 10000,     /* what was measured so long ago counts 1/e */
    LOAD_FAILED_US = 5000000, /* an attempt that failed counts as one that took so long, at least */
};

struct load_shard {
    _Alignas(64) _Atomic uint64_t calls; /* attempts that have begun */
    _Atomic uint64_t ended, failed;
};

/* All zero but for n_shards: nothing is known. */
struct load {
    _Alignas(64) _Atomic uint64_t latency; /* microseconds above, the millisecond of it below */
    uint32_t n_shards;
    struct load_shard shard[];
};

/* Only the worker that a shard belongs to adds to it: no lock is needed. */
static inline void load_add(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline void load_begin(struct load *l, unsigned worker)
{
    load_add(&l->shard[worker].calls);
}

static inline void load_end(struct load *l, unsigned worker, bool failed)
{
    load_add(&l->shard[worker].ended);
    if (failed) {
        load_add(&l->shard[worker].failed);
    }
}

struct load_sum {
    uint64_t calls, failed, running;
};
struct load_sum load_sum(const struct load *l);

/* An answer began after `us`. */
void load_measured(struct load *l, uint64_t now_ms, uint64_t us);
/* None has come for `us`: it is no faster than that. */
void load_waited(struct load *l, uint64_t now_ms, uint64_t us);
/* The average now, in microseconds; 0: nothing is known. */
uint64_t load_latency_us(const struct load *l, uint64_t now_ms);

#endif
