/* GET /api/v1/calls/watch: calls as they end, as server-sent events, from Last-Event-ID or from now on. The id of an event
 * is the call's number.
 *
 * After a commit of the ledger the reader is asked for what is new; at most ten times a second, and not while the client
 * does not take what it was sent. Every few seconds the store is asked whether the asker may still see it. */
#include <errno.h>
#include <stdlib.h>

#include "ledger/writer.h"
#include "platform/follow.h"
#include "platform/ledger.h"
#include "platform/route.h"

enum { PIECE = 200, PACE_MS = 100, CHECK_MS = 5000 };

struct tail {
    struct follow follow; /* first member */
    struct writer_watcher watcher;
    struct timer pace;
    struct calls_filter filter;
    struct arena teams; /* of the filter */
    uint64_t read_ms, checked_ms;
};

static struct writer *writer_of(const struct visit *v)
{
    return ledger_writer(v->platform->gateway->ledger);
}

static void add_event(void *arg, int64_t seq, const struct record *r)
{
    struct tail *t = arg;
    struct buf *b = &t->follow.out;
    buf_printf(b, "id: %lld\nevent: call\ndata: ", (long long)seq);
    call_json(b, seq, r);
    buf_addz(b, "\n\n");
    t->filter.after = seq;
}

/* ---- asking ---- */

static void ask_new(struct reader_job *j, struct reader *r)
{
    struct visit *v = (struct visit *)((char *)j - offsetof(struct visit, ask));
    struct tail *t = (struct tail *)v->follow;
    struct arena a = {0};
    int64_t next = 0, newest;
    size_t n;
    t->follow.out.n = 0;
    (void)archive_list(reader_archive(r), &a, &n, &newest);
    int e = calls_find(r, &t->filter, add_event, t, &next);
    t->follow.more = e == 0 && next;
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
    struct tail *t = (struct tail *)v->follow;
    arena_reset(&v->work);
    v->refusal = (struct refusal){0};
    v->now_us = (int64_t)clock_wall_us();
    int r = identify(v, db);
    if (r < 0) {
        return r;
    }
    arena_reset(&t->teams);
    t->follow.over = v->refusal.set || !v->who.known ||
                     !visible_teams(v, &t->teams, &t->filter.teams, &t->filter.n_teams);
    return 0;
}

static void on_read(struct loop_task *task)
{
    struct visit *v = (struct visit *)((char *)task - offsetof(struct visit, ask.done));
    follow_answered(v->follow);
}

static void on_checked(struct loop_task *task)
{
    struct visit *v = (struct visit *)((char *)task - offsetof(struct visit, job.done));
    v->follow->again = true; /* nothing was read yet */
    follow_answered(v->follow);
}

static bool read_on(struct follow *f)
{
    struct tail *t = (struct tail *)f;
    struct visit *v = f->v;
    uint64_t now = loop_now_ms(v->loop);
    if (now - t->read_ms < PACE_MS) {
        loop_timer_within(v->loop, &t->pace, PACE_MS);
        return false;
    }
    if (now - t->checked_ms >= CHECK_MS) {
        t->checked_ms = now;
        v->job.run = ask_store;
        v->job.write = false;
        v->job.done.run = on_checked;
        store_submit(v->platform->store, &v->job);
        return true;
    }
    t->read_ms = now;
    v->ask = (struct reader_job){.run = ask_new, .loop = v->loop, .done.run = on_read};
    reader_submit(ledger_reader(v->platform->gateway->ledger), &v->ask);
    return true;
}

/* ---- events ---- */

static void on_commit(struct loop_task *task)
{
    struct tail *t = (struct tail *)((char *)task - offsetof(struct tail, watcher.task));
    writer_seen(&t->watcher);
    follow_on(&t->follow);
}

static void on_pace(struct timer *timer)
{
    follow_on(&((struct tail *)((char *)timer - offsetof(struct tail, pace)))->follow);
}

static void watch(struct follow *f)
{
    struct tail *t = (struct tail *)f;
    t->pace.fire = on_pace;
    t->watcher.loop = f->v->loop;
    t->watcher.task.run = on_commit;
    t->checked_ms = loop_now_ms(f->v->loop);
    writer_watch(writer_of(f->v), &t->watcher);
}

static void unwatch(struct follow *f)
{
    struct tail *t = (struct tail *)f;
    writer_unwatch(writer_of(f->v), &t->watcher);
    timer_clear(&t->pace);
}

static bool posted(const struct follow *f)
{
    return ((const struct tail *)f)->watcher._posted;
}

static void free_tail(struct follow *f)
{
    struct tail *t = (struct tail *)f;
    arena_reset(&t->teams);
    free(t);
}

static const struct follow_kind calls = {
    ": calls follow\n\n", read_on, watch, unwatch, posted, free_tail};

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
    struct calls_filter f;
    int64_t last;
    (void)db;
    if (!have_ledger(v) || !calls_parameters(v, &f) || !follow_after(v, &last)) {
        return 0;
    }
    int64_t newest = newest_call(v);
    struct tail *t = v->follow ? (struct tail *)v->follow : mem_zalloc(sizeof *t);
    t->filter = f;
    t->filter.oldest_first = true;
    t->filter.limit = PIECE;
    t->filter.after = last >= 0 && last < newest ? last : newest;
    arena_reset(&t->teams);
    t->follow.over = !visible_teams(v, &t->teams, &t->filter.teams, &t->filter.n_teams);
    follow_begin(&t->follow, v, &calls);
    return 0;
}
