#include "net/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "net/names.h"
#include "net/stream.h"
#include "net/uv.h"

uint64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int uv_to_errno(int code)
{
    switch (code) {
    case UV_EOF:
        return -ECONNRESET;
    case UV_EAI_AGAIN:
        return -EAGAIN;
    default:
        return code <= -3000 ? -EHOSTUNREACH : code;
    }
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

static void run_posted(uv_async_t *a)
{
    struct loop *l = a->data;
    pthread_mutex_lock(&l->lock);
    struct loop_task *t = l->posted;
    l->posted = NULL;
    bool stop = l->stopping;
    pthread_mutex_unlock(&l->lock);

    struct loop_task *in_order = NULL;
    while (t) {
        struct loop_task *next = t->_next;
        t->_next = in_order;
        in_order = t;
        t = next;
    }
    while (in_order) {
        t = in_order;
        in_order = t->_next;
        t->run(t);
    }
    if (stop) {
        uv_stop(&l->uv);
    }
}

static void on_tick(uv_timer_t *t);

/* Arms libuv's one timer for the wheel's next deadline, when that is earlier than what is armed. */
static void arm(struct loop *l, uint64_t at_ms)
{
    if (at_ms >= l->tick_at_ms) {
        return;
    }
    uint64_t now = loop_now_ms(l);
    l->tick_at_ms = at_ms;
    uv_timer_start(&l->tick, on_tick, at_ms > now ? at_ms - now : 0, 0);
}

static void on_tick(uv_timer_t *t)
{
    struct loop *l = t->data;
    /* What fires may set timers: still armed for the past, they do not arm (nor advance) from
     * inside. */
    wheel_advance(&l->wheel, loop_now_ms(l));
    l->tick_at_ms = UINT64_MAX;
    arm(l, wheel_next(&l->wheel));
}

static void forget_clock(uv_check_t *c)
{
    struct loop *l = c->data;
    l->now_us = 0;
}

static void run_hooks(uv_prepare_t *p)
{
    struct loop *l = p->data;
    l->now_us = 0;
    while (l->hooks) {
        struct loop_hook *h = l->hooks;
        l->hooks = h->_next;
        h->_queued = false;
        h->run(h);
    }
}

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof *l);
    must(uv_loop_init(&l->uv) == 0);
    uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME, 0);
    uv_async_init(&l->uv, &l->wake, run_posted);
    uv_timer_init(&l->uv, &l->tick);
    uv_check_init(&l->uv, &l->after_poll);
    uv_prepare_init(&l->uv, &l->before_poll);
    l->wake.data = l->tick.data = l->after_poll.data = l->before_poll.data = l;
    uv_check_start(&l->after_poll, forget_clock);
    uv_prepare_start(&l->before_poll, run_hooks);
    uv_unref((uv_handle_t *)&l->after_poll);
    uv_unref((uv_handle_t *)&l->before_poll);
    pthread_mutex_init(&l->lock, NULL);
    l->tick_at_ms = UINT64_MAX;
    wheel_init(&l->wheel, loop_now_ms(l));
    /* A call with an image takes a block of 2 MiB: when the kernel makes a dozen of them anew for each
     * round of calls, that costs more than passing the bytes on. */
    l->pool.keep_max = (size_t)32 << 20;
    size_t got;
    l->scratch = arena_block_new(&l->pool, LOOP_SCRATCH, &got);
    return l;
}

struct signal_watch {
    struct signal_watch *next;
    uv_signal_t uv;
    void (*fn)(void *arg, int signo);
    void *arg;
};

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h)) {
        uv_close(h, NULL);
    }
}

void loop_free(struct loop *l)
{
    if (!l) {
        return;
    }
    while (l->streams) {
        stream_close(l->streams); /* also those that linger, which nobody owns any more */
    }
    uv_walk(&l->uv, close_handle, NULL);
    names_stop(l);
    l->stopping = false;
    while (uv_run(&l->uv, UV_RUN_DEFAULT)) {
    }
    names_free(l);
    uv_loop_close(&l->uv);
    while (l->signals) {
        struct signal_watch *w = l->signals;
        l->signals = w->next;
        free(w);
    }
    arena_block_free(&l->pool, l->scratch);
    pool_trim(&l->pool, 0);
    pthread_mutex_destroy(&l->lock);
    free(l->plain);
    free(l->gather);
    free(l);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_mutex_unlock(&l->lock);
    uv_async_send(&l->wake);
}

uint64_t loop_now_us(struct loop *l)
{
    if (!l->now_us) {
        l->now_us = clock_us();
        l->now_ms = l->now_us / 1000;
    }
    return l->now_us;
}

uint64_t loop_now_ms(struct loop *l)
{
    loop_now_us(l);
    return l->now_ms;
}

struct pool *loop_pool(struct loop *l)
{
    return &l->pool;
}

bool loop_in_scratch(struct loop *l, const char *p, size_t n)
{
    return p >= l->scratch && p + n <= l->scratch + LOOP_SCRATCH;
}

void *loop_take_scratch(struct loop *l)
{
    size_t got;
    void *taken = l->scratch;
    l->scratch = arena_block_new(&l->pool, LOOP_SCRATCH, &got);
    return taken;
}

static __attribute__((noinline)) void place_timer(struct loop *l, struct timer *t, uint64_t due)
{
    /* An idle wheel's clock stands still; what is placed on it is placed from today on. */
    if (l->tick_at_ms == UINT64_MAX) {
        wheel_advance(&l->wheel, loop_now_ms(l));
    }
    wheel_set(&l->wheel, t, due);
    arm(l, wheel_next(&l->wheel));
}

void loop_timer(struct loop *l, struct timer *t, uint64_t after_ms)
{
    uint64_t due = loop_now_ms(l) + after_ms;
    if (timer_is_set(t) && t->_at_ms <= due) {
        t->_due_ms = due; /* nearly always: moved further away */
    } else {
        place_timer(l, t, due);
    }
}

void loop_timer_within(struct loop *l, struct timer *t, uint64_t after_ms)
{
    if (!timer_is_set(t) || t->_due_ms > loop_now_ms(l) + after_ms) {
        loop_timer(l, t, after_ms);
    }
}

void loop_post(struct loop *l, struct loop_task *t)
{
    pthread_mutex_lock(&l->lock);
    t->_next = l->posted;
    l->posted = t;
    pthread_mutex_unlock(&l->lock);
    uv_async_send(&l->wake);
}

void loop_at_end_of_turn(struct loop *l, struct loop_hook *h)
{
    if (!h->_queued) {
        h->_queued = true;
        h->_next = l->hooks;
        l->hooks = h;
    }
}

static void on_signal(uv_signal_t *s, int signo)
{
    struct signal_watch *w = s->data;
    w->fn(w->arg, signo);
}

void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
    /* Watches live as long as the loop: a handful, never removed. */
    struct signal_watch *w = mem_zalloc(sizeof *w);
    w->next = l->signals;
    l->signals = w;
    w->fn = fn;
    w->arg = arg;
    w->uv.data = w;
    must(uv_signal_init(&l->uv, &w->uv) == 0);
    must(uv_signal_start(&w->uv, on_signal, signo) == 0);
    uv_unref((uv_handle_t *)&w->uv);
}
