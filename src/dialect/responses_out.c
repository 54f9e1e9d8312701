/* openai.responses, answers as they are written for a caller: the whole set of events, numbered; each item is
 * told when it begins, in pieces, and whole when it ends, and the last event has all of them again. */
#include "dialect/responses.h"

/* How much of an answer is kept so that it can be said again at its end. */
enum { TEXT_MAX = 16 << 20, ITEMS_MAX = 32 << 20 };

struct responses_out {
    struct buf items;           /* those that are done, as JSON, with commas between */
    struct buf text;            /* of the open one: what came so far */
    struct str id, name;        /* of the open call */
    const struct ir_tool *tool; /* ... as the caller declared it; NULL: unknown */
    struct str signature;
    uint32_t n; /* items begun */
    enum ir_finish finish;
    enum ir_kind kind; /* of the open item */
    bool skip;
    bool refused;  /* a refusal was told as such */
    bool redacted; /* its thinking may not be seen */
    bool
        stopped; /* its block has ended. It is told with the next event, which says whether it was cut off */
};
_Static_assert(sizeof(struct responses_out) <= RESPONSES_OUT_STATE, "room for the state");

/* A refusal that is told as a part of its own ends like any other answer. */
static enum ir_finish finish_of(enum ir_finish f, bool refused)
{
    return !f || (f == IR_FINISH_REFUSAL && refused) ? IR_FINISH_STOP : f;
}

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

static bool is_cut(enum ir_finish f)
{
    return str_eq(status_word(f), STR("incomplete"));
}

static void put_front(struct ir_out *o, enum ir_finish finish)
{
    struct buf *b = o->out;
    buf_add(b, STR("{\"id\":\"resp_"));
    buf_add(b, o->id);
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
static void put_back(struct ir_out *o, const struct usage *u)
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
        openai_put_usage(b, u, "input_tokens", "output_tokens");
    } else {
        buf_add(b, STR("null"));
    }
    buf_addc(b, '}');
}

/* ---- items ---- */

static void put_item_id(struct ir_out *o, struct buf *b, struct str front, uint32_t n)
{
    buf_add(b, front);
    buf_add(b, o->id);
    buf_add_u64(b, n);
}

static struct str front_of(enum ir_kind kind, const struct ir_tool *tool)
{
    return kind == IR_THINKING      ? STR("rs_")
           : kind == IR_IMAGE       ? STR("ig_")
           : kind != IR_TOOL_CALL   ? STR("msg_")
           : tool && tool->freeform ? STR("ctc_")
                                    : STR("fc_");
}

static const struct ir_tool *tool_of(const struct ir_out *o, struct str name)
{
    const struct ir_tool *t = o->call ? o->call->tools : NULL;
    while (t && !str_eq(t->name, name)) {
        t = t->next;
    }
    return t;
}

/* The text in a freeform tool's arguments, which are escaped text themselves. A model may have named it in
 * another way, or sent more: then it is all of them. */
static struct str input_of(struct ir_out *o, struct str args)
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

/* An item as it is in the end; its arguments are escaped text. */
struct whole {
    enum ir_kind kind;
    uint32_t n;
    struct str text, id, name, signature, media_type;
    const struct ir_tool *tool;
    bool redacted;
};

static void put_call(struct ir_out *o, struct buf *b, const struct whole *k, struct str status)
{
    bool freeform = k->tool && k->tool->freeform, spaced = k->tool && k->tool->space.n;
    buf_add(b, freeform ? STR("{\"type\":\"custom_tool_call\",\"id\":\"")
                        : STR("{\"type\":\"function_call\",\"id\":\""));
    put_item_id(o, b, front_of(IR_TOOL_CALL, k->tool), k->n);
    buf_addc(b, '"');
    ir_put_text(b, "call_id", ir_id(o->scratch, k->id, IR_ID_ANTHROPIC));
    ir_put_text(b, "name", spaced ? k->tool->bare : k->name);
    if (spaced) {
        ir_put_text(b, "namespace", k->tool->space);
    }
    if (freeform) {
        struct str input = input_of(o, k->text);
        ir_put_text(b, "input", input.p ? input : STR(""));
    } else {
        ir_put_text(b, "arguments", k->text.p ? k->text : STR(""));
    }
    ir_put_text(b, "status", status);
    buf_addc(b, '}');
}

static void put_part(struct buf *b, enum ir_kind kind, struct str text)
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

static void put_summary(struct buf *b, struct str text)
{
    buf_add(b, STR("{\"type\":\"summary_text\""));
    ir_put_text(b, "text", text.p ? text : STR(""));
    buf_addc(b, '}');
}

/* Thinking that was left out has an empty summary, such that may not be seen has none: whoever signed it must
 * get back the one or the other. */
static void put_reasoning(struct ir_out *o, struct buf *b, const struct whole *k, bool done)
{
    buf_add(b, STR("{\"type\":\"reasoning\",\"id\":\""));
    put_item_id(o, b, STR("rs_"), k->n);
    buf_add(b, STR("\",\"summary\":["));
    if (done && (k->text.n || (k->signature.n && !k->redacted))) {
        put_summary(b, k->text);
    }
    buf_addc(b, ']');
    if (done && k->signature.n) {
        ir_put_text(b, "encrypted_content", k->signature);
    }
    buf_addc(b, '}');
}

static void put_image(struct ir_out *o, struct buf *b, const struct whole *k, bool done)
{
    struct str format = ir_media_format(k->media_type);
    buf_add(b, STR("{\"type\":\"image_generation_call\",\"id\":\""));
    put_item_id(o, b, STR("ig_"), k->n);
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

enum state { BEGUN, DONE, CUT };

/* In the end with its content; else as it is when it begins. */
static void put_item(struct ir_out *o, struct buf *b, const struct whole *k, enum state state)
{
    struct str status = state == DONE  ? STR("completed")
                        : state == CUT ? STR("incomplete")
                                       : STR("in_progress");
    bool done = state != BEGUN;
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
    put_item_id(o, b, STR("msg_"), k->n);
    buf_addc(b, '"');
    ir_put_text(b, "status", status);
    buf_add(b, STR(",\"role\":\"assistant\",\"content\":["));
    if (done) {
        put_part(b, k->kind, k->text);
    }
    buf_add(b, STR("]}"));
}

/* ---- events ---- */

static void begin(struct ir_out *o, struct str type)
{
    struct buf *b = o->out;
    buf_add(b, STR("event: "));
    buf_add(b, type);
    buf_add(b, STR("\ndata: {\"type\":\""));
    buf_add(b, type);
    buf_add(b, STR("\",\"sequence_number\":"));
    buf_add_i64(b, o->sequence++);
}

static void end(struct ir_out *o)
{
    buf_add(o->out, STR("}\n\n"));
}

static void about(struct ir_out *o, enum ir_kind kind)
{
    const struct responses_out *s = o->state;
    buf_add(o->out, STR(",\"item_id\":\""));
    put_item_id(o, o->out, front_of(kind, s->tool), s->n - 1);
    buf_add(o->out, STR("\",\"output_index\":"));
    buf_add_u64(o->out, s->n - 1);
    buf_add(o->out, kind == IR_THINKING                        ? STR(",\"summary_index\":0")
                    : kind == IR_TOOL_CALL || kind == IR_IMAGE ? STR("")
                                                               : STR(",\"content_index\":0"));
}

static void whole_event(struct ir_out *o, struct str type, enum ir_finish finish,
                        const struct usage *u)
{
    const struct responses_out *s = o->state;
    begin(o, type);
    buf_add(o->out, STR(",\"response\":"));
    put_front(o, finish);
    buf_add(o->out, buf_str(&s->items));
    put_back(o, u);
    end(o);
}

static struct whole open_item(const struct responses_out *s)
{
    return (struct whole){.kind = s->kind,
                          .n = s->n - 1,
                          .text = buf_str(&s->text),
                          .id = s->id,
                          .name = s->name,
                          .signature = s->signature,
                          .media_type = s->name,
                          .tool = s->tool,
                          .redacted = s->redacted};
}

static void item_event(struct ir_out *o, struct str type, const struct whole *k, enum state state)
{
    begin(o, type);
    buf_add(o->out, STR(",\"output_index\":"));
    buf_add_u64(o->out, k->n);
    buf_add(o->out, STR(",\"item\":"));
    put_item(o, o->out, k, state);
    end(o);
}

static void part_event(struct ir_out *o, struct str type, enum ir_kind kind, struct str text)
{
    begin(o, type);
    about(o, kind);
    buf_add(o->out, STR(",\"part\":"));
    if (kind == IR_THINKING) {
        put_summary(o->out, text);
    } else {
        put_part(o->out, kind, text);
    }
    end(o);
}

static void begin_block(struct ir_out *o, const struct ir_event *e)
{
    struct responses_out *s = o->state;
    s->skip = e->kind == IR_AUDIO;
    if (s->skip) {
        o->lost++;
        return;
    }
    s->n++;
    s->kind = e->kind;
    s->text.n = 0;
    s->text.overflow = false;
    s->text.limit = TEXT_MAX;
    s->text.arena = o->arena;
    s->signature = (struct str){0};
    s->redacted = false;
    s->tool = NULL;
    if (e->kind == IR_TOOL_CALL) {
        s->id = arena_dup(o->arena, e->id);
        s->name = arena_dup(o->arena, e->name);
        s->tool = tool_of(o, s->name);
    } else if (e->kind == IR_IMAGE) {
        s->name = arena_dup(o->arena, e->media_type);
    }
    struct whole k = open_item(s);
    item_event(o, STR("response.output_item.added"), &k, BEGUN);
    s->refused = s->refused || e->kind == IR_REFUSAL;
    if (e->kind == IR_TEXT || e->kind == IR_REFUSAL) {
        part_event(o, STR("response.content_part.added"), e->kind, STR(""));
    }
}

static struct str delta_type(const struct responses_out *s, enum ir_kind kind)
{
    switch (kind) {
    case IR_THINKING:
        return STR("response.reasoning_summary_text.delta");
    case IR_REFUSAL:
        return STR("response.refusal.delta");
    case IR_IMAGE:
        return (struct str){0};
    case IR_TOOL_CALL:
        return s->tool && s->tool->freeform ? (struct str){0}
                                            : STR("response.function_call_arguments.delta");
    default:
        return STR("response.output_text.delta");
    }
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    struct responses_out *s = o->state;
    struct str type = delta_type(s, e->kind);
    if (e->kind == IR_THINKING && s->text.n == 0) {
        part_event(o, STR("response.reasoning_summary_part.added"), e->kind, STR(""));
    }
    buf_add(&s->text, e->text);
    if (!type.n) {
        return; /* a freeform tool's text comes out of its JSON when that is whole; an image is */
    }
    begin(o, type);
    about(o, e->kind);
    if (e->kind == IR_TEXT) {
        buf_add(o->out, STR(",\"logprobs\":[]"));
    }
    ir_put_text(o->out, "delta", e->text);
    end(o);
}

static void done_event(struct ir_out *o, struct str type, enum ir_kind kind, const char *name,
                       struct str text)
{
    begin(o, type);
    about(o, kind);
    if (kind == IR_TEXT) {
        buf_add(o->out, STR(",\"logprobs\":[]"));
    }
    if (name) {
        ir_put_text(o->out, name, text.p ? text : STR(""));
    }
    end(o);
}

static void end_call(struct ir_out *o)
{
    struct responses_out *s = o->state;
    if (s->tool && s->tool->freeform) {
        struct str input = input_of(o, buf_str(&s->text));
        done_event(o, STR("response.custom_tool_call_input.delta"), s->kind, "delta", input);
        done_event(o, STR("response.custom_tool_call_input.done"), s->kind, "input", input);
        return;
    }
    if (s->text.n == 0) {
        write_delta(o, &(struct ir_event){.kind = s->kind, .text = STR("{}")});
    }
    begin(o, STR("response.function_call_arguments.done"));
    about(o, s->kind);
    ir_put_text(o->out, "name", s->tool && s->tool->space.n ? s->tool->bare : s->name);
    ir_put_text(o->out, "arguments", buf_str(&s->text));
    end(o);
}

/* Adds the item to those that the last event says again; one for which there is no room is lost from it. */
static void keep_item(struct ir_out *o, const struct whole *k, enum state state)
{
    struct responses_out *s = o->state;
    size_t before = s->items.n;
    s->items.arena = o->arena;
    s->items.limit = ITEMS_MAX;
    if (before) {
        buf_addc(&s->items, ',');
    }
    put_item(o, &s->items, k, state);
    if (s->items.overflow) {
        s->items.n = before;
        s->items.overflow = false;
        o->lost++;
    }
    o->lost += s->text.overflow;
}

static void end_item(struct ir_out *o, enum state state)
{
    struct responses_out *s = o->state;
    enum ir_kind kind = s->kind;
    struct str text = buf_str(&s->text);
    switch (kind) {
    case IR_TOOL_CALL:
        end_call(o);
        break;
    case IR_THINKING:
        if (text.n) {
            done_event(o, STR("response.reasoning_summary_text.done"), kind, "text", text);
            part_event(o, STR("response.reasoning_summary_part.done"), kind, text);
        }
        break;
    case IR_REFUSAL:
        done_event(o, STR("response.refusal.done"), kind, "refusal", text);
        part_event(o, STR("response.content_part.done"), kind, text);
        break;
    case IR_IMAGE:
        done_event(o, STR("response.image_generation_call.completed"), kind, NULL, text);
        break;
    default:
        done_event(o, STR("response.output_text.done"), kind, "text", text);
        part_event(o, STR("response.content_part.done"), kind, text);
        break;
    }
    struct whole k = open_item(s);
    item_event(o, STR("response.output_item.done"), &k, state);
    keep_item(o, &k, state);
}

/* What was held back: the end of the item whose block has ended. */
static void end_stopped(struct ir_out *o, enum state state)
{
    struct responses_out *s = o->state;
    if (s->stopped) {
        s->stopped = false;
        end_item(o, state);
    }
}

static void write_block(struct ir_out *o, const struct ir_event *e)
{
    struct responses_out *s = o->state;
    if (e->type == IR_DELTA) {
        write_delta(o, e);
    } else if (e->type == IR_BLOCK_STOP) {
        s->stopped = true;
    } else if (e->kind == IR_THINKING) { /* a call's goes ahead of it as well, as thinking */
        s->redacted = e->redacted;
        s->signature =
            arena_dup(o->arena, ir_signature_out(o->scratch, e->signature, e->issuer, o->caller));
    }
}

void responses_write_event(struct ir_out *o, const struct ir_event *e)
{
    struct responses_out *s = o->state;
    switch (e->type) {
    case IR_START:
        whole_event(o, STR("response.created"), IR_FINISH_NONE, NULL);
        whole_event(o, STR("response.in_progress"), IR_FINISH_NONE, NULL);
        break;
    case IR_BLOCK_START:
        end_stopped(o, DONE);
        begin_block(o, e);
        break;
    case IR_DELTA:
    case IR_SIGNATURE:
    case IR_BLOCK_STOP:
        if (!s->skip) {
            write_block(o, e);
        }
        break;
    case IR_FINISH:
        s->finish = finish_of(e->finish, s->refused);
        end_stopped(o, is_cut(s->finish) ? CUT : DONE);
        break;
    case IR_END:
        whole_event(o,
                    is_cut(s->finish)              ? STR("response.incomplete")
                    : s->finish == IR_FINISH_ERROR ? STR("response.failed")
                                                   : STR("response.completed"),
                    s->finish, &e->usage);
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- the whole answer ---- */

static struct whole whole_of(struct ir_out *o, const struct ir_part *p, uint32_t n)
{
    bool call = p->kind == IR_TOOL_CALL;
    return (struct whole){.kind = p->kind,
                          .n = n,
                          .text = call                  ? ir_args_out(o->scratch, p->args)
                                  : p->kind == IR_IMAGE ? p->data
                                                        : p->text,
                          .id = p->id,
                          .name = p->name,
                          .media_type = p->media_type,
                          .redacted = p->redacted,
                          .signature =
                              ir_signature_out(o->scratch, p->signature, p->issuer, o->caller),
                          .tool = call ? tool_of(o, p->name) : NULL};
}

void responses_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    uint32_t n = 0;
    enum ir_finish finish = finish_of(a->finish, ir_says_refusal(a));
    put_front(o, finish);
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_AUDIO) {
            o->lost++;
            continue;
        }
        struct whole k = whole_of(o, p, n++);
        ir_comma(o->out);
        put_item(o, o->out, &k, !p->next && is_cut(finish) ? CUT : DONE);
    }
    put_back(o, &a->usage);
}
