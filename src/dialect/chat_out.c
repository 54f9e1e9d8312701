/* openai.chat, answers as they are written for a caller. */
#include "dialect/chat.h"

struct chat_out {
    struct str front; /* of every chunk, up to the choices */
    struct str back;  /* ... behind finish_reason's value */
    uint32_t calls;   /* tool calls begun */
    bool told;        /* arguments of the open call */
    bool refused;     /* a refusal was told as such */
    /* The open call, where calls go out whole (o->whole_calls). */
    struct str id, name, mark;
    struct buf args;
};
_Static_assert(sizeof(struct chat_out) <= CHAT_OUT_STATE, "room for the state");

static struct str finish_word(enum ir_finish f, bool refused)
{
    switch (f == IR_FINISH_REFUSAL && refused ? IR_FINISH_STOP : f) {
    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
        return STR("\"length\"");
    case IR_FINISH_TOOLS:
        return STR("\"tool_calls\"");
    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        return STR("\"content_filter\"");
    default:
        return STR("\"stop\"");
    }
}

/* "prompt_tokens_details":{ and the like. */
static void open_details(struct buf *b, struct str tokens)
{
    buf_add(b, STR(",\""));
    buf_add(b, tokens);
    buf_add(b, STR("_details\":{"));
}

void openai_put_usage(struct buf *b, const struct usage *u, struct str input, struct str output)
{
    int64_t in = u->input > 0 ? u->input : 0, out = u->output > 0 ? u->output : 0;
    buf_addc(b, '{');
    ir_put_key(b, input);
    buf_add_i64(b, in);
    ir_put_key(b, output);
    buf_add_i64(b, out);
    ir_put_i64(b, "total_tokens", in + out);
    open_details(b, input);
    ir_put_i64(b, "cached_tokens", u->cache_read > 0 ? u->cache_read : 0);
    ir_put_i64(b, "cache_write_tokens", u->cache_write > 0 ? u->cache_write : 0);
    buf_addc(b, '}');
    open_details(b, output);
    ir_put_i64(b, "reasoning_tokens", u->reasoning > 0 ? u->reasoning : 0);
    buf_add(b, STR("}}"));
}

static void put_front(struct ir_out *o, struct buf *b, struct str object)
{
    buf_add(b, STR("{\"id\":\"chatcmpl-"));
    buf_add(b, o->id);
    buf_add(b, STR("\",\"object\":\""));
    buf_add(b, object);
    buf_add(b, STR("\",\"created\":"));
    buf_add_i64(b, o->created_s);
    buf_add(b, STR(",\"model\":\""));
    buf_add(b, o->model);
    buf_add(b, STR("\","));
}

/* ---- chunks ---- */

static void begin(struct ir_out *o)
{
    struct chat_out *s = o->state;
    struct buf b = {.arena = o->arena};
    buf_add(&b, STR("data: "));
    put_front(o, &b, STR("chat.completion.chunk"));
    buf_add(&b, STR("\"choices\":["));
    s->front = buf_str(&b);
    s->back = o->usage_wanted ? STR("}],\"usage\":null}\n\n") : STR("}]}\n\n");
}

/* A chunk of one choice: up to its delta's opening brace, and from its closing one. */
static void open_chunk(struct ir_out *o)
{
    const struct chat_out *s = o->state;
    buf_add(o->out, s->front);
    buf_add(o->out, STR("{\"index\":0,\"delta\":{"));
}

static void close_chunk(struct ir_out *o, struct str finish)
{
    const struct chat_out *s = o->state;
    buf_add(o->out, STR("},\"logprobs\":null,\"finish_reason\":"));
    buf_add(o->out, finish);
    buf_add(o->out, s->back);
}

static void write_text(struct ir_out *o, const char *name, struct str text)
{
    open_chunk(o);
    ir_put_text(o->out, name, text);
    close_chunk(o, STR("null"));
}

static void put_call(struct ir_out *o, struct str id, struct str name, struct str args)
{
    struct chat_out *s = o->state;
    buf_add(o->out, STR("\"tool_calls\":[{"));
    ir_put_i64(o->out, "index", s->calls++);
    ir_put_text(o->out, "id", ir_id(o->scratch, id, IR_ID_OPENAI));
    buf_add(o->out, STR(",\"type\":\"function\",\"function\":{"));
    ir_put_text(o->out, "name", name);
    ir_put_text(o->out, "arguments", args);
    buf_addc(o->out, '}');
}

static void write_call_start(struct ir_out *o, const struct ir_event *e)
{
    struct chat_out *s = o->state;
    s->told = false;
    if (o->whole_calls) {
        s->id = arena_dup(o->arena, e->id);
        s->name = arena_dup(o->arena, e->name);
        s->mark = STR("");
        s->args = (struct buf){.arena = o->arena};
        return;
    }
    open_chunk(o);
    put_call(o, e->id, e->name, STR(""));
    buf_add(o->out, STR("}]"));
    close_chunk(o, STR("null"));
}

static void open_call(struct ir_out *o)
{
    const struct chat_out *s = o->state;
    open_chunk(o);
    buf_add(o->out, STR("\"tool_calls\":[{"));
    ir_put_i64(o->out, "index", s->calls ? (int64_t)s->calls - 1 : 0);
}

static void write_args(struct ir_out *o, struct str piece)
{
    struct chat_out *s = o->state;
    s->told = true;
    if (o->whole_calls) {
        buf_add(&s->args, piece);
        return;
    }
    open_call(o);
    buf_add(o->out, STR(",\"function\":{"));
    ir_put_text(o->out, "arguments", piece);
    buf_add(o->out, STR("}}]"));
    close_chunk(o, STR("null"));
}

static void put_image(struct buf *b, struct str media_type, struct str data)
{
    buf_add(b, STR("\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:"));
    buf_add(b, media_type.n ? media_type : STR("image/png"));
    buf_add(b, STR(";base64,"));
    buf_add(b, data);
    buf_add(b, STR("\"}}]"));
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    switch (e->kind) {
    case IR_TEXT:
        write_text(o, "content", e->text);
        break;
    case IR_THINKING:
        write_text(o, "reasoning_content", e->text);
        break;
    case IR_REFUSAL:
        ((struct chat_out *)o->state)->refused = true;
        write_text(o, "refusal", e->text);
        break;
    case IR_TOOL_CALL:
        write_args(o, e->text);
        break;
    case IR_IMAGE:
        open_chunk(o);
        put_image(o->out, e->media_type, e->text);
        close_chunk(o, STR("null"));
        break;
    default:
        o->lost++;
    }
}

/* The carriers that clients of this dialect send back untouched: OpenRouter's for thinking, Google's for calls. */
static void put_signature(struct buf *b, enum ir_kind kind, struct str signature, bool redacted)
{
    if (kind == IR_TOOL_CALL) {
        buf_add(b, STR(",\"extra_content\":{\"google\":{"));
        ir_put_text(b, "thought_signature", signature);
        buf_add(b, STR("}}"));
        return;
    }
    ir_comma(b);
    if (redacted) {
        buf_add(b, STR("{\"type\":\"reasoning.encrypted\""));
        ir_put_text(b, "data", signature);
    } else {
        buf_add(b, STR("{\"type\":\"reasoning.text\""));
        ir_put_text(b, "signature", signature);
    }
    buf_addc(b, '}');
}

static void write_signature(struct ir_out *o, const struct ir_event *e)
{
    struct str mark = ir_signature_out(o->scratch, e->signature, e->issuer,
                                       e->kind == IR_TOOL_CALL ? FAMILY_GEMINI : FAMILY_COUNT);
    if (e->kind == IR_TOOL_CALL && o->whole_calls) {
        ((struct chat_out *)o->state)->mark = arena_dup(o->arena, mark);
        return;
    }
    if (e->kind == IR_TOOL_CALL) {
        open_call(o);
        put_signature(o->out, e->kind, mark, false);
        buf_add(o->out, STR("}]"));
    } else {
        open_chunk(o);
        buf_add(o->out, STR("\"reasoning_details\":["));
        put_signature(o->out, e->kind, mark, e->redacted);
        buf_addc(o->out, ']');
    }
    close_chunk(o, STR("null"));
}

static void write_call_end(struct ir_out *o)
{
    const struct chat_out *s = o->state;
    if (!s->told) {
        write_args(o, STR("{}"));
    }
    if (!o->whole_calls) {
        return;
    }
    open_chunk(o);
    put_call(o, s->id, s->name, buf_str(&s->args));
    if (s->mark.n) {
        put_signature(o->out, IR_TOOL_CALL, s->mark, false);
    }
    buf_add(o->out, STR("}]"));
    close_chunk(o, STR("null"));
}

static void write_end(struct ir_out *o, const struct usage *u)
{
    const struct chat_out *s = o->state;
    if (o->usage_wanted && (u->input >= 0 || u->output >= 0)) {
        buf_add(o->out, s->front);
        buf_add(o->out, STR("],\"usage\":"));
        openai_put_usage(o->out, u, STR("prompt_tokens"), STR("completion_tokens"));
        buf_add(o->out, STR("}\n\n"));
    }
    buf_add(o->out, STR("data: [DONE]\n\n"));
}

void chat_write_event(struct ir_out *o, const struct ir_event *e)
{
    switch (e->type) {
    case IR_START:
        begin(o);
        open_chunk(o);
        buf_add(o->out, STR("\"role\":\"assistant\",\"content\":\"\""));
        close_chunk(o, STR("null"));
        break;
    case IR_BLOCK_START:
        if (e->kind == IR_TOOL_CALL) {
            write_call_start(o, e);
        }
        break;
    case IR_DELTA:
        write_delta(o, e);
        break;
    case IR_SIGNATURE:
        write_signature(o, e);
        break;
    case IR_FINISH:
        open_chunk(o);
        close_chunk(o, finish_word(e->finish, ((struct chat_out *)o->state)->refused));
        break;
    case IR_END:
        write_end(o, &e->usage);
        break;
    case IR_BLOCK_STOP:
        if (e->kind == IR_TOOL_CALL) {
            write_call_end(o);
        }
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- the whole answer ---- */

/* All texts of a kind in one string. */
static bool put_joined(struct buf *b, const char *name, const struct ir_answer *a,
                       enum ir_kind kind)
{
    bool found = false;
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind != kind || !p->text.n) {
            continue;
        }
        if (!found) {
            ir_put_name(b, name);
            buf_addc(b, '"');
            found = true;
        }
        buf_add(b, p->text);
    }
    if (found) {
        buf_addc(b, '"');
    }
    return found;
}

static void put_calls(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    bool any = false;
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind != IR_TOOL_CALL) {
            continue;
        }
        buf_add(b, any ? STR(",{") : STR(",\"tool_calls\":[{"));
        any = true;
        ir_put_text(b, "id", ir_id(o->scratch, p->id, IR_ID_OPENAI));
        buf_add(b, STR(",\"type\":\"function\",\"function\":{"));
        ir_put_text(b, "name", p->name);
        buf_add(b, STR(",\"arguments\":\""));
        ir_add_escaped(b, p->args);
        buf_add(b, STR("\"}"));
        if (p->signature.n) {
            put_signature(b, p->kind,
                          ir_signature_out(o->scratch, p->signature, p->issuer, FAMILY_GEMINI),
                          false);
        }
        buf_addc(b, '}');
    }
    if (any) {
        buf_addc(b, ']');
    }
}

static void put_signatures(struct ir_out *o, const struct ir_answer *a)
{
    bool any = false;
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_THINKING && p->signature.n) {
            if (!any) {
                ir_put_name(o->out, "reasoning_details");
                buf_addc(o->out, '[');
                any = true;
            }
            put_signature(o->out, p->kind,
                          ir_signature_out(o->scratch, p->signature, p->issuer, FAMILY_COUNT),
                          p->redacted);
        }
    }
    if (any) {
        buf_addc(o->out, ']');
    }
}

void chat_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    put_front(o, b, STR("chat.completion"));
    buf_add(b, STR("\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\""));
    if (!put_joined(b, "content", a, IR_TEXT)) {
        buf_add(b, STR(",\"content\":null"));
    }
    if (!put_joined(b, "refusal", a, IR_REFUSAL)) {
        buf_add(b, STR(",\"refusal\":null"));
    }
    put_joined(b, "reasoning_content", a, IR_THINKING);
    put_signatures(o, a);
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_IMAGE) {
            ir_comma(b);
            put_image(b, p->media_type, p->data);
            break;
        }
    }
    put_calls(o, a);
    buf_add(b, STR("},\"logprobs\":null,\"finish_reason\":"));
    buf_add(b, finish_word(a->finish, ir_says_refusal(a)));
    buf_add(b, STR("}]"));
    if (a->usage.input >= 0 || a->usage.output >= 0) {
        ir_put_name(b, "usage");
        openai_put_usage(b, &a->usage, STR("prompt_tokens"), STR("completion_tokens"));
    }
    buf_addc(b, '}');
}
