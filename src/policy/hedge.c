#include "policy/hedge.h"

enum { STEPS = 8, COST = 100 };

/* 0: less than a millisecond; then eight places for 1 up to 2, for 2 up to 4, and so on. */
static unsigned place_of(uint64_t ms)
{
    unsigned octave = 0;
    if (ms == 0) {
        return 0;
    }
    while (octave < HEDGE_PLACES / STEPS - 1 && ms >> (octave + 1)) {
        octave++;
    }
    uint64_t step = (ms - ((uint64_t)1 << octave)) * STEPS >> octave;
    return octave * STEPS + (step < STEPS ? (unsigned)step : STEPS - 1);
}

/* Where a place ends, rounded up. */
static uint64_t end_of(unsigned place)
{
    unsigned octave = place / STEPS, step = place % STEPS + 1;
    uint64_t begin = (uint64_t)1 << octave;
    return begin + (begin * step + STEPS - 1) / STEPS;
}

/* Two workers may do so at once, or count in between: then a few times are lost, which changes nothing. */
static void forget_half(struct hedge *h)
{
    uint32_t left = 0;
    for (unsigned i = 0; i < HEDGE_PLACES; i++) {
        uint32_t half = atomic_load_explicit(&h->times[i], memory_order_relaxed) / 2;
        atomic_store_explicit(&h->times[i], half, memory_order_relaxed);
        left += half;
    }
    atomic_store_explicit(&h->n, left, memory_order_relaxed);
}

void hedge_add(struct hedge *h, uint64_t ms)
{
    atomic_fetch_add_explicit(&h->times[place_of(ms)], 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&h->n, 1, memory_order_relaxed) + 1 >= HEDGE_WINDOW) {
        forget_half(h);
    }
}

uint64_t hedge_after_ms(const struct hedge *h, unsigned percent, uint32_t min_samples)
{
    uint64_t n = 0, seen = 0;
    for (unsigned i = 0; i < HEDGE_PLACES; i++) {
        n += atomic_load_explicit(&h->times[i], memory_order_relaxed);
    }
    if (n == 0 || n < min_samples) {
        return 0;
    }
    for (unsigned i = 0; i < HEDGE_PLACES; i++) {
        seen += atomic_load_explicit(&h->times[i], memory_order_relaxed);
        if (seen * 100 >= n * percent) {
            return end_of(i);
        }
    }
    return end_of(HEDGE_PLACES - 1);
}

void hedge_earn(struct hedge *h, unsigned percent)
{
    /* Workers that look at the same moment may overfill it by one call's share each. */
    if (atomic_load_explicit(&h->budget, memory_order_relaxed) + percent <= HEDGE_BURST * COST) {
        atomic_fetch_add_explicit(&h->budget, percent, memory_order_relaxed);
    }
}

bool hedge_take(struct hedge *h)
{
    uint32_t have = atomic_load_explicit(&h->budget, memory_order_relaxed);
    while (have >= COST) {
        if (atomic_compare_exchange_weak_explicit(&h->budget, &have, have - COST,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void hedge_give(struct hedge *h)
{
    atomic_fetch_add_explicit(&h->budget, COST, memory_order_relaxed);
}
