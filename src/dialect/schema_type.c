/* Which types a schema is about. */
#include "dialect/schema_node.h"

static const struct {
    struct str word;
    enum type type;
} types[] = {
    {{"string", 6}, T_STRING},   {{"number", 6}, T_NUMBER}, {{"integer", 7}, T_INTEGER},
    {{"boolean", 7}, T_BOOLEAN}, {{"array", 5}, T_ARRAY},   {{"object", 6}, T_OBJECT},
    {{"null", 4}, T_NULL},
};
enum { TYPES = sizeof types / sizeof *types };

static unsigned type_of_word(struct str word)
{
    for (unsigned i = 0; i < TYPES; i++) {
        if (str_ieq(word, types[i].word)) {
            return types[i].type;
        }
    }
    return T_NONE;
}

static unsigned type_of_value(struct str value)
{
    int64_t integer;
    switch (json_type_of(value.p[0])) {
    case JSON_STRING:
        return T_STRING;
    case JSON_NUMBER:
        return json_int(value, &integer) == 0 ? T_INTEGER : T_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return T_BOOLEAN;
    case JSON_NULL:
        return T_NULL;
    case JSON_ARRAY:
        return T_ARRAY;
    default:
        return T_OBJECT;
    }
}

unsigned schema_types_said(struct str value)
{
    struct walk w = walk_at(value);
    unsigned said = T_NONE;
    if (!value.n) {
        return said;
    }
    if (walk_type(&w) == JSON_STRING) {
        return type_of_word(walk_text(&w));
    }
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        said |= type_of_word(walk_text(&w));
    }
    return said;
}

unsigned schema_types_of_values(struct str list)
{
    struct walk w = walk_at(list);
    unsigned found = T_NONE;
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        found |= type_of_value(walk_value(&w));
    }
    return found;
}

unsigned schema_guess_types(const struct node *n)
{
    if (n->v[K_ENUM].n) {
        return schema_types_of_values(n->v[K_ENUM]);
    }
    if (n->v[K_CONST].n) {
        return type_of_value(n->v[K_CONST]);
    }
    if (n->nproperties || n->nrequired || n->v[K_MIN_PROPERTIES].n || n->v[K_MAX_PROPERTIES].n) {
        return T_OBJECT;
    }
    if (n->v[K_ITEMS].n || n->v[K_PREFIX_ITEMS].n || n->v[K_MIN_ITEMS].n || n->v[K_MAX_ITEMS].n) {
        return T_ARRAY;
    }
    if (n->v[K_MINIMUM].n || n->v[K_MAXIMUM].n || n->v[K_MORE_THAN].n || n->v[K_LESS_THAN].n) {
        return T_NUMBER;
    }
    if (n->v[K_PATTERN].n || n->v[K_MIN_LENGTH].n || n->v[K_MAX_LENGTH].n || n->v[K_FORMAT].n) {
        return T_STRING;
    }
    return T_NONE;
}

bool schema_is_null(struct str schema)
{
    struct str value;
    if (schema.p[0] != '{') {
        return false;
    }
    enum json_type is = json_member(schema, STR("type"), &value);
    if (is == JSON_STRING || is == JSON_ARRAY) {
        return schema_types_said(value) == T_NULL;
    }
    if (json_member(schema, STR("enum"), &value) == JSON_ARRAY) {
        return schema_types_of_values(value) == T_NULL;
    }
    return json_member(schema, STR("const"), &value) == JSON_NULL;
}

struct str schema_type_word(unsigned type)
{
    unsigned i = 0;
    while (types[i].type != type) {
        i++;
    }
    return types[i].word;
}

unsigned schema_type_at(unsigned i)
{
    return i < TYPES ? types[i].type : (unsigned)T_NONE;
}
