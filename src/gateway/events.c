/* Server-sent events on their way through the relay: whole ones only, watched for usage and for the
 * sign that the stream is over. Lines of JSON (Ollama's streams) are events as well. */
#include "gateway/again.h"

#include "base/must.h"
#include "http/sse.h"
#include "json/scan.h"

enum {
    OUT_PIECES = 48,
    LONG_TAIL = 4096,
    HELD_MAX = 256 * 1024, /* of a stream's start, before there is anything in it */
    HELD_EVENTS_MAX = 64,
};

/* What one read gives the client: pieces that are sent together. */
struct out {
    struct call *c;
    int n;
    struct iovec v[OUT_PIECES];
};

static void flush(struct out *o, bool end)
{
    struct call *c = o->c;
    if (c->held) {
        for (int i = 0; i < o->n; i++) {
            buf_add(&c->held->body, str_make(o->v[i].iov_base, o->v[i].iov_len));
        }
        o->n = 0;
        return;
    }
    if (o->n || end || c->last_sent_ms == 0) {
        c->last_sent_ms = loop_now_ms(c->w->loop);
        call_send(c, o->v, o->n, end);
    }
    o->n = 0;
}

static void emit(struct out *o, const char *p, size_t n)
{
    if (n == 0) {
        return;
    }
    if (o->n && (const char *)o->v[o->n - 1].iov_base + o->v[o->n - 1].iov_len == p) {
        o->v[o->n - 1].iov_len += n;
        return;
    }
    if (o->n == OUT_PIECES) {
        flush(o, false);
    }
    o->v[o->n++] = (struct iovec){(void *)(uintptr_t)p, n};
}

/* Takes the usage out of an event that only our question brought: the whole event when it carries
 * nothing else, else the member with its comma. */
static void emit_without_usage(struct out *o, struct str event, const struct json_want *usage,
                               const struct json_want *choices)
{
    if (usage->type == JSON_OBJECT && choices->type == JSON_ARRAY && choices->value.n == 2) {
        return;
    }
    const char *from = usage->key.p, *to = usage->value.p + usage->value.n;
    const char *before = from, *after = to, *end = event.p + event.n;
    while (before > event.p && (before[-1] == ' ' || before[-1] == '\t')) {
        before--;
    }
    if (before > event.p && before[-1] == ',') {
        from = before - 1;
    } else {
        while (after < end && (*after == ' ' || *after == '\t')) {
            after++;
        }
        to = after < end && *after == ',' ? after + 1 : to;
    }
    emit(o, event.p, (size_t)(from - event.p));
    emit(o, to, (size_t)(end - to));
}

static bool is_lines(const struct call *c)
{
    return c->ep.endpoint->family == FAMILY_OLLAMA;
}

/* Usage stands in the last line. */
static void look_at_line(struct call *c, struct str line)
{
    enum json_type top;
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r')) {
        line.n--;
    }
    line = str_trim(line);
    if (c->relay.finished && json_scan(line, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT) {
        call_dialect(c)->event(line, &c->usage);
    }
}

/* An event that mentions usage. Returns whether it was emitted here. */
static bool look_at_usage(struct out *o, struct str event, struct str data)
{
    struct call *c = o->c;
    struct json_want want[] = {{.name = STR("usage")}, {.name = STR("choices")}};
    if (json_scan_members(data, want, 2, NULL, NULL) < 0) {
        return false;
    }
    c->relay.finished |= call_dialect(c)->event(data, &c->usage);
    bool in_place = data.p >= event.p && data.p < event.p + event.n;
    if (c->usage_added && want[0].count == 1 && in_place) {
        emit_without_usage(o, event, &want[0], &want[1]);
        return true;
    }
    return false;
}

static bool holds(struct str s, struct str needle)
{
    return str_find(s, needle) >= 0;
}

/* An event whose data is an error object. */
static bool is_error(struct str event)
{
    struct str data = str_from(event, 5);
    if (event.n && event.p[0] == '{') {
        return str_starts(event, STR("{\"error\""));
    }
    if (event.n < 16 || (event.p[0] == 'd' && event.p[7] != 'e' && event.p[8] != 'e')) {
        return false;
    }
    if (!str_starts(event, STR("data:"))) {
        return str_starts(event, STR("event: error"));
    }
    if (data.n && data.p[0] == ' ') {
        data = str_from(data, 1);
    }
    return str_starts(data, STR("{\"error\""));
}

/* What follows "finish_reason": in a chat event; it mostly stands near the end. */
static struct str finish_reason(struct str event)
{
    const struct str name = STR("\"finish_reason\":");
    struct str tail = str_from(event, event.n > 64 ? event.n - 64 : 0);
    ptrdiff_t at = str_find(tail, name);
    if (at >= 0) {
        return str_from(tail, (size_t)at + name.n);
    }
    at = str_find(event, name);
    return at < 0 ? (struct str){0} : str_from(event, (size_t)at + name.n);
}

/* The signs by which each dialect says that its stream is over, or failed. */
static void look_for_end(struct call *c, struct str event, struct sse_look look)
{
    struct relay *r = &c->relay;
    switch (c->ep.endpoint->family) {
    case FAMILY_ANTHROPIC:
        if (str_starts(event, STR("event: message_stop"))) {
            r->finished = true;
        } else if (event.p[0] != 'e' && holds(event, STR("\"message_stop\""))) {
            r->finished = true;
        }
        break;
    case FAMILY_GEMINI:
        if ((look.f && holds(event, STR("\"finishReason\""))) ||
            holds(event, STR("\"promptFeedback\""))) {
            r->finished = true;
        }
        break;
    case FAMILY_OLLAMA:
        r->finished = holds(event, STR("\"done\":true")) || holds(event, STR("\"done\": true"));
        break;
    case FAMILY_COHERE:
        r->finished = holds(event, STR("\"message-end\""));
        break;
    default:
        if (event.n > 0 && event.p[0] == 'e') {
            /* Responses names its events; chat does not. */
            r->finished = str_starts(event, STR("event: response.completed")) ||
                          str_starts(event, STR("event: response.incomplete")) ||
                          str_starts(event, STR("event: response.failed"));
        } else if (!str_ends(event, STR("\"finish_reason\":null}]}\n\n"))) {
            struct str reason = look.f ? finish_reason(event) : (struct str){0};
            r->finished = str_starts(reason, STR("\"")) || str_starts(reason, STR(" \"")) ||
                          (event.n < 32 && holds(event, STR("[DONE]")));
        }
    }
    r->errored = r->errored || is_error(event);
}

/* ---- the start of a stream, which is held back until there is something in it ---- */

/* Events that only say that an answer begins. What is not known is taken for content. */
static bool only_begins(const struct call *c, struct str event)
{
    switch (c->ep.endpoint->family) {
    case FAMILY_ANTHROPIC:
        return holds(event, STR("\"message_start\"")) || holds(event, STR("\"type\":\"ping\"")) ||
               holds(event, STR("\"type\": \"ping\"")) ||
               (holds(event, STR("\"content_block_start\"")) &&
                (holds(event, STR("\"text\":\"\"")) || holds(event, STR("\"thinking\":\"\""))));
    case FAMILY_OLLAMA:
        return holds(event, STR("\"content\":\"\"")) && holds(event, STR("\"done\":false")) &&
               !holds(event, STR("\"tool_calls\"")) && !holds(event, STR("\"thinking\""));
    case FAMILY_COHERE:
        return holds(event, STR("\"message-start\"")) || holds(event, STR("\"content-start\""));
    case FAMILY_OPENAI:
        if (event.p[0] == 'e') {
            return str_starts(event, STR("event: response.created")) ||
                   str_starts(event, STR("event: response.queued")) ||
                   str_starts(event, STR("event: response.in_progress")) ||
                   str_starts(event, STR("event: response.output_item.added")) ||
                   str_starts(event, STR("event: response.content_part.added"));
        }
        return holds(event, STR("\"choices\":[]")) ||
               (holds(event, STR("\"role\":\"assistant\"")) &&
                (holds(event, STR("\"content\":\"\"")) || holds(event, STR("\"content\":null"))) &&
                !holds(event, STR("\"tool_calls\"")) && !holds(event, STR("\"reasoning")));
    default:
        return false;
    }
}

static bool is_comment(struct str event)
{
    return event.n && (event.p[0] == ':' || event.p[0] == '\n' || event.p[0] == '\r');
}

static bool is_content(const struct call *c, struct str event)
{
    return !c->relay.errored && !is_comment(event) && !only_begins(c, event);
}

/* Whether what is held may go now. */
static bool is_enough(const struct call *c, bool content)
{
    const struct held *h = c->held;
    return c->relay.finished || h->events > HELD_EVENTS_MAX || h->body.n > HELD_MAX || content;
}

static void pass_event(struct out *o, struct str event, struct sse_look look)
{
    struct call *c = o->c;
    c->relay.events++;
    if (!c->relay.finished) {
        look_for_end(c, event, look);
    }
    bool content = !c->relay.at_ease && is_content(c, event);
    if (content) {
        deadline_content(c);
    }
    if (c->held) {
        c->held->events++;
        if (c->relay.errored && !c->held->error.n) {
            c->held->error = arena_dup(&c->req->arena, event);
        }
        if (is_enough(c, content)) {
            flush(o, false); /* behind the rest that is held */
            held_pass_on(c);
        }
    }
    if (is_lines(c)) {
        look_at_line(c, event);
        emit(o, event.p, event.n);
        return;
    }
    if (look.u && holds(event, c->ep.endpoint->family == FAMILY_GEMINI ? STR("\"usageMetadata\"")
                                                                       : STR("\"usage\""))) {
        struct str data = sse_data(&c->req->arena, event, NULL);
        if (look_at_usage(o, event, data)) {
            return;
        }
    }
    emit(o, event.p, event.n);
}

/* Passes the whole events at the front of p[0..n); returns how many bytes they take. */
static size_t pass_events(struct out *o, const char *p, size_t n, size_t seen)
{
    size_t at = 0, len;
    struct sse_look look = {true, true};
    bool lines = is_lines(o->c);
    while (at < n && (len = lines ? ndjson_line_end(p + at, n - at, at ? 0 : seen)
                                  : sse_event_look(p + at, n - at, at ? 0 : seen, &look)) > 0) {
        pass_event(o, str_make(p + at, len), look);
        at += len;
    }
    return at;
}

void relay_hold(struct call *c, const char *p, size_t n)
{
    struct relay *r = &c->relay;
    struct pool *pool = loop_pool(c->w->loop);
    if (r->hold_n + n > r->hold_cap) {
        size_t cap;
        char *hold = pool_take(pool, (r->hold_n + n) * 2, &cap);
        if (r->hold) {
            memcpy(hold, r->hold, r->hold_n);
            pool_give(pool, r->hold, r->hold_cap);
        }
        r->hold = hold;
        r->hold_cap = (uint32_t)cap;
    }
    memcpy(r->hold + r->hold_n, p, n);
    r->hold_n += (uint32_t)n;
}

void relay_drop_hold(struct call *c)
{
    struct relay *r = &c->relay;
    if (r->hold) {
        pool_give(loop_pool(c->w->loop), r->hold, r->hold_cap);
        r->hold = NULL;
        r->hold_n = r->hold_cap = 0;
    }
}

/* ---- an event too long to hold: it passes as it comes, and its end is kept for a look ---- */

/* Where the event ends in p[0..n), or 0. Remembers between pieces how the last one ended. */
static size_t find_long_end(struct call *c, const char *p, size_t n)
{
    struct relay *r = &c->relay;
    if (is_lines(c)) {
        return ndjson_line_end(p, n, 0);
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r') {
            if (r->line_begins) {
                return i + 1;
            }
            r->line_begins = r->after_cr = true;
        } else if (p[i] == '\n') {
            if (r->line_begins && !r->after_cr) {
                return i + 1;
            }
            r->line_begins = true;
            r->after_cr = false;
        } else {
            r->line_begins = r->after_cr = false;
        }
    }
    return 0;
}

/* Keeps the last LONG_TAIL bytes. */
static void keep_tail(struct call *c, const char *p, size_t n)
{
    struct relay *r = &c->relay;
    if (n >= LONG_TAIL) {
        p += n - LONG_TAIL;
        n = LONG_TAIL;
        r->hold_n = 0;
    } else if (r->hold_n + n > LONG_TAIL) {
        size_t drop = r->hold_n + n - LONG_TAIL;
        memmove(r->hold, r->hold + drop, r->hold_n - drop);
        r->hold_n -= (uint32_t)drop;
    }
    relay_hold(c, p, n);
}

/* Where a line's counts begin: members of the line itself, side by side. */
static ptrdiff_t find_counts(struct str tail)
{
    ptrdiff_t at = str_find(tail, STR("\"prompt_eval_count\""));
    return at >= 0 ? at : str_find(tail, STR("\"eval_count\""));
}

/* The end of a long event: finish and usage stand there, behind the long text. */
static void look_at_tail(struct call *c)
{
    struct relay *r = &c->relay;
    const struct dialect *d = call_dialect(c);
    struct str tail = str_make(r->hold, r->hold_n);
    struct str name =
        c->ep.endpoint->family == FAMILY_GEMINI ? STR("\"usageMetadata\"") : STR("\"usage\"");
    if (!r->finished) {
        look_for_end(c, tail, (struct sse_look){true, true});
    }
    if (is_lines(c)) {
        ptrdiff_t counts = r->finished ? find_counts(tail) : -1;
        d->usage(str_from(tail, counts < 0 ? tail.n : (size_t)counts), &c->usage);
        return;
    }
    ptrdiff_t at = str_find(tail, name);
    struct str object = at < 0 ? (struct str){0} : str_from(tail, (size_t)at + name.n);
    while (object.n && (object.p[0] == ':' || object.p[0] == ' ')) {
        object = str_from(object, 1);
    }
    if (object.n && object.p[0] == '{') {
        d->usage(object, &c->usage);
    }
}

/* The event that is held is too long: what there is of it goes out. */
static void begin_long(struct out *o)
{
    struct call *c = o->c;
    struct relay *r = &c->relay;
    if (!r->finished) {
        look_for_end(c, str_make(r->hold, r->hold_n), (struct sse_look){true, true});
    }
    deadline_content(c);
    if (c->held) {
        held_pass_on(c);
    }
    emit(o, r->hold, r->hold_n);
    flush(o, false);
    r->mid_event = true;
    r->line_begins = r->after_cr = false;
    (void)find_long_end(c, r->hold + r->hold_n - 4, 4);
    memmove(r->hold, r->hold + r->hold_n - LONG_TAIL, LONG_TAIL);
    r->hold_n = LONG_TAIL;
}

/* More of a long event; returns how many bytes belong to it. */
static size_t pass_long(struct out *o, const char *p, size_t n)
{
    struct call *c = o->c;
    struct relay *r = &c->relay;
    size_t end = find_long_end(c, p, n), used = end ? end : n;
    emit(o, p, used);
    keep_tail(c, p, used);
    if (end) {
        look_at_tail(c);
        r->mid_event = false;
        r->events++;
        r->hold_n = 0;
        relay_drop_hold(c);
    }
    return used;
}

static void pass_piece(struct out *o, const char *p, size_t n)
{
    struct call *c = o->c;
    struct relay *r = &c->relay;
    if (r->mid_event) {
        size_t used = pass_long(o, p, n);
        p += used;
        n -= used;
        if (r->mid_event) {
            return;
        }
    }
    if (r->hold_n == 0) {
        size_t used = pass_events(o, p, n, 0);
        if (n > used) {
            relay_hold(c, p + used, n - used);
        }
    } else {
        size_t seen = r->hold_n;
        relay_hold(c, p, n);
        size_t used = pass_events(o, r->hold, r->hold_n, seen);
        if (used) {
            flush(o, false); /* before the held bytes move */
            memmove(r->hold, r->hold + used, r->hold_n - used);
            r->hold_n -= (uint32_t)used;
        }
    }
    if (r->hold_n > EVENT_HOLD_MAX) {
        begin_long(o);
    } else if (r->hold_n == 0) {
        relay_drop_hold(c);
    }
}

bool events_pass(struct call *c, const struct iovec *pieces, int n)
{
    struct out o UNINITIALIZED;
    o.c = c;
    o.n = 0;
    for (int i = 0; i < n; i++) {
        pass_piece(&o, pieces[i].iov_base, pieces[i].iov_len);
    }
    flush(&o, false);
    if (c->held && c->relay.errored) {
        held_has_failed(c);
        return false;
    }
    return true;
}

bool events_end(struct call *c)
{
    struct relay *r = &c->relay;
    struct out o UNINITIALIZED;
    o.c = c;
    o.n = 0;
    if (r->mid_event) {
        look_at_tail(c); /* ended by the body's end, without its blank line */
        r->hold_n = 0;
    }
    if (r->hold_n && !r->finished) {
        /* A last event without its blank line counts when it is whole in itself. */
        look_for_end(c, str_make(r->hold, r->hold_n), (struct sse_look){true, true});
    }
    if (r->finished && r->hold_n) {
        pass_event(&o, str_make(r->hold, r->hold_n), (struct sse_look){true, true});
    }
    if (r->finished) {
        flush(&o, true);
    }
    return r->finished;
}
