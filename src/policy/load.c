#include "policy/load.h"

#include <math.h>

static uint64_t packed(double us, uint64_t now_ms)
{
    uint64_t whole = us < (double)UINT32_MAX ? (uint64_t)us : UINT32_MAX;
    return whole << 32 | (uint32_t)now_ms;
}

/* How much of what was measured then still counts. A clock that a worker read a moment later than another stands still. */
static double left_of(uint64_t word, uint64_t now_ms)
{
    int32_t age_ms = (int32_t)((uint32_t)now_ms - (uint32_t)word);
    return age_ms > 0 ? exp(-(double)age_ms / LOAD_FADE_MS) : 1;
}

static double faded(uint64_t word, uint64_t now_ms)
{
    return (double)(word >> 32) * left_of(word, now_ms);
}

struct load_sum load_sum(const struct load *l)
{
    struct load_sum s = {0};
    uint64_t ended = 0;
    for (uint32_t i = 0; i < l->n_shards; i++) {
        /* What has ended is read first, so that no call seems to end before it began. */
        ended += atomic_load_explicit(&l->shard[i].ended, memory_order_acquire);
        s.calls += atomic_load_explicit(&l->shard[i].calls, memory_order_relaxed);
        s.failed += atomic_load_explicit(&l->shard[i].failed, memory_order_relaxed);
    }
    s.running = s.calls > ended ? s.calls - ended : 0;
    return s;
}

void load_measured(struct load *l, uint64_t now_ms, uint64_t us)
{
    uint64_t was = atomic_load_explicit(&l->latency, memory_order_relaxed), is;
    double sample = (double)us;
    do {
        double left = left_of(was, now_ms), old = (double)(was >> 32);
        double next = sample > old * left ? sample : old * left + sample * (1 - left);
        is = packed(next < 1 ? 1 : next, now_ms);
    } while (!atomic_compare_exchange_weak_explicit(&l->latency, &was, is, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void load_waited(struct load *l, uint64_t now_ms, uint64_t us)
{
    uint64_t was = atomic_load_explicit(&l->latency, memory_order_relaxed);
    while ((double)us > faded(was, now_ms) &&
           !atomic_compare_exchange_weak_explicit(&l->latency, &was, packed((double)us, now_ms),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

uint64_t load_latency_us(const struct load *l, uint64_t now_ms)
{
    return (uint64_t)faded(atomic_load_explicit(&l->latency, memory_order_relaxed), now_ms);
}
