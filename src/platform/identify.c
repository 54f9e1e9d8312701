/* Who asks, and what they may. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "auth/key.h"
#include "conflict/http_date.h"
#include "http/negotiate.h"
#include "platform/visit.h"
#include "platform/write.h"

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

static struct json *parsed(struct visit *v, struct str document)
{
    struct json *j;
    struct json_error e;
    return json_parse(&v->work, document, &j, &e) == 0 ? j : json_new(&v->work, JSON_OBJECT);
}

static void texts_of(struct visit *v, const struct json *j, const char *name,
                     const struct str **ret, size_t *ret_n)
{
    const struct json *list = json_get(j, str_of(name));
    struct str *all = arena_zalloc(&v->work, (json_count(list) + 1) * sizeof *all);
    size_t n = 0;
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        all[n++] = c->text;
    }
    *ret = all;
    *ret_n = n;
}

bool role_permissions(struct visit *v, struct db *db, struct str role, const struct str **ret,
                      size_t *ret_n)
{
    struct resource r;
    if (role_builtin(role, ret, ret_n)) {
        return !str_eq(role, STR("everybody"));
    }
    if (resource_get(db, &v->work, STR("role"), role, false, &r) < 0) {
        return false;
    }
    texts_of(v, parsed(v, r.document), "permissions", ret, ret_n);
    return true;
}

static void grant_role(struct visit *v, struct db *db, struct str role, struct str team)
{
    const struct str *permissions;
    size_t n;
    if (role.n && role_permissions(v, db, role, &permissions, &n)) {
        grants_add(&v->who.grants, permissions, n, team);
    }
}

/* The user's own role, and those of their memberships. -ENOENT: no such user, or disabled. */
static int become_user(struct visit *v, struct db *db, struct str id)
{
    struct resource user, *memberships;
    size_t n;
    int r = resource_get(db, &v->work, STR("user"), id, false, &user);
    if (r < 0) {
        return r;
    }
    struct json *u = parsed(v, user.document);
    if (str_eq(text_of(u, "state"), STR("disabled"))) {
        return -ENOENT;
    }
    v->who.user = user.id;
    v->who.since_us = user.created_us;
    grant_role(v, db, text_of(u, "role"), (struct str){0});
    r = resource_referring(db, &v->work, STR("membership"), STR("user"), id, &memberships, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct json *m = parsed(v, memberships[i].document);
        grant_role(v, db, text_of(m, "role"), text_of(m, "team"));
    }
    return r;
}

static void grant_everybody(struct visit *v)
{
    const struct str *permissions;
    size_t n;
    if (role_builtin(STR("everybody"), &permissions, &n)) {
        grants_add(&v->who.grants, permissions, n, (struct str){0});
    }
    v->who.known = true;
}

static int become_token(struct visit *v, struct db *db, struct str id)
{
    struct resource token;
    int64_t expires_us;
    int r = resource_get(db, &v->work, STR("token"), id, false, &token);
    if (r < 0) {
        return r;
    }
    struct json *t = parsed(v, token.document);
    struct str user = text_of(t, "user"), expires = text_of(t, "expires_at");
    if (!str_eq(text_of(t, "state"), STR("active")) ||
        (expires.n && time_parse(expires, &expires_us) == 0 && expires_us <= v->now_us)) {
        return -ENOENT;
    }
    v->who.token = token.id;
    if (user.n) {
        r = become_user(v, db, user);
        v->who.name = arena_printf(&v->work, "user:%.*s", STR_ARG(user));
    } else {
        grant_role(v, db, text_of(t, "role"), text_of(t, "team"));
        v->who.name = arena_printf(&v->work, "token:%.*s", STR_ARG(token.id));
        v->who.since_us = token.created_us;
    }
    if (r == 0) {
        texts_of(v, t, "scopes", &v->who.grants.scopes, &v->who.grants.n_scopes);
        grant_everybody(v);
    }
    return r;
}

static struct str digest_of(struct visit *v, struct str secret)
{
    uint8_t *digest = arena_alloc(&v->work, KEY_DIGEST_SIZE);
    key_digest(secret, digest);
    return str_make((char *)digest, KEY_DIGEST_SIZE);
}

static int by_token(struct visit *v, struct db *db, struct str secret)
{
    struct str kind, id;
    int r = secret.n && secret.n <= KEY_SECRET_MAX
                ? resource_by_digest(db, &v->work, digest_of(v, secret), v->now_us, &kind, &id)
                : -ENOENT;
    if (r == 0) {
        r = str_eq(kind, STR("token")) ? become_token(v, db, id) : -EACCES;
    }
    if (r == -ENOENT || r == -EACCES) {
        v->who = (struct principal){0};
        refuse(v, PROBLEM_UNAUTHENTICATED, "%s",
               r == -EACCES ? "This is the key of an application, for calls; the platform's API "
                              "takes an access token."
                            : "The access token is unknown, expired or revoked.");
        return 0;
    }
    return r;
}

/* A change with a cookie needs the session's CSRF token besides. */
static bool csrf_is_right(struct visit *v)
{
    enum h1_method m = v->head.method;
    struct str sent = visit_field(v, STR("x-csrf-token"));
    if (m == M_GET || m == M_HEAD || m == M_OPTIONS) {
        return true;
    }
    return sent.n && sodium_memcmp(digest_of(v, sent).p, v->who.csrf.p, KEY_DIGEST_SIZE) == 0;
}

static int by_session(struct visit *v, struct db *db, struct str cookie)
{
    struct session s;
    int r = session_get(db, &v->work, digest_of(v, cookie), v->now_us, &s);
    r = r < 0 ? r : become_user(v, db, s.user);
    if (r == -ENOENT) {
        v->who = (struct principal){0};
        refuse(v, PROBLEM_UNAUTHENTICATED, "The session has ended; sign in again.");
        return 0;
    }
    if (r < 0) {
        return r;
    }
    v->who.name = arena_printf(&v->work, "user:%.*s", STR_ARG(s.user));
    v->who.session = s.digest;
    v->who.csrf = s.csrf;
    grant_everybody(v);
    if (!csrf_is_right(v)) {
        refuse(v, PROBLEM_CSRF, "Send the X-CSRF-Token that the sign-in answered.");
    }
    return 0;
}

int identify(struct visit *v, struct db *db)
{
    struct str authorization = visit_field(v, STR("authorization"));
    struct str cookie = cookie_get(visit_field(v, STR("cookie")), STR("accord_session"));
    v->who = (struct principal){.grants.arena = &v->work};
    if (authorization.n) {
        bool bearer = str_istarts(authorization, STR("bearer "));
        return by_token(v, db, bearer ? str_trim(str_from(authorization, 7)) : (struct str){0});
    }
    return cookie.n ? by_session(v, db, cookie) : 0;
}

/* ---- whose it is ---- */

static const struct field *field_named(const struct kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (str_eq(str_of(k->fields[i].name), name)) {
            return &k->fields[i];
        }
    }
    return NULL;
}

int team_of_tree(struct visit *v, struct db *db, const struct resource_kind *k, struct str id,
                 const struct json *tree, const char *owner, struct str *ret)
{
    *ret = (struct str){0};
    owner = owner ? owner : k->owner;
    if (!owner) {
        return 0;
    }
    if (str_eq(str_of(owner), STR("id"))) {
        *ret = id;
        return 0;
    }
    const struct field *f = field_named(k->kind, str_of(owner));
    struct str to = text_of(tree, owner);
    if (!f || !to.n) {
        return 0;
    }
    if (str_eq(str_of(f->kind->name), STR("team"))) {
        *ret = to;
        return 0;
    }
    struct resource next;
    int r = resource_get(db, &v->work, str_of(f->kind->name), to, false, &next);
    if (r == -ENOENT) {
        return 0;
    }
    return r < 0 ? r : team_of(v, db, resource_kind_named(next.kind), &next, ret);
}

int team_of(struct visit *v, struct db *db, const struct resource_kind *k, const struct resource *r,
            struct str *ret)
{
    *ret = (struct str){0};
    return k->owner ? team_of_tree(v, db, k, r->id, parsed(v, r->document), NULL, ret) : 0;
}

bool may(const struct visit *v, const struct resource_kind *k, const char *verb, struct str team)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s.%s", k->kind->name, verb);
    return n > 0 && grants_may(&v->who.grants, str_make(text, (size_t)n), team);
}

bool is_own(const struct visit *v, const struct resource_kind *k, const struct resource *r,
            const char *verb)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s.%s", k->kind->name, verb);
    if (!k->self || !v->who.user.n || !grants_in_scope(&v->who.grants, str_make(text, (size_t)n))) {
        return false;
    }
    if (str_eq(str_of(k->self), STR("id"))) {
        return str_eq(r->id, v->who.user);
    }
    struct json *own = own_fields((struct visit *)(uintptr_t)v, r);
    const struct json *self = json_get(own, str_of(k->self));
    return self && str_eq(self->text, v->who.user);
}

/* A deletion has no document: it is judged by what was deleted. */
static int state_before(struct visit *v, struct db *db, const struct resource *r,
                        struct resource *ret)
{
    *ret = *r;
    return r->document.n || r->revision <= 1
               ? 0
               : resource_at(db, &v->work, r->kind, r->id, r->revision - 1, ret);
}

int may_read(struct visit *v, struct db *db, const struct resource_kind *k,
             const struct resource *r, bool *ret)
{
    struct resource state;
    struct str team;
    *ret = may(v, k, "read", (struct str){0});
    int e = *ret ? 0 : state_before(v, db, r, &state);
    if (e < 0 || *ret) {
        return e == -ENOENT ? 0 : e;
    }
    struct json *tree = parsed(v, state.document);
    *ret = is_own(v, k, &state, "read");
    e = team_of_tree(v, db, k, state.id, tree, NULL, &team);
    *ret = *ret || (e == 0 && may(v, k, "read", team));
    /* Who decides about it sees it, too: a subscription is its application's and its service's. */
    for (size_t i = 0; e == 0 && !*ret && i < k->n_actions; i++) {
        if (k->actions[i].owner) {
            e = team_of_tree(v, db, k, state.id, tree, k->actions[i].owner, &team);
            *ret = e == 0 && may(v, k, "read", team);
        }
    }
    return e;
}
