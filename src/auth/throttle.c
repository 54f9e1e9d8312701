#include "auth/throttle.h"

enum {
    ACCOUNT_MAX_MS = 60000,
    ADDRESS_MAX_MS = 900000,
    PROBES = 8, /* places where an entry may be */
};

static uint64_t hash(struct str s)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
    }
    h ^= h >> 29;
    return h ? h : 1;
}

static const struct throttle_entry *find(const struct throttle_entry *all, struct str name)
{
    uint64_t key = hash(name);
    for (unsigned i = 0; i < PROBES; i++) {
        const struct throttle_entry *e = &all[(key + i) % THROTTLE_ENTRIES];
        if (e->key == key) {
            return e;
        }
    }
    return NULL;
}

static struct throttle_state state_of(const struct throttle_entry *all, struct str name,
                                      uint64_t now_ms)
{
    const struct throttle_entry *e = find(all, name);
    struct throttle_state s = {.left = THROTTLE_FREE_FAILURES};
    if (e && e->last_ms + THROTTLE_FORGET_MS >= now_ms) {
        s.left = e->failures < s.left ? s.left - e->failures : 0;
        s.wait_ms = e->until_ms > now_ms ? e->until_ms - now_ms : 0;
    }
    return s;
}

struct throttle_state throttle_ask(const struct throttle *t, struct str account, struct str address,
                                   uint64_t now_ms)
{
    struct throttle_state a = state_of(t->accounts, account, now_ms);
    struct throttle_state b = state_of(t->addresses, address, now_ms);
    return (struct throttle_state){.wait_ms = a.wait_ms > b.wait_ms ? a.wait_ms : b.wait_ms,
                                   .left = a.left < b.left ? a.left : b.left};
}

/* The entry of that name, or the place of the oldest one nearby. */
static struct throttle_entry *claim(struct throttle_entry *all, struct str name)
{
    uint64_t key = hash(name);
    struct throttle_entry *oldest = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        struct throttle_entry *e = &all[(key + i) % THROTTLE_ENTRIES];
        if (e->key == key) {
            return e;
        }
        if (!oldest || e->last_ms < oldest->last_ms) {
            oldest = e;
        }
    }
    *oldest = (struct throttle_entry){.key = key};
    return oldest;
}

static void count(struct throttle_entry *all, struct str name, uint64_t now_ms, uint64_t max_ms)
{
    struct throttle_entry *e = claim(all, name);
    if (e->last_ms + THROTTLE_FORGET_MS < now_ms) {
        e->failures = 0;
    }
    e->failures++;
    e->last_ms = now_ms;
    if (e->failures >= THROTTLE_FREE_FAILURES) {
        unsigned doublings = e->failures - THROTTLE_FREE_FAILURES;
        uint64_t pause = doublings > 20 ? max_ms : (uint64_t)1000 << doublings;
        e->until_ms = now_ms + (pause < max_ms ? pause : max_ms);
    }
}

void throttle_failed(struct throttle *t, struct str account, struct str address, uint64_t now_ms)
{
    count(t->accounts, account, now_ms, ACCOUNT_MAX_MS);
    count(t->addresses, address, now_ms, ADDRESS_MAX_MS);
}

void throttle_succeeded(struct throttle *t, struct str account, struct str address)
{
    struct throttle_entry *e = (struct throttle_entry *)(uintptr_t)find(t->accounts, account);
    (void)address; /* somebody with an account of their own may still try those of others */
    if (e) {
        *e = (struct throttle_entry){.key = e->key};
    }
}
