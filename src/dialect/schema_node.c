/* Schemas read into nodes: references followed, allOf merged. */
#include "dialect/schema_node.h"

/* What says nothing about a value: it goes without a word. */
static const struct str silent[] = {{"$schema", 7},   {"$id", 3},          {"id", 2},
                                    {"$comment", 8},  {"$defs", 5},        {"definitions", 11},
                                    {"$anchor", 7},   {"$vocabulary", 11}, {"readOnly", 8},
                                    {"writeOnly", 9}, {"deprecated", 10},  {0}};

void schema_lose(struct compile *c, struct str name)
{
    for (unsigned i = 0; i < c->nlost; i++) {
        if (str_eq(c->lost[i], name)) {
            return;
        }
    }
    if (c->nlost < SCHEMA_LOST_MAX) {
        c->lost[c->nlost++] = name;
    }
}

void schema_lose_keyword(struct compile *c, unsigned k)
{
    schema_lose(c, schema_names[k]);
}

static void lose_unknown(struct compile *c, struct str key)
{
    for (const struct str *s = silent; s->n; s++) {
        if (str_eq(*s, key)) {
            return;
        }
    }
    char *to = arena_alloc(c->arena, 32);
    size_t n = key.n < 32 ? key.n : 32;
    for (size_t i = 0; i < n; i++) {
        char ch = key.p[i];
        to[i] = ch > ' ' && ch < 0x7f && ch != ',' && ch != '"' && ch != '\\' ? ch : '_';
    }
    schema_lose(c, str_make(to, n));
}

/* One step of a JSON Pointer (RFC 6901), which stands in a URI (percent-encoded). */
static struct str pointer_step(struct arena *a, struct str step)
{
    char *to = arena_alloc(a, step.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < step.n; i++, n++) {
        static const char digits[] = "0123456789abcdef";
        const char *high, *low;
        to[n] = step.p[i];
        if (to[n] == '%' && i + 2 < step.n && (high = memchr(digits, step.p[i + 1] | 0x20, 16)) &&
            (low = memchr(digits, step.p[i + 2] | 0x20, 16))) {
            to[n] = (char)((high - digits) << 4 | (low - digits));
            i += 2;
        } else if (to[n] == '~' && i + 1 < step.n) {
            to[n] = step.p[++i] == '1' ? '/' : '~';
        }
    }
    return str_make(to, n);
}

struct str schema_element(struct str array, uint64_t index)
{
    struct walk w = walk_at(array);
    walk_enter(&w);
    while (walk_element(&w)) {
        struct str value = walk_value(&w);
        if (index-- == 0) {
            return value;
        }
    }
    return (struct str){0};
}

/* What "#/$defs/name" stands for; empty when there is no such place in the document. */
static struct str resolve(struct compile *c, struct str quoted)
{
    struct str ref = ir_plain(c->arena, str_make(quoted.p + 1, quoted.n - 2));
    struct str at = c->root, step;
    if (ref.n == 0 || ref.p[0] != '#') {
        return (struct str){0};
    }
    struct str rest = str_from(ref, 1);
    if (rest.n && rest.p[0] != '/') {
        return (struct str){0};
    }
    rest = str_from(rest, 1);
    while (rest.n) {
        uint64_t index;
        str_cut(&rest, '/', &step);
        if (!schema_spend(c, at.n)) {
            return (struct str){0};
        }
        if (at.p[0] == '{') {
            struct str value;
            if (json_member(at, pointer_step(c->arena, step), &value) == JSON_NONE) {
                return (struct str){0};
            }
            at = value;
        } else if (at.p[0] == '[' && str_to_u64(step, &index) == 0) {
            at = schema_element(at, index);
        } else {
            return (struct str){0};
        }
        if (at.n == 0) {
            return (struct str){0};
        }
    }
    return at;
}

bool schema_spend(struct compile *c, size_t n)
{
    c->work += n;
    return c->work <= c->work_max;
}

static bool was_referred(const struct node *n, const char *target)
{
    for (unsigned i = 0; i < n->nrefs; i++) {
        if (n->refs[i] == target) {
            return true;
        }
    }
    return false;
}

static void follow(struct compile *c, struct node *n, struct str ref)
{
    struct str target = ref.p[0] == '"' ? resolve(c, ref) : (struct str){0};
    if (!target.n || n->nrefs == SCHEMA_LAYERS_MAX) {
        schema_lose_keyword(c, K_REF);
        return;
    }
    if (was_referred(n, target.p)) {
        return; /* twice the same says no more */
    }
    for (const struct node *up = n->up; up && !n->cut; up = up->up) {
        n->cut = was_referred(up, target.p);
    }
    if (n->cut) {
        schema_lose_keyword(c, K_REF);
    }
    n->refs[n->nrefs++] = target.p;
    schema_read(c, n, target);
}

static bool is_annotation(unsigned k)
{
    return k == K_TITLE || k == K_DESCRIPTION || k == K_DEFAULT || k == K_EXAMPLE ||
           k == K_EXAMPLES || k == K_ORDERING || k == K_NULLABLE;
}

/* A keyword of one of several schemas that hold at once: the first who says something is heard. */
void schema_take(struct compile *c, struct node *n, unsigned k, struct str value)
{
    if (k == K_PROPERTIES || k == K_REQUIRED) {
        unsigned *count = k == K_PROPERTIES ? &n->nproperties : &n->nrequired;
        if (value.p[0] != (k == K_PROPERTIES ? '{' : '[')) {
            return;
        }
        if (*count == SCHEMA_LAYERS_MAX) {
            schema_lose_keyword(c, K_ALL_OF);
            return;
        }
        (k == K_PROPERTIES ? n->properties : n->required)[(*count)++] = value;
    } else if (k == K_ADDITIONAL) {
        struct str name, inside;
        size_t at = 0;
        enum json_type type;
        if (value.p[0] == '{' && json_each(value, &at, &name, &inside, &type)) {
            schema_lose_keyword(c, K_ADDITIONAL);
        }
        if (value.p[0] == '{' || value.p[0] == 't') {
            n->v[k] = value; /* an object with names of its own */
        }
    } else if (!n->v[k].n) {
        n->v[k] = value;
    } else if (!is_annotation(k) && !str_eq(n->v[k], value)) {
        schema_lose_keyword(c, k == K_ANY_OF ? K_ANY_OF : K_ALL_OF);
    }
}

void schema_read(struct compile *c, struct node *n, struct str schema)
{
    struct str key, ref = {0}, all = {0};
    struct walk w = walk_at(schema);
    if (walk_type(&w) != JSON_OBJECT) {
        return; /* true: anything */
    }
    if (n->nlayers++ >= SCHEMA_LAYERS_MAX || !schema_spend(c, schema.n)) {
        schema_lose_keyword(c, K_ALL_OF);
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        unsigned k = schema_keyword(key);
        struct str value = walk_value(&w);
        if (k == K_COUNT) {
            lose_unknown(c, key);
        } else if (k == K_REF) {
            ref = value;
        } else if (k == K_ALL_OF) {
            all = value;
        } else if (value.p[0] != 'n' || k == K_CONST || k == K_DEFAULT) {
            schema_take(c, n, k == K_ONE_OF ? K_ANY_OF : k, value);
        }
    }
    if (ref.n) {
        follow(c, n, ref);
    }
    if (all.n) {
        w = walk_at(all);
        for (bool in = walk_array(&w); in && walk_element(&w);) {
            schema_read(c, n, walk_value(&w));
        }
    }
}

/* What `outer` says besides its anyOf, behind what the branch says itself. */
static void add_outer(struct compile *c, struct node *branch, const struct node *outer)
{
    for (unsigned k = 0; k < K_COUNT; k++) {
        bool types = k == K_TYPE && branch->v[k].n && outer->v[k].n;
        if (k != K_ANY_OF && !types && outer->v[k].n) {
            schema_take(c, branch, k, outer->v[k]);
        }
    }
    for (unsigned i = 0; i < outer->nproperties; i++) {
        schema_take(c, branch, K_PROPERTIES, outer->properties[i]);
    }
    for (unsigned i = 0; i < outer->nrequired; i++) {
        schema_take(c, branch, K_REQUIRED, outer->required[i]);
    }
}

void schema_read_branch(struct compile *c, struct node *n, struct node *outer, struct str schema)
{
    n->up = outer;
    schema_read(c, n, schema);
    add_outer(c, n, outer);
}
