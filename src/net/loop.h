/* The event loop of one thread. libuv is inside; no other folder includes uv.h.
 *
 * A loop, its streams and its timers belong to the thread that runs it. The only functions that
 * another thread may call are loop_post() and loop_stop(). */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stddef.h>

#include "base/arena.h"
#include "net/timer.h"

struct loop;

/* One read goes into the loop's scratch buffer; what is to stay after the callback is copied. */
enum { LOOP_SCRATCH = 64 * 1024 - 64 }; /* with the block's header it fills one of 64 KiB */

struct loop *loop_new(void);
void loop_free(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop() */
void loop_stop(struct loop *l); /* any thread */

/* The clock, read at most once between two waits for events: monotonic. */
uint64_t loop_now_ms(struct loop *l);
uint64_t loop_now_us(struct loop *l);
/* The clock, read now. */
uint64_t clock_us(void);
/* Wall clock, microseconds since 1970. */
uint64_t clock_wall_us(void);

/* The pool of this loop's thread. */
struct pool *loop_pool(struct loop *l);

/* Whether p[0..n) lies in the scratch buffer; and taking that buffer away from the loop, to keep a
 * large message where it is instead of copying it: an arena of the loop's pool adopts it. */
bool loop_in_scratch(struct loop *l, const char *p, size_t n);
void *loop_take_scratch(struct loop *l);

/* Fires `t` (t->fire is set) in `after_ms`. */
void loop_timer(struct loop *l, struct timer *t, uint64_t after_ms);

/* The same, unless it is set to fire sooner already. */
void loop_timer_within(struct loop *l, struct timer *t, uint64_t after_ms);

/* Runs `task->run(task)` on the loop's thread; the task is the caller's memory and is not touched
 * after run was called. Any thread. */
struct loop_task {
    struct loop_task *_next;
    void (*run)(struct loop_task *t);
};
void loop_post(struct loop *l, struct loop_task *t);

/* Calls `hook(arg)` once before the loop waits for events again (end of the turn): for batching. */
struct loop_hook {
    struct loop_hook *_next;
    bool _queued;
    void (*run)(struct loop_hook *h);
};
void loop_at_end_of_turn(struct loop *l, struct loop_hook *h);

/* Calls `fn(arg, signo)` on this loop when the process gets the signal. */
void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

#endif
