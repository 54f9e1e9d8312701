/* POST /api/v1/explain and GET /api/v1/routing/state: where calls would go, and how those are who would take them.
 * Who asks is found out by the store; the answer is made by the worker, whose snapshot calls run on. */
#include "gateway/explain.h"
#include "platform/ledger.h"
#include "platform/route.h"

enum { TARGETS_DEFAULT = 500, TARGETS_MAX = 2000, HEADERS_MAX = 100, PATH_MAX_BYTES = 2048 };

static void answer(struct visit *v, const struct json *j)
{
    answer_json(v, 200, j);
    answer_line(v, "cache-control", "no-store");
}

/* ---- what is asked ---- */

struct asked {
    struct json *body; /* of the request to /explain */
    struct explain_ask ask;
    struct str key;
};

static bool is_field(struct str name)
{
    static const char *const known[] = {"path", "dialect", "model", "key", "headers", "body", NULL};
    for (size_t i = 0; known[i]; i++) {
        if (str_eq(name, str_of(known[i]))) {
            return true;
        }
    }
    return false;
}

/* The text of a member; p NULL when it is not there. False: it is no text. */
static bool text_member(struct visit *v, const struct json *of, const char *name, struct str *ret)
{
    const struct json *j = json_get(of, str_of(name));
    *ret = (struct str){0};
    if (!j) {
        return true;
    }
    if (j->type != JSON_STRING || j->text.n == 0 || j->text.n > PATH_MAX_BYTES) {
        refuse(v, PROBLEM_INVALID, "%s: must be a text of 1 to %d bytes.", name, PATH_MAX_BYTES);
        return false;
    }
    *ret = j->text;
    return true;
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == 0x7f || (unsigned char)s.p[i] > 0x7f) {
            return false;
        }
    }
    return true;
}

/* Where calls of a dialect go, unless it is said. */
static bool path_of_dialect(struct visit *v, struct str dialect, struct str model, struct str *ret)
{
    static const struct {
        struct str name;
        const char *front, *back; /* around the model, where it stands in the path */
    } paths[] = {
        {{"openai", 6}, "/v1/chat/completions", NULL},
        {{"anthropic", 9}, "/v1/messages", NULL},
        {{"gemini", 6}, "/v1beta/models/", ":generateContent"},
        {{"ollama", 6}, "/api/chat", NULL},
        {{"cohere", 6}, "/v2/chat", NULL},
        {{"bedrock", 7}, "/model/", "/converse"},
    };
    struct buf b = {.arena = &v->work};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!dialect.p || str_eq(dialect, paths[i].name)) {
            buf_addz(&b, paths[i].front);
            if (paths[i].back) {
                url_encode(&b, model);
                buf_addz(&b, paths[i].back);
            }
            *ret = buf_str(&b);
            return true;
        }
    }
    refuse(v, PROBLEM_INVALID,
           "dialect: \"%.*s\" is not allowed; allowed: openai, anthropic, gemini, ollama, cohere, "
           "bedrock; or leave it out and send path.",
           STR_ARG(str_first(dialect, 80)));
    return false;
}

static bool read_path(struct visit *v, struct asked *q, struct str model)
{
    struct str dialect, path;
    if (!text_member(v, q->body, "dialect", &dialect) || !text_member(v, q->body, "path", &path)) {
        return false;
    }
    if (path.p && dialect.p) {
        refuse(v, PROBLEM_INVALID, "dialect: the path says it already; leave one of them out.");
        return false;
    }
    if (!path.p) {
        return path_of_dialect(v, dialect, model, &q->ask.path);
    }
    if (path.p[0] != '/' || !is_visible(path)) {
        refuse(v, PROBLEM_INVALID,
               "path: must be a path of this gateway, such as /v1/chat/completions, with what is "
               "no visible ASCII escaped.");
        return false;
    }
    q->ask.path = path;
    return true;
}

/* What the dry run says itself. */
static bool is_ours(struct str name)
{
    static const char *const own[] = {"host",       "content-length",    "content-type", "expect",
                                      "connection", "transfer-encoding", "upgrade",      NULL};
    for (size_t i = 0; own[i]; i++) {
        if (str_ieq(name, str_of(own[i]))) {
            return true;
        }
    }
    return false;
}

static bool value_is_fine(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool read_headers(struct visit *v, struct asked *q)
{
    const struct json *headers = json_get(q->body, STR("headers"));
    struct buf b = {.arena = &v->work};
    struct str tidy;
    if (headers && headers->type != JSON_OBJECT) {
        refuse(v, PROBLEM_INVALID, "headers: must be an object of names and texts.");
        return false;
    }
    if (headers && json_count(headers) > HEADERS_MAX) {
        refuse(v, PROBLEM_INVALID, "headers: at most %d of them.", HEADERS_MAX);
        return false;
    }
    for (const struct json *h = headers ? headers->first : NULL; h; h = h->next) {
        if (h->type != JSON_STRING || !value_is_fine(h->text) ||
            !rule_field_name.check(&v->work, h->key, &tidy)) {
            refuse(v, PROBLEM_INVALID,
                   "headers: \"%.*s\" is no header; allowed: names of letters, digits, '-' or '_', "
                   "and texts without control characters.",
                   STR_ARG(str_first(h->key, 80)));
            return false;
        }
        if (!is_ours(h->key)) {
            buf_printf(&b, "%.*s: %.*s\r\n", STR_ARG(h->key), STR_ARG(h->text));
        }
    }
    q->ask.fields = buf_str(&b);
    return true;
}

/* The body as it would be sent: with the model, where that is said beside it. */
static bool read_sent_body(struct visit *v, struct asked *q, struct str model)
{
    struct json *body = json_get(q->body, STR("body"));
    struct buf b = {.arena = &v->work};
    if (body && body->type != JSON_OBJECT) {
        refuse(v, PROBLEM_INVALID, "body: must be an object, the body of the call.");
        return false;
    }
    body = body ? body : json_new(&v->work, JSON_OBJECT);
    if (model.p) {
        json_set(body, STR("model"), json_new_str(&v->work, model));
    }
    json_print(&b, body, 0);
    q->ask.body = buf_str(&b);
    return true;
}

static bool read_question(struct visit *v, struct asked *q)
{
    struct json_error e;
    struct str model;
    *q = (struct asked){0};
    if (json_parse(&v->work, v->body, &q->body, &e) < 0) {
        refuse(v, PROBLEM_MALFORMED_JSON, "The body is not JSON: %s, at byte %zu.", e.why, e.at);
        return false;
    }
    if (q->body->type != JSON_OBJECT) {
        refuse(v, PROBLEM_INVALID, "The body must be an object.");
        return false;
    }
    for (const struct json *c = q->body->first; c; c = c->next) {
        if (!is_field(c->key)) {
            refuse(v, PROBLEM_INVALID,
                   "%.*s: unknown field; a question has: path, dialect, model, key, headers, "
                   "body.",
                   STR_ARG(str_first(c->key, 80)));
            return false;
        }
    }
    return text_member(v, q->body, "model", &model) && text_member(v, q->body, "key", &q->key) &&
           read_path(v, q, model) && read_headers(v, q) && read_sent_body(v, q, model);
}

/* ---- who may ask about whom ---- */

/* For a key, who may ask in its team; for none, who may ask everywhere. */
static bool find_key(struct visit *v, struct asked *q)
{
    const struct grants *g = &v->who.grants;
    q->ask.key = q->key.p ? explain_key(v->worker, q->key) : NULL;
    struct str team = q->ask.key ? q->ask.key->team : (struct str){0};
    if (!q->key.p && !grants_may(g, STR("explain.read"), team)) {
        refuse(v, PROBLEM_FORBIDDEN,
               "%.*s may ask this for keys of their teams only; name one in key.",
               STR_ARG(v->who.name));
    } else if (q->key.p && (!q->ask.key || !grants_may(g, STR("explain.read"), team))) {
        refuse(v, PROBLEM_INVALID, "key: there is no key \"%.*s\" that calls can be made with.",
               STR_ARG(str_first(q->key, 80)));
    }
    return !v->refusal.set;
}

static void tell_explanation(struct visit *v)
{
    struct asked q;
    if (read_question(v, &q) && find_key(v, &q)) {
        answer(v, explain(v->worker, &q.ask, &v->work));
    }
}

int explain_call(struct visit *v, struct db *db)
{
    (void)db;
    v->then = v->early ? NULL : tell_explanation;
    return 0;
}

/* ---- the state ---- */

static void tell_state(struct visit *v)
{
    size_t most = TARGETS_DEFAULT;
    if (limit_parameter(v, TARGETS_MAX, &most)) {
        answer(v, routing_state(v->worker, query_get(&v->query, STR("provider")),
                                query_get(&v->query, STR("model")), most, &v->work));
    }
}

/* Providers belong to nobody's team. */
int read_routing_state(struct visit *v, struct db *db)
{
    (void)db;
    if (!grants_may(&v->who.grants, STR("routing.read"), (struct str){0})) {
        refuse(v, PROBLEM_FORBIDDEN, "%.*s may not see how providers are doing.",
               STR_ARG(v->who.name));
        return 0;
    }
    v->then = tell_state;
    return 0;
}
