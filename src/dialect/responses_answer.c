/* openai.responses, answers as they are read from an upstream. Items go by their output_index: ids may change
 * while a stream runs. */
#include "dialect/ir_order.h"
#include "dialect/responses.h"
#include "json/walk.h"

struct responses_in {
    struct ir_order order;
    bool called;
    int64_t told;    /* the item of which pieces came last: its output_index + 1 */
    bool raw, brief; /* ... its thinking came as reasoning_text; as a summary */
};

/* ---- what events and items have in common ---- */

struct item {
    struct str type, call_id, name, space, arguments, input, encrypted, result, format;
    struct walk content, summary;
};

static struct item read_item(struct walk *w)
{
    struct item k = {0};
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        struct str *text = str_eq(key, STR("type"))                ? &k.type
                           : str_eq(key, STR("call_id"))           ? &k.call_id
                           : str_eq(key, STR("name"))              ? &k.name
                           : str_eq(key, STR("namespace"))         ? &k.space
                           : str_eq(key, STR("arguments"))         ? &k.arguments
                           : str_eq(key, STR("input"))             ? &k.input
                           : str_eq(key, STR("encrypted_content")) ? &k.encrypted
                           : str_eq(key, STR("result"))            ? &k.result
                           : str_eq(key, STR("output_format"))     ? &k.format
                                                                   : NULL;
        if (text) {
            *text = walk_text(w);
            continue;
        }
        if (str_eq(key, STR("content"))) {
            k.content = *w;
        } else if (str_eq(key, STR("summary"))) {
            k.summary = *w;
        }
        walk_value(w);
    }
    return k;
}

static void read_usage(struct ir_in *in, struct walk *w)
{
    struct str span = walk_value(w);
    if (span.p[0] == '{') {
        dialect_openai.usage(span, &in->usage);
        ir_tell_usage(in);
    }
}

static void sign(struct ir_in *in, struct str encrypted)
{
    if (!encrypted.n) {
        return;
    }
    bool seen = in->open && in->open_kind == IR_THINKING;
    if (!seen) {
        ir_open(in, IR_THINKING);
    }
    ir_signature(in, encrypted, FAMILY_OPENAI, !seen);
}

/* The arguments of a call that came whole; never empty. */
static struct str whole_arguments(struct ir_in *in, const struct item *k)
{
    if (!ir_is(k->type, STR("custom_tool_call"))) {
        return k->arguments.n ? k->arguments : STR("{}");
    }
    struct buf b = {.arena = in->arena};
    buf_addc(&b, '{');
    ir_put_text(&b, "input", k->input.p ? k->input : STR(""));
    buf_addc(&b, '}');
    return ir_args_out(in->arena, buf_str(&b));
}

static bool is_call(const struct item *k)
{
    return ir_is(k->type, STR("function_call")) || ir_is(k->type, STR("custom_tool_call"));
}

static void read_picture(struct ir_in *in, const struct item *k)
{
    struct str format = k->format.n && k->format.n < 16 ? k->format : STR("png");
    if (k->result.n) {
        ir_media(in, IR_IMAGE, arena_printf(in->arena, "image/%.*s", STR_ARG(format)), k->result);
    }
}

/* ---- whole items ---- */

/* Texts of a list of {"type","text"} or {"type","refusal"}. */
static void read_texts(struct ir_in *in, enum ir_kind kind, struct walk *w)
{
    struct str key;
    bool first = true;
    for (bool any = w->p && walk_array(w); any && walk_element(w);) {
        struct str text = {0}, refusal = {0};
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (str_eq(key, STR("text"))) {
                text = walk_text(w);
            } else if (str_eq(key, STR("refusal"))) {
                refusal = walk_text(w);
            } else {
                walk_value(w);
            }
        }
        if (kind == IR_THINKING && !first && text.n) {
            ir_text(in, kind, STR("\\n\\n"));
        }
        first = false;
        ir_text(in, kind, text);
        ir_text(in, IR_REFUSAL, refusal);
    }
}

static void read_thinking(struct ir_in *in, struct item *k)
{
    struct walk content = k->content;
    uint32_t before = in->blocks;
    read_texts(in, IR_THINKING, &content);
    if (in->blocks == before) {
        read_texts(in, IR_THINKING, &k->summary);
    }
}

static void read_whole_item(struct ir_in *in, struct walk *w)
{
    struct responses_in *s = in->state;
    struct item k = read_item(w);
    if (ir_is(k.type, STR("message"))) {
        read_texts(in, IR_TEXT, &k.content);
    } else if (ir_is(k.type, STR("reasoning"))) {
        read_thinking(in, &k);
        sign(in, k.encrypted);
    } else if (is_call(&k)) {
        s->called = true;
        ir_open_call(in, k.call_id, responses_joined(in->arena, k.space, k.name));
        ir_delta(in, whole_arguments(in, &k));
    } else if (ir_is(k.type, STR("image_generation_call"))) {
        read_picture(in, &k);
    } else {
        in->lost++;
    }
    ir_close(in);
}

/* ---- the response object ---- */

static void fail_by(struct ir_in *in, struct str body)
{
    struct ir_error e = {.status = 500};
    openai_read_error(in->arena, body, true, &e);
    if (str_eq(e.code, STR("error"))) {
        e.code = (struct str){0}; /* the event's own type: it has no code */
    }
    ir_fail(in, e.status, e.code,
            e.message.n ? e.message : STR("The provider says that the response failed."));
}

static void finish(struct ir_in *in, struct str status, struct str reason)
{
    struct responses_in *s = in->state;
    enum ir_finish why = s->called ? IR_FINISH_TOOLS : IR_FINISH_STOP;
    if (ir_is(status, STR("incomplete"))) {
        why = ir_is(reason, STR("content_filter")) ? IR_FINISH_FILTER : IR_FINISH_LENGTH;
    }
    ir_order_end(&s->order, in);
    ir_finish(in, why, (struct str){0});
}

static struct str incomplete_reason(struct walk *w)
{
    struct str key, reason = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("reason"))) {
            reason = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    return reason;
}

/* `ends`: it is the last word; its items are read when none came before. */
static void read_response(struct ir_in *in, struct walk *w, bool ends, bool failed)
{
    struct str key, id = {0}, model = {0}, status = {0}, reason = {0}, error = {0};
    struct walk output = {0}, usage = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("id"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("model"))) {
            model = walk_text(w);
        } else if (str_eq(key, STR("status"))) {
            status = walk_text(w);
        } else if (str_eq(key, STR("incomplete_details"))) {
            reason = incomplete_reason(w);
        } else if (str_eq(key, STR("error"))) {
            error = walk_value(w);
        } else if (str_eq(key, STR("output"))) {
            output = *w;
            walk_value(w);
        } else if (str_eq(key, STR("usage"))) {
            usage = *w;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    if (usage.p && *usage.p == '{') {
        read_usage(in, &usage);
    }
    if (failed || ir_is(status, STR("failed")) || ir_is(status, STR("cancelled"))) {
        fail_by(in, error.n && error.p[0] == '{' ? error : STR("{}"));
        return;
    }
    ir_start(in, id, model);
    if (!ends) {
        return;
    }
    for (bool any = output.p && in->blocks == 0 && walk_array(&output);
         any && walk_element(&output);) {
        read_whole_item(in, &output);
    }
    finish(in, status, reason);
}

/* ---- events ---- */

struct event {
    struct str type, delta, arguments;
    int64_t index, part; /* output_index, summary_index */
    struct walk item, response;
    bool error; /* has an error object */
};

static struct event split(struct str data)
{
    struct event e = {0};
    struct walk w = walk_at(data);
    struct str key;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("type"))) {
            e.type = walk_text(&w);
        } else if (str_eq(key, STR("delta"))) {
            e.delta = walk_text(&w);
        } else if (str_eq(key, STR("arguments"))) {
            e.arguments = walk_text(&w);
        } else if (str_eq(key, STR("output_index"))) {
            (void)!json_int(walk_value(&w), &e.index);
        } else if (str_eq(key, STR("summary_index"))) {
            (void)!json_int(walk_value(&w), &e.part);
        } else if (str_eq(key, STR("item"))) {
            e.item = w;
            walk_value(&w);
        } else if (str_eq(key, STR("response"))) {
            e.response = w;
            walk_value(&w);
        } else {
            e.error = e.error || (str_eq(key, STR("error")) && walk_type(&w) == JSON_OBJECT);
            walk_value(&w);
        }
    }
    if (e.index < 0 || e.index >= INT32_MAX) {
        e.index = 0;
    }
    return e;
}

static void item_added(struct ir_in *in, struct event *e)
{
    struct responses_in *s = in->state;
    struct item k = read_item(&e->item);
    if (is_call(&k)) {
        s->called = true;
        /* arguments that stand there already come again */
        ir_order_add(&s->order, in, (uint32_t)e->index, k.call_id,
                     responses_joined(in->arena, k.space, k.name), (struct str){0});
    } else if (in->open && in->open_kind != IR_TOOL_CALL) {
        ir_close(in); /* a server may have left out the last one's end */
    }
}

/* A piece of a text. Thinking that comes in full and as a summary is taken in the first way only. */
static void read_piece(struct ir_in *in, const struct event *e, enum ir_kind kind, bool raw)
{
    struct responses_in *s = in->state;
    if (s->told != e->index + 1) {
        s->told = e->index + 1;
        s->raw = s->brief = false;
    }
    if (kind == IR_THINKING && (raw ? s->brief : s->raw)) {
        return;
    }
    s->raw = s->raw || (kind == IR_THINKING && raw);
    s->brief = s->brief || (kind == IR_THINKING && !raw);
    ir_text(in, kind, e->delta);
}

/* What came in no pieces comes here. */
static void item_done(struct ir_in *in, struct event *e)
{
    struct responses_in *s = in->state;
    struct item k = read_item(&e->item);
    bool told = s->told == e->index + 1;
    if (is_call(&k)) {
        uint32_t index = (uint32_t)e->index;
        bool known = ir_order_has_args(&s->order, index);
        s->called = true;
        ir_order_add(&s->order, in, index, k.call_id, responses_joined(in->arena, k.space, k.name),
                     known ? (struct str){0} : whole_arguments(in, &k));
        return;
    }
    if (ir_is(k.type, STR("message"))) {
        if (!told) {
            read_texts(in, IR_TEXT, &k.content);
        }
    } else if (ir_is(k.type, STR("reasoning"))) {
        if (!told) {
            read_thinking(in, &k);
        }
        sign(in, k.encrypted);
    } else if (ir_is(k.type, STR("image_generation_call"))) {
        read_picture(in, &k);
    } else {
        in->lost++;
    }
    if (in->open && in->open_kind != IR_TOOL_CALL) {
        ir_close(in);
    }
}

static void last_event(struct ir_in *in, struct event *e, bool failed)
{
    struct responses_in *s = in->state;
    ir_order_end(&s->order, in);
    if (e->response.p) {
        read_response(in, &e->response, true, failed);
    } else if (failed) {
        fail_by(in, STR("{}"));
    } else {
        finish(in, (struct str){0}, (struct str){0});
    }
    in->ended = true;
}

/* The events of which there are few. */
static void read_rare(struct ir_in *in, struct str type, struct event *e, struct str data)
{
    struct responses_in *s = in->state;
    if (ir_is(type, STR("response.output_item.added")) && e->item.p) {
        item_added(in, e);
    } else if (ir_is(type, STR("response.output_item.done")) && e->item.p) {
        item_done(in, e);
    } else if (ir_is(type, STR("response.function_call_arguments.done"))) {
        bool known = ir_order_has_args(&s->order, (uint32_t)e->index);
        ir_order_add(&s->order, in, (uint32_t)e->index, (struct str){0}, (struct str){0},
                     known ? (struct str){0} : e->arguments);
    } else if (ir_is(type, STR("response.reasoning_summary_part.added"))) {
        struct event between = {.index = e->index, .delta = e->part > 0 ? STR("\\n\\n") : STR("")};
        if (between.delta.n) {
            read_piece(in, &between, IR_THINKING, false);
        }
    } else if (ir_is(type, STR("response.output_text.annotation.added"))) {
        in->lost++;
    } else if (ir_is(type, STR("response.created")) && e->response.p) {
        read_response(in, &e->response, false, false);
    } else if (ir_is(type, STR("response.completed")) || ir_is(type, STR("response.incomplete"))) {
        last_event(in, e, false);
    } else if (ir_is(type, STR("response.failed"))) {
        last_event(in, e, true);
    } else if (ir_is(type, STR("error")) || (!type.n && e->error)) {
        fail_by(in, data);
    }
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    struct responses_in *s = in->state;
    if (!json || in->ended) {
        in->ended = in->ended || str_eq(str_trim(data), STR("[DONE]"));
        return;
    }
    struct event e = split(data);
    struct str type = e.type.n ? e.type : name; /* some servers leave it out of the data */
    if (ir_is(type, STR("response.output_text.delta"))) {
        read_piece(in, &e, IR_TEXT, false);
    } else if (ir_is(type, STR("response.function_call_arguments.delta"))) {
        ir_order_add(&s->order, in, (uint32_t)e.index, (struct str){0}, (struct str){0}, e.delta);
    } else if (ir_is(type, STR("response.reasoning_summary_text.delta"))) {
        read_piece(in, &e, IR_THINKING, false);
    } else if (ir_is(type, STR("response.reasoning_text.delta"))) {
        read_piece(in, &e, IR_THINKING, true);
    } else if (ir_is(type, STR("response.refusal.delta"))) {
        read_piece(in, &e, IR_REFUSAL, false);
    } else {
        read_rare(in, type, &e, data);
    }
}

static void read_answer(struct ir_in *in, struct str body)
{
    struct walk w = walk_at(body);
    read_response(in, &w, true, false);
}

const struct format format_responses = {
    .name = {"openai.responses", 16},
    .family = FAMILY_OPENAI,
    .framing = FRAMING_SSE,
    .stream_type = {"text/event-stream", 17},
    .in_state = sizeof(struct responses_in),
    .out_state = RESPONSES_OUT_STATE,
    .read_request = responses_read_request,
    .write_request = responses_write_request,
    .path = responses_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = openai_read_error,
    .write_event = responses_write_event,
    .write_answer = responses_write_answer,
};
