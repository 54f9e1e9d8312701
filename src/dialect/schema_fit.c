/* What of a schema Gemini takes as it is. */
#include "dialect/schema_node.h"

const struct str schema_names[K_COUNT] = {
    [K_TYPE] = {"type", 4},
    [K_FORMAT] = {"format", 6},
    [K_TITLE] = {"title", 5},
    [K_DESCRIPTION] = {"description", 11},
    [K_NULLABLE] = {"nullable", 8},
    [K_ENUM] = {"enum", 4},
    [K_MIN_LENGTH] = {"minLength", 9},
    [K_MAX_LENGTH] = {"maxLength", 9},
    [K_PATTERN] = {"pattern", 7},
    [K_MINIMUM] = {"minimum", 7},
    [K_MAXIMUM] = {"maximum", 7},
    [K_ITEMS] = {"items", 5},
    [K_MIN_ITEMS] = {"minItems", 8},
    [K_MAX_ITEMS] = {"maxItems", 8},
    [K_PROPERTIES] = {"properties", 10},
    [K_REQUIRED] = {"required", 8},
    [K_MIN_PROPERTIES] = {"minProperties", 13},
    [K_MAX_PROPERTIES] = {"maxProperties", 13},
    [K_ORDERING] = {"propertyOrdering", 16},
    [K_DEFAULT] = {"default", 7},
    [K_EXAMPLE] = {"example", 7},
    [K_ANY_OF] = {"anyOf", 5},
    [K_ONE_OF] = {"oneOf", 5},
    [K_ALL_OF] = {"allOf", 5},
    [K_REF] = {"$ref", 4},
    [K_CONST] = {"const", 5},
    [K_MORE_THAN] = {"exclusiveMinimum", 16},
    [K_LESS_THAN] = {"exclusiveMaximum", 16},
    [K_EXAMPLES] = {"examples", 8},
    [K_PREFIX_ITEMS] = {"prefixItems", 11},
    [K_ADDITIONAL] = {"additionalProperties", 20},
};

unsigned schema_keyword(struct str key)
{
    unsigned k = 0;
    while (k < K_COUNT && !str_eq(schema_names[k], key)) {
        k++;
    }
    return k;
}

/* ---- what needs no change ---- */

bool schema_fits_format(struct str type, struct str quoted)
{
    struct str f = quoted.n >= 2 ? str_make(quoted.p + 1, quoted.n - 2) : quoted;
    if (str_ieq(type, STR("string"))) {
        return str_eq(f, STR("date-time")) || str_eq(f, STR("enum"));
    }
    if (str_ieq(type, STR("integer"))) {
        return str_eq(f, STR("int32")) || str_eq(f, STR("int64"));
    }
    return str_ieq(type, STR("number")) && (str_eq(f, STR("float")) || str_eq(f, STR("double")));
}

static bool fits_enum(struct str list)
{
    struct walk w = walk_at(list);
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        if (walk_text(&w).n == 0) {
            return false;
        }
    }
    return list.p[0] == '[';
}

static bool fits_each(struct str list, unsigned depth)
{
    struct walk w = walk_at(list);
    unsigned n = 0;
    for (bool in = walk_array(&w); in && walk_element(&w); n++) {
        if (!schema_fits(walk_value(&w), false, depth)) {
            return false;
        }
    }
    return n > 1;
}

static bool fits_properties(struct str object, unsigned depth)
{
    struct walk w = walk_at(object);
    struct str key;
    unsigned n = 0;
    for (bool in = walk_object(&w); in && walk_member(&w, &key); n++) {
        if (!schema_fits(walk_value(&w), false, depth)) {
            return false;
        }
    }
    return n > 0;
}

/* The value of the member spelled as `key`, both the inside of their strings. */
bool schema_member(struct str object, struct str key, struct str *ret_value)
{
    struct walk w = walk_at(object);
    struct str name;
    for (bool in = walk_object(&w); in && walk_member(&w, &name);) {
        *ret_value = walk_value(&w);
        if (str_eq(name, key)) {
            return true;
        }
    }
    return false;
}

/* Compared one by one: only where that is not much. */
enum { REQUIRED_WORK_MAX = 1 << 22 };

static bool fits_required(struct str list, struct str properties)
{
    if (list.n > REQUIRED_WORK_MAX / (properties.n + 1)) {
        return false;
    }
    struct walk w = walk_at(list);
    struct str value;
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        if (!schema_member(properties, walk_text(&w), &value)) {
            return false;
        }
    }
    return list.p[0] == '[';
}

static bool fits_type(const struct str *v, struct str type, unsigned depth)
{
    if (str_ieq(type, STR("object"))) {
        return v[K_PROPERTIES].n
                   ? fits_properties(v[K_PROPERTIES], depth) &&
                         (!v[K_REQUIRED].n || fits_required(v[K_REQUIRED], v[K_PROPERTIES]))
                   : !v[K_REQUIRED].n;
    }
    if (v[K_PROPERTIES].n || v[K_REQUIRED].n) {
        return false;
    }
    if (str_ieq(type, STR("array"))) {
        return v[K_ITEMS].n && schema_fits(v[K_ITEMS], false, depth);
    }
    if (v[K_ITEMS].n) {
        return false;
    }
    if (v[K_ENUM].n) {
        return str_ieq(type, STR("string")) && fits_enum(v[K_ENUM]);
    }
    return str_ieq(type, STR("string")) || str_ieq(type, STR("number")) ||
           str_ieq(type, STR("integer")) || str_ieq(type, STR("boolean"));
}

bool schema_fits(struct str schema, bool top_object, unsigned depth)
{
    struct str v[K_COUNT] = {0}, key;
    struct walk w = walk_at(schema);
    unsigned n = 0;
    if (walk_type(&w) != JSON_OBJECT || depth > SCHEMA_DEPTH_MAX) {
        return false;
    }
    walk_enter(&w);
    for (; walk_member(&w, &key); n++) {
        unsigned k = schema_keyword(key);
        if (k > K_LAST_KNOWN || v[k].n) {
            return false;
        }
        v[k] = walk_value(&w);
    }
    if (v[K_ANY_OF].n) {
        return n == 1 && !top_object && fits_each(v[K_ANY_OF], depth + 1);
    }
    if (!v[K_TYPE].n || v[K_TYPE].p[0] != '"') {
        return false;
    }
    struct str type = str_make(v[K_TYPE].p + 1, v[K_TYPE].n - 2);
    if (top_object && (!str_ieq(type, STR("object")) || !v[K_PROPERTIES].n)) {
        return false;
    }
    return (!v[K_FORMAT].n || schema_fits_format(type, v[K_FORMAT])) &&
           fits_type(v, type, depth + 1);
}
