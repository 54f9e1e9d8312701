#include "json/tree.h"

#include "base/must.h"
#include "json/decimal.h"

struct json *json_new(struct arena *a, enum json_type type)
{
    struct json *j = arena_zalloc(a, sizeof *j);
    j->type = type;
    return j;
}

struct json *json_new_str(struct arena *a, struct str text)
{
    struct json *j = json_new(a, JSON_STRING);
    j->text = text;
    return j;
}

struct json *json_new_int(struct arena *a, int64_t v)
{
    struct json *j = json_new(a, JSON_NUMBER);
    j->text = arena_printf(a, "%lld", (long long)v);
    return j;
}

struct json *json_new_bool(struct arena *a, bool v)
{
    return json_new(a, v ? JSON_TRUE : JSON_FALSE);
}

static void append(struct json *container, struct json *child)
{
    child->next = NULL;
    if (container->last) {
        container->last->next = child;
    } else {
        container->first = child;
    }
    container->last = child;
}

/* Recursion goes as deep as the tree: JSON_DEPTH_MAX for everything that was read. */
struct json *json_clone(struct arena *a, const struct json *j)
{
    struct json *copy = json_new(a, j->type);
    copy->line = j->line;
    copy->column = j->column;
    copy->text = arena_dup(a, j->text);
    for (const struct json *child = j->first; child; child = child->next) {
        struct json *c = json_clone(a, child);
        append(copy, c);
        if (j->type == JSON_OBJECT) {
            c->key = arena_dup(a, child->key);
            c->key_line = child->key_line;
            c->key_column = child->key_column;
        }
    }
    return copy;
}

struct json *json_get(const struct json *j, struct str key)
{
    if (!j || j->type != JSON_OBJECT) {
        return NULL;
    }
    for (struct json *m = j->first; m; m = m->next) {
        if (str_eq(m->key, key)) {
            return m;
        }
    }
    return NULL;
}

struct json *json_set(struct json *object, struct str key, struct json *value)
{
    must(object->type == JSON_OBJECT);
    value->key = key;
    struct json *before = NULL;
    for (struct json *m = object->first; m; before = m, m = m->next) {
        if (!str_eq(m->key, key)) {
            continue;
        }
        if (m == value) {
            return value;
        }
        value->next = m->next;
        *(before ? &before->next : &object->first) = value;
        if (object->last == m) {
            object->last = value;
        }
        return value;
    }
    append(object, value);
    return value;
}

struct json *json_add(struct json *object, struct str key, struct json *value)
{
    must(object->type == JSON_OBJECT);
    value->key = key;
    append(object, value);
    return value;
}

bool json_remove(struct json *object, struct str key)
{
    must(object->type == JSON_OBJECT);
    struct json *before = NULL;
    for (struct json *m = object->first; m; before = m, m = m->next) {
        if (str_eq(m->key, key)) {
            *(before ? &before->next : &object->first) = m->next;
            if (object->last == m) {
                object->last = before;
            }
            m->next = NULL;
            return true;
        }
    }
    return false;
}

void json_append(struct json *array, struct json *value)
{
    must(array->type == JSON_ARRAY);
    append(array, value);
}

size_t json_count(const struct json *j)
{
    size_t n = 0;
    for (const struct json *c = j ? j->first : NULL; c; c = c->next) {
        n++;
    }
    return n;
}

static bool same_number(struct str x, struct str y)
{
    if (str_eq(x, y)) {
        return true;
    }
    struct decimal a = decimal_of(x), b = decimal_of(y);
    size_t n = a.to - a.from;
    if (n == 0 || b.to == b.from) { /* zero has neither sign nor exponent */
        return n == b.to - b.from;
    }
    if (a.huge || b.huge || a.negative != b.negative || a.exponent != b.exponent ||
        n != b.to - b.from) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (decimal_digit(&a, a.from + i) != decimal_digit(&b, b.from + i)) {
            return false;
        }
    }
    return true;
}

/* Members in any order; `m`, at the same place in the other one, is the likely counterpart. */
static bool same_members(const struct json *a, const struct json *b)
{
    const struct json *m = b->first;
    for (const struct json *c = a->first; c; c = c->next, m = m->next) {
        if (!json_equal(c, str_eq(c->key, m->key) ? m : json_get(b, c->key))) {
            return false;
        }
    }
    return true;
}

static bool same_elements(const struct json *a, const struct json *b)
{
    const struct json *e = b->first;
    for (const struct json *c = a->first; c; c = c->next, e = e->next) {
        if (!json_equal(c, e)) {
            return false;
        }
    }
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b || a->type != b->type || json_count(a) != json_count(b)) {
        return a == b;
    }
    switch (a->type) {
    case JSON_NUMBER:
        return same_number(a->text, b->text);
    case JSON_STRING:
        return str_eq(a->text, b->text);
    case JSON_ARRAY:
        return same_elements(a, b);
    case JSON_OBJECT:
        return same_members(a, b);
    default:
        return true;
    }
}
