/* One loop that a test turns by hand, and plain peers: streams that remember what came in. */
#ifndef TESTS_LOOPBENCH_H
#define TESTS_LOOPBENCH_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"
#include "net/stream.h"
#include "net/uv.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

static void tick(struct timer *t);

struct turner {
    struct loop *l;
    struct timer timer;
};

/* Turns the loop until `*what` is at least `n`, for at most three seconds. */
static bool turn_until(struct loop *l, const int *what, int n)
{
    struct turner t = {.l = l, .timer = {.fire = tick}};
    uint64_t until = clock_us() + 3000000;
    l->now_us = 0;
    loop_timer(l, &t.timer, 1);
    while (*what < n && clock_us() < until) {
        uv_run(&l->uv, UV_RUN_ONCE);
    }
    timer_clear(&t.timer);
    return *what >= n;
}

/* Keeps the loop from waiting for longer than a millisecond. */
static void tick(struct timer *t)
{
    struct turner *turner = (struct turner *)((char *)t - offsetof(struct turner, timer));
    loop_timer(turner->l, t, 1);
}

static void turn_for(struct loop *l, uint64_t ms)
{
    struct turner t = {.l = l, .timer = {.fire = tick}};
    uint64_t until = clock_us() + ms * 1000;
    l->now_us = 0;
    loop_timer(l, &t.timer, 1);
    do {
        uv_run(&l->uv, UV_RUN_ONCE);
    } while (clock_us() < until);
    timer_clear(&t.timer);
}

struct peer {
    struct stream *s;
    struct buf in;
    int n;      /* bytes that came in */
    int eof;    /* the other side has ended */
    int broken; /* -Exxx came */
};

static void peer_data(void *owner, char *p, size_t n)
{
    struct peer *peer = owner;
    buf_add(&peer->in, str_make(p, n));
    peer->n += (int)n;
}

static void peer_eof(void *owner)
{
    ((struct peer *)owner)->eof = 1;
}

static void peer_error(void *owner, int err)
{
    (void)err;
    ((struct peer *)owner)->broken = 1;
}

static const struct stream_ops peer_ops = {.data = peer_data, .eof = peer_eof, .error = peer_error};

static void peer_begin(struct peer *p, struct stream *s)
{
    *p = (struct peer){.s = s};
    stream_own(s, &peer_ops, p);
    stream_resume(s);
}

static int peer_say_str(struct peer *p, struct str text)
{
    struct iovec v = {(void *)(uintptr_t)text.p, text.n};
    return stream_write(p->s, &v, 1);
}

static void peer_say(struct peer *p, const char *text)
{
    must(peer_say_str(p, str_of(text)) == 0);
}

static void peer_end(struct peer *p)
{
    stream_close(p->s);
    p->s = NULL;
    buf_free(&p->in);
}

static struct str peer_heard(const struct peer *p)
{
    return str_make(p->in.p ? p->in.p : "", p->in.n);
}

static bool peer_has(const struct peer *p, const char *text)
{
    return str_find(peer_heard(p), str_of(text)) >= 0;
}

#pragma GCC diagnostic pop

#endif
