/* openai.responses, tools as a request offers them: functions and freeform ones, alone or in namespaces. Those that
 * OpenAI runs itself have no place elsewhere. */
#include "dialect/responses.h"

/* Codex takes calls without a namespace for those of "functions". */
struct str responses_joined(struct arena *a, struct str space, struct str name)
{
    if (!space.n || str_eq(space, STR("functions"))) {
        return name;
    }
    const char *between = str_ends(space, STR("__")) ? "" : "__";
    return arena_printf(a, "%.*s%s%.*s", STR_ARG(space), between, STR_ARG(name));
}

/* What stands in a member that means nothing: null, false, an empty array. */
static bool is_nothing(struct str value)
{
    return value.p[0] == 'n' || value.p[0] == 'f' ||
           (value.p[0] == '[' && str_trim(str_make(value.p + 1, value.n - 2)).n == 0);
}

void responses_drop_member(struct ir_call *c, const char *front, struct str key, struct walk *w)
{
    if (!is_nothing(walk_value(w))) {
        ir_drop_found(c, front, key, "");
    }
}

static int read_tools(struct ir_call *c, struct walk *w, struct str space, unsigned depth);

/* Tools that the caller runs. */
static bool is_callers(struct str type)
{
    return ir_is(type, STR("function")) || ir_is(type, STR("custom"));
}

/* A custom tool's format when it only says that the input is a text. */
static bool is_no_format(struct str key, struct walk w)
{
    struct str inner;
    bool text = false;
    if (!str_eq(key, STR("format"))) {
        return false;
    }
    for (bool in = walk_object(&w); in && walk_member(&w, &inner);) {
        struct str value = walk_value(&w);
        text = text || (str_eq(inner, STR("type")) && str_eq(value, STR("\"text\"")));
    }
    return text;
}

static int read_tool(struct ir_call *c, struct walk *w, struct str space, unsigned depth)
{
    struct str key, type = {0}, name = {0};
    struct ir_tool t = {.space = space};
    struct walk inner = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            t.description = walk_text(w);
        } else if (str_eq(key, STR("parameters"))) {
            struct str schema = walk_value(w);
            t.schema = schema.p[0] == '{' ? schema : (struct str){0};
        } else if (str_eq(key, STR("strict"))) {
            enum json_type is = walk_type(w);
            t.strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else if (str_eq(key, STR("tools"))) {
            inner = *w;
            walk_value(w);
        } else {
            bool ours = !type.n || is_callers(type); /* else the whole tool is named */
            if (ours && !is_no_format(key, *w)) {
                bool format = str_eq(key, STR("format"));
                responses_drop_member(c, format ? "tools.custom." : "tools.", key, w);
            } else {
                walk_value(w);
            }
        }
    }
    if (ir_is(type, STR("namespace")) && inner.p && depth == 0) {
        if (t.description.n) {
            ir_drop(c, STR("tools.namespace.description"));
        }
        return read_tools(c, &inner, name, 1);
    }
    if (!is_callers(type)) {
        ir_drop_found(c, "tools[", type, "]"); /* run by OpenAI */
        return 0;
    }
    if (!name.n) {
        return ir_bad(c, "must each have a name", "tools");
    }
    struct ir_tool *to = ir_add_tool(c);
    t.bare = space.n ? name : (struct str){0};
    t.name = responses_joined(c->arena, space, name);
    t.freeform = ir_is(type, STR("custom"));
    *to = t;
    return 0;
}

static int read_tools(struct ir_call *c, struct walk *w, struct str space, unsigned depth)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools");
    }
    walk_enter(w);
    while (walk_element(w)) {
        int r = read_tool(c, w, space, depth);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int responses_read_tools(struct ir_call *c, struct walk *w)
{
    return read_tools(c, w, (struct str){0}, 0);
}

/* ---- tool_choice ---- */

struct choice {
    struct str type, name, space, mode;
    struct walk tools;
};

static struct choice read_one(struct walk *w)
{
    struct choice k = {0};
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            k.type = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            k.name = walk_text(w);
        } else if (str_eq(key, STR("namespace"))) {
            k.space = walk_text(w);
        } else if (str_eq(key, STR("mode"))) {
            k.mode = walk_text(w);
        } else {
            if (str_eq(key, STR("tools"))) {
                k.tools = *w;
            }
            walk_value(w);
        }
    }
    return k;
}

static void read_allowed(struct ir_call *c, const struct choice *k)
{
    struct walk w = k->tools;
    c->choice = ir_is(k->mode, STR("required")) ? IR_CHOICE_ANY : IR_CHOICE_AUTO;
    for (bool any = w.p && walk_array(&w); any && walk_element(&w);) {
        struct choice one = read_one(&w);
        if (is_callers(one.type) && one.name.n) {
            ir_append(c->arena, &c->choice_among, responses_joined(c->arena, one.space, one.name));
        } else {
            ir_drop_found(c, "tool_choice.tools[", one.type, "]");
        }
    }
}

int responses_read_choice(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_OBJECT) {
        struct choice k = read_one(w);
        if (ir_is(k.type, STR("allowed_tools"))) {
            read_allowed(c, &k);
        } else if (is_callers(k.type) && k.name.n) {
            c->choice = IR_CHOICE_TOOL;
            c->choice_tool = responses_joined(c->arena, k.space, k.name);
        } else {
            ir_drop_found(c, "tool_choice[", k.type, "]");
        }
        return 0;
    }
    bool nothing = walk_type(w) == JSON_NULL;
    struct str word = walk_text(w);
    c->choice = ir_is(word, STR("auto"))       ? IR_CHOICE_AUTO
                : ir_is(word, STR("none"))     ? IR_CHOICE_NONE
                : ir_is(word, STR("required")) ? IR_CHOICE_ANY
                                               : IR_CHOICE_UNSAID;
    if (!c->choice && !nothing) {
        return ir_bad(c, "must be auto, none, required or an object that names a tool",
                      "tool_choice");
    }
    return 0;
}
