/* JSON Schema written in Gemini's words. Source: Google's API reference, "Schema" (v1beta), and the errors
 * its servers answer with: an enum holds texts that are not empty, an array names its items, `required` names
 * properties that are there, an object without properties has no `properties`, anyOf stands alone. */
#include "base/must.h"
#include "dialect/schema_node.h"

enum { WORK_MIN = 4 << 20 };

/* ---- writing ---- */

static void put_node(struct compile *c, struct node *n, bool top_object);

static void put(struct compile *c, const struct node *n, unsigned k)
{
    ir_put_value(&c->b, schema_names[k].p, n->v[k]);
}

/* A schema in a place inside of another's: `layers` hold at once. */
static void put_inside(struct compile *c, struct node *up, const struct str *layers, unsigned count)
{
    struct node n = {.up = up};
    if (c->nodes > SCHEMA_NODES_MAX) {
        schema_lose(c, STR("nesting"));
        buf_add(&c->b, STR("{\"type\":\"string\"}"));
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        schema_read(c, &n, layers[i]);
    }
    put_node(c, &n, false);
}

static void put_enum(struct compile *c, const struct node *n)
{
    struct str list = n->v[K_ENUM], one = n->v[K_CONST];
    if (!list.n && one.n && one.p[0] == '"' && one.n > 2) {
        ir_put_name(&c->b, "enum");
        buf_addc(&c->b, '[');
        buf_add(&c->b, one);
        buf_addc(&c->b, ']');
        return;
    }
    if (!list.n || list.p[0] != '[') {
        if (list.n || one.n) {
            schema_lose_keyword(c, list.n ? K_ENUM : K_CONST);
        }
        return;
    }
    size_t before = c->b.n;
    bool any = false;
    ir_put_name(&c->b, "enum");
    buf_addc(&c->b, '[');
    struct walk w = walk_at(list);
    walk_enter(&w);
    while (walk_element(&w)) {
        struct str value = walk_value(&w);
        if (value.p[0] == '"' && value.n > 2) {
            ir_comma(&c->b);
            buf_add(&c->b, value);
            any = true;
        } else if (value.p[0] != 'n') {
            schema_lose_keyword(c, K_ENUM); /* numbers are none of its words, nor is "" */
        }
    }
    buf_addc(&c->b, ']');
    if (!any) {
        c->b.n = before;
    }
}

/* minimum or maximum; the open bound of an integer is the closed one beside it. */
static void put_bound(struct compile *c, const struct node *n, unsigned type, unsigned closed,
                      unsigned open, int step)
{
    int64_t v;
    struct str bound = n->v[open], one = n->v[K_CONST];
    if (n->v[closed].n) {
        put(c, n, closed);
        if (bound.n && bound.p[0] != 'f') {
            schema_lose_keyword(c, open);
        }
    } else if (one.n && json_type_of(one.p[0]) == JSON_NUMBER) {
        ir_put_value(&c->b, schema_names[closed].p, one);
    } else if (bound.n && json_type_of(bound.p[0]) == JSON_NUMBER) {
        if (type == T_INTEGER && json_int(bound, &v) == 0 && v > INT64_MIN && v < INT64_MAX) {
            ir_put_i64(&c->b, schema_names[closed].p, v + step);
        } else {
            ir_put_value(&c->b, schema_names[closed].p, bound);
            schema_lose_keyword(c, open);
        }
    } else if (bound.n && bound.p[0] == 't') {
        schema_lose_keyword(c, open);
    }
}

static void put_tuple(struct compile *c, struct node *n, struct str list)
{
    unsigned count = 0;
    schema_lose_keyword(c, K_PREFIX_ITEMS);
    struct walk w = walk_at(list);
    for (walk_enter(&w); walk_element(&w); count++) {
        walk_value(&w);
    }
    buf_add(&c->b, count > 1 ? STR("{\"anyOf\":[") : STR(""));
    w = walk_at(list);
    for (walk_enter(&w); walk_element(&w);) {
        struct str value = walk_value(&w);
        ir_comma(&c->b);
        put_inside(c, n, &value, 1);
    }
    buf_add(&c->b, count > 1 ? STR("]}") : STR(""));
}

/* An array or an object. */
static bool is_empty(struct str value)
{
    struct walk w = walk_at(value);
    walk_enter(&w);
    return !(value.p[0] == '[' ? walk_element(&w) : walk_member(&w, &(struct str){0}));
}

static void put_items(struct compile *c, struct node *n)
{
    struct str items = n->v[K_ITEMS], tuple = n->v[K_PREFIX_ITEMS];
    if (items.n && items.p[0] == '[') {
        tuple = items;
    }
    ir_put_name(&c->b, "items");
    if (tuple.n && tuple.p[0] == '[' && !is_empty(tuple)) {
        put_tuple(c, n, tuple);
    } else if (items.n && items.p[0] == '{') {
        put_inside(c, n, &items, 1);
    } else {
        buf_add(&c->b, STR("{\"type\":\"string\"}")); /* of anything: that cannot be said */
        schema_lose_keyword(c, K_ITEMS);
    }
}

/* All schemas of the property `key`: `first` of the layer `from`, and those of the layers behind it. */
static void put_property(struct compile *c, struct node *n, unsigned from, struct str key,
                         struct str first)
{
    struct str layers[SCHEMA_LAYERS_MAX] = {first}, value;
    unsigned count = 1;
    for (unsigned i = from + 1; i < n->nproperties; i++) {
        if (schema_spend(c, n->properties[i].n) && schema_member(n->properties[i], key, &value)) {
            layers[count++] = value;
        }
    }
    ir_comma(&c->b);
    buf_addc(&c->b, '"');
    buf_add(&c->b, key);
    buf_add(&c->b, STR("\":"));
    put_inside(c, n, layers, count);
}

/* Whether one of the first layers has a property `key`. */
static bool has_property(struct compile *c, const struct node *n, unsigned layers, struct str key)
{
    struct str value;
    for (unsigned i = 0; i < layers; i++) {
        if (schema_spend(c, n->properties[i].n) && schema_member(n->properties[i], key, &value)) {
            return true;
        }
    }
    return false;
}

/* Whether there were any. */
static bool put_properties(struct compile *c, struct node *n)
{
    size_t before = c->b.n;
    bool any = false;
    struct str key;
    ir_put_name(&c->b, "properties");
    buf_addc(&c->b, '{');
    for (unsigned i = 0; i < n->nproperties; i++) {
        struct walk w = walk_at(n->properties[i]);
        walk_enter(&w);
        while (walk_member(&w, &key)) {
            struct str value = walk_value(&w);
            if (!has_property(c, n, i, key)) {
                put_property(c, n, i, key, value);
                any = true;
            }
        }
    }
    buf_addc(&c->b, '}');
    if (!any) {
        c->b.n = before;
    }
    return any;
}

static bool is_listed(struct str list, struct str text)
{
    struct walk w = walk_at(list);
    walk_enter(&w);
    while (walk_element(&w)) {
        if (str_eq(walk_text(&w), text)) {
            return true;
        }
    }
    return false;
}

/* Whether a layer ahead of this one requires it, too. */
static bool was_required(struct compile *c, const struct node *n, unsigned layer, struct str name)
{
    for (unsigned i = 0; i < layer; i++) {
        if (schema_spend(c, n->required[i].n) && is_listed(n->required[i], name)) {
            return true;
        }
    }
    return false;
}

static void put_required(struct compile *c, const struct node *n)
{
    size_t before = c->b.n;
    bool any = false;
    ir_put_name(&c->b, "required");
    buf_addc(&c->b, '[');
    for (unsigned i = 0; i < n->nrequired; i++) {
        struct walk w = walk_at(n->required[i]);
        walk_enter(&w);
        while (walk_element(&w)) {
            struct str name = walk_text(&w);
            if (!name.n || was_required(c, n, i, name)) {
                continue;
            }
            if (!has_property(c, n, n->nproperties, name)) {
                schema_lose_keyword(c, K_REQUIRED);
                continue;
            }
            ir_comma(&c->b);
            buf_addc(&c->b, '"');
            buf_add(&c->b, name);
            buf_addc(&c->b, '"');
            any = true;
        }
    }
    buf_addc(&c->b, ']');
    if (!any) {
        c->b.n = before;
    }
}

static void put_object(struct compile *c, struct node *n)
{
    if (put_properties(c, n)) {
        put_required(c, n);
        put(c, n, K_ORDERING);
    } else if (n->nrequired) {
        put_required(c, n); /* names the loss */
    }
    put(c, n, K_MIN_PROPERTIES);
    put(c, n, K_MAX_PROPERTIES);
}

static void put_string(struct compile *c, const struct node *n)
{
    put_enum(c, n);
    put(c, n, K_MIN_LENGTH);
    put(c, n, K_MAX_LENGTH);
    put(c, n, K_PATTERN);
}

static void put_number(struct compile *c, const struct node *n, unsigned type)
{
    put_bound(c, n, type, K_MINIMUM, K_MORE_THAN, 1);
    put_bound(c, n, type, K_MAXIMUM, K_LESS_THAN, -1);
    if (n->v[K_ENUM].n) {
        schema_lose_keyword(c, K_ENUM);
    }
}

static void put_of_type(struct compile *c, struct node *n, unsigned type)
{
    switch (type) {
    case T_STRING:
        put_string(c, n);
        break;
    case T_INTEGER:
    case T_NUMBER:
        put_number(c, n, type);
        break;
    case T_ARRAY:
        put_items(c, n);
        put(c, n, K_MIN_ITEMS);
        put(c, n, K_MAX_ITEMS);
        break;
    case T_OBJECT:
        put_object(c, n);
        break;
    default:
        if (n->v[K_ENUM].n || n->v[K_CONST].n) {
            schema_lose_keyword(c, n->v[K_ENUM].n ? K_ENUM : K_CONST);
        }
        break;
    }
}

static void put_format(struct compile *c, const struct node *n, struct str word)
{
    if (n->v[K_FORMAT].n && schema_fits_format(word, n->v[K_FORMAT])) {
        put(c, n, K_FORMAT);
    } else if (n->v[K_FORMAT].n) {
        schema_lose_keyword(c, K_FORMAT);
    }
}

static void put_example(struct compile *c, const struct node *n)
{
    struct str list = n->v[K_EXAMPLES];
    if (n->v[K_EXAMPLE].n) {
        put(c, n, K_EXAMPLE);
    } else if (list.n && list.p[0] == '[' && !is_empty(list)) {
        ir_put_value(&c->b, "example", schema_element(list, 0));
        if (schema_element(list, 1).n) {
            schema_lose_keyword(c, K_EXAMPLES);
        }
    }
}

/* A schema of one type; `shallow` leaves out what is inside of it. */
static void put_one(struct compile *c, struct node *n, unsigned type, bool nullable, bool shallow)
{
    buf_addc(&c->b, '{');
    ir_put_text(&c->b, "type", schema_type_word(type));
    if (!shallow) {
        put_format(c, n, schema_type_word(type));
        put(c, n, K_TITLE);
    }
    put(c, n, K_DESCRIPTION);
    if (nullable) {
        ir_put_bool(&c->b, "nullable", true);
    }
    if (!shallow) {
        put_of_type(c, n, type);
        put(c, n, K_DEFAULT);
        put_example(c, n);
    } else if (type == T_ARRAY) {
        buf_add(&c->b, STR(",\"items\":{\"type\":\"string\"}"));
    }
    buf_addc(&c->b, '}');
}

static bool says_nullable(const struct node *n)
{
    return n->v[K_NULLABLE].n && n->v[K_NULLABLE].p[0] == 't';
}

/* ---- anyOf ---- */

static void put_any(struct compile *c, struct node *n)
{
    struct str list = n->v[K_ANY_OF];
    bool nullable = says_nullable(n) || (schema_types_said(n->v[K_TYPE]) & T_NULL);
    unsigned count = 0;
    struct walk w = walk_at(list);
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        bool null = schema_is_null(walk_value(&w));
        nullable = nullable || null;
        count += !null;
    }
    buf_add(&c->b, count > 1 ? STR("{\"anyOf\":[") : STR(""));
    w = walk_at(list);
    for (walk_enter(&w); walk_element(&w);) {
        struct str schema = walk_value(&w);
        if (!schema_is_null(schema)) {
            ir_comma(&c->b);
            struct node branch = {0};
            schema_read_branch(c, &branch, n, schema);
            if (nullable) {
                branch.v[K_NULLABLE] = STR("true");
            }
            put_node(c, &branch, false);
        }
    }
    buf_add(&c->b, count > 1 ? STR("]}") : STR(""));
}

/* The parameters of a function are one object: what any branch has may be there, none of it must. */
static void flatten(struct compile *c, struct node *n)
{
    struct walk w = walk_at(n->v[K_ANY_OF]);
    schema_lose_keyword(c, K_ANY_OF);
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        struct node branch = {.up = n};
        schema_read(c, &branch, walk_value(&w));
        if (branch.v[K_ANY_OF].n && c->depth < SCHEMA_DEPTH_MAX && !branch.cut) {
            c->depth++;
            flatten(c, &branch);
            c->depth--;
        }
        for (unsigned i = 0; i < branch.nproperties; i++) {
            schema_take(c, n, K_PROPERTIES, branch.properties[i]);
        }
    }
    n->v[K_ANY_OF] = (struct str){0};
}

static bool has_branch(struct str list)
{
    struct walk w = walk_at(list);
    for (bool in = walk_array(&w); in && walk_element(&w);) {
        if (!schema_is_null(walk_value(&w))) {
            return true;
        }
    }
    return false;
}

static void put_types(struct compile *c, struct node *n, unsigned said, bool nullable)
{
    bool several = said & (said - 1);
    buf_add(&c->b, several ? STR("{\"anyOf\":[") : STR(""));
    for (unsigned i = 0, t; (t = schema_type_at(i)); i++) {
        if (said & t) {
            ir_comma(&c->b);
            put_one(c, n, t, nullable, false);
        }
    }
    buf_add(&c->b, several ? STR("]}") : STR(""));
}

static unsigned types_of(struct compile *c, const struct node *n, bool top_object)
{
    unsigned said = n->v[K_TYPE].n ? schema_types_said(n->v[K_TYPE]) : T_NONE;
    if (top_object) {
        return T_OBJECT;
    }
    if (!said) {
        said = schema_guess_types(n);
    }
    if (!said) {
        said = T_STRING; /* anything: that cannot be said */
        schema_lose_keyword(c, K_TYPE);
    }
    return (said & T_NUMBER) ? said & ~(unsigned)T_INTEGER : said;
}

static void put_node(struct compile *c, struct node *n, bool top_object)
{
    if (n->v[K_ANY_OF].n && (top_object || !has_branch(n->v[K_ANY_OF]))) {
        flatten(c, n);
    }
    bool deep =
        ++c->nodes > SCHEMA_NODES_MAX || c->depth >= SCHEMA_DEPTH_MAX || !schema_spend(c, 0);
    if (deep) {
        schema_lose(c, STR("nesting"));
    }
    if (n->v[K_ANY_OF].n && !deep && !n->cut) {
        c->depth++;
        put_any(c, n);
        c->depth--;
        return;
    }
    unsigned said = types_of(c, n, top_object);
    bool nullable = (said & T_NULL) || says_nullable(n) ||
                    (n->v[K_ENUM].n && (schema_types_of_values(n->v[K_ENUM]) & T_NULL));
    said = said == T_NULL ? said : said & ~(unsigned)T_NULL;
    nullable = nullable && said != T_NULL && !top_object;
    if (deep || n->cut) {
        put_one(c, n, said & -said, nullable, true);
        return;
    }
    c->depth++;
    put_types(c, n, said, nullable);
    c->depth--;
}

static struct str lost_names(struct compile *c)
{
    struct buf b = {.arena = c->arena};
    for (unsigned i = 0; i < c->nlost; i++) {
        buf_add(&b, i ? STR(",") : STR(""));
        buf_add(&b, c->lost[i]);
    }
    return buf_str(&b);
}

/* A function whose parameters are an object without any property takes none, unless it says that it takes
 * others. */
static bool takes_none(const struct node *n)
{
    for (unsigned i = 0; i < n->nproperties; i++) {
        if (!is_empty(n->properties[i])) {
            return false;
        }
    }
    return !n->v[K_ADDITIONAL].n;
}

struct schema schema_compile(struct arena *a, struct str source, enum schema_use use)
{
    bool top_object = use == SCHEMA_PARAMETERS;
    must(source.n && source.p[0] == '{');
    if (schema_fits(source, top_object, 0)) {
        return (struct schema){.text = source};
    }
    struct compile c = {.b = {.arena = a}, .arena = a, .root = source};
    c.work_max = WORK_MIN + 4 * source.n;
    struct node n = {.refs = {source.p}, .nrefs = 1};
    schema_read(&c, &n, source);
    put_node(&c, &n, top_object);
    struct schema s = {.text = buf_str(&c.b), .lost = lost_names(&c)};
    if (top_object && takes_none(&n)) {
        s.text = (struct str){0};
    }
    return s;
}
