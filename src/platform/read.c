/* Reading: one resource, its past, differences. */
#include <errno.h>
#include <stdlib.h>

#include "conflict/diff.h"
#include "conflict/http_date.h"
#include "platform/route.h"
#include "platform/write.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500 };

/* ---- one resource ---- */

static void read_fields(struct visit *v, const struct resource *r)
{
    struct str etag = resource_etag(&v->work, r),
               modified = http_date_print(&v->work, r->updated_us / 1000000);
    answer_line(v, "etag", "%.*s", STR_ARG(etag));
    answer_line(v, "last-modified", "%.*s", STR_ARG(modified));
    answer_line(v, "cache-control", "private, no-cache");
    answer_line(v, "vary", "Authorization, Cookie, Accept-Language");
}

struct conditions visit_conditions(struct visit *v)
{
    struct etag_list since = visit_lines(v, STR("if-modified-since"));
    struct etag_list unmodified = visit_lines(v, STR("if-unmodified-since"));
    return (struct conditions){
        .if_match = visit_lines(v, STR("if-match")),
        .if_none_match = visit_lines(v, STR("if-none-match")),
        .if_modified_since = since.n ? since.lines[0] : (struct str){0},
        .if_unmodified_since = unmodified.n ? unmodified.lines[0] : (struct str){0},
        .doubled_since = since.n > 1 || unmodified.n > 1,
    };
}

struct present visit_present(struct visit *v, const struct resource *r)
{
    struct present p = {.exists = r != NULL, .now_s = v->now_us / 1000000};
    if (r) {
        p.tag.opaque = resource_etag(&v->work, r);
        p.modified_s = r->updated_us / 1000000;
    }
    return p;
}

/* Finds the resource of the path and looks whether it may be read; false: refused. */
static int load(struct visit *v, struct db *db, struct resource *ret, bool *ret_ok)
{
    *ret_ok = false;
    int r = resource_get(db, &v->work, str_of(v->kind->kind->name), v->args[0], false, ret);
    r = r < 0 ? r : may_read(v, db, v->kind, ret, ret_ok);
    if (r == -ENOENT || (r == 0 && !*ret_ok)) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no %s \"%.*s\".", v->kind->kind->name,
               STR_ARG(str_first(v->args[0], 200)));
        return 0;
    }
    return r;
}

/* One range of bytes (RFC 9110, 14.2), if the state is still the one that If-Range names. */
static void cut_range(struct visit *v, struct str etag)
{
    struct str range = visit_field(v, STR("range")), if_range = visit_field(v, STR("if-range"));
    struct str first, last;
    uint64_t from, to, n = v->answer.body.n;
    if (!str_starts(range, STR("bytes=")) || (if_range.p && !str_eq(str_trim(if_range), etag))) {
        return;
    }
    last = str_from(range, 6);
    if (!str_cut(&last, '-', &first) || str_to_u64(first, &from) < 0 || from >= n) {
        return; /* forms that are not served get the whole, as is allowed */
    }
    to = n - 1;
    if (last.n && (str_to_u64(last, &to) < 0 || to < from)) {
        return;
    }
    to = to >= n ? n - 1 : to;
    v->answer.status = 206;
    v->answer.body = str_make(v->answer.body.p + from, (size_t)(to - from + 1));
    answer_line(v, "content-range", "bytes %llu-%llu/%llu", (unsigned long long)from,
                (unsigned long long)to, (unsigned long long)n);
}

int begin_reading(struct visit *v, struct db *db, struct resource *ret, bool *ret_ok)
{
    int e = load(v, db, ret, ret_ok);
    if (e < 0 || !*ret_ok) {
        return e;
    }
    struct conditions c = visit_conditions(v);
    struct present now = visit_present(v, ret);
    struct judgement j = precondition(CONDITION_READ, &c, &now);
    *ret_ok = j.verdict == VERDICT_PROCEED;
    if (j.verdict == VERDICT_MALFORMED || j.verdict == VERDICT_FAILED) {
        refuse_precondition(v, &j, ret);
        return 0;
    }
    read_fields(v, ret);
    if (j.verdict == VERDICT_NOT_MODIFIED) {
        answer_empty(v, 304);
    }
    return 0;
}

int read_resource(struct visit *v, struct db *db)
{
    struct resource r;
    struct buf b = {.arena = &v->work};
    bool ok;
    struct str fields;
    if (!fields_parameter(v, &fields)) {
        return 0;
    }
    int e = begin_reading(v, db, &r, &ok);
    if (e < 0 || !ok) {
        return e;
    }
    resource_print(&b, v, &r, NULL, (struct str){0}, fields);
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "accept-ranges", "bytes");
    if (!v->is_head) {
        cut_range(v, resource_etag(&v->work, &r));
    }
    return 0;
}

/* ---- the past ---- */

static void print_state(struct buf *b, struct visit *v, const struct resource *r)
{
    if (r->document.n) {
        resource_print(b, v, r, "action", r->action, (struct str){0});
        return;
    }
    struct str at = time_print(&v->work, r->updated_us);
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, r->id);
    buf_printf(b,
               "\",\"action\":\"delete\",\"revision\":%lld,\"updated_at\":\"%.*s\","
               "\"updated_by\":\"",
               (long long)r->revision, STR_ARG(at));
    buf_add_json(b, r->updated_by);
    buf_addz(b, "\"}");
}

int read_history(struct visit *v, struct db *db)
{
    struct str kind = str_of(v->kind->kind->name), limit = query_get(&v->query, STR("limit"));
    struct str before = query_get(&v->query, STR("cursor"));
    struct buf b = {.arena = &v->work};
    struct resource *all;
    uint64_t n = LIMIT_DEFAULT, from = 0;
    size_t count;
    bool ok;
    int r = may_read_past(v, db, &ok);
    if (r < 0 || !ok) {
        return r;
    }
    if ((limit.p && (str_to_u64(limit, &n) < 0 || n < 1 || n > LIMIT_MAX)) ||
        (before.p && (str_to_u64(before, &from) < 0 || from > INT64_MAX))) {
        refuse(v, PROBLEM_BAD_QUERY,
               "limit must be a number from 1 to %d, cursor one that a list "
               "answered.",
               LIMIT_MAX);
        return 0;
    }
    r = resource_history(db, &v->work, kind, v->args[0], (int64_t)from, (size_t)n + 1, &all,
                         &count);
    if (r < 0) {
        return r;
    }
    buf_addz(&b, "{\"items\":[");
    for (size_t i = 0; r == 0 && i < count && i < n; i++) {
        r = may_read(v, db, v->kind, &all[i], &ok); /* it may have been another team's */
        if (r == 0 && ok) {
            buf_addz(&b, b.p[b.n - 1] == '[' ? "" : ",");
            print_state(&b, v, &all[i]);
        }
    }
    if (r < 0) {
        return r;
    }
    buf_addc(&b, ']');
    if (count > n) {
        buf_printf(&b, ",\"next_cursor\":\"%lld\"", (long long)all[n - 1].revision);
    }
    buf_addc(&b, '}');
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "private, no-cache");
    return 0;
}

/* A revision by its number, or "current". */
static int state_at(struct visit *v, struct db *db, struct str number, struct resource *ret,
                    bool *ret_ok)
{
    struct str kind = str_of(v->kind->kind->name);
    uint64_t n;
    int r = -ENOENT;
    *ret_ok = false;
    if (str_eq(number, STR("current"))) {
        r = resource_get(db, &v->work, kind, v->args[0], false, ret);
    } else if (str_to_u64(number, &n) == 0 && n > 0 && n <= INT64_MAX) {
        r = resource_at(db, &v->work, kind, v->args[0], (int64_t)n, ret);
    }
    r = r < 0 ? r : may_read(v, db, v->kind, ret, ret_ok);
    if (r == -ENOENT || (r == 0 && !*ret_ok)) {
        refuse(v, PROBLEM_NOT_FOUND, "The %s \"%.*s\" has no revision \"%.*s\".",
               v->kind->kind->name, STR_ARG(str_first(v->args[0], 200)),
               STR_ARG(str_first(number, 40)));
        return 0;
    }
    return r;
}

int read_revision(struct visit *v, struct db *db)
{
    struct buf b = {.arena = &v->work};
    struct resource state;
    bool ok;
    int r = may_read_past(v, db, &ok);
    r = r < 0 || !ok ? r : state_at(v, db, v->args[1], &state, &ok);
    if (r < 0 || !ok) {
        return r;
    }
    print_state(&b, v, &state);
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "%s",
                str_eq(v->args[1], STR("current")) ? "private, no-cache"
                                                   : "private, max-age=31536000, immutable");
    return 0;
}

static struct json *own_tree(struct visit *v, const struct resource *r)
{
    struct json *j;
    struct json_error e;
    return r->document.n && json_parse(&v->work, r->document, &j, &e) == 0
               ? j
               : json_new(&v->work, JSON_OBJECT);
}

static struct json *change_json(struct visit *v, const struct change_at *c)
{
    struct arena *a = &v->work;
    struct json *j = json_new(a, JSON_OBJECT);
    json_set(j, STR("pointer"), json_new_str(a, c->pointer));
    if (c->from) {
        json_set(j, STR("from"), json_clone(a, c->from));
    }
    if (c->to) {
        json_set(j, STR("to"), json_clone(a, c->to));
    }
    return j;
}

int read_diff(struct visit *v, struct db *db)
{
    struct str from = query_get(&v->query, STR("from")), to = query_get(&v->query, STR("to"));
    struct arena *a = &v->work;
    struct resource x = {0}, y;
    bool ok;
    int r = may_read_past(v, db, &ok);
    r = r < 0 || !ok ? r : state_at(v, db, to.p ? to : STR("current"), &y, &ok);
    if (r == 0 && ok && !from.p && y.revision > 1) { /* the state before; of the first: nothing */
        from = arena_printf(a, "%lld", (long long)y.revision - 1);
    }
    if (r == 0 && ok && from.p) {
        r = state_at(v, db, from, &x, &ok);
    }
    if (r < 0 || !ok) {
        return r;
    }
    struct changes c = {.arena = a};
    struct json *j = json_new(a, JSON_OBJECT), *list = json_new(a, JSON_ARRAY);
    struct merge_rules rules = kind_merge_rules(v->kind, a);
    diff(&c, own_tree(v, &x), own_tree(v, &y), &rules);
    for (size_t i = 0; i < c.n; i++) {
        json_append(list, change_json(v, &c.all[i]));
    }
    json_set(j, STR("from"), json_new_int(a, x.revision));
    json_set(j, STR("to"), json_new_int(a, y.revision));
    json_set(j, STR("changes"), list);
    json_set(j, STR("patch"), diff_patch(a, own_tree(v, &x), own_tree(v, &y)));
    answer_json(v, 200, j);
    return 0;
}
