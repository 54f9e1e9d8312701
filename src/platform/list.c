/* Lists of a kind: filters, order, pages. */
#include <errno.h>
#include <stdlib.h>

#include "platform/route.h"
#include "platform/write.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500, SCAN = 1000 };

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
    l->descending = str_starts(sort, STR("-"));
    l->sort = str_from(sort, l->descending);
    if (sort.p && !kind_shows(v->kind->kind, l->sort)) {
        refuse(v, PROBLEM_BAD_QUERY, "sort: %s %s has no field \"%.*s\".",
               article_of(v->kind->kind->name), v->kind->kind->name,
               STR_ARG(str_first(l->sort, 80)));
        return false;
    }
    if (str_eq(l->sort, STR("id")) && !l->descending) {
        l->sort = (struct str){0};
    }
    return fields_parameter(v, &l->fields);
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
            bool seen;
            struct json *j = tree ? resource_tree(v, &some[i]) : NULL;
            r = may_read(v, l->db, v->kind, &some[i], &seen);
            if (r < 0) {
                return r;
            }
            if (seen && (!tree || passes_filters(l, j))) {
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
