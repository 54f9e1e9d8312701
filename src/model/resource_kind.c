#include "model/resource_kind.h"

#include <errno.h>

const struct resource_kind *const resource_kinds[] = {
#define KIND(name) &resource_##name,
#include "kinds_list.h"
#undef KIND
    NULL,
};

const char *const secret_states[] = {"active", "revoked", NULL};
static const char *const active[] = {"active", NULL};

const struct action secret_actions[SECRET_ACTIONS] = {
    {.name = "rotate",
     .help =
         "Makes a new secret, shown once; the old one is accepted for `overlap_s` seconds more.",
     .from = active,
     .effect = EFFECT_ROTATE},
    {.name = "revoke",
     .help = "It is dead from the moment of the answer, for good.",
     .from = active,
     .to = "revoked",
     .effect = EFFECT_REVOKE,
     .note = true},
};

const struct resource_kind *resource_kind_named(struct str name)
{
    for (const struct resource_kind *const *k = resource_kinds; *k; k++) {
        if (str_eq(name, str_of((*k)->kind->name))) {
            return *k;
        }
    }
    return NULL;
}

const struct resource_kind *resource_kind_by_path(struct str plural)
{
    for (const struct resource_kind *const *k = resource_kinds; *k; k++) {
        if (str_eq(plural, str_of((*k)->plural))) {
            return *k;
        }
    }
    return NULL;
}

bool secret_is_mask(struct str s)
{
    return str_starts(s, STR("****")) && s.n <= 8;
}

/* ---- reading ---- */

/* What is found on the way through a decoded document. */
struct gatherer {
    struct arena *arena;
    struct document *d;
    size_t cap_uniques, cap_references, cap_secrets;
};

static void *grown(struct arena *a, void *all, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return all;
    }
    size_t more = *cap ? *cap * 2 : 8;
    void *larger = arena_alloc(a, more * size);
    if (n) {
        memcpy(larger, all, n * size);
    }
    *cap = more;
    return larger;
}

static void add_unique(struct gatherer *g, struct str field, struct str value)
{
    struct document *d = g->d;
    d->uniques = grown(g->arena, d->uniques, d->n_uniques, &g->cap_uniques, sizeof *d->uniques);
    d->uniques[d->n_uniques++] = (struct document_unique){field, value};
}

static void add_reference(struct gatherer *g, struct str at, const struct kind *k, struct str id)
{
    struct document *d = g->d;
    d->references =
        grown(g->arena, d->references, d->n_references, &g->cap_references, sizeof *d->references);
    d->references[d->n_references++] = (struct document_reference){at, k, id};
}

static void add_secret(struct gatherer *g, struct str name, struct secret secret, bool hashed)
{
    struct document *d = g->d;
    d->secrets = grown(g->arena, d->secrets, d->n_secrets, &g->cap_secrets, sizeof *d->secrets);
    d->secrets[d->n_secrets++] = (struct document_secret){name, secret, hashed};
}

static struct str folded(struct arena *a, struct str s)
{
    struct str copy = arena_dup(a, s);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; i < copy.n; i++) {
        p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] | 0x20) : p[i];
    }
    return copy;
}

static struct str below(struct arena *a, struct str at, struct str token)
{
    struct buf b = {.arena = a};
    buf_add(&b, at);
    json_pointer_add(&b, token);
    return buf_str(&b);
}

static void gather(struct gatherer *g, const struct kind *k, const char *from, struct str at,
                   bool top);

static struct str element_name(struct gatherer *g, const struct field *f, const char *element,
                               size_t index)
{
    for (size_t i = 0; f->merge_key && i < f->kind->n_fields; i++) {
        const struct field *id = &f->kind->fields[i];
        if (str_eq(str_of(id->name), str_of(f->merge_key))) {
            return *(const struct str *)(const void *)(element + id->at);
        }
    }
    return arena_printf(g->arena, "%zu", index);
}

static void gather_field(struct gatherer *g, const struct field *f, const char *from, struct str at,
                         bool top)
{
    const void *value = from + f->at;
    struct str text;
    size_t n;
    switch (f->type) {
    case FIELD_TEXT:
        text = *(const struct str *)value;
        if (top && f->unique && text.n) {
            add_unique(g, at, f->folded ? folded(g->arena, text) : text);
        }
        break;
    case FIELD_REFERENCE:
        text = *(const struct str *)value;
        if (text.n) {
            add_reference(g, at, f->kind, text);
        }
        break;
    case FIELD_SECRET:
        if (!secret_empty(*(const struct secret *)value)) {
            add_secret(g, at, *(const struct secret *)value, f->hashed);
        }
        break;
    case FIELD_OBJECT:
        gather(g, f->kind, value, at, false);
        break;
    case FIELD_OBJECTS:
        n = *(const size_t *)(const void *)(from + f->at_n);
        for (size_t i = 0; i < n; i++) {
            const char *element = *(const char *const *)value + i * f->kind->size;
            gather(g, f->kind, element, below(g->arena, at, element_name(g, f, element, i)), false);
        }
        break;
    default:
        break;
    }
}

static void gather(struct gatherer *g, const struct kind *k, const char *from, struct str at,
                   bool top)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        if (!top || !str_eq(str_of(f->name), STR("id"))) {
            gather_field(g, f, from, below(g->arena, at, str_of(f->name)), top);
        }
    }
}

static bool is_one_of(struct str word, const char *const *words)
{
    for (; *words; words++) {
        if (str_eq(word, str_of(*words))) {
            return true;
        }
    }
    return false;
}

/* The values of several fields as one. */
static void gather_together(struct gatherer *g, const struct resource_kind *k)
{
    struct json *state = json_get(g->d->tree, STR("state"));
    struct buf field = {.arena = g->arena}, value = {.arena = g->arena};
    if (!k->together || (k->while_in && state && !is_one_of(state->text, k->while_in))) {
        return;
    }
    for (const char *const *name = k->together; *name; name++) {
        const struct json *j = json_get(g->d->tree, str_of(*name));
        buf_addz(&field, *name == k->together[0] ? "/" : "+/");
        buf_addz(&field, *name);
        buf_add(&value, j ? j->text : (struct str){0});
        buf_addc(&value, '\n');
    }
    add_unique(g, buf_str(&field), buf_str(&value));
}

/* The id and the further names, of which no other resource may have one. */
static void gather_names(struct gatherer *g, const struct resource_kind *k, struct str id)
{
    struct json *list = k->also_named ? json_get(g->d->tree, str_of(k->also_named)) : NULL;
    if (k->also_named) {
        add_unique(g, STR("/name"), id);
    }
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        if (!str_eq(c->text, id)) {
            add_unique(g, STR("/name"), c->text);
        }
    }
}

/* A table has the id as a field; in a document of the platform it stands aside. */
static struct json *with_id(struct arena *a, const struct kind *k, struct str id,
                            const struct json *from)
{
    struct json *j = json_clone(a, from);
    for (size_t i = 0; i < k->n_fields; i++) {
        if (j->type == JSON_OBJECT && str_eq(str_of(k->fields[i].name), STR("id"))) {
            json_set(j, STR("id"), json_new_str(a, id));
        }
    }
    return j;
}

static void drop_not_own(struct json *tree, const struct kind *k)
{
    json_remove(tree, STR("id"));
    for (size_t i = 0; i < k->n_fields; i++) {
        if (k->fields[i].type == FIELD_ORIGIN || k->fields[i].hashed) {
            json_remove(tree, str_of(k->fields[i].name));
        }
    }
}

int document_read(struct arena *a, const struct resource_kind *k, struct str id,
                  const struct json *from, struct mistakes *mistakes, struct document *ret)
{
    struct kind_reader r = {.arena = a, .mistakes = mistakes, .platform = true};
    struct path root = {0};
    struct document d = {.decoded = arena_zalloc(a, k->kind->size)};
    struct gatherer g = {.arena = a, .d = &d};
    size_t before = mistakes->n;
    kind_decode(&r, k->kind, with_id(a, k->kind, id, from), &root, d.decoded);
    if (mistakes->n != before) {
        return -EINVAL;
    }
    d.tree = kind_encode(a, k->kind, d.decoded);
    drop_not_own(d.tree, k->kind);
    gather(&g, k->kind, d.decoded, (struct str){0}, true);
    gather_together(&g, k);
    gather_names(&g, k, id);
    *ret = d;
    return 0;
}
