/* The state that a write wants: from what is there and what was sent. */
#include <errno.h>

#include "auth/key.h"
#include "json/patch.h"
#include "platform/write_stages.h"

/* A representation may be sent back as it was read: what describes it is not part of it. */
static struct json *without_metadata(struct writing *w, const struct json *from)
{
    struct json *tree = json_clone(&w->v->work, from);
    if (tree->type == JSON_OBJECT) {
        strip_metadata(tree);
    }
    return tree;
}

static int patch_failed(struct writing *w, int error, const struct json_patch_error *e)
{
    struct visit *v = w->v;
    if (error == -ENOENT || error == -ECANCELED) {
        refuse(v, PROBLEM_PATCH_TEST_FAILED,
               "Operation %zu (%.*s %.*s): %.*s. Nothing was applied.", e->operation,
               STR_ARG(str_first(e->op, 20)), STR_ARG(str_first(e->path, 200)),
               STR_ARG(e->message));
        tell_current(v, w->kind, &w->now);
    } else {
        refuse(v, PROBLEM_MALFORMED_PATCH, "Operation %zu: %.*s. Nothing was applied.",
               e->operation, STR_ARG(e->message));
    }
    json_set(refusal_members(v), STR("failed_operation"),
             json_new_int(&v->work, (int64_t)e->operation));
    return 0;
}

/* A JSON Patch sees the whole representation, so that it can test its revision. */
static int json_patched(struct writing *w, const struct resource *onto, struct json **ret)
{
    struct json_patch_error e;
    struct json *patched;
    int r = json_patch(&w->v->work, resource_tree(w->v, onto), w->body, &patched, &e);
    if (r < 0) {
        return patch_failed(w, r, &e);
    }
    const struct json *id = json_get(patched, STR("id"));
    if (patched->type == JSON_OBJECT && (!id || !str_eq(id->text, w->id))) {
        refuse(w->v, PROBLEM_INVALID, "id: cannot be changed.");
        return 0;
    }
    *ret = without_metadata(w, patched);
    return 0;
}

static int restored(struct writing *w, struct json **ret)
{
    struct visit *v = w->v;
    const struct json *n = json_get(w->body, STR("revision"));
    struct resource past;
    int64_t revision;
    if (!n || n->type != JSON_NUMBER || json_int(n->text, &revision) < 0) {
        refuse(v, PROBLEM_INVALID, "revision: missing: the revision to restore.");
        return 0;
    }
    bool seen = false;
    int r = resource_at(w->db, &v->work, str_of(w->kind->kind->name), w->id, revision, &past);
    r = r < 0 ? r : may_read(v, w->db, w->kind, &past, &seen);
    if (r == -ENOENT || (r == 0 && (!past.document.n || !seen))) {
        refuse(v, PROBLEM_INVALID,
               "revision: there is no state %lld of the %s \"%.*s\" to restore.",
               (long long)revision, w->kind->kind->name, STR_ARG(w->id));
        return 0;
    }
    if (r < 0) {
        return r;
    }
    *ret = own_fields(v, &past);
    /* What the server sets is not turned back: a revoked key stays revoked. */
    for (size_t i = 0; i < w->kind->kind->n_fields; i++) {
        const struct field *f = &w->kind->kind->fields[i];
        if (f->read_only) {
            json_remove(*ret, str_of(f->name));
        }
    }
    return 0;
}

static bool is_in(const char *const *words, struct str word)
{
    for (; words && *words; words++) {
        if (str_eq(word, str_of(*words))) {
            return true;
        }
    }
    return false;
}

static void refuse_transition(struct writing *w, struct str state)
{
    struct visit *v = w->v;
    struct json *allowed = json_new(&v->work, JSON_ARRAY);
    refuse(v, PROBLEM_INVALID_STATE, "The %s \"%.*s\" is %.*s: %s is not possible.",
           w->kind->kind->name, STR_ARG(w->id), STR_ARG(state), w->action->name);
    for (size_t i = 0; i < w->kind->n_actions; i++) {
        const struct action *a = &w->kind->actions[i];
        if (!a->from || is_in(a->from, state)) {
            json_append(allowed, json_new_str(&v->work, str_of(a->name)));
        }
    }
    tell_current(v, w->kind, &w->now);
    json_set(refusal_members(v), STR("state"), json_new_str(&v->work, state));
    json_set(refusal_members(v), STR("allowed_transitions"), allowed);
}

/* The body of an action: `revision` or `etag`, `note`, `overlap_s`. */
static bool read_action_body(struct writing *w)
{
    struct visit *v = w->v;
    enum { OVERLAP_MAX_S = 30 * 86400 };
    for (const struct json *c = w->body ? w->body->first : NULL; c; c = c->next) {
        int64_t n;
        if (str_eq(c->key, STR("revision")) || str_eq(c->key, STR("etag"))) {
            continue;
        }
        if (w->action->note && str_eq(c->key, STR("note")) && c->type == JSON_STRING &&
            c->text.n <= 2000) {
            w->note = c->text;
        } else if (w->action->effect == EFFECT_ROTATE && str_eq(c->key, STR("overlap_s")) &&
                   c->type == JSON_NUMBER && json_int(c->text, &n) == 0 && n >= 0 &&
                   n <= OVERLAP_MAX_S) {
            w->overlap_us = n * 1000000;
        } else {
            refuse(v, PROBLEM_INVALID,
                   "%.*s: not allowed in the body of %s; allowed: revision%s%s.",
                   STR_ARG(str_first(c->key, 80)), w->action->name,
                   w->action->note ? ", note (at most 2000 bytes)" : "",
                   w->action->effect == EFFECT_ROTATE ? ", overlap_s (0 to 2592000)" : "");
            return false;
        }
    }
    return true;
}

static int acted(struct writing *w, struct json **ret)
{
    const struct json *state = json_get(w->own, STR("state"));
    struct str was = state ? state->text : (struct str){0};
    if (!read_action_body(w)) {
        return 0;
    }
    if (w->action->from && !is_in(w->action->from, was)) {
        refuse_transition(w, was);
        return 0;
    }
    *ret = json_clone(&w->v->work, w->own);
    return 0;
}

/* Whether everything at and below `pointer` is the manager's. */
static bool is_all_of(const struct json *managers, struct str pointer, struct str manager)
{
    for (const struct json *m = managers->first; m; m = m->next) {
        if (m->key.n > pointer.n && str_starts(m->key, pointer) && m->key.p[pointer.n] == '/' &&
            !str_eq(m->text, manager)) {
            return false;
        }
    }
    return str_eq(manager_at(managers, pointer), manager);
}

static bool is_set_by_server(const struct kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (str_eq(name, str_of(k->fields[i].name))) {
            return k->fields[i].read_only;
        }
    }
    return false;
}

/* The fields that one manager declares; those it declared before and does not any more go. */
static int applied(struct writing *w, struct json **ret)
{
    struct arena *a = &w->v->work;
    struct json *tree = json_clone(a, w->own), *patch = without_metadata(w, w->body);
    struct json *managers = w->exists ? managers_of(w->v, &w->now) : json_new(a, JSON_OBJECT);
    for (struct json *c = w->own->first; c; c = c->next) {
        struct buf pointer = {.arena = a};
        json_pointer_add(&pointer, c->key);
        if (!json_get(patch, c->key) && !is_set_by_server(w->kind->kind, c->key) &&
            is_all_of(managers, buf_str(&pointer), w->manager)) {
            json_remove(tree, c->key);
        }
    }
    *ret = json_merge_patch(&w->v->work, tree, patch);
    return 0;
}

/* What `onto` becomes by the request. */
static int compose(struct writing *w, const struct resource *onto, const struct json *own,
                   struct json **ret)
{
    switch (w->mode) {
    case WRITE_CREATE:
    case WRITE_REPLACE:
        *ret = without_metadata(w, w->body);
        return 0;
    case WRITE_MERGE_PATCH:
        *ret = json_merge_patch(&w->v->work, own, without_metadata(w, w->body));
        return 0;
    case WRITE_JSON_PATCH:
        return json_patched(w, onto, ret);
    case WRITE_APPLY:
        return applied(w, ret);
    case WRITE_RESTORE:
        return restored(w, ret);
    case WRITE_ACTION:
        return acted(w, ret);
    case WRITE_DELETE:
        break;
    }
    return 0;
}

/* The id is that of the path; of a new one that of the body, or made. */
static bool settle_id(struct writing *w)
{
    struct visit *v = w->v;
    struct arena *a = &v->work;
    const struct json *id = json_get(w->body, STR("id"));
    struct str tidy;
    if (w->mode == WRITE_CREATE && !id) {
        struct str random = secret_reveal(key_make_as(a, STR("")));
        w->id = arena_printf(a, "%s%.*s", w->kind->id_prefix, STR_ARG(str_first(random, 16)));
        for (char *p = (char *)(uintptr_t)w->id.p; p < w->id.p + w->id.n; p++) {
            *p = *p == '-' || (*p == '_' && p >= w->id.p + strlen(w->kind->id_prefix)) ? 'x' : *p;
        }
    } else if (w->mode == WRITE_CREATE) {
        w->id = id->type == JSON_STRING ? id->text : (struct str){0};
    } else if (id && w->mode != WRITE_ACTION &&
               (id->type != JSON_STRING || !str_eq(id->text, w->id))) {
        refuse(v, PROBLEM_INVALID, "id: the body must have that of the path, \"%.*s\", or none.",
               STR_ARG(str_first(w->id, 200)));
        return false;
    }
    if (!w->exists && (!w->kind->id_rule->check(a, w->id, &tidy) || str_eq(w->id, STR("watch")) ||
                       w->kind->single)) {
        refuse(v, PROBLEM_INVALID, "id: \"%.*s\" is not allowed; allowed: %s.",
               STR_ARG(str_first(w->id, 200)),
               w->kind->single ? "\"org\", which is there already" : w->kind->id_rule->allowed);
        return false;
    }
    return true;
}

int stage_compose(struct writing *w)
{
    if (w->mode == WRITE_DELETE) {
        return 0;
    }
    if (!settle_id(w)) {
        return 0;
    }
    return compose(w, w->merging ? &w->base : &w->now, w->merging ? w->base_own : w->own,
                   &w->given);
}

/* ---- merging ---- */

int stage_merge(struct writing *w)
{
    struct visit *v = w->v;
    struct document yours;
    struct merge m;
    if (!w->merging || w->base.revision == w->now.revision) {
        return 0;
    }
    int r = complete_document(w, w->given, &yours);
    if (r < 0 || v->refusal.set) {
        return r;
    }
    struct merge_rules rules = kind_merge_rules(w->kind, &v->work);
    merge3(&v->work, w->base_own, w->own, yours.tree, &rules, &m);
    if (m.n_conflicts) {
        refuse(v, PROBLEM_EDIT_CONFLICT,
               "%zu of your changes touch%s fields that changed since revision %lld.",
               m.n_conflicts, m.n_conflicts == 1 ? "es" : "", (long long)w->base.revision);
        tell_edit_conflict(w, &w->base, w->base_own, yours.tree);
        return 0;
    }
    w->given = m.merged;
    return 0;
}

/* ---- stale writes ---- */

/* The state that the request started from, if its condition tells one that there was. */
static bool base_of(struct writing *w, struct resource *ret)
{
    struct visit *v = w->v;
    int64_t revision = w->named_revision;
    struct str hash = {0}, kind = str_of(w->kind->kind->name);
    if (!revision && !etag_revision(str_trim(visit_field(v, STR("if-match"))), &revision, &hash)) {
        return false;
    }
    bool seen;
    return resource_at(w->db, &v->work, kind, w->id, revision, ret) == 0 && ret->document.n &&
           (!hash.n || str_eq(hash, ret->hash)) && may_read(v, w->db, w->kind, ret, &seen) == 0 &&
           seen;
}

/* What the request wanted, made from its base; NULL when it cannot be told. Refuses nothing: that
 * the condition is false comes before all that could be wrong with the body. */
static struct json *yours_of(struct writing *w, const struct resource *base,
                             const struct json *base_own)
{
    struct visit *v = w->v;
    struct refusal before = v->refusal;
    struct buf lines = v->answer.fields;
    struct document d = {0};
    struct json_error e;
    struct json *given = NULL;
    bool ok =
        w->mode == WRITE_REPLACE || w->mode == WRITE_MERGE_PATCH || w->mode == WRITE_JSON_PATCH;
    ok = ok && (w->body || read_body(w, &e) == 0) &&
         (w->mode == WRITE_JSON_PATCH || w->body->type == JSON_OBJECT);
    ok = ok && compose(w, base, base_own, &given) == 0 && given && !v->refusal.set &&
         complete_document(w, given, &d) == 0 && !v->refusal.set;
    v->refusal = before;
    v->answer.fields = lines;
    return ok ? d.tree : NULL;
}

int refuse_stale(struct writing *w)
{
    struct visit *v = w->v;
    struct resource base;
    struct json *base_own = NULL, *yours = NULL;
    bool by_header = w->judged.verdict == VERDICT_FAILED;
    if (!w->exists) {
        refuse_precondition(v, &w->judged, NULL);
        return 0;
    }
    bool known = base_of(w, &base);
    if (known) {
        base_own = own_fields(v, &base);
        yours = yours_of(w, &base, base_own);
    }
    if (by_header) {
        refuse_precondition(v, &w->judged, &w->now);
    } else {
        refuse(v, PROBLEM_STALE_REVISION,
               "Your change starts from revision %lld; %.*s made revision %lld since.",
               (long long)w->named_revision, STR_ARG(w->now.updated_by),
               (long long)w->now.revision);
    }
    v->answer.fields.n = 0; /* tell_edit_conflict() says all of it */
    tell_edit_conflict(w, known ? &base : NULL, base_own, yours);
    return 0;
}
