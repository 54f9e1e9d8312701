#include "dialect/ir.h"

#include <errno.h>
#include <stdarg.h>

#include "json/scan.h"

void ir_call_init(struct ir_call *c, struct arena *a)
{
    *c = (struct ir_call){.arena = a, .budget = IR_BUDGET_UNSAID};
}

struct ir_turn *ir_add_turn(struct ir_call *c, enum ir_role role)
{
    struct ir_turn *t = arena_zalloc(c->arena, sizeof *t);
    t->role = role;
    if (c->last_turn) {
        c->last_turn->next = t;
    } else {
        c->turns = t;
    }
    c->last_turn = t;
    return t;
}

static struct ir_part *new_part(struct ir_call *c, enum ir_kind kind)
{
    struct ir_part *p = arena_zalloc(c->arena, sizeof *p);
    p->kind = kind;
    return p;
}

struct ir_part *ir_add_part(struct ir_call *c, struct ir_turn *t, enum ir_kind kind)
{
    struct ir_part *p = new_part(c, kind);
    if (t->last) {
        t->last->next = p;
    } else {
        t->first = p;
    }
    t->last = p;
    return p;
}

struct ir_part *ir_append_part(struct ir_call *c, struct ir_part **list, enum ir_kind kind)
{
    struct ir_part *p = new_part(c, kind), *first = *list, *last = first;
    if (!first) {
        *list = p->_last = p;
        return p;
    }
    for (last = first->_last ? first->_last : first; last->next;) {
        last = last->next;
    }
    last->next = first->_last = p;
    return p;
}

struct ir_part *ir_add_system(struct ir_call *c, struct str text)
{
    struct ir_part *p = new_part(c, IR_TEXT);
    p->text = text;
    if (c->_last_system) {
        c->_last_system->next = p;
    } else {
        c->system = p;
    }
    c->_last_system = p;
    return p;
}

struct ir_tool *ir_add_tool(struct ir_call *c)
{
    struct ir_tool *t = arena_zalloc(c->arena, sizeof *t);
    if (c->_last_tool) {
        c->_last_tool->next = t;
    } else {
        c->tools = t;
    }
    c->_last_tool = t;
    return t;
}

void ir_append(struct arena *a, struct ir_list **list, struct str text)
{
    struct ir_list *l = arena_zalloc(a, sizeof *l), *first = *list;
    l->text = text;
    if (first) {
        first->_last->next = l;
        first->_last = l;
    } else {
        *list = l->_last = l;
    }
}

/* A name in the list of losses comes from a request: it must not become a line of a header by itself, and not
 * a long one. */
enum { DROPPED_MAX = 64, DROPPED_NAME_MAX = 64 };

static void drop(struct ir_call *c, struct str name)
{
    unsigned n = 0;
    for (const struct ir_list *l = c->dropped; l; l = l->next, n++) {
        if (str_eq(l->text, name)) {
            return;
        }
    }
    if (n < DROPPED_MAX) {
        ir_append(c->arena, &c->dropped, name);
    }
}

void ir_drop(struct ir_call *c, struct str name)
{
    drop(c, ir_loss_name(c, name));
}

void ir_drop_found(struct ir_call *c, const char *front, struct str escaped, const char *back)
{
    struct buf b = {.arena = c->arena};
    buf_addz(&b, front);
    for (size_t i = 0; i < escaped.n && i < DROPPED_NAME_MAX; i++) {
        char ch = escaped.p[i];
        buf_addc(&b, ch > ' ' && ch < 0x7f && ch != ',' && ch != '"' ? ch : '_');
    }
    buf_addz(&b, back);
    drop(c, buf_str(&b));
}

int ir_bad(struct ir_call *c, const char *what, const char *param, ...)
{
    va_list ap;
    va_start(ap, param);
    c->bad_param = arena_vprintf(c->arena, param, ap);
    va_end(ap);
    c->bad = arena_printf(c->arena, "%.*s %s", STR_ARG(c->bad_param), what);
    return -EINVAL;
}

void ir_take_parts(struct ir_turn *t, struct ir_part *list)
{
    if (!list) {
        return;
    }
    if (t->last) {
        t->last->next = list;
    } else {
        t->first = list;
    }
    for (t->last = list; t->last->next;) {
        t->last = t->last->next;
    }
}

/* ---- the ids and names that a dialect leaves out ---- */

/* Calls by their ids, as far as the conversation was read: a body may hold many thousands of them. */
struct by_id {
    const struct ir_part **slot;
    uint32_t mask;
};

static const struct ir_part **slot_of(const struct by_id *t, struct str id)
{
    for (uint64_t i = ir_hash(id);; i++) {
        const struct ir_part **at = &t->slot[i & t->mask];
        if (!*at || str_eq((*at)->id, id)) {
            return at;
        }
    }
}

static struct by_id room_for(struct ir_call *c)
{
    uint32_t n = 0, size = 8;
    for (const struct ir_turn *t = c->turns; t; t = t->next) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            n += p->kind == IR_TOOL_CALL;
        }
    }
    while (size < 2 * n) {
        size *= 2;
    }
    return (struct by_id){n ? arena_zalloc(c->arena, size * sizeof(struct ir_part *)) : NULL,
                          size - 1};
}

void ir_call_finish(struct ir_call *c)
{
    for (const struct ir_list *l = c->choice_among; l; l = l->next) {
        (void)ir_set_add(c->arena, &c->_among, l->text);
    }
    struct by_id calls = room_for(c);
    for (struct ir_turn *t = calls.slot ? c->turns : NULL; t; t = t->next) {
        for (struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_CALL) {
                *slot_of(&calls, p->id) = p; /* the newest of an id */
            } else if (p->kind == IR_TOOL_RESULT) {
                const struct ir_part *call = *slot_of(&calls, p->id);
                p->name = call && !p->name.n ? call->name : p->name;
                p->freeform = call && call->freeform;
            }
        }
    }
}

bool ir_is_among(const struct ir_call *c, const struct ir_tool *t)
{
    return !c->choice_among || ir_set_has(&c->_among, t->name);
}

struct str ir_tool_schema(const struct ir_tool *t)
{
    if (t->freeform) {
        return STR("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                   "\"required\":[\"input\"]}");
    }
    return t->schema.n ? t->schema : STR("{\"type\":\"object\",\"properties\":{}}");
}

/* ---- thinking ---- */

static const struct {
    struct str word;
    int64_t budget;
} efforts[] = {
    [IR_EFFORT_NONE] = {{"none", 4}, 0},     [IR_EFFORT_MINIMAL] = {{"minimal", 7}, 1024},
    [IR_EFFORT_LOW] = {{"low", 3}, 2048},    [IR_EFFORT_MEDIUM] = {{"medium", 6}, 8192},
    [IR_EFFORT_HIGH] = {{"high", 4}, 16384}, [IR_EFFORT_XHIGH] = {{"xhigh", 5}, 24576},
    [IR_EFFORT_MAX] = {{"max", 3}, 32000},
};

enum ir_effort ir_effort_of(struct str escaped)
{
    for (unsigned i = IR_EFFORT_NONE; i <= IR_EFFORT_MAX; i++) {
        if (ir_is(escaped, efforts[i].word)) {
            return (enum ir_effort)i;
        }
    }
    return IR_EFFORT_UNSAID;
}

struct str ir_effort_word(enum ir_effort e)
{
    return efforts[e].word;
}

int64_t ir_effort_budget(enum ir_effort e)
{
    return efforts[e].budget;
}

/* Only the three words that every model with an effort knows. */
enum ir_effort ir_budget_effort(int64_t budget)
{
    if (budget == IR_BUDGET_DYNAMIC) {
        return IR_EFFORT_MEDIUM;
    }
    return budget == 0       ? IR_EFFORT_NONE
           : budget <= 2048  ? IR_EFFORT_LOW
           : budget <= 12000 ? IR_EFFORT_MEDIUM
                             : IR_EFFORT_HIGH;
}

int64_t ir_thinking_budget(const struct ir_call *c)
{
    if (c->budget != IR_BUDGET_UNSAID) {
        return c->budget == IR_BUDGET_DYNAMIC
                   ? ir_effort_budget(c->effort ? c->effort : IR_EFFORT_MEDIUM)
                   : c->budget;
    }
    return c->effort ? ir_effort_budget(c->effort) : IR_BUDGET_UNSAID;
}

bool ir_loop_lacks_thinking(const struct ir_call *c, enum family issuer)
{
    const struct ir_turn *asked = NULL;
    for (const struct ir_turn *t = c->turns; t; t = t->next) {
        asked = t->role == IR_ASSISTANT ? t : asked;
    }
    if (!asked || !c->last_turn->first || c->last_turn->first->kind != IR_TOOL_RESULT) {
        return false;
    }
    for (const struct ir_part *p = asked->first; p; p = p->next) {
        if (p->kind == IR_THINKING && p->issuer == issuer && p->signature.n) {
            return false;
        }
    }
    return true;
}
