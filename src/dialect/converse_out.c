/* bedrock.converse, answers as they are written for a caller. Text and thinking have no event that begins
 * them; the tokens stand behind the reason for the end. */
#include "dialect/converse.h"
#include "http/aws_frame.h"

struct converse_out {
    uint32_t blocks; /* begun: those that have no word here do not count */
    bool skip;
};
_Static_assert(sizeof(struct converse_out) <= CONVERSE_OUT_STATE, "room for the state");

static struct str finish_word(enum ir_finish f)
{
    switch (f) {
    case IR_FINISH_LENGTH:
        return STR("max_tokens");
    case IR_FINISH_CONTEXT:
        return STR("model_context_window_exceeded");
    case IR_FINISH_TOOLS:
        return STR("tool_use");
    case IR_FINISH_SEQUENCE:
        return STR("stop_sequence");
    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        return STR("content_filtered");
    case IR_FINISH_ERROR:
        return STR("malformed_model_output");
    default:
        return STR("end_turn");
    }
}

static int64_t told(int64_t n)
{
    return n > 0 ? n : 0;
}

/* inputTokens is what neither came from the cache nor went into it; the sum is of all. How long it took is a
 * member that must be there. */
static void put_usage(struct buf *b, const struct usage *u)
{
    int64_t fresh = told(u->input) - told(u->cache_read) - told(u->cache_write);
    fresh = fresh > 0 ? fresh : 0;
    ir_put_name(b, "usage");
    buf_addc(b, '{');
    ir_put_i64(b, "inputTokens", fresh);
    ir_put_i64(b, "outputTokens", told(u->output));
    ir_put_i64(b, "totalTokens",
               fresh + told(u->cache_read) + told(u->cache_write) + told(u->output));
    ir_put_i64(b, "cacheReadInputTokens", told(u->cache_read));
    ir_put_i64(b, "cacheWriteInputTokens", told(u->cache_write));
    buf_add(b, STR("},\"metrics\":{\"latencyMs\":0}}"));
}

/* ---- streams ---- */

static void add_index(struct ir_out *o)
{
    const struct converse_out *s = o->state;
    buf_add(o->out, STR(",\"contentBlockIndex\":"));
    buf_add_u64(o->out, s->blocks - 1);
    buf_addc(o->out, '}');
}

static void write_simple(struct ir_out *o, struct str name, struct str front, struct str text,
                         struct str back)
{
    size_t at = aws_frame_begin(o->out, AWS_FRAME_EVENT, name);
    buf_add(o->out, front);
    buf_add(o->out, text);
    buf_add(o->out, back);
    aws_frame_finish(o->out, at);
}

static void write_block_start(struct ir_out *o, const struct ir_event *e)
{
    struct converse_out *s = o->state;
    struct str format = {0};
    if (e->kind == IR_IMAGE) {
        format = converse_format_word(o->scratch, IR_IMAGE, e->media_type);
    }
    s->skip = e->kind == IR_AUDIO || (e->kind == IR_IMAGE && !format.n);
    if (s->skip) {
        o->lost++;
        return;
    }
    s->blocks++;
    if (e->kind != IR_TOOL_CALL && e->kind != IR_IMAGE) {
        return;
    }
    size_t at = aws_frame_begin(o->out, AWS_FRAME_EVENT, STR("contentBlockStart"));
    if (e->kind == IR_IMAGE) {
        buf_add(o->out, STR("{\"start\":{\"image\":{"));
        ir_put_text(o->out, "format", format);
    } else {
        buf_add(o->out, STR("{\"start\":{\"toolUse\":{"));
        ir_put_text(o->out, "toolUseId", ir_id(o->scratch, e->id, IR_ID_ANTHROPIC));
        ir_put_text(o->out, "name", e->name);
    }
    buf_add(o->out, STR("}}"));
    add_index(o);
    aws_frame_finish(o->out, at);
}

static void write_piece(struct ir_out *o, struct str front, struct str text, struct str back)
{
    size_t at = aws_frame_begin(o->out, AWS_FRAME_EVENT, STR("contentBlockDelta"));
    buf_add(o->out, front);
    buf_add(o->out, text);
    buf_add(o->out, back);
    add_index(o);
    aws_frame_finish(o->out, at);
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    switch (e->kind) {
    case IR_TOOL_CALL:
        write_piece(o, STR("{\"delta\":{\"toolUse\":{\"input\":\""), e->text, STR("\"}}"));
        break;
    case IR_THINKING:
        write_piece(o, STR("{\"delta\":{\"reasoningContent\":{\"text\":\""), e->text, STR("\"}}"));
        break;
    case IR_IMAGE:
        write_piece(o, STR("{\"delta\":{\"image\":{\"source\":{\"bytes\":\""), e->text,
                    STR("\"}}}"));
        break;
    default:
        write_piece(o, STR("{\"delta\":{\"text\":\""), e->text, STR("\"}"));
        break;
    }
}

/* Those of calls and texts (Gemini's) have no place in this dialect. */
static void write_signature(struct ir_out *o, const struct ir_event *e)
{
    if (e->kind != IR_THINKING) {
        o->lost++;
        return;
    }
    write_piece(o,
                e->redacted ? STR("{\"delta\":{\"reasoningContent\":{\"redactedContent\":\"")
                            : STR("{\"delta\":{\"reasoningContent\":{\"signature\":\""),
                ir_signature_out(o->scratch, e->signature, e->issuer, o->caller), STR("\"}}"));
}

static void write_block_stop(struct ir_out *o)
{
    const struct converse_out *s = o->state;
    size_t at = aws_frame_begin(o->out, AWS_FRAME_EVENT, STR("contentBlockStop"));
    buf_addc(o->out, '{');
    ir_put_i64(o->out, "contentBlockIndex", s->blocks - 1);
    buf_addc(o->out, '}');
    aws_frame_finish(o->out, at);
}

static void write_end(struct ir_out *o, const struct ir_event *e)
{
    size_t at = aws_frame_begin(o->out, AWS_FRAME_EVENT, STR("metadata"));
    buf_addc(o->out, '{');
    put_usage(o->out, &e->usage);
    aws_frame_finish(o->out, at);
}

void converse_write_event(struct ir_out *o, const struct ir_event *e)
{
    const struct converse_out *s = o->state;
    bool inside = e->type == IR_DELTA || e->type == IR_SIGNATURE || e->type == IR_BLOCK_STOP;
    if (inside && s->skip) {
        return;
    }
    switch (e->type) {
    case IR_START:
        write_simple(o, STR("messageStart"), STR("{\"role\":\""), STR("assistant"), STR("\"}"));
        break;
    case IR_BLOCK_START:
        write_block_start(o, e);
        break;
    case IR_DELTA:
        write_delta(o, e);
        break;
    case IR_SIGNATURE:
        write_signature(o, e);
        break;
    case IR_BLOCK_STOP:
        write_block_stop(o);
        break;
    case IR_FINISH:
        write_simple(o, STR("messageStop"), STR("{\"stopReason\":\""), finish_word(e->finish),
                     STR("\"}"));
        break;
    case IR_END:
        write_end(o, e);
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- the whole answer ---- */

static void put_thinking(struct ir_out *o, const struct ir_part *p)
{
    struct buf *b = o->out;
    struct str mark = ir_signature_out(o->scratch, p->signature, p->issuer, o->caller);
    buf_add(b, STR("{\"reasoningContent\":{"));
    if (p->redacted) {
        ir_put_text(b, "redactedContent", mark);
    } else {
        buf_add(b, STR("\"reasoningText\":{"));
        ir_put_text(b, "text", p->text.p ? p->text : STR(""));
        if (mark.n) {
            ir_put_text(b, "signature", mark);
        }
        buf_addc(b, '}');
    }
    buf_add(b, STR("}}"));
}

static void put_call(struct ir_out *o, const struct ir_part *p)
{
    buf_add(o->out, STR("{\"toolUse\":{"));
    ir_put_text(o->out, "toolUseId", ir_id(o->scratch, p->id, IR_ID_ANTHROPIC));
    ir_put_text(o->out, "name", p->name);
    ir_put_value(o->out, "input", p->args);
    buf_add(o->out, STR("}}"));
}

static void put_block(struct ir_out *o, const struct ir_part *p)
{
    struct str format = {0};
    if (p->kind == IR_IMAGE) {
        format = converse_format_word(o->scratch, IR_IMAGE, p->media_type);
    }
    if (p->kind == IR_AUDIO || (p->kind == IR_IMAGE && !format.n)) {
        o->lost++;
        return;
    }
    ir_comma(o->out);
    if (p->kind == IR_TOOL_CALL) {
        put_call(o, p);
    } else if (p->kind == IR_THINKING) {
        put_thinking(o, p);
    } else if (p->kind == IR_IMAGE) {
        buf_add(o->out, STR("{\"image\":{"));
        ir_put_text(o->out, "format", format);
        buf_add(o->out, STR(",\"source\":{"));
        ir_put_text(o->out, "bytes", p->data);
        buf_add(o->out, STR("}}}"));
    } else {
        buf_addc(o->out, '{');
        ir_put_text(o->out, "text", p->text.p ? p->text : STR(""));
        buf_addc(o->out, '}');
    }
}

void converse_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    buf_add(b, STR("{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":["));
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        put_block(o, p);
    }
    buf_add(b, STR("]}}"));
    ir_put_text(b, "stopReason", finish_word(a->finish));
    put_usage(b, &a->usage);
}
