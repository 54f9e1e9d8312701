/* When to try again, and when not: a budget that bounds retries to a share of the traffic, and
 * delays with full jitter. Numbers in, decisions out.
 *
 * The budget, one for each provider, is a bucket of 500 tokens: a retry takes 14, one after "slow down" 5; a call
 * that went well gives 2.8 back (so that a fifth of the traffic may be retries in the long run), and time gives
 * 140 a second, a floor of ten retries a second for quiet times. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_budget {
    uint32_t tokens; /* thousandths; zero-initialised budgets are full: see retry_take */
    uint64_t at_ms;
    bool started;
};

enum { RETRY_COST = 14, RETRY_COST_LIMITED = 5 };

/* Takes what a retry costs, in tokens; false when the budget does not allow one now. */
bool retry_take(struct retry_budget *b, unsigned cost, uint64_t now_ms);
void retry_succeeded(struct retry_budget *b);

/* A delay before attempt `n` (1: the first retry), uniform in [0, min(2000, 50 * 2^(n-1))] ms;
 * `random` is any 64 random bits. */
uint64_t retry_delay_ms(unsigned n, uint64_t random);

#endif
