/* What the platform tells about itself: the audit trail, refused writes, its state. */
#include <errno.h>
#include <string.h>

#include "conflict/http_date.h"
#include "ledger/writer.h"
#include "platform/route.h"
#include "platform/write.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500, SCAN = 1000 };

static void set_text(struct visit *v, struct json *j, const char *name, struct str value)
{
    if (value.n) {
        json_set(j, str_of(name), json_new_str(&v->work, value));
    }
}

static struct json *parsed(struct visit *v, struct str text)
{
    struct json *j;
    struct json_error e;
    return text.n && json_parse(&v->work, text, &j, &e) == 0 ? j : NULL;
}

static bool read_limit(struct visit *v, uint64_t *ret_limit, uint64_t *ret_cursor)
{
    struct str limit = query_get(&v->query, STR("limit"));
    struct str cursor = query_get(&v->query, STR("cursor"));
    *ret_limit = LIMIT_DEFAULT;
    *ret_cursor = 0;
    if ((limit.p &&
         (str_to_u64(limit, ret_limit) < 0 || *ret_limit < 1 || *ret_limit > LIMIT_MAX)) ||
        (cursor.p && (str_to_u64(cursor, ret_cursor) < 0 || *ret_cursor > INT64_MAX))) {
        refuse(v, PROBLEM_BAD_QUERY,
               "limit must be a number from 1 to %d, cursor one that a list "
               "answered.",
               LIMIT_MAX);
        return false;
    }
    return true;
}

static void answer_list(struct visit *v, struct json *items, int64_t next)
{
    struct json *j = json_new(&v->work, JSON_OBJECT);
    json_set(j, STR("items"), items);
    if (next) {
        json_set(j, STR("next_cursor"),
                 json_new_str(&v->work, arena_printf(&v->work, "%lld", (long long)next)));
    }
    answer_json(v, 200, j);
    answer_line(v, "cache-control", "private, no-cache");
}

/* ---- the audit trail ---- */

static struct json *audit_json(struct visit *v, const struct audit *e)
{
    static const char digits[] = "0123456789abcdef";
    struct json *j = json_new(&v->work, JSON_OBJECT), *tree;
    struct buf hex = {.arena = &v->work};
    json_set(j, STR("seq"), json_new_int(&v->work, e->seq));
    set_text(v, j, "at", time_print(&v->work, e->at_us));
    set_text(v, j, "who", e->who);
    set_text(v, j, "address", e->address);
    set_text(v, j, "request_id", e->request_id);
    set_text(v, j, "action", e->action);
    set_text(v, j, "kind", e->kind);
    set_text(v, j, "id", e->id);
    if ((tree = parsed(v, e->before))) {
        json_set(j, STR("before"), tree);
    }
    if ((tree = parsed(v, e->after))) {
        json_set(j, STR("after"), tree);
    }
    set_text(v, j, "note", e->note);
    for (size_t i = 0; i < e->hash.n; i++) {
        buf_addc(&hex, digits[(unsigned char)e->hash.p[i] >> 4]);
        buf_addc(&hex, digits[e->hash.p[i] & 15]);
    }
    set_text(v, j, "hash", buf_str(&hex));
    return j;
}

/* Whether a state in the trail was of a team whose trail the asker may read. */
static int may_audit(struct visit *v, struct db *db, const struct audit *e, struct str document,
                     bool *ret)
{
    const struct resource_kind *k = resource_kind_named(e->kind);
    const struct json *tree = parsed(v, document);
    struct str team = {0};
    int r = k && tree ? team_of_tree(v, db, k, e->id, tree, NULL, &team) : 0;
    *ret = r == 0 && team.n && grants_may(&v->who.grants, STR("audit.read"), team);
    return r;
}

/* Who may read the trail of some teams sees the entries about what was theirs before and after. */
static int may_see_entry(struct visit *v, struct db *db, const struct audit *e, bool *ret)
{
    bool before = true, after = true;
    int r = e->before.n ? may_audit(v, db, e, e->before, &before) : 0;
    r = r == 0 && e->after.n ? may_audit(v, db, e, e->after, &after) : r;
    *ret = (e->before.n || e->after.n) && before && after;
    return r;
}

int list_audit(struct visit *v, struct db *db)
{
    struct json *items = json_new(&v->work, JSON_ARRAY);
    bool all_of_it = grants_may(&v->who.grants, STR("audit.read"), (struct str){0}), more = false;
    struct audit *all;
    uint64_t limit, before;
    size_t n, piece, shown = 0;
    int64_t last = 0;
    if (!read_limit(v, &limit, &before)) {
        return 0;
    }
    piece = all_of_it ? (size_t)limit + 1 : SCAN;
    do {
        int r = audit_list(db, &v->work, query_get(&v->query, STR("who")),
                           query_get(&v->query, STR("kind")), query_get(&v->query, STR("id")),
                           (int64_t)before, piece, &all, &n);
        for (size_t i = 0; r == 0 && i < n && !more; i++) {
            bool seen = all_of_it;
            r = seen ? 0 : may_see_entry(v, db, &all[i], &seen);
            more = seen && shown == limit;
            if (r == 0 && seen && !more) {
                json_append(items, audit_json(v, &all[i]));
                last = all[i].seq;
                shown++;
            }
        }
        if (r < 0) {
            return r;
        }
        before = n ? (uint64_t)all[n - 1].seq : before;
    } while (n == piece && !more);
    answer_list(v, items, more ? last : 0);
    return 0;
}

/* ---- refused writes ---- */

/* The state that the refused write met, as its answer names it; else the present one. */
static int state_met(struct visit *v, struct db *db, const struct conflict_record *c,
                     struct resource *ret)
{
    const struct json *current = json_get(parsed(v, c->document), STR("current"));
    const struct json *revision = json_get(current, STR("revision"));
    int64_t n;
    return revision && json_int(revision->text, &n) == 0
               ? resource_at(db, &v->work, c->kind, c->resource_id, n, ret)
               : resource_get(db, &v->work, c->kind, c->resource_id, false, ret);
}

/* Who may read the resource as it was then, or made the write. */
static int may_read_conflict(struct visit *v, struct db *db, const struct conflict_record *c,
                             bool *ret)
{
    const struct resource_kind *k = resource_kind_named(c->kind);
    struct resource r;
    *ret = (str_eq(c->who, v->who.name) && c->at_us >= v->who.since_us) ||
           grants_may(&v->who.grants, STR("conflict.read"), (struct str){0});
    if (*ret || !k) {
        return 0;
    }
    int e = state_met(v, db, c, &r);
    e = e < 0 ? e : may_read(v, db, k, &r, ret);
    return e == -ENOENT ? 0 : e;
}

static struct json *conflict_json(struct visit *v, const struct conflict_record *c, bool whole)
{
    struct json *j = json_new(&v->work, JSON_OBJECT), *tree;
    set_text(v, j, "id", c->id);
    set_text(v, j, "at", time_print(&v->work, c->at_us));
    set_text(v, j, "who", c->who);
    set_text(v, j, "kind", c->kind);
    set_text(v, j, "resource_id", c->resource_id);
    set_text(v, j, "code", c->code);
    if ((tree = parsed(v, c->fields))) {
        json_set(j, STR("fields"), tree);
    }
    json_set(j, STR("retry_count"), json_new_int(&v->work, c->retry_count));
    if (whole && (tree = parsed(v, c->document))) {
        json_set(j, STR("answer"), tree);
    }
    return j;
}

int list_conflicts(struct visit *v, struct db *db)
{
    struct json *items = json_new(&v->work, JSON_ARRAY);
    struct conflict_record *all;
    uint64_t limit, before;
    size_t n;
    int64_t next = 0;
    if (!read_limit(v, &limit, &before)) {
        return 0;
    }
    int r = conflict_list(
        db, &v->work, query_get(&v->query, STR("kind")), query_get(&v->query, STR("resource_id")),
        query_get(&v->query, STR("who")), (int64_t)before, (size_t)limit + 1, &all, &n);
    for (size_t i = 0; r == 0 && i < n && i < limit; i++) {
        bool ok;
        r = may_read_conflict(v, db, &all[i], &ok);
        if (ok) {
            json_append(items, conflict_json(v, &all[i], false));
        }
        next = n > limit ? all[i].at_us : 0;
    }
    if (r == 0) {
        answer_list(v, items, next);
    }
    return r;
}

int read_conflict(struct visit *v, struct db *db)
{
    struct conflict_record c;
    bool ok = false;
    int r = conflict_get(db, &v->work, v->args[0], &c);
    r = r < 0 ? r : may_read_conflict(v, db, &c, &ok);
    if (r == -ENOENT || (r == 0 && !ok)) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no refused write \"%.*s\".",
               STR_ARG(str_first(v->args[0], 80)));
        return 0;
    }
    if (r == 0) {
        answer_json(v, 200, conflict_json(v, &c, true));
        answer_line(v, "cache-control", "private, max-age=3600, immutable");
    }
    return r;
}

/* ---- the server's state ---- */

static struct json *ledger_status(struct arena *a, const struct ledger *l)
{
    struct json *j = json_new(a, JSON_OBJECT);
    struct writer *w = ledger_writer(l);
    struct writer_state s = {0};
    json_set(j, STR("lines_lost"), json_new_int(a, (int64_t)ledger_lost(l)));
    json_set(j, STR("recording"), json_new_bool(a, w != NULL));
    if (w) {
        writer_state(w, &s);
        json_set(j, STR("written"), json_new_int(a, (int64_t)s.written));
        json_set(j, STR("waiting"), json_new_int(a, (int64_t)s.waiting));
        json_set(j, STR("spooled"), json_new_int(a, (int64_t)s.spooled));
        json_set(j, STR("dropped"), json_new_int(a, (int64_t)s.dropped));
    }
    if (s.error < 0) {
        json_set(j, STR("error"), json_new_str(a, str_of(strerror(-s.error))));
    }
    return j;
}

int read_status(struct visit *v, struct db *db)
{
    struct arena *a = &v->work;
    struct json *j = json_new(a, JSON_OBJECT), *store = json_new(a, JSON_OBJECT);
    const struct gateway *g = v->platform->gateway;
    struct store_state s;
    int64_t last;
    int r = change_last(db, &last);
    if (r < 0) {
        return r;
    }
    store_state(v->platform->store, &s);
    json_set(j, STR("version"), json_new_str(a, STR(ACCORD_VERSION)));
    json_set(j, STR("generation"), json_new_int(a, (int64_t)g->generation));
    json_set(j, STR("compile_us"), json_new_int(a, (int64_t)g->compile_us));
    struct json *workers = json_new(a, JSON_ARRAY);
    for (unsigned i = 0; i < g->n_workers; i++) {
        struct json *w = json_new(a, JSON_OBJECT);
        json_set(w, STR("generation"), json_new_int(a, (int64_t)g->workers[i].generation));
        json_append(workers, w);
    }
    json_set(j, STR("workers"), workers);
    json_set(j, STR("draining"), json_new_bool(a, g->draining));
    json_set(j, STR("change_seq"), json_new_int(a, last));
    json_set(j, STR("applied_seq"), json_new_int(a, v->platform->applied_seq));
    json_set(store, STR("driver"), json_new_str(a, str_of(s.driver)));
    json_set(store, STR("writable"), json_new_bool(a, s.writable));
    json_set(store, STR("schema"), json_new_int(a, s.schema));
    json_set(store, STR("writes"), json_new_int(a, (int64_t)s.writes));
    json_set(store, STR("commits"), json_new_int(a, (int64_t)s.commits));
    json_set(store, STR("reads"), json_new_int(a, (int64_t)s.reads));
    json_set(store, STR("reruns"), json_new_int(a, (int64_t)s.reruns));
    json_set(j, STR("store"), store);
    json_set(j, STR("ledger"), ledger_status(a, g->ledger));
    answer_json(v, 200, j);
    answer_line(v, "cache-control", "no-store");
    return 0;
}
