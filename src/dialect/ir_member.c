#include "dialect/ir_member.h"

#include <errno.h>

/* All plain members of the form, as they are named when no caller spelled them. */
static const struct ir_member all[] = {
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("min_p", min_p, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("n", n, JSON_NUMBER),
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER("logit_bias", logit_bias, JSON_OBJECT),
    IR_MEMBER("verbosity", verbosity, JSON_STRING),
    IR_MEMBER("user", end_user, JSON_STRING),
    IR_MEMBER("metadata", metadata, JSON_OBJECT),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("prompt_cache_key", cache_key, JSON_STRING),
    IR_MEMBER("store", store, JSON_TRUE),
    IR_MEMBER_END,
};

static const struct ir_member *by_place(const struct ir_member *table, uint16_t at)
{
    for (; table && table->name.n; table++) {
        if (table->at == at) {
            return table;
        }
    }
    return NULL;
}

static const char *what_it_must_be(enum json_type t)
{
    switch (t) {
    case JSON_NUMBER:
        return "must be a number";
    case JSON_STRING:
        return "must be a string";
    case JSON_OBJECT:
        return "must be an object";
    case JSON_ARRAY:
        return "must be an array";
    default:
        return "must be true or false";
    }
}

static bool fits(enum json_type want, enum json_type is)
{
    return want == JSON_NONE || want == is || (want == JSON_TRUE && is == JSON_FALSE);
}

int ir_read_member(struct ir_call *c, const struct ir_member *table, const char *front,
                   struct str key, struct walk *w)
{
    char first = key.n ? key.p[0] : 0;
    while (table->name.n && (table->name.p[0] != first || !str_eq(table->name, key))) {
        table++;
    }
    if (!table->name.n) {
        return 0;
    }
    enum json_type is = walk_type(w);
    if (is == JSON_NULL) {
        walk_value(w);
        return 1;
    }
    if (!fits(table->type, is)) {
        return ir_bad(c, what_it_must_be(table->type), "%s%.*s", front, STR_ARG(key));
    }
    void *to = (char *)c + table->at;
    if (table->type == JSON_TRUE) {
        *(enum ir_tri *)to = is == JSON_TRUE ? IR_YES : IR_NO;
        walk_value(w);
    } else {
        *(struct str *)to = table->type == JSON_STRING ? walk_text(w) : walk_value(w);
    }
    return 1;
}

static bool is_set(const struct ir_call *c, const struct ir_member *m)
{
    const void *at = (const char *)c + m->at;
    return m->type == JSON_TRUE ? *(const enum ir_tri *)at != IR_UNSAID
                                : ((const struct str *)at)->n > 0;
}

void ir_put_members(struct buf *b, const struct ir_call *c, const struct ir_member *table)
{
    for (; table->name.n; table++) {
        const void *at = (const char *)c + table->at;
        if (!is_set(c, table)) {
            continue;
        }
        if (table->type == JSON_TRUE) {
            ir_put_bool(b, table->name.p, *(const enum ir_tri *)at == IR_YES);
        } else if (table->type == JSON_STRING) {
            ir_put_text(b, table->name.p, *(const struct str *)at);
        } else {
            ir_put_value(b, table->name.p, *(const struct str *)at);
        }
    }
}

void ir_drop_members(struct ir_call *c, const struct ir_member *one, const struct ir_member *two)
{
    for (const struct ir_member *m = all; m->name.n; m++) {
        /* What is not wanted, and not said, is not done either. */
        bool wish =
            m->type != JSON_TRUE || *(const enum ir_tri *)((const char *)c + m->at) == IR_YES;
        if (wish && is_set(c, m) && !by_place(one, m->at) && !by_place(two, m->at)) {
            ir_drop(c, m->name);
        }
    }
}

struct str ir_member_name(const struct ir_call *c, struct str neutral)
{
    const struct ir_member *m = all;
    while (m->name.n && !str_eq(m->name, neutral)) {
        m++;
    }
    const struct ir_member *spelled = m->name.n ? by_place(c->spelled, m->at) : NULL;
    return spelled ? spelled->name : neutral;
}

int ir_read_stop(struct ir_call *c, const char *name, struct walk *w)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) == JSON_STRING) {
        ir_append(c->arena, &c->stop, walk_text(w));
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be a string or an array of strings", "%s", name);
    }
    walk_enter(w);
    while (walk_element(w)) {
        if (walk_type(w) != JSON_STRING) {
            return ir_bad(c, "must hold strings only", "%s", name);
        }
        ir_append(c->arena, &c->stop, walk_text(w));
    }
    return 0;
}

int ir_read_content(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i,
                    ir_read_part_fn *read)
{
    switch (walk_type(w)) {
    case JSON_STRING:
        ir_append_part(c, list, IR_TEXT)->text = walk_text(w);
        return 0;
    case JSON_NULL:
        walk_value(w);
        return 0;
    case JSON_ARRAY:
        break;
    default:
        return ir_bad(c, "must be a string, an array of parts or null", "messages[%u].content", i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        int r = read(c, list, w, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

enum ir_cache ir_read_cache_mark(struct walk *w)
{
    struct str key;
    enum ir_cache mark = walk_type(w) == JSON_OBJECT ? IR_CACHE_5M : IR_CACHE_NONE;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("ttl"))) {
            mark = ir_is(walk_text(w), STR("1h")) ? IR_CACHE_1H : IR_CACHE_5M;
        } else {
            walk_value(w);
        }
    }
    return mark;
}
