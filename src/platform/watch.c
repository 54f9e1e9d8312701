/* GET /api/v1/{kind}/watch: the changes of a kind as server-sent events, from Last-Event-ID or from
 * now on. The id of an event is its number in the change feed, its name the action, its data the
 * resource as it is now (of a deletion: its id and revision). */
#include <errno.h>
#include <stdlib.h>

#include "platform/follow.h"
#include "platform/route.h"
#include "platform/write.h"

enum { PIECE = 100 };

struct watch {
    struct follow follow; /* first member */
    struct store_watcher watcher;
    int64_t after; /* the last change that was looked at */
    struct str id; /* only this one; empty: all */
};

static void add_event(struct watch *w, const struct change *c, const struct resource *now)
{
    struct buf *b = &w->follow.out;
    buf_printf(b, "id: %lld\nevent: %.*s\ndata: ", (long long)c->seq, STR_ARG(c->action));
    if (now) {
        resource_print(b, w->follow.v, now, NULL, (struct str){0}, (struct str){0});
    } else {
        buf_addz(b, "{\"id\":\"");
        buf_add_json(b, c->id);
        buf_printf(b, "\",\"revision\":%lld}", (long long)c->revision);
    }
    buf_addz(b, "\n\n");
}

static int read_changes(struct watch *w, struct db *db)
{
    struct visit *v = w->follow.v;
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
        w->follow.more = n == PIECE;
        w->after = n == PIECE ? all[n - 1].seq : last;
    }
    return r;
}

/* On a store thread: who asks is looked up anew each time, so that a revoked token ends its
 * streams. */
static int run(struct store_job *j, struct db *db)
{
    struct visit *v = (struct visit *)j;
    struct watch *w = (struct watch *)v->follow;
    int64_t after = w->after;
    arena_reset(&v->work);
    w->follow.out.n = 0;
    v->refusal = (struct refusal){0};
    v->now_us = (int64_t)clock_wall_us();
    int r = identify(v, db);
    w->follow.over = v->refusal.set || !v->who.known;
    r = r < 0 || w->follow.over ? r : read_changes(w, db);
    if (r < 0) {
        w->after = after;
        w->follow.out.n = 0;
    }
    return r;
}

static void on_read(struct loop_task *t)
{
    struct visit *v = (struct visit *)((char *)t - offsetof(struct visit, job.done));
    follow_answered(v->follow);
}

static bool read_on(struct follow *f)
{
    struct visit *v = f->v;
    v->job.run = run;
    v->job.write = false;
    v->job.done.run = on_read;
    store_submit(v->platform->store, &v->job);
    return true;
}

static void on_commit(struct loop_task *t)
{
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, watcher.task));
    store_seen(&w->watcher);
    follow_on(&w->follow);
}

static void watch(struct follow *f)
{
    struct watch *w = (struct watch *)f;
    w->watcher.loop = f->v->loop;
    w->watcher.task.run = on_commit;
    store_watch(f->v->platform->store, &w->watcher);
}

static void unwatch(struct follow *f)
{
    store_unwatch(f->v->platform->store, &((struct watch *)f)->watcher);
}

static bool posted(const struct follow *f)
{
    return ((const struct watch *)f)->watcher._posted;
}

static void free_watch(struct follow *f)
{
    free(f);
}

static const struct follow_kind changes = {
    ": changes follow\n\n", read_on, watch, unwatch, posted, free_watch};

int watch_resources(struct visit *v, struct db *db)
{
    int64_t after, last;
    if (!follow_after(v, &last)) {
        return 0;
    }
    int r = change_last(db, &after);
    if (r < 0) {
        return r;
    }
    struct watch *w = v->follow ? (struct watch *)v->follow : mem_zalloc(sizeof *w);
    w->after = last >= 0 && last < after ? last : after;
    w->id = query_get(&v->query, STR("id"));
    follow_begin(&w->follow, v, &changes);
    return 0;
}
