#include "platform/housekeeping.h"

#include <errno.h>
#include <stddef.h>

#include "json/tree.h"
#include "model/names.h"
#include "store/journal.h"
#include "store/resource.h"

enum {
    FIRST_MS = 1000,
    MORE_MS = 20,
    EVERY_MS = 60000,
    PIECE = 500,
    KEPT_PIECE = 20, /* of responses, each of which may be large */
    NOTES_PIECE = 200,
};

static int kept_revisions(struct db *db, struct arena *a, int64_t *ret)
{
    struct resource settings;
    struct json *tree;
    struct json_error e;
    int r = resource_get(db, a, STR("settings"), STR("org"), false, &settings);
    *ret = 0;
    if (r == 0 && json_parse(a, settings.document, &tree, &e) == 0) {
        const struct json *keep = json_get(tree, STR("keep_revisions"));
        if (keep && json_int(keep->text, ret) < 0) {
            *ret = 0;
        }
    }
    return r == -ENOENT ? 0 : r;
}

/* The resources that have changed since, a piece of the feed at a time. */
static int prune(struct housekeeping *h, struct db *db, struct arena *a)
{
    struct names seen = {.arena = a};
    struct change *all;
    size_t n;
    int r = change_list(db, a, (struct str){0}, h->_next_seq, PIECE, &all, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct str name = arena_printf(a, "%.*s/%.*s", STR_ARG(all[i].kind), STR_ARG(all[i].id));
        if (names_add(&seen, name, 0, NULL)) {
            r = resource_prune(db, all[i].kind, all[i].id, h->_next_keep);
        }
        h->_next_seq = all[i].seq;
    }
    h->_more = r == 0 && n == PIECE;
    return r;
}

static int tidy(struct store_job *j, struct db *db)
{
    struct housekeeping *h = (struct housekeeping *)j;
    struct arena a = {0};
    int64_t now_us = (int64_t)clock_wall_us(), n_kept = 0, n_notes = 0;
    h->_more = false;
    int r = kept_revisions(db, &a, &h->_next_keep);
    r = r < 0 ? r : idempotent_expire(db, now_us);
    r = r < 0 ? r : session_expire(db, now_us);
    r = r < 0 ? r : lease_expire(db);
    r = r < 0 ? r : kept_response_expire(db, now_us, KEPT_PIECE, &n_kept);
    r = r < 0 ? r : call_note_expire(db, now_us, NOTES_PIECE, &n_notes);
    h->_next_seq = h->_next_keep == h->_keep ? h->_seq : 0; /* another number: all over again */
    if (r == 0 && h->_next_keep > 0) {
        r = prune(h, db, &a);
    }
    h->_more = h->_more || (r == 0 && (n_kept == KEPT_PIECE || n_notes == NOTES_PIECE));
    arena_reset(&a);
    return r;
}

static void on_done(struct loop_task *t)
{
    struct housekeeping *h =
        (struct housekeeping *)((char *)t - offsetof(struct housekeeping, _job.done));
    h->_busy = false;
    if (h->_job.result == 0) {
        h->_seq = h->_next_seq;
        h->_keep = h->_next_keep;
    }
    loop_timer_within(h->_loop, &h->_timer, h->_job.result == 0 && h->_more ? MORE_MS : EVERY_MS);
}

static void on_time(struct timer *t)
{
    struct housekeeping *h =
        (struct housekeeping *)((char *)t - offsetof(struct housekeeping, _timer));
    if (!h->_busy) {
        h->_busy = true;
        h->_job = (struct store_job){
            .run = tidy, .write = true, .loop = h->_loop, .done = {.run = on_done}};
        store_submit(h->_platform->store, &h->_job);
    }
}

void housekeeping_start(struct housekeeping *h, struct platform *p, struct loop *loop)
{
    *h = (struct housekeeping){._platform = p, ._loop = loop, ._timer.fire = on_time};
    loop_timer_within(loop, &h->_timer, FIRST_MS);
}

void housekeeping_stop(struct housekeeping *h)
{
    timer_clear(&h->_timer);
}
