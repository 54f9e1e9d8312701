/* How often somebody may try to sign in. Pure: the clock is passed in; not thread-safe.
 *
 * Failures are counted by account and by address. The first five cost nothing; each further one
 * doubles the pause, to at most a minute for an account (so that a stranger cannot lock somebody
 * out for long) and to fifteen minutes for an address. What failed longer ago than an hour is
 * forgotten; the table is bounded, and the oldest entry makes room. */
#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H

#include "base/str.h"

enum { THROTTLE_ENTRIES = 4096, THROTTLE_FREE_FAILURES = 5, THROTTLE_FORGET_MS = 3600000 };

struct throttle_entry {
    uint64_t key; /* hash of the name; 0: free */
    uint64_t last_ms, until_ms;
    uint32_t failures;
};

struct throttle {
    struct throttle_entry accounts[THROTTLE_ENTRIES], addresses[THROTTLE_ENTRIES];
};

struct throttle_state {
    uint64_t wait_ms; /* 0: one may try */
    uint32_t left;    /* failures that cost nothing */
};

struct throttle_state throttle_ask(const struct throttle *t, struct str account, struct str address,
                                   uint64_t now_ms);
void throttle_failed(struct throttle *t, struct str account, struct str address, uint64_t now_ms);
void throttle_succeeded(struct throttle *t, struct str account, struct str address);

#endif
