/* What is answered: resources as JSON, and refusals as problems. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "conflict/diff.h"
#include "conflict/http_date.h"
#include "conflict/rate_limit.h"
#include "http/negotiate.h"
#include "platform/visit.h"

enum { PROBLEM_MAX = 60 * 1024 }; /* an answer stays under 64 KiB with its head */

void answer_line(struct visit *v, const char *name, const char *fmt, ...)
{
    struct buf *b = &v->answer.fields;
    va_list ap;
    b->arena = &v->work;
    va_start(ap, fmt);
    buf_addz(b, name);
    buf_add(b, STR(": "));
    buf_vprintf(b, fmt, ap);
    buf_add(b, STR("\r\n"));
    va_end(ap);
}

void answer_json(struct visit *v, unsigned status, const struct json *j)
{
    struct buf b = {.arena = &v->work};
    json_print(&b, j, 0);
    v->answer.status = status;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
}

void answer_empty(struct visit *v, unsigned status)
{
    v->answer.status = status;
    v->answer.type = NULL;
    v->answer.body = (struct str){0};
}

/* ---- resources ---- */

struct str resource_etag(struct arena *a, const struct resource *r)
{
    return etag_make(a, r->revision, r->hash);
}

struct str resource_href(struct arena *a, const struct resource_kind *k, struct str id)
{
    struct buf b = {.arena = a};
    buf_printf(&b, "/api/v1/%s/", k->plural);
    url_encode(&b, id);
    return buf_str(&b);
}

static void add_text(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":\"", name);
    buf_add_json(b, value);
    buf_addc(b, '"');
}

static bool names(struct str list, struct str name)
{
    struct str one;
    while (list.n) {
        (void)str_cut(&list, ',', &one);
        if (str_eq(str_trim(one), name)) {
            return true;
        }
    }
    return false;
}

/* Only some of the document's fields: it must be read for that. */
static void add_chosen(struct buf *b, struct visit *v, struct str document, struct str only)
{
    struct json *j;
    struct json_error e;
    if (json_parse(&v->work, document, &j, &e) < 0) {
        return;
    }
    for (struct json *c = j->first; c; c = c->next) {
        if (names(only, c->key)) {
            buf_addz(b, ",\"");
            buf_add_json(b, c->key);
            buf_addz(b, "\":");
            json_print(b, c, 0);
        }
    }
}

void resource_print(struct buf *b, struct visit *v, const struct resource *r, const char *extra,
                    struct str extra_value, struct str only)
{
    struct str own = r->document;
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, r->id);
    buf_addc(b, '"');
    if (only.p) {
        add_chosen(b, v, own, only);
    } else if (own.n > 2) { /* what is between its braces */
        buf_addc(b, ',');
        buf_add(b, str_make(own.p + 1, own.n - 2));
    }
    if (extra) {
        add_text(b, extra, extra_value);
    }
    buf_printf(b, ",\"revision\":%lld", (long long)r->revision);
    add_text(b, "etag", resource_etag(&v->work, r));
    add_text(b, "created_at", time_print(&v->work, r->created_us));
    add_text(b, "created_by", r->created_by);
    add_text(b, "updated_at", time_print(&v->work, r->updated_us));
    add_text(b, "updated_by", r->updated_by);
    buf_addc(b, '}');
}

struct json *resource_tree(struct visit *v, const struct resource *r)
{
    struct buf b = {.arena = &v->work};
    struct json_error e;
    struct json *j = NULL;
    resource_print(&b, v, r, NULL, (struct str){0}, (struct str){0});
    if (json_parse(&v->work, buf_str(&b), &j, &e) < 0) {
        return json_new(&v->work, JSON_OBJECT);
    }
    return j;
}

/* ---- refusals ---- */

void refuse(struct visit *v, enum problem_id id, const char *fmt, ...)
{
    va_list ap;
    if (v->refusal.set) {
        return;
    }
    va_start(ap, fmt);
    v->refusal =
        (struct refusal){.set = true, .id = id, .detail = arena_vprintf(&v->work, fmt, ap)};
    va_end(ap);
}

struct json *refusal_members(struct visit *v)
{
    if (!v->refusal.members) {
        v->refusal.members = json_new(&v->work, JSON_OBJECT);
    }
    return v->refusal.members;
}

void refuse_store(struct visit *v, int error)
{
    if (error == -ECONNRESET) {
        refuse(v, PROBLEM_OUTCOME_UNKNOWN,
               "The connection to the database broke during the commit; read the resource to see "
               "whether the change is there.");
        return;
    }
    refuse(v, PROBLEM_UNAVAILABLE, "%s Nothing was changed.",
           error == -ENOSPC   ? "The disk of the store is full."
           : error == -EROFS  ? "The store cannot be written."
           : error == -EBUSY  ? "Too many requests wait for the store."
           : error == -EAGAIN ? "Too many others change the same at once."
                              : "The store does not answer.");
    v->refusal.retry_after_ms = error == -EBUSY || error == -EAGAIN ? 200 : 5000;
}

static void set_text(struct visit *v, struct json *j, const char *name, struct str value)
{
    json_set(j, str_of(name), json_new_str(&v->work, value));
}

static struct str reason_phrase(unsigned status)
{
    struct str s = http_reason(status);
    return s.n ? s : STR("Error");
}

/* The standard members in their order, then those of the refusal. */
static struct json *problem_tree(struct visit *v, struct str instance)
{
    static const char *const languages[] = {"en", "zh", NULL};
    const struct refusal *f = &v->refusal;
    const struct problem_type *t = &problem_types[f->id];
    struct arena *a = &v->work;
    struct json *j = json_new(a, JSON_OBJECT), *retry = json_new(a, JSON_OBJECT);
    bool chinese = accept_language(visit_field(v, STR("accept-language")), languages) == 1;
    set_text(v, j, "type", problem_uri(a, t, v->base));
    set_text(v, j, "title", str_of(chinese ? t->title_zh : t->title));
    json_set(j, STR("status"), json_new_int(a, t->status));
    set_text(v, j, "detail", f->detail);
    if (instance.n) {
        set_text(v, j, "instance", instance);
    }
    set_text(v, j, "error", reason_phrase(t->status));
    set_text(v, j, "message", f->detail);
    set_text(v, j, "path", v->path);
    set_text(v, j, "code", str_of(t->code));
    set_text(v, j, "request_id", str_of(v->id));
    for (struct json *c = f->members ? f->members->first : NULL, *next; c; c = next) {
        next = c->next;
        json_set(j, c->key, c);
    }
    if (t->status == 409 || t->status == 412 || t->status == 428 || t->status == 429 ||
        t->status == 503) {
        set_text(v, retry, "class", str_of(retry_class_name(t->retry)));
        json_set(retry, STR("after_ms"), json_new_int(a, f->retry_after_ms));
        json_set(j, STR("retry"), retry);
    }
    answer_line(v, "content-language", "%s", chinese ? "zh" : "en");
    return j;
}

/* The values of what is in conflict may be too large for an answer: their record has them. */
static void shorten(struct json *j)
{
    static const char *const large[] = {"conflicts", "mergeable", "resolutions", "errors"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        json_remove(j, str_of(large[i]));
    }
}

/* A refused write is a record of its own. */
static int record(struct visit *v, struct db *db, const struct json *whole, struct str id)
{
    const struct refusal *f = &v->refusal;
    struct buf b = {.arena = &v->work};
    uint64_t tries = 0;
    (void)!str_to_u64(str_trim(visit_field(v, STR("x-stainless-retry-count"))), &tries);
    json_print(&b, whole, 0);
    struct conflict_record c = {
        .id = id,
        .at_us = v->now_us,
        .who = v->who.name,
        .kind = f->kind,
        .resource_id = f->resource_id,
        .code = str_of(problem_types[f->id].code),
        .fields = f->fields.n ? f->fields : STR("[]"),
        .document = buf_str(&b),
        .retry_count = (int64_t)(tries > 1000 ? 1000 : tries),
    };
    return conflict_add(db, &c);
}

static struct str conflict_id(struct arena *a)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t random[20];
    char *p = arena_alloc(a, 23);
    randombytes_buf(random, sizeof random);
    memcpy(p, "cf_", 3);
    for (size_t i = 0; i < sizeof random; i++) {
        p[3 + i] = digits[random[i] & 31];
    }
    return str_make(p, 23);
}

/* How long to wait: spread, so that those who were refused together do not come back together; never
 * more than a minute where SDKs sleep as long as they are told (of a 409). */
static void settle_pause(struct visit *v, const struct problem_type *t)
{
    uint32_t *ms = &v->refusal.retry_after_ms;
    if (*ms && t->status != 409) {
        *ms = (uint32_t)retry_after_spread(*ms, randombytes_random());
    } else if (*ms > 60000) {
        *ms = 60000;
    }
}

/* What SDKs that retry a 409 blindly understand. */
static void retry_fields(struct visit *v, const struct problem_type *t)
{
    bool unchanged = t->retry == RETRY_UNCHANGED;
    if (t->status == 409 || t->status == 412 || t->status == 503) {
        answer_line(v, "x-should-retry", unchanged ? "true" : "false");
    }
    if (v->refusal.retry_after_ms && unchanged) {
        v->answer.fields.arena = &v->work;
        retry_after_fields(&v->answer.fields, v->refusal.retry_after_ms);
    }
}

void refusal_answer(struct visit *v, struct db *db)
{
    const struct problem_type *t = &problem_types[v->refusal.id];
    bool is_conflict = (t->status == 409 || t->status == 412) && v->who.known;
    struct str id = is_conflict ? conflict_id(&v->work) : (struct str){0};
    struct str instance = is_conflict
                              ? arena_printf(&v->work, "/api/v1/conflicts/%.*s", STR_ARG(id))
                              : (struct str){0};
    settle_pause(v, t);
    struct json *j = problem_tree(v, instance);
    if (is_conflict) {
        platform_count_conflict(v->platform, v->refusal.kind, v->refusal.id);
        if (!db || record(v, db, j, id) < 0) { /* better an answer without a record than none */
            json_remove(j, STR("instance"));
        }
    }
    answer_json(v, t->status, j);
    if (v->answer.body.n > PROBLEM_MAX) {
        shorten(j);
        answer_json(v, t->status, j);
    }
    v->answer.type = "application/problem+json";
    v->answer.wait_seq = 0;
    answer_line(v, "cache-control", "no-store");
    retry_fields(v, t);
    if (t->status == 401) {
        answer_line(v, "www-authenticate", "Bearer realm=\"accord\"");
    }
}
