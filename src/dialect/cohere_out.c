/* cohere.chat (v2), answers as they are written for a caller. Contents and tool calls are numbered apart. */
#include "dialect/cohere.h"

struct cohere_out {
    enum ir_finish finish;
    uint32_t contents, calls; /* begun */
    bool bare;                /* the open call has had no arguments yet */
};
_Static_assert(sizeof(struct cohere_out) <= COHERE_OUT_STATE, "room for the state");

static struct str finish_word(enum ir_finish f)
{
    switch (f) {
    case IR_FINISH_SEQUENCE:
        return STR("STOP_SEQUENCE");
    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
        return STR("MAX_TOKENS");
    case IR_FINISH_TOOLS:
        return STR("TOOL_CALL");
    case IR_FINISH_FILTER:
    case IR_FINISH_ERROR:
        return STR("ERROR");
    default:
        return STR("COMPLETE");
    }
}

static void put_counts(struct buf *b, const char *name, const struct usage *u)
{
    ir_put_name(b, name);
    buf_addc(b, '{');
    if (u->input >= 0) {
        ir_put_i64(b, "input_tokens", u->input);
    }
    if (u->output >= 0) {
        ir_put_i64(b, "output_tokens", u->output);
    }
    buf_addc(b, '}');
}

static void put_usage(struct buf *b, const struct usage *u)
{
    if (u->input < 0 && u->output < 0) {
        return;
    }
    ir_put_name(b, "usage");
    buf_addc(b, '{');
    put_counts(b, "billed_units", u);
    put_counts(b, "tokens", u);
    if (u->cache_read >= 0) {
        ir_put_i64(b, "cached_tokens", u->cache_read);
    }
    buf_addc(b, '}');
}

/* ---- streams ---- */

#define EVENT(type) "event: " type "\ndata: {\"type\":\"" type "\""

static void put_index(struct buf *b, uint32_t begun)
{
    buf_add(b, STR(",\"index\":"));
    buf_add_u64(b, begun ? begun - 1 : 0);
}

static void write_start(struct ir_out *o)
{
    buf_add(o->out, STR(EVENT("message-start") ",\"id\":\""));
    buf_add(o->out, o->id);
    buf_add(o->out, STR("\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],"
                        "\"tool_plan\":\"\",\"tool_calls\":[],\"citations\":[]}}}\n\n"));
}

static bool is_media(enum ir_kind k)
{
    return k == IR_IMAGE || k == IR_AUDIO;
}

static void write_block_start(struct ir_out *o, const struct ir_event *e)
{
    struct cohere_out *s = o->state;
    if (is_media(e->kind)) {
        o->lost++;
    } else if (e->kind == IR_TOOL_CALL) {
        s->bare = true;
        buf_add(o->out, STR(EVENT("tool-call-start")));
        put_index(o->out, ++s->calls);
        buf_add(o->out, STR(",\"delta\":{\"message\":{\"tool_calls\":{"));
        ir_put_text(o->out, "id", ir_id(o->scratch, e->id, IR_ID_ANY));
        buf_add(o->out, STR(",\"type\":\"function\",\"function\":{"));
        ir_put_text(o->out, "name", e->name);
        buf_add(o->out, STR(",\"arguments\":\"\"}}}}}\n\n"));
    } else {
        buf_add(o->out, STR(EVENT("content-start")));
        put_index(o->out, ++s->contents);
        buf_add(o->out, e->kind == IR_THINKING
                            ? STR(",\"delta\":{\"message\":{\"content\":{\"type\":\"thinking\","
                                  "\"thinking\":\"\"}}}}\n\n")
                            : STR(",\"delta\":{\"message\":{\"content\":{\"type\":\"text\","
                                  "\"text\":\"\"}}}}\n\n"));
    }
}

static void write_args(struct ir_out *o, struct str piece)
{
    struct cohere_out *s = o->state;
    s->bare = false;
    buf_add(o->out, STR(EVENT("tool-call-delta")));
    put_index(o->out, s->calls);
    buf_add(o->out, STR(",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\""));
    buf_add(o->out, piece);
    buf_add(o->out, STR("\"}}}}}\n\n"));
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    const struct cohere_out *s = o->state;
    struct buf *b = o->out;
    if (is_media(e->kind)) {
        return;
    }
    if (e->kind == IR_TOOL_CALL) {
        write_args(o, e->text);
        return;
    }
    buf_add(b, STR(EVENT("content-delta")));
    put_index(b, s->contents);
    buf_add(b, e->kind == IR_THINKING ? STR(",\"delta\":{\"message\":{\"content\":{\"thinking\":\"")
                                      : STR(",\"delta\":{\"message\":{\"content\":{\"text\":\""));
    buf_add(b, e->text);
    buf_add(b, STR("\"}}}}\n\n"));
}

static void write_block_stop(struct ir_out *o, const struct ir_event *e)
{
    const struct cohere_out *s = o->state;
    if (is_media(e->kind)) {
        return;
    }
    bool call = e->kind == IR_TOOL_CALL;
    if (call && s->bare) {
        write_args(o, STR("{}")); /* clients parse what has come by now */
    }
    buf_add(o->out, call ? STR(EVENT("tool-call-end")) : STR(EVENT("content-end")));
    put_index(o->out, call ? s->calls : s->contents);
    buf_add(o->out, STR("}\n\n"));
}

static void write_end(struct ir_out *o, const struct usage *u)
{
    const struct cohere_out *s = o->state;
    buf_add(o->out, STR(EVENT("message-end") ",\"id\":\""));
    buf_add(o->out, o->id);
    buf_add(o->out, STR("\",\"delta\":{\"finish_reason\":\""));
    buf_add(o->out, finish_word(s->finish));
    buf_addc(o->out, '"');
    if (s->finish == IR_FINISH_FILTER) {
        ir_put_text(o->out, "error", STR("The answer was stopped by a content filter."));
    }
    put_usage(o->out, u);
    buf_add(o->out, STR("}}\n\n"));
}

void cohere_write_event(struct ir_out *o, const struct ir_event *e)
{
    struct cohere_out *s = o->state;
    switch (e->type) {
    case IR_START:
        write_start(o);
        break;
    case IR_BLOCK_START:
        write_block_start(o, e);
        break;
    case IR_DELTA:
        write_delta(o, e);
        break;
    case IR_BLOCK_STOP:
        write_block_stop(o, e);
        break;
    case IR_SIGNATURE:
        o->lost++;
        break;
    case IR_FINISH:
        s->finish = e->finish;
        break;
    case IR_END:
        write_end(o, &e->usage);
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- whole answers ---- */

static void put_contents(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    bool any = false;
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        o->lost += is_media(p->kind) || p->signature.n;
        if (p->kind == IR_TOOL_CALL || is_media(p->kind) || !p->text.n) {
            continue;
        }
        buf_add(b, any ? STR(",{") : STR(",\"content\":[{"));
        bool thinking = p->kind == IR_THINKING;
        ir_put_text(b, "type", thinking ? STR("thinking") : STR("text"));
        ir_put_text(b, thinking ? "thinking" : "text", p->text);
        buf_addc(b, '}');
        any = true;
    }
    if (any) {
        buf_addc(b, ']');
    }
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
        ir_put_text(b, "id", ir_id(o->scratch, p->id, IR_ID_ANY));
        buf_add(b, STR(",\"type\":\"function\",\"function\":{"));
        ir_put_text(b, "name", p->name);
        buf_add(b, STR(",\"arguments\":\""));
        ir_add_escaped(b, p->args);
        buf_add(b, STR("\"}}"));
        any = true;
    }
    if (any) {
        buf_addc(b, ']');
    }
}

void cohere_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    buf_add(b, STR("{\"id\":\""));
    buf_add(b, o->id);
    buf_add(b, STR("\",\"message\":{\"role\":\"assistant\""));
    put_contents(o, a);
    put_calls(o, a);
    buf_add(b, STR("},\"finish_reason\":\""));
    buf_add(b, finish_word(a->finish));
    buf_addc(b, '"');
    put_usage(b, &a->usage);
    buf_addc(b, '}');
}
