/* What answers at /v1/responses/{id}: the response, its input items, its end. Each key has its own. */
#include "gateway/kept.h"

#include <errno.h>

#include "http/query.h"
#include "json/scan.h"

enum { LIMIT = 20, LIMIT_MAX = 100 };

/* What was asked; it outlives the request's head. In req->arena. */
struct kept_page {
    struct str id;
    struct str after;
    int64_t limit;
    bool ascending;
};

static struct str json_type(void)
{
    return STR("application/json");
}

static enum next not_found(struct call *c)
{
    struct call_error e = {.status = 404, .code = "response_not_found", .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "Response with id '%.*s' not found.", STR_ARG(c->kept_page->id));
}

static enum next bad(struct call *c, const char *code, const char *param, const char *message)
{
    struct call_error e = {.status = 400, .code = code, .param = param, .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "%s", message);
}

/* ---- the items ---- */

struct item {
    struct str value, id;
};

/* Items that came without an id get one that stays the same. */
static struct str id_of(struct call *c, struct str item, size_t number)
{
    struct str quoted, type = {0}, id = c->kept_page->id;
    const char *prefix = "msg";
    if (json_member(item, STR("id"), &quoted) == JSON_STRING && quoted.n > 2) {
        return str_make(quoted.p + 1, quoted.n - 2);
    }
    if (json_member(item, STR("type"), &type) == JSON_STRING && !str_eq(type, STR("\"message\""))) {
        prefix = str_starts(type, STR("\"function_call")) ? "fc"
                 : str_eq(type, STR("\"reasoning\""))     ? "rs"
                                                          : "item";
    }
    id = str_starts(id, STR("resp_")) ? str_from(id, 5) : id;
    return arena_printf(&c->req->arena, "%s_%.*s_%zu", prefix, STR_ARG(id), number);
}

/* A message's content as the list that it stands for. */
static void add_content(struct buf *b, struct str quoted, bool output)
{
    buf_add(b, output ? STR("[{\"type\":\"output_text\",\"annotations\":[],\"text\":")
                      : STR("[{\"type\":\"input_text\",\"text\":"));
    buf_add(b, quoted);
    buf_add(b, STR("}]"));
}

static void add_item(struct buf *b, const struct item *it)
{
    struct str key, value, role = {0};
    enum json_type type;
    bool has_type = json_member(it->value, STR("type"), &value) == JSON_STRING;
    bool message = !has_type || str_eq(value, STR("\"message\""));
    bool output = json_member(it->value, STR("role"), &role) == JSON_STRING &&
                  str_eq(role, STR("\"assistant\""));
    buf_add(b, STR("{\"id\":\""));
    buf_add(b, it->id);
    buf_add(b, has_type ? STR("\"") : STR("\",\"type\":\"message\""));
    for (size_t at = 0; json_each(it->value, &at, &key, &value, &type);) {
        if (str_eq(key, STR("\"id\"")) || (!has_type && str_eq(key, STR("\"type\"")))) {
            continue;
        }
        buf_addc(b, ',');
        buf_add(b, key);
        buf_addc(b, ':');
        if (message && type == JSON_STRING && str_eq(key, STR("\"content\""))) {
            add_content(b, value, output);
        } else {
            buf_add(b, value);
        }
    }
    if (message && json_member(it->value, STR("status"), &value) == JSON_NONE) {
        buf_add(b, STR(",\"status\":\"completed\""));
    }
    buf_addc(b, '}');
}

/* All items, in the order that was asked for. */
static struct item *read_items(struct call *c, struct str array, size_t *ret_n)
{
    struct str key, value;
    enum json_type type;
    size_t n = 0, number = 0;
    for (size_t at = 0; json_each(array, &at, &key, &value, &type);) {
        n += type == JSON_OBJECT;
    }
    struct item *all = arena_alloc(&c->req->arena, (n + 1) * sizeof *all);
    for (size_t at = 0; json_each(array, &at, &key, &value, &type);) {
        if (type == JSON_OBJECT) {
            size_t to = c->kept_page->ascending ? number : n - 1 - number;
            all[to] = (struct item){value, id_of(c, value, number)};
            number++;
        }
    }
    *ret_n = n;
    return all;
}

static void add_id(struct buf *b, struct str name, const struct item *it)
{
    buf_add(b, name);
    if (it) {
        buf_addc(b, '"');
        buf_add(b, it->id);
        buf_addc(b, '"');
    } else {
        buf_add(b, STR("null"));
    }
}

static enum next list_items(struct call *c, struct str array)
{
    const struct kept_page *p = c->kept_page;
    size_t n, from = 0;
    struct item *all = read_items(c, array, &n);
    struct buf b = {.arena = &c->req->arena};
    if (p->after.n) {
        while (from < n && !str_eq(all[from].id, p->after)) {
            from++;
        }
        if (from == n) {
            return bad(c, "invalid_value", "after", "\"after\" names no item of this response.");
        }
        from++;
    }
    size_t end = n - from > (size_t)p->limit ? from + (size_t)p->limit : n;
    buf_add(&b, STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = from; i < end; i++) {
        buf_add(&b, i > from ? STR(",") : (struct str){0});
        add_item(&b, &all[i]);
    }
    add_id(&b, STR("],\"first_id\":"), end > from ? &all[from] : NULL);
    add_id(&b, STR(",\"last_id\":"), end > from ? &all[end - 1] : NULL);
    buf_add(&b, end < n ? STR(",\"has_more\":true}") : STR(",\"has_more\":false}"));
    return call_reply(c, 200, json_type(), buf_str(&b));
}

/* ---- the store's answers ---- */

static bool is_there(struct call *c, const struct kept_job *j)
{
    if (j->job.result == -ENOENT) {
        not_found(c);
    } else if (j->job.result < 0) {
        kept_unavailable(c);
    }
    return j->job.result >= 0;
}

static void on_response(struct call *c, struct kept_job *j)
{
    if (is_there(c, j)) {
        call_reply(c, 200, json_type(), j->text);
    }
    relay_end_call(c);
}

static void on_items(struct call *c, struct kept_job *j)
{
    if (is_there(c, j)) {
        list_items(c, j->text);
    }
    relay_end_call(c);
}

static void on_cancel(struct call *c, struct kept_job *j)
{
    if (is_there(c, j)) {
        bad(c, "cannot_cancel", NULL, "Cannot cancel a synchronous response.");
    }
    relay_end_call(c);
}

static void on_deleted(struct call *c, struct kept_job *j)
{
    struct buf b = {.arena = &c->req->arena};
    if (is_there(c, j)) {
        buf_add(&b, STR("{\"id\":\""));
        buf_add_json(&b, j->id);
        buf_add(&b, STR("\",\"object\":\"response\",\"deleted\":true}"));
        call_reply(c, 200, json_type(), buf_str(&b));
    }
    relay_end_call(c);
}

static int run_get(struct store_job *job, struct db *db)
{
    struct kept_job *j = (struct kept_job *)job;
    arena_reset(&j->found);
    return kept_response_get(db, &j->found, j->owner, j->id, j->now_us, j->part, &j->text);
}

static int run_delete(struct store_job *job, struct db *db)
{
    struct kept_job *j = (struct kept_job *)job;
    return kept_response_delete(db, j->owner, j->id, j->now_us);
}

/* ---- the request ---- */

static enum next read_query(struct call *c)
{
    const struct h1_head *h = c->req->head;
    struct kept_page *p = c->kept_page;
    struct query *q = arena_zalloc(&c->req->arena, sizeof *q);
    uint64_t limit = LIMIT;
    if (query_parse(&c->req->arena, h1_slice(h, h->query, h->query_n), q) < 0) {
        return bad(c, "invalid_query", NULL, "The query is malformed.");
    }
    struct str text = query_get(q, STR("limit")), order = query_get(q, STR("order"));
    if (text.n && (str_to_u64(text, &limit) < 0 || limit < 1 || limit > LIMIT_MAX)) {
        return bad(c, "invalid_value", "limit", "\"limit\" must be a number from 1 to 100.");
    }
    if (order.n && !str_eq(order, STR("asc")) && !str_eq(order, STR("desc"))) {
        return bad(c, "invalid_value", "order", "\"order\" must be asc or desc.");
    }
    if (str_eq(query_get(q, STR("stream")), STR("true"))) {
        return bad(c, "unsupported_parameter", "stream",
                   "A response that is kept here cannot be streamed again; ask without "
                   "\"stream\".");
    }
    p->limit = (int64_t)limit;
    p->ascending = str_eq(order, STR("asc"));
    p->after = query_get(q, STR("after"));
    return NEXT;
}

static enum next ask(struct call *c, struct str what)
{
    enum h1_method method = c->req->head->method;
    struct kept_job *j;
    if (c->kept_page->id.n > KEPT_ID_MAX || !kept_is_on(c) ||
        memchr(c->kept_page->id.p, 0, c->kept_page->id.n)) {
        c->kept_page->id = str_first(c->kept_page->id, KEPT_ID_MAX);
        return not_found(c);
    }
    j = kept_job_new(c, c->kept_page->id);
    j->job.run = run_get;
    j->part = KEPT_RESPONSE;
    j->then = on_response;
    if (method == M_POST) {
        j->then = on_cancel;
    } else if (method == M_DELETE) {
        j->job.run = run_delete;
        j->job.write = true;
        j->then = on_deleted;
    } else if (what.n) {
        j->part = KEPT_INPUT;
        j->then = on_items;
    }
    kept_ask(c, j);
    return WAIT;
}

enum next page_kept(struct call *c)
{
    struct str rest = str_from(c->ep.rest, 11), id; /* behind /responses/ */
    enum h1_method method = c->req->head->method;
    bool more = str_cut(&rest, '/', &id);
    bool is_get = method == M_GET || method == M_HEAD;
    if (method == M_POST && !(more && str_eq(rest, STR("cancel")))) {
        return NEXT; /* /responses/compact and others: not served yet */
    }
    struct kept_page *p = c->kept_page = arena_zalloc(&c->req->arena, sizeof *p);
    if (url_decode(&c->req->arena, id, false, &p->id) < 0) {
        p->id = arena_dup(&c->req->arena, id);
        return not_found(c);
    }
    if (method != M_POST && more && !(is_get && str_eq(rest, STR("input_items")))) {
        return not_found(c);
    }
    enum next n = is_get ? read_query(c) : NEXT;
    return n == NEXT ? ask(c, more ? rest : (struct str){0}) : n;
}
