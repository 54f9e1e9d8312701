/* The write itself, and what is answered to it. */
#include <errno.h>
#include <sodium.h>

#include "auth/key.h"
#include "conflict/http_date.h"
#include "json/canonical.h"
#include "platform/route.h"
#include "platform/write_stages.h"

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

/* ---- secrets that are made here ---- */

static int64_t expiry_of(const struct writing *w)
{
    struct str text = text_of(w->doc.tree, "expires_at");
    int64_t us = 0;
    return text.n && time_parse(text, &us) == 0 ? us : 0;
}

/* The one that was given with a new key, or a new one. */
static void issue(struct writing *w)
{
    struct arena *a = &w->v->work;
    w->issued = (struct secret){0};
    for (size_t i = 0; i < w->doc.n_secrets; i++) {
        if (w->doc.secrets[i].hashed) {
            w->issued = w->doc.secrets[i].secret;
        }
    }
    if (secret_empty(w->issued)) {
        w->issued = w->kind->issues == ISSUED_KEY ? key_make(a) : key_make_as(a, TOKEN_PREFIX);
    }
    struct str text = secret_reveal(w->issued);
    json_set(w->doc.tree, STR("hint"), json_new_str(a, str_from(text, text.n - 4)));
}

static int add_digests(struct writing *w, bool fresh, bool revoke)
{
    struct arena *a = &w->v->work;
    struct resource_digest *had, *all;
    size_t n, k = 0;
    int64_t expires_us = expiry_of(w);
    int r = resource_digests(w->db, a, str_of(w->kind->kind->name), w->id, &had, &n);
    if (r < 0) {
        return r;
    }
    all = arena_zalloc(a, (n + 1) * sizeof *all);
    if (fresh) {
        uint8_t *digest = arena_alloc(a, KEY_DIGEST_SIZE);
        key_digest(secret_reveal(w->issued), digest);
        all[k++] = (struct resource_digest){str_make((char *)digest, KEY_DIGEST_SIZE), expires_us};
    }
    for (size_t i = 0; !revoke && i < n; i++) {
        int64_t until = had[i].expires_us;
        if (fresh) { /* the old ones go on for the overlap, and not longer than they would have */
            int64_t end = w->v->now_us + w->overlap_us;
            until = until && until < end ? until : end;
        } else {
            until = n == 1 || i == 0 ? expires_us : until;
        }
        if (!fresh || (w->overlap_us && until > w->v->now_us)) {
            all[k++] = (struct resource_digest){had[i].digest, until};
        }
    }
    w->out.digests = all;
    w->out.n_digests = k;
    w->out.keep_digests = false;
    return 0;
}

/* A secret that was given may be somebody's already. */
static int check_given_secret(struct writing *w)
{
    struct str kind, id;
    int r =
        resource_by_digest(w->db, &w->v->work, w->out.digests[0].digest, w->v->now_us, &kind, &id);
    if (r == 0) {
        refuse(w->v, PROBLEM_ALREADY_EXISTS, "secret: another %.*s has the same.", STR_ARG(kind));
        json_set(refusal_members(w->v), STR("pointer"), json_new_str(&w->v->work, STR("#/secret")));
    }
    return r == -ENOENT ? 0 : r;
}

/* A user's digests are one-time links, which end with the password. */
static bool sets_password(const struct writing *w)
{
    bool sets = false;
    for (size_t i = 0; i < w->out.n_secrets; i++) {
        sets = sets || str_eq(w->out.secrets[i].name, STR("/password"));
    }
    return sets;
}

static int settle_digests(struct writing *w)
{
    bool rotate = w->action && w->action->effect == EFFECT_ROTATE;
    bool revoke = w->action && w->action->effect == EFFECT_REVOKE;
    w->out.keep_digests = !sets_password(w);
    if (w->kind->issues == ISSUED_NONE) {
        return 0;
    }
    bool fresh = rotate || !w->exists;
    if (w->exists && !rotate) {
        for (size_t i = 0; i < w->doc.n_secrets; i++) {
            if (w->doc.secrets[i].hashed) {
                refuse(w->v, PROBLEM_INVALID,
                       "secret: is changed by rotating it, not by writing it.");
                return 0;
            }
        }
    }
    if (fresh) {
        issue(w);
    }
    int r = add_digests(w, fresh, revoke);
    return r < 0 || !fresh ? r : check_given_secret(w);
}

/* ---- what ends with a change ---- */

static int end_sessions(struct writing *w)
{
    struct str kind = str_of(w->kind->kind->name), user = {0};
    if (str_eq(kind, STR("user"))) {
        bool role = !str_eq(text_of(w->own, "role"), text_of(w->doc.tree, "role"));
        user = role || sets_password(w) || w->action || w->mode == WRITE_DELETE ? w->id : user;
    } else if (str_eq(kind, STR("membership"))) {
        user = text_of(w->own, "user");
    }
    return w->exists && user.n ? session_end(w->db, user, (struct str){0}, (struct str){0}) : 0;
}

static struct str action_name(const struct writing *w)
{
    static const char *const names[] = {
        [WRITE_CREATE] = "create",    [WRITE_REPLACE] = "replace", [WRITE_MERGE_PATCH] = "patch",
        [WRITE_JSON_PATCH] = "patch", [WRITE_APPLY] = "apply",     [WRITE_DELETE] = "delete",
        [WRITE_RESTORE] = "restore"};
    return w->action ? str_of(w->action->name)
           : !w->exists && w->mode != WRITE_RESTORE && w->mode != WRITE_APPLY ? STR("create")
           : w->merging                                                       ? STR("merge")
                        : str_of(names[w->mode]);
}

static int add_audit(struct writing *w)
{
    struct visit *v = w->v;
    struct buf note = {.arena = &v->work};
    buf_add(&note, w->note);
    if (w->judged.unconditional) {
        buf_addz(&note, note.n ? "; unconditional" : "unconditional");
    }
    if (w->force) {
        buf_addz(&note, note.n ? "; forced" : "forced");
    }
    const struct audit e = {
        .at_us = v->now_us,
        .who = v->who.name,
        .address = v->address,
        .request_id = str_of(v->id),
        .action = w->out.r.action,
        .kind = str_of(w->kind->kind->name),
        .id = w->id,
        .before = w->exists ? w->now.document : (struct str){0},
        .after = w->out.r.document,
        .note = buf_str(&note),
    };
    return audit_add(w->db, &v->work, &e);
}

/* ---- the write ---- */

static void fill(struct writing *w)
{
    struct arena *a = &w->v->work;
    struct buf b = {.arena = a};
    struct resource *r = &w->out.r;
    json_print(&b, w->doc.tree, 0);
    r->document = buf_str(&b);
    document_hash(a, w->id, w->doc.tree, &r->hash);
    struct resource_unique *uniques = arena_zalloc(a, (w->doc.n_uniques + 1) * sizeof *uniques);
    for (size_t i = 0; i < w->doc.n_uniques; i++) {
        uniques[i] = (struct resource_unique){w->doc.uniques[i].field, w->doc.uniques[i].value};
    }
    struct resource_reference *refs = arena_zalloc(a, (w->doc.n_references + 1) * sizeof *refs);
    for (size_t i = 0; i < w->doc.n_references; i++) {
        const struct document_reference *x = &w->doc.references[i];
        refs[i] = (struct resource_reference){x->pointer, str_of(x->kind->name), x->id};
    }
    w->out.uniques = uniques;
    w->out.n_uniques = w->doc.n_uniques;
    w->out.references = refs;
    w->out.n_references = w->doc.n_references;
}

/* Uniques depend on the state, too: an action may free or take them. */
static int refresh_uniques(struct writing *w)
{
    struct mistakes m = {.arena = &w->v->work};
    struct document d;
    if (!w->action) {
        return 0;
    }
    if (document_read(&w->v->work, w->kind, w->id, w->doc.tree, &m, &d) < 0) {
        return -EIO;
    }
    w->doc.uniques = d.uniques;
    w->doc.n_uniques = d.n_uniques;
    return 0;
}

static int write_row(struct writing *w, struct resource_refusal *why)
{
    struct arena *a = &w->v->work;
    if (w->mode == WRITE_DELETE) {
        return resource_delete(w->db, a, &w->out, w->now.revision, why);
    }
    return w->exists ? resource_update(w->db, a, &w->out, w->now.revision, why)
                     : resource_insert(w->db, a, &w->out, why);
}

static bool is_unchanged(const struct writing *w)
{
    return w->exists && w->mode != WRITE_DELETE && !w->action && w->out.n_secrets == 0 &&
           str_eq(w->out.r.hash, w->now.hash) && json_equal(w->doc.tree, w->own);
}

int stage_store(struct writing *w)
{
    struct visit *v = w->v;
    struct resource_refusal why = {0};
    struct str managers = w->out.r.managers;
    w->out.r = (struct resource){.kind = str_of(w->kind->kind->name),
                                 .id = w->id,
                                 .managers = managers.n ? managers : w->now.managers,
                                 .created_us = w->now.created_us,
                                 .created_by = w->now.created_by,
                                 .updated_us = v->now_us,
                                 .updated_by = v->who.name,
                                 .action = action_name(w)};
    if (w->exists && w->out.r.updated_us <= w->now.updated_us) { /* the clock was set back */
        w->out.r.updated_us = w->now.updated_us + 1;
    }
    int r = w->mode == WRITE_DELETE ? 0 : settle_digests(w);
    r = r < 0 || v->refusal.set ? r : refresh_uniques(w);
    if (r < 0 || v->refusal.set) {
        return r;
    }
    if (w->mode != WRITE_DELETE) {
        fill(w);
    }
    w->unchanged = is_unchanged(w);
    if (w->unchanged) {
        return 0;
    }
    r = write_row(w, &why);
    if (r == -EEXIST && !why.pointer.n && w->mode != WRITE_CREATE) {
        return -EAGAIN; /* created since it was looked at: the conditions decide anew */
    }
    if (r < 0) {
        return tell_refusal(w, r, &why);
    }
    r = end_sessions(w);
    return r < 0 ? r : add_audit(w);
}

/* ---- the answer ---- */

static void answer_representation(struct writing *w, const struct resource *r, unsigned status)
{
    struct visit *v = w->v;
    struct buf b = {.arena = &v->work};
    bool shows_secret = !secret_empty(w->issued) && !w->v->dry_run;
    if (w->prefer.minimal && !shows_secret) {
        answer_empty(v, status == 201 ? 201 : 204);
        answer_line(v, "preference-applied", "return=minimal");
        return;
    }
    resource_print(&b, v, r, shows_secret ? "secret" : NULL, secret_reveal(w->issued),
                   (struct str){0});
    if (w->merging) {
        b.n--; /* its closing brace */
        buf_printf(&b, ",\"merged_from\":%lld}", (long long)w->base.revision);
    }
    v->answer.status = status;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
}

static void answer_fields(struct writing *w, const struct resource *r, bool created)
{
    struct visit *v = w->v;
    if (w->mode !=
        WRITE_REPLACE) { /* a PUT's document is brought into its one form: RFC 9110, 9.3.4 */
        answer_line(v, "etag", "%.*s", STR_ARG(resource_etag(&v->work, r)));
    }
    if (created) {
        answer_line(v, "location", "%.*s", STR_ARG(resource_href(&v->work, w->kind, w->id)));
    }
    v->answer.replay = arena_dup(&v->work, buf_str(&v->answer.fields));
    if (w->mode != WRITE_REPLACE) {
        answer_line(v, "last-modified", "%.*s",
                    STR_ARG(http_date_print(&v->work, r->updated_us / 1000000)));
    }
    if (w->merging) {
        answer_line(v, "preference-applied", "conflict=merge");
    }
    answer_line(v, "cache-control", "no-store");
}

/* A key that is revoked is dead when its answer comes; others wait when they ask for it. */
static int settle_wait(struct writing *w)
{
    struct str kind = str_of(w->kind->kind->name);
    bool is_key = str_eq(kind, STR("key")) && (w->action || w->mode == WRITE_DELETE);
    if (w->unchanged || w->v->dry_run || (!is_key && w->prefer.wait_s < 0)) {
        return 0;
    }
    return change_last(w->db, &w->v->answer.wait_seq);
}

/* What holds a secret is kept sealed. */
static struct str kept_body(struct writing *w)
{
    struct visit *v = w->v;
    if (secret_empty(w->issued)) {
        return v->answer.body;
    }
    struct str sealed = store_seal(v->platform->store, &v->work, w->scope, v->answer.body);
    char *hex = arena_alloc(&v->work, 2 * sealed.n + 1);
    sodium_bin2hex(hex, 2 * sealed.n + 1, (const uint8_t *)sealed.p, sealed.n);
    return arena_printf(&v->work, "sealed:%s", hex);
}

static int keep_answer(struct writing *w)
{
    struct visit *v = w->v;
    if (!w->key.n || w->v->dry_run) {
        return 0;
    }
    int64_t hours = setting_int(v, w->db, "idempotency_hours", 24);
    const struct idempotent i = {
        .scope = w->scope,
        .key = w->key,
        .fingerprint = w->fingerprint,
        .status = v->answer.status,
        .fields = v->answer.replay,
        .body = kept_body(w),
        .at_us = v->now_us,
        .expires_us = v->now_us + hours * 3600 * 1000000,
    };
    return idempotent_put(w->db, &i);
}

int replay_answer(struct writing *w, const struct idempotent *had)
{
    struct visit *v = w->v;
    struct str body = had->body;
    if (str_starts(body, STR("sealed:"))) {
        struct str hex = str_from(body, 7), sealed;
        uint8_t *bin = arena_alloc(&v->work, hex.n / 2 + 1);
        size_t n = 0;
        (void)!sodium_hex2bin(bin, hex.n / 2, hex.p, hex.n, NULL, &n, NULL);
        sealed = str_make((char *)bin, n);
        if (store_unseal(v->platform->store, &v->work, w->scope, sealed, &body) < 0) {
            return -EIO;
        }
    }
    v->answer.fields.arena = &v->work;
    buf_add(&v->answer.fields, had->fields);
    answer_line(v, "idempotent-replayed", "true");
    answer_line(v, "cache-control", "no-store");
    v->answer.status = (unsigned)had->status;
    v->answer.type = body.n ? "application/json" : NULL;
    v->answer.body = body;
    return 0;
}

int stage_answer(struct writing *w)
{
    const struct resource *r = w->unchanged ? &w->now : &w->out.r;
    bool created = !w->exists && !w->v->dry_run;
    if (w->mode == WRITE_DELETE) {
        answer_empty(w->v, 204);
        answer_line(w->v, "cache-control", "no-store");
    } else {
        answer_representation(w, r, created ? 201 : 200);
        answer_fields(w, r, created);
    }
    int e = settle_wait(w);
    return e < 0 ? e : keep_answer(w);
}
