/* The counters of limits and budgets: one for each limit of each policy, found by what names it. They outlive
 * snapshots, so that a reload forgets nothing, and processes, by a journal (counter_journal.h). One that no snapshot
 * holds goes once its window has passed.
 *
 * counter_take(): the control thread. Calls count without locks; what has changed is put on a list for the journal. */
#ifndef GATEWAY_COUNTER_H
#define GATEWAY_COUNTER_H

#include "policy/address_table.h"
#include "policy/limit.h"

enum { COUNTER_DIGEST = 16, CACHE_LINE = 64 };

struct counter {
    _Alignas(CACHE_LINE) struct limit_counter limit; /* first member */
    _Alignas(CACHE_LINE) _Atomic int64_t running;    /* calls under way, of concurrency */
    _Atomic uint64_t refused, exceeded;              /* calls */
    _Atomic bool changed;                            /* on the list, or about to be */
    struct address_table *addresses; /* of a policy about each address; NULL: `limit` counts */
    struct counter *_next_changed;
    _Alignas(CACHE_LINE) _Atomic uint32_t _refs;
    enum limit_per per;
    _Atomic uint64_t at_most; /* of the latest snapshot that has it */
    struct shared_state {     /* shared.c: of its thread alone */
        uint64_t tick, seen_ms, told_ms, told, told_settled;
        bool asked;
    } shared;
    const struct zone
        *_Atomic zone; /* NULL: UTC, or the counter was read and nobody has taken it yet */
    uint8_t digest[COUNTER_DIGEST];
    uint64_t written[LIMIT_SLOTS]; /* amounts in the journal; its thread's */
    uint64_t written_at[LIMIT_SLOTS];
    struct counter *_next;
};

/* Monotonic time does not begin at 0 for counters: what was counted before the machine started has its place, too. */
static inline struct limit_now counter_now(uint64_t mono_us, uint64_t wall_us)
{
    return (struct limit_now){.mono_us = mono_us + ((uint64_t)1 << 50), .wall_us = wall_us};
}

/* The counter of that name, made when it is new; the caller drops it. */
struct counter *counter_take(struct str name, enum limit_per per, const struct zone *zone);
/* It is to count for each client address. The control thread, before calls see it. */
void counter_by_address(struct counter *c);
void counter_drop(struct counter *c); /* any thread */

/* Something was settled: the journal is to know. Any thread, no locks. */
void counter_changed(struct counter *c);

/* Every counter is shared with other processes from now on, and gives away so many percent of its limit before they know
 * (0: none is). Before the first is taken. */
void counters_share(unsigned lease_percent);
/* The limit of a counter, which decides how large its lease is. The control thread, before calls see it. */
void counter_limit(struct counter *c, uint64_t at_most, const struct limit_now *now);
uint64_t counter_lease(const struct counter *c); /* 0: it is not shared */
/* What is taken in the present window; of concurrency, the calls under way. */
uint64_t counter_taken(const struct counter *c, const struct limit_now *now);
/* From now on no counter has to be known to others; false: those that are told about have to again. */
void counters_alone(bool alone);
/* What is shared, with a reference for each; the caller drops them. */
size_t counters_shared(struct counter **to, size_t cap, size_t *at);

/* ---- for the journal ---- */

struct counter *counter_of_digest(const uint8_t *digest, enum limit_per per);
/* One that has changed since it was taken last, NULL: none. Its slots are read after this; what changes them from now
 * on puts it on the list again. */
struct counter *counters_next_changed(void);
/* Who is called when the first one changes while the journal sleeps (then any thread calls it); NULL: nobody. */
void counters_wake(void (*wake)(void));
/* Wants to be woken from now on; false: something has changed already. */
bool counters_sleep(void);
/* Calls fn for each, under the lock of the table. */
void counters_each(void (*fn)(void *arg, struct counter *c), void *arg);
/* Empties what has passed, and frees the counters that nobody holds and nothing is in. */
void counters_sweep(const struct limit_now *now);
size_t counters_count(void);

#endif
