/* What an answer to a refused write says, so that its reader can go on: the present state, both
 * sides of each field, and ready-made requests. */
#include <errno.h>

#include "conflict/http_date.h"
#include "platform/write.h"

static struct json *text(struct visit *v, struct str s)
{
    return json_new_str(&v->work, s);
}

static struct json *object(struct visit *v)
{
    return json_new(&v->work, JSON_OBJECT);
}

static void about(struct visit *v, const struct resource_kind *k, struct str id)
{
    struct json *r = object(v);
    json_set(r, STR("kind"), text(v, str_of(k->kind->name)));
    json_set(r, STR("id"), text(v, id));
    json_set(r, STR("href"), text(v, resource_href(&v->work, k, id)));
    json_set(refusal_members(v), STR("resource"), r);
    v->refusal.kind = str_of(k->kind->name);
    v->refusal.resource_id = id;
}

static struct json *state(struct visit *v, const struct resource *r)
{
    struct json *j = object(v);
    json_set(j, STR("revision"), json_new_int(&v->work, r->revision));
    json_set(j, STR("etag"), text(v, resource_etag(&v->work, r)));
    json_set(j, STR("changed_by"), text(v, r->updated_by));
    json_set(j, STR("changed_at"), text(v, time_print(&v->work, r->updated_us)));
    return j;
}

/* Links of a versioned resource (RFC 5829). */
static void link_versions(struct visit *v, const struct resource_kind *k, struct str id)
{
    struct str href = resource_href(&v->work, k, id);
    answer_line(v, "link",
                "<%.*s>; rel=\"latest-version\", <%.*s/history>; rel=\"version-history\"",
                STR_ARG(href), STR_ARG(href));
}

void tell_current(struct visit *v, const struct resource_kind *k, const struct resource *now)
{
    about(v, k, now->id);
    json_set(refusal_members(v), STR("current"), state(v, now));
    answer_line(v, "etag", "%.*s", STR_ARG(resource_etag(&v->work, now)));
    link_versions(v, k, now->id);
}

void refuse_precondition(struct visit *v, const struct judgement *j, const struct resource *now)
{
    if (j->verdict == VERDICT_MALFORMED) {
        refuse(
            v, PROBLEM_MALFORMED_FIELD,
            "%s must be * or a list of entity tags in quotes, such as \"3-9f2c01aa\"; nothing was "
            "done.",
            j->field);
        return;
    }
    if (!now) {
        refuse(v, PROBLEM_PRECONDITION_FAILED, "%s asks for a state, but there is no %s \"%.*s\".",
               j->field, v->kind->kind->name, STR_ARG(str_first(v->args[0], 200)));
        about(v, v->kind, v->args[0]);
        return;
    }
    if (str_eq(str_of(j->field), STR("If-None-Match"))) {
        refuse(v, PROBLEM_PRECONDITION_FAILED,
               "The %s \"%.*s\" is there already, at revision %lld.", v->kind->kind->name,
               STR_ARG(now->id), (long long)now->revision);
    } else {
        refuse(v, PROBLEM_PRECONDITION_FAILED,
               "%s does not name the present state: %.*s made revision %lld.", j->field,
               STR_ARG(now->updated_by), (long long)now->revision);
    }
    tell_current(v, v->kind, now);
}

/* ---- edit conflicts ---- */

static struct json *conflict_json(struct visit *v, const struct merge_conflict *c,
                                  const struct resource *now)
{
    struct arena *a = &v->work;
    struct json *j = object(v);
    json_set(j, STR("pointer"), text(v, c->pointer));
    const struct {
        const char *name;
        const struct json *value;
    } sides[] = {{"base", c->base}, {"theirs", c->theirs}, {"yours", c->yours}};
    for (size_t i = 0; i < 3; i++) {
        if (sides[i].value) {
            json_set(j, str_of(sides[i].name), json_clone(a, sides[i].value));
        }
    }
    json_set(j, STR("changed_by"), text(v, now->updated_by));
    json_set(j, STR("changed_at"), text(v, time_print(a, now->updated_us)));
    json_set(j, STR("revision"), json_new_int(a, now->revision));
    return j;
}

static struct json *resolution(struct visit *v, const char *rel, const char *method,
                               struct str href)
{
    struct json *j = object(v);
    json_set(j, STR("rel"), text(v, str_of(rel)));
    json_set(j, STR("method"), text(v, str_of(method)));
    json_set(j, STR("href"), text(v, href));
    return j;
}

static void tell_resolutions(struct writing *w, const struct json *merged, bool has_yours)
{
    struct visit *v = w->v;
    struct str href = resource_href(&v->work, w->kind, w->id);
    struct str etag = resource_etag(&v->work, &w->now);
    struct json *list = json_new(&v->work, JSON_ARRAY), *j;
    json_append(list, resolution(v, "take-theirs", "GET", href));
    if (has_yours) {
        j = resolution(v, "force-mine", w->mode == WRITE_REPLACE ? "PUT" : "PATCH", href);
        json_set(j, STR("if_match"), text(v, etag));
        json_append(list, j);
    }
    struct json *patch = merged ? diff_patch(&v->work, w->own, merged) : NULL;
    if (patch && patch->first) {
        j = resolution(v, "apply-merged", "PATCH", href);
        json_set(j, STR("if_match"), text(v, etag));
        json_set(j, STR("content_type"), text(v, STR("application/json-patch+json")));
        json_set(j, STR("patch"), patch);
        json_append(list, j);
    }
    json_set(refusal_members(v), STR("resolutions"), list);
}

static void tell_fields(struct writing *w, const struct merge *m)
{
    struct visit *v = w->v;
    struct json *conflicts = json_new(&v->work, JSON_ARRAY);
    struct json *mergeable = json_new(&v->work, JSON_ARRAY);
    struct buf fields = {.arena = &v->work};
    buf_addc(&fields, '[');
    for (size_t i = 0; i < m->n_conflicts; i++) {
        json_append(conflicts, conflict_json(v, &m->conflicts[i], &w->now));
        buf_addz(&fields, i ? ",\"" : "\"");
        buf_add_json(&fields, m->conflicts[i].pointer);
        buf_addc(&fields, '"');
    }
    buf_addc(&fields, ']');
    for (size_t i = 0; i < m->yours.n; i++) {
        struct json *j = object(v);
        json_set(j, STR("pointer"), text(v, m->yours.all[i].pointer));
        if (m->yours.all[i].to) {
            json_set(j, STR("yours"), json_clone(&v->work, m->yours.all[i].to));
        }
        json_append(mergeable, j);
    }
    v->refusal.fields = buf_str(&fields);
    json_set(refusal_members(v), STR("conflicts"), conflicts);
    json_set(refusal_members(v), STR("mergeable"), mergeable);
}

void tell_edit_conflict(struct writing *w, const struct resource *base, const struct json *base_own,
                        const struct json *yours)
{
    struct visit *v = w->v;
    struct merge m = {0};
    tell_current(v, w->kind, &w->now);
    if (base) {
        struct json *b = object(v);
        json_set(b, STR("revision"), json_new_int(&v->work, base->revision));
        json_set(b, STR("etag"), text(v, resource_etag(&v->work, base)));
        json_set(refusal_members(v), STR("base"), b);
    }
    if (base && yours) {
        struct merge_rules rules = kind_merge_rules(w->kind, &v->work);
        merge3(&v->work, base_own, w->own, yours, &rules, &m);
        tell_fields(w, &m);
    }
    tell_resolutions(w, m.merged, yours != NULL);
}

/* ---- what the database would not take ---- */

static void link_existing(struct writing *w, const struct resource_refusal *why, const char *rel)
{
    struct visit *v = w->v;
    struct json *links = object(v), *list = json_new(&v->work, JSON_ARRAY);
    struct str href = resource_href(&v->work, resource_kind_named(why->kind), why->id);
    json_set(links, str_of(rel), text(v, href));
    json_set(refusal_members(v), STR("links"), links);
    json_append(list, resolution(v, rel, "GET", href));
    json_set(refusal_members(v), STR("resolutions"), list);
}

/* The fields whose value, or whose values together, are taken: "/email", "/team+/name". */
static struct json *taken_fields(struct writing *w, const struct resource_refusal *why)
{
    struct visit *v = w->v;
    struct json *list = json_new(&v->work, JSON_ARRAY);
    struct str rest = why->pointer, one;
    if (!rest.n || (w->kind->also_named && str_eq(why->value, w->id))) {
        rest = STR("/id");
    } else if (w->kind->also_named) {
        rest = arena_printf(&v->work, "/%s", w->kind->also_named);
    }
    while (rest.n) {
        (void)str_cut(&rest, '+', &one);
        json_append(list, text(v, arena_printf(&v->work, "#%.*s", STR_ARG(one))));
    }
    return list;
}

static int tell_existing(struct writing *w, const struct resource_refusal *why)
{
    struct visit *v = w->v;
    const struct json *fields = taken_fields(w, why);
    struct json *conflicts = json_new(&v->work, JSON_ARRAY);
    struct buf names = {.arena = &v->work}, pointers = {.arena = &v->work};
    struct resource other;
    bool seen, together = fields->first->next != NULL;
    for (const struct json *f = fields->first; f; f = f->next) {
        struct json *conflict = object(v);
        json_set(conflict, STR("pointer"), text(v, f->text));
        json_append(conflicts, conflict);
        buf_printf(&names, "%s%.*s", names.n ? " and " : "", STR_ARG(str_from(f->text, 2)));
        buf_printf(&pointers, "%s\"%.*s\"", pointers.n ? "," : "[", STR_ARG(str_from(f->text, 1)));
    }
    refuse(v, PROBLEM_ALREADY_EXISTS, "Another %s has this %.*s already%s%.*s%s.",
           w->kind->kind->name, STR_ARG(w->kind->also_named ? STR("name") : buf_str(&names)),
           together ? "" : ": \"", together ? 0 : (int)why->value.n,
           why->value.p ? why->value.p : "", together ? "" : "\"");
    json_set(refusal_members(v), STR("conflicts"), conflicts);
    json_set(refusal_members(v), STR("pointer"), text(v, fields->last->text));
    v->refusal.kind = str_of(w->kind->kind->name);
    v->refusal.resource_id = why->id;
    v->refusal.fields = arena_printf(&v->work, "%.*s]", STR_ARG(buf_str(&pointers)));
    int r = resource_get(w->db, &v->work, why->kind, why->id, false, &other);
    r = r < 0 ? r : may_read(v, w->db, w->kind, &other, &seen);
    if (r == 0 && seen) {
        link_existing(w, why, "existing");
    }
    return r == -ENOENT ? 0 : r;
}

static void tell_missing(struct writing *w, const struct resource_refusal *why)
{
    struct visit *v = w->v;
    struct json *errors = json_new(&v->work, JSON_ARRAY), *e = object(v);
    struct str detail =
        arena_printf(&v->work, "there is no %.*s \"%.*s\"", STR_ARG(why->kind), STR_ARG(why->id));
    refuse(v, PROBLEM_INVALID, "%.*s: %.*s.", STR_ARG(str_from(why->pointer, 1)), STR_ARG(detail));
    json_set(e, STR("pointer"), text(v, arena_printf(&v->work, "#%.*s", STR_ARG(why->pointer))));
    json_set(e, STR("detail"), text(v, detail));
    json_append(errors, e);
    json_set(refusal_members(v), STR("errors"), errors);
    struct json *missing = object(v);
    json_set(missing, STR("kind"), text(v, why->kind));
    json_set(missing, STR("id"), text(v, why->id));
    json_set(refusal_members(v), STR("missing"), missing);
}

static void tell_blocking(struct writing *w, const struct resource_refusal *why)
{
    struct visit *v = w->v;
    struct json *list = json_new(&v->work, JSON_ARRAY);
    refuse(v, PROBLEM_IN_USE, "The %s \"%.*s\" is used by %zu other resource%s.",
           w->kind->kind->name, STR_ARG(w->id), why->n_blocking, why->n_blocking == 1 ? "" : "s");
    for (size_t i = 0; i < why->n_blocking; i++) {
        const struct resource_reference *b = &why->blocking[i];
        struct json *j = object(v);
        json_set(j, STR("kind"), text(v, b->kind));
        json_set(j, STR("id"), text(v, b->id));
        json_set(j, STR("pointer"), text(v, b->pointer));
        json_set(j, STR("href"),
                 text(v, resource_href(&v->work, resource_kind_named(b->kind), b->id)));
        json_append(list, j);
    }
    tell_current(v, w->kind, &w->now);
    json_set(refusal_members(v), STR("blocking"), list);
}

int tell_refusal(struct writing *w, int error, const struct resource_refusal *why)
{
    switch (error) {
    case -EEXIST:
        return tell_existing(w, why);
    case -ENOLINK:
        tell_missing(w, why);
        return 0;
    case -EBUSY:
        tell_blocking(w, why);
        return 0;
    default:
        return error;
    }
}
