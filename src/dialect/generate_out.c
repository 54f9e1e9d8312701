/* gemini.generate, answers as they are written for a caller: a stream of chunks, each an answer of its own, as
 * server-sent events or, without alt=sse, as the elements of one JSON array. A call comes whole. The last chunk
 * has the reason and the usage: it is written at the end, when all is known. */
#include "dialect/generate.h"

struct generate_out {
    struct str back;                 /* of every chunk, behind its candidates */
    struct str id, name, media_type; /* of the block that is gathered */
    struct str signature;
    struct str
        hidden; /* of our own vendor, with no thought to be seen: it may be that of a call behind it */
    struct buf gathered; /* its pieces: a call's arguments, or base64 */
    enum ir_finish finish;
    bool begun; /* a chunk was written */
};
_Static_assert(sizeof(struct generate_out) <= GENERATE_OUT_STATE, "room for the state");

static struct str finish_word(enum ir_finish f)
{
    switch (f) {
    case IR_FINISH_LENGTH:
    case IR_FINISH_CONTEXT:
        return STR("MAX_TOKENS");
    case IR_FINISH_FILTER:
    case IR_FINISH_REFUSAL:
        return STR("SAFETY");
    case IR_FINISH_ERROR:
        return STR("OTHER");
    default:
        return STR("STOP"); /* also where a function is called */
    }
}

/* ---- pieces ---- */

/* Input includes what is cached; thoughts are told beside the candidates. */
static void put_usage(struct buf *b, const struct usage *u)
{
    int64_t in = u->input > 0 ? u->input : 0, out = u->output > 0 ? u->output : 0;
    int64_t thoughts = u->reasoning > 0 && u->reasoning <= out ? u->reasoning : 0;
    if (u->input < 0 && u->output < 0) {
        return;
    }
    buf_add(b, STR(",\"usageMetadata\":{"));
    ir_put_i64(b, "promptTokenCount", in);
    ir_put_i64(b, "candidatesTokenCount", out - thoughts);
    ir_put_i64(b, "totalTokenCount", in + out);
    if (u->cache_read > 0) {
        ir_put_i64(b, "cachedContentTokenCount", u->cache_read);
    }
    if (thoughts) {
        ir_put_i64(b, "thoughtsTokenCount", thoughts);
    }
    buf_addc(b, '}');
}

static void put_names(struct ir_out *o, struct buf *b)
{
    ir_put_text(b, "modelVersion", o->model.p ? o->model : STR(""));
    ir_put_text(b, "responseId", o->id);
}

static void put_signature(struct ir_out *o, struct str signature, enum family issuer)
{
    if (signature.n) {
        ir_put_text(o->out, "thoughtSignature",
                    ir_signature_out(o->scratch, signature, issuer, o->caller));
    }
}

static void put_call(struct ir_out *o, struct str id, struct str name, struct str args)
{
    buf_add(o->out, STR("{\"functionCall\":{"));
    ir_put_text(o->out, "id", id);
    ir_put_text(o->out, "name", name);
    ir_put_value(o->out, "args", args);
    buf_addc(o->out, '}');
}

static void put_media(struct ir_out *o, struct str media_type, struct str data)
{
    buf_add(o->out, STR("{\"inlineData\":{"));
    ir_put_text(o->out, "mimeType", media_type.n ? media_type : STR("image/png"));
    ir_put_text(o->out, "data", data);
    buf_addc(o->out, '}');
}

/* ---- chunks ---- */

static void begin(struct ir_out *o)
{
    struct generate_out *s = o->state;
    struct buf b = {.arena = o->arena};
    buf_addc(&b, ',');
    put_names(o, &b);
    buf_add(&b, o->array ? STR("}") : STR("}\r\n\r\n"));
    s->back = buf_str(&b);
    s->gathered.arena = o->arena;
}

static void open_chunk(struct ir_out *o)
{
    struct generate_out *s = o->state;
    if (!o->array) {
        buf_add(o->out, STR("data: "));
    } else {
        buf_add(o->out, s->begun ? STR(",\r\n") : STR("["));
    }
    s->begun = true;
    buf_add(o->out, STR("{\"candidates\":[{\"content\":{\"parts\":["));
}

static void close_chunk(struct ir_out *o)
{
    const struct generate_out *s = o->state;
    buf_add(o->out, STR("],\"role\":\"model\"},\"index\":0}]"));
    buf_add(o->out, s->back);
}

static void write_text(struct ir_out *o, struct str text, bool thought)
{
    open_chunk(o);
    buf_add(o->out, STR("{\"text\":\""));
    buf_add(o->out, text);
    buf_add(o->out, thought ? STR("\",\"thought\":true}") : STR("\"}"));
    close_chunk(o);
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    struct generate_out *s = o->state;
    switch (e->kind) {
    case IR_TEXT:
    case IR_REFUSAL:
        write_text(o, e->text, false);
        break;
    case IR_THINKING:
        write_text(o, e->text, true);
        break;
    case IR_TOOL_CALL:
    case IR_IMAGE:
    case IR_AUDIO:
        buf_add(&s->gathered, e->text);
        break;
    default:
        o->lost++;
    }
}

static void write_thought_signature(struct ir_out *o, struct str mark, bool thought)
{
    open_chunk(o);
    buf_add(o->out, STR("{\"text\":\"\""));
    buf_add(o->out, thought ? STR(",\"thought\":true") : STR(""));
    ir_put_text(o->out, "thoughtSignature", mark);
    buf_addc(o->out, '}');
    close_chunk(o);
}

static void write_hidden(struct ir_out *o)
{
    struct generate_out *s = o->state;
    if (s->hidden.n) {
        write_thought_signature(o, s->hidden, false);
        s->hidden = (struct str){0};
    }
}

/* Of thoughts in a part of its own: their text is gone already. */
static void write_signature(struct ir_out *o, const struct ir_event *e)
{
    struct generate_out *s = o->state;
    struct str mark = ir_signature_out(o->scratch, e->signature, e->issuer, o->caller);
    if (e->kind == IR_TOOL_CALL) {
        s->signature = arena_dup(o->arena, mark);
    } else if (e->redacted && e->issuer == o->caller) {
        s->hidden = arena_dup(o->arena, mark);
    } else {
        write_thought_signature(o, mark, true);
    }
}

static void begin_block(struct ir_out *o, const struct ir_event *e)
{
    struct generate_out *s = o->state;
    if (e->kind == IR_TOOL_CALL) {
        s->hidden = (struct str){0}; /* it comes again with the call */
    }
    write_hidden(o);
    if (e->kind == IR_TEXT || e->kind == IR_THINKING) {
        return;
    }
    s->gathered.n = 0;
    s->signature = (struct str){0};
    s->id = arena_dup(o->arena, e->id);
    s->name = arena_dup(o->arena, e->name);
    s->media_type = arena_dup(o->arena, e->media_type);
}

static void end_block(struct ir_out *o, const struct ir_event *e)
{
    struct generate_out *s = o->state;
    bool call = e->kind == IR_TOOL_CALL;
    if (!call && e->kind != IR_IMAGE && e->kind != IR_AUDIO) {
        return;
    }
    open_chunk(o);
    if (call) {
        put_call(o, s->id, s->name, ir_args_in(o->scratch, buf_str(&s->gathered)));
        put_signature(o, s->signature, o->caller); /* it has its mark already */
    } else {
        put_media(o, s->media_type, buf_str(&s->gathered));
    }
    buf_addc(o->out, '}');
    close_chunk(o);
}

static void write_end(struct ir_out *o, const struct usage *u)
{
    const struct generate_out *s = o->state;
    write_hidden(o);
    open_chunk(o);
    buf_add(o->out, STR("{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\""));
    buf_add(o->out, finish_word(s->finish));
    buf_add(o->out, STR("\",\"index\":0}]"));
    put_usage(o->out, u);
    buf_add(o->out, s->back);
    if (o->array) {
        buf_addc(o->out, ']');
    }
}

void generate_write_event(struct ir_out *o, const struct ir_event *e)
{
    struct generate_out *s = o->state;
    switch (e->type) {
    case IR_START:
        begin(o);
        break;
    case IR_BLOCK_START:
        begin_block(o, e);
        break;
    case IR_DELTA:
        write_delta(o, e);
        break;
    case IR_SIGNATURE:
        write_signature(o, e);
        break;
    case IR_BLOCK_STOP:
        end_block(o, e);
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

/* ---- the whole answer ---- */

static void put_part(struct ir_out *o, const struct ir_part *p)
{
    struct buf *b = o->out;
    bool hidden = p->kind == IR_THINKING && p->redacted && p->issuer == o->caller;
    if (hidden && p->next && p->next->kind == IR_TOOL_CALL) {
        return; /* it comes again with the call */
    }
    ir_comma(b);
    switch (p->kind) {
    case IR_TOOL_CALL:
        put_call(o, p->id, p->name, p->args);
        break;
    case IR_IMAGE:
    case IR_AUDIO:
        put_media(o, p->media_type, p->data);
        break;
    default:
        buf_addc(b, '{');
        ir_put_text(b, "text", p->text.p ? p->text : STR(""));
        if (p->kind == IR_THINKING && !hidden) {
            ir_put_bool(b, "thought", true);
        }
        break;
    }
    put_signature(o, p->signature, p->issuer);
    buf_addc(b, '}');
}

void generate_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    buf_add(b, STR("{\"candidates\":[{\"content\":{\"parts\":["));
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        put_part(o, p);
    }
    if (!a->parts) {
        buf_add(b, STR("{\"text\":\"\"}"));
    }
    buf_add(b, STR("],\"role\":\"model\"},\"finishReason\":\""));
    buf_add(b, finish_word(a->finish));
    buf_add(b, STR("\",\"index\":0}]"));
    put_usage(b, &a->usage);
    buf_addc(b, ',');
    put_names(o, b);
    buf_addc(b, '}');
}
