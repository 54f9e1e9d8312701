/* openai.responses: the response object and its items, as they are written for a caller. */
#include "dialect/responses_out.h"

/* ---- the response object ---- */

static void put_or(struct buf *b, const char *name, struct str value, struct str otherwise)
{
    ir_put_value(b, name, value.n && value.p[0] != 'n' ? value : otherwise); /* null is as absent */
}

static struct str status_word(enum ir_finish f)
{
    switch (f) {
    case IR_FINISH_NONE:
        return STR("in_progress");
    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        return STR("incomplete");
    case IR_FINISH_ERROR:
        return STR("failed");
    default:
        return STR("completed");
    }
}

bool responses_is_cut(enum ir_finish f)
{
    return str_eq(status_word(f), STR("incomplete"));
}

void responses_put_front(struct ir_out *o, struct str id, enum ir_finish finish)
{
    struct buf *b = o->out;
    buf_add(b, id.n ? STR("{\"id\":\"") : STR("{\"id\":\"resp_"));
    buf_add(b, id.n ? id : o->id);
    buf_add(b, STR("\",\"object\":\"response\",\"created_at\":"));
    buf_add_i64(b, o->created_s);
    ir_put_text(b, "status", status_word(finish));
    buf_add(b, STR(",\"background\":false,\"completed_at\":null,\"error\":"));
    buf_add(b, finish == IR_FINISH_ERROR
                   ? STR("{\"code\":\"server_error\",\"message\":\"The model's answer ended with "
                         "an error.\"}")
                   : STR("null"));
    buf_add(b, STR(",\"incomplete_details\":"));
    if (finish == IR_FINISH_LENGTH || finish == IR_FINISH_CONTEXT) {
        buf_add(b, STR("{\"reason\":\"max_output_tokens\"}"));
    } else if (finish == IR_FINISH_FILTER || finish == IR_FINISH_REFUSAL) {
        buf_add(b, STR("{\"reason\":\"content_filter\"}"));
    } else {
        buf_add(b, STR("null"));
    }
    ir_put_text(b, "model", o->model);
    buf_add(b, STR(",\"output\":["));
}

/* What was asked, said again, and the usage. */
void responses_put_back(struct ir_out *o, const struct usage *u)
{
    static const struct responses_echo nothing;
    const struct responses_echo *e = o->call && o->call->extra ? o->call->extra : &nothing;
    struct buf *b = o->out;
    buf_add(b, STR("],\"frequency_penalty\":0.0"));
    put_or(b, "instructions", e->instructions, STR("null"));
    put_or(b, "max_output_tokens", e->max_output_tokens, STR("null"));
    buf_add(b, STR(",\"max_tool_calls\":null"));
    put_or(b, "metadata", e->metadata, STR("{}"));
    put_or(b, "parallel_tool_calls", e->parallel, STR("true"));
    buf_add(b, STR(",\"presence_penalty\":0.0"));
    put_or(b, "previous_response_id", e->previous, STR("null"));
    put_or(b, "prompt_cache_key", e->cache_key, STR("null"));
    put_or(b, "reasoning", e->reasoning, STR("{\"effort\":null,\"summary\":null}"));
    put_or(b, "safety_identifier", e->safety, STR("null"));
    put_or(b, "service_tier", e->tier, STR("\"default\""));
    put_or(b, "store", e->store, STR("true"));
    put_or(b, "temperature", e->temperature, STR("1.0"));
    put_or(b, "text", e->text, STR("{\"format\":{\"type\":\"text\"}}"));
    put_or(b, "tool_choice", e->tool_choice, STR("\"auto\""));
    put_or(b, "tools", e->tools, STR("[]"));
    put_or(b, "top_logprobs", e->top_logprobs, STR("0"));
    put_or(b, "top_p", e->top_p, STR("1.0"));
    put_or(b, "truncation", e->truncation, STR("\"disabled\""));
    put_or(b, "user", e->user, STR("null"));
    ir_put_name(b, "usage");
    if (u) { /* always at the end: SDKs insist on it */
        openai_put_usage(b, u, STR("input_tokens"), STR("output_tokens"));
    } else {
        buf_add(b, STR("null"));
    }
    buf_addc(b, '}');
}

/* ---- items ---- */

void responses_put_item_id(struct ir_out *o, struct buf *b, struct str front, uint32_t n)
{
    buf_add(b, front);
    buf_add(b, o->id);
    buf_add_u64(b, n);
}

struct str responses_item_front(enum ir_kind kind, const struct ir_tool *tool)
{
    return kind == IR_THINKING      ? STR("rs_")
           : kind == IR_IMAGE       ? STR("ig_")
           : kind != IR_TOOL_CALL   ? STR("msg_")
           : tool && tool->freeform ? STR("ctc_")
                                    : STR("fc_");
}

const struct ir_tool *responses_tool_of(const struct ir_out *o, struct str name)
{
    const struct ir_tool *t = o->call ? o->call->tools : NULL;
    while (t && !str_eq(t->name, name)) {
        t = t->next;
    }
    return t;
}

/* The text in a freeform tool's arguments, which are escaped text themselves. A model may have named it in
 * another way, or sent more: then it is all of them. */
struct str responses_call_input(struct ir_out *o, struct str args)
{
    struct str json = ir_args_in(o->scratch, args), key, only = {0};
    struct str input = responses_input_of(json);
    struct walk w = walk_at(json);
    unsigned n = 0;
    for (bool in = walk_object(&w); in && walk_member(&w, &key); n++) {
        only = walk_text(&w);
    }
    if (input.p || n == 0 || (n == 1 && only.p)) {
        return input.p ? input : only;
    }
    return ir_args_out(o->scratch, json);
}

static void put_call(struct ir_out *o, struct buf *b, const struct responses_item *k,
                     struct str status)
{
    bool freeform = k->tool && k->tool->freeform, spaced = k->tool && k->tool->space.n;
    buf_add(b, freeform ? STR("{\"type\":\"custom_tool_call\",\"id\":\"")
                        : STR("{\"type\":\"function_call\",\"id\":\""));
    responses_put_item_id(o, b, responses_item_front(IR_TOOL_CALL, k->tool), k->n);
    buf_addc(b, '"');
    ir_put_text(b, "call_id", ir_id(o->scratch, k->id, IR_ID_ANTHROPIC));
    ir_put_text(b, "name", spaced ? k->tool->bare : k->name);
    if (spaced) {
        ir_put_text(b, "namespace", k->tool->space);
    }
    if (freeform) {
        struct str input = responses_call_input(o, k->text);
        ir_put_text(b, "input", input.p ? input : STR(""));
    } else {
        ir_put_text(b, "arguments", k->text.p ? k->text : STR(""));
    }
    ir_put_text(b, "status", status);
    buf_addc(b, '}');
}

void responses_put_part(struct buf *b, enum ir_kind kind, struct str text)
{
    if (kind == IR_REFUSAL) {
        buf_add(b, STR("{\"type\":\"refusal\""));
        ir_put_text(b, "refusal", text.p ? text : STR(""));
    } else {
        buf_add(b, STR("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[]"));
        ir_put_text(b, "text", text.p ? text : STR(""));
    }
    buf_addc(b, '}');
}

void responses_put_summary(struct buf *b, struct str text)
{
    buf_add(b, STR("{\"type\":\"summary_text\""));
    ir_put_text(b, "text", text.p ? text : STR(""));
    buf_addc(b, '}');
}

/* Thinking that was left out has an empty summary, such that may not be seen has none: whoever signed it must
 * get back the one or the other. */
static void put_reasoning(struct ir_out *o, struct buf *b, const struct responses_item *k,
                          bool done)
{
    buf_add(b, STR("{\"type\":\"reasoning\",\"id\":\""));
    responses_put_item_id(o, b, STR("rs_"), k->n);
    buf_add(b, STR("\",\"summary\":["));
    if (done && (k->text.n || (k->signature.n && !k->redacted))) {
        responses_put_summary(b, k->text);
    }
    buf_addc(b, ']');
    if (done && k->signature.n) {
        ir_put_text(b, "encrypted_content", k->signature);
    }
    buf_addc(b, '}');
}

static void put_image(struct ir_out *o, struct buf *b, const struct responses_item *k, bool done)
{
    struct str format = ir_media_format(k->media_type);
    buf_add(b, STR("{\"type\":\"image_generation_call\",\"id\":\""));
    responses_put_item_id(o, b, STR("ig_"), k->n);
    buf_addc(b, '"');
    ir_put_text(b, "status", done ? STR("completed") : STR("in_progress"));
    ir_put_text(b, "output_format", format.n ? format : STR("png"));
    if (done) {
        ir_put_text(b, "result", k->text.p ? k->text : STR(""));
    } else {
        buf_add(b, STR(",\"result\":null"));
    }
    buf_addc(b, '}');
}

/* In the end with its content; else as it is when it begins. */
void responses_put_item(struct ir_out *o, struct buf *b, const struct responses_item *k,
                        enum responses_state state)
{
    struct str status = state == RESPONSES_DONE  ? STR("completed")
                        : state == RESPONSES_CUT ? STR("incomplete")
                                                 : STR("in_progress");
    bool done = state != RESPONSES_BEGUN;
    if (k->kind == IR_TOOL_CALL) {
        put_call(o, b, k, status);
        return;
    }
    if (k->kind == IR_THINKING) {
        put_reasoning(o, b, k, done);
        return;
    }
    if (k->kind == IR_IMAGE) {
        put_image(o, b, k, done);
        return;
    }
    buf_add(b, STR("{\"type\":\"message\",\"id\":\""));
    responses_put_item_id(o, b, STR("msg_"), k->n);
    buf_addc(b, '"');
    ir_put_text(b, "status", status);
    buf_add(b, STR(",\"role\":\"assistant\",\"content\":["));
    if (done) {
        responses_put_part(b, k->kind, k->text);
    }
    buf_add(b, STR("]}"));
}
