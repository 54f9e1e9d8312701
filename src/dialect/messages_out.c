/* anthropic.messages, answers as they are written for a caller. Official SDKs go by the events' names and by
 * their order: a block is begun, filled and stopped before the next one. */
#include "dialect/messages.h"

struct messages_out {
    enum ir_finish finish;
    struct str stop_sequence;
    uint32_t blocks; /* begun: those that have no word here do not count */
    bool skip;
};
_Static_assert(sizeof(struct messages_out) <= MESSAGES_OUT_STATE, "room for the state");

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
        return STR("refusal");
    case IR_FINISH_PAUSE:
        return STR("pause_turn");
    default:
        return STR("end_turn");
    }
}

static int64_t told(int64_t n)
{
    return n > 0 ? n : 0;
}

/* input_tokens is what neither came from the cache nor went into it. */
static void put_usage(struct buf *b, const struct usage *u)
{
    int64_t fresh = told(u->input) - told(u->cache_read) - told(u->cache_write);
    buf_add(b, STR("{\"input_tokens\":"));
    buf_add_i64(b, fresh > 0 ? fresh : 0);
    buf_add(b, STR(",\"cache_creation_input_tokens\":"));
    buf_add_i64(b, told(u->cache_write));
    buf_add(b, STR(",\"cache_read_input_tokens\":"));
    buf_add_i64(b, told(u->cache_read));
    buf_add(b, STR(",\"output_tokens\":"));
    buf_add_i64(b, told(u->output));
    if (u->reasoning > 0) {
        buf_add(b, STR(",\"output_tokens_details\":{\"thinking_tokens\":"));
        buf_add_i64(b, u->reasoning);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
}

static void put_message_front(struct ir_out *o)
{
    buf_add(o->out, STR("{\"id\":\"msg_"));
    buf_add(o->out, o->id);
    buf_add(o->out, STR("\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\""));
    buf_add(o->out, o->model);
    buf_add(o->out, STR("\",\"content\":["));
}

static void write_start(struct ir_out *o, const struct ir_event *e)
{
    buf_add(o->out, STR("event: message_start\ndata: {\"type\":\"message_start\",\"message\":"));
    put_message_front(o);
    buf_add(o->out, STR("],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"));
    put_usage(o->out, &e->usage);
    buf_add(o->out, STR("}}\n\n"));
}

static void put_index(struct ir_out *o)
{
    const struct messages_out *s = o->state;
    buf_add(o->out, STR("\"index\":"));
    buf_add_u64(o->out, s->blocks - 1);
}

/* These two vendors have a block for it; of the others it is thinking without a text. */
static bool is_redacted(bool redacted, enum family issuer)
{
    return redacted && (issuer == FAMILY_ANTHROPIC || issuer == FAMILY_BEDROCK);
}

static void put_redacted(struct ir_out *o, struct str data, enum family issuer)
{
    buf_add(o->out, STR("{\"type\":\"redacted_thinking\""));
    ir_put_text(o->out, "data", ir_signature_out(o->scratch, data, issuer, o->caller));
    buf_addc(o->out, '}');
}

static void write_block_start(struct ir_out *o, const struct ir_event *e)
{
    struct messages_out *s = o->state;
    s->skip = e->kind == IR_IMAGE || e->kind == IR_AUDIO;
    if (s->skip) {
        o->lost++;
        return;
    }
    s->blocks++;
    buf_add(o->out, STR("event: content_block_start\ndata: {\"type\":\"content_block_start\","));
    put_index(o);
    if (e->kind == IR_TOOL_CALL) {
        buf_add(o->out, STR(",\"content_block\":{\"type\":\"tool_use\""));
        ir_put_text(o->out, "id", ir_id(o->scratch, e->id, IR_ID_ANTHROPIC));
        ir_put_text(o->out, "name", e->name);
        buf_add(o->out, STR(",\"input\":{}}}\n\n"));
    } else if (is_redacted(e->redacted, e->issuer)) {
        buf_add(o->out, STR(",\"content_block\":"));
        put_redacted(o, e->signature, e->issuer);
        buf_add(o->out, STR("}\n\n"));
    } else if (e->kind == IR_THINKING) {
        buf_add(o->out, STR(",\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\","
                            "\"signature\":\"\"}}\n\n"));
    } else {
        buf_add(o->out, STR(",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"));
    }
}

static void write_piece(struct ir_out *o, struct str front, struct str text)
{
    buf_add(o->out, STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","));
    put_index(o);
    buf_add(o->out, front);
    buf_add(o->out, text);
    buf_add(o->out, STR("\"}}\n\n"));
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    switch (e->kind) {
    case IR_TOOL_CALL:
        write_piece(o, STR(",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\""),
                    e->text);
        break;
    case IR_THINKING:
        write_piece(o, STR(",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\""), e->text);
        break;
    default:
        write_piece(o, STR(",\"delta\":{\"type\":\"text_delta\",\"text\":\""), e->text);
        break;
    }
}

/* A call's signature (Gemini's) has no place in this dialect. */
static void write_signature(struct ir_out *o, const struct ir_event *e)
{
    if (e->kind != IR_THINKING) {
        o->lost++;
        return;
    }
    if (is_redacted(e->redacted, e->issuer)) {
        return; /* the block's start has told it */
    }
    write_piece(o, STR(",\"delta\":{\"type\":\"signature_delta\",\"signature\":\""),
                ir_signature_out(o->scratch, e->signature, e->issuer, o->caller));
}

static void put_stop(struct buf *b, enum ir_finish finish, struct str sequence)
{
    ir_put_text(b, "stop_reason", finish_word(finish));
    if (finish == IR_FINISH_SEQUENCE && sequence.n) {
        ir_put_text(b, "stop_sequence", sequence);
    } else {
        buf_add(b, STR(",\"stop_sequence\":null"));
    }
}

static void write_end(struct ir_out *o, const struct ir_event *e)
{
    const struct messages_out *s = o->state;
    buf_add(o->out, STR("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"));
    put_stop(o->out, s->finish, s->stop_sequence);
    buf_add(o->out, STR("},\"usage\":"));
    put_usage(o->out, &e->usage);
    buf_add(o->out, STR("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

static void write_block_event(struct ir_out *o, const struct ir_event *e)
{
    if (e->type == IR_DELTA) {
        write_delta(o, e);
    } else if (e->type == IR_SIGNATURE) {
        write_signature(o, e);
    } else {
        buf_add(o->out, STR("event: content_block_stop\ndata: {\"type\":\"content_block_stop\","));
        put_index(o);
        buf_add(o->out, STR("}\n\n"));
    }
}

void messages_write_event(struct ir_out *o, const struct ir_event *e)
{
    struct messages_out *s = o->state;
    switch (e->type) {
    case IR_START:
        write_start(o, e);
        break;
    case IR_BLOCK_START:
        write_block_start(o, e);
        break;
    case IR_DELTA:
    case IR_SIGNATURE:
    case IR_BLOCK_STOP:
        if (!s->skip) {
            write_block_event(o, e);
        }
        break;
    case IR_FINISH:
        s->finish = e->finish;
        s->stop_sequence = arena_dup(o->arena, e->stop_sequence);
        break;
    case IR_END:
        write_end(o, e);
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- the whole answer ---- */

static void put_block(struct ir_out *o, const struct ir_part *p)
{
    struct buf *b = o->out;
    ir_comma(b);
    if (is_redacted(p->redacted, p->issuer)) {
        put_redacted(o, p->signature, p->issuer);
        return;
    }
    if (p->kind == IR_TOOL_CALL) {
        buf_add(b, STR("{\"type\":\"tool_use\""));
        ir_put_text(b, "id", ir_id(o->scratch, p->id, IR_ID_ANTHROPIC));
        ir_put_text(b, "name", p->name);
        ir_put_value(b, "input", p->args);
    } else if (p->kind == IR_THINKING) {
        buf_add(b, STR("{\"type\":\"thinking\""));
        ir_put_text(b, "thinking", p->text.p ? p->text : STR(""));
        struct str mark = ir_signature_out(o->scratch, p->signature, p->issuer, o->caller);
        ir_put_text(b, "signature", mark.p ? mark : STR(""));
    } else {
        buf_add(b, STR("{\"type\":\"text\""));
        ir_put_text(b, "text", p->text.p ? p->text : STR(""));
    }
    buf_addc(b, '}');
}

void messages_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    put_message_front(o);
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_IMAGE || p->kind == IR_AUDIO) {
            o->lost++;
        } else {
            put_block(o, p);
        }
    }
    buf_addc(o->out, ']');
    put_stop(o->out, a->finish, a->stop_sequence);
    ir_put_name(o->out, "usage");
    put_usage(o->out, &a->usage);
    buf_addc(o->out, '}');
}
