#include "gateway/worker.h"

#include "dialect/schema.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/must.h"
#include "gateway/checkup.h"
#include "gateway/health_of.h"
#include "gateway/masking.h"
#include "gateway/sim.h"
#include "gateway/snapshot_limits.h"
#include "policy/recording.h"

enum {
    TRIM_MS = 5000,
    DRAIN_CHECK_MS = 20,
    LAST_WORDS_MS = 100,
    POOL_IDLE_MS = 50000,
    POOL_PER_ORIGIN = 1024
};

uint64_t worker_random(struct worker *w)
{
    uint64_t a = w->random[0], b = w->random[1], r = a + b;
    b ^= a;
    w->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    w->random[1] = b << 37 | b >> 27;
    return r;
}

/* ---- snapshots ---- */

static struct stream *dial_sim(void *arg)
{
    struct worker *w = arg;
    struct stream *ours, *theirs;
    must(stream_pair(w->loop, &ours, &theirs) == 0);
    http_serve(w->sim, theirs);
    return ours;
}

static struct snap_hold *hold_new(struct worker *w, struct snapshot *s)
{
    struct snap_hold *h = mem_zalloc(sizeof *h);
    h->snap = snapshot_ref(s);
    h->current = true;
    h->origin = mem_zalloc((s->n_providers + 1) * sizeof(struct http_origin *));
    h->no_responses_until_ms = mem_zalloc((s->n_providers + 1) * sizeof *h->no_responses_until_ms);
    h->retries = mem_zalloc((s->n_providers + 1) * sizeof *h->retries);
    h->aws_key = mem_zalloc((s->n_providers + 1) * sizeof *h->aws_key);
    for (size_t i = 0; i < s->n_providers; i++) {
        const struct snap_provider *p = &s->providers[i];
        struct http_origin_config c = {.target = p->target};
        if (p->sim) {
            c.dial = dial_sim;
            c.arg = w;
        }
        h->origin[i] = http_origin(w->client, p->origin_name, &c);
    }
    return h;
}

void hold_free(struct snap_hold *h)
{
    sodium_memzero(h->aws_key, (h->snap->n_providers + 1) * sizeof *h->aws_key);
    snapshot_unref(h->snap);
    free(h->origin);
    free(h->no_responses_until_ms);
    free(h->retries);
    free(h->aws_key);
    free(h);
}

static void apply_limits(struct worker *w, const struct config *c)
{
    struct http_limits l = {
        .max_header = (size_t)c->limits.max_header_bytes,
        .max_body = (size_t)c->limits.max_body_bytes,
        .max_connections = (size_t)c->limits.max_connections,
        .header_ms = (uint64_t)c->timeouts.client_header_ms,
        .body_ms = (uint64_t)c->timeouts.client_body_ms,
        .idle_ms = (uint64_t)c->timeouts.client_idle_ms,
        .write_ms = (uint64_t)c->timeouts.client_write_ms,
    };
    struct http_client_timeouts t = {
        .connect_ms = (uint64_t)c->timeouts.connect_ms,
        .first_byte_ms = (uint64_t)c->timeouts.first_byte_ms,
        .idle_ms = (uint64_t)c->timeouts.idle_ms,
        .pool_ms = POOL_IDLE_MS,
        .pool_max = POOL_PER_ORIGIN,
    };
    recordings_limit((size_t)c->memory.max_bytes, (size_t)c->memory.answer_max_bytes);
    http_server_limits(w->server, &l);
    http_client_timeouts(w->client, &t);
}

static void take_snapshot(struct worker *w, struct snapshot *s)
{
    struct snap_hold *old = w->hold;
    w->hold = hold_new(w, s);
    masking_fit(w, s);
    memset(w->seen, 0, sizeof w->seen);
    w->last.key = NULL;
    apply_limits(w, s->config);
    if (old) {
        old->current = false;
        if (old->calls == 0) {
            hold_free(old);
        }
    }
    checkups_fit(w);
    w->generation = s->generation;
}

/* ---- memory goes back when the load is over ---- */

static void renew_wall_clock(struct worker *w)
{
    w->wall_offset_us = clock_wall_us() - clock_us();
}

static void on_trim(struct timer *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, trim));
    renew_wall_clock(w);
    if (w->calls != w->trim_calls) {
        w->trim_calls = w->calls;
        loop_timer(w->loop, &w->trim, TRIM_MS);
        return;
    }
    pool_trim(loop_pool(w->loop), 0);
    record_ring_trim(w->ring);
    malloc_trim(64 * 1024);
}

/* ---- how late the loop is ---- */

enum { LATE_MS = 50 };

/* As load that is beside the calls under way: so much that the calls of the priorities that are to be refused are. */
static uint32_t late_load(const struct snapshot *s, uint64_t late_ms)
{
    uint64_t most_ms = (uint64_t)s->config->limits.max_delay_ms;
    if (most_ms == 0 || late_ms < most_ms) {
        return 0;
    }
    return load_of_priority(s->full_load, late_ms < 2 * most_ms   ? PRIORITY_LOW
                                          : late_ms < 4 * most_ms ? PRIORITY_NORMAL
                                                                  : PRIORITY_HIGH);
}

static void watch_lateness(struct worker *w)
{
    w->late_calls = w->calls;
    w->late_due_ms = loop_now_ms(w->loop) + LATE_MS;
    loop_timer(w->loop, &w->late, LATE_MS);
}

static void on_late(struct timer *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, late));
    uint64_t now_ms = clock_us() / 1000;
    uint64_t late_ms = now_ms > w->late_due_ms ? now_ms - w->late_due_ms : 0;
    bool calm = w->calls == w->late_calls && w->metrics.inflight <= 0 && late_ms < LATE_MS &&
                w->late_load == 0;
    /* The less late of two in a row: one long pause, of a machine that slept, is over when it is seen. */
    w->late_load = late_load(w->hold->snap, late_ms < w->late_ms ? late_ms : w->late_ms);
    w->late_ms = late_ms;
    if (!calm) {
        watch_lateness(w);
    }
}

void worker_active(struct worker *w)
{
    if (!timer_is_set(&w->late)) {
        watch_lateness(w);
    }
    if (!timer_is_set(&w->trim)) {
        renew_wall_clock(w);
        loop_timer(w->loop, &w->trim, TRIM_MS);
    }
}

/* ---- life ---- */

static void on_accepted(void *arg, struct stream *s)
{
    struct worker *w = arg;
    http_serve(w->server, s);
}

void worker_init(struct worker *w, struct gateway *g, unsigned index, struct snapshot *s,
                 const int *fds, size_t n_fds, struct tls_ctx *tls)
{
    must(index < load_worker_count());
    w->gateway = g;
    w->index = index;
    w->loop = loop_new();
    w->client = http_client_new(w->loop);
    w->server = http_server_new(w->loop, &call_server_ops, w);
    w->sim = sim_new(w->loop);
    w->scratch.pool = loop_pool(w->loop);
    w->schemas = schema_cache_new();
    randombytes_buf(w->random, sizeof w->random);
    w->random[0] |= 1;
    randombytes_buf(w->seen_secret, sizeof w->seen_secret);
    randombytes_buf(&w->body_seed, sizeof w->body_seed);
    w->ring = aligned_alloc(RING_PAGE, sizeof *w->ring);
    must(w->ring);
    memset(w->ring, 0, offsetof(struct record_ring, slot));
    w->trim.fire = on_trim;
    w->late.fire = on_late;
    renew_wall_clock(w);
    take_snapshot(w, s);
    w->n_listeners = n_fds;
    w->listeners = mem_zalloc((n_fds + 1) * sizeof(struct listener *));
    for (size_t i = 0; i < n_fds; i++) {
        w->listeners[i] = listener_new(w->loop, fds[i], tls, on_accepted, w);
    }
}

void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16] = "accord-w";
    name[8] = (char)('0' + w->index / 10 % 10);
    name[9] = (char)('0' + w->index % 10);
    pthread_setname_np(pthread_self(), name);
    loop_run(w->loop);
    checkups_end(w);
    http_server_free(w->server);
    http_client_free(w->client);
    tls_ctx_unref(w->fetch_tls);
    schema_cache_free(w->schemas);
    mask_scratch_free(w->masks);
    for (size_t i = 0; w->seen_bodies && i < SEEN_BODIES; i++) {
        free(w->seen_bodies[i].text);
    }
    free(w->seen_bodies);
    free(w->keeper);
    http_server_free(w->sim);
    w->hold->current = false;
    hold_free(w->hold);
    arena_reset(&w->scratch);
    loop_free(w->loop);
    return NULL;
}

/* ---- the control thread's words to the workers ---- */

struct publication {
    struct loop_task task;
    struct worker *w;
    struct snapshot *snap;
    struct tls_ctx *tls;
    sem_t *taken;
};

static void on_publication(struct loop_task *t)
{
    struct publication *p = (struct publication *)t; /* its first member */
    take_snapshot(p->w, p->snap);
    for (size_t i = 0; p->tls && i < p->w->n_listeners; i++) {
        if (p->w->listeners[i]) {
            listener_tls(p->w->listeners[i], p->tls);
        }
    }
    sem_post(p->taken);
}

void gateway_publish(struct gateway *g, struct snapshot *s, struct tls_ctx *tls)
{
    sem_t taken;
    struct publication *all = mem_zalloc(g->n_workers * sizeof *all);
    sem_init(&taken, 0, 0);
    for (unsigned i = 0; i < g->n_workers; i++) {
        all[i] = (struct publication){.task.run = on_publication,
                                      .w = &g->workers[i],
                                      .snap = s,
                                      .tls = tls,
                                      .taken = &taken};
        loop_post(g->workers[i].loop, &all[i].task);
    }
    for (unsigned i = 0; i < g->n_workers; i++) {
        while (sem_wait(&taken) < 0) {
        }
    }
    g->generation = s->generation;
    sem_destroy(&taken);
    free(all);
}

static void stop_call(struct http_req *r)
{
    struct call *c = r->user;
    if (c->visit) {
        c->w->gateway->visits->stop(c);
    } else {
        relay_stop(c);
    }
}

static void on_drain_check(struct timer *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, drain_timer));
    if (http_open(w->server) == 0 && w->visits == 0) {
        loop_stop(w->loop);
    } else if (loop_now_ms(w->loop) >= w->drain_deadline_ms + LAST_WORDS_MS) {
        http_abort_all(w->server);
        loop_timer(w->loop, &w->drain_timer, DRAIN_CHECK_MS);
    } else if (loop_now_ms(w->loop) >= w->drain_deadline_ms && !w->stopped) {
        w->stopped = true;
        http_each(w->server, stop_call);
        loop_timer(w->loop, &w->drain_timer, DRAIN_CHECK_MS);
    } else {
        loop_timer(w->loop, &w->drain_timer, DRAIN_CHECK_MS);
    }
}

static void on_drain(struct loop_task *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, drain_task));
    for (size_t i = 0; i < w->n_listeners; i++) {
        listener_close(w->listeners[i]);
        w->listeners[i] = NULL;
    }
    http_drain(w->server);
    w->drain_timer.fire = on_drain_check;
    loop_timer(w->loop, &w->drain_timer, DRAIN_CHECK_MS);
}

void gateway_drain(struct gateway *g, uint64_t deadline_ms)
{
    g->draining = true;
    for (unsigned i = 0; i < g->n_workers; i++) {
        struct worker *w = &g->workers[i];
        w->drain_deadline_ms = clock_us() / 1000 + deadline_ms;
        w->drain_task.run = on_drain;
        loop_post(w->loop, &w->drain_task);
    }
}
