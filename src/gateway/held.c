/* What has come from an upstream and is kept back while something else may still be tried: an error, until it is
 * whole and understood; the start of a stream, until there is something in it. */
#include "gateway/again.h"
#include "gateway/hedging.h"
#include "gateway/translate.h"
#include "http/sse.h"
#include "json/scan.h"

enum { REFUSAL_MAX = 64 * 1024 /* of a longer error the head alone says what follows */ };

void held_begin(struct call *c, const struct h1_head *h)
{
    struct held *held = c->held = arena_zalloc(&c->req->arena, sizeof *held);
    held->status = h->status;
    held->lines = relay_keep_fields(c, h);
    held->body = (struct buf){.arena = &c->req->arena};
    held->begun_ms = loop_now_ms(c->w->loop);
    held->retry_after_ms = again_retry_after(h);
    held->should_retry = again_is_told_more(h);
    held->enough = again_is_told_enough(h);
}

/* Errors after which something may be tried, and those that are about us and not about the caller. */
bool held_refuses(struct call *c, const struct h1_head *h)
{
    struct fault_answer a = {.status = h->status, .should_retry = true};
    struct fault f = fault_of_answer(&a);
    bool wider = h->status == 400 && c->model && c->model->widens;
    if (!again_possible(c) ||
        (f.at == FAULT_REQUEST && !wider && !lacking_may_tell(c, h->status))) {
        return false;
    }
    held_begin(c, h);
    c->relay.mode = RELAY_REFUSAL;
    return true;
}

/* `length` of all that there will be; -1: not known. */
static void pass_on(struct call *c, int64_t length)
{
    hedging_settle(c);
    struct held *held = c->held;
    bool refusal = c->relay.mode == RELAY_REFUSAL;
    c->held = NULL;
    c->status = held->status;
    http_head(c->req, held->status, length);
    http_lines(c->req, held->lines);
    if (held->by_body_ms && held->status != 409) { /* who reads headers shall know it too */
        http_field_u64(c->req, STR("retry-after"), ((uint64_t)held->by_body_ms + 999) / 1000);
        http_field_u64(c->req, STR("retry-after-ms"), held->by_body_ms);
    }
    if (held->status == 409) {
        again_advise(c, held->lock, held->retry_after_ms);
    } else if (refusal && c->attempts > 1) {
        http_field(c->req, STR("x-should-retry"), STR("false"));
    }
    if (refusal) {
        c->relay.mode = RELAY_OPAQUE;
    }
    relay_begin(c);
    if (held->body.n) {
        c->last_sent_ms = loop_now_ms(c->w->loop);
        call_send_str(c, buf_str(&held->body), false);
    }
}

void held_pass_on(struct call *c)
{
    pass_on(c, -1);
}

/* What the error says about itself, in the words of the caller's dialect. */
static struct fault fault_of_held(struct call *c)
{
    struct held *held = c->held;
    struct str body = buf_str(&held->body);
    struct ir_error e = {.status = held->status};
    enum json_type top;
    const struct format *f = format_of(format_of_family(c->ep.endpoint->family));
    bool json = json_scan(body, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    f->read_error(&c->req->arena, body, json, &e);
    if (!held->retry_after_ms) {
        held->retry_after_ms = held->by_body_ms = e.retry_after_ms;
    }
    struct fault_answer a = {.status = held->status,
                             .code = e.code,
                             .param = e.param,
                             .retry_after_ms = held->retry_after_ms,
                             .too_long = fault_is_too_long(e.code, e.message),
                             .should_retry = held->should_retry,
                             .enough = held->enough};
    return fault_of_answer(&a);
}

void held_refuse_credential(struct call *c, unsigned status)
{
    struct call_error e = {.status = 502,
                           .code = "upstream_credentials_exhausted",
                           .outcome = OUTCOME_UPSTREAM_FAILED};
    struct str provider = c->target->provider->id, id = c->credential->id;
    if (id.n == 0) {
        call_fail(c, &e,
                  "The provider \"%.*s\" asks for a credential (%u), and this gateway has none for "
                  "it. It is the gateway's administrator who can give it one.",
                  STR_ARG(provider), status);
    } else {
        call_fail(
            c, &e,
            "The provider \"%.*s\" refuses the credential \"%.*s\" of this gateway (%u), "
            "and there is no other to try. It is the gateway's administrator who can mend it.",
            STR_ARG(provider), STR_ARG(id), status);
    }
    relay_end_call(c);
}

static void pass_whole(struct call *c)
{
    pass_on(c, (int64_t)c->held->body.n);
    call_send_str(c, (struct str){0}, true);
    relay_end_call(c);
}

/* The error is whole, or as long as one is held: something else is tried, or it is the answer. */
static void decide(struct call *c, bool whole)
{
    struct fault f = fault_of_held(c);
    unsigned status = c->held->status;
    c->held->lock = f.at == FAULT_LOCK && !c->held->enough;
    if (c->held->body.n <= REFUSAL_MAX && lacking_is_told(c, status, buf_str(&c->held->body))) {
        lacking_again(c);
        return;
    }
    if (again(c, &f)) {
        return;
    }
    if (again_is_about_credential(status)) {
        http_up_cancel(c->up);
        c->up = NULL;
        held_refuse_credential(c, status);
    } else if (whole) {
        pass_whole(c);
    } else {
        pass_on(c, -1);
    }
}

void held_refusal(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct buf *b = &c->held->body;
    for (int i = 0; i < n; i++) {
        buf_add(b, str_make(pieces[i].iov_base, pieces[i].iov_len));
    }
    if (end || b->n > REFUSAL_MAX) {
        decide(c, end);
    } else {
        relay_watch(c);
    }
}

void held_is_empty(struct call *c, const char *what)
{
    struct fault f = fault_of_silence();
    again_or_replace(c, &f, "upstream_truncated", what);
}

static void pass_over(void *arg, const struct ir_event *e)
{
    (void)arg;
    (void)e;
}

void held_has_failed(struct call *c)
{
    const struct format *f = format_of(c->ep.endpoint->format);
    struct str name, data = sse_data(&c->req->arena, c->held->error, &name);
    enum json_type top;
    if (!f) { /* completions and the like: no format reads their events */
        held_is_empty(c, "sent an error where its stream should begin");
        return;
    }
    struct ir_in in = {.arena = &c->req->arena,
                       .state = arena_zalloc(&c->req->arena, f->in_state + 16),
                       .usage = USAGE_NONE,
                       .family = f->family,
                       .event = pass_over};
    bool json = json_scan(data, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    f->read_event(&in, name, data, json);
    if (!in.failed) {
        held_is_empty(c, "sent an error where its stream should begin");
        return;
    }
    again_or_fail(c, &in.error, OUTCOME_UPSTREAM_ERROR);
}
