/* cohere.chat (v2), answers as they are read from an upstream. All events of a stream hold a piece of the
 * message at the same place (delta.message), so one function reads it, and whole answers as well. */
#include "dialect/cohere.h"
#include "dialect/ir_order.h"

struct cohere_in {
    struct ir_order order;
    bool called;
    bool bare; /* the open call has had no arguments yet */
};

static void end_calls(struct ir_in *in)
{
    struct cohere_in *s = in->state;
    if (s->called) {
        ir_order_end(&s->order, in);
    }
}

/* ---- the message ---- */

/* {"type": ..., "text": ...} or {..., "thinking": ...}; an array of them in whole answers, where each is a
 * block of its own. */
static void read_content(struct ir_in *in, struct walk *w)
{
    struct str key;
    if (walk_type(w) == JSON_STRING) {
        ir_text(in, IR_TEXT, walk_text(w));
    } else if (walk_type(w) == JSON_ARRAY) {
        walk_enter(w);
        while (walk_element(w)) {
            if (walk_type(w) == JSON_ARRAY) {
                walk_value(w);
                continue;
            }
            ir_close(in);
            read_content(in, w);
            ir_close(in);
        }
    } else {
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (str_eq(key, STR("text"))) {
                ir_text(in, IR_TEXT, walk_text(w));
            } else if (str_eq(key, STR("thinking"))) {
                ir_text(in, IR_THINKING, walk_text(w));
            } else {
                walk_value(w);
            }
        }
    }
}

static void read_call(struct ir_in *in, struct walk *w, uint32_t index)
{
    struct cohere_in *s = in->state;
    struct str key, id = {0}, name = {0}, args = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("id"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("function"))) {
            for (bool inner = walk_object(w); inner && walk_member(w, &key);) {
                if (str_eq(key, STR("name"))) {
                    name = walk_text(w);
                } else if (str_eq(key, STR("arguments"))) {
                    args = walk_type(w) == JSON_OBJECT ? ir_args_out(in->arena, walk_value(w))
                                                       : walk_text(w);
                } else {
                    walk_value(w);
                }
            }
        } else {
            walk_value(w);
        }
    }
    s->bare = args.n == 0 && (s->bare || id.n || name.n);
    s->called = true;
    ir_order_add(&s->order, in, index, id, name, args);
}

/* tool-call-end: a call that had no arguments is one with none. */
static void end_call(struct ir_in *in, uint32_t index)
{
    struct cohere_in *s = in->state;
    if (s->bare) {
        s->bare = false;
        ir_order_add(&s->order, in, index, (struct str){0}, (struct str){0}, STR("{}"));
    }
}

/* One call in an event; all of them in a whole answer. */
static void read_calls(struct ir_in *in, struct walk *w, uint32_t index)
{
    if (walk_type(w) == JSON_OBJECT) {
        read_call(in, w, index);
        return;
    }
    for (bool any = walk_array(w); any && walk_element(w); index++) {
        if (walk_type(w) == JSON_OBJECT) {
            read_call(in, w, index);
            end_call(in, index);
        } else {
            walk_value(w);
        }
    }
}

/* The plan is what the model says ahead of its calls: a text, behind any other. */
static void read_message(struct ir_in *in, struct walk *w, uint32_t index)
{
    struct str key, plan = {0};
    struct walk calls = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("content"))) {
            read_content(in, w);
        } else if (str_eq(key, STR("tool_plan"))) {
            plan = walk_text(w);
        } else if (str_eq(key, STR("tool_calls"))) {
            calls = *w;
            walk_value(w);
        } else if (str_eq(key, STR("citations"))) {
            in->lost += walk_value(w).n > 2;
        } else {
            walk_value(w);
        }
    }
    ir_text(in, IR_TEXT, plan);
    if (calls.p) {
        read_calls(in, &calls, index);
    }
}

/* ---- the end ---- */

static void read_usage(struct ir_in *in, struct str object)
{
    if (object.p[0] == '{') {
        dialect_cohere.usage(object, &in->usage);
        ir_tell_usage(in);
    }
}

static void finish(struct ir_in *in, struct str word, struct str error)
{
    struct cohere_in *s = in->state;
    enum ir_finish why = IR_FINISH_STOP;
    end_calls(in);
    if (ir_is(word, STR("ERROR")) || (error.n && !word.n)) {
        ir_fail(in, 502, STR("upstream_error"),
                error.n ? ir_plain(in->arena, error)
                        : STR("The provider ended its answer with an error."));
        return;
    }
    if (ir_is(word, STR("TIMEOUT"))) {
        ir_fail(in, 504, STR("upstream_timeout"),
                error.n ? ir_plain(in->arena, error)
                        : STR("The provider ended its answer because it took too long."));
        return;
    }
    if (ir_is(word, STR("MAX_TOKENS"))) {
        why = IR_FINISH_LENGTH;
    } else if (ir_is(word, STR("ERROR_LIMIT"))) {
        why = IR_FINISH_CONTEXT;
    } else if (ir_is(word, STR("ERROR_TOXIC"))) {
        why = IR_FINISH_FILTER;
    } else if (ir_is(word, STR("TOOL_CALL")) || s->called) {
        why = IR_FINISH_TOOLS;
    } else if (ir_is(word, STR("STOP_SEQUENCE"))) {
        why = IR_FINISH_SEQUENCE;
    }
    ir_finish(in, why, (struct str){0});
}

/* delta: {"message": ...} or, in the last event, {"finish_reason", "usage", "error"}. */
struct delta {
    struct walk message;
    struct str reason, error, usage;
};

static struct delta read_delta(struct walk *w)
{
    struct str key;
    struct delta d = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("message"))) {
            d.message = *w;
            walk_value(w);
        } else if (str_eq(key, STR("finish_reason"))) {
            d.reason = walk_text(w);
        } else if (str_eq(key, STR("error"))) {
            d.error = walk_text(w);
        } else if (str_eq(key, STR("usage"))) {
            d.usage = walk_value(w);
        } else {
            walk_value(w);
        }
    }
    return d;
}

/* ---- errors ---- */

/* {"message": "...", "id": "..."}; {"message": {"message": ...}} and OpenAI's shape from what stands ahead. */
static void read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    struct walk w = walk_at(body);
    struct str key;
    if (!json || walk_type(&w) != JSON_OBJECT) {
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        if (str_eq(key, STR("error")) && walk_type(&w) == JSON_OBJECT) {
            openai_read_error(a, body, json, e);
            return;
        }
        if (str_eq(key, STR("message")) || str_eq(key, STR("error"))) {
            e->message = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("code"))) {
            e->code = ir_plain(a, walk_text(&w));
        } else {
            walk_value(&w);
        }
    }
}

static void fail(struct ir_in *in, struct str body)
{
    struct ir_error e = {.status = 500};
    read_error(in->arena, body, true, &e);
    ir_fail(in, e.status, e.code, e.message);
}

/* ---- streams ---- */

struct top {
    struct str type, id;
    struct walk delta;
    int64_t index;
    bool error;
};

static struct top read_top(struct str data)
{
    struct walk w = walk_at(data);
    struct str key;
    struct top t = {0};
    for (bool more = walk_object(&w); more && walk_member(&w, &key);) {
        if (str_eq(key, STR("type"))) {
            t.type = walk_text(&w);
        } else if (str_eq(key, STR("index"))) {
            (void)!json_int(walk_value(&w), &t.index);
        } else if (str_eq(key, STR("delta"))) {
            t.delta = w;
            walk_value(&w);
        } else if (str_eq(key, STR("id"))) {
            t.id = walk_text(&w);
        } else {
            t.error = t.error || str_eq(key, STR("error")) || str_eq(key, STR("message"));
            walk_value(&w);
        }
    }
    t.index = t.index < 0 || t.index > INT32_MAX ? 0 : t.index;
    return t;
}

static void read_end(struct ir_in *in, const struct delta *d)
{
    if (d->usage.n) {
        read_usage(in, d->usage);
    }
    finish(in, d->reason, d->error);
    in->ended = true;
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    if (!json || in->finished) {
        in->ended = in->ended || (in->finished && !json); /* [DONE] */
        return;
    }
    struct top t = read_top(data);
    struct str type = t.type.n ? t.type : name;
    struct delta d = t.delta.p ? read_delta(&t.delta) : (struct delta){0};
    if (ir_is(type, STR("error")) || (!type.n && !t.delta.p && t.error)) {
        fail(in, data);
        return;
    }
    ir_start(in, t.id, (struct str){0});
    if (d.message.p) {
        read_message(in, &d.message, (uint32_t)t.index);
    }
    if (ir_is(type, STR("message-end"))) {
        read_end(in, &d);
    } else if (ir_is(type, STR("content-end"))) {
        if (in->open_kind != IR_TOOL_CALL) {
            ir_close(in);
        }
    } else if (ir_is(type, STR("tool-call-end"))) {
        end_call(in, (uint32_t)t.index);
    } else if (ir_is(type, STR("citation-start"))) {
        in->lost++;
    }
}

/* ---- whole answers ---- */

static void read_answer(struct ir_in *in, struct str body)
{
    struct walk w = walk_at(body), message = {0};
    struct str key, id = {0}, reason = {0}, usage = {0};
    for (bool more = walk_object(&w); more && walk_member(&w, &key);) {
        if (str_eq(key, STR("message"))) {
            message = w;
            walk_value(&w);
        } else if (str_eq(key, STR("id"))) {
            id = walk_text(&w);
        } else if (str_eq(key, STR("finish_reason"))) {
            reason = walk_text(&w);
        } else if (str_eq(key, STR("usage"))) {
            usage = walk_value(&w);
        } else {
            walk_value(&w);
        }
    }
    if (!message.p || walk_type(&message) != JSON_OBJECT) {
        if (message.p || !reason.n) {
            fail(in, body);
            return;
        }
    }
    ir_start(in, id, (struct str){0});
    if (message.p) {
        read_message(in, &message, 0);
    }
    if (usage.n) {
        read_usage(in, usage);
    }
    finish(in, reason, (struct str){0});
}

const struct format format_cohere = {
    .name = {"cohere.chat", 11},
    .family = FAMILY_COHERE,
    .framing = FRAMING_SSE,
    .stream_type = {"text/event-stream", 17},
    .in_state = sizeof(struct cohere_in),
    .out_state = COHERE_OUT_STATE,
    .read_request = cohere_read_request,
    .write_request = cohere_write_request,
    .path = cohere_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = read_error,
    .write_event = cohere_write_event,
    .write_answer = cohere_write_answer,
};
