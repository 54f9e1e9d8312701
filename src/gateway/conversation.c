/* Calls on one conversation go one at a time: a second one would be answered `conversation_locked`, or add its
 * turn to a history that it has not seen. They wait in a bounded queue, in the order of their coming, across all
 * workers: the only thing here that workers share, and only calls that name a conversation touch it. A call's
 * hold ends with the call, which the call's own deadline bounds. Where several processes share a database, the
 * first in line has to get a lease there as well (lease.h). */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"
#include "conflict/rate_limit.h"
#include "gateway/lease.h"

enum { SLOTS = 256, WAITING_MAX = 64 };

/* A call that holds a conversation or waits for it. */
struct talk {
    struct loop_task task; /* tells a waiting one that it may go on */
    struct talk *next;     /* in the queue behind the holder */
    struct line *line;
    struct call *call; /* NULL: it has ended before the task ran */
    struct worker *worker;
    bool holds, posted; /* under the lock */
    bool goes;          /* it holds, as its own thread knows by now */
};

/* A conversation with calls under way. */
struct line {
    struct line *next;
    struct talk *holder, *last; /* the holder is the queue's first */
    uint32_t n, slot;
    size_t name_n;
    char name[];
};

static struct {
    pthread_mutex_t lock;
    struct line *slot[SLOTS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t slot_of(struct str name)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < name.n; i++) {
        h = (h ^ (unsigned char)name.p[i]) * 16777619U;
    }
    return h % SLOTS;
}

static struct line *find_line(struct str name)
{
    uint32_t slot = slot_of(name);
    struct line *l = table.slot[slot];
    while (l && !str_eq(str_make(l->name, l->name_n), name)) {
        l = l->next;
    }
    if (!l) {
        l = mem_zalloc(sizeof *l + name.n);
        memcpy(l->name, name.p, name.n);
        l->name_n = name.n;
        l->slot = slot;
        l->next = table.slot[slot];
        table.slot[slot] = l;
    }
    return l;
}

static void drop_line(struct line *l)
{
    struct line **at = &table.slot[l->slot];
    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    free(l);
}

/* On the waiting call's own thread. */
static void go_on(struct loop_task *t)
{
    struct talk *k = (struct talk *)((char *)t - offsetof(struct talk, task));
    struct call *c = k->call;
    k->posted = false;
    k->goes = true;
    if (!c) {
        free(k);
        return;
    }
    call_run(c);
}

/* The first in line holds it from now on. Under the lock. */
static void grant(struct line *l)
{
    struct talk *k = l->holder;
    k->holds = k->posted = true;
    k->task.run = go_on;
    loop_post(k->worker->loop, &k->task);
}

/* Appends k; -EAGAIN when the queue is full. */
static int stand_in_line(struct talk *k, struct str name)
{
    pthread_mutex_lock(&table.lock);
    struct line *l = find_line(name);
    bool full = l->n >= WAITING_MAX;
    if (!full) {
        k->line = l;
        k->holds = k->goes = l->n == 0;
        if (l->holder) {
            l->last->next = k;
        } else {
            l->holder = k;
        }
        l->last = k;
        l->n++;
    }
    pthread_mutex_unlock(&table.lock);
    return full ? -EAGAIN : 0;
}

/* A line does not change its name, and lasts as long as anyone stands in it. */
static struct str name_of(const struct line *l)
{
    return str_make(l->name, l->name_n);
}

enum next conversation_enter(struct call *c)
{
    if (c->talk) {
        return c->talk->goes ? lease_enter(c, name_of(c->talk->line)) : WAIT;
    }
    struct str name =
        arena_printf(&c->req->arena, "%.*s\n%.*s", STR_ARG(c->key->id), STR_ARG(c->conversation));
    struct talk *k = mem_zalloc(sizeof *k);
    k->call = c;
    k->worker = c->w;
    if (stand_in_line(k, name) < 0) {
        free(k);
        struct call_error e = {.status = 409,
                               .code = "conversation_locked",
                               .param = "conversation",
                               .outcome = OUTCOME_REFUSED,
                               .retry_after_ms =
                                   (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                               .should_retry = true};
        return call_fail(
            c, &e,
            "%d calls on the conversation \"%.*s\" are under way already; calls on one "
            "conversation go one at a time. Try again in a moment.",
            WAITING_MAX, STR_ARG(c->conversation));
    }
    c->talk = k;
    if (k->goes) { /* not `holds`: it may have been granted meanwhile, and then its task comes */
        return lease_enter(c, name);
    }
    relay_watch(c);
    return WAIT;
}

void conversation_leave(struct call *c)
{
    struct talk *k = c->talk;
    lease_leave(c);
    if (!k) {
        return;
    }
    c->talk = NULL;
    pthread_mutex_lock(&table.lock);
    struct line *l = k->line;
    struct talk **at = &l->holder, *before = NULL;
    while (*at != k) {
        before = *at;
        at = &before->next;
    }
    *at = k->next;
    l->last = l->last == k ? before : l->last;
    l->n--;
    if (l->n == 0) {
        drop_line(l);
    } else if (k->holds) {
        grant(l);
    }
    bool posted =
        k->posted; /* only a holder's task may be on its way, and only its own thread clears it */
    k->call = NULL;
    pthread_mutex_unlock(&table.lock);
    if (!posted) {
        free(k);
    }
}
