/* The progress of an answer:
 *
 *   LATE ── timer ──▶ RUNNING ─┬─ parts used up ─────────────▶ over
 *                      ▲   │   ├─ error_in_stream ───────────▶ over
 *                      └───┘   ├─ cut_after ──▶ CUTTING ─────▶ over   (once what is queued is out)
 *             timer, drained   └─ stall_after ─▶ STALLED ────▶ over   (the client leaves)
 *
 * It stops producing while much is queued for the client, and lets others have their turn. */
#include "gateway/sim_call.h"

enum state { LATE, RUNNING, CUTTING, STALLED };

enum {
    FLUSH_AT = 16 * 1024,  /* what is collected before it is sent */
    QUEUE_MAX = 64 * 1024, /* waiting for the client; then nothing is produced */
    TURN_MAX = 256 * 1024, /* produced in one turn of the loop */
    STALL_MAX_MS = 600000, /* then it is cut */
};

enum progress { STEPPED, ENOUGH, PAUSED, HALTED, DONE };

static struct loop *loop_of(const struct sim_call *c)
{
    return http_server_arg(http_server_of(c->req));
}

void sim_answer_parts(struct sim_call *c, enum sim_framing framing, const struct sim_part *parts,
                      size_t n)
{
    c->parts = parts;
    c->n_parts = n;
    c->framing = framing;
    c->content_type =
        framing == SIM_EVENTS ? STR("text/event-stream; charset=utf-8") : STR("application/json");
}

/* ---- events ---- */

void sim_event(struct sim_call *c, struct buf *b, struct str name)
{
    c->in_event = true;
    if (c->framing == SIM_JSON_ARRAY) {
        buf_add(b, c->events ? STR(",\r\n") : STR("["));
        return;
    }
    if (name.n) {
        buf_add(b, STR("event: "));
        buf_add(b, name);
        buf_addc(b, '\n');
    }
    buf_add(b, STR("data: "));
}

void sim_event_end(struct sim_call *c, struct buf *b)
{
    c->in_event = false;
    if (++c->events == sim_wish_or(c, SIM_MALFORMED, 0)) {
        b->n--;
    }
    if (c->framing == SIM_EVENTS) {
        buf_add(b, STR("\n\n"));
    }
}

/* ---- errors ---- */

static const struct {
    unsigned status;
    struct str code;
} codes[] = {
    {400, {"invalid_request", 15}},
    {401, {"invalid_api_key", 15}},
    {403, {"permission_denied", 17}},
    {404, {"model_not_found", 15}},
    {408, {"timeout", 7}},
    {409, {"conflict", 8}},
    {413, {"request_too_large", 17}},
    {429, {"rate_limit_exceeded", 19}},
    {503, {"overloaded", 10}},
    {504, {"timeout", 7}},
    {529, {"overloaded", 10}},
};

static void simulate_error(struct sim_call *c, unsigned status)
{
    c->error = (struct api_error){
        .status = status,
        .request_id = c->request_id,
        .code = status < 500 ? STR("invalid_request") : STR("server_error"),
        .message = arena_printf(&c->req->arena, "This error %u is simulated, as it was asked for.",
                                status),
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].status == status) {
            c->error.code = codes[i].code;
        }
    }
}

/* Google says in the error when to come again. */
static void add_retry_info(struct sim_call *c, struct buf *b)
{
    ptrdiff_t at = str_find(buf_str(b), STR("\"details\":["));
    int64_t ms = c->wish[SIM_RETRY_AFTER_MS];
    if (c->family == FAMILY_GEMINI && at >= 0 && ms >= 0) {
        struct str rest = arena_dup(&c->req->arena, str_from(buf_str(b), (size_t)at + 11));
        b->n = (size_t)at + 11;
        buf_printf(b,
                   "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
                   "\"retryDelay\":\"%lld.%03llds\"},",
                   (long long)ms / 1000, (long long)ms % 1000);
        buf_add(b, rest);
    }
}

static void write_error(struct sim_call *c, struct buf *b)
{
    bool array = c->format == &sim_stream_generate && !c->alt_sse;
    buf_add(b, array ? STR("[") : STR(""));
    dialect_of(c->family)->error(b, &c->error);
    add_retry_info(c, b);
    buf_add(b, array ? STR("]") : STR(""));
}

static void write_error_event(struct sim_call *c, struct buf *b)
{
    if (c->framing == SIM_JSON_ARRAY) {
        buf_add(b, c->events ? STR(",\r\n") : STR("["));
        dialect_of(c->family)->error(b, &c->error);
        buf_addc(b, ']');
    } else if (c->format->error_event) {
        c->format->error_event(c, b, &c->error);
    } else {
        dialect_of(c->family)->error_event(b, &c->error);
    }
}

static void write_html(struct sim_call *c, struct buf *b)
{
    (void)c;
    buf_add(b, STR("<!doctype html>\n<html><head><title>Simulated page</title></head>\n"
                   "<body><h1>This page is simulated</h1><p>Some proxies answer with one like it."
                   "</p></body></html>\n"));
}

static const struct sim_part error_parts[] = {{SIM_ONCE, write_error}};
static const struct sim_part html_parts[] = {{SIM_ONCE, write_html}};

/* ---- sending ---- */

static void begin_answer(struct sim_call *c, int64_t length)
{
    struct http_req *r = c->req;
    http_head(r, c->status, length);
    http_field(r, STR("content-type"), c->content_type);
    http_field(r, STR("accord-simulated"), STR("true"));
    http_field(r, c->family == FAMILY_ANTHROPIC ? STR("request-id") : STR("x-request-id"),
               c->request_id);
    if (c->framing == SIM_EVENTS) {
        http_field(r, STR("cache-control"), STR("no-cache"));
    }
    if (c->wish[SIM_RETRY_AFTER_MS] >= 0) {
        uint64_t ms = (uint64_t)c->wish[SIM_RETRY_AFTER_MS];
        http_field_u64(r, STR("retry-after"), (ms + 999) / 1000);
        http_field_u64(r, STR("retry-after-ms"), ms);
    }
}

static bool counts_bytes(const struct sim_call *c, bool bytes)
{
    return bytes || c->framing == SIM_WHOLE;
}

/* How many bytes of the body may go out before a fault comes. */
static uint64_t byte_limit(const struct sim_call *c)
{
    uint64_t limit = UINT64_MAX;
    if (c->wish[SIM_CUT_AFTER] >= 0 && counts_bytes(c, c->cut_bytes)) {
        limit = (uint64_t)c->wish[SIM_CUT_AFTER];
    }
    if (c->wish[SIM_STALL_AFTER] >= 0 && counts_bytes(c, c->stall_bytes) &&
        (uint64_t)c->wish[SIM_STALL_AFTER] < limit) {
        limit = (uint64_t)c->wish[SIM_STALL_AFTER];
    }
    return limit;
}

/* Sends what is in c->out; false when a fault is to come behind it. */
static bool flush(struct sim_call *c, bool end)
{
    struct buf *b = &c->out;
    uint64_t room = byte_limit(c) - c->sent;
    bool whole = b->n <= room;
    if (!http_answered(c->req)) {
        begin_answer(c, end && c->framing == SIM_WHOLE ? (int64_t)b->n : -1);
    }
    size_t n = whole ? b->n : (size_t)room;
    http_send_str(c->req, str_make(b->p, n), end && whole);
    c->sent += n;
    b->n = 0;
    return whole;
}

static void finish(struct sim_call *c)
{
    timer_clear(&c->timer);
    http_finish(c->req);
}

static void cut(struct sim_call *c)
{
    http_cut(c->req);
    finish(c);
}

/* ---- faults on the way ---- */

static bool reached(const struct sim_call *c, enum sim_wish w, bool bytes)
{
    if (c->wish[w] < 0) {
        return false;
    }
    return (counts_bytes(c, bytes) ? c->sent : c->events) >= (uint64_t)c->wish[w];
}

static bool event_fault(const struct sim_call *c)
{
    if (c->framing == SIM_WHOLE || c->in_event) {
        return false;
    }
    return (reached(c, SIM_CUT_AFTER, c->cut_bytes) && !c->cut_bytes) ||
           (reached(c, SIM_STALL_AFTER, c->stall_bytes) && !c->stall_bytes) ||
           reached(c, SIM_ERROR_IN_STREAM, false);
}

/* What was to go out before the fault has been sent. */
static void halt(struct sim_call *c)
{
    if (reached(c, SIM_CUT_AFTER, c->cut_bytes)) {
        c->state = CUTTING;
        if (http_queued(c->req) == 0) {
            cut(c);
        }
    } else if (reached(c, SIM_STALL_AFTER, c->stall_bytes)) {
        c->state = STALLED;
        loop_timer(loop_of(c), &c->timer, STALL_MAX_MS);
    } else {
        simulate_error(c, (unsigned)sim_wish_or(c, SIM_STATUS, 503));
        write_error_event(c, &c->out);
        http_send_str(c->req, buf_str(&c->out), true);
        finish(c);
    }
}

/* ---- running ---- */

/* When the next piece may go out. */
static uint64_t due_ms(const struct sim_call *c)
{
    int64_t rate = c->wish[SIM_TOKENS_PER_SECOND];
    return c->paced_from_ms + (rate > 0 ? c->paced * 1000 / (uint64_t)rate : 0);
}

static void begin_part(struct sim_call *c, enum sim_when when)
{
    c->part_begun = true;
    sim_rewind(c);
    if (when == SIM_PACED) {
        c->paced_from_ms = loop_now_ms(loop_of(c)) + sim_wish_or(c, SIM_FIRST_TOKEN_MS, 0);
    }
}

/* One step of the present part. */
static enum progress step(struct sim_call *c)
{
    const struct sim_part *p = &c->parts[c->part];
    bool pieces = p->when == SIM_PACED || p->when == SIM_FILL;
    if (pieces && !c->part_begun) {
        begin_part(c, p->when);
    }
    if (pieces && sim_more(c)) {
        if (p->when == SIM_PACED && loop_now_ms(loop_of(c)) < due_ms(c)) {
            return PAUSED;
        }
        sim_next(c);
        p->write(c, &c->out);
        c->paced += p->when == SIM_PACED;
        return STEPPED;
    }
    if (p->when == SIM_END && c->wish[SIM_NO_END] == 1) {
        c->part = c->n_parts;
        return STEPPED;
    }
    if (!pieces) {
        p->write(c, &c->out);
    }
    c->part_begun = false;
    c->part++;
    return STEPPED;
}

static enum progress fill(struct sim_call *c)
{
    enum progress p;
    do {
        if (event_fault(c)) {
            return HALTED;
        }
        if (c->part == c->n_parts) {
            return DONE;
        }
        p = c->out.n < FLUSH_AT ? step(c) : ENOUGH;
    } while (p == STEPPED);
    return p;
}

static void run(struct sim_call *c)
{
    uint64_t stop_at = c->sent + TURN_MAX;
    while (http_queued(c->req) <= QUEUE_MAX) {
        enum progress p = fill(c);
        if (p == DONE && c->framing == SIM_WHOLE && c->wish[SIM_MALFORMED] > 0 && c->out.n) {
            c->out.n--;
        }
        bool whole = flush(c, p == DONE);
        if (!whole || p == HALTED) {
            halt(c);
            return;
        }
        if (p == DONE) {
            finish(c);
            return;
        }
        if (p == PAUSED) {
            loop_timer(loop_of(c), &c->timer, due_ms(c) - loop_now_ms(loop_of(c)));
            return;
        }
        if (c->sent >= stop_at) {
            loop_timer(loop_of(c), &c->timer, 1);
            return;
        }
    }
}

static void on_timer(struct timer *t)
{
    struct sim_call *c = (struct sim_call *)((char *)t - offsetof(struct sim_call, timer));
    if (c->state == STALLED) {
        cut(c);
        return;
    }
    if (c->state == LATE && c->wish[SIM_CUT_AFTER] == 0 && !c->cut_bytes) {
        cut(c); /* without a word */
        return;
    }
    c->state = RUNNING;
    run(c);
}

/* A whole answer takes as long as its words would take one by one. */
static uint64_t delay_ms(const struct sim_call *c)
{
    uint64_t ms = sim_wish_or(c, SIM_LATENCY_MS, 0);
    int64_t rate = c->wish[SIM_TOKENS_PER_SECOND];
    if (c->framing == SIM_WHOLE && c->error.status == 0) {
        ms += sim_wish_or(c, SIM_FIRST_TOKEN_MS, 0);
        ms += rate > 0 ? c->output_tokens * 1000 / (uint64_t)rate : 0;
    }
    return ms;
}

void sim_start(struct sim_call *c)
{
    c->timer.fire = on_timer;
    if (c->error.status) { /* refused: nothing else is simulated */
        memset(c->wish, 0xff, sizeof c->wish);
        sim_answer(c, SIM_WHOLE, error_parts);
    } else if (c->wish[SIM_HTML] == 1) {
        c->error.status = (unsigned)sim_wish_or(c, SIM_STATUS, 200);
        sim_answer(c, SIM_WHOLE, html_parts);
        c->content_type = STR("text/html; charset=utf-8");
    } else if (c->wish[SIM_STATUS] > 0 && c->wish[SIM_ERROR_IN_STREAM] < 0) {
        simulate_error(c, (unsigned)c->wish[SIM_STATUS]);
        sim_answer(c, SIM_WHOLE, error_parts);
    } else if (c->framing == SIM_WHOLE && c->wish[SIM_ERROR_IN_STREAM] > 0) {
        simulate_error(c, (unsigned)sim_wish_or(c, SIM_STATUS, 503));
        sim_answer(c, SIM_WHOLE, error_parts);
        c->status = 200;
    }
    if (!c->status) {
        c->status = c->error.status ? c->error.status : 200;
    }
    uint64_t delay = delay_ms(c);
    if (delay) {
        loop_timer(loop_of(c), &c->timer, delay);
    } else {
        on_timer(&c->timer);
    }
}

void sim_drained(struct sim_call *c)
{
    if (c->state == CUTTING) {
        cut(c);
    } else if (c->state == RUNNING && !timer_is_set(&c->timer)) {
        run(c);
    }
}

void sim_probe(struct sim_call *c)
{
    if (c->framing == SIM_EVENTS && !c->in_event && byte_limit(c) == UINT64_MAX) {
        http_send_str(c->req, STR(": sim\n\n"), false);
    }
}
