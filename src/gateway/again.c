#include "gateway/again.h"

#include "conflict/http_date.h"
#include "conflict/rate_limit.h"
#include "gateway/choice.h"
#include "gateway/hedging.h"
#include "gateway/translate.h"

enum {
    CREDENTIALS = 8,    /* one that is refused costs the vendor nothing: so many attempts then */
    WAIT_MAX_MS = 2000, /* longer, and the client is better told to come back */
    LOCK_MS = 1000,     /* a lock of which nobody said when it ends */
    TOLD_MAX_MS = 60000,
};

/* ---- bounds ---- */

struct snap_retry again_policy(const struct call *c)
{
    return snap_retry_or(snap_retry_or(c->model->retry, c->key->retry), c->hold->snap->retry);
}

/* Callers that have tried before take from our share, so that theirs and ours do not multiply. */
static uint32_t attempts_left(const struct call *c)
{
    uint32_t said = again_policy(c).attempts, most = said ? said : AGAIN_ATTEMPTS;
    uint64_t theirs = 0;
    (void)!str_to_u64(h1_find(c->req->head, STR("x-stainless-retry-count")), &theirs);
    most = theirs < most ? most - (uint32_t)theirs : 1;
    return c->attempts < most ? most - c->attempts : 0;
}

/* Until when an attempt may begin. */
static uint64_t deadline_ms(const struct call *c)
{
    uint64_t policy = again_policy(c).deadline_ms;
    uint64_t total = relay_total_ms(c);
    uint64_t within = policy && (!total || policy < total) ? policy : total;
    return within ? c->req->begun_us / 1000 + within : UINT64_MAX;
}

bool again_possible(const struct call *c)
{
    return !c->status && c->req->head && !c->body_streams && c->model && c->target;
}

bool again_left(const struct call *c)
{
    return attempts_left(c) && loop_now_ms(c->w->loop) < deadline_ms(c);
}

/* ---- whose fault it was ---- */

static struct health *limit_of(const struct call *c)
{
    const struct snap_target *t = c->target;
    return snap_limit_on(t, c->suffix, (size_t)(c->credential - t->provider->credentials));
}

static void note(struct call *c, const struct fault *f)
{
    uint64_t now = loop_now_ms(c->w->loop);
    const struct snap_target *t = c->target;
    struct health *h = NULL;
    switch (f->at) {
    case FAULT_HOST:
        h = t->provider->health;
        break;
    case FAULT_LANE:
        h = t->lane;
        break;
    case FAULT_CREDENTIAL:
        h = c->credential->health;
        break;
    case FAULT_LIMIT:
        h = limit_of(c);
        break;
    default:
        break;
    }
    if (h) {
        health_failed(h, now, f->rest_ms, f->told);
    }
}

void again_blame(struct call *c)
{
    struct fault f = fault_of_silence();
    note(c, &f);
}

void again_worked(struct call *c)
{
    const struct snap_target *t = c->target;
    retry_succeeded(&c->hold->retries[t->provider->index]);
    health_worked(t->provider->health);
    health_worked(c->credential->health);
    health_worked(limit_of(c));
    if (t->lane) {
        health_worked(t->lane);
    }
}

/* ---- the next attempt ---- */

void again_forget(struct call *c)
{
    struct relay *r = &c->relay;
    http_up_cancel(c->up);
    c->up = NULL;
    c->up_ready = c->body_sent = false;
    c->outcome = OUTCOME_OK;
    c->usage = USAGE_NONE;
    c->answered_us = 0;
    c->held = NULL;
    c->hedge_at_ms = 0;
    relay_drop_hold(c);
    if (c->tr) {
        c->tr->reading = READ_NOTHING;
    }
    *r = (struct relay){0};
}

static void run(struct call *c, enum stage stage, uint64_t delay_ms)
{
    again_forget(c);
    call_back_to(c, stage);
    if (delay_ms) {
        c->retry_waits = true;
        loop_timer(c->w->loop, &c->timer, delay_ms);
    } else {
        call_run(c);
    }
}

/* What a record says of it. */
static const char *reason(const struct fault *f)
{
    switch (f->at) {
    case FAULT_HOST:
        return "unreachable";
    case FAULT_CREDENTIAL:
        return "credential_refused";
    case FAULT_LIMIT:
        return f->status == 403 ? "not_permitted" : "rate_limited";
    case FAULT_LOCK:
        return "locked";
    default:
        return f->status ? "error_status" : f->same ? "no_answer" : "too_slow";
    }
}

bool again(struct call *c, const struct fault *f)
{
    struct worker *w = c->w;
    uint64_t now = loop_now_ms(w->loop), pause = retry_delay_ms(c->attempts, worker_random(w));
    bool connecting = f->at == FAULT_HOST; /* a body that streams has not begun to flow */
    note(c, f);
    if (hedging_runs(c)) {
        call_failed_attempt(c, f->why ? f->why : reason(f), f->status);
        hedging_lose(c);
        return true;
    }
    if (c->status || !c->req->head || (c->body_streams && !connecting) || now >= deadline_ms(c)) {
        return false;
    }
    uint32_t left = attempts_left(c);
    bool more = f->at == FAULT_CREDENTIAL && !again_policy(c).attempts && c->attempts < CREDENTIALS;
    const struct snap_credential *credential =
        f->credential && (left || more) ? route_other_credential(c) : NULL;
    bool target =
        !credential && left && f->target && (!f->wider || choice_wider(c)) && route_others_left(c);
    pause = pause < f->wait_ms ? f->wait_ms : pause;
    bool same = !credential && !target && left && f->same && pause <= WAIT_MAX_MS &&
                now + pause < deadline_ms(c);
    unsigned cost = f->at == FAULT_LIMIT ? RETRY_COST_LIMITED : RETRY_COST;
    if ((!credential && !target && !same) ||
        !retry_take(&c->hold->retries[c->target->provider->index], cost, now)) {
        return false;
    }
    w->metrics.retries[connecting ? RETRY_CONNECT : RETRY_ANSWER]++;
    w->metrics.fallbacks += target;
    call_failed_attempt(c, f->why ? f->why : reason(f), f->status);
    c->credential = credential ? credential : c->credential;
    /* Of who has not said a word the first repeat is made at once. */
    bool waits = same && (f->status || c->answered_us || c->attempts > 1);
    run(c, target ? STAGE_route : STAGE_forward, waits ? pause + 1 : 0);
    return true;
}

/* ---- when nothing else is left ---- */

uint32_t again_retry_after(const struct h1_head *h)
{
    uint64_t ms = 0, s = 0;
    struct str text = h1_get(h, H_RETRY_AFTER);
    int64_t now = (int64_t)(clock_wall_us() / 1000000), at;
    if (str_to_u64(h1_find(h, STR("retry-after-ms")), &ms) == 0) {
        /* more exact than the other */
    } else if (str_to_u64(text, &s) == 0) {
        ms = s < UINT32_MAX / 1000 ? s * 1000 : UINT32_MAX;
    } else if (text.n && http_date_parse(text, now, &at) == 0 && at > now) {
        ms = (uint64_t)(at - now) < UINT32_MAX / 1000 ? (uint64_t)(at - now) * 1000 : UINT32_MAX;
    }
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

bool again_is_told_enough(const struct h1_head *h)
{
    return str_ieq(h1_find(h, STR("x-should-retry")), STR("false"));
}

bool again_is_told_more(const struct h1_head *h)
{
    return str_ieq(h1_find(h, STR("x-should-retry")), STR("true"));
}

bool again_is_advice(const struct h1_head *h, const struct h1_field *f)
{
    struct str name = h1_name(h, f);
    return f->id == H_RETRY_AFTER || str_ieq(name, STR("retry-after-ms")) ||
           str_ieq(name, STR("x-should-retry"));
}

/* How long a lock is waited for, when somebody else is told to. */
static uint32_t lock_ms(const struct call *c, uint32_t told_ms)
{
    return !told_ms                ? (uint32_t)retry_after_spread(LOCK_MS, worker_random(c->w))
           : told_ms > TOLD_MAX_MS ? TOLD_MAX_MS
                                   : told_ms;
}

void again_advise(struct call *c, bool lock, uint32_t retry_after_ms)
{
    http_field(c->req, STR("x-should-retry"), lock ? STR("true") : STR("false"));
    if (lock) {
        uint32_t ms = lock_ms(c, retry_after_ms);
        http_field_u64(c->req, STR("retry-after"), (ms + 999) / 1000);
        http_field_u64(c->req, STR("retry-after-ms"), ms);
    }
}

bool again_is_about_credential(unsigned status)
{
    return status == 401 || status == 402 || status == 403;
}

/* After our own tries those of an SDK would only multiply them; a lock that somebody else holds is different. */
static bool is_worth_a_retry(const struct call *c, unsigned status, const struct fault *f)
{
    bool may_pass = status == 408 || status == 429 || status >= 500;
    return f->at == FAULT_LOCK || (may_pass && c->attempts <= 1);
}

void again_or_fail(struct call *c, const struct ir_error *e, enum outcome outcome)
{
    struct str code = e->code.n ? e->code : STR("upstream_error");
    struct str message = e->message.n ? e->message : STR("The provider answered with an error.");
    const struct translation *tr = c->tr && c->tr->reading == READ_ERROR ? c->tr : NULL;
    struct fault_answer a = {.status = e->status,
                             .code = e->code,
                             .param = e->param,
                             .retry_after_ms = e->retry_after_ms,
                             .should_retry = tr && tr->more,
                             .too_long = fault_is_too_long(e->code, e->message),
                             .enough = tr && tr->enough};
    struct fault f = fault_of_answer(&a);
    if (again(c, &f)) {
        return;
    }
    http_up_cancel(c->up);
    c->up = NULL;
    if (again_is_about_credential(e->status)) {
        held_refuse_credential(c, e->status);
        return;
    }
    bool retry = is_worth_a_retry(c, e->status, &f) && !a.enough;
    bool lock = f.at == FAULT_LOCK;
    struct call_error out = {.status = e->status,
                             .code = arena_dupz(&c->req->arena, code),
                             .param = arena_dupz(&c->req->arena, e->param),
                             .outcome = outcome,
                             .retry_after_ms =
                                 lock ? lock_ms(c, e->retry_after_ms) : e->retry_after_ms,
                             .should_retry = retry};
    call_fail(c, &out, "%.*s", STR_ARG(message));
    relay_end_call(c);
}

void again_or_replace(struct call *c, const struct fault *f, const char *code, const char *what)
{
    struct call_error e = {.status = 502, .code = code, .outcome = OUTCOME_UPSTREAM_FAILED};
    if (again(c, f)) {
        return;
    }
    http_up_cancel(c->up);
    c->up = NULL;
    call_fail(c, &e, "The provider \"%.*s\" %s.", STR_ARG(c->target->provider->id), what);
    relay_end_call(c);
}
