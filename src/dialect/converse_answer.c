/* bedrock.converse, answers as they are read from an upstream. The tokens come behind the reason for the end,
 * in an event of their own. */
#include "dialect/bedrock.h"
#include "dialect/converse.h"

struct converse_in {
    struct str image; /* media type of the image that comes; static */
    bool skip;        /* the present block is nothing of the form's */
    int64_t at, call; /* contentBlockIndex of the present event, and of the call that began last */
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
        {{"guardrail_intervened", 20}, IR_FINISH_FILTER},
        {{"content_filtered", 16}, IR_FINISH_FILTER},
        {{"model_context_window_exceeded", 29}, IR_FINISH_CONTEXT},
        {{"malformed_model_output", 22}, IR_FINISH_ERROR},
        {{"malformed_tool_use", 18}, IR_FINISH_ERROR},
        {{"refusal", 7}, IR_FINISH_REFUSAL},
        {{"pause_turn", 10}, IR_FINISH_PAUSE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (ir_is(word, table[i].word)) {
            return table[i].why;
        }
    }
    return IR_FINISH_STOP;
}

/* ---- pieces of both ways ---- */

/* {"text"}, {"signature"}, {"redactedContent"}, {"reasoningText":{"text","signature"}} */
static void read_reasoning(struct ir_in *in, struct walk *w)
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("text"))) {
            ir_text(in, IR_THINKING, walk_text(w));
        } else if (str_eq(key, STR("signature"))) {
            ir_open(in, IR_THINKING);
            ir_signature(in, walk_text(w), FAMILY_BEDROCK, false);
        } else if (str_eq(key, STR("redactedContent"))) {
            ir_redacted(in, walk_text(w), FAMILY_BEDROCK);
        } else if (str_eq(key, STR("reasoningText"))) {
            read_reasoning(in, w);
        } else {
            walk_value(w);
        }
    }
}

struct call {
    struct str id, name, input;
    bool server; /* Bedrock runs it itself */
};

static struct call read_call(struct walk *w)
{
    struct call k = {.input = STR("{}")};
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("toolUseId"))) {
            k.id = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            k.name = walk_text(w);
        } else if (str_eq(key, STR("type"))) {
            k.server = walk_text(w).n > 0;
        } else {
            struct str value = walk_value(w);
            if (str_eq(key, STR("input")) && value.p[0] == '{') {
                k.input = value;
            }
        }
    }
    return k;
}

/* {"format":"png","source":{"bytes":...}}; in a stream the format came before. */
static void read_image(struct ir_in *in, struct str media_type, struct walk *w)
{
    struct str key, bytes = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("format"))) {
            media_type = converse_media_type(in->arena, IR_IMAGE, walk_text(w));
        } else if (!str_eq(key, STR("source"))) {
            walk_value(w);
        } else {
            for (bool deep = walk_object(w); deep && walk_member(w, &key);) {
                if (str_eq(key, STR("bytes"))) {
                    bytes = walk_text(w);
                } else {
                    walk_value(w);
                }
            }
        }
    }
    if (bytes.n) {
        ir_close(in);
        ir_media(in, IR_IMAGE, media_type, bytes);
    } else {
        in->lost++;
    }
}

static void read_usage(struct ir_in *in, struct walk *w)
{
    struct str span = walk_value(w);
    if (span.p[0] == '{') {
        dialect_bedrock.usage(span, &in->usage);
    }
}

/* additionalModelResponseFields: the sequence stands there when the caller has asked for it. */
static struct str read_sequence(struct walk *w)
{
    struct str key, found = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("stop_sequence"))) {
            found = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    return found;
}

/* ---- streams ---- */

static void read_start(struct ir_in *in, struct walk *w)
{
    struct converse_in *s = in->state;
    struct str key;
    ir_close(in); /* a server may have left out the last one's stop */
    s->skip = false;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("toolUse"))) {
            struct call k = read_call(w);
            s->skip = k.server;
            s->call = s->at;
            if (!k.server) {
                ir_open_call(in, k.id, k.name);
            }
        } else if (str_eq(key, STR("image"))) {
            struct str format = {0};
            for (bool deep = walk_object(w); deep && walk_member(w, &key);) {
                struct str value = walk_text(w);
                format = str_eq(key, STR("format")) ? value : format;
            }
            s->image = converse_media_type(in->arena, IR_IMAGE, format);
        } else {
            s->skip = walk_type(w) == JSON_OBJECT; /* toolResult */
            walk_value(w);
        }
    }
    in->lost += s->skip;
}

/* Blocks come one after the other: what goes on with one that was left has no place. */
static void read_input(struct ir_in *in, struct walk *w)
{
    const struct converse_in *s = in->state;
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        struct str piece = walk_text(w);
        if (!str_eq(key, STR("input")) || !piece.n || in->finished) {
            continue;
        }
        if (in->open && in->open_kind == IR_TOOL_CALL && s->at == s->call) {
            ir_delta(in, piece);
        } else {
            ir_fail(in, 502, STR("upstream_malformed"),
                    STR("The provider sent a piece of a block that is not open."));
        }
    }
}

static void read_delta(struct ir_in *in, struct walk *w)
{
    struct converse_in *s = in->state;
    struct str key;
    if (s->skip) {
        walk_value(w);
        return;
    }
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("text"))) {
            ir_text(in, IR_TEXT, walk_text(w));
        } else if (str_eq(key, STR("toolUse"))) {
            read_input(in, w);
        } else if (str_eq(key, STR("reasoningContent"))) {
            read_reasoning(in, w);
        } else if (str_eq(key, STR("image"))) {
            read_image(in, s->image, w);
        } else {
            in->lost++; /* citations */
            walk_value(w);
        }
    }
}

static void read_stop(struct ir_in *in, struct walk *w)
{
    struct str key, reason = {0}, sequence = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("stopReason"))) {
            reason = walk_text(w);
        } else if (str_eq(key, STR("additionalModelResponseFields"))) {
            sequence = read_sequence(w);
        } else {
            walk_value(w);
        }
    }
    ir_finish(in, finish_of(reason), sequence);
}

static void read_metadata(struct ir_in *in, struct walk *w)
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("usage"))) {
            read_usage(in, w);
        } else {
            walk_value(w);
        }
    }
    ir_tell_usage(in);
    in->ended = true;
}

/* The event's contentBlockIndex; 0 without one. */
static int64_t block_of(struct str data)
{
    struct walk w = walk_at(data);
    struct str key;
    int64_t index = 0;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        struct str value = walk_value(&w);
        if (str_eq(key, STR("contentBlockIndex"))) {
            (void)!json_int(value, &index);
        }
    }
    return index;
}

/* The member `name` of an event, read by `read`. */
static void read_inside(struct ir_in *in, struct walk *w, struct str name,
                        void (*read)(struct ir_in *, struct walk *))
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, name)) {
            read(in, w);
        } else {
            walk_value(w);
        }
    }
}

/* An exception's event, or an error's, whose message is no JSON. */
static void fail(struct ir_in *in, struct str name, struct str data, bool json)
{
    struct ir_error e = {.status = bedrock_exception_status(name), .code = name};
    e.status = e.status ? e.status : 500;
    if (json) {
        format_converse.read_error(in->arena, data, true, &e);
    } else {
        e.message = data;
    }
    ir_fail(in, e.status, e.code, e.message);
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    struct walk w = walk_at(data);
    struct converse_in *s = in->state;
    s->at = json && str_starts(name, STR("contentBlock")) ? block_of(data) : 0;
    if (!json) {
        fail(in, name, data, false);
    } else if (str_eq(name, STR("contentBlockDelta"))) {
        read_inside(in, &w, STR("delta"), read_delta);
    } else if (str_eq(name, STR("contentBlockStart"))) {
        read_inside(in, &w, STR("start"), read_start);
    } else if (str_eq(name, STR("contentBlockStop"))) {
        s->skip = false;
        ir_close(in);
    } else if (str_eq(name, STR("messageStart"))) {
        ir_start(in, (struct str){0}, (struct str){0});
    } else if (str_eq(name, STR("messageStop"))) {
        read_stop(in, &w);
    } else if (str_eq(name, STR("metadata"))) {
        read_metadata(in, &w);
    } else if (bedrock_exception_status(name) || str_ends(name, STR("Exception"))) {
        fail(in, name, data, true);
    }
}

/* ---- whole answers ---- */

static void read_cited(struct ir_in *in, struct walk *w)
{
    struct str key;
    for (bool any = walk_array(w); any && walk_element(w);) {
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            struct str text = walk_text(w);
            if (str_eq(key, STR("text"))) {
                ir_text(in, IR_TEXT, text);
            }
        }
    }
}

static void read_block(struct ir_in *in, struct str key, struct walk *w)
{
    if (str_eq(key, STR("text"))) {
        ir_text(in, IR_TEXT, walk_text(w));
    } else if (str_eq(key, STR("toolUse"))) {
        struct call k = read_call(w);
        if (k.server) {
            in->lost++;
        } else {
            ir_whole_call(in, k.id, k.name, k.input);
        }
    } else if (str_eq(key, STR("reasoningContent"))) {
        read_reasoning(in, w);
    } else if (str_eq(key, STR("image"))) {
        read_image(in, (struct str){0}, w);
    } else if (str_eq(key, STR("citationsContent"))) {
        in->lost++;
        read_inside(in, w, STR("content"), read_cited);
    } else {
        in->lost += walk_type(w) != JSON_NULL;
        walk_value(w);
    }
}

static void read_content(struct ir_in *in, struct walk *w)
{
    struct str key;
    for (bool any = walk_array(w); any && walk_element(w);) {
        ir_close(in); /* two texts in a row are two blocks */
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            read_block(in, key, w);
        }
    }
}

static void read_message(struct ir_in *in, struct walk *w)
{
    read_inside(in, w, STR("content"), read_content);
}

static void read_answer(struct ir_in *in, struct str body)
{
    struct walk w = walk_at(body), output = {0}, all = w;
    struct str key;
    for (bool more = walk_object(&w); more && walk_member(&w, &key);) {
        if (str_eq(key, STR("usage"))) {
            read_usage(in, &w);
        } else {
            if (str_eq(key, STR("output"))) {
                output = w;
            }
            walk_value(&w);
        }
    }
    if (!output.p) {
        return; /* something else: not finished */
    }
    ir_start(in, (struct str){0}, (struct str){0});
    read_inside(in, &output, STR("message"), read_message);
    read_stop(in, &all);
}

/* ---- errors ---- */

/* {"message"} or {"Message"}, sometimes {"__type":"com.amazon...#ThrottlingException"}. */
static void read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    struct walk w = walk_at(body);
    struct str key;
    for (bool more = json && walk_object(&w); more && walk_member(&w, &key);) {
        if (str_ieq(key, STR("message"))) {
            e->message = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("__type")) || str_ieq(key, STR("code"))) {
            struct str code = ir_plain(a, walk_text(&w)), rest = code;
            while (str_cut(&rest, '#', &key)) {
                code = rest;
            }
            e->code = code.n ? code : e->code;
        } else if (str_eq(key, STR("originalMessage"))) {
            struct str original = ir_plain(a, walk_text(&w));
            e->message = e->message.n ? e->message : original;
        } else {
            walk_value(&w);
        }
    }
    unsigned told = bedrock_exception_status(e->code);
    e->status = e->status == 500 && told ? told : e->status;
}

const struct format format_converse = {
    .name = {"bedrock.converse", 16},
    .family = FAMILY_BEDROCK,
    .framing = FRAMING_AMAZON,
    .stream_type = {"application/vnd.amazon.eventstream", 34},
    .in_state = sizeof(struct converse_in),
    .out_state = CONVERSE_OUT_STATE,
    .data_only = true,
    .read_request = converse_read_request,
    .write_request = converse_write_request,
    .path = converse_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = read_error,
    .write_event = converse_write_event,
    .write_answer = converse_write_answer,
};
