/* What the model writes, event by event: first what is found in it is replaced, then values take the place of the
 * tokens that the request's got. */
#include "gateway/mask_rules.h"
#include "gateway/masking_call.h"
#include "json/scan.h"

/* Texts of a stream are with the client before the next event; those of a whole answer must last. */
static struct arena *text_arena(struct call *c)
{
    return c->stream ? &c->w->scratch : &c->req->arena;
}

void masking_answer(struct call *c)
{
    struct masking *m = c->masking;
    mask_stream_drop(&m->stream);
    m->stream = (struct mask_stream){.call = &m->answer, .pool = loop_pool(c->w->loop)};
    m->restore = (struct mask_restore){.call = &m->call};
    m->args = (struct buf){.arena = &c->req->arena};
    m->stopped = false;
}

static void stop(struct call *c, bool blocked)
{
    struct str message =
        STR("The answer could not be looked through for personal data, and a policy lets nothing "
            "go that was not.");
    if (blocked) {
        struct str by = masking_blocked_by(&c->req->arena, c->masking->answer.blocked);
        message = arena_printf(&c->req->arena,
                               "The answer holds what a policy does not let go (found by: %.*s).",
                               STR_ARG(by));
    }
    c->masking->stopped = true;
    c->tr->ours = true;
    ir_fail(&c->tr->in, blocked ? 422 : 503, blocked ? MASKING_BLOCKED : MASKING_FAILED, message);
}

/* Whether the text may go on; `r` is what became of looking at it. After a failure it may not, whatever the policy
 * says: what was held back of it is lost. */
static bool may_go(struct call *c, int r)
{
    if (r < 0) {
        c->w->metrics.masking_failures[0]++;
    }
    if (r != 0) {
        stop(c, r > 0);
    }
    return r == 0;
}

static struct str restored(struct call *c, struct str text, bool nested, bool end)
{
    struct masking *m = c->masking;
    struct buf out = {.arena = text_arena(c)};
    if (!m->call._vault) {
        return text;
    }
    m->restore.nested = nested;
    mask_restore_add(&m->restore, text, &out);
    if (end) {
        mask_restore_end(&m->restore, &out);
    }
    return buf_str(&out);
}

/* The next piece of a text; `end`: no more comes, and what was held back follows. */
static bool take_text(struct call *c, struct str *text, bool end)
{
    struct masking *m = c->masking;
    struct buf out = {.arena = text_arena(c)};
    if (m->answer.policy) {
        int r = mask_stream_add(&m->stream, *text, &out);
        r = r == 0 && end ? mask_stream_end(&m->stream, &out) : r;
        if (!may_go(c, r)) {
            return false;
        }
        *text = buf_str(&out);
    }
    *text = restored(c, *text, false, end);
    return true;
}

/* The arguments of a call: a document, and its numbers and names are looked at as such. */
static bool take_args(struct call *c, struct str *text)
{
    struct masking *m = c->masking;
    struct arena *a = text_arena(c);
    struct mask_splice *spans;
    size_t n;
    struct str args = ir_args_in(a, *text);
    struct buf out = {.arena = a};
    bool document = json_scan(args, NULL, 0, NULL, NULL) == 0;
    int r = document ? mask_body(&m->answer, args, NULL, &spans, &n)
                     : mask_text(&m->answer, *text, &spans, &n);
    if (!may_go(c, r)) {
        return false;
    }
    if (n) {
        mask_splice(document ? args : *text, spans, n, &out);
        *text = document ? ir_args_out(a, buf_str(&out)) : buf_str(&out);
    }
    *text = restored(c, *text, true, true);
    return true;
}

static bool is_text(enum ir_kind kind)
{
    return kind == IR_TEXT || kind == IR_THINKING || kind == IR_REFUSAL || kind == IR_TOOL_CALL;
}

/* What a delta becomes; false: it is held. */
static bool take_delta(struct call *c, enum ir_kind kind, struct str *text)
{
    struct masking *m = c->masking;
    if (kind == IR_TOOL_CALL && m->answer.policy) {
        buf_add(&m->args, *text);
        return false;
    }
    if (kind == IR_TOOL_CALL) {
        *text = restored(c, *text, true, false);
        return text->n > 0;
    }
    return take_text(c, text, false) && text->n > 0;
}

/* What is left of the block's text. */
static bool take_rest(struct call *c, enum ir_kind kind, struct str *text)
{
    struct masking *m = c->masking;
    *text = (struct str){0};
    if (kind == IR_TOOL_CALL && m->answer.policy) {
        *text = buf_str(&m->args);
        m->args = (struct buf){.arena = &c->req->arena};
        return text->n == 0 || take_args(c, text);
    }
    if (kind == IR_TOOL_CALL) {
        *text = restored(c, *text, true, true);
        return true;
    }
    return take_text(c, text, true);
}

void masking_event(struct call *c, const struct ir_event *e,
                   void (*pass)(struct call *c, const struct ir_event *e))
{
    struct masking *m = c->masking;
    struct ir_event now = *e;
    if (m->stopped) {
        return;
    }
    if (e->type == IR_DELTA && is_text(e->kind)) {
        if (take_delta(c, e->kind, &now.text)) {
            pass(c, &now);
        }
        return;
    }
    if ((e->type == IR_SIGNATURE || e->type == IR_BLOCK_STOP) && is_text(e->kind)) {
        struct ir_event rest = {.type = IR_DELTA, .kind = e->kind, .block = e->block};
        if (!take_rest(c, e->kind, &rest.text)) {
            return;
        }
        if (rest.text.n) {
            pass(c, &rest);
        }
    }
    pass(c, e);
}
