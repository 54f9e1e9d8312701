/* Level 0 holds what is due within 64 ms, one slot a millisecond; level k holds what is due within
 * 64^(k+1) ms, one slot 64^k ms. When the clock enters a slot of level k > 0 its timers are spread
 * over the levels below ("cascade"). What is further away than the wheel reaches waits in the last
 * slot it can reach and is placed again from there. */
#include "net/timer.h"

#include "base/must.h"

enum { SLOT_BITS = 6 };

static const uint64_t reach_ms = (uint64_t)1 << (SLOT_BITS * WHEEL_LEVELS);

void wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    w->now_ms = now_ms;
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        w->_busy[l] = 0;
        for (int s = 0; s < WHEEL_SLOTS; s++) {
            w->_slot[l][s]._next = w->_slot[l][s]._prev = &w->_slot[l][s];
        }
    }
}

static void place(struct timer_wheel *w, struct timer *t)
{
    uint64_t at = t->_due_ms > w->now_ms ? t->_due_ms : w->now_ms + 1;
    uint64_t ahead = at - w->now_ms;
    if (ahead >= reach_ms) {
        at = w->now_ms + reach_ms - 1;
        ahead = reach_ms - 1;
    }
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && ahead >> (SLOT_BITS * (level + 1))) {
        level++;
    }
    unsigned slot = (unsigned)(at >> (SLOT_BITS * level)) & (WHEEL_SLOTS - 1);
    struct timer *head = &w->_slot[level][slot];
    t->_at_ms = at;
    t->_next = head;
    t->_prev = head->_prev;
    head->_prev->_next = t;
    head->_prev = t;
    w->_busy[level] |= (uint64_t)1 << slot;
}

void timer_clear(struct timer *t)
{
    if (t->_next) {
        /* The busy bit of an emptied slot stays until the clock passes: a bit too many only costs a
         * look. */
        t->_next->_prev = t->_prev;
        t->_prev->_next = t->_next;
        t->_next = t->_prev = NULL;
    }
}

void wheel_set(struct timer_wheel *w, struct timer *t, uint64_t due_ms)
{
    must(t->fire);
    t->_due_ms = due_ms;
    if (t->_next && t->_at_ms <= due_ms) {
        return;
    }
    timer_clear(t);
    place(w, t);
}

/* Takes the slot's timers off and fires those that are due; the others are placed again. */
static void empty_slot(struct timer_wheel *w, int level, unsigned slot)
{
    struct timer *head = &w->_slot[level][slot];
    struct timer pending = {._next = head->_next, ._prev = head->_prev};
    w->_busy[level] &= ~((uint64_t)1 << slot);
    if (head->_next == head) {
        return;
    }
    pending._next->_prev = pending._prev->_next = &pending;
    head->_next = head->_prev = head;
    while (pending._next != &pending) {
        struct timer *t = pending._next;
        timer_clear(t);
        if (t->_due_ms <= w->now_ms) {
            t->fire(t);
        } else {
            place(w, t);
        }
    }
}

/* The next time at which a slot of this level begins that is not empty, after now. */
static uint64_t level_next(const struct timer_wheel *w, int level)
{
    if (!w->_busy[level]) {
        return UINT64_MAX;
    }
    uint64_t unit = w->now_ms >> (SLOT_BITS * level);
    unsigned here = (unsigned)unit & (WHEEL_SLOTS - 1);
    /* Rotate so that bit 0 is the slot after the present one; the present one comes last. */
    unsigned turn = (here + 1) & (WHEEL_SLOTS - 1);
    uint64_t busy = w->_busy[level];
    busy = turn ? busy >> turn | busy << (WHEEL_SLOTS - turn) : busy;
    return (unit + 1 + (uint64_t)__builtin_ctzll(busy)) << (SLOT_BITS * level);
}

uint64_t wheel_next(const struct timer_wheel *w)
{
    uint64_t best = UINT64_MAX;
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        uint64_t at = level_next(w, l);
        best = at < best ? at : best;
    }
    return best;
}

void wheel_advance(struct timer_wheel *w, uint64_t now_ms)
{
    for (;;) {
        uint64_t at = wheel_next(w);
        if (at > now_ms) {
            break;
        }
        w->now_ms = at;
        for (int l = WHEEL_LEVELS - 1; l >= 0; l--) {
            if ((at & (((uint64_t)1 << (SLOT_BITS * l)) - 1)) == 0) {
                empty_slot(w, l, (unsigned)(at >> (SLOT_BITS * l)) & (WHEEL_SLOTS - 1));
            }
        }
    }
    if (now_ms > w->now_ms) {
        w->now_ms = now_ms;
    }
}
