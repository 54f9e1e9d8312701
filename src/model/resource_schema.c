/* Resources as the description of the API shows them: schemas and examples, from the tables. */
#include "base/must.h"
#include "model/resource_kind.h"

static void metadata(struct arena *a, struct json *to, const char *name, const char *type,
                     const char *format, const char *help)
{
    struct json *j = json_new(a, JSON_OBJECT);
    json_set(j, STR("type"), json_new_str(a, str_of(type)));
    if (format) {
        json_set(j, STR("format"), json_new_str(a, str_of(format)));
    }
    json_set(j, STR("description"), json_new_str(a, str_of(help)));
    json_set(j, STR("readOnly"), json_new_bool(a, true));
    json_set(to, str_of(name), j);
}

/* The platform makes an id when none is given. */
static void drop_required_id(struct arena *a, struct json *schema)
{
    struct json *required = json_new(a, JSON_ARRAY), *old = json_get(schema, STR("required"));
    for (struct json *c = old ? old->first : NULL; c; c = c->next) {
        if (!str_eq(c->text, STR("id"))) {
            json_append(required, json_new_str(a, c->text));
        }
    }
    json_remove(schema, STR("required"));
    if (required->first) {
        json_set(schema, STR("required"), required);
    }
}

struct json *resource_schema(struct arena *a, const struct resource_kind *k)
{
    struct json *j = kind_schema(a, k->kind, true), *own = json_get(j, STR("properties"));
    struct json *all = json_new(a, JSON_OBJECT), *id = json_get(own, STR("id")), *next;
    if (!id) {
        id = json_new(a, JSON_OBJECT);
        json_set(id, STR("type"), json_new_str(a, STR("string")));
        json_set(id, STR("pattern"), json_new_str(a, str_of(k->id_rule->pattern)));
        json_set(
            id, STR("description"),
            json_new_str(a, STR("Its name in paths and references; made when none is given.")));
    } else {
        json_remove(own, STR("id"));
    }
    json_set(all, STR("id"), id);
    for (struct json *c = own->first; c; c = next) {
        next = c->next;
        json_set(all, c->key, c);
    }
    metadata(a, all, "revision", "integer", "int64", "Counts up by one with each change.");
    json_set(json_get(all, STR("revision")), STR("minimum"), json_new_int(a, 1));
    json_set(json_get(all, STR("revision")), STR("maximum"), json_new_int(a, 9007199254740991));
    metadata(a, all, "etag", "string", NULL, "The entity tag of this state, quotes included.");
    metadata(a, all, "created_at", "string", "date-time", "When it was created.");
    metadata(a, all, "created_by", "string", NULL, "Who created it.");
    metadata(a, all, "updated_at", "string", "date-time", "When this state began.");
    metadata(a, all, "updated_by", "string", NULL, "Who made this state.");
    json_set(j, STR("properties"), all);
    drop_required_id(a, j);
    return j;
}

/* ---- merge patches ---- */

static void allow_null(struct arena *a, struct json *schema)
{
    struct json *type = json_get(schema, STR("type")), *list = json_new(a, JSON_ARRAY);
    struct json *any = json_get(schema, STR("anyOf")), *words = json_get(schema, STR("enum"));
    json_remove(schema, STR("default")); /* what is not there stays as it is */
    if (any) {
        struct json *null = json_new(a, JSON_OBJECT);
        json_set(null, STR("type"), json_new_str(a, STR("null")));
        json_append(any, null);
    }
    if (words) {
        json_append(words, json_new(a, JSON_NULL));
    }
    if (type) {
        json_append(list, json_new_str(a, type->text));
        json_append(list, json_new_str(a, STR("null")));
        json_set(schema, STR("type"), list);
    }
}

/* Every member may be there or not, and null removes it. A list is replaced as a whole. */
static void loosen(struct arena *a, struct json *schema)
{
    struct json *properties = json_get(schema, STR("properties"));
    json_remove(schema, STR("required"));
    for (struct json *p = properties ? properties->first : NULL; p; p = p->next) {
        loosen(a, p);
        if (!json_get(p, STR("readOnly"))) {
            allow_null(a, p);
        }
    }
}

struct json *patch_schema(struct arena *a, const struct resource_kind *k)
{
    struct json *j = resource_schema(a, k);
    loosen(a, j);
    json_set(
        j, STR("description"),
        json_new_str(a, arena_printf(a, "Fields of a %s that change (RFC 7396); null removes one.",
                                     k->kind->name)));
    return j;
}

/* ---- examples ---- */

static struct json *example_text(struct arena *a, const struct field *f)
{
    const char *text = f->rule && f->rule->example ? f->rule->example
                       : f->fallback               ? f->fallback
                                                   : "text";
    return json_new_str(a, str_of(text));
}

static struct json *list_of(struct arena *a, struct json *one)
{
    struct json *list = json_new(a, JSON_ARRAY);
    json_append(list, one);
    return list;
}

static struct json *example_of(struct arena *a, const struct field *f)
{
    int64_t n = f->min;
    struct json *j = NULL;
    struct json_error e;
    if (f->example) {
        must(json_parse(a, str_of(f->example), &j, &e) == 0);
        return j;
    }
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_SECRET:
    case FIELD_REFERENCE:
        return example_text(a, f);
    case FIELD_TEXTS:
        return list_of(a, example_text(a, f));
    case FIELD_INT:
        (void)!json_int(str_of(f->fallback), &n); /* or else the least */
        return json_new_int(a, n);
    case FIELD_BOOL:
        return json_new_bool(a, f->fallback && f->fallback[0] == 't');
    case FIELD_CHOICE:
        return json_new_str(a, str_of(f->fallback ? f->fallback : f->choices[0]));
    case FIELD_OBJECT:
    case FIELD_OBJECTS:
        j = kind_example(a, f->kind);
        return f->type == FIELD_OBJECT ? j : list_of(a, j);
    case FIELD_ORIGIN:
    case FIELD_LATER:
        break;
    }
    return NULL;
}

struct json *kind_example(struct arena *a, const struct kind *k)
{
    struct json *j = json_new(a, JSON_OBJECT);
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        bool is_text = (f->type == FIELD_TEXT || f->type == FIELD_TEXTS) && f->rule;
        if (field_is_here(f, true) && !f->read_only && !f->hashed &&
            (f->required || is_text || f->example)) {
            json_set(j, str_of(f->name), example_of(a, f));
        }
    }
    return j;
}

struct json *resource_example(struct arena *a, const struct resource_kind *k)
{
    struct arena scratch = {0};
    struct mistakes m = {.arena = &scratch};
    struct json *sent = kind_example(a, k->kind), *all = json_new(a, JSON_OBJECT), *next;
    struct json *id = json_get(sent, STR("id"));
    struct str name = k->single ? STR("org") : id ? id->text : str_of(k->id_rule->example);
    struct document d;
    json_remove(sent, STR("id"));
    must(document_read(a, k, name, sent, &m, &d) == 0);
    arena_reset(&scratch);
    json_set(all, STR("id"), json_new_str(a, name));
    for (struct json *c = d.tree->first; c; c = next) {
        next = c->next;
        json_set(all, c->key, c);
    }
    static const char *const made[][2] = {{"created_at", "2026-11-22T10:00:00.000000Z"},
                                          {"created_by", "user:ana"},
                                          {"updated_at", "2026-11-22T10:00:00.000000Z"},
                                          {"updated_by", "user:ana"}};
    json_set(all, STR("revision"), json_new_int(a, 1));
    json_set(all, STR("etag"), json_new_str(a, STR("\"1-9f2c01aa\"")));
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        json_set(all, str_of(made[i][0]), json_new_str(a, str_of(made[i][1])));
    }
    return all;
}
