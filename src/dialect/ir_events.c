/* What readers of answers emit, and the fold of it. */
#include "dialect/ir_answer.h"

static void emit(struct ir_in *in, const struct ir_event *e)
{
    in->event(in->arg, e);
}

void ir_start(struct ir_in *in, struct str id, struct str model)
{
    if (in->started) {
        return;
    }
    in->started = true;
    emit(in, &(struct ir_event){.type = IR_START, .id = id, .model = model, .usage = in->usage});
}

void ir_close(struct ir_in *in)
{
    if (in->open) {
        if (in->open_kind == IR_THINKING && in->mark_unsigned && !in->is_signed) {
            ir_signature(in, IR_NO_SIGNATURE, in->family, false);
        }
        in->open = false;
        emit(in, &(struct ir_event){
                     .type = IR_BLOCK_STOP, .kind = in->open_kind, .block = in->blocks - 1});
    }
}

static void open_block(struct ir_in *in, struct ir_event *e)
{
    if (in->finished) {
        return; /* what a server sends behind its own end has no place any more */
    }
    ir_start(in, (struct str){0}, (struct str){0});
    ir_close(in);
    in->is_signed = false;
    e->type = IR_BLOCK_START;
    e->block = in->blocks++;
    in->open = true;
    in->open_kind = e->kind;
    emit(in, e);
}

void ir_open(struct ir_in *in, enum ir_kind kind)
{
    if (!in->open || in->open_kind != kind || kind == IR_TOOL_CALL) {
        open_block(in, &(struct ir_event){.kind = kind});
    }
}

void ir_open_call(struct ir_in *in, struct str id, struct str name)
{
    open_block(in, &(struct ir_event){.kind = IR_TOOL_CALL,
                                      .id = id.n ? id : ir_make_id(in),
                                      .name = name.n ? name : STR("unnamed")});
}

void ir_delta(struct ir_in *in, struct str text)
{
    if (text.n && in->open) {
        emit(in,
             &(struct ir_event){
                 .type = IR_DELTA, .kind = in->open_kind, .block = in->blocks - 1, .text = text});
    }
}

void ir_text(struct ir_in *in, enum ir_kind kind, struct str text)
{
    if (text.n) {
        in->refused = in->refused || kind == IR_REFUSAL;
        ir_open(in, kind);
        ir_delta(in, text);
    }
}

void ir_media(struct ir_in *in, enum ir_kind kind, struct str media_type, struct str base64)
{
    open_block(in, &(struct ir_event){.kind = kind, .media_type = media_type});
    if (!in->open) {
        return; /* behind the end */
    }
    emit(in, &(struct ir_event){.type = IR_DELTA,
                                .kind = kind,
                                .block = in->blocks - 1,
                                .text = base64,
                                .media_type = media_type});
    ir_close(in);
}

void ir_whole_call(struct ir_in *in, struct str id, struct str name, struct str args)
{
    ir_open_call(in, id, name);
    ir_delta(in, ir_args_out(in->arena, args));
}

void ir_signature(struct ir_in *in, struct str signature, enum family issuer, bool redacted)
{
    if (signature.n && in->open) {
        in->is_signed = true;
        emit(in, &(struct ir_event){.type = IR_SIGNATURE,
                                    .kind = in->open_kind,
                                    .block = in->blocks - 1,
                                    .signature = signature,
                                    .issuer = issuer,
                                    .redacted = redacted});
    }
}

void ir_redacted(struct ir_in *in, struct str data, enum family issuer)
{
    if (data.n) {
        open_block(in,
                   &(struct ir_event){
                       .kind = IR_THINKING, .signature = data, .issuer = issuer, .redacted = true});
        ir_signature(in, data, issuer, true);
    }
}

void ir_tell_usage(struct ir_in *in)
{
    emit(in, &(struct ir_event){.type = IR_USAGE, .usage = in->usage});
}

void ir_finish(struct ir_in *in, enum ir_finish why, struct str stop_sequence)
{
    if (in->finished) {
        return;
    }
    ir_start(in, (struct str){0}, (struct str){0});
    ir_close(in);
    in->finished = true;
    emit(in, &(struct ir_event){.type = IR_FINISH,
                                .finish =
                                    why == IR_FINISH_STOP && in->refused ? IR_FINISH_REFUSAL : why,
                                .stop_sequence = stop_sequence,
                                .usage = in->usage});
}

void ir_fail(struct ir_in *in, unsigned status, struct str code, struct str message)
{
    if (!in->failed) {
        in->failed = true;
        in->error = (struct ir_error){.status = status,
                                      .code = arena_dup(in->arena, code),
                                      .message = arena_dup(in->arena, message)};
    }
}

struct str ir_make_id(struct ir_in *in)
{
    struct str unique = str_of(in->request_id);
    ptrdiff_t mark = str_chr(unique, '_');
    unique = str_first(str_from(unique, (size_t)(mark + 1)), 20);
    return arena_printf(in->arena, "call_%.*s%u", STR_ARG(unique), in->blocks);
}

/* ---- the fold ---- */

static struct str kept(const struct ir_fold *f, struct str s)
{
    return f->copy && s.n ? arena_dup(f->arena, s) : s;
}

static void add_piece(struct ir_fold *f, struct ir_part *p, struct str text)
{
    if (f->_pieces++ == 0) {
        p->text = text;
        if (!f->copy) {
            return;
        }
        f->_text = (struct buf){.arena = f->arena};
    } else if (f->_pieces == 2 && !f->copy) {
        f->_text = (struct buf){.arena = f->arena};
        buf_add(&f->_text, p->text);
    }
    buf_add(&f->_text, text);
    p->text = buf_str(&f->_text);
}

static void add_part(struct ir_fold *f, const struct ir_event *e)
{
    struct ir_part *p = arena_zalloc(f->arena, sizeof *p);
    p->kind = e->kind;
    p->id = kept(f, e->id);
    p->name = kept(f, e->name);
    p->freeform = e->freeform;
    p->media_type = kept(f, e->media_type);
    f->_pieces = 0;
    if (f->answer.last) {
        f->answer.last->next = p;
    } else {
        f->answer.parts = p;
    }
    f->answer.last = p;
}

static void end_part(struct ir_fold *f)
{
    struct ir_part *p = f->answer.last;
    if (p->kind == IR_TOOL_CALL) {
        p->args = ir_args_in(f->arena, p->text);
    } else if (p->kind == IR_IMAGE || p->kind == IR_AUDIO) {
        p->data = p->text;
    }
}

bool ir_says_refusal(const struct ir_answer *a)
{
    const struct ir_part *p = a->parts;
    while (p && p->kind != IR_REFUSAL) {
        p = p->next;
    }
    return p != NULL;
}

void ir_fold_event(void *fold, const struct ir_event *e)
{
    struct ir_fold *f = fold;
    struct ir_answer *a = &f->answer;
    switch (e->type) {
    case IR_START:
        a->id = kept(f, e->id);
        a->model = kept(f, e->model);
        a->usage = e->usage;
        break;
    case IR_BLOCK_START:
        add_part(f, e);
        break;
    case IR_DELTA:
        add_piece(f, a->last, e->text);
        break;
    case IR_SIGNATURE:
        a->last->signature = kept(f, e->signature);
        a->last->issuer = e->issuer;
        a->last->redacted = e->redacted;
        break;
    case IR_BLOCK_STOP:
        end_part(f);
        break;
    case IR_FINISH:
        a->finish = e->finish;
        a->stop_sequence = kept(f, e->stop_sequence);
        a->usage = e->usage;
        break;
    case IR_USAGE:
        a->usage = e->usage;
        break;
    case IR_END:
        break;
    }
}
