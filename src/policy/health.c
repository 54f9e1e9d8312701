#include "policy/health.h"

static bool is_free(uint64_t last_ms, uint64_t now_ms)
{
    return !last_ms || now_ms >= last_ms + HEALTH_PROBE_MS;
}

bool health_may_probe(struct health *h, uint64_t now_ms)
{
    return is_free(atomic_load_explicit(&h->probe_ms, memory_order_relaxed), now_ms);
}

bool health_probe(struct health *h, uint64_t now_ms)
{
    uint64_t last = atomic_load_explicit(&h->probe_ms, memory_order_relaxed);
    if (!is_free(last, now_ms)) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&h->probe_ms, &last, now_ms,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* How long the breaker stays open after so many failures in a row. */
static uint64_t open_ms(uint32_t failures)
{
    uint32_t times = failures - HEALTH_FAILURES;
    uint64_t ms = times < 5 ? (uint64_t)HEALTH_OPEN_MS << times : HEALTH_OPEN_MAX_MS;
    return ms < HEALTH_OPEN_MAX_MS ? ms : HEALTH_OPEN_MAX_MS;
}

void health_failed(struct health *h, uint64_t now_ms, uint32_t rest_ms, bool told)
{
    uint32_t failures = atomic_fetch_add_explicit(&h->failures, 1, memory_order_relaxed) + 1;
    uint64_t rest = rest_ms, until = atomic_load_explicit(&h->until_ms, memory_order_relaxed);
    if (failures >= HEALTH_FAILURES && !told && open_ms(failures) > rest) {
        rest = open_ms(failures); /* where the vendor has said how long, that is how long */
    }
    if (rest && now_ms + rest > until) {
        atomic_store_explicit(&h->told, told, memory_order_relaxed);
        atomic_store_explicit(&h->until_ms, now_ms + rest, memory_order_relaxed);
    }
    atomic_store_explicit(&h->probe_ms, 0,
                          memory_order_relaxed); /* the probe, if it was one, is over */
}

void health_worked(struct health *h)
{
    /* Nearly always it is well already, and then nothing is written that others read. */
    if (atomic_load_explicit(&h->failures, memory_order_relaxed)) {
        atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
        atomic_store_explicit(&h->probe_ms, 0, memory_order_relaxed);
        /* A call that began before the vendor named a time does not shorten it. */
        if (!atomic_load_explicit(&h->told, memory_order_relaxed)) {
            atomic_store_explicit(&h->until_ms, 0, memory_order_relaxed);
        }
    }
}

uint64_t health_left_ms(const struct health *h, uint64_t now_ms)
{
    uint64_t until = atomic_load_explicit(&h->until_ms, memory_order_relaxed);
    return until > now_ms ? until - now_ms : 0;
}
