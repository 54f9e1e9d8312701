/* Timers of one loop: a hierarchical wheel of 4 x 64 slots with millisecond ticks.
 *
 * Moving a deadline further away costs one store: the timer stays where it is on the wheel and is
 * put in its new place when it comes up. So a connection may push its deadline at every message.
 * Setting and clearing are O(1), memory is the timer itself. A timer fires never early, and once.
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    struct timer *_next, *_prev; /* NULL when not set */
    uint64_t _due_ms;            /* when it is to fire */
    uint64_t _at_ms;             /* its place on the wheel; never later than _due_ms */
    void (*fire)(
        struct timer *t); /* may set or clear any timer, and free the struct that holds t */
};

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };

struct timer_wheel {
    uint64_t now_ms;
    uint64_t _busy[WHEEL_LEVELS]; /* a bit per slot that is not empty */
    struct timer _slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct timer_wheel *w, uint64_t now_ms);
void wheel_set(struct timer_wheel *w, struct timer *t, uint64_t due_ms);
void timer_clear(struct timer *t); /* also when it is not set */

static inline bool timer_is_set(const struct timer *t)
{
    return t->_next != NULL;
}

/* Fires everything due until `now_ms`. */
void wheel_advance(struct timer_wheel *w, uint64_t now_ms);

/* A time at which wheel_advance() should be called next: never later than the earliest deadline;
 * UINT64_MAX when no timer is set. */
uint64_t wheel_next(const struct timer_wheel *w);

#endif
