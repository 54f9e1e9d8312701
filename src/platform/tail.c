/* GET /api/v1/calls/watch: calls as they end, as server-sent events, from Last-Event-ID or from now on. The id of an event
 * is the call's number.
 *
 * After a commit of the ledger the reader is asked for what is new; at most ten times a second, and not while the client
 * does not take what it was sent. Every few seconds the store is asked whether the asker may still see it. */
#include <errno.h>
#include <stdlib.h>

#include "ledger/writer.h"
#include "platform/ledger.h"
#include "platform/route.h"

enum { PIECE = 200, PACE_MS = 100, CHECK_MS = 5000, PING_MS = 15000, QUEUED_MAX = 1 << 20 };

struct tail {
    struct visit *v;
    struct writer_watcher watcher;
    struct timer ping, pace;
    struct calls_filter filter;
    struct arena teams; /* of the filter */
    struct buf out;
    uint64_t read_ms, checked_ms;
    bool reading, again, full, gone; /* the worker's; again: there may be more */
    bool more, over; /* of who reads: the piece was full; it may not be seen any more */
};

static struct writer *writer_of(const struct visit *v)
{
    return ledger_writer(v->platform->gateway->ledger);
}

static void add_event(void *arg, int64_t seq, const struct record *r)
{
    struct tail *t = arg;
    buf_printf(&t->out, "id: %lld\nevent: call\ndata: ", (long long)seq);
    call_json(&t->out, seq, r);
    buf_addz(&t->out, "\n\n");
    t->filter.after = seq;
}

/* ---- asking ---- */

static void ask_new(struct reader_job *j, struct reader *r)
{
    struct visit *v = (struct visit *)((char *)j - offsetof(struct visit, ask));
    struct tail *t = v->tail;
    struct arena a = {0};
    int64_t next = 0, newest;
    size_t n;
    t->out.n = 0;
    (void)archive_list(reader_archive(r), &a, &n, &newest);
    int e = calls_find(r, &t->filter, add_event, t, &next);
    t->more = e == 0 && next;
    if (e == 0 && !next && newest > t->filter.after) {
        t->filter.after = newest; /* of those in between none fits */
    } else if (e == 0 && next > t->filter.after) {
        t->filter.after = next;
    }
    arena_reset(&a);
}

/* Who asks is looked up anew, so that a revoked token ends its streams. */
static int ask_store(struct store_job *j, struct db *db)
{
    struct visit *v = (struct visit *)j; /* its first member */
    struct tail *t = v->tail;
    arena_reset(&v->work);
    v->refusal = (struct refusal){0};
    v->now_us = (int64_t)clock_wall_us();
    int r = identify(v, db);
    if (r < 0) {
        return r;
    }
    arena_reset(&t->teams);
    t->over = v->refusal.set || !v->who.known ||
              !visible_teams(v, &t->teams, &t->filter.teams, &t->filter.n_teams);
    return 0;
}

static void on_answered(struct tail *t);

static void on_read(struct loop_task *task)
{
    struct visit *v = (struct visit *)((char *)task - offsetof(struct visit, ask.done));
    on_answered(v->tail);
}

static void on_checked(struct loop_task *task)
{
    struct visit *v = (struct visit *)((char *)task - offsetof(struct visit, job.done));
    v->tail->again = true; /* nothing was read yet */
    on_answered(v->tail);
}

static void read_on(struct tail *t)
{
    struct visit *v = t->v;
    uint64_t now = loop_now_ms(v->loop);
    if (t->reading || t->full) {
        t->again = true;
        return;
    }
    if (now - t->read_ms < PACE_MS) {
        loop_timer_within(v->loop, &t->pace, PACE_MS);
        return;
    }
    t->reading = true;
    t->again = t->more = false;
    v->worker->visits++;
    if (now - t->checked_ms >= CHECK_MS) {
        t->checked_ms = now;
        v->job.run = ask_store;
        v->job.write = false;
        v->job.done.run = on_checked;
        store_submit(v->platform->store, &v->job);
        return;
    }
    t->read_ms = now;
    v->ask = (struct reader_job){.run = ask_new, .loop = v->loop, .done.run = on_read};
    reader_submit(ledger_reader(v->platform->gateway->ledger), &v->ask);
}

/* ---- the end ---- */

/* Freed behind what may be under way on this loop. */
static void leave(struct tail *t)
{
    struct visit *v = t->v;
    writer_unwatch(writer_of(v), &t->watcher);
    timer_clear(&t->ping);
    timer_clear(&t->pace);
    t->gone = true;
    if (!t->reading) {
        t->reading = true;
        v->worker->visits++;
        v->ask.done.run = on_read;
        loop_post(v->loop, &v->ask.done);
    }
}

static void finish(struct tail *t)
{
    struct call *c = t->v->call;
    leave(t);
    t->v->call = NULL;
    http_send_str(c->req, (struct str){0}, true);
    visit_end(c);
}

static void on_answered(struct tail *t)
{
    struct visit *v = t->v;
    if (t->gone && t->watcher._posted) { /* its task is still to come: wait behind it */
        v->ask.done.run = on_read;
        loop_post(v->loop, &v->ask.done);
        return;
    }
    v->worker->visits--;
    if (t->gone) {
        visit_free(v);
        return;
    }
    t->reading = false;
    if (t->over) {
        finish(t);
        return;
    }
    if (t->out.n) {
        http_send_str(v->call->req, buf_str(&t->out), false);
        t->out.n = 0;
        loop_timer(v->loop, &t->ping, PING_MS);
        t->full = http_queued(v->call->req) > QUEUED_MAX;
    }
    if (t->again || t->more) {
        read_on(t);
    }
}

/* ---- events ---- */

static void on_commit(struct loop_task *task)
{
    struct tail *t = (struct tail *)((char *)task - offsetof(struct tail, watcher.task));
    writer_seen(&t->watcher);
    if (!t->gone) {
        read_on(t);
    }
}

static void on_pace(struct timer *timer)
{
    read_on((struct tail *)((char *)timer - offsetof(struct tail, pace)));
}

static void ping(struct visit *v)
{
    http_send_str(v->call->req, STR(": ping\n\n"), false);
    loop_timer(v->loop, &v->tail->ping, PING_MS);
}

/* A stream on which nothing happens is looked at, too. */
static void on_ping(struct timer *timer)
{
    struct tail *t = (struct tail *)((char *)timer - offsetof(struct tail, ping));
    ping(t->v);
    read_on(t);
}

static void begin(struct visit *v)
{
    struct tail *t = v->tail;
    struct call *c = v->call;
    c->status = 200;
    http_head(c->req, 200, -1);
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    http_field(c->req, STR("content-type"), STR("text/event-stream"));
    http_field(c->req, STR("cache-control"), STR("no-store"));
    call_own_fields(c);
    http_send_str(c->req, STR(": calls follow\n\n"), false);
    t->ping.fire = on_ping;
    t->pace.fire = on_pace;
    t->watcher.loop = v->loop;
    t->watcher.task.run = on_commit;
    t->checked_ms = loop_now_ms(v->loop);
    loop_timer(v->loop, &t->ping, PING_MS);
    writer_watch(writer_of(v), &t->watcher);
    read_on(t);
}

static void end(struct visit *v)
{
    leave(v->tail);
}

static void drained(struct visit *v)
{
    struct tail *t = v->tail;
    if (t->full && http_queued(v->call->req) == 0) {
        t->full = false;
        if (t->again || t->more) {
            read_on(t);
        }
    }
}

static void stop(struct visit *v)
{
    finish(v->tail);
}

static void free_tail(struct visit *v)
{
    arena_reset(&v->tail->teams);
    buf_free(&v->tail->out);
    free(v->tail);
}

static const struct visit_stream tail_stream = {begin, end, drained, ping, stop, free_tail};

static int64_t newest_call(const struct visit *v)
{
    struct arena a = {0};
    int64_t newest;
    size_t n;
    (void)archive_list(writer_archive(writer_of(v)), &a, &n, &newest);
    arena_reset(&a);
    return newest;
}

int watch_calls(struct visit *v, struct db *db)
{
    struct str last = str_trim(visit_field(v, STR("last-event-id")));
    struct calls_filter f;
    uint64_t n = 0;
    (void)db;
    if (!have_ledger(v) || !calls_parameters(v, &f)) {
        return 0;
    }
    if (last.n && (str_to_u64(last, &n) < 0 || n > INT64_MAX)) {
        refuse(v, PROBLEM_MALFORMED_FIELD,
               "Last-Event-ID must be the id of an event of this stream.");
        return 0;
    }
    if (!v->tail) {
        v->tail = mem_zalloc(sizeof *v->tail);
        v->stream = &tail_stream;
    }
    int64_t newest = newest_call(v);
    v->tail->v = v;
    v->tail->filter = f;
    v->tail->filter.oldest_first = true;
    v->tail->filter.limit = PIECE;
    v->tail->filter.after = last.n && (int64_t)n < newest ? (int64_t)n : newest;
    arena_reset(&v->tail->teams);
    if (!visible_teams(v, &v->tail->teams, &v->tail->filter.teams, &v->tail->filter.n_teams)) {
        v->tail->over = true;
    }
    v->answer.status = 200;
    return 0;
}
