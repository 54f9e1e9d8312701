/* anthropic.messages, answers as they are read from an upstream. */
#include "dialect/messages.h"
#include "json/walk.h"

struct messages_in {
    struct str
        input; /* a call's input that came whole with its start; used when no piece follows */
    bool pieces, skip;
    int64_t index; /* of the present block, as its start tells it; below 0: not at all */
};

static enum ir_finish finish_of(struct str word)
{
    static const struct {
        struct str word;
        enum ir_finish why;
    } table[] = {
        {{"end_turn", 8}, IR_FINISH_STOP},
        {{"tool_use", 8}, IR_FINISH_TOOLS},
        {{"max_tokens", 10}, IR_FINISH_LENGTH},
        {{"stop_sequence", 13}, IR_FINISH_SEQUENCE},
        {{"refusal", 7}, IR_FINISH_REFUSAL},
        {{"pause_turn", 10}, IR_FINISH_PAUSE},
        {{"model_context_window_exceeded", 29}, IR_FINISH_CONTEXT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (ir_is(word, table[i].word)) {
            return table[i].why;
        }
    }
    return word.n ? IR_FINISH_STOP : IR_FINISH_NONE;
}

static void read_usage(struct ir_in *in, struct walk *w)
{
    struct str span = walk_value(w);
    if (span.p[0] == '{') {
        dialect_anthropic.usage(span, &in->usage);
    }
}

/* ---- blocks ---- */

struct block {
    struct str type, id, name, text, thinking, signature, data, input;
};

static struct block read_block(struct walk *w)
{
    struct block k = {0};
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            k.type = walk_text(w);
        } else if (str_eq(key, STR("id"))) {
            k.id = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            k.name = walk_text(w);
        } else if (str_eq(key, STR("text"))) {
            k.text = walk_text(w);
        } else if (str_eq(key, STR("thinking"))) {
            k.thinking = walk_text(w);
        } else if (str_eq(key, STR("signature"))) {
            k.signature = walk_text(w);
        } else if (str_eq(key, STR("data"))) {
            k.data = walk_text(w);
        } else if (str_eq(key, STR("input"))) {
            k.input = walk_value(w);
        } else {
            walk_value(w);
        }
    }
    return k;
}

/* Begins the block, with what stands in it already. False: one that the form does not have. */
static bool begin_block(struct ir_in *in, const struct block *k)
{
    if (ir_is(k->type, STR("text"))) {
        ir_open(in, IR_TEXT);
        ir_delta(in, k->text);
    } else if (ir_is(k->type, STR("thinking"))) {
        ir_open(in, IR_THINKING);
        ir_delta(in, k->thinking);
        ir_signature(in, k->signature, FAMILY_ANTHROPIC, false);
    } else if (ir_is(k->type, STR("redacted_thinking"))) {
        ir_redacted(in, k->data, FAMILY_ANTHROPIC);
    } else if (ir_is(k->type, STR("tool_use"))) {
        ir_open_call(in, k->id, k->name);
    } else {
        return false;
    }
    return true;
}

static void stop_block(struct ir_in *in)
{
    struct messages_in *s = in->state;
    if (!s->skip && s->input.n && !s->pieces) {
        ir_delta(in, ir_args_out(in->arena, s->input));
    }
    if (!s->skip) {
        ir_close(in);
    }
    s->skip = false;
    s->input = (struct str){0};
}

/* Blocks come one after the other; a piece or an end of another one than the present would be taken for its. */
static bool is_of_another(const struct ir_in *in, int64_t index)
{
    const struct messages_in *s = in->state;
    return index >= 0 && s->index >= 0 && index != s->index;
}

static void start_block(struct ir_in *in, struct walk *w, int64_t index)
{
    struct messages_in *s = in->state;
    struct block k = read_block(w);
    if (in->open) {
        stop_block(in); /* a server may have left out the last one's stop */
    }
    s->skip = !begin_block(in, &k);
    s->pieces = false;
    s->index = index;
    bool whole = !s->skip && k.input.n > 2 && k.input.p[0] == '{';
    s->input = whole ? arena_dup(in->arena, k.input) : (struct str){0};
}

static void fail_out_of_place(struct ir_in *in)
{
    ir_fail(in, 502, STR("upstream_malformed"),
            STR("The provider sent a piece of a block that is not open."));
}

static void add_arguments(struct ir_in *in, struct str piece)
{
    if (in->open && in->open_kind == IR_TOOL_CALL) {
        ir_delta(in, piece);
    } else if (piece.n && !in->finished) {
        fail_out_of_place(in);
    }
}

static void read_delta(struct ir_in *in, struct walk *w, int64_t index)
{
    struct messages_in *s = in->state;
    struct str key;
    if (is_of_another(in, index)) {
        fail_out_of_place(in);
        return;
    }
    if (s->skip) {
        walk_value(w);
        return;
    }
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        bool text = str_eq(key, STR("text"));
        if (text || str_eq(key, STR("thinking"))) {
            if (!in->open) { /* a server may have left out the start */
                ir_open(in, text ? IR_TEXT : IR_THINKING);
            }
            ir_delta(in, walk_text(w));
        } else if (str_eq(key, STR("partial_json"))) {
            struct str piece = walk_text(w);
            s->pieces = s->pieces || piece.n;
            add_arguments(in, piece);
        } else if (str_eq(key, STR("signature"))) {
            ir_signature(in, walk_text(w), FAMILY_ANTHROPIC, false);
        } else {
            walk_value(w); /* type, citations */
        }
    }
}

/* ---- messages ---- */

struct stop {
    struct str reason, sequence;
};

/* Takes the value when it is one of these two members of a message or its delta. */
static bool read_stop_member(struct stop *s, struct str key, struct walk *w)
{
    if (str_eq(key, STR("stop_reason"))) {
        s->reason = walk_text(w);
    } else if (str_eq(key, STR("stop_sequence"))) {
        s->sequence = walk_text(w);
    } else {
        return false;
    }
    return true;
}

static void finish(struct ir_in *in, const struct stop *s)
{
    if (s->reason.n) {
        ir_finish(in, finish_of(s->reason), s->sequence);
    }
}

static void read_stop(struct ir_in *in, struct walk *w)
{
    struct stop stop = {0};
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (!read_stop_member(&stop, key, w)) {
            walk_value(w);
        }
    }
    finish(in, &stop);
}

/* message of message_start, or a whole answer: its blocks are read as well. */
static void read_message(struct ir_in *in, struct walk *w)
{
    struct str key, id = {0}, model = {0};
    struct walk content = {0};
    struct stop stop = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("id"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("model"))) {
            model = walk_text(w);
        } else if (str_eq(key, STR("usage"))) {
            read_usage(in, w);
        } else if (str_eq(key, STR("content"))) {
            content = *w;
            walk_value(w);
        } else if (!read_stop_member(&stop, key, w)) {
            walk_value(w);
        }
    }
    ir_start(in, id, model);
    for (bool any = content.p && walk_array(&content); any && walk_element(&content);) {
        start_block(in, &content, -1);
        stop_block(in);
    }
    finish(in, &stop);
}

static void read_error_object(struct ir_in *in, struct str data)
{
    struct ir_error e = {.status = 500};
    format_messages.read_error(in->arena, data, true, &e);
    ir_fail(in, e.status, e.code, e.message);
}

struct parts {
    struct str type;
    int64_t index;
    struct walk message, block, delta, usage;
};

/* The members of an event. False when its delta has been read in passing: nearly all events are deltas, whose
 * type stands in front, and nothing else in them is of use. */
static bool split(struct ir_in *in, struct str data, struct parts *ret)
{
    struct parts p = {.index = -1};
    struct walk w = walk_at(data);
    struct str key;
    for (bool any = walk_object(&w); any && walk_member(&w, &key);) {
        if (str_eq(key, STR("type"))) {
            p.type = walk_text(&w);
            continue;
        }
        if (str_eq(key, STR("delta")) && str_eq(p.type, STR("content_block_delta"))) {
            read_delta(in, &w, p.index);
            return false;
        }
        if (str_eq(key, STR("index"))) {
            (void)!json_int(walk_value(&w), &p.index);
            continue;
        }
        struct walk *to = str_eq(key, STR("delta"))           ? &p.delta
                          : str_eq(key, STR("content_block")) ? &p.block
                          : str_eq(key, STR("message"))       ? &p.message
                          : str_eq(key, STR("usage"))         ? &p.usage
                                                              : NULL;
        if (to) {
            *to = w;
        }
        walk_value(&w);
    }
    *ret = p;
    return true;
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    struct parts p;
    if (!json || !split(in, data, &p)) {
        return;
    }
    if (!p.type.n) {
        p.type = name;
    }
    if (ir_is(p.type, STR("content_block_delta")) && p.delta.p) {
        read_delta(in, &p.delta, p.index);
    } else if (ir_is(p.type, STR("content_block_start")) && p.block.p) {
        start_block(in, &p.block, p.index);
    } else if (ir_is(p.type, STR("content_block_stop"))) {
        if (!is_of_another(in, p.index)) {
            stop_block(in);
        }
    } else if (ir_is(p.type, STR("message_start")) && p.message.p) {
        read_message(in, &p.message);
    } else if (ir_is(p.type, STR("message_delta"))) {
        if (p.usage.p) {
            read_usage(in, &p.usage);
            ir_tell_usage(in);
        }
        if (p.delta.p) {
            read_stop(in, &p.delta);
        }
    } else if (ir_is(p.type, STR("message_stop"))) {
        in->ended = true;
    } else if (ir_is(p.type, STR("error"))) {
        read_error_object(in, data);
    }
}

static void read_answer(struct ir_in *in, struct str body)
{
    struct walk w = walk_at(body);
    read_message(in, &w);
}

/* ---- errors ---- */

/* {"type":"error","error":{"type","message"}} */
static void read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    static const struct {
        struct str type;
        unsigned status;
    } types[] = {
        {{"invalid_request_error", 21}, 400}, {{"authentication_error", 20}, 401},
        {{"billing_error", 13}, 402},         {{"permission_error", 16}, 403},
        {{"not_found_error", 15}, 404},       {{"request_too_large", 17}, 413},
        {{"rate_limit_error", 16}, 429},      {{"timeout_error", 13}, 504},
        {{"overloaded_error", 16}, 529},
    };
    openai_read_error(a, body, json, e);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (e->status == 500 && str_eq(e->code, types[i].type)) {
            e->status = types[i].status;
        }
    }
}

const struct format format_messages = {
    .name = {"anthropic.messages", 18},
    .family = FAMILY_ANTHROPIC,
    .framing = FRAMING_SSE,
    .version = {"/v1", 3},
    .stream_type = {"text/event-stream", 17},
    .in_state = sizeof(struct messages_in),
    .out_state = MESSAGES_OUT_STATE,
    .read_request = messages_read_request,
    .write_request = messages_write_request,
    .path = messages_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = read_error,
    .write_event = messages_write_event,
    .write_answer = messages_write_answer,
};
