/* Stage 7: the answer goes back as it comes. Three ways:
 *
 *   PLAIN   any body, byte for byte; usage is picked up in passing from JSON
 *   EVENTS  server-sent events, whole events only, so that an event of ours never lands inside one
 * of theirs; usage is picked up, and taken out when only we had asked for it OPAQUE  bodies we
 * cannot or need not look into (audio, compressed, a JSON array stream) */
#include "conflict/rate_limit.h"
#include "gateway/again.h"
#include "gateway/hedging.h"
#include "gateway/inline.h"
#include "gateway/limits.h"
#include "gateway/memory.h"
#include "gateway/translate.h"

enum {
    CLIENT_QUEUE_MAX = 64 * 1024, /* waiting for the client; then the upstream is not read */
};

static const struct config_timeouts *timeouts(const struct call *c)
{
    return &c->hold->snap->config->timeouts;
}

uint64_t relay_total_ms(const struct call *c)
{
    return c->model ? c->model->total_ms : (uint64_t)timeouts(c)->total_ms;
}

/* The call's own deadline. Most calls end long before it, so it is set only when something lasts. */
void relay_watch(struct call *c)
{
    uint64_t total = relay_total_ms(c);
    if (total && !timer_is_set(&c->timer)) {
        uint64_t due = c->req->begun_us / 1000 + total;
        uint64_t now = loop_now_ms(c->w->loop);
        loop_timer(c->w->loop, &c->timer, due > now ? due - now : 0);
    }
}

enum next stage_relay(struct call *c)
{
    uint64_t first_byte_ms = (uint64_t)timeouts(c)->first_byte_ms;
    if (!c->relay.ended && (first_byte_ms == 0 || relay_total_ms(c) <= first_byte_ms)) {
        relay_watch(c);
    }
    return c->relay.ended ? NEXT : WAIT;
}

/* ---- the head ---- */

/* Of a field that has no id. */
static bool other_goes_back(const struct call *c, const struct h1_head *h, const struct h1_field *f)
{
    if ((h->base[f->name] | 0x20) == 'a' && !c->target->provider->sim &&
        str_istarts(h1_name(h, f), STR("accord-"))) {
        return false; /* only we speak under our name */
    }
    return !(c->charge && limits_hide(c, h1_name(h, f))); /* ours are tighter */
}

static inline bool goes_back(const struct call *c, const struct h1_head *h,
                             const struct h1_field *f)
{
    return !(header_flags[f->id] & (HF_HOP | HF_ANSWER)) &&
           (f->id != H_OTHER || other_goes_back(c, h, f)) &&
           !(h->status == 409 && again_is_advice(h, f)) &&
           !(h->nominates && h1_has_token(h, H_CONNECTION, h1_name(h, f)));
}

/* The lines that go back, kept: of an answer that is held. */
struct str relay_keep_fields(struct call *c, const struct h1_head *h)
{
    struct buf b = {.arena = &c->req->arena};
    if (c->charge) {
        limits_meet(c, h);
    }
    for (uint32_t i = 0; i < h->n_fields; i++) {
        const struct h1_field *f = &h->fields[i];
        /* After our own tries theirs is the wrong advice. */
        bool advice = c->attempts > 1 && str_ieq(h1_name(h, f), STR("x-should-retry"));
        if (goes_back(c, h, f) && !advice) {
            buf_add(&b, h1_slice(h, f->name, f->end - f->name));
        }
    }
    if (!h->at[H_DATE]) {
        buf_printf(&b, "date: %.*s\r\n", STR_ARG(http_date(http_server_of(c->req))));
    }
    return buf_str(&b);
}

static void pass_fields(struct call *c, const struct h1_head *h)
{
    uint32_t from = 0, end = 0; /* neighbours go together */
    for (const struct h1_field *f = h->fields; f < h->fields + h->n_fields; f++) {
        if (!goes_back(c, h, f)) {
            continue;
        }
        if (f->name != end) {
            http_lines(c->req, h1_slice(h, from, end - from));
            from = f->name;
        }
        end = f->end;
    }
    http_lines(c->req, h1_slice(h, from, end - from));
}

static char *put(char *at, struct str s)
{
    memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_ms(char *at, uint64_t us)
{
    at += u64_print(at, us / 1000);
    *at++ = '.';
    unsigned rest = (unsigned)(us % 1000);
    *at++ = (char)('0' + rest / 100);
    *at++ = (char)('0' + rest / 10 % 10);
    *at++ = (char)('0' + rest % 10);
    return at;
}

enum { TIMING_MAX = 120 };

/* server-timing: our share and the upstream's, until now (W3C Server Timing). */
void relay_add_timing(struct call *c)
{
    char *at = http_head_room(c->req, TIMING_MAX);
    uint64_t now = clock_us();
    c->own_us += (uint32_t)(now - loop_now_us(c->w->loop));
    if (c->outcome == OUTCOME_OK) {
        route_answered(c);
    }
    if (!at) {
        return;
    }
    at = put(at, STR("server-timing: accord;dur="));
    at = put_ms(at, c->own_us);
    at = put(at, STR(", upstream;dur="));
    at = put_ms(at, c->answered_us - c->forwarded_us);
    at = put(at, STR("\r\n"));
    http_head_used(c->req, at);
    call_target_fields(c);
}

static bool is_json(struct str type)
{
    return str_starts(type, STR("application/json")) || str_istarts(type, STR("application/json"));
}

static enum relay_mode mode_of(const struct call *c, const struct h1_head *h)
{
    struct str type = h1_get(h, H_CONTENT_TYPE), coding = h1_get(h, H_CONTENT_ENCODING);
    if (!coding.n && !c->stream && str_starts(type, STR("application/json"))) {
        return RELAY_PLAIN; /* nearly always */
    }
    if (coding.n && !str_ieq(coding, STR("identity"))) {
        return RELAY_OPAQUE;
    }
    enum family family = c->ep.endpoint->family;
    if (str_istarts(type, STR("text/event-stream")) ||
        (family == FAMILY_OLLAMA && str_istarts(type, STR("application/x-ndjson")))) {
        return RELAY_EVENTS;
    }
    if (c->stream && family != FAMILY_GEMINI && family != FAMILY_BEDROCK && h->status == 200 &&
        h->body != BODY_LENGTH && !is_json(type)) {
        return RELAY_EVENTS; /* some servers stream under a wrong type */
    }
    return is_json(type) ? RELAY_PLAIN : RELAY_OPAQUE;
}

void relay_end_call(struct call *c)
{
    c->relay.ended = true;
    call_back_to(c, STAGE_settle); /* wherever it was */
    call_run(c);
}

void relay_watch_silence(struct call *c)
{
    c->relay.mode = RELAY_EVENTS;
    if (timeouts(c)->keepalive_ping_ms) {
        relay_watch(c);
        loop_timer_within(c->w->loop, &c->timer, (uint64_t)timeouts(c)->keepalive_ping_ms);
    }
}

/* The last lines of a head, and what follows from its being on its way. */
void relay_begin(struct call *c)
{
    call_own_fields(c);
    if (c->memory) {
        memory_begin(c, (struct str){0}, (struct str){0});
    }
    relay_add_timing(c);
    if (c->relay.mode == RELAY_EVENTS) {
        relay_watch_silence(c);
    }
    if (c->body_sent) {
        http_release_input(c->req); /* nothing can be repeated from here on */
    }
}

/* It would answer the same again; another may not. */
static void is_no_api(struct call *c, const char *code, const char *what)
{
    struct fault f = fault_of_waiting();
    again_or_replace(c, &f, code, what);
}

/* An error while a second attempt is under way: it is left to that one. */
static void refused_beside_another(struct call *c, const struct h1_head *h)
{
    struct fault_answer a = {.status = h->status, .retry_after_ms = again_retry_after(h)};
    struct fault f = fault_of_answer(&a);
    (void)again(c, &f);
}

/* An answer that is no stream of events has its content from its head on. */
static void whole_begins(struct call *c, const struct h1_head *h)
{
    c->relay.content_ms = loop_now_ms(c->w->loop);
    if (c->target->hedge && h->status < 300) {
        hedging_content(c);
    }
}

void relay_head(struct call *c, const struct h1_head *h)
{
    struct str type = h1_get(h, H_CONTENT_TYPE);
    c->answered_us = loop_now_us(c->w->loop);
    if (h->status >= 400 && hedging_runs(c)) {
        refused_beside_another(c, h);
        return;
    }
    if (c->memory) {
        memory_answer(c, h);
    }
    if (h->status < 300 && type.n && (type.p[0] | 0x20) == 't' &&
        str_istarts(type, STR("text/html"))) {
        /* A captive portal or a wrong base URL: a 200 that is none. */
        is_no_api(c, "upstream_not_an_api", "answered with an HTML page; check its base_url");
        return;
    }
    if ((h->status < 300 || h->status == 304) && h->body == BODY_NONE &&
        format_of(c->ep.endpoint->format)) {
        is_no_api(c, "upstream_not_an_api", "answered with an empty body");
        return;
    }
    if (h->status >= 300 && h->status < 400 && h->status != 304) {
        is_no_api(c, "upstream_redirect",
                  "answered with a redirect, which is not followed; check its base_url");
        return;
    }
    if (c->translated) {
        lacking_learn(c, h->status);
        translate_head(c, h);
        if (c->tr->reading == READ_EVENTS) {
            loop_timer_within(c->w->loop, &c->timer, HELD_MS);
        } else {
            whole_begins(c, h);
        }
        return;
    }
    if (h->status == 400 && c->conversation.n && format_of(c->ep.endpoint->format)) {
        translate_refusal(c, h); /* it may be locked by somebody beside us: that is worth a retry */
        return;
    }
    c->relay.mode = (uint8_t)mode_of(c, h);
    if (h->status >= 400) {
        c->outcome = OUTCOME_UPSTREAM_ERROR;
        if (held_refuses(c, h)) {
            return;
        }
    } else if (c->relay.mode == RELAY_EVENTS && c->body_sent && again_possible(c)) {
        held_begin(c, h); /* until there is something in it */
        loop_timer_within(c->w->loop, &c->timer, HELD_MS);
        return;
    }
    hedging_settle(c);
    c->status = h->status;
    if (c->relay.mode != RELAY_EVENTS) {
        whole_begins(c, h);
        meter_begin(c, h, c->relay.mode == RELAY_PLAIN);
    }
    http_head(c->req, h->status,
              h->body == BODY_LENGTH && c->relay.mode != RELAY_EVENTS ? (int64_t)h->length
              : h->body == BODY_NONE                                  ? 0
                                                                      : -1);
    if (c->charge) {
        limits_meet(c, h);
    }
    pass_fields(c, h);
    if (h->status == 409) {
        struct fault_answer a = {.status = 409,
                                 .should_retry = again_is_told_more(h),
                                 .retry_after_ms = again_retry_after(h)};
        bool lock = fault_of_answer(&a).at == FAULT_LOCK && !again_is_told_enough(h);
        again_advise(c, lock, a.retry_after_ms);
    }
    if (!h->at[H_DATE]) {
        http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    }
    relay_begin(c);
}

/* ---- how it ends ---- */

static bool is_responses(const struct call *c)
{
    return str_eq(c->ep.endpoint->route, STR("openai.responses"));
}

/* The number of an event that we add to a stream of Responses; -1 elsewhere. */
static int64_t next_number(const struct call *c)
{
    return !is_responses(c) ? -1 : c->translated ? c->tr->out.sequence : (int64_t)c->relay.events;
}

/* The answer has begun and cannot be completed: the client must see that it is not whole. */
void relay_break_off(struct call *c, const char *code, struct str message, enum outcome outcome)
{
    struct relay *r = &c->relay;
    const struct dialect *d = call_dialect(c);
    struct api_error e = {.status = outcome == OUTCOME_TIMEOUT ? 504 : 502,
                          .code = str_of(code),
                          .message = message,
                          .request_id = str_of(c->id),
                          .sequence = next_number(c)};
    struct buf text = {.arena = &c->req->arena};
    c->outcome = (uint8_t)outcome;
    c->code = code;
    if (outcome == OUTCOME_CUT) {
        c->w->metrics.upstream_cut++;
    }
    if (outcome == OUTCOME_CUT || outcome == OUTCOME_UPSTREAM_ERROR ||
        outcome == OUTCOME_UPSTREAM_FAILED) {
        again_blame(c);
    }
    http_up_cancel(c->up);
    c->up = NULL;
    if (r->mode == RELAY_EVENTS && !r->errored) {
        if (r->mid_event) {
            buf_add(&text, STR("\n\n"));
        }
        if (c->array) {
            buf_add(&text, STR(",\r\n"));
            d->error(&text, &e);
        } else {
            d->error_event(&text, &e);
        }
    }
    call_send_str(c, buf_str(&text), false);
    http_cut(c->req);
    relay_end_call(c);
}

static void break_off(struct call *c, const char *code, const char *what, enum outcome outcome)
{
    relay_break_off(c, code,
                    c->remembered
                        ? arena_printf(&c->req->arena, "The answer is incomplete: %s.", what)
                        : arena_printf(&c->req->arena,
                                       "The answer of the provider \"%.*s\" is incomplete: %s.",
                                       STR_ARG(c->target->provider->id), what),
                    outcome);
}

/* The upstream says that its answer is whole. For events that must show in the events, too. */
static void end_of_body(struct call *c)
{
    if (c->relay.finished) {
        limits_settle_told(c);
    }
    if (c->relay.mode == RELAY_EVENTS && !events_end(c)) {
        if (c->held) {
            held_is_empty(c, "ended its stream before there was anything in it");
        } else {
            break_off(c, "upstream_truncated", "the stream ended without its closing event",
                      OUTCOME_CUT);
        }
        return;
    }
    relay_end_call(c);
}

void relay_hold_back(struct call *c)
{
    if (c->up && !c->relay.paused && http_queued(c->req) > CLIENT_QUEUE_MAX && !memory_hurries(c)) {
        c->relay.paused = true;
        http_up_pause(c->up);
    }
}

void relay_body(struct call *c, const struct iovec *pieces, int n, bool end)
{
    if (c->tr && c->tr->reading) {
        translate_body(c, pieces, n, end);
        return;
    }
    if (c->relay.mode == RELAY_REFUSAL) {
        held_refusal(c, pieces, n, end);
        return;
    }
    if (c->relay.mode == RELAY_EVENTS) {
        if (!events_pass(c, pieces, n)) {
            return;
        }
    } else {
        meter_pass(c, pieces, n, end);
        c->last_sent_ms = loop_now_ms(c->w->loop);
        if (end) {
            meter_end(c);
            limits_settle_told(c);
        }
        call_send(c, pieces, n, end);
    }
    if (end) {
        end_of_body(c);
    } else {
        relay_watch(c);
        relay_hold_back(c);
    }
}

/* The call comes to an end that lies in us: with an error when nothing has been sent, else in the middle. */
static void end_early(struct call *c, unsigned status, const char *code, const char *why)
{
    if (c->ended || kept_hurry(c)) {
        return;
    }
    if (c->status) {
        break_off(c, code, why, OUTCOME_TIMEOUT);
        return;
    }
    struct call_error e = {.status = status,
                           .code = code,
                           .outcome = OUTCOME_TIMEOUT,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    http_up_cancel(c->up);
    c->up = NULL;
    call_fail(c, &e, "The call ended early: %s. Try again.", why);
    relay_end_call(c);
}

void relay_stop(struct call *c)
{
    end_early(c, 503, "server_stopping", "this gateway is stopping");
}

void relay_displaced(struct call *c)
{
    end_early(c, 409, "conversation_locked", "another call has its conversation by now");
}

void relay_failed(struct call *c, enum http_failure why, const char *detail)
{
    if (why == HTTP_FAIL_IDLE) {
        again_blame(c);
    }
    break_off(c, why == HTTP_FAIL_IDLE ? "upstream_stalled" : "upstream_cut", detail,
              why == HTTP_FAIL_IDLE ? OUTCOME_TIMEOUT : OUTCOME_CUT);
}

void relay_drained(struct call *c)
{
    if (c->relay.paused && c->up) {
        c->relay.paused = false;
        http_up_resume(c->up);
    } else if (c->remembered) {
        memory_more(c);
    }
}

/* ---- silence ---- */

static bool at_event_boundary(const struct call *c)
{
    return c->status == 200 && c->relay.mode == RELAY_EVENTS && !c->relay.mid_event &&
           !c->relay.ended && http_queued(c->req) == 0;
}

static void ping(struct call *c)
{
    struct str p = call_dialect(c)->ping;
    if (at_event_boundary(c) && p.n && !c->array) {
        c->last_sent_ms = loop_now_ms(c->w->loop);
        http_send_str(c->req, p, false);
    }
}

void relay_probe(struct call *c)
{
    ping(c);
}

void relay_timer(struct call *c)
{
    uint64_t now = loop_now_ms(c->w->loop), begun = c->req->begun_us / 1000;
    uint64_t total = relay_total_ms(c);
    uint64_t silence = (uint64_t)timeouts(c)->keepalive_ping_ms;
    if (total && now >= begun + total) {
        if (c->status) {
            break_off(c, "timeout", "it took longer than a call may take (total_ms)",
                      OUTCOME_TIMEOUT);
            return;
        }
        struct call_error e = {
            .status = 504, .code = "upstream_timeout", .outcome = OUTCOME_TIMEOUT};
        if (!c->target || inline_waits(c)) {
            e.status = 408;
            e.code = "request_timeout";
            call_fail(c, &e, "The request took longer than a call may take (total_ms).");
            relay_end_call(c);
            return;
        }
        http_up_cancel(c->up);
        c->up = NULL;
        call_fail(c, &e, "The provider \"%.*s\" gave no answer in the time a call may take.",
                  STR_ARG(c->target->provider->id));
        relay_end_call(c);
        return;
    }
    uint64_t next = total ? begun + total : now + 3600000;
    if (deadline_passed(c, now)) {
        return;
    }
    if (c->tr && c->tr->reading == READ_EVENTS && !c->status) {
        uint64_t hold = deadline_of_hold(c, c->answered_us / 1000);
        if (now >= hold) {
            translate_hurry(c);
        } else {
            next = hold < next ? hold : next;
        }
    }
    if (c->held && c->relay.mode == RELAY_EVENTS) {
        uint64_t hold = deadline_of_hold(c, c->held->begun_ms);
        if (now >= hold) {
            held_pass_on(c);
        } else {
            next = hold < next ? hold : next;
        }
    }
    if (c->hedge_at_ms && now >= c->hedge_at_ms) {
        hedging_start(c);
    }
    next = c->hedge_at_ms && c->hedge_at_ms < next ? c->hedge_at_ms : next;
    uint64_t due = deadline_due(c);
    next = due < next ? due : next;
    if (c->relay.mode == RELAY_EVENTS && c->status && silence) {
        if (now >= c->last_sent_ms + silence) {
            ping(c);
            next = now + silence < next ? now + silence : next;
        } else {
            next = c->last_sent_ms + silence < next ? c->last_sent_ms + silence : next;
        }
    }
    loop_timer(c->w->loop, &c->timer, next - now);
}
