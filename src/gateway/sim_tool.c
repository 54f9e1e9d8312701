/* Calls of tools: whether one is called, and arguments that its schema would take. */
#include "gateway/sim_call.h"

enum {
    TOOLS_MAX = 1024,
    SAMPLE_DEPTH = 12,       /* of a schema */
    SAMPLE_MAX = 256 * 1024, /* bytes of arguments */
};

void sim_offer_tool(struct sim_call *c, struct str name, const struct json *schema)
{
    if (!c->tools) {
        c->tools = arena_alloc(&c->req->input, TOOLS_MAX * sizeof *c->tools);
    }
    if (name.n && c->n_tools < TOOLS_MAX) {
        c->tools[c->n_tools++] = (struct sim_tool){name, schema};
    }
}

static const struct sim_tool *find(const struct sim_call *c, struct str name)
{
    for (size_t i = 0; i < c->n_tools; i++) {
        if (str_eq(c->tools[i].name, name)) {
            return &c->tools[i];
        }
    }
    return NULL;
}

/* ---- a value for a schema ---- */

static void sample(struct buf *b, const struct json *root, const struct json *schema,
                   unsigned depth);

static void sample_object(struct buf *b, const struct json *root, const struct json *schema,
                          unsigned depth)
{
    const struct json *required = json_get(schema, STR("required"));
    const struct json *properties = json_get(schema, STR("properties"));
    bool first = true;
    buf_addc(b, '{');
    for (const struct json *r = required ? required->first : NULL; r; r = r->next) {
        if (r->type == JSON_STRING && !b->overflow) {
            buf_add(b, first ? STR("") : STR(","));
            sim_string(b, r->text);
            buf_addc(b, ':');
            sample(b, root, json_get(properties, r->text), depth + 1);
            first = false;
        }
    }
    buf_addc(b, '}');
}

static void sample_array(struct buf *b, const struct json *root, const struct json *schema,
                         unsigned depth)
{
    const struct json *least = json_get(schema, STR("minItems"));
    int64_t n = 0;
    if (least && least->type == JSON_NUMBER && json_int(least->text, &n) < 0) {
        n = 0;
    }
    buf_addc(b, '[');
    for (int64_t i = 0; i < n && !b->overflow; i++) {
        buf_add(b, i ? STR(",") : STR(""));
        sample(b, root, json_get(schema, STR("items")), depth + 1);
    }
    buf_addc(b, ']');
}

/* The schema that stands for this one: what a $ref names, or the first of several. */
static const struct json *stand_in(const struct json *root, const struct json *schema)
{
    static const struct str choices[] = {{"anyOf", 5}, {"oneOf", 5}, {"allOf", 5}};
    const struct json *ref = json_get(schema, STR("$ref"));
    if (ref && ref->type == JSON_STRING && str_starts(ref->text, STR("#"))) {
        return json_at(root, str_from(ref->text, 1));
    }
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const struct json *list = json_get(schema, choices[i]);
        if (list && list->type == JSON_ARRAY && list->first) {
            return list->first;
        }
    }
    return NULL;
}

/* A value that the schema names itself. */
static const struct json *named_value(const struct json *schema)
{
    const struct json *list = json_get(schema, STR("enum"));
    const struct json *value = json_get(schema, STR("const"));
    if (!value) {
        value = json_get(schema, STR("default"));
    }
    return value || !list || list->type != JSON_ARRAY ? value : list->first;
}

static void sample_plain(struct buf *b, const struct json *schema, struct str type)
{
    const struct json *least = json_get(schema, STR("minimum"));
    if (str_ieq(type, STR("number")) || str_ieq(type, STR("integer"))) {
        buf_add(b, least && least->type == JSON_NUMBER ? least->text : STR("1"));
    } else if (str_ieq(type, STR("boolean"))) {
        buf_add(b, STR("true"));
    } else if (str_ieq(type, STR("null"))) {
        buf_add(b, STR("null"));
    } else {
        buf_add(b, STR("\"sim\""));
    }
}

/* The smallest value that the schema takes, as far as types, required members and enums go. Type
 * names are in capitals in Gemini's schemas. */
static void sample(struct buf *b, const struct json *root, const struct json *schema,
                   unsigned depth)
{
    const struct json *type = json_get(schema, STR("type"));
    const struct json *value = named_value(schema), *other = stand_in(root, schema);
    struct str name = sim_text(type && type->type == JSON_ARRAY ? type->first : type);
    if (depth > SAMPLE_DEPTH) {
        buf_add(b, STR("null"));
    } else if (value && depth) {
        json_print(b, value, 0);
    } else if (other) {
        sample(b, root, other, depth + 1);
    } else if (str_ieq(name, STR("object")) || json_get(schema, STR("properties")) || depth == 0) {
        sample_object(b, root, schema, depth);
    } else if (str_ieq(name, STR("array"))) {
        sample_array(b, root, schema, depth);
    } else {
        sample_plain(b, schema, name);
    }
}

/* ---- the choice ---- */

static bool call_tool(struct sim_call *c, const struct sim_tool *t, const struct json *arguments)
{
    struct buf b = {.arena = &c->req->arena, .limit = arguments ? 0 : SAMPLE_MAX};
    if (arguments) {
        json_print(&b, arguments, 0);
    } else {
        sample(&b, t->schema, t->schema, 0);
    }
    if (b.overflow) {
        return sim_refuse(
            c, 400, "invalid_value", "tools",
            "The tool \"%.*s\" has a schema that is too large to simulate its arguments.",
            STR_ARG(str_first(t->name, 64)));
    }
    c->tool = arena_dup(&c->req->arena, t->name);
    c->text = buf_str(&b);
    return true;
}

/* "call NAME {json}", of a tool that is offered. `*ret` NULL: it is something else. */
static bool read_call(struct sim_call *c, const struct sim_tool **ret, struct json **ret_arguments)
{
    struct str rest = buf_str(&c->said), name;
    struct json_error err;
    *ret = NULL;
    *ret_arguments = NULL;
    if (c->said_by_tool || !str_starts(rest, STR("call "))) {
        return true;
    }
    rest = str_from(rest, 5);
    str_cut(&rest, ' ', &name);
    *ret = find(c, name);
    rest = str_trim(rest);
    if (!*ret || rest.n == 0) {
        return true;
    }
    /* The text is in the arena of the request, so the tree may point into it. */
    if (json_parse(&c->req->arena, rest, ret_arguments, &err) < 0 ||
        (*ret_arguments)->type != JSON_OBJECT) {
        return sim_refuse(c, 400, "invalid_call", NULL,
                          "Behind \"call %.*s\" there must be a JSON object with the arguments.",
                          STR_ARG(str_first(name, 64)));
    }
    return true;
}

bool sim_choose_tool(struct sim_call *c, bool forced, struct str name)
{
    const struct sim_tool *asked;
    struct json *arguments;
    if (!read_call(c, &asked, &arguments)) {
        return false;
    }
    if (asked && (name.n == 0 || str_eq(asked->name, name))) {
        return call_tool(c, asked, arguments);
    }
    if (!forced) {
        return true;
    }
    const struct sim_tool *t = name.n ? find(c, name) : c->n_tools ? c->tools : NULL;
    if (!t) {
        return sim_refuse(c, 400, "invalid_value", "tool_choice",
                          "A tool must be called, but the request offers no%s%.*s.",
                          name.n ? " tool named " : "ne", STR_ARG(str_first(name, 64)));
    }
    return call_tool(c, t, NULL);
}
