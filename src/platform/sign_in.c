/* People sign in: password to session, one-time link to password, and back out. */
#include <errno.h>
#include <sodium.h>

#include "auth/key.h"
#include "auth/password.h"
#include "conflict/http_date.h"
#include "conflict/rate_limit.h"
#include "platform/route.h"
#include "platform/write.h"

enum { HOURS_DEFAULT = 12, LINK_DAYS = 7 };

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

/* The body as an object with these texts; false: refused. */
static bool read_texts(struct visit *v, const char *const *names, struct str *to)
{
    struct json *j;
    struct json_error e;
    if (json_parse(&v->work, v->body, &j, &e) < 0) {
        refuse(v, PROBLEM_MALFORMED_JSON, "The body is not JSON: %s, at byte %zu.", e.why, e.at);
        return false;
    }
    for (size_t i = 0; names[i]; i++) {
        to[i] = text_of(j, names[i]);
        if (!to[i].n) {
            refuse(v, PROBLEM_INVALID, "%s: missing.", names[i]);
            return false;
        }
    }
    return true;
}

static struct str digest_of(struct visit *v, struct str secret)
{
    uint8_t *digest = arena_alloc(&v->work, KEY_DIGEST_SIZE);
    key_digest(secret, digest);
    return str_make((char *)digest, KEY_DIGEST_SIZE);
}

static struct str folded(struct visit *v, struct str s)
{
    struct str copy = arena_dup(&v->work, s);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; i < copy.n; i++) {
        p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] | 0x20) : p[i];
    }
    return copy;
}

/* ---- passwords ---- */

static int stored_hash(struct visit *v, struct db *db, struct str user, struct str *ret)
{
    struct resource_secret *all;
    size_t n;
    *ret = (struct str){0};
    int r = resource_secrets(db, &v->work, STR("user"), user, &all, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (str_eq(all[i].name, STR("/password"))) {
            struct str context = arena_printf(&v->work, "user/%.*s/password", STR_ARG(user));
            r = store_unseal(v->platform->store, &v->work, context, all[i].sealed, ret);
        }
    }
    return r;
}

/* The same time and the same answer, whether the user exists or not. */
static int password_is_right(struct visit *v, struct db *db, struct str user, struct str password,
                             bool *ret)
{
    struct str hash = {0};
    int r = user.n ? stored_hash(v, db, user, &hash) : 0;
    if (r < 0) {
        return r;
    }
    if (hash.n) {
        *ret = password_verify(hash, secret_of(password));
    } else {
        password_verify_none(secret_of(password));
        *ret = false;
    }
    return 0;
}

static int set_password(struct visit *v, struct db *db, struct str user, struct str password)
{
    struct resource now;
    int r = resource_get(db, &v->work, STR("user"), user, true, &now);
    if (r < 0) {
        return r;
    }
    struct str context = arena_printf(&v->work, "user/%.*s/password", STR_ARG(user));
    struct str hash = password_hash(&v->work, secret_of(password));
    const struct resource_secret secret = {
        .name = STR("/password"),
        .sealed = store_seal(v->platform->store, &v->work, context, hash)};
    struct resource_write w = {
        .r = now, .secrets = &secret, .n_secrets = 1, .same_index = true}; /* links are dead */
    struct resource_refusal why;
    w.r.updated_us = v->now_us;
    w.r.updated_by =
        v->who.name.n ? v->who.name : arena_printf(&v->work, "user:%.*s", STR_ARG(user));
    w.r.action = STR("password");
    return resource_update(db, &v->work, &w, now.revision, &why);
}

static bool password_is_good(struct visit *v, struct db *db, struct str user, struct str password)
{
    struct resource r;
    struct str tidy, about[2] = {user, {0}};
    if (!rule_password.check(&v->work, password, &tidy)) {
        refuse(v, PROBLEM_INVALID, "password: allowed: %s.", rule_password.allowed);
        return false;
    }
    if (resource_get(db, &v->work, STR("user"), user, false, &r) == 0) {
        about[1] = text_of(own_fields(v, &r), "email");
    }
    const char *weak = password_weakness(secret_of(password), about, 2);
    if (weak) {
        refuse(v, PROBLEM_INVALID, "password: %s.", weak);
    }
    return !weak;
}

/* ---- sessions ---- */

static int add_audit(struct visit *v, struct db *db, const char *action, struct str user)
{
    struct str who = arena_printf(&v->work, "user:%.*s", STR_ARG(user));
    const struct audit e = {.at_us = v->now_us,
                            .who = who,
                            .address = v->address,
                            .request_id = str_of(v->id),
                            .action = str_of(action),
                            .kind = STR("user"),
                            .id = user};
    return audit_add(db, &v->work, &e);
}

static int begin_session(struct visit *v, struct db *db, struct str user)
{
    struct arena *a = &v->work;
    struct str cookie = secret_reveal(key_make_as(a, SESSION_PREFIX));
    struct str csrf = secret_reveal(key_make_as(a, CSRF_PREFIX));
    int64_t hours = setting_int(v, db, "session_hours", HOURS_DEFAULT);
    const struct session s = {
        .digest = digest_of(v, cookie),
        .user = user,
        .csrf = digest_of(v, csrf),
        .created_us = v->now_us,
        .expires_us = v->now_us + hours * 3600 * 1000000,
        .address = v->address,
        .agent = str_first(visit_field(v, STR("user-agent")), 200),
    };
    int r = session_expire(db, v->now_us);
    r = r < 0 ? r : session_add(db, &s);
    r = r < 0 ? r : add_audit(v, db, "sign-in", user);
    if (r < 0) {
        return r;
    }
    struct json *j = json_new(a, JSON_OBJECT);
    json_set(j, STR("user"), json_new_str(a, user));
    json_set(j, STR("csrf_token"), json_new_str(a, csrf));
    json_set(j, STR("expires_at"), json_new_str(a, time_print(a, s.expires_us)));
    answer_json(v, 201, j);
    answer_line(v, "set-cookie",
                "accord_session=%.*s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s",
                STR_ARG(cookie), (long long)(hours * 3600), v->platform->tls ? "; Secure" : "");
    answer_line(v, "cache-control", "no-store");
    return 0;
}

static struct throttle_state ask_throttle(struct visit *v, struct str account)
{
    struct platform *p = v->platform;
    pthread_mutex_lock(&p->throttle_lock);
    struct throttle_state s =
        throttle_ask(&p->throttle, account, v->source, (uint64_t)v->now_us / 1000);
    pthread_mutex_unlock(&p->throttle_lock);
    return s;
}

/* What is left of the failures that cost nothing, and how long the pause is. */
static void tell_limit(struct visit *v, const struct throttle_state *s)
{
    const struct rate_limit l = {.policy = STR("sign-in"),
                                 .quota = THROTTLE_FREE_FAILURES,
                                 .window_s = THROTTLE_FORGET_MS / 1000,
                                 .left = s->left,
                                 .reset_ms = s->wait_ms};
    v->answer.fields.arena = &v->work;
    rate_limit_fields(&v->answer.fields, &l);
}

static void refuse_attempt(struct visit *v, const struct throttle_state *s)
{
    struct json *violated = json_new(&v->work, JSON_ARRAY);
    refuse(v, PROBLEM_TOO_MANY_ATTEMPTS, "Sign-in failed too often; wait %llu seconds.",
           (unsigned long long)(s->wait_ms + 999) / 1000);
    v->refusal.retry_after_ms = (uint32_t)s->wait_ms;
    json_append(violated, json_new_str(&v->work, STR("sign-in")));
    json_set(refusal_members(v), STR("violated-policies"), violated);
    tell_limit(v, s);
}

static void tell_throttle(struct visit *v, struct str account, bool right)
{
    struct platform *p = v->platform;
    pthread_mutex_lock(&p->throttle_lock);
    if (right) {
        throttle_succeeded(&p->throttle, account, v->source);
    } else {
        throttle_failed(&p->throttle, account, v->source, (uint64_t)v->now_us / 1000);
    }
    pthread_mutex_unlock(&p->throttle_lock);
}

static bool is_active(struct visit *v, struct db *db, struct str user)
{
    struct resource r;
    return resource_get(db, &v->work, STR("user"), user, false, &r) == 0 &&
           str_eq(text_of(own_fields(v, &r), "state"), STR("active"));
}

int sign_in(struct visit *v, struct db *db)
{
    static const char *const names[] = {"email", "password", NULL};
    struct str given[2], user = {0};
    bool right;
    if (v->early || !read_texts(v, names, given)) {
        return 0;
    }
    struct str account = folded(v, str_first(given[0], 254));
    struct throttle_state state = ask_throttle(v, account);
    if (state.wait_ms) {
        refuse_attempt(v, &state);
        return 0;
    }
    int r = resource_by_unique(db, &v->work, STR("user"), STR("/email"), account, &user);
    r = r == -ENOENT ? 0 : r;
    r = r < 0 ? r : password_is_right(v, db, user, given[1], &right);
    if (r < 0) {
        return r;
    }
    right = right && is_active(v, db, user);
    tell_throttle(v, account, right);
    if (!right) {
        refuse(v, PROBLEM_SIGN_IN_FAILED,
               "There is no user with this e-mail address and password.");
        state = ask_throttle(v, account);
        tell_limit(v, &state);
        return 0;
    }
    return begin_session(v, db, user);
}

int sign_out(struct visit *v, struct db *db)
{
    if (!v->who.session.n) {
        refuse(v, PROBLEM_INVALID, "There is no session: this request came with an access token.");
        return 0;
    }
    answer_empty(v, 204);
    answer_line(v, "set-cookie", "accord_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    int r = session_end(db, v->who.user, v->who.session, (struct str){0});
    return r < 0 ? r : add_audit(v, db, "sign-out", v->who.user);
}

/* What failures are counted under: the address that they sign in with. */
static int account_of(struct visit *v, struct db *db, struct str user, struct str *ret)
{
    struct resource r;
    int e = resource_get(db, &v->work, STR("user"), user, false, &r);
    *ret = e < 0 ? (struct str){0} : folded(v, text_of(own_fields(v, &r), "email"));
    return e;
}

int change_password(struct visit *v, struct db *db)
{
    static const char *const names[] = {"current_password", "password", NULL};
    struct str given[2];
    bool right;
    if (v->early) {
        return 0;
    }
    if (!v->who.user.n) {
        refuse(v, PROBLEM_FORBIDDEN, "A machine's token has no password.");
        return 0;
    }
    if (!read_texts(v, names, given)) {
        return 0;
    }
    struct str account;
    int r = account_of(v, db, v->who.user, &account);
    struct throttle_state state = ask_throttle(v, account);
    if (r == 0 && state.wait_ms) { /* who tries here tries the same password as at the sign-in */
        refuse_attempt(v, &state);
        return 0;
    }
    r = r < 0 ? r : password_is_right(v, db, v->who.user, given[0], &right);
    if (r < 0) {
        return r;
    }
    tell_throttle(v, account, right);
    if (!right) {
        refuse(v, PROBLEM_SIGN_IN_FAILED, "current_password: this is not it.");
        state = ask_throttle(v, account);
        tell_limit(v, &state);
        return 0;
    }
    if (!password_is_good(v, db, v->who.user, given[1])) {
        return 0;
    }
    answer_empty(v, 204);
    r = set_password(v, db, v->who.user, given[1]);
    r = r < 0 ? r : session_end(db, v->who.user, (struct str){0}, v->who.session);
    return r < 0 ? r : add_audit(v, db, "password", v->who.user);
}

/* A one-time link is a digest of the user's: it is gone with the next password, whoever sets it. */
int redeem_link(struct visit *v, struct db *db)
{
    static const char *const names[] = {"link", "password", NULL};
    struct str given[2], kind, id;
    if (v->early || !read_texts(v, names, given)) {
        return 0;
    }
    int r = resource_by_digest(db, &v->work, digest_of(v, given[0]), v->now_us, &kind, &id);
    if (r == -ENOENT || (r == 0 && !str_eq(kind, STR("user")))) {
        refuse(v, PROBLEM_SIGN_IN_FAILED, "This link was used already, or is too old.");
        return 0;
    }
    if (r < 0 || !password_is_good(v, db, id, given[1])) {
        return r;
    }
    r = set_password(v, db, id, given[1]);
    r = r < 0 ? r : session_end(db, id, (struct str){0}, (struct str){0});
    r = r < 0 ? r : add_audit(v, db, "redeem", id);
    return r < 0 ? r : begin_session(v, db, id);
}

int read_me(struct visit *v, struct db *db)
{
    struct arena *a = &v->work;
    struct json *j = json_new(a, JSON_OBJECT), *grants = json_new(a, JSON_ARRAY);
    struct resource r;
    json_set(j, STR("name"), json_new_str(a, v->who.name));
    if (v->who.user.n && resource_get(db, a, STR("user"), v->who.user, false, &r) == 0) {
        json_set(j, STR("user"), resource_tree(v, &r));
    }
    if (v->who.token.n) {
        json_set(j, STR("token"), json_new_str(a, v->who.token));
    }
    for (size_t i = 0; i < v->who.grants.n; i++) {
        const struct grant *g = &v->who.grants.all[i];
        struct json *one = json_new(a, JSON_OBJECT), *list = json_new(a, JSON_ARRAY);
        if (g->team.n) {
            json_set(one, STR("team"), json_new_str(a, g->team));
        }
        for (size_t k = 0; k < g->n; k++) {
            json_append(list, json_new_str(a, g->permissions[k]));
        }
        json_set(one, STR("permissions"), list);
        json_append(grants, one);
    }
    json_set(j, STR("grants"), grants);
    answer_json(v, 200, j);
    answer_line(v, "cache-control", "private, no-store");
    return 0;
}
