#include "conflict/diff.h"

/* Grown by doubling, in the arena of the list. */
static void add_change(struct changes *c, struct str pointer, const struct json *from,
                       const struct json *to)
{
    if (c->n == c->_cap) {
        size_t cap = c->_cap ? c->_cap * 2 : 16;
        struct change_at *all = arena_alloc(c->arena, cap * sizeof *all);
        if (c->n) {
            memcpy(all, c->all, c->n * sizeof *all);
        }
        c->all = all;
        c->_cap = cap;
    }
    c->all[c->n++] = (struct change_at){pointer, from, to};
}

static struct str below(struct arena *a, struct str pointer, struct str token)
{
    struct buf b = {.arena = a};
    buf_add(&b, pointer);
    json_pointer_add(&b, token);
    return buf_str(&b);
}

/* A rule's pointer may have * for a token. */
static bool pointer_matches(struct str rule, struct str pointer)
{
    struct str want, have;
    while (rule.n && pointer.n) {
        (void)str_cut(&rule, '/', &want);
        (void)str_cut(&pointer, '/', &have);
        if (!str_eq(want, STR("*")) && !str_eq(want, have)) {
            return false;
        }
    }
    return rule.n == 0 && pointer.n == 0;
}

static const struct merge_rule *rule_at(const struct merge_rules *rules, struct str pointer)
{
    for (size_t i = 0; rules && i < rules->n; i++) {
        if (pointer_matches(rules->rules[i].pointer, pointer)) {
            return &rules->rules[i];
        }
    }
    return NULL;
}

static const struct json *keyed(const struct json *list, struct str key, struct str value)
{
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        const struct json *k = json_get(c, key);
        if (k && k->type == JSON_STRING && str_eq(k->text, value)) {
            return c;
        }
    }
    return NULL;
}

/* Whether every element can be told from the others; if not, the list is one value. */
static bool is_keyed(const struct json *list, struct str key)
{
    for (const struct json *c = list->first; c; c = c->next) {
        const struct json *k = json_get(c, key);
        if (!k || k->type != JSON_STRING || keyed(list, key, k->text) != c) {
            return false;
        }
    }
    return true;
}

static bool is_list(const struct json *j)
{
    return j && j->type == JSON_ARRAY;
}

static bool is_object(const struct json *j)
{
    return j && j->type == JSON_OBJECT;
}

static void diff_at(struct changes *c, struct str pointer, const struct json *from,
                    const struct json *to, const struct merge_rules *rules);

static void diff_members(struct changes *c, struct str pointer, const struct json *from,
                         const struct json *to, const struct merge_rules *rules)
{
    for (const struct json *m = from->first; m; m = m->next) {
        diff_at(c, below(c->arena, pointer, m->key), m, json_get(to, m->key), rules);
    }
    for (const struct json *m = to->first; m; m = m->next) {
        if (!json_get(from, m->key)) {
            add_change(c, below(c->arena, pointer, m->key), NULL, m);
        }
    }
}

static void diff_elements(struct changes *c, struct str pointer, const struct json *from,
                          const struct json *to, struct str key, const struct merge_rules *rules)
{
    for (const struct json *e = from->first; e; e = e->next) {
        struct str name = json_get(e, key)->text;
        diff_at(c, below(c->arena, pointer, name), e, keyed(to, key, name), rules);
    }
    for (const struct json *e = to->first; e; e = e->next) {
        struct str name = json_get(e, key)->text;
        if (!keyed(from, key, name)) {
            add_change(c, below(c->arena, pointer, name), NULL, e);
        }
    }
}

static void diff_at(struct changes *c, struct str pointer, const struct json *from,
                    const struct json *to, const struct merge_rules *rules)
{
    const struct merge_rule *rule = is_list(from) && is_list(to) ? rule_at(rules, pointer) : NULL;
    if (json_equal(from, to)) {
        return;
    }
    if (is_object(from) && is_object(to)) {
        diff_members(c, pointer, from, to, rules);
    } else if (rule && rule->how == MERGE_KEYED && is_keyed(from, rule->key) &&
               is_keyed(to, rule->key)) {
        size_t before = c->n;
        diff_elements(c, pointer, from, to, rule->key, rules);
        if (c->n == before) { /* only their order is another */
            add_change(c, pointer, from, to);
        }
    } else {
        add_change(c, pointer, from, to);
    }
}

void diff(struct changes *c, const struct json *from, const struct json *to,
          const struct merge_rules *rules)
{
    diff_at(c, (struct str){0}, from, to, rules);
}

struct json *diff_patch(struct arena *a, const struct json *from, const struct json *to)
{
    struct changes c = {.arena = a};
    struct json *patch = json_new(a, JSON_ARRAY);
    diff(&c, from, to, NULL);
    for (size_t i = 0; i < c.n; i++) {
        const struct change_at *x = &c.all[i];
        struct json *op = json_new(a, JSON_OBJECT);
        json_set(op, STR("op"),
                 json_new_str(a, !x->to     ? STR("remove")
                                 : !x->from ? STR("add")
                                            : STR("replace")));
        json_set(op, STR("path"), json_new_str(a, x->pointer));
        if (x->to) {
            json_set(op, STR("value"), json_clone(a, x->to));
        }
        json_append(patch, op);
    }
    return patch;
}

/* ---- three-way merge ---- */

struct merger {
    struct arena *arena;
    const struct merge_rules *rules;
    struct merge *out;
    size_t cap;
};

static void add_conflict(struct merger *m, struct str pointer, const struct json *base,
                         const struct json *theirs, const struct json *yours)
{
    struct merge *out = m->out;
    if (out->n_conflicts == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 8;
        struct merge_conflict *all = arena_alloc(m->arena, m->cap * sizeof *all);
        if (out->n_conflicts) {
            memcpy(all, out->conflicts, out->n_conflicts * sizeof *all);
        }
        out->conflicts = all;
    }
    out->conflicts[out->n_conflicts++] = (struct merge_conflict){pointer, base, theirs, yours};
}

static struct json *merge_at(struct merger *m, struct str pointer, const struct json *base,
                             const struct json *theirs, const struct json *yours);

static struct json *merge_members(struct merger *m, struct str pointer, const struct json *base,
                                  const struct json *theirs, const struct json *yours)
{
    struct json *to = json_new(m->arena, JSON_OBJECT);
    for (const struct json *t = theirs->first; t; t = t->next) {
        struct json *v = merge_at(m, below(m->arena, pointer, t->key), json_get(base, t->key), t,
                                  json_get(yours, t->key));
        if (v) {
            json_set(to, t->key, v);
        }
    }
    for (const struct json *y = yours->first; y; y = y->next) {
        if (!json_get(theirs, y->key)) {
            struct json *v =
                merge_at(m, below(m->arena, pointer, y->key), json_get(base, y->key), NULL, y);
            if (v) {
                json_set(to, y->key, v);
            }
        }
    }
    return to;
}

static struct json *merge_elements(struct merger *m, struct str pointer, struct str key,
                                   const struct json *base, const struct json *theirs,
                                   const struct json *yours)
{
    struct json *to = json_new(m->arena, JSON_ARRAY);
    for (const struct json *t = theirs->first; t; t = t->next) {
        struct str name = json_get(t, key)->text;
        struct json *v = merge_at(m, below(m->arena, pointer, name), keyed(base, key, name), t,
                                  keyed(yours, key, name));
        if (v) {
            json_append(to, v);
        }
    }
    for (const struct json *y = yours->first; y; y = y->next) {
        struct str name = json_get(y, key)->text;
        if (!keyed(theirs, key, name)) {
            struct json *v =
                merge_at(m, below(m->arena, pointer, name), keyed(base, key, name), NULL, y);
            if (v) {
                json_append(to, v);
            }
        }
    }
    return to;
}

static bool holds(const struct json *list, const struct json *value)
{
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        if (json_equal(c, value)) {
            return true;
        }
    }
    return false;
}

/* Theirs without what you removed, with what you added. */
static struct json *merge_set(struct merger *m, struct str pointer, const struct json *base,
                              const struct json *theirs, const struct json *yours)
{
    struct json *to = json_new(m->arena, JSON_ARRAY);
    for (const struct json *t = theirs->first; t; t = t->next) {
        if (holds(yours, t) || !holds(base, t)) {
            json_append(to, json_clone(m->arena, t));
        }
    }
    for (const struct json *y = yours->first; y; y = y->next) {
        if (!holds(base, y) && !holds(to, y)) {
            json_append(to, json_clone(m->arena, y));
        }
    }
    add_change(&m->out->yours, pointer, theirs, to);
    return to;
}

static struct json *copy_of(struct merger *m, const struct json *j)
{
    return j ? json_clone(m->arena, j) : NULL;
}

static struct json *merge_lists(struct merger *m, struct str pointer, const struct json *base,
                                const struct json *theirs, const struct json *yours, bool *ret_done)
{
    const struct merge_rule *rule = rule_at(m->rules, pointer);
    *ret_done = true;
    if (rule && rule->how == MERGE_SET) {
        return merge_set(m, pointer, base, theirs, yours);
    }
    if (rule && (!base || is_keyed(base, rule->key)) && is_keyed(theirs, rule->key) &&
        is_keyed(yours, rule->key)) {
        return merge_elements(m, pointer, rule->key, base, theirs, yours);
    }
    *ret_done = false;
    return NULL;
}

static struct json *merge_at(struct merger *m, struct str pointer, const struct json *base,
                             const struct json *theirs, const struct json *yours)
{
    if (json_equal(theirs, yours) || json_equal(base, yours)) {
        return copy_of(m, theirs);
    }
    if (json_equal(base, theirs)) {
        size_t before = m->out->yours.n;
        if (is_object(theirs) && is_object(yours)) {
            diff_at(&m->out->yours, pointer, theirs, yours, m->rules);
        }
        if (m->out->yours.n == before) {
            add_change(&m->out->yours, pointer, theirs, yours);
        }
        return copy_of(m, yours);
    }
    if (is_object(theirs) && is_object(yours) && (!base || is_object(base))) {
        return merge_members(m, pointer, base, theirs, yours);
    }
    if (is_list(theirs) && is_list(yours) && (!base || is_list(base))) {
        bool done;
        struct json *list = merge_lists(m, pointer, base, theirs, yours, &done);
        if (done) {
            return list;
        }
    }
    add_conflict(m, pointer, base, theirs, yours);
    return copy_of(m, theirs);
}

void merge3(struct arena *a, const struct json *base, const struct json *theirs,
            const struct json *yours, const struct merge_rules *rules, struct merge *ret)
{
    *ret = (struct merge){.yours = {.arena = a}};
    struct merger m = {.arena = a, .rules = rules, .out = ret};
    ret->merged = merge_at(&m, (struct str){0}, base, theirs, yours);
}
