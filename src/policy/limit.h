/* Limits and budgets: how much of something there may be in a window of time. A clock and numbers in, decisions out.
 *
 * A counter has 16 slots, and a slot is one word: when something was taken last in it (13 bits), and how much
 * (51 bits). Two kinds of windows:
 *
 *   second, minute, hour   slide, on the monotonic clock. Time goes by ticks of 1/120 of the window, and 8 of them share
 *                          a slot, which counts until a window after the last that was taken in it. So what is taken
 *                          counts for one window (and a tick), or up to a fifteenth longer when more is taken soon
 *                          after it; and never is more than the limit taken in any window of that length, wherever it
 *                          begins.
 *   day, month             are those of the calendar, in a time zone, on the wall clock. A slot is one of them.
 *
 * What a call may use is reserved before it and replaced by what it used when it is over. A second row of slots holds
 * what was settled, which is what survives the process; a reservation dies with it.
 *
 * Any thread; no locks. A reservation is at most LIMIT_TRIES tries of a compare-and-swap per window, and usually one. */
#ifndef POLICY_LIMIT_H
#define POLICY_LIMIT_H

#include <stdatomic.h>

#include "model/config.h"
#include "model/zone.h"

enum {
    LIMIT_SLOTS = 16,
    LIMIT_STAMP_BITS = 13,
    LIMIT_AMOUNT_BITS = 64 - LIMIT_STAMP_BITS,
    LIMIT_TRIES = 1000,
    LIMIT_SWEEP_S =
        20, /* how often limit_sweep() must come at least: before the 13 bits begin anew */
};
#define LIMIT_AMOUNT_MAX (((uint64_t)1 << LIMIT_AMOUNT_BITS) - 1)
#define LIMIT_NEVER      UINT64_MAX

struct limit_now {
    uint64_t mono_us, wall_us;
};

/* Zero is empty. Its first two cache lines are what a call reads. */
struct limit_counter {
    _Alignas(16) _Atomic uint64_t taken[LIMIT_SLOTS]; /* reserved and settled */
    _Atomic uint64_t settled[LIMIT_SLOTS];            /* of those */
    _Atomic uint64_t head;                            /* the latest tick that anybody was in */
    /* Of a counter that processes share (gateway/shared.h), as they were told last; 0 of others. */
    _Atomic uint64_t others, others_settled; /* what the other processes have taken, and settled */
    _Atomic uint64_t known;                  /* how much of what is taken here they know about */
    _Atomic uint64_t lease; /* that much more may be taken; 0: nobody needs to know */
};

/* One limit of one policy. Dollars are nano-dollars, at most 10^15 of them. */
struct limit_rule {
    enum limit_what what;
    enum limit_per per;
    bool soft; /* counts, and refuses nothing */
    uint64_t at_most;
    const struct zone *zone; /* of a day or a month; NULL: UTC */
    struct limit_counter *counter;
};

/* What a call takes of one rule. */
struct limit_item {
    const struct limit_rule *rule;
    uint64_t amount; /* what it may use; afterwards what was reserved */
    uint64_t at;     /* when: a tick, day or month */
    uint64_t left;   /* what was left before it was taken */
    bool
        may_shrink; /* how much it will be is not bounded: it takes what is left, when that is less */
    bool exceeded; /* of a soft rule: there was no room */
};

/* Takes from all of them, or from none: `n` when all had room, else the first that had none. */
size_t limit_reserve(struct limit_item *items, size_t n, const struct limit_now *now);

/* The same without taking anything. */
size_t limit_look(struct limit_item *items, size_t n, const struct limit_now *now);

/* Replaces a reservation by what was used, which may be 0. Once for each item. */
void limit_settle(struct limit_item *item, uint64_t used, const struct limit_now *now);

/* How much is reserved and settled in this window. */
uint64_t limit_taken(const struct limit_rule *r, const struct limit_now *now);

/* How long until `amount` fits if nobody takes any more: 0 now, LIMIT_NEVER when it is more than the limit. */
uint64_t limit_wait_us(const struct limit_rule *r, uint64_t amount, const struct limit_now *now);

/* How long until all of it is free again if nobody takes any more, when something was taken just now. */
uint64_t limit_reset_us(const struct limit_rule *r, const struct limit_now *now);

/* How much is settled in this window, by this process; and by all that count together, as far as it is known. */
uint64_t limit_settled(const struct limit_rule *r, const struct limit_now *now);
uint64_t limit_settled_by_all(const struct limit_rule *r, const struct limit_now *now);

/* ---- for those who keep counters ---- */

/* Empties slots that have passed; false when none is left. Not while rules of another zone or window use it. */
bool limit_sweep(struct limit_counter *c, enum limit_per per, const struct zone *zone,
                 const struct limit_now *now);

/* The number of the tick, day or month that it is; and how long a tick takes (0: it is a day or a month). */
uint64_t limit_tick(enum limit_per per, const struct zone *zone, const struct limit_now *now);
uint64_t limit_tick_us(enum limit_per per);
static inline bool limit_is_calendar(enum limit_per per)
{
    return per == PER_DAY || per == PER_MONTH;
}
enum { LIMIT_TICKS = 120, LIMIT_SLOT_TICKS = 8 }; /* of a window, and of a slot */

/* What is settled in one of the slots, and when last; false: nothing that matters any more. */
bool limit_settled_slot(const struct limit_counter *c, enum limit_per per, unsigned slot,
                        uint64_t present, uint64_t *ret_tick, uint64_t *ret_amount);

/* Adds to a counter that nobody uses yet: what was settled in an earlier life, at a tick that is not later than the
 * present one. Nothing happens when it does not count any more. */
void limit_restore(struct limit_counter *c, enum limit_per per, uint64_t tick, uint64_t present,
                   uint64_t amount);

#endif
