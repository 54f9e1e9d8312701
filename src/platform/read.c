/* Reading: one resource, lists, the past, differences. */
#include <errno.h>
#include <stdlib.h>

#include "conflict/diff.h"
#include "conflict/http_date.h"
#include "platform/route.h"
#include "platform/write.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500, SCAN = 1000 };

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
    struct str team;
    *ret_ok = false;
    int r = resource_get(db, &v->work, str_of(v->kind->kind->name), v->args[0], false, ret);
    if (r == -ENOENT) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no %s \"%.*s\".", v->kind->kind->name,
               STR_ARG(str_first(v->args[0], 200)));
        return 0;
    }
    r = r < 0 ? r : team_of(v, db, v->kind, ret, &team);
    if (r == 0 && !may(v, v->kind, "read", team) && !is_own(v, v->kind, ret, "read")) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no %s \"%.*s\".", v->kind->kind->name,
               STR_ARG(str_first(v->args[0], 200)));
        return 0;
    }
    *ret_ok = r == 0;
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

int read_resource(struct visit *v, struct db *db)
{
    struct resource r;
    struct buf b = {.arena = &v->work};
    bool ok;
    int e = load(v, db, &r, &ok);
    if (e < 0 || !ok) {
        return e;
    }
    struct conditions c = visit_conditions(v);
    struct present now = visit_present(v, &r);
    struct judgement j = precondition(CONDITION_READ, &c, &now);
    if (j.verdict == VERDICT_MALFORMED || j.verdict == VERDICT_FAILED) {
        refuse_precondition(v, &j, &r);
        return 0;
    }
    read_fields(v, &r);
    if (j.verdict == VERDICT_NOT_MODIFIED) {
        answer_empty(v, 304);
        return 0;
    }
    resource_print(&b, v, &r, NULL, (struct str){0}, query_get(&v->query, STR("fields")));
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "accept-ranges", "bytes");
    if (!v->is_head) {
        cut_range(v, now.tag.opaque);
    }
    return 0;
}

/* ---- lists ---- */

struct listed {
    const struct resource *r;
    struct json *tree; /* only when sorted or filtered */
};

struct listing {
    struct visit *v;
    struct db *db;
    size_t limit;
    struct str fields;
    struct str sort; /* field; empty: by id */
    bool descending;
    struct listed *all;
    size_t n, cap;
};

static bool is_own_parameter(struct str name)
{
    static const char *const own[] = {"limit", "cursor", "sort", "fields"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (str_eq(name, str_of(own[i]))) {
            return true;
        }
    }
    return false;
}

static bool has_field(const struct kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (str_eq(name, str_of(k->fields[i].name)) && field_is_here(&k->fields[i], true)) {
            return true;
        }
    }
    return str_eq(name, STR("id")) || str_eq(name, STR("created_at")) ||
           str_eq(name, STR("created_by")) || str_eq(name, STR("updated_at")) ||
           str_eq(name, STR("updated_by")) || str_eq(name, STR("revision"));
}

/* What the query asks for; false: refused. */
static bool read_query(struct listing *l)
{
    struct visit *v = l->v;
    struct str limit = query_get(&v->query, STR("limit")), sort = query_get(&v->query, STR("sort"));
    uint64_t n = LIMIT_DEFAULT;
    if (limit.p && (str_to_u64(limit, &n) < 0 || n < 1 || n > LIMIT_MAX)) {
        refuse(v, PROBLEM_BAD_QUERY, "limit: \"%.*s\" is not a number from 1 to %d.",
               STR_ARG(str_first(limit, 40)), LIMIT_MAX);
        return false;
    }
    l->limit = (size_t)n;
    l->fields = query_get(&v->query, STR("fields"));
    l->descending = str_starts(sort, STR("-"));
    l->sort = str_from(sort, l->descending);
    if (l->sort.n && !has_field(v->kind->kind, l->sort)) {
        refuse(v, PROBLEM_BAD_QUERY, "sort: a %s has no field \"%.*s\".", v->kind->kind->name,
               STR_ARG(str_first(l->sort, 80)));
        return false;
    }
    if (str_eq(l->sort, STR("id")) && !l->descending) {
        l->sort = (struct str){0};
    }
    for (size_t i = 0; i < v->query.n; i++) {
        struct str name = v->query.all[i].name;
        if (!is_own_parameter(name) && !has_field(v->kind->kind, name)) {
            refuse(
                v, PROBLEM_BAD_QUERY,
                "\"%.*s\" is not a parameter of this list; allowed: limit, cursor, sort, fields, "
                "and the fields of a %s to filter by.",
                STR_ARG(str_first(name, 80)), v->kind->kind->name);
            return false;
        }
    }
    return true;
}

/* A value as text, to compare: numbers of one length sort as numbers. */
static struct str key_of(struct visit *v, const struct json *tree, struct str field)
{
    const struct json *j = json_get(tree, field);
    struct buf b = {.arena = &v->work};
    if (!j) {
        return (struct str){0};
    }
    if (j->type == JSON_STRING) {
        return j->text;
    }
    if (j->type == JSON_NUMBER) {
        return arena_printf(&v->work, "%20.*s", STR_ARG(j->text));
    }
    json_print(&b, j, 0);
    return buf_str(&b);
}

static bool passes_filters(struct listing *l, const struct json *tree)
{
    const struct query *q = &l->v->query;
    for (size_t i = 0; i < q->n; i++) {
        const struct json *j = json_get(tree, q->all[i].name);
        struct buf b = {.arena = &l->v->work};
        if (is_own_parameter(q->all[i].name)) {
            continue;
        }
        if (j && j->type == JSON_ARRAY) { /* a list passes when it has the value */
            const struct json *c = j->first;
            while (c && !str_eq(c->text, q->all[i].value)) {
                c = c->next;
            }
            if (!c) {
                return false;
            }
            continue;
        }
        if (j && j->type != JSON_STRING) {
            json_print(&b, j, 0);
        }
        struct str have = !j ? (struct str){0} : j->type == JSON_STRING ? j->text : buf_str(&b);
        if (!str_eq(have, q->all[i].value)) {
            return false;
        }
    }
    return true;
}

static void add_listed(struct listing *l, const struct resource *r, struct json *tree)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct listed *all = arena_alloc(&l->v->work, cap * sizeof *all);
        if (l->n) {
            memcpy(all, l->all, l->n * sizeof *all);
        }
        l->all = all;
        l->cap = cap;
    }
    l->all[l->n++] = (struct listed){r, tree};
}

static bool needs_tree(const struct listing *l)
{
    for (size_t i = 0; i < l->v->query.n; i++) {
        if (!is_own_parameter(l->v->query.all[i].name)) {
            return true;
        }
    }
    return l->sort.n > 0;
}

/* Goes through the kind from `after` on, and keeps what may be seen and passes: one more than the
 * limit when ids are the order, all when they are to be sorted. */
static int scan(struct listing *l, struct str after)
{
    struct visit *v = l->v;
    bool tree = needs_tree(l), everywhere = may(v, v->kind, "read", (struct str){0});
    struct resource *some;
    size_t n = SCAN;
    while (n == SCAN && (l->sort.n || l->n <= l->limit)) {
        size_t want = l->sort.n || tree || !everywhere ? SCAN : l->limit + 1;
        int r = resource_list(l->db, &v->work, str_of(v->kind->kind->name), after, want, &some, &n);
        if (r < 0) {
            return r;
        }
        for (size_t i = 0; i < n; i++) {
            struct str team;
            struct json *j = tree ? resource_tree(v, &some[i]) : NULL;
            r = everywhere ? 0 : team_of(v, l->db, v->kind, &some[i], &team);
            if (r < 0) {
                return r;
            }
            if ((everywhere || may(v, v->kind, "read", team) ||
                 is_own(v, v->kind, &some[i], "read")) &&
                (!tree || passes_filters(l, j))) {
                add_listed(l, &some[i], j);
            }
        }
        after = n ? some[n - 1].id : after;
        if (want != SCAN) {
            break;
        }
    }
    return 0;
}

static int order(struct listing *l, struct str key, struct str id, struct str other_key,
                 struct str other_id)
{
    size_t n = key.n < other_key.n ? key.n : other_key.n;
    int c = n ? memcmp(key.p, other_key.p, n) : 0;
    c = c ? c : key.n < other_key.n ? -1 : key.n > other_key.n;
    if (c == 0) {
        n = id.n < other_id.n ? id.n : other_id.n;
        c = n ? memcmp(id.p, other_id.p, n) : 0;
        c = c ? c : id.n < other_id.n ? -1 : id.n > other_id.n;
    }
    return l->descending ? -c : c;
}

static int by_key(const void *x, const void *y, void *arg)
{
    struct listing *l = arg;
    const struct listed *a = x, *b = y;
    return order(l, key_of(l->v, a->tree, l->sort), a->r->id, key_of(l->v, b->tree, l->sort),
                 b->r->id);
}

/* A cursor is the last one's sort key and id, both percent-encoded, with a comma between. */
static struct str cursor_of(struct listing *l, const struct listed *x)
{
    struct buf b = {.arena = &l->v->work};
    url_encode(&b, l->sort.n ? key_of(l->v, x->tree, l->sort) : (struct str){0});
    buf_addc(&b, ',');
    url_encode(&b, x->r->id);
    return buf_str(&b);
}

static bool read_cursor(struct listing *l, struct str *ret_key, struct str *ret_id)
{
    struct str id = query_get(&l->v->query, STR("cursor")), key;
    *ret_key = *ret_id = (struct str){0};
    if (!id.p) {
        return true;
    }
    if (!str_cut(&id, ',', &key) || url_decode(&l->v->work, key, false, ret_key) < 0 ||
        url_decode(&l->v->work, id, false, ret_id) < 0) {
        refuse(l->v, PROBLEM_BAD_QUERY, "cursor: this is none that a list answered.");
        return false;
    }
    return true;
}

static size_t first_behind(struct listing *l, struct str key, struct str id)
{
    size_t i = 0;
    while (id.n && i < l->n &&
           order(l, key_of(l->v, l->all[i].tree, l->sort), l->all[i].r->id, key, id) <= 0) {
        i++;
    }
    return i;
}

static void next_link(struct visit *v, struct str cursor)
{
    struct buf b = {.arena = &v->work};
    buf_printf(&b, "/api/v1/%s?", v->kind->plural);
    for (size_t i = 0; i < v->query.n; i++) {
        if (!str_eq(v->query.all[i].name, STR("cursor"))) {
            url_encode(&b, v->query.all[i].name);
            buf_addc(&b, '=');
            url_encode(&b, v->query.all[i].value);
            buf_addc(&b, '&');
        }
    }
    buf_addz(&b, "cursor=");
    url_encode(&b, cursor);
    answer_line(v, "link", "<%.*s>; rel=\"next\"", STR_ARG(buf_str(&b)));
}

static void print_list(struct listing *l, size_t from)
{
    struct visit *v = l->v;
    struct buf b = {.arena = &v->work};
    size_t to = from + l->limit < l->n ? from + l->limit : l->n;
    buf_addz(&b, "{\"items\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) {
            buf_addc(&b, ',');
        }
        resource_print(&b, v, l->all[i].r, NULL, (struct str){0}, l->fields);
    }
    buf_addc(&b, ']');
    if (to < l->n) {
        struct str cursor = cursor_of(l, &l->all[to - 1]);
        buf_addz(&b, ",\"next_cursor\":\"");
        buf_add_json(&b, cursor);
        buf_addc(&b, '"');
        next_link(v, cursor);
    }
    buf_addc(&b, '}');
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "private, no-cache");
    answer_line(v, "vary", "Authorization, Cookie");
}

int list_resources(struct visit *v, struct db *db)
{
    struct listing l = {.v = v, .db = db};
    struct str key, id;
    if (!read_query(&l) || !read_cursor(&l, &key, &id)) {
        return 0;
    }
    int r = scan(&l, l.sort.n ? (struct str){0} : id);
    if (r < 0) {
        return r;
    }
    if (l.sort.n) {
        qsort_r(l.all, l.n, sizeof *l.all, by_key, &l);
    }
    print_list(&l, l.sort.n ? first_behind(&l, key, id) : 0);
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
    for (size_t i = 0; i < count && i < n; i++) {
        if (i) {
            buf_addc(&b, ',');
        }
        print_state(&b, v, &all[i]);
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
    if (r == -ENOENT) {
        refuse(v, PROBLEM_NOT_FOUND, "The %s \"%.*s\" has no revision \"%.*s\".",
               v->kind->kind->name, STR_ARG(str_first(v->args[0], 200)),
               STR_ARG(str_first(number, 40)));
        return 0;
    }
    *ret_ok = r == 0;
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
    r = r < 0 || !ok ? r : state_at(v, db, to.n ? to : STR("current"), &y, &ok);
    if (r == 0 && ok && !from.n && y.revision > 1) { /* the state before; of the first: nothing */
        from = arena_printf(a, "%lld", (long long)y.revision - 1);
    }
    if (r == 0 && ok && from.n) {
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
