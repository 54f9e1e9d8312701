#include "gateway/call.h"

#include <stdarg.h>

#include "base/must.h"
#include "gateway/copy.h"
#include "gateway/explain.h"
#include "gateway/hedging.h"
#include "gateway/inline.h"
#include "gateway/limits.h"
#include "gateway/masking.h"
#include "gateway/memory.h"

static enum next (*const stages[])(struct call *c) = {
#define STAGE_ROW(name) stage_##name,
    STAGE_LIST(STAGE_ROW)
#undef STAGE_ROW
};

static void call_end(struct call *c)
{
    struct snap_hold *hold = c->hold;
    struct http_req *req = c->req;
    c->ended = true;
    if (c->gather) {
        page_metrics_forget(c->gather);
    }
    if (c->visit) {
        c->w->gateway->visits->gone(c);
    }
    timer_clear(&c->timer);
    conversation_leave(c);
    inline_cancel(c);
    kept_forget(c);
    hedging_end(c);
    http_up_cancel(c->up);
    c->up = NULL;
    if (c->memory) {
        memory_leave(c);
    }
    stage_settle(c);
    if (copy_concerns(c)) {
        copy_end(c);
    }
    stage_record(c);
    if (c->masking) {
        masking_end(c);
    }
    if (c->relay.hold) {
        pool_give(loop_pool(c->w->loop), c->relay.hold, c->relay.hold_cap);
        c->relay.hold = NULL;
    }
    req->user = NULL;
    hold->calls--;
    if (hold->calls == 0 && !hold->current) {
        hold_free(hold);
    }
}

void call_run(struct call *c)
{
    while (c->stage < STAGE_settle) {
        enum next n = stages[c->stage](c);
        if (n == WAIT) {
            return;
        }
        if (n == DONE) {
            break;
        }
        c->stage++;
    }
    struct http_req *req = c->req;
    call_end(c);
    http_finish(req);
}

void visit_end(struct call *c)
{
    c->visit = NULL;
    call_back_to(c, STAGE_settle);
    call_run(c);
}

void call_back_to(struct call *c, enum stage stage)
{
    c->stage = (uint8_t)stage;
}

/* ---- the server's events ---- */

/* Two characters of Crockford's base 32 for each ten bits; filled before main(). */
static char id_pair[1024][2];

__attribute__((constructor)) static void fill_id_pairs(void)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    for (unsigned i = 0; i < 1024; i++) {
        id_pair[i][0] = digits[i >> 5];
        id_pair[i][1] = digits[i & 31];
    }
}

/* 130 random bits as 26 characters. */
static void make_id(struct call *c)
{
    uint64_t a = worker_random(c->w), b = worker_random(c->w), d = worker_random(c->w);
    memcpy(c->id, "req_", 4);
    for (unsigned i = 0; i < 6; i++, a >>= 10, b >>= 10) {
        memcpy(c->id + 4 + 2 * i, id_pair[a & 1023], 2);
        memcpy(c->id + 16 + 2 * i, id_pair[b & 1023], 2);
    }
    memcpy(c->id + 28, id_pair[d >> 54], 2);
    c->id[30] = 0;
}

static void on_call_timer(struct timer *t)
{
    struct call *c = (struct call *)((char *)t - offsetof(struct call, timer));
    if (c->retry_waits) {
        c->retry_waits = false;
        call_run(c);
    } else {
        relay_timer(c);
    }
}

static struct call *call_new(struct http_req *r)
{
    struct worker *w = http_server_arg(http_server_of(r));
    struct call *c = arena_zalloc(&r->arena, sizeof *c);
    c->w = w;
    c->req = r;
    c->hold = w->hold;
    c->hold->calls++;
    c->usage = USAGE_NONE;
    c->timer.fire = on_call_timer;
    c->outcome = OUTCOME_OK;
    w->calls++;
    worker_active(w);
    make_id(c);
    r->user = c;
    return c;
}

static void on_request(struct http_req *r)
{
    call_run(call_new(r));
}

static void on_collected(struct http_req *r)
{
    struct call *c = r->user;
    if (c->visit) {
        c->w->gateway->visits->collected(c);
    } else {
        call_run(c);
    }
}

static void on_piece(struct http_req *r, struct str piece, bool end)
{
    struct call *c = r->user;
    if (c->visit) {
        c->w->gateway->visits->piece(c, piece, end);
    } else if (c->form) {
        shape_piece(c, piece, end);
    } else {
        forward_piece(c, piece, end);
    }
}

static void on_gone(struct http_req *r)
{
    struct call *c = r->user;
    if (c && !c->ended) {
        c->w->metrics.client_gone++;
        if (c->memory && memory_goes_on(c) && http_detach(r)) {
            relay_drained(c); /* nobody holds the upstream up any more */
            return;
        }
        c->outcome = OUTCOME_CLIENT_GONE;
        call_end(c);
    }
}

static void on_drained(struct http_req *r)
{
    struct call *c = r->user;
    if (c && c->visit) {
        c->w->gateway->visits->drained(c);
    } else if (c) {
        relay_drained(c);
    }
}

static void on_probe(struct http_req *r)
{
    struct call *c = r->user;
    if (c && c->visit) {
        c->w->gateway->visits->probe(c);
    } else if (c) {
        relay_probe(c);
    }
}

/* What never became a call, or broke while its body came in: an answer in the dialect of its path.
 */
static void on_refused(struct http_req *r, unsigned status, const char *why)
{
    struct call *c = r->user ? r->user : call_new(r);
    struct call_error e = {
        .status = status, .code = "malformed_request", .outcome = OUTCOME_REFUSED};
    switch (status) {
    case 408:
        e.code = "request_timeout";
        break;
    case 413:
        e.code = "request_too_large";
        break;
    case 414:
    case 431:
        e.code = "header_too_large";
        break;
    default:
        break;
    }
    if (r->head && !c->ep.endpoint) {
        c->ep = endpoint_find(h1_slice(r->head, r->head->method_at, r->head->method_n),
                              h1_slice(r->head, r->head->path, r->head->path_n));
    }
    http_close_after(r);
    const struct gateway *g = c->w->gateway;
    struct str path = r->head ? h1_slice(r->head, r->head->path, r->head->path_n) : (struct str){0};
    if (g->visits && (c->visit || g->visits->claims(path))) {
        g->visits->refused(g->visits_arg, c, status, why);
    } else {
        call_fail(c, &e, "The request was refused: %s.", why);
    }
    call_end(c);
}

const struct http_server_ops call_server_ops = {
    .request = on_request,
    .collected = on_collected,
    .piece = on_piece,
    .gone = on_gone,
    .drained = on_drained,
    .probe = on_probe,
    .refused = on_refused,
};

/* ---- answers of our own ---- */

const struct dialect *call_dialect(const struct call *c)
{
    return dialect_of(c->ep.endpoint ? c->ep.endpoint->family : FAMILY_OPENAI);
}

void call_own_fields(struct call *c)
{
    /* Both names: OpenAI's SDKs read one, Anthropic's the other. One copy for both lines. */
    static const char form[] = "x-request-id: req_00000000000000000000000000\r\n"
                               "request-id: req_00000000000000000000000000\r\n";
    char *at = http_head_room(c->req, sizeof form - 1);
    if (at) {
        memcpy(at, form, sizeof form - 1);
        memcpy(at + 14, c->id, 30);
        memcpy(at + 14 + 30 + 2 + 12, c->id, 30);
    }
    if (copy_concerns(c)) {
        copy_begin(c);
    }
    if (c->model) {
        http_lines(c->req, c->model->lifecycle);
    }
    if (c->charge) {
        limits_fields(c);
    }
    if (c->crowded) {
        http_field(c->req, STR("accord-limit-exceeded"), c->crowded->policy);
    }
    if (c->masking) {
        masking_field(c);
    }
    if (c->memory) {
        memory_fields(c);
    }
}

void call_send(struct call *c, const struct iovec *v, int n, bool end)
{
    if (c->memory) {
        memory_send(c, v, n, end);
    } else {
        http_send(c->req, v, n, end);
    }
}

void call_send_str(struct call *c, struct str s, bool end)
{
    struct iovec v = {(void *)(uintptr_t)s.p, s.n};
    call_send(c, &v, s.n ? 1 : 0, end);
}

void call_target_fields(struct call *c)
{
    if (!c->attempts) {
        return;
    }
    struct str told = c->target->told;
    if (!told.n) { /* the client has named the model */
        told = snap_told(&c->req->arena, c->target->provider, call_upstream_model(c));
    }
    http_field_u64(c->req, STR("accord-attempts"), c->attempts);
    http_lines(c->req, told);
}

enum next call_fail(struct call *c, const struct call_error *e, const char *fmt, ...)
{
    const struct dialect *d = call_dialect(c);
    struct buf body = {.arena = &c->req->arena};
    va_list ap;
    if (c->hushed) {
        return DONE;
    }
    hedging_settle(c);
    va_start(ap, fmt);
    struct api_error err = {
        .code = str_of(e->code),
        .param = str_of(e->param),
        .message = arena_vprintf(&c->req->arena, fmt, ap),
        .request_id = str_of(c->id),
        .sequence = -1,
        .operation = e->operation,
        .retry_class = str_of(e->retry_class),
        .retry_after_ms = e->retry_after_ms,
    };
    va_end(ap);
    if (c->dry) {
        return explain_refusal(c, e, err.message);
    }
    err.status = d->status(e->status, err.code);
    d->error(&body, &err);
    c->status = (uint16_t)err.status;
    c->outcome = (uint8_t)e->outcome;
    c->code = e->code;
    http_head(c->req, err.status, (int64_t)body.n);
    http_field(c->req, STR("content-type"), STR("application/json"));
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    call_own_fields(c);
    call_target_fields(c);
    http_field(c->req, STR("x-should-retry"), e->should_retry ? STR("true") : STR("false"));
    if (d->error_name) {
        http_field(c->req, STR("x-amzn-errortype"), d->error_name(err.status));
    }
    if (e->retry_after_ms) {
        http_field_u64(c->req, STR("retry-after"), ((uint64_t)e->retry_after_ms + 999) / 1000);
        http_field_u64(c->req, STR("retry-after-ms"), e->retry_after_ms);
    }
    if (e->status == 401) {
        http_field(c->req, STR("www-authenticate"), STR("Bearer"));
    }
    if (e->status == 405 && c->ep.allow.n) {
        http_field(c->req, STR("allow"), c->ep.allow);
    }
    if (e->status == 426) {
        http_field(c->req, STR("upgrade"), STR("HTTP/1.1"));
    }
    http_send_str(c->req, buf_str(&body), true);
    return DONE;
}

enum next call_reply(struct call *c, unsigned status, struct str type, struct str body)
{
    c->status = (uint16_t)status;
    http_head(c->req, status, (int64_t)body.n);
    http_field(c->req, STR("content-type"), type);
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    call_own_fields(c);
    http_send_str(c->req, body, true);
    return DONE;
}
