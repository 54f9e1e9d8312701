/* The description of this API, OpenAPI 3.1: made of the route table, the field tables and the table
 * of problems; openapi.json beside this file has what no table knows: the parameters, bodies and
 * answers of each route by its name, where * stands for the kind. It is made once. */
#include <pthread.h>
#include <string.h>

#include "base/must.h"
#include "conflict/etag.h"
#include "openapi_text.h"
#include "platform/route.h"
#include "platform/write.h"

struct describing {
    struct arena *arena;
    struct json *doc, *paths, *operations, *repeats; /* repeats: x-idempotency of writes */
};

static struct json *text(struct describing *d, struct str s)
{
    return json_new_str(d->arena, s);
}

static struct json *member(struct describing *d, struct json *of, struct str name)
{
    struct json *j = json_get(of, name);
    return j ? j : json_set(of, name, json_new(d->arena, JSON_OBJECT));
}

static struct str capital(struct arena *a, struct str s)
{
    struct str copy = arena_dup(a, s);
    char *p = (char *)(uintptr_t)copy.p;
    *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    return copy;
}

/* "a *" with its article, "*s" in its plural, "*". */
static struct str named(struct describing *d, const char *pattern, const struct resource_kind *k,
                        bool capitals)
{
    struct buf b = {.arena = d->arena};
    struct str one = str_of(k ? k->kind->name : ""), many = str_of(k ? k->plural : "");
    for (const char *p = pattern; *p; p++) {
        if (*p == 'a' && p[1] == ' ' && p[2] == '*' && k) {
            buf_addz(&b, article_of(k->kind->name));
        } else if (*p == '*' && k) {
            bool plural = p[1] == 's' && (p[2] == 0 || p[2] == ' ');
            struct str s = plural ? many : one;
            buf_add(&b, capitals ? capital(d->arena, s) : s);
            p += plural;
        } else {
            buf_addc(&b, *p);
        }
    }
    return buf_str(&b);
}

/* References of the template that mean the kind. */
static void set_kind(struct describing *d, struct json *j, const struct resource_kind *k)
{
    for (struct json *c = j->first; c; c = c->next) {
        if (c->type == JSON_STRING && str_eq(c->key, STR("$ref"))) {
            c->text = named(d, arena_dupz(d->arena, c->text), k, true);
        }
        set_kind(d, c, k);
    }
}

/* ---- problems ---- */

static struct json *reference(struct describing *d, struct str to)
{
    struct json *j = json_new(d->arena, JSON_OBJECT);
    json_set(j, STR("$ref"), text(d, to));
    return j;
}

static struct json *example_of(struct describing *d, const struct problem_type *t)
{
    struct json *example = json_new(d->arena, JSON_OBJECT), *v = json_new(d->arena, JSON_OBJECT);
    json_set(v, STR("type"), text(d, problem_uri(d->arena, t, (struct str){0})));
    json_set(v, STR("title"), text(d, str_of(t->title)));
    json_set(v, STR("status"), json_new_int(d->arena, t->status));
    json_set(v, STR("detail"), text(d, str_of(t->what)));
    json_set(v, STR("error"), text(d, str_of(t->title)));
    json_set(v, STR("message"), text(d, str_of(t->what)));
    json_set(v, STR("path"), text(d, STR("/api/v1/teams/core")));
    json_set(v, STR("code"), text(d, str_of(t->code)));
    json_set(v, STR("request_id"), text(d, STR("01kaz3m9v0q2d8r4")));
    json_set(example, STR("summary"), text(d, str_of(t->title)));
    json_set(example, STR("value"), v);
    return example;
}

/* One response for each status, with all problems that have it as examples. */
static void describe_problems(struct describing *d)
{
    struct json *responses = member(d, json_get(d->doc, STR("components")), STR("responses"));
    for (size_t i = 0; i < PROBLEM_COUNT; i++) {
        const struct problem_type *t = &problem_types[i];
        if (t->status == 405 || t->status == 406) { /* never of an operation that is listed */
            continue;
        }
        struct str name = arena_printf(d->arena, "Problem%u", t->status);
        struct json *r = member(d, responses, name);
        struct json *media =
            member(d, member(d, r, STR("content")), STR("application/problem+json"));
        struct json *description = json_get(r, STR("description"));
        if (!description) {
            json_set(r, STR("description"), text(d, str_of(t->title)));
            json_set(media, STR("schema"), reference(d, STR("#/components/schemas/Problem")));
        } else {
            description->text =
                arena_printf(d->arena, "%.*s; %s", STR_ARG(description->text), t->title);
        }
        json_set(member(d, media, STR("examples")), str_of(t->code), example_of(d, t));
        if (t->status == 429 || t->status == 503) {
            json_set(member(d, r, STR("headers")), STR("Retry-After"),
                     reference(d, STR("#/components/headers/Retry-After")));
        }
        if (t->status == 429) {
            struct json *headers = member(d, r, STR("headers"));
            json_set(headers, STR("RateLimit"),
                     reference(d, STR("#/components/headers/RateLimit")));
            json_set(headers, STR("RateLimit-Policy"),
                     reference(d, STR("#/components/headers/RateLimit-Policy")));
        }
    }
}

/* ---- operations ---- */

static void add_problems(struct describing *d, struct json *operation)
{
    struct json *statuses = json_get(operation, STR("x-problems"));
    struct json *responses = member(d, operation, STR("responses"));
    for (struct json *s = statuses ? statuses->first : NULL; s; s = s->next) {
        json_set(responses, s->text,
                 reference(d, arena_printf(d->arena, "#/components/responses/Problem%.*s",
                                           STR_ARG(s->text))));
    }
    json_remove(operation, STR("x-problems"));
    json_set(responses, STR("500"), reference(d, STR("#/components/responses/Problem500")));
}

static struct str permission_of(struct describing *d, const struct route *r,
                                const struct resource_kind *k, const struct action *action)
{
    switch (r->access) {
    case ACCESS_PUBLIC:
        return STR("Needs no sign-in.");
    case ACCESS_KNOWN:
        return STR("Needs an access token or a session.");
    case ACCESS_PERMISSION:
        return arena_printf(d->arena, "Needs the permission `%s`.", r->permission);
    case ACCESS_VERB:
        break;
    }
    return arena_printf(d->arena, "Needs the permission `%s.%s`.", k->kind->name,
                        action && r->method == M_POST ? action->name : r->permission);
}

/* The parameters of the path stand at its item, for all of its methods. */
static void add_path_parameters(struct describing *d, struct json *item, struct str path)
{
    static const char *const names[] = {"id", "revision"};
    if (json_get(item, STR("parameters"))) {
        return;
    }
    struct json *list = json_new(d->arena, JSON_ARRAY);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_find(path, arena_printf(d->arena, "{%s}", names[i])) >= 0) {
            json_append(list, reference(d, arena_printf(d->arena, "#/components/parameters/path-%s",
                                                        names[i])));
        }
    }
    if (list->first) {
        json_set(item, STR("parameters"), list);
    }
}

static struct str path_of(struct describing *d, const struct route *r,
                          const struct resource_kind *k, const struct action *action)
{
    struct buf b = {.arena = d->arena};
    struct str rest = str_from(str_of(r->path), 1), one;
    while (rest.n) {
        (void)str_cut(&rest, '/', &one);
        buf_addc(&b, '/');
        buf_add(&b, str_eq(one, STR("{kind}"))     ? str_of(k->plural)
                    : str_eq(one, STR("{action}")) ? str_of(action->name)
                                                   : one);
    }
    return buf_str(&b);
}

static const char *method_of(const struct route *r)
{
    return r->method == M_GET     ? "get"
           : r->method == M_POST  ? "post"
           : r->method == M_PUT   ? "put"
           : r->method == M_PATCH ? "patch"
                                  : "delete";
}

static bool ends_at(struct describing *d, const struct json *schema, const struct resource_kind *k,
                    const char *suffix)
{
    const struct json *to = schema ? json_get(schema, STR("$ref")) : NULL;
    struct str name = capital(d->arena, str_of(k->kind->name));
    return to && str_eq(to->text, arena_printf(d->arena, "#/components/schemas/%.*s%s",
                                               STR_ARG(name), suffix));
}

static void set_example(struct describing *d, struct json *body, const struct resource_kind *k)
{
    struct json *content = json_get(body, STR("content"));
    for (struct json *media = content ? content->first : NULL; media; media = media->next) {
        const struct json *schema = json_get(media, STR("schema"));
        if (ends_at(d, schema, k, "")) {
            json_set(media, STR("example"), resource_example(d->arena, k));
        } else if (ends_at(d, schema, k, "Input")) {
            json_set(media, STR("example"), kind_example(d->arena, k->kind));
        } else if (ends_at(d, schema, k, "Page")) {
            struct json *page = json_new(d->arena, JSON_OBJECT);
            struct json *items = json_new(d->arena, JSON_ARRAY);
            json_append(items, resource_example(d->arena, k));
            json_set(page, STR("items"), items);
            json_set(media, STR("example"), page);
        }
    }
}

/* An example to each body that is a resource of the kind, or a page of them. */
static void add_examples(struct describing *d, struct json *operation,
                         const struct resource_kind *k)
{
    struct json *responses = json_get(operation, STR("responses"));
    struct json *sent = json_get(operation, STR("requestBody"));
    for (struct json *r = responses ? responses->first : NULL; k && r; r = r->next) {
        set_example(d, r, k);
    }
    if (k && sent) {
        set_example(d, sent, k);
    }
}

/* "approve*" of the POST, "mayApprove*" of the GET. */
static const char *action_name(struct describing *d, const struct route *r,
                               const struct action *action)
{
    struct str name = str_of(action->name);
    return arena_dupz(d->arena, arena_printf(d->arena, "%s%.*s*", r->name,
                                             STR_ARG(r->name[0] ? capital(d->arena, name) : name)));
}

static struct str action_summary(struct describing *d, const struct route *r,
                                 const struct resource_kind *k, const struct action *action)
{
    struct str name = str_of(action->name);
    return r->method == M_GET ? arena_printf(d->arena, "Ask whether the %s can be changed by %.*s",
                                             k->kind->name, STR_ARG(name))
                              : arena_printf(d->arena, "%.*s the %s",
                                             STR_ARG(capital(d->arena, name)), k->kind->name);
}

static void describe(struct describing *d, const struct route *r, const struct resource_kind *k,
                     const struct action *action)
{
    struct arena *a = d->arena;
    struct json *operation = json_new(a, JSON_OBJECT), *tags = json_new(a, JSON_ARRAY), *next;
    const char *name = action ? action_name(d, r, action) : r->name;
    struct str path = path_of(d, r, k, action);
    struct json *item = member(d, d->paths, path);
    json_append(tags, text(d, k ? str_of(k->plural)
                              : str_starts(path, STR("/me")) || str_starts(path, STR("/session"))
                                  ? STR("account")
                                  : STR("server")));
    json_set(operation, STR("operationId"), text(d, named(d, name, k, true)));
    json_set(operation, STR("summary"),
             text(d, action ? action_summary(d, r, k, action) : named(d, r->summary, k, false)));
    json_set(operation, STR("description"),
             text(d, arena_printf(a, "%s%s%.*s", action ? action->help : "", action ? " " : "",
                                  STR_ARG(permission_of(d, r, k, action)))));
    json_set(operation, STR("tags"), tags);
    if (r->access == ACCESS_PUBLIC) {
        json_set(operation, STR("security"), json_new(a, JSON_ARRAY));
    }
    const struct json *from = json_get(d->operations, str_of(r->name));
    struct json *template = from ? json_clone(a, from) : json_new(a, JSON_OBJECT);
    set_kind(d, template, k);
    for (struct json *c = template->first; c; c = next) {
        next = c->next;
        json_set(operation, c->key, c);
    }
    if (k && (r->flags & ROUTE_WRITE)) {
        json_set(operation, STR("x-idempotency"), json_clone(a, d->repeats));
    }
    add_examples(d, operation, k);
    add_problems(d, operation);
    add_path_parameters(d, item, path);
    json_set(item, str_of(method_of(r)), operation);
}

/* ---- kinds ---- */

/* A page of them, as lists answer. */
static struct json *page_schema(struct describing *d, struct str name)
{
    struct json *j =
        json_clone(d->arena, json_get(json_get(json_get(d->doc, STR("components")), STR("schemas")),
                                      STR("Page")));
    struct json *items = json_get(json_get(j, STR("properties")), STR("items"));
    json_set(items, STR("items"),
             reference(d, arena_printf(d->arena, "#/components/schemas/%.*s", STR_ARG(name))));
    return j;
}

static struct json *told(struct describing *d, const char *help)
{
    struct json *j = json_new(d->arena, JSON_OBJECT);
    json_set(j, STR("type"), text(d, STR("string")));
    json_set(j, STR("description"), text(d, str_of(help)));
    json_set(j, STR("readOnly"), json_new_bool(d->arena, true));
    return j;
}

/* As it is answered (with `fields` any part of it), as it is sent whole, and as a merge patch. */
static void add_schemas(struct describing *d, struct json *schemas, const struct resource_kind *k,
                        struct str name)
{
    struct arena *a = d->arena;
    static const char *const always[] = {"id", "revision", "etag"};
    struct json *answered = resource_schema(a, k), *required = json_new(a, JSON_ARRAY);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        json_append(required, text(d, str_of(always[i])));
    }
    json_remove(answered, STR("required"));
    json_set(answered, STR("required"), required);
    struct json *properties = json_get(answered, STR("properties"));
    json_set(properties, STR("action"), told(d, "What made this state; only in the history."));
    struct json *base = told(d, "The revision that a merge started from; only in its answer.");
    json_get(base, STR("type"))->text = STR("integer");
    json_set(base, STR("format"), text(d, STR("int64")));
    json_set(base, STR("minimum"), json_new_int(a, 1));
    json_set(base, STR("maximum"), json_new_int(a, 9007199254740991));
    json_set(properties, STR("merged_from"), base);
    if (k->issues != ISSUED_NONE) {
        json_set(properties, STR("secret"),
                 told(d, "The secret; only in the answer to what has made it, and never again."));
    }
    json_set(schemas, name, answered);
    json_set(schemas, arena_printf(a, "%.*sInput", STR_ARG(name)), resource_schema(a, k));
    json_set(schemas, arena_printf(a, "%.*sPatch", STR_ARG(name)), patch_schema(a, k));
}

static void describe_kind(struct describing *d, const struct resource_kind *k)
{
    struct json *schemas = json_get(json_get(d->doc, STR("components")), STR("schemas"));
    struct str name = capital(d->arena, str_of(k->kind->name));
    struct json *tag = json_new(d->arena, JSON_OBJECT);
    json_set(tag, STR("name"), text(d, str_of(k->plural)));
    json_set(tag, STR("description"), text(d, str_of(k->kind->help)));
    json_append(json_get(d->doc, STR("tags")), tag);
    add_schemas(d, schemas, k, name);
    json_set(schemas, arena_printf(d->arena, "%.*sPage", STR_ARG(name)), page_schema(d, name));
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *r = &routes[i];
        if (r->access != ACCESS_VERB || !route_of_kind(r, k)) {
            continue;
        }
        for (size_t n = 0; (r->flags & ROUTE_ACTION) && n < k->n_actions; n++) {
            describe(d, r, k, &k->actions[n]);
        }
        if (!(r->flags & ROUTE_ACTION)) {
            describe(d, r, k, NULL);
        }
    }
}

static struct json *describe_all(struct arena *a)
{
    struct describing d = {.arena = a};
    struct json_error e;
    must(json_parse(a, str_of(openapi_text), &d.doc, &e) == 0);
    d.paths = json_get(d.doc, STR("paths"));
    d.operations = json_get(d.doc, STR("operations"));
    d.repeats = json_get(d.doc, STR("repeats"));
    json_set(json_get(d.doc, STR("info")), STR("version"), text(&d, STR(ACCORD_VERSION)));
    json_remove(d.doc, STR("operations"));
    json_remove(d.doc, STR("repeats"));
    describe_problems(&d);
    for (const struct resource_kind *const *k = resource_kinds; *k; k++) {
        describe_kind(&d, *k);
    }
    json_remove(json_get(json_get(d.doc, STR("components")), STR("schemas")), STR("Page"));
    for (size_t i = 0; i < n_routes; i++) {
        if (routes[i].access != ACCESS_VERB) {
            describe(&d, &routes[i], NULL, NULL);
        }
    }
    return d.doc;
}

/* ---- the answer ---- */

static struct {
    pthread_once_t once;
    struct buf text;
    struct str etag;
    char etag_text[32];
} made = {.once = PTHREAD_ONCE_INIT};

static void make(void)
{
    struct arena a = {0};
    struct str hash;
    struct json *doc = describe_all(&a);
    document_hash(&a, STR("openapi"), doc, &hash);
    json_print(&made.text, doc, 1);
    struct str etag = etag_make(&a, 1, hash);
    memcpy(made.etag_text, etag.p, etag.n);
    made.etag = str_make(made.etag_text, etag.n);
    arena_reset(&a);
}

int read_openapi(struct visit *v, struct db *db)
{
    (void)db;
    pthread_once(&made.once, make);
    struct etag_list list = visit_lines(v, STR("if-none-match"));
    struct etag tag = {.opaque = made.etag};
    enum etag_match match = etag_match(&list, tag, false);
    answer_empty(v, match == ETAG_FOUND || match == ETAG_ANY ? 304 : 200);
    if (v->answer.status == 200) {
        v->answer.type = "application/json";
        v->answer.body = buf_str(&made.text);
    }
    answer_line(v, "etag", "%.*s", STR_ARG(made.etag));
    answer_line(v, "cache-control", "no-cache");
    return 0;
}
