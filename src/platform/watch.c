/* GET /api/v1/{kind}/watch: the changes of a kind as server-sent events, from Last-Event-ID or from
 * now on. The id of an event is its number in the change feed, its name the action, its data the
 * resource as it is now (of a deletion: its id and revision). */
#include <errno.h>
#include <stdlib.h>

#include "platform/route.h"
#include "platform/write.h"

enum { PIECE = 100, PING_MS = 15000, QUEUED_MAX = 1 << 20 };

struct watch {
    struct visit *v;
    struct store_watcher watcher;
    struct timer ping;
    int64_t after; /* the last change that was looked at */
    struct str id; /* only this one; empty: all */
    struct buf out;
    bool reading, again, full, gone; /* the worker's: again: changes came while it was read */
    bool more,
        over; /* the store's while it reads: the piece was full; nobody may see it any more */
};

static void add_event(struct watch *w, const struct change *c, const struct resource *now)
{
    struct buf *b = &w->out;
    buf_printf(b, "id: %lld\nevent: %.*s\ndata: ", (long long)c->seq, STR_ARG(c->action));
    if (now) {
        resource_print(b, w->v, now, NULL, (struct str){0}, (struct str){0});
    } else {
        buf_addz(b, "{\"id\":\"");
        buf_add_json(b, c->id);
        buf_printf(b, "\",\"revision\":%lld}", (long long)c->revision);
    }
    buf_addz(b, "\n\n");
}

static int read_changes(struct watch *w, struct db *db)
{
    struct visit *v = w->v;
    struct change *all;
    size_t n;
    int64_t last = w->after;
    int r = change_last(db, &last);
    r = r < 0 ? r
              : change_list(db, &v->work, str_of(v->kind->kind->name), w->after, PIECE, &all, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct resource state = {0};
        bool seen = false;
        if (w->id.n && !str_eq(w->id, all[i].id)) {
            continue;
        }
        r = resource_at(db, &v->work, all[i].kind, all[i].id, all[i].revision, &state);
        r = r < 0 ? r : may_read(v, db, v->kind, &state, &seen);
        if (r == 0 && seen) {
            add_event(w, &all[i], state.document.n ? &state : NULL);
        }
        r = r == -ENOENT ? 0 : r; /* not kept any more */
    }
    if (r == 0) {
        w->more = n == PIECE;
        w->after = n == PIECE ? all[n - 1].seq : last;
    }
    return r;
}

/* On a store thread: who asks is looked up anew each time, so that a revoked token ends its
 * streams. */
static int run(struct store_job *j, struct db *db)
{
    struct visit *v = (struct visit *)j;
    struct watch *w = v->watch;
    int64_t after = w->after;
    arena_reset(&v->work);
    w->out = (struct buf){.arena = &v->work};
    v->refusal = (struct refusal){0};
    v->now_us = (int64_t)clock_wall_us();
    int r = identify(v, db);
    w->over = v->refusal.set || !v->who.known;
    r = r < 0 || w->over ? r : read_changes(w, db);
    if (r < 0) {
        w->after = after;
    }
    return r;
}

static void on_read(struct loop_task *t);

static void read_on(struct watch *w)
{
    struct visit *v = w->v;
    if (w->reading || w->full) {
        w->again = true;
        return;
    }
    w->reading = true;
    v->worker->visits++;
    w->again = w->more = false;
    v->job.run = run;
    v->job.write = false;
    v->job.done.run = on_read;
    store_submit(v->platform->store, &v->job);
}

static void finish(struct watch *w)
{
    struct visit *v = w->v;
    struct call *c = v->call;
    store_unwatch(v->platform->store, &w->watcher);
    timer_clear(&w->ping);
    w->gone = true;
    v->call = NULL;
    http_send_str(c->req, (struct str){0}, true);
    visit_end(c);
    /* A posting of the watcher may be under way on this loop: freed behind it. */
    if (!w->reading) {
        w->reading = true;
        v->worker->visits++;
        v->job.done.run = on_read;
        loop_post(v->loop, &v->job.done);
    }
}

static void on_read(struct loop_task *t)
{
    struct visit *v = (struct visit *)((char *)t - offsetof(struct visit, job.done));
    struct watch *w = v->watch;
    if (w->gone && w->watcher._posted) { /* its task is still to come: wait behind it */
        loop_post(v->loop, &v->job.done);
        return;
    }
    v->worker->visits--;
    if (w->gone) {
        visit_free(v);
        return;
    }
    w->reading = false;
    if (w->over) {
        finish(w);
        return;
    }
    if (v->job.result == 0 && w->out.n) {
        http_send_str(v->call->req, buf_str(&w->out), false);
        loop_timer(v->loop, &w->ping, PING_MS);
        w->full = http_queued(v->call->req) > QUEUED_MAX;
    }
    if (w->again || w->more) {
        read_on(w);
    }
}

static void on_commit(struct loop_task *t)
{
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, watcher.task));
    store_seen(&w->watcher);
    if (!w->gone) {
        read_on(w);
    }
}

static void watch_ping(struct visit *v)
{
    struct watch *w = v->watch;
    http_send_str(v->call->req, STR(": ping\n\n"), false);
    loop_timer(v->loop, &w->ping, PING_MS);
}

static void on_ping(struct timer *t)
{
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, ping));
    watch_ping(w->v);
}

static void watch_begin(struct visit *v)
{
    struct watch *w = v->watch;
    struct call *c = v->call;
    c->status = 200;
    http_head(c->req, 200, -1);
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    http_field(c->req, STR("content-type"), STR("text/event-stream"));
    http_field(c->req, STR("cache-control"), STR("no-store"));
    call_own_fields(c);
    http_send_str(c->req, STR(": changes follow\n\n"), false);
    w->ping.fire = on_ping;
    w->watcher.loop = v->loop;
    w->watcher.task.run = on_commit;
    loop_timer(v->loop, &w->ping, PING_MS);
    store_watch(v->platform->store, &w->watcher);
    read_on(w);
}

static void watch_end(struct visit *v)
{
    struct watch *w = v->watch;
    store_unwatch(v->platform->store, &w->watcher);
    timer_clear(&w->ping);
    w->gone = true;
    if (!w->reading) {
        w->reading = true;
        v->worker->visits++;
        v->job.done.run = on_read;
        loop_post(v->loop, &v->job.done);
    }
}

static void watch_drained(struct visit *v)
{
    struct watch *w = v->watch;
    if (w->full && http_queued(v->call->req) == 0) {
        w->full = false;
        if (w->again || w->more) {
            read_on(w);
        }
    }
}

static void watch_stop(struct visit *v)
{
    finish(v->watch);
}

static void watch_free(struct visit *v)
{
    free(v->watch);
}

static const struct visit_stream watch_stream = {watch_begin, watch_end,  watch_drained,
                                                 watch_ping,  watch_stop, watch_free};

int watch_resources(struct visit *v, struct db *db)
{
    struct str last = str_trim(visit_field(v, STR("last-event-id")));
    uint64_t n;
    int64_t after;
    if (last.n && (str_to_u64(last, &n) < 0 || n > INT64_MAX)) {
        refuse(v, PROBLEM_MALFORMED_FIELD,
               "Last-Event-ID must be the id of an event of this stream.");
        return 0;
    }
    int r = change_last(db, &after);
    if (r < 0) {
        return r;
    }
    if (!v->watch) {
        v->watch = mem_zalloc(sizeof *v->watch);
    }
    v->stream = &watch_stream;
    v->watch->v = v;
    v->watch->after = last.n && (int64_t)n < after ? (int64_t)n : after;
    v->watch->id = query_get(&v->query, STR("id"));
    v->answer.status = 200;
    return 0;
}
