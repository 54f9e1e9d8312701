/* Writing a resource: the way from a request to a committed state, or to a refusal that says how to
 * go on. The stages stand in one list; each may refuse, and then nothing was written. */
#include "platform/write.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "auth/key.h"
#include "conflict/http_date.h"
#include "http/negotiate.h"
#include "json/patch.h"
#include "platform/route.h"
#include "platform/write_stages.h"

enum { WIDTH_MAX = 1000 }; /* of one object or list: what is done with it takes their square */

int may_read_past(struct visit *v, struct db *db, bool *ret_ok)
{
    struct str kind = str_of(v->kind->kind->name);
    struct resource *last;
    size_t n;
    *ret_ok = false;
    int r = resource_history(db, &v->work, kind, v->args[0], 0, 1, &last, &n);
    r = r < 0 || n == 0 ? r : may_read(v, db, v->kind, &last[0], ret_ok);
    if (r == 0 && !*ret_ok) {
        refuse(v, PROBLEM_NOT_FOUND, "There never was %s %s \"%.*s\".",
               article_of(v->kind->kind->name), v->kind->kind->name,
               STR_ARG(str_first(v->args[0], 200)));
    }
    return r;
}

/* ---- the head ---- */

static bool takes_type(struct writing *w)
{
    struct visit *v = w->v;
    struct str type = media_type(visit_field(v, STR("content-type")));
    if (v->head.method == M_PATCH) {
        w->mode = str_ieq(type, STR("application/merge-patch+json"))   ? WRITE_MERGE_PATCH
                  : str_ieq(type, STR("application/json-patch+json"))  ? WRITE_JSON_PATCH
                  : str_ieq(type, STR("application/apply-patch+json")) ? WRITE_APPLY
                                                                       : WRITE_REPLACE;
        if (w->mode == WRITE_REPLACE) {
            refuse(v, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                   "PATCH takes application/merge-patch+json, application/json-patch+json or "
                   "application/apply-patch+json, not \"%.*s\".",
                   STR_ARG(str_first(type, 80)));
            answer_line(v, "accept-patch",
                        "application/merge-patch+json, "
                        "application/json-patch+json, "
                        "application/apply-patch+json");
            return false;
        }
        return true;
    }
    if (w->mode != WRITE_DELETE && type.n && !str_ieq(type, STR("application/json"))) {
        refuse(v, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
               "The body must be application/json, not \"%.*s\".", STR_ARG(str_first(type, 80)));
        return false;
    }
    return true;
}

/* Where the settings ask for a key, a POST without one is not done. */
static bool needs_key(struct writing *w)
{
    struct visit *v = w->v;
    const struct json *required =
        v->head.method == M_POST ? setting(v, w->db, "require_idempotency_key") : NULL;
    if (!required || required->type != JSON_TRUE) {
        return false;
    }
    refuse(v, PROBLEM_IDEMPOTENCY_KEY_REQUIRED,
           "Idempotency-Key is missing; the settings ask for one on every POST.");
    answer_line(v, "link", "<%.*s/problems/idempotency-key-required>; rel=\"describedby\"",
                STR_ARG(v->base));
    return true;
}

static bool read_idempotency_key(struct writing *w)
{
    struct visit *v = w->v;
    struct etag_list lines = visit_lines(v, STR("idempotency-key"));
    if (lines.n == 0) {
        return !needs_key(w);
    }
    if (lines.n > 1 || idempotency_key(&v->work, lines.lines[0], &w->key) < 0) {
        refuse(v, PROBLEM_IDEMPOTENCY_KEY_INVALID,
               "Idempotency-Key must be one quoted string or one bare token of 1 to 255 visible "
               "characters.");
        answer_line(v, "link", "<%.*s/problems/idempotency-key-invalid>; rel=\"describedby\"",
                    STR_ARG(v->base));
        return false;
    }
    return true;
}

static int stage_head(struct writing *w)
{
    struct visit *v = w->v;
    struct etag_list prefers = visit_lines(v, STR("prefer"));
    w->prefer = PREFER_NONE;
    for (size_t i = 0; i < prefers.n; i++) {
        prefer_line(&w->prefer, prefers.lines[i]);
    }
    if (takes_type(w) && read_idempotency_key(w) && flag_parameter(v, "dry_run", &v->dry_run) &&
        flag_parameter(v, "force", &w->force)) {
        w->manager = query_get(&v->query, STR("manager"));
    }
    return 0;
}

/* ---- the present state, and who may ---- */

static int stage_load(struct writing *w)
{
    struct visit *v = w->v;
    w->own = json_new(&v->work, JSON_OBJECT);
    if (w->mode == WRITE_CREATE) {
        return 0;
    }
    int r = resource_get(w->db, &v->work, str_of(w->kind->kind->name), w->id, true, &w->now);
    if (r == -ENOENT) {
        return 0;
    }
    if (r < 0) {
        return r;
    }
    w->exists = true;
    w->own = own_fields(v, &w->now);
    return team_of_tree(v, w->db, w->kind, w->id, w->own, w->action ? w->action->owner : NULL,
                        &w->team);
}

static const char *verb_of(const struct writing *w)
{
    return w->mode == WRITE_CREATE   ? "create"
           : w->mode == WRITE_DELETE ? "delete"
           : w->action               ? w->action->name
           : !w->exists              ? "create"
                                     : "update";
}

static bool owns_for_write(const struct writing *w)
{
    return w->exists && w->kind->self && !str_eq(str_of(w->kind->self), STR("id")) &&
           is_own(w->v, w->kind, &w->now, verb_of(w));
}

/* What belongs to a team that is not the asker's is not even there for them. */
static int stage_allow(struct writing *w)
{
    struct visit *v = w->v;
    if (!w->exists || may(v, w->kind, verb_of(w), w->team) || owns_for_write(w)) {
        return 0;
    }
    bool seen;
    int r = may_read(v, w->db, w->kind, &w->now, &seen);
    if (r < 0) {
        return r;
    }
    if (seen) {
        refuse(v, PROBLEM_FORBIDDEN, "%.*s may not %s the %s \"%.*s\"; that needs %s.%s%s%.*s%s.",
               STR_ARG(v->who.name), verb_of(w), w->kind->kind->name, STR_ARG(w->id),
               w->kind->kind->name, verb_of(w), w->team.n ? " in the team \"" : "",
               STR_ARG(w->team), w->team.n ? "\"" : "");
    } else {
        refuse(v, PROBLEM_NOT_FOUND, "There is no %s \"%.*s\".", w->kind->kind->name,
               STR_ARG(w->id));
    }
    return 0;
}

/* ---- repeats ---- */

static struct str fingerprint_of(struct visit *v)
{
    crypto_generichash_state h;
    uint8_t *to = arena_alloc(&v->work, crypto_generichash_BYTES);
    const struct str parts[] = {h1_slice(&v->head, v->head.query, v->head.query_n),
                                media_type(visit_field(v, STR("content-type"))), v->body};
    crypto_generichash_init(&h, NULL, 0, crypto_generichash_BYTES);
    for (size_t i = 0; i < 3; i++) {
        uint64_t n = parts[i].n;
        crypto_generichash_update(&h, (const uint8_t *)&n, sizeof n);
        crypto_generichash_update(&h, (const uint8_t *)parts[i].p, parts[i].n);
    }
    crypto_generichash_final(&h, to, crypto_generichash_BYTES);
    return str_make((char *)to, crypto_generichash_BYTES);
}

/* What a create answered may hold a secret: only who might still create it is told again. Of what
 * is there, stage_allow() has judged. */
static int check_replay(struct writing *w)
{
    struct json_error e;
    if (w->exists || read_body(w, &e) < 0) {
        return 0;
    }
    return check_new_team(w, w->body);
}

/* The first request's effect and its answer were committed together, so an answer that is not there
 * means that nothing was done: there is no state in between, not even after a crash. */
static int stage_replay(struct writing *w)
{
    struct visit *v = w->v;
    struct idempotent had;
    if (!w->key.n || v->early) { /* without the body nobody knows whether it is the same */
        return 0;
    }
    w->scope = arena_printf(&v->work, "%.*s\n%.*s\n%.*s", STR_ARG(v->who.name), STR_ARG(v->method),
                            STR_ARG(v->path));
    w->fingerprint = fingerprint_of(v);
    int r = idempotent_get(w->db, &v->work, w->scope, w->key, v->now_us, &had);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    if (!str_eq(had.fingerprint, w->fingerprint)) {
        refuse(
            v, PROBLEM_IDEMPOTENCY_MISMATCH,
            "This Idempotency-Key came before with another body, query or type; the answer to that "
            "request stands. Use a new key for a new request.");
        return 0;
    }
    if (had.at_us < v->who.since_us) { /* of another one who had this name */
        refuse(v, PROBLEM_IDEMPOTENCY_MISMATCH,
               "This Idempotency-Key came before you were there. Use a new one.");
        return 0;
    }
    r = check_replay(w);
    return r < 0 || v->refusal.set ? r : replay_answer(w, &had);
}

/* ---- conditions ---- */

static bool has_field(struct visit *v, const char *name)
{
    return visit_field(v, str_of(name)).p != NULL;
}

static int merge_base(struct writing *w)
{
    struct visit *v = w->v;
    int64_t revision;
    struct str hash;
    struct str quoted = arena_printf(&v->work, "\"%.*s\"", STR_ARG(w->prefer.base));
    int r = -ENOENT;
    if (etag_revision(quoted, &revision, &hash)) {
        r = resource_at(w->db, &v->work, str_of(w->kind->kind->name), w->id, revision, &w->base);
    }
    bool known = r == 0 && str_eq(w->base.hash, hash) && w->base.document.n;
    if (known) {
        r = may_read(v, w->db, w->kind, &w->base, &known);
    }
    if (r == -ENOENT || (r == 0 && !known)) {
        refuse(v, PROBLEM_STALE_BASE, "There is no revision with the tag %.*s to merge onto.",
               STR_ARG(str_first(quoted, 80)));
        tell_current(v, w->kind, &w->now);
        return 0;
    }
    w->merging = r == 0;
    w->base_own = r == 0 ? own_fields(v, &w->base) : NULL;
    return r;
}

static int stage_judge(struct writing *w)
{
    struct visit *v = w->v;
    struct conditions c = visit_conditions(v);
    struct present now = visit_present(v, w->exists ? &w->now : NULL);
    enum condition_method method = w->mode == WRITE_CREATE ? CONDITION_CREATE
                                   : w->mode == WRITE_REPLACE || w->mode == WRITE_RESTORE
                                       ? CONDITION_PUT
                                       : CONDITION_CHANGE;
    if (w->mode == WRITE_APPLY && !w->exists) {
        method = CONDITION_PUT;
    }
    w->judged = precondition(method, &c, &now);
    switch (w->judged.verdict) {
    case VERDICT_NOT_FOUND:
        refuse(v, PROBLEM_NOT_FOUND, "There is no %s \"%.*s\".", w->kind->kind->name,
               STR_ARG(str_first(w->id, 200)));
        return 0;
    case VERDICT_MALFORMED:
    case VERDICT_NOT_MODIFIED:
        refuse_precondition(v, &w->judged, NULL);
        return 0;
    case VERDICT_FAILED:
        return refuse_stale(w);
    case VERDICT_PROCEED:
        break;
    }
    if (w->prefer.merge && w->exists && !w->judged.conditional &&
        (w->mode == WRITE_REPLACE || w->mode == WRITE_MERGE_PATCH || w->mode == WRITE_JSON_PATCH)) {
        return merge_base(w);
    }
    return 0;
}

/* ---- the body ---- */

static bool is_too_wide(const struct json *j)
{
    bool wide = json_count(j) > WIDTH_MAX;
    for (const struct json *c = j->first; c && !wide; c = c->next) {
        wide = is_too_wide(c);
    }
    return wide;
}

int read_body(struct writing *w, struct json_error *ret_error)
{
    int r = json_parse(&w->v->work, w->v->body, &w->body, ret_error);
    ptrdiff_t half = r == 0 ? json_half_pair(w->v->body) : -1;
    if (half >= 0) { /* what was meant would be lost */
        *ret_error =
            (struct json_error){.at = (size_t)half, .why = "half of a surrogate pair stands alone"};
        r = -EBADMSG;
    } else if (r == 0 && is_too_wide(w->body)) {
        r = -E2BIG;
    }
    w->body = r == 0 ? w->body : NULL;
    return r;
}

static bool parse_body(struct writing *w)
{
    struct visit *v = w->v;
    struct json_error e;
    bool optional = w->mode == WRITE_ACTION || w->mode == WRITE_RESTORE || w->mode == WRITE_DELETE;
    if (w->mode == WRITE_DELETE || (optional && str_trim(v->body).n == 0)) {
        return true;
    }
    int r = read_body(w, &e);
    if (r == -E2BIG) {
        refuse(v, PROBLEM_INVALID, "An object or a list in the body has more than %d elements.",
               WIDTH_MAX);
        return false;
    }
    if (r < 0) {
        refuse(v, PROBLEM_MALFORMED_JSON, "The body is not JSON: %s, at byte %zu.", e.why, e.at);
        return false;
    }
    if (w->mode != WRITE_JSON_PATCH && w->mode != WRITE_CREATE && w->mode != WRITE_REPLACE &&
        w->body->type != JSON_OBJECT) {
        refuse(v, PROBLEM_INVALID, "The body must be an object.");
        return false;
    }
    return true;
}

/* The state that the body itself says it starts from. */
static void read_named_revision(struct writing *w)
{
    int64_t n;
    struct str hash;
    const struct json *revision = json_get(w->body, STR("revision"));
    const struct json *etag = json_get(w->body, STR("etag"));
    if (w->mode == WRITE_RESTORE || w->mode == WRITE_JSON_PATCH || w->mode == WRITE_CREATE ||
        w->mode == WRITE_APPLY) {
        return;
    }
    if (revision && revision->type == JSON_NUMBER && json_int(revision->text, &n) == 0) {
        w->named_revision = n;
    } else if (etag && etag->type == JSON_STRING && etag_revision(etag->text, &n, &hash)) {
        w->named_revision = n;
    }
}

static bool needs_condition(const struct writing *w)
{
    return w->mode != WRITE_CREATE && w->mode != WRITE_APPLY && !w->judged.conditional &&
           !w->named_revision && !w->merging;
}

static void refuse_unconditional(struct writing *w)
{
    struct visit *v = w->v;
    if (!w->exists) {
        refuse(
            v, PROBLEM_PRECONDITION_REQUIRED,
            "To create %s %s under this id send If-None-Match: *, so that one that somebody else "
            "creates meanwhile is not overwritten.",
            article_of(w->kind->kind->name), w->kind->kind->name);
        json_set(refusal_members(v), STR("required_header"),
                 json_new_str(&v->work, STR("If-None-Match")));
        return;
    }
    refuse(
        v, PROBLEM_PRECONDITION_REQUIRED,
        "Say which state you change: read it with GET, and send its ETag in If-Match; the present "
        "one is %.*s.",
        STR_ARG(resource_etag(&v->work, &w->now)));
    tell_current(v, w->kind, &w->now);
    json_set(refusal_members(v), STR("required_header"), json_new_str(&v->work, STR("If-Match")));
}

static int stage_body(struct writing *w)
{
    struct visit *v = w->v;
    if (!parse_body(w)) {
        return 0;
    }
    read_named_revision(w);
    if (needs_condition(w)) {
        refuse_unconditional(w);
        return 0;
    }
    if (w->named_revision && !w->merging && w->named_revision != w->now.revision) {
        if (w->judged.conditional && !w->judged.unconditional && has_field(v, "if-match")) {
            refuse(v, PROBLEM_CONFLICTING_CONDITIONS,
                   "If-Match names revision %lld, the body revision %lld.",
                   (long long)w->now.revision, (long long)w->named_revision);
            return 0;
        }
        if (!w->judged.conditional) {
            return refuse_stale(w);
        }
    }
    return 0;
}

/* ---- the list ---- */

static int (*const stages[])(struct writing *w) = {
    stage_head,    /* types, Idempotency-Key, Prefer */
    stage_load,    /* the present state */
    stage_allow,   /* may they */
    stage_replay,  /* was it done before */
    stage_judge,   /* If-Match and the others */
    stage_body,    /* what was sent; the condition in it */
    stage_compose, /* the state that is wanted */
    stage_merge,   /* onto what others did meanwhile */
    stage_check,   /* rules, permissions, ownership */
    stage_store,   /* the write itself */
    stage_answer,
};

/* What is looked at before the body comes; a repeat comes before conditions, and is known only with
 * the body. */
static size_t early_stages(const struct writing *w)
{
    return w->key.n ? 3 : 5;
}

static int write_resource(struct writing *w)
{
    size_t n = sizeof stages / sizeof *stages;
    int r = 0;
    for (size_t i = 0; r == 0 && i < (w->v->early ? early_stages(w) : n) && !w->v->refusal.set &&
                       !w->v->answer.status;
         i++) {
        r = stages[i](w);
    }
    return r;
}

static struct writing writing_of(struct visit *v, struct db *db, enum write_mode mode)
{
    return (struct writing){.v = v, .db = db, .kind = v->kind, .mode = mode, .id = v->args[0]};
}

int create_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_CREATE);
    return write_resource(&w);
}

int replace_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_REPLACE);
    return write_resource(&w);
}

int patch_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_MERGE_PATCH);
    return write_resource(&w);
}

int delete_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_DELETE);
    return write_resource(&w);
}

int restore_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_RESTORE);
    return write_resource(&w);
}

int act_on_resource(struct visit *v, struct db *db)
{
    struct writing w = writing_of(v, db, WRITE_ACTION);
    for (size_t i = 0; i < v->kind->n_actions; i++) {
        if (str_eq(v->args[1], str_of(v->kind->actions[i].name))) {
            w.action = &v->kind->actions[i];
        }
    }
    return write_resource(&w);
}
