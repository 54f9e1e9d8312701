#include "gateway/explain.h"

#include "base/must.h"
#include "gateway/again.h"
#include "gateway/choice.h"
#include "gateway/limits.h"
#include "gateway/translate.h"

enum { HEAD_MOST = 64 * 1024 };

enum next explain_refusal(struct call *c, const struct call_error *e, struct str message)
{
    if (c->dry->error.status) {
        return DONE; /* the first one is what the caller would see */
    }
    c->dry->error = *e;
    c->dry->message = message;
    return DONE;
}

const struct snap_key *explain_key(const struct worker *w, struct str id)
{
    const struct snapshot *s = w->hold->snap;
    for (size_t i = 0; i < s->n_keys; i++) {
        if (str_eq(s->keys[i].id, id)) {
            return &s->keys[i];
        }
    }
    return NULL;
}

static void set_text(struct arena *a, struct json *to, const char *name, struct str value)
{
    json_set(to, str_of(name), json_new_str(a, arena_dup(a, value)));
}

static void set_int(struct arena *a, struct json *to, const char *name, uint64_t value)
{
    json_set(to, str_of(name), json_new_int(a, (int64_t)value));
}

static void set_bool(struct arena *a, struct json *to, const char *name, bool value)
{
    json_set(to, str_of(name), json_new_bool(a, value));
}

/* ---- the dry call ---- */

/* The request as a client would have sent it, parsed as such. */
static const char *make_request(struct call *c, const struct explain_ask *ask)
{
    struct arena *a = &c->req->input;
    struct str text = arena_printf(a,
                                   "POST %.*s HTTP/1.1\r\nhost: explain\r\n%.*scontent-type: "
                                   "application/json\r\ncontent-length: %zu\r\n\r\n",
                                   STR_ARG(ask->path), STR_ARG(ask->fields), ask->body.n);
    struct h1_head *h = arena_zalloc(a, sizeof *h);
    const char *why = "";
    h->fields = arena_alloc(a, H1_FIELDS_MAX * sizeof *h->fields);
    if (h1_request(h, text.p, text.n, HEAD_MOST, &why) <= 0) {
        return why;
    }
    c->req->head = h;
    c->req->body = ask->body;
    c->collecting = true; /* the body is whole */
    return NULL;
}

/* The stages of a call up to the choice of its target. */
static enum next run_stages(struct call *c, const struct explain_ask *ask)
{
    struct call_error e = {.status = 400, .code = "malformed_request"};
    const char *why = make_request(c, ask);
    if (why) {
        return call_fail(c, &e, "The request was refused: %s.", why);
    }
    const struct h1_head *h = c->req->head;
    c->ep = endpoint_find(STR("POST"), h1_slice(h, h->path, h->path_n));
    if (!c->ep.endpoint || c->ep.endpoint->kind != ENDPOINT_CALL) {
        e.status = 404;
        e.code = "not_found";
        return call_fail(c, &e, "No call of a model goes to %.*s.", STR_ARG(ask->path));
    }
    enum next n = stage_shape(c);
    return n == NEXT ? route_model(c) : n;
}

/* ---- what applies ---- */

static bool applies(const struct call *c, const struct config_policy *p)
{
    switch (p->scope) {
    case SCOPE_ORG:
        return true;
    case SCOPE_KEY:
        return str_eq(p->subject, c->key->id);
    case SCOPE_MODEL:
        return c->model->id.n && str_eq(p->subject, c->model->id);
    case SCOPE_TEAM:
        return c->key->team.n && str_eq(p->subject, c->key->team);
    case SCOPE_APPLICATION:
        return c->key->application.n && str_eq(p->subject, c->key->application);
    default:
        return false;
    }
}

static struct json *policy_json(const struct config_policy *p, struct arena *a)
{
    static const char *const scope[] = {"org", "key", "model", "team", "service", "application"};
    struct json *j = json_new(a, JSON_OBJECT), *to = json_new(a, JSON_OBJECT);
    set_text(a, j, "id", p->id);
    if (p->scope == SCOPE_ORG) {
        set_bool(a, to, "org", true);
    } else {
        set_text(a, to, scope[p->scope], p->subject);
    }
    json_set(j, STR("applies_to"), to);
    set_int(a, j, "limits", p->n_limits);
    set_int(a, j, "budgets", p->n_budgets);
    set_bool(a, j, "masking", p->masking.given);
    set_bool(a, j, "retry", p->retry.attempts || p->retry.deadline_ms);
    return j;
}

static struct json *policies_json(const struct call *c, struct arena *a)
{
    const struct config *cfg = c->hold->snap->config;
    struct json *all = json_new(a, JSON_ARRAY);
    for (size_t i = 0; i < cfg->n_policies; i++) {
        if (applies(c, &cfg->policies[i])) {
            json_append(all, policy_json(&cfg->policies[i], a));
        }
    }
    return all;
}

static void add_limits(const struct call *c, struct json *to, const struct snap_limits *l,
                       const struct limit_now *now, struct arena *a)
{
    for (uint32_t i = 0; l && i < l->n_at_once + l->n_windows; i++) {
        const struct snap_limit *one =
            i < l->n_at_once ? l->at_once[i] : l->windows[i - l->n_at_once];
        struct json *j = limits_json(a, one, now);
        if (one == c->dry->limit) {
            set_bool(a, j, "refuses", true);
        }
        json_append(to, j);
    }
}

static struct json *limits_of(const struct call *c, struct arena *a)
{
    uint64_t mono_us = loop_now_us(c->w->loop);
    struct limit_now now = counter_now(mono_us, mono_us + c->w->wall_offset_us);
    struct json *all = json_new(a, JSON_ARRAY);
    add_limits(c, all, c->key->limits, &now, a);
    add_limits(c, all, c->model->limits, &now, a);
    return all;
}

/* ---- targets ---- */

static const char *const verdict_name[] = {
    [VERDICT_FIT] = "well",
    [VERDICT_TRIED] = "tried",
    [VERDICT_DIALECT] = "dialect_not_translated",
    [VERDICT_CONDITION] = "condition",
    [VERDICT_HOST] = "provider_rests",
    [VERDICT_LANE] = "model_rests",
    [VERDICT_CREDENTIALS] = "credentials_rest",
};

static struct str condition_text(struct arena *a, const struct snap_condition *w)
{
    static const char *const what[] = {"header ", "metadata ", "model", "tokens"};
    struct buf b = {.arena = a};
    buf_printf(&b, "%s%.*s", what[w->what], STR_ARG(w->name));
    if (w->what == WHEN_TOKENS) {
        buf_printf(&b, " from %lld", (long long)w->at_least);
        if (w->at_most < INT64_MAX) {
            buf_printf(&b, " to %lld", (long long)w->at_most);
        }
    }
    for (size_t i = 0; i < w->n_is; i++) {
        buf_printf(&b, "%s%.*s", i ? " or " : " is ", STR_ARG(w->is[i]));
    }
    return buf_str(&b);
}

/* Which of its conditions do not hold. */
static void add_conditions(struct call *c, const struct snap_target *t, struct json *to,
                           struct arena *a)
{
    struct json *failed = json_new(a, JSON_ARRAY);
    for (uint32_t i = 0; i < t->n_when; i++) {
        if (!traits_hold(c, &t->when[i])) {
            json_append(failed, json_new_str(a, condition_text(a, &t->when[i])));
        }
    }
    json_set(to, STR("conditions"), failed);
}

/* Until when that rests which speaks against it. */
static void add_rest(struct call *c, const struct snap_target *t, enum verdict v, struct json *to,
                     struct arena *a)
{
    uint64_t left = 0;
    bool told;
    if (v == VERDICT_HOST) {
        routing_add_health(a, to, t->provider->health, c->w);
    } else if (v == VERDICT_LANE) {
        routing_add_health(a, to, t->lane, c->w);
    } else if (v == VERDICT_CREDENTIALS) {
        size_t i = (size_t)(choice_soonest(c, t, &left, &told) - t->provider->credentials);
        const struct health *own = t->provider->credentials[i].health;
        const struct health *limit = snap_limit_on(t, c->suffix, i);
        uint64_t now = loop_now_ms(c->w->loop);
        routing_add_health(
            a, to, health_left_ms(limit, now) >= health_left_ms(own, now) ? limit : own, c->w);
    }
}

static struct json *target_json(struct call *c, const struct snap_target *t, struct arena *a)
{
    struct json *j = json_new(a, JSON_OBJECT);
    const struct price *p = price_at(t->price, loop_now_us(c->w->loop) + c->w->wall_offset_us);
    c->target = t;
    struct str model = call_upstream_model(c);
    set_text(a, j, "target",
             arena_printf(a, "%.*s/%.*s", STR_ARG(t->provider->id), STR_ARG(model)));
    set_text(a, j, "provider", t->provider->id);
    set_text(a, j, "model", model);
    set_int(a, j, "priority", t->priority);
    set_int(a, j, "weight", t->weight);
    set_bool(a, j, "translated", translate_plan(c, t) == PLAN_TRANSLATE);
    routing_add_load(a, j, t->load, c->w);
    if (p) {
        struct buf b = {.arena = a};
        struct json *price;
        price_print(&b, p);
        if (json_parse(a, buf_str(&b), &price, NULL) == 0) {
            json_set(j, STR("price"), price);
        }
    }
    return j;
}

/* One that would be asked, as the n-th. What the choice of its credential says is what a call is told. */
static enum next add_chosen(struct call *c, const struct snap_target *t, unsigned n,
                            struct json *to, struct arena *a)
{
    struct json *j = target_json(c, t, a);
    enum next taken = route_take_credential(c);
    set_int(a, j, "order", n);
    if (c->credential->id.n) {
        set_text(a, j, "credential", c->credential->id);
    }
    if (choice_in_doubt(t)) {
        set_bool(a, j, "probe", true);
    }
    json_append(to, j);
    return taken;
}

/* The same choices that a call would make that fails at each of them; the targets chosen are then in c->tried. Where
 * nothing is well, what rests is asked once, unless the vendor itself has said how long. */
static enum next add_order(struct call *c, struct json *to, struct arena *a)
{
    const struct snap_target *t;
    uint32_t index = 0;
    enum next n = NEXT;
    for (unsigned order = 1; n == NEXT; order++) {
        uint64_t without = c->tried;
        t = choice_pick_well(c, &without, &index);
        if (!t && order == 1) {
            t = choice_pick(c, true, c->tried, &index);
        }
        if (!t) {
            return order == 1 ? route_none_left(c) : NEXT;
        }
        n = add_chosen(c, t, order, to, a);
        c->tried |= (uint64_t)1 << index;
    }
    return n;
}

static void add_passed_by(struct call *c, struct json *to, struct arena *a)
{
    for (uint32_t i = 0; i < c->model->n_targets && i < CHOICE_TARGETS_MAX; i++) {
        const struct snap_target *t = &c->model->targets[i];
        enum verdict v = choice_verdict(c, i, 0);
        if (c->tried >> i & 1) {
            continue;
        }
        struct json *j = target_json(c, t, a);
        /* What is well and was not chosen is in doubt, and another call has its probe. */
        set_text(a, j, "passed_by", str_of(v == VERDICT_FIT ? "in_doubt" : verdict_name[v]));
        if (v == VERDICT_CONDITION) {
            add_conditions(c, t, j, a);
        }
        add_rest(c, t, v, j, a);
        json_append(to, j);
    }
}

/* ---- all of it ---- */

static void add_refusal(const struct call *c, struct json *to, struct arena *a)
{
    struct json *j = json_new(a, JSON_OBJECT);
    set_int(a, j, "status", c->dry->error.status);
    set_text(a, j, "code", str_of(c->dry->error.code));
    set_text(a, j, "message", c->dry->message);
    if (c->dry->limit) {
        set_text(a, j, "policy", c->dry->limit->policy);
    }
    if (c->dry->error.retry_after_ms) {
        set_int(a, j, "retry_after_ms", c->dry->error.retry_after_ms);
    }
    set_bool(a, j, "should_retry", c->dry->error.should_retry);
    json_set(to, STR("error"), j);
}

static void add_balance(struct call *c, struct json *to, struct arena *a)
{
    const struct snap_model *m = c->model;
    set_text(a, to, "balance", str_of(balance_name[m->balance]));
    if (c->sticky) {
        set_text(a, to, "sticks_by", str_of(sticky_name[c->sticks_by]));
    }
    if (c->traits) {
        set_int(a, to, "input_tokens", (uint64_t)traits_tokens(c));
    }
}

static void add_retry(const struct call *c, struct json *to, struct arena *a)
{
    const struct snap_retry p = again_policy(c);
    set_int(a, to, "attempts", p.attempts ? p.attempts : AGAIN_ATTEMPTS);
    if (p.deadline_ms) {
        set_int(a, to, "deadline_ms", p.deadline_ms);
    }
}

static struct json *tell(struct call *c, enum next n, struct arena *a)
{
    struct json *j = json_new(a, JSON_OBJECT), *targets = json_new(a, JSON_ARRAY);
    set_text(a, j, "outcome", STR("routed"));
    if (c->ep.endpoint) {
        set_text(a, j, "route", c->ep.endpoint->route);
    }
    set_text(a, j, "asked", c->asked);
    if (c->key->id.n) {
        set_text(a, j, "key", c->key->id);
    }
    if (n == NEXT) {
        set_text(a, j, "model", c->model->id);
        set_bool(a, j, "stream", c->stream);
        add_balance(c, j, a);
        add_retry(c, j, a);
        json_set(j, STR("policies"), policies_json(c, a));
        n = admit_dry(c);
        json_set(j, STR("limits"), limits_of(c, a));
        n = add_order(c, targets, a) == NEXT ? n : DONE; /* where it would go if there were room */
        add_passed_by(c, targets, a);
        json_set(j, STR("targets"), targets);
    }
    if (n != NEXT) {
        set_text(a, j, "outcome", STR("refused"));
        add_refusal(c, j, a);
    }
    return j;
}

struct json *explain(struct worker *w, const struct explain_ask *ask, struct arena *a)
{
    static const struct str every[] = {{"*", 1}};
    const struct snap_key nobody = {.models = every, .n_models = 1};
    struct explanation dry = {0};
    struct http_req req = {0};
    req.begun_us = loop_now_us(w->loop);
    struct call *c = arena_zalloc(&req.arena, sizeof *c);
    c->w = w;
    c->req = &req;
    c->hold = w->hold;
    c->dry = &dry;
    c->key = ask->key ? ask->key : &nobody;
    struct json *j = tell(c, run_stages(c, ask), a);
    arena_reset(&req.arena);
    arena_reset(&req.input);
    return j;
}
