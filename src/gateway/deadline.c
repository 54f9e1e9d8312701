/* Deadlines of an attempt at a stream: until its first content, and from one piece of content to the next. What only
 * says that an answer begins, and what only keeps a connection alive, is no content. Kept on the call's one timer,
 * which relay_timer() looks after. */
#include "gateway/again.h"
#include "gateway/hedging.h"
#include "gateway/translate.h"
#include "policy/hedge.h"

/* An answer that ended well says so before its connection does. */
static bool is_finished(const struct call *c)
{
    return c->relay.finished || (c->tr && c->tr->reading && c->tr->in.finished);
}

void deadline_begin(struct call *c)
{
    c->begun_ms = loop_now_ms(c->w->loop);
    if (c->target->first_token_ms) {
        loop_timer_within(c->w->loop, &c->timer, c->target->first_token_ms);
    }
}

void deadline_content(struct call *c)
{
    struct relay *r = &c->relay;
    uint64_t between = c->target->between_tokens_ms;
    bool first = !r->content_ms;
    r->content_ms = loop_now_ms(c->w->loop);
    r->at_ease = !between;
    c->hedge_at_ms = 0;
    if (first && c->target->hedge) {
        hedging_content(c);
    }
    if (first && between) {
        loop_timer_within(c->w->loop, &c->timer, between);
    }
}

uint64_t deadline_due(const struct call *c)
{
    const struct relay *r = &c->relay;
    if (!c->stream || !c->up) {
        return UINT64_MAX;
    }
    if (!r->content_ms) {
        uint32_t first = c->target->first_token_ms;
        return first && !is_finished(c) ? c->begun_ms + first : UINT64_MAX;
    }
    bool watched = c->target->between_tokens_ms && r->mode == RELAY_EVENTS && !is_finished(c);
    return watched ? r->content_ms + c->target->between_tokens_ms : UINT64_MAX;
}

uint64_t deadline_of_hold(const struct call *c, uint64_t held_ms)
{
    uint64_t most = held_ms + HELD_MS, first = c->begun_ms + c->target->first_token_ms;
    if (hedging_runs(c)) {
        return UINT64_MAX; /* the first that brings content goes on */
    }
    most = c->hedge_at_ms > most ? c->hedge_at_ms : most;
    return c->target->first_token_ms && first > most ? first : most;
}

/* Nothing worth passing on has come in time: that is a target's fault, and another may do better. */
static void begins_late(struct call *c)
{
    struct fault f = fault_of_waiting();
    struct call_error e = {.status = 504, .code = "upstream_timeout", .outcome = OUTCOME_TIMEOUT};
    f.why = "first_token_late";
    c->connecting_us = 0;
    if (again(c, &f)) {
        return;
    }
    http_up_cancel(c->up);
    c->up = NULL;
    call_fail(c, &e,
              "The provider \"%.*s\" has not begun its answer within %u ms (first_token_ms).",
              STR_ARG(c->target->provider->id), c->target->first_token_ms);
    relay_end_call(c);
}

bool deadline_passed(struct call *c, uint64_t now_ms)
{
    if (now_ms < deadline_due(c)) {
        return false;
    }
    if (c->relay.paused) {
        c->relay.content_ms = now_ms; /* it is the client who does not read */
        return false;
    }
    if (c->status) {
        relay_failed(c, HTTP_FAIL_IDLE, "no more of it came in time (between_tokens_ms)");
    } else {
        begins_late(c);
    }
    return true;
}
