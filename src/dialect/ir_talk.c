#include "dialect/ir_talk.h"

static bool says_something(const struct ir_talk *k, const struct ir_turn *t)
{
    const struct ir_part *p = t->first;
    while (p && p->kind != IR_TOOL_CALL && !k->says(k->writer, p)) {
        p = p->next;
    }
    return p != NULL;
}

const struct ir_turn *ir_talk_on(const struct ir_talk *k, const struct ir_turn *t)
{
    while (t && (t->role == IR_SYSTEM || (t->role == IR_ASSISTANT && !says_something(k, t)))) {
        t = t->next;
    }
    return t;
}

struct ir_group ir_talk_group(const struct ir_talk *k, const struct ir_turn *from)
{
    struct ir_group g = {from, from};
    while (g.end && g.end->role == from->role) {
        g.end = ir_talk_on(k, g.end->next);
    }
    return g;
}

bool ir_talk_step(const struct ir_talk *k, const struct ir_group *g, struct ir_spot *s)
{
    s->t = s->t ? s->t : g->from;
    s->p = s->p ? s->p->next : s->t != g->end ? s->t->first : NULL;
    while (!s->p && s->t != g->end && (s->t = ir_talk_on(k, s->t->next)) != g->end) {
        s->p = s->t->first;
    }
    return s->p != NULL;
}

struct ir_due ir_talk_due(const struct ir_talk *k, const struct ir_group *before)
{
    struct ir_due d = {0};
    for (struct ir_spot s = {0}; ir_talk_step(k, before, &s);) {
        if (s.p->kind == IR_TOOL_CALL && ir_set_add(k->c->arena, &d.asked, s.p->id)) {
            d.open++;
        }
    }
    return d;
}

bool ir_due_take(const struct ir_talk *k, struct ir_due *d, const struct ir_part *result)
{
    if (!ir_set_has(&d->asked, result->id) || !ir_set_add(k->c->arena, &d->answered, result->id)) {
        return false;
    }
    d->open--;
    return true;
}

bool ir_due_is_open(struct ir_call *c, const struct ir_due *d, const struct ir_part *call)
{
    bool open = d->open && call->kind == IR_TOOL_CALL && !ir_set_has(&d->answered, call->id);
    if (open) {
        ir_drop(c, STR("messages.tool_calls[unanswered]"));
    }
    return open;
}

bool ir_leave_blank(struct ir_call *c, struct str text)
{
    if (!ir_is_blank(text)) {
        return false;
    }
    if (text.n) {
        ir_drop(c, STR("messages.content[blank]"));
    }
    return true;
}
