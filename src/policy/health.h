/* How a host, a lane (a model at a provider) or a credential has been doing: a circuit breaker, and a rest until a
 * given time. Shared by all workers: a few atomic words, read on the path of a call, written when something fails
 * or comes back. Times are milliseconds of the monotonic clock, given by the caller.
 *
 * FAILURES in a row open the breaker for a second, then two, four, up to 30; after that one call at a time goes
 * through as a probe, and the first that works closes it. */
#ifndef POLICY_HEALTH_H
#define POLICY_HEALTH_H

#include <stdatomic.h>

#include "base/str.h"

enum {
    HEALTH_FAILURES = 5,
    HEALTH_OPEN_MS = 1000,
    HEALTH_OPEN_MAX_MS = 30000,
    HEALTH_PROBE_MS = 5000
};

/* All zero: well. */
struct health {
    _Atomic uint64_t until_ms; /* rests until then */
    _Atomic uint64_t probe_ms; /* when the last probe went through */
    _Atomic uint32_t failures; /* in a row */
    _Atomic bool told;         /* the vendor itself has said how long */
};

/* Whether it is to be left alone now. */
static inline bool health_rests(const struct health *h, uint64_t now_ms)
{
    uint64_t until = atomic_load_explicit(&h->until_ms, memory_order_relaxed);
    return until != 0 && until > now_ms;
}

/* Whether it has rested and nobody knows yet how it does: calls need leave, health_probe(). */
static inline bool health_doubtful(const struct health *h)
{
    return atomic_load_explicit(&h->failures, memory_order_relaxed) >= HEALTH_FAILURES;
}

/* Takes the one leave there is at a time; false when somebody else has it. */
bool health_probe(struct health *h, uint64_t now_ms);
/* Whether it would get it. */
bool health_may_probe(struct health *h, uint64_t now_ms);
/* It failed once more; with `rest_ms` it rests so long at least, `told`: because the vendor says so. */
void health_failed(struct health *h, uint64_t now_ms, uint32_t rest_ms, bool told);
void health_worked(struct health *h);
/* How many milliseconds it still rests. */
uint64_t health_left_ms(const struct health *h, uint64_t now_ms);

#endif
