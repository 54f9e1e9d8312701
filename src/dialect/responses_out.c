/* openai.responses, answers as they are written for a caller: the whole set of events, numbered; each item is
 * told when it begins, in pieces, and whole when it ends, and the last event has all of them again. */
#include "dialect/responses_out.h"

/* How much of an answer is kept so that it can be said again at its end. */
enum { TEXT_MAX = 16 << 20, ITEMS_MAX = 32 << 20 };

struct responses_out {
    struct buf items;           /* those that are done, as JSON, with commas between */
    struct buf text;            /* of the open one: what came so far */
    struct str own_id;          /* of the answer, where the upstream keeps its own; else empty */
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
    responses_put_item_id(o, o->out, responses_item_front(kind, s->tool), s->n - 1);
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
    responses_put_front(o, s->own_id, finish);
    buf_add(o->out, buf_str(&s->items));
    responses_put_back(o, u);
    end(o);
}

static struct responses_item open_item(const struct responses_out *s)
{
    return (struct responses_item){.kind = s->kind,
                                   .n = s->n - 1,
                                   .text = buf_str(&s->text),
                                   .id = s->id,
                                   .name = s->name,
                                   .signature = s->signature,
                                   .media_type = s->name,
                                   .tool = s->tool,
                                   .redacted = s->redacted};
}

static void item_event(struct ir_out *o, struct str type, const struct responses_item *k,
                       enum responses_state state)
{
    begin(o, type);
    buf_add(o->out, STR(",\"output_index\":"));
    buf_add_u64(o->out, k->n);
    buf_add(o->out, STR(",\"item\":"));
    responses_put_item(o, o->out, k, state);
    end(o);
}

static void part_event(struct ir_out *o, struct str type, enum ir_kind kind, struct str text)
{
    begin(o, type);
    about(o, kind);
    buf_add(o->out, STR(",\"part\":"));
    if (kind == IR_THINKING) {
        responses_put_summary(o->out, text);
    } else {
        responses_put_part(o->out, kind, text);
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
        s->tool = responses_tool_of(o, s->name);
    } else if (e->kind == IR_IMAGE) {
        s->name = arena_dup(o->arena, e->media_type);
    }
    struct responses_item k = open_item(s);
    item_event(o, STR("response.output_item.added"), &k, RESPONSES_BEGUN);
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
        struct str input = responses_call_input(o, buf_str(&s->text));
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
static void keep_item(struct ir_out *o, const struct responses_item *k, enum responses_state state)
{
    struct responses_out *s = o->state;
    size_t before = s->items.n;
    s->items.arena = o->arena;
    s->items.limit = ITEMS_MAX;
    if (before) {
        buf_addc(&s->items, ',');
    }
    responses_put_item(o, &s->items, k, state);
    if (s->items.overflow) {
        s->items.n = before;
        s->items.overflow = false;
        o->lost++;
    }
    o->lost += s->text.overflow;
}

static void end_item(struct ir_out *o, enum responses_state state)
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
    struct responses_item k = open_item(s);
    item_event(o, STR("response.output_item.done"), &k, state);
    keep_item(o, &k, state);
}

/* What was held back: the end of the item whose block has ended. */
static void end_stopped(struct ir_out *o, enum responses_state state)
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

/* Only the upstream can be asked for what it has kept, by the name that it gave it. */
static struct str own_id_of(const struct ir_out *o, struct str id)
{
    return o->call && o->call->own ? arena_dup(o->arena, id) : (struct str){0};
}

void responses_write_event(struct ir_out *o, const struct ir_event *e)
{
    struct responses_out *s = o->state;
    switch (e->type) {
    case IR_START:
        s->own_id = own_id_of(o, e->id);
        whole_event(o, STR("response.created"), IR_FINISH_NONE, NULL);
        whole_event(o, STR("response.in_progress"), IR_FINISH_NONE, NULL);
        break;
    case IR_BLOCK_START:
        end_stopped(o, RESPONSES_DONE);
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
        end_stopped(o, responses_is_cut(s->finish) ? RESPONSES_CUT : RESPONSES_DONE);
        break;
    case IR_END:
        whole_event(o,
                    responses_is_cut(s->finish)    ? STR("response.incomplete")
                    : s->finish == IR_FINISH_ERROR ? STR("response.failed")
                                                   : STR("response.completed"),
                    s->finish, &e->usage);
        break;
    case IR_USAGE:
        break;
    }
}

/* ---- the whole answer ---- */

static struct responses_item whole_of(struct ir_out *o, const struct ir_part *p, uint32_t n)
{
    bool call = p->kind == IR_TOOL_CALL;
    return (struct responses_item){
        .kind = p->kind,
        .n = n,
        .text = call                  ? ir_args_out(o->scratch, p->args)
                : p->kind == IR_IMAGE ? p->data
                                      : p->text,
        .id = p->id,
        .name = p->name,
        .media_type = p->media_type,
        .redacted = p->redacted,
        .signature = ir_signature_out(o->scratch, p->signature, p->issuer, o->caller),
        .tool = call ? responses_tool_of(o, p->name) : NULL};
}

void responses_write_answer(struct ir_out *o, const struct ir_answer *a)
{
    uint32_t n = 0;
    enum ir_finish finish = finish_of(a->finish, ir_says_refusal(a));
    responses_put_front(o, own_id_of(o, a->id), finish);
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_AUDIO) {
            o->lost++;
            continue;
        }
        struct responses_item k = whole_of(o, p, n++);
        ir_comma(o->out);
        responses_put_item(o, o->out, &k,
                           !p->next && responses_is_cut(finish) ? RESPONSES_CUT : RESPONSES_DONE);
    }
    responses_put_back(o, &a->usage);
}
