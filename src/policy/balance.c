#include "policy/balance.h"

#include <math.h>

#include "base/must.h"

uint32_t balance_pick(const struct balance_item *all, uint32_t n, uint64_t random)
{
    double best = INFINITY;
    uint64_t total = 0;
    bool any = false; /* some have a weight: those without are left out */
    must(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        any = any || all[i].weight;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (any && !all[i].weight) {
            continue;
        }
        if (all[i].score < best) {
            best = all[i].score;
            total = 0;
        }
        total += all[i].score <= best ? (any ? all[i].weight : 1) : 0;
    }
    uint64_t at = total ? random % total : 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t weight = any ? all[i].weight : 1;
        if (weight && all[i].score <= best) {
            if (at < weight) {
                return i;
            }
            at -= weight;
        }
    }
    return 0;
}

double balance_latency(uint64_t us, uint64_t running)
{
    static const double penalty = 1e15; /* above all that is known */
    if (!us) {
        return running ? penalty + (double)running : 0;
    }
    return (double)us * (double)(running + 1);
}

double balance_busy(uint64_t running, uint32_t weight)
{
    return (double)(running + 1) / (weight ? weight : 1);
}

double balance_price(int64_t input, int64_t output)
{
    static const double unknown = 1e300; /* last; equal among themselves */
    if (input < 0) {
        return unknown;
    }
    return 3 * (double)input + (output > 0 ? (double)output : 0);
}

/* The last steps of SplitMix64: each bit of the answer depends on all. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return x ^ x >> 31;
}

double balance_place(uint64_t key, uint64_t target, uint32_t weight)
{
    /* A number between 0 and 1, neither of them; its logarithm, divided by the weight, is what makes shares right
     * (Wang and Ravishankar; "weighted rendezvous hash"). */
    double u = ((double)(mix(key ^ mix(target)) >> 11) + 0.5) * 0x1p-53;
    return -log(u) / (weight ? weight : 1);
}

uint64_t balance_hash(uint64_t seed, struct str text)
{
    uint64_t h = mix(seed + text.n + 0x9E3779B97F4A7C15U);
    while (text.n >= 8) {
        uint64_t w;
        memcpy(&w, text.p, 8);
        h = mix(h ^ w);
        text = str_from(text, 8);
    }
    uint64_t w = 0;
    if (text.n) {
        memcpy(&w, text.p, text.n);
    }
    return mix(h ^ w);
}
