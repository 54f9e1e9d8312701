/* The tables as a JSON Schema (2020-12). A value that may be taken from a variable is allowed as
 * such: editors see the document before anything is expanded. */

#include "model/config.h"
#include "model/kinds.h"

static struct json *text(struct arena *a, const char *z)
{
    return json_new_str(a, arena_dup(a, str_of(z)));
}

static struct json *object(struct arena *a, const char *key, struct json *value)
{
    struct json *j = json_new(a, JSON_OBJECT);
    json_set(j, str_of(key), value);
    return j;
}

static struct json *typed(struct arena *a, const char *type)
{
    return object(a, "type", text(a, type));
}

static struct json *definition(struct arena *a, const char *name)
{
    return object(a, "$ref", json_new_str(a, arena_printf(a, "#/$defs/%s", name)));
}

static struct json *either(struct arena *a, struct json *one, struct json *other)
{
    struct json *list = json_new(a, JSON_ARRAY);
    json_append(list, one);
    json_append(list, other);
    return object(a, "anyOf", list);
}

/* In a file a variable may stand for it. */
static struct json *or_variable(struct arena *a, struct json *j, bool platform)
{
    return platform ? j : either(a, j, definition(a, "variable"));
}

static struct json *text_schema(struct arena *a, const struct rule *rule, bool platform)
{
    struct json *j = typed(a, "string");
    if (!rule || !rule->pattern) {
        return j;
    }
    json_set(j, STR("pattern"), text(a, rule->pattern));
    if (rule->format && platform) {
        json_set(j, STR("format"), text(a, rule->format));
    }
    return or_variable(a, j, platform);
}

/* A number as such, or spelled as a text. */
static struct json *number_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *number = typed(a, "number");
    json_set(number, STR("minimum"), json_new_int(a, 0));
    return either(a, number, text_schema(a, f->rule, platform));
}

static struct json *choice_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *list = json_new(a, JSON_ARRAY);
    for (size_t i = 0; f->choices[i]; i++) {
        json_append(list, text(a, f->choices[i]));
    }
    struct json *j = platform ? typed(a, "string") : json_new(a, JSON_OBJECT);
    json_set(j, STR("enum"), list);
    return or_variable(a, j, platform);
}

static struct json *int_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *j = typed(a, "integer");
    if (platform) {
        json_set(j, STR("format"), text(a, "int64"));
    }
    json_set(j, STR("minimum"), json_new_int(a, f->min));
    json_set(j, STR("maximum"), json_new_int(a, f->max));
    return or_variable(a, j, platform);
}

static struct json *list_schema(struct arena *a, const struct field *f, struct json *items)
{
    struct json *j = typed(a, "array");
    json_set(j, STR("items"), items);
    json_set(j, STR("minItems"), json_new_int(a, f->min));
    json_set(j, STR("maxItems"), json_new_int(a, f->max ? f->max : FIELD_LIST_MAX));
    return j;
}

static const struct field *named(const struct kind *k, const char *name)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (str_eq(str_of(k->fields[i].name), str_of(name))) {
            return &k->fields[i];
        }
    }
    return NULL;
}

static struct json *field_schema(struct arena *a, const struct field *f, bool platform);

static struct json *objects_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *list = list_schema(a, f, kind_schema(a, f->kind, platform));
    const struct field *shorthand = f->shorthand ? named(f->kind, f->shorthand) : NULL;
    if (f->one_or_many) {
        return either(a, kind_schema(a, f->kind, platform), list);
    }
    if (!shorthand) {
        return list;
    }
    struct json *j = either(a, field_schema(a, shorthand, platform), list);
    json_append(json_get(j, STR("anyOf")), kind_schema(a, f->kind, platform));
    return j;
}

static struct json *bare_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *j;
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_REFERENCE:
        return f->number ? number_schema(a, f, platform) : text_schema(a, f->rule, platform);
    case FIELD_TEXTS:
        j = list_schema(a, f, text_schema(a, f->rule, platform));
        return f->one_or_many ? either(a, text_schema(a, f->rule, platform), j) : j;
    case FIELD_INT:
        return int_schema(a, f, platform);
    case FIELD_BOOL:
        return or_variable(a, typed(a, "boolean"), platform);
    case FIELD_CHOICE:
        return choice_schema(a, f, platform);
    case FIELD_SECRET:
        j = text_schema(a, f->rule, platform);
        return platform ? j : either(a, j, definition(a, "file"));
    case FIELD_OBJECT:
        return kind_schema(a, f->kind, platform);
    case FIELD_OBJECTS:
        return objects_schema(a, f, platform);
    case FIELD_ORIGIN:
    case FIELD_LATER:
        break;
    }
    return NULL;
}

static struct json *fallback(struct arena *a, const struct field *f)
{
    int64_t v;
    struct str s = str_of(f->fallback);
    if (f->type == FIELD_INT && json_int(s, &v) == 0) {
        return json_new_int(a, v);
    }
    if (f->type == FIELD_BOOL) {
        return json_new_bool(a, str_eq(s, STR("true")));
    }
    struct json *one = json_new_str(a, s);
    if (f->type == FIELD_TEXTS && !f->one_or_many) {
        struct json *list = json_new(a, JSON_ARRAY);
        json_append(list, one);
        return list;
    }
    return one;
}

static struct json *field_schema(struct arena *a, const struct field *f, bool platform)
{
    struct json *j = bare_schema(a, f, platform);
    struct buf help = {.arena = a};
    buf_addz(&help, f->help);
    if (f->rule) {
        buf_printf(&help, " Allowed: %s.", f->rule->allowed);
    }
    if (f->fallback_help) {
        buf_printf(&help, " Default: %s.", f->fallback_help);
    }
    json_set(j, STR("description"), json_new_str(a, buf_str(&help)));
    if (f->fallback) {
        json_set(j, STR("default"), fallback(a, f));
    }
    if (platform && f->read_only) {
        json_set(j, STR("readOnly"), json_new_bool(a, true));
    }
    return j;
}

struct json *kind_schema(struct arena *a, const struct kind *k, bool platform)
{
    struct json *j = typed(a, "object"), *properties = json_new(a, JSON_OBJECT);
    struct json *required = json_new(a, JSON_ARRAY);
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        if (!field_is_here(f, platform)) {
            continue;
        }
        json_set(properties, str_of(f->name), field_schema(a, f, platform));
        if (f->required) {
            json_append(required, text(a, f->name));
        }
    }
    json_set(j, STR("description"), text(a, k->help));
    json_set(j, STR("properties"), properties);
    if (required->first) {
        json_set(j, STR("required"), required);
    }
    json_set(j, STR("additionalProperties"), json_new_bool(a, false));
    return j;
}

static struct json *definitions(struct arena *a)
{
    struct json *all = json_new(a, JSON_OBJECT);
    struct json *variable = typed(a, "string"), *file = typed(a, "object");
    struct json *required = json_new(a, JSON_ARRAY);
    json_set(variable, STR("pattern"), text(a, "\\$\\{[^}]+\\}"));
    json_set(variable, STR("description"),
             text(a, "${NAME} is an environment variable, ${file:/path} what a file holds; "
                     "$${ is a plain ${."));
    json_append(required, text(a, "file"));
    json_set(file, STR("properties"), object(a, "file", typed(a, "string")));
    json_set(file, STR("required"), required);
    json_set(file, STR("additionalProperties"), json_new_bool(a, false));
    json_set(file, STR("description"), text(a, "The path of a file that holds the secret."));
    json_set(all, STR("variable"), variable);
    json_set(all, STR("file"), file);
    return all;
}

void config_schema(struct buf *b)
{
    struct arena a = {0};
    struct json *j = json_new(&a, JSON_OBJECT), *of = kind_schema(&a, &kind_settings, false);
    struct json *next;
    json_set(j, STR("$schema"), text(&a, "https://json-schema.org/draft/2020-12/schema"));
    json_set(j, STR("title"), text(&a, "accord.yaml"));
    for (struct json *c = of->first; c; c = next) {
        next = c->next;
        json_set(j, c->key, c);
    }
    json_set(j, STR("$defs"), definitions(&a));
    json_print(b, j, 2);
    buf_addc(b, '\n');
    arena_reset(&a);
}
