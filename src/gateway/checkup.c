#include "gateway/checkup.h"

#include <stdlib.h>

#include "base/must.h"

/* The checks of one provider. On the heap, in the worker's list. */
struct checkup {
    struct checkup *next;
    struct worker *w;
    const struct snap_provider *p; /* of the worker's present snapshot */
    struct str id;                 /* its id, in `text` */
    struct http_up *up;            /* the question that is on its way; NULL: none */
    struct timer timer;            /* the next question, or the end of the wait for an answer */
    uint64_t due_ms;               /* when the next question is */
    uint32_t failed;               /* in a row */
    bool well;                     /* what the answer's head has said */
    char text[];
};

/* Several processes that were started together do not ask together. */
static uint64_t pause_ms(struct checkup *k)
{
    uint64_t every = k->p->check.every_ms, tenth = every / 10;
    return every - tenth + worker_random(k->w) % (2 * tenth + 1);
}

static void wait_for_next(struct checkup *k)
{
    uint64_t pause = pause_ms(k);
    k->up = NULL;
    k->due_ms = loop_now_ms(k->w->loop) + pause;
    loop_timer(k->w->loop, &k->timer, pause);
}

static void finish(struct checkup *k, bool well)
{
    const struct snap_check *check = &k->p->check;
    k->w->metrics.checks[well]++;
    k->failed = well ? 0 : k->failed + 1;
    if (well) {
        health_worked(k->p->health);
    } else if (k->failed >= check->failures) {
        /* Beyond the next check, whose answer is what decides. */
        uint64_t rest = check->every_ms + check->every_ms / 5 + check->timeout_ms;
        health_failed(k->p->health, loop_now_ms(k->w->loop), (uint32_t)rest, false);
    }
    wait_for_next(k);
}

static void send_question(struct checkup *k)
{
    struct iovec v = {(void *)(uintptr_t)k->p->check.request.p, k->p->check.request.n};
    http_up_send(k->up, &v, 1, M_GET, true);
}

static void on_ready(void *owner)
{
    send_question(owner);
}

static void on_head(void *owner, const struct h1_head *h)
{
    struct checkup *k = owner;
    k->well = h->status >= 200 && h->status < 300;
}

static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    (void)pieces;
    (void)n;
    if (end) {
        finish(owner, ((struct checkup *)owner)->well);
    }
}

static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    (void)why;
    (void)connect;
    (void)detail;
    finish(owner, false);
}

static const struct http_up_ops check_ops = {on_ready, on_head, on_body, on_failed, NULL};

static void ask(struct checkup *k)
{
    struct http_origin_config config = {.target = k->p->target};
    bool ready;
    loop_timer(k->w->loop, &k->timer, k->p->check.timeout_ms);
    /* A connection of its own: whether one can be made is a part of the question. */
    k->up = http_up_once(k->w->client, &config, &check_ops, k, &ready);
    if (ready) {
        send_question(k);
    }
}

static void on_timer(struct timer *t)
{
    struct checkup *k = (struct checkup *)((char *)t - offsetof(struct checkup, timer));
    if (k->up) {
        http_up_cancel(k->up);
        finish(k, false);
    } else {
        ask(k);
    }
}

/* ---- life ---- */

static struct checkup *checkup_new(struct worker *w, struct str id)
{
    struct checkup *k = mem_zalloc(sizeof *k + id.n);
    memcpy(k->text, id.p, id.n);
    k->w = w;
    k->id = str_make(k->text, id.n);
    k->timer.fire = on_timer;
    k->due_ms = loop_now_ms(w->loop);
    return k;
}

static void checkup_free(struct checkup *k)
{
    http_up_cancel(k->up);
    timer_clear(&k->timer);
    free(k);
}

/* Takes the checks of that provider out of the list, or makes new ones. */
static struct checkup *take(struct worker *w, struct checkup **list, struct str id)
{
    struct checkup **at = list;
    while (*at && !str_eq((*at)->id, id)) {
        at = &(*at)->next;
    }
    struct checkup *k = *at;
    if (!k) {
        return checkup_new(w, id);
    }
    *at = k->next;
    http_up_cancel(k->up); /* it may be on its way to an address of yesterday */
    k->up = NULL;
    return k;
}

static void end_all(struct checkup *list)
{
    while (list) {
        struct checkup *next = list->next;
        checkup_free(list);
        list = next;
    }
}

void checkups_fit(struct worker *w)
{
    const struct snapshot *s = w->hold->snap;
    struct checkup *old = w->checkups;
    w->checkups = NULL;
    for (size_t i = 0; i < s->n_providers; i++) {
        const struct snap_provider *p = &s->providers[i];
        if (!p->check.every_ms || i % w->gateway->n_workers != w->index) {
            continue;
        }
        struct checkup *k = take(w, &old, p->id);
        uint64_t now = loop_now_ms(w->loop), every = p->check.every_ms;
        uint64_t left = k->due_ms > now ? k->due_ms - now : worker_random(w) % (every / 10 + 1);
        k->p = p;
        k->next = w->checkups;
        w->checkups = k;
        loop_timer(w->loop, &k->timer, left < every ? left : every);
    }
    end_all(old);
}

void checkups_end(struct worker *w)
{
    end_all(w->checkups);
    w->checkups = NULL;
}
