/* The way back: what the upstream answers, in the caller's dialect. A stream passes event by event; a whole
 * answer is the fold of the same events. The head goes to the client with the first of them, so that an error
 * ahead of all content still has its own status. */
#include "gateway/again.h"
#include "gateway/exchange.h"
#include "gateway/hedging.h"
#include "gateway/limits.h"
#include "gateway/masking.h"
#include "gateway/memory.h"

#include "conflict/rate_limit.h"
#include "dialect/chat.h"
#include "http/aws_frame.h"
#include "http/sse.h"
#include "json/scan.h"

enum {
    EVENT_MAX = 16 * 1024 * 1024,
    ANSWER_MAX = 64 * 1024 * 1024,
    TEXT_MAX = 4 * ANSWER_MAX, /* numbers take more room than their base64 */
    ERROR_MAX = 256 * 1024,
    EARLY_MAX = 256 * 1024,
    TEXT_USUAL = 960, /* of what one event is translated to */
};

/* ---- to the client ---- */

static void begin_answer(struct call *c, int64_t length)
{
    struct translation *tr = c->tr;
    hedging_settle(c);
    tr->begun = true;
    c->status = 200;
    struct str type = !tr->out.stream ? STR("application/json")
                      : tr->out.array ? STR("application/json; charset=UTF-8")
                                      : tr->caller->stream_type;
    http_head(c->req, 200, length);
    http_field(c->req, STR("content-type"), type);
    if (tr->out.stream) {
        http_field(c->req, STR("cache-control"), STR("no-cache"));
    }
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    call_own_fields(c);
    http_lines(c->req, tr->dropped);
    if (tr->estimated) {
        http_lines(c->req, TRANSLATE_ESTIMATED);
    }
    if (!tr->out.stream && tr->in.lost + tr->out.lost > 0) {
        http_lines(
            c->req,
            STR("accord-dropped: answer\r\n")); /* parts of it; of a stream it is only counted */
    }
    if (c->memory) {
        memory_begin(c, type, tr->dropped);
    }
    relay_add_timing(c);
    if (tr->out.stream) {
        relay_watch_silence(c);
    }
    if (c->body_sent && !tr->form.keep && !kept_wants(c)) {
        http_release_input(c->req); /* nothing can be repeated from here on */
    }
}

/* Whether the event is something that a caller waits for, and not only says that there will be. */
static bool is_content(const struct ir_event *e)
{
    switch (e->type) {
    case IR_START:
    case IR_USAGE:
    case IR_BLOCK_STOP:
        return false;
    case IR_BLOCK_START:
        return e->kind == IR_TOOL_CALL;
    case IR_DELTA:
        return e->text.n > 0;
    default:
        return true;
    }
}

static void take_event(struct call *c, const struct ir_event *e)
{
    struct translation *tr = c->tr;
    if (!c->stream) {
        ir_fold_event(&tr->fold, e);
        return;
    }
    bool content = !c->relay.at_ease && is_content(e);
    if (content) {
        deadline_content(c);
    }
    if (!tr->begun && (content || tr->early.n > EARLY_MAX || !again_possible(c))) {
        begin_answer(c, -1);
    }
    if (!tr->text.cap) {
        (void)buf_room(&tr->text, TEXT_USUAL); /* grown once, mostly */
        tr->text.n = 0;
    }
    tr->caller->write_event(&tr->out, e);
}

static void pass_on(struct call *c, const struct ir_event *e)
{
    struct renamed *r =
        e->type == IR_BLOCK_START && e->kind == IR_TOOL_CALL ? c->tr->renamed : NULL;
    while (r && !str_eq(r->there, e->name)) {
        r = r->next;
    }
    if (!r) {
        take_event(c, e);
        return;
    }
    struct ir_event known = *e;
    known.name = r->here;
    take_event(c, &known);
}

static void on_event(void *arg, const struct ir_event *e)
{
    struct call *c = arg;
    ir_repeat_see(&c->tr->repeat, e);
    if (c->masking) {
        masking_event(c, e, pass_on);
    } else {
        pass_on(c, e);
    }
}

static void send_text(struct call *c, bool end)
{
    struct translation *tr = c->tr;
    if (!tr->begun) {
        buf_add(&tr->early,
                buf_str(&tr->text)); /* a stream's start, before there is anything in it */
    } else if (tr->text.n || tr->early.n || end) {
        struct iovec v[2] = {{tr->early.p, tr->early.n}, {tr->text.p, tr->text.n}};
        c->last_sent_ms = loop_now_ms(c->w->loop);
        if (end) {
            limits_settle_told(c);
        }
        call_send(c, v, 2, end);
        tr->early.n = 0;
    }
    tr->text = (struct buf){.arena = &c->w->scratch, .limit = TEXT_MAX};
    arena_rewind(&c->w->scratch);
}

static void write_last(struct call *c)
{
    struct translation *tr = c->tr;
    if (!c->stream) {
        (void)buf_room(&tr->text, tr->answer.n + 512); /* grown once, mostly */
        tr->text.n = 0;
        tr->caller->write_answer(&tr->out, &tr->fold.answer);
        return;
    }
    if (kept_wants(c)) {
        send_text(c, false); /* what comes now waits until it is kept */
    }
    on_event(c, &(struct ir_event){.type = IR_END, .usage = tr->in.usage});
}

static void send_last(struct call *c)
{
    if (!c->stream) {
        begin_answer(c, (int64_t)c->tr->text.n);
    }
    send_text(c, true);
    relay_end_call(c);
}

void translate_finish(struct call *c)
{
    c->tr->text.p = (char *)(uintptr_t)c->tr->last.p;
    c->tr->text.n = c->tr->last.n;
    send_last(c);
}

/* ---- errors ---- */

static void drop_upstream(struct call *c)
{
    http_up_cancel(c->up);
    c->up = NULL;
}

/* An error of the upstream, as the caller's dialect says it; or something else is tried. */
static void fail_as(struct call *c, const struct ir_error *e, enum outcome outcome)
{
    struct translation *tr = c->tr;
    struct str code = e->code.n ? e->code : STR("upstream_error");
    struct str message = e->message.n ? e->message : STR("The provider answered with an error.");
    if (tr->begun) {
        drop_upstream(c);
        send_text(c, false);
        relay_break_off(c, arena_dupz(&c->req->arena, code), message, outcome);
        return;
    }
    if (tr->ours) {
        struct call_error ours = {.status = e->status,
                                  .code = arena_dupz(&c->req->arena, code),
                                  .outcome = OUTCOME_REFUSED};
        drop_upstream(c);
        arena_reset(&c->w->scratch);
        call_fail(c, &ours, "%.*s", STR_ARG(message));
        relay_end_call(c);
        return;
    }
    struct ir_error out = *e;
    out.retry_after_ms = e->retry_after_ms ? e->retry_after_ms : tr->retry_after_ms;
    arena_reset(&c->w->scratch);
    again_or_fail(c, &out, outcome);
}

static void fail(struct call *c, const struct ir_error *e)
{
    fail_as(c, e, OUTCOME_UPSTREAM_ERROR);
}

static void fail_malformed(struct call *c, const char *what)
{
    struct ir_error e = {.status = 502, .code = STR("upstream_malformed")};
    e.message = arena_printf(&c->req->arena, "The provider \"%.*s\" %s.",
                             STR_ARG(c->target->provider->id), what);
    fail_as(c, &e, OUTCOME_UPSTREAM_FAILED);
}

static void fail_too_large(struct call *c)
{
    arena_reset(&c->w->scratch);
    struct fault f = fault_of_waiting(); /* of the same target no other could be expected */
    again_or_replace(c, &f, "upstream_malformed", "answered with more than can be carried");
}

/* ---- the head ---- */

/* A Gemini stream is a JSON array unless the query says alt=sse. */
static bool asks_for_sse(const struct call *c)
{
    const struct h1_head *h = c->req->head;
    struct str query = h1_slice(h, h->query, h->query_n), pair;
    while (query.n) {
        str_cut(&query, '&', &pair);
        if (str_eq(pair, STR("alt=sse"))) {
            return true;
        }
    }
    return false;
}

/* Mistral's own SDKs, whatever the language, check that each piece of a call has the call's name. */
static bool takes_whole_calls(const struct call *c)
{
    return c->stream && c->tr->caller == format_of(FORMAT_CHAT) && call_by_mistral(c);
}

static void start(struct call *c)
{
    struct translation *tr = c->tr;
    struct arena *a = &c->req->arena;
    tr->text = (struct buf){.arena = &c->w->scratch, .limit = TEXT_MAX};
    tr->in = (struct ir_in){.arena = a,
                            .state = arena_zalloc(a, tr->upstream->in_state + 16),
                            .usage = USAGE_NONE,
                            .family = tr->upstream->family,
                            .mark_unsigned = tr->upstream != tr->caller,
                            .request_id = c->id};
    tr->out = (struct ir_out){.arena = a,
                              .out = &tr->text,
                              .scratch = &c->w->scratch,
                              .state = arena_zalloc(a, tr->caller->out_state + 16),
                              .call = !tr->form.keep ? NULL
                                      : tr->echo     ? tr->echo
                                                     : &tr->form,
                              .model = ir_escape(a, c->asked),
                              .id = str_make(c->id + 4, 26),
                              .created_s = (int64_t)(clock_wall_us() / 1000000),
                              .usage_wanted = c->usage_asked,
                              .whole_calls = takes_whole_calls(c),
                              .sequence = tr->caller == format_of(FORMAT_RESPONSES) ? 0 : -1,
                              .stream = c->stream,
                              .caller = tr->caller->family};
    c->array = c->stream && tr->caller->family == FAMILY_GEMINI && !asks_for_sse(c);
    tr->out.array = c->array;
    tr->fold = (struct ir_fold){.arena = a, .copy = true};
    tr->repeat = (struct ir_repeat){0};
    tr->in.event = on_event;
    tr->in.arg = c;
    tr->answer = (struct buf){.arena = a, .limit = ANSWER_MAX};
    tr->early = (struct buf){.arena = a};
    tr->begun = false;
    if (c->masking) {
        masking_answer(c);
    }
}

static bool is_type(const struct h1_head *h, struct str type)
{
    return str_istarts(h1_get(h, H_CONTENT_TYPE), type);
}

void translate_head(struct call *c, const struct h1_head *h)
{
    struct translation *tr = c->tr;
    start(c);
    if (h->status >= 400) {
        tr->reading = READ_ERROR;
        tr->status = h->status;
        tr->retry_after_ms = again_retry_after(h);
        tr->enough = again_is_told_enough(h);
        tr->more = again_is_told_more(h);
        tr->answer.limit = ERROR_MAX;
        c->outcome = OUTCOME_UPSTREAM_ERROR;
    } else {
        bool events = c->stream && !is_type(h, STR("application/json"));
        events = events || is_type(h, tr->upstream->stream_type);
        tr->reading = events ? READ_EVENTS : READ_WHOLE;
    }
}

void translate_hurry(struct call *c)
{
    if (c->tr->reading == READ_EVENTS && !c->tr->begun && c->tr->early.n) {
        begin_answer(c, -1);
        send_text(c, false);
    }
}

void translate_refusal(struct call *c, const struct h1_head *h)
{
    const struct format *f = format_of(c->ep.endpoint->format);
    struct translation *tr = c->tr = arena_alloc(&c->req->arena, sizeof *tr);
    *tr = (struct translation){.caller = f, .upstream = f};
    translate_head(c, h);
}

/* ---- streams ---- */

/* The next whole event at p, or 0; those of server-sent events have read_events(). */
static size_t frame_end(const struct translation *tr, const char *p, size_t n, size_t seen)
{
    return tr->upstream->framing == FRAMING_LINES ? ndjson_line_end(p, n, seen)
                                                  : aws_frame_end(p, n);
}

static void read_data(struct call *c, struct str name, struct str data)
{
    struct translation *tr = c->tr;
    enum json_type top;
    while (data.n && (data.p[data.n - 1] == '\n' || data.p[data.n - 1] == '\r')) {
        data.n--; /* of a line; an empty one is no event */
    }
    data = str_trim(data);
    if (data.n == 0) {
        return;
    }
    bool json = json_scan(data, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    if (!json && (data.p[0] == '{' || tr->upstream->framing != FRAMING_SSE)) {
        ir_fail(&tr->in, 502, STR("upstream_malformed"),
                STR("The provider sent an event that is no JSON."));
        return;
    }
    tr->upstream->read_event(&tr->in, name, data, json);
}

static void read_frame(struct call *c, struct str frame)
{
    struct translation *tr = c->tr;
    struct str name = {0}, data = frame;
    if (tr->upstream->framing == FRAMING_SSE) {
        data = sse_data(&c->w->scratch, frame, &name);
    } else if (tr->upstream->framing == FRAMING_AMAZON) {
        struct aws_frame f;
        if (aws_frame_read(frame, &f) < 0) {
            ir_fail(&tr->in, 502, STR("upstream_error"), STR("The provider sent a damaged frame."));
            return;
        }
        if (f.type == AWS_FRAME_ERROR) {
            tr->upstream->read_event(&tr->in, f.name, f.message, false);
            return;
        }
        name = f.name;
        data = f.payload;
    }
    read_data(c, name, data);
}

/* Takes the event at p; 0 when it is not whole. `seen` bytes of it were looked at before. */
static size_t take_sse(struct call *c, const char *p, size_t n, size_t seen)
{
    struct translation *tr = c->tr;
    struct str name, data;
    size_t len = ir_repeat_take(&tr->repeat, p, n, &data);
    if (len) {
        ir_delta(&tr->in, data);
        return len;
    }
    len = sse_event_take(&c->w->scratch, p, n, seen, &name, &data);
    if (len) {
        tr->repeat.events = 0;
        read_data(c, name, data);
        ir_repeat_note(&tr->repeat, tr->in.arena, str_make(p, len));
    }
    return len;
}

static size_t read_events(struct call *c, const char *p, size_t n, size_t seen)
{
    size_t at = 0, len;
    while (at < n && !c->tr->in.failed && (len = take_sse(c, p + at, n - at, at ? 0 : seen)) > 0) {
        at += len;
    }
    return at;
}

static size_t read_frames(struct call *c, const char *p, size_t n, size_t seen)
{
    struct translation *tr = c->tr;
    size_t at = 0, len;
    if (tr->upstream->framing == FRAMING_SSE) {
        return read_events(c, p, n, seen);
    }
    while (at < n && !tr->in.failed && (len = frame_end(tr, p + at, n - at, at ? 0 : seen)) > 0) {
        if (len > n - at) {
            ir_fail(&tr->in, 502, STR("upstream_malformed"),
                    STR("The provider sent a damaged frame."));
            break;
        }
        read_frame(c, str_make(p + at, len));
        at += len;
    }
    return at;
}

static void read_piece(struct call *c, const char *p, size_t n)
{
    struct relay *r = &c->relay;
    if (r->hold_n == 0) {
        size_t used = read_frames(c, p, n, 0);
        if (used < n) {
            relay_hold(c, p + used, n - used);
        }
        return;
    }
    size_t seen = r->hold_n;
    relay_hold(c, p, n);
    size_t used = read_frames(c, r->hold, r->hold_n, seen);
    if (used) {
        memmove(r->hold, r->hold + used, r->hold_n - used);
        r->hold_n -= (uint32_t)used;
    }
    if (r->hold_n == 0) {
        relay_drop_hold(c);
    }
}

static void finish_stream(struct call *c)
{
    struct translation *tr = c->tr;
    if (c->relay.hold_n && !tr->in.ended && tr->upstream->framing != FRAMING_AMAZON) {
        bool enough = tr->in.finished && !tr->in.failed;
        read_frame(c, str_make(c->relay.hold, c->relay.hold_n)); /* a last event without its end */
        tr->in.failed = tr->in.failed && !enough; /* half an event behind the end undoes nothing */
    }
    if (tr->in.failed) {
        fail(c, &tr->in.error);
        return;
    }
    if (!tr->in.finished) {
        if (tr->begun) {
            send_text(c, false);
            relay_break_off(c, "upstream_truncated",
                            STR("The provider's stream ended without its closing event."),
                            OUTCOME_CUT);
        } else {
            fail_malformed(c, "ended its stream before it had said anything whole");
        }
        return;
    }
    c->usage = tr->in.usage;
    c->w->metrics.translated_lossy += !tr->dropped.n && tr->out.lost + tr->in.lost > 0;
    write_last(c);
    if (tr->text.overflow && !tr->begun) {
        fail_too_large(c);
    } else if (kept_put(c, buf_str(&tr->text))) {
        tr->last = arena_dup(&c->req->arena, buf_str(&tr->text));
        arena_reset(&c->w->scratch);
    } else {
        send_last(c);
    }
}

/* ---- whole answers ---- */

/* The rest of the texts, to the same target. */
static void ask_again(struct call *c)
{
    c->tr->reading = READ_NOTHING;
    c->up_ready = c->body_sent = false;
    c->attempts = 0; /* of a new request */
    call_back_to(c, STAGE_forward);
    call_run(c);
}

static void finish_exchange(struct call *c, struct str body)
{
    switch (exchange_take(c, body)) {
    case EXCHANGE_MORE:
        ask_again(c);
        break;
    case EXCHANGE_MALFORMED:
        arena_reset(&c->w->scratch);
        fail_malformed(c, "answered with something else than was asked for");
        break;
    case EXCHANGE_TOO_LARGE:
        fail_too_large(c);
        break;
    default:
        send_last(c);
    }
}

static void finish_whole(struct call *c)
{
    struct translation *tr = c->tr;
    enum json_type top;
    struct str body = buf_str(&tr->answer);
    if (tr->exchange && !tr->answer.overflow && json_scan(body, NULL, 0, &top, NULL) == 0) {
        finish_exchange(c, body);
        return;
    }
    if (tr->answer.overflow || json_scan(body, NULL, 0, &top, NULL) < 0 || top != JSON_OBJECT) {
        fail_malformed(c, "answered with something that is no JSON object; check its base_url");
        return;
    }
    tr->fold.copy = false; /* the body stays where it is until all is written */
    tr->upstream->read_answer(&tr->in, body);
    finish_stream(c);
}

static void finish_error(struct call *c)
{
    struct translation *tr = c->tr;
    struct ir_error e = {.status = tr->status};
    struct str body = buf_str(&tr->answer);
    if (tr->exchange && exchange_without(c, tr->status)) {
        c->outcome = OUTCOME_OK;
        send_last(c);
        return;
    }
    enum json_type top;
    bool json = json_scan(body, NULL, 0, &top, NULL) == 0;
    if (lacking_is_told(c, tr->status, body)) {
        lacking_again(c);
        return;
    }
    tr->upstream->read_error(&c->req->arena, body, json, &e);
    if (!e.message.n) {
        openai_read_error(&c->req->arena, body, json,
                          &e); /* what stands between may speak otherwise */
    }
    e.status = tr->status;
    if (str_eq(e.code, STR("conversation_locked"))) {
        e.status = 409; /* CONFLICT: a lock, not a fault of the request */
        e.retry_after_ms = (uint32_t)retry_after_spread(1000, worker_random(c->w));
    }
    if (!e.message.n) {
        struct str front = str_first(body, json ? 0 : 200);
        bool plain = front.n && front.p[0] != '<';
        e.message = arena_printf(&c->req->arena, "The provider \"%.*s\" answered %u%s%.*s",
                                 STR_ARG(c->target->provider->id), tr->status, plain ? ": " : ".",
                                 plain ? (int)front.n : 0, front.p);
    }
    fail(c, &e);
}

/* ---- the body ---- */

static void collect(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct translation *tr = c->tr;
    if (n == 1 && end && tr->answer.n == 0) {
        tr->answer.p = pieces[0].iov_base; /* whole at once: read where it is */
        tr->answer.n = pieces[0].iov_len;
        tr->answer.overflow = tr->answer.n > tr->answer.limit;
        return;
    }
    for (int i = 0; i < n; i++) {
        buf_add(&tr->answer, str_make(pieces[i].iov_base, pieces[i].iov_len));
    }
}

static void stream_on(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct translation *tr = c->tr;
    for (int i = 0; i < n && !tr->in.failed; i++) {
        read_piece(c, pieces[i].iov_base, pieces[i].iov_len);
    }
    if (c->relay.hold_n > EVENT_MAX) {
        ir_fail(&tr->in, 502, STR("upstream_malformed"),
                STR("The provider sent an event that is too long."));
    }
    if (tr->text.overflow) {
        ir_fail(&tr->in, 502, STR("upstream_malformed"),
                STR("The provider sent more than can be carried."));
    }
    if (tr->in.failed) {
        fail(c, &tr->in.error);
    } else if (end) {
        finish_stream(c);
    } else {
        send_text(c, false);
        relay_watch(c);
        relay_hold_back(c);
    }
}

void translate_body(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct translation *tr = c->tr;
    if (tr->reading == READ_EVENTS) {
        stream_on(c, pieces, n, end);
        return;
    }
    collect(c, pieces, n, end);
    if (!end) {
        relay_watch(c);
        if (tr->answer.overflow) {
            fail_too_large(c);
        }
    } else if (tr->reading == READ_ERROR) {
        finish_error(c);
    } else {
        finish_whole(c);
    }
}
