#include "gateway/lease.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/must.h"
#include "store/journal.h"
#include "store/store.h"

enum {
    LEASE_MS = 10000,
    KEEP_MS = 3000,
    AGAIN_MS = 100,     /* to ask for one that another has: half of it up to all of it and half */
    PATIENCE_MS = 2000, /* a call waits so long for the database to say anything */
    NAME_BYTES = 16,
};

/* The store has it while `busy`, else the call; freed when neither has. */
struct lease {
    struct store_job job; /* first member */
    struct call *call;    /* NULL: it has ended */
    struct worker *worker;
    struct timer timer; /* to ask again, or to keep it */
    struct arena found;
    char name[2 * NAME_BYTES + 1];
    int64_t epoch;
    uint64_t until_ms; /* held that long at least; 0: not held */
    uint64_t asked_ms;
    bool busy, open; /* open: the database cannot say */
};

/* This process. */
static char process[2 * NAME_BYTES + 1];

static void name_process(void)
{
    unsigned char bytes[NAME_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(process, sizeof process, bytes, sizeof bytes);
}

struct str lease_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, name_process);
    return str_of(process);
}

static int run_take(struct store_job *job, struct db *db)
{
    struct lease *l = (struct lease *)job;
    arena_reset(&l->found);
    return lease_take(db, &l->found, str_of(l->name), lease_process(), LEASE_MS * INT64_C(1000),
                      &l->epoch);
}

static int run_keep(struct store_job *job, struct db *db)
{
    struct lease *l = (struct lease *)job;
    return lease_keep(db, str_of(l->name), lease_process(), l->epoch, LEASE_MS * INT64_C(1000));
}

static int run_give(struct store_job *job, struct db *db)
{
    struct lease *l = (struct lease *)job;
    return lease_give(db, str_of(l->name), lease_process(), l->epoch);
}

/* ---- what the store answers ---- */

static void on_done(struct loop_task *t);

static void submit(struct lease *l, int (*run)(struct store_job *, struct db *))
{
    l->busy = true;
    l->asked_ms = loop_now_ms(l->worker->loop);
    l->job = (struct store_job){.run = run,
                                .write = true,
                                .aside = true,
                                .loop = l->worker->loop,
                                .done = {.run = on_done}};
    l->worker->visits++; /* the worker does not end while the store has it */
    store_submit(l->worker->gateway->store, &l->job);
}

static void lease_free(struct lease *l)
{
    timer_clear(&l->timer);
    arena_reset(&l->found);
    free(l);
}

static void take(struct lease *l)
{
    submit(l, run_take);
    loop_timer(l->worker->loop, &l->timer, PATIENCE_MS);
}

static void on_taken(struct lease *l)
{
    struct worker *w = l->worker;
    bool waits = !l->open;
    timer_clear(&l->timer);
    if (l->job.result == -EEXIST && waits) {
        loop_timer(w->loop, &l->timer, AGAIN_MS / 2 + worker_random(w) % AGAIN_MS);
        return;
    }
    if (l->job.result == 0) {
        l->until_ms = l->asked_ms + LEASE_MS;
        loop_timer(w->loop, &l->timer, KEEP_MS);
    }
    l->open = l->open || l->job.result < 0;
    if (waits) {
        call_run(l->call);
    }
}

static void on_kept(struct lease *l)
{
    if (l->job.result == -ENOENT) {
        l->until_ms = 0;
        relay_displaced(l->call);
        return;
    }
    if (l->job.result == 0) {
        l->until_ms = l->asked_ms + LEASE_MS;
    }
    loop_timer(l->worker->loop, &l->timer, KEEP_MS);
}

static void on_done(struct loop_task *t)
{
    struct lease *l = (struct lease *)((char *)t - offsetof(struct lease, job.done));
    bool gave = l->job.run == run_give, took = l->job.run == run_take;
    l->busy = false;
    l->worker->visits--;
    if (l->call && took) {
        on_taken(l);
    } else if (l->call) {
        on_kept(l);
    } else if (!gave && l->job.result == 0) {
        submit(l, run_give);
    } else {
        lease_free(l);
    }
}

static void on_time(struct timer *t)
{
    struct lease *l = (struct lease *)((char *)t - offsetof(struct lease, timer));
    if (l->busy) {
        l->open = true;
        call_run(l->call);
    } else if (l->until_ms) {
        submit(l, run_keep);
    } else {
        take(l);
    }
}

/* ---- the call ---- */

static struct lease *lease_new(struct call *c, struct str name)
{
    struct lease *l = mem_zalloc(sizeof *l);
    unsigned char digest[NAME_BYTES];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)name.p, name.n, NULL, 0);
    sodium_bin2hex(l->name, sizeof l->name, digest, sizeof digest);
    l->call = c;
    l->worker = c->w;
    l->timer.fire = on_time;
    return l;
}

enum next lease_enter(struct call *c, struct str name)
{
    struct lease *l = c->lease;
    if (!c->w->gateway->store || !store_is_shared(c->w->gateway->store)) {
        return NEXT;
    }
    if (!l) {
        l = c->lease = lease_new(c, name);
    } else if (l->open || loop_now_ms(c->w->loop) < l->until_ms) {
        return NEXT;
    } else if (l->busy) {
        return WAIT;
    }
    timer_clear(&l->timer);
    l->until_ms = 0; /* it may have run out while the process stood still */
    take(l);
    relay_watch(c);
    return WAIT;
}

void lease_leave(struct call *c)
{
    struct lease *l = c->lease;
    if (!l) {
        return;
    }
    c->lease = NULL;
    l->call = NULL;
    timer_clear(&l->timer);
    if (!l->busy && l->until_ms) {
        submit(l, run_give);
    } else if (!l->busy) {
        lease_free(l);
    }
}
