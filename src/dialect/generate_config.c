/* gemini.generate, requests: tools, toolConfig and generationConfig. */
#include "dialect/generate.h"
#include "dialect/schema.h"

/* ---- tools ---- */

static void read_function(struct ir_call *c, struct ir_tool *t, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (walk_type(w) == JSON_NULL) {
            walk_value(w);
        } else if (str_eq(key, STR("name"))) {
            t->name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            t->description = walk_text(w);
        } else if (generate_is(key, STR("parameters_json_schema"))) {
            struct str schema = walk_value(w);
            t->schema = schema.p[0] == '{' ? schema : t->schema;
        } else if (str_eq(key, STR("parameters"))) {
            struct str schema = walk_value(w);
            t->schema = schema.p[0] == '{' ? schema_from_gemini(c->arena, schema) : t->schema;
        } else {
            ir_drop_found(c, "tools.functionDeclarations.", key, "");
            walk_value(w);
        }
    }
}

static int read_functions(struct ir_call *c, struct walk *w, unsigned i)
{
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools[%u].functionDeclarations", i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        struct ir_tool *t = ir_add_tool(c);
        read_function(c, t, w);
        if (!t->name.n) {
            return ir_bad(c, "must each have a name", "tools[%u].functionDeclarations", i);
        }
    }
    return 0;
}

static int read_tool(struct ir_call *c, struct walk *w, unsigned i)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (walk_type(w) == JSON_NULL) {
            walk_value(w);
        } else if (generate_is(key, STR("function_declarations"))) {
            int e = read_functions(c, w, i);
            if (e < 0) {
                return e;
            }
        } else {
            ir_drop_found(c, "tools[", key, "]");
            walk_value(w);
        }
    }
    return 0;
}

int generate_read_tools(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_OBJECT) {
        return read_tool(c, w, 0);
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        int e = read_tool(c, w, i);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

/* Words of enums: upper case by the reference, and taken in any. */
static bool is_word(struct str text, struct str word)
{
    return str_ieq(text, word);
}

static int read_mode(struct ir_call *c, struct walk *w)
{
    struct str mode = walk_text(w);
    if (is_word(mode, STR("AUTO"))) {
        c->choice = IR_CHOICE_AUTO;
    } else if (is_word(mode, STR("ANY"))) {
        c->choice = IR_CHOICE_ANY;
    } else if (is_word(mode, STR("NONE"))) {
        c->choice = IR_CHOICE_NONE;
    } else if (is_word(mode, STR("VALIDATED"))) {
        c->choice = IR_CHOICE_AUTO;
        ir_drop(c, STR("toolConfig.functionCallingConfig.mode"));
    } else if (mode.n && !is_word(mode, STR("MODE_UNSPECIFIED"))) {
        return ir_bad(c, "must be AUTO, ANY, NONE or VALIDATED",
                      "toolConfig.functionCallingConfig.mode");
    }
    return 0;
}

static int read_calling(struct ir_call *c, struct walk *w)
{
    struct str key;
    int e = 0;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("mode"))) {
            e = read_mode(c, w);
            if (e < 0) {
                return e;
            }
        } else if (generate_is(key, STR("allowed_function_names"))) {
            for (bool more = walk_array(w); more && walk_element(w);) {
                ir_append(c->arena, &c->choice_among, walk_text(w));
            }
        } else {
            ir_drop_found(c, "toolConfig.functionCallingConfig.", key, "");
            walk_value(w);
        }
    }
    if (c->choice == IR_CHOICE_ANY && c->choice_among && !c->choice_among->next) {
        c->choice = IR_CHOICE_TOOL;
        c->choice_tool = c->choice_among->text;
        c->choice_among = NULL;
    }
    return 0;
}

int generate_read_choice(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (walk_type(w) == JSON_NULL) {
            walk_value(w);
        } else if (generate_is(key, STR("function_calling_config"))) {
            int e = read_calling(c, w);
            if (e < 0) {
                return e;
            }
        } else {
            ir_drop_found(c, "toolConfig.", key, "");
            walk_value(w);
        }
    }
    return 0;
}

/* ---- generationConfig ---- */

static enum ir_effort effort_of(struct str level)
{
    char lower[16];
    if (level.n > sizeof lower) {
        return IR_EFFORT_UNSAID;
    }
    for (size_t i = 0; i < level.n; i++) {
        lower[i] = level.p[i] >= 'A' && level.p[i] <= 'Z' ? (char)(level.p[i] | 0x20) : level.p[i];
    }
    return ir_effort_of(str_make(lower, level.n));
}

static int read_thinking(struct ir_call *c, struct walk *w)
{
    struct str key;
    int64_t budget;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        enum json_type is = walk_type(w);
        if (is == JSON_NULL) {
            walk_value(w);
        } else if (generate_is(key, STR("include_thoughts"))) {
            c->show_thinking = is == JSON_TRUE ? IR_YES : IR_NO;
            walk_value(w);
        } else if (generate_is(key, STR("thinking_budget"))) {
            if (json_int(walk_value(w), &budget) < 0 || budget < -1) {
                return ir_bad(c, "must be an integer, -1 at least",
                              "generationConfig.thinkingConfig.thinkingBudget");
            }
            c->budget = budget < 0 ? IR_BUDGET_DYNAMIC : budget;
        } else if (generate_is(key, STR("thinking_level"))) {
            struct str level = walk_text(w);
            c->effort = effort_of(level);
            if (!c->effort && level.n && !is_word(level, STR("THINKING_LEVEL_UNSPECIFIED"))) {
                return ir_bad(c, "must be MINIMAL, LOW, MEDIUM or HIGH",
                              "generationConfig.thinkingConfig.thinkingLevel");
            }
        } else {
            ir_drop_found(c, "generationConfig.thinkingConfig.", key, "");
            walk_value(w);
        }
    }
    return 0;
}

static void read_media_type(struct ir_call *c, struct walk *w)
{
    struct str type = walk_text(w);
    if (ir_is(type, STR("application/json"))) {
        c->format = IR_FORMAT_JSON;
    } else if (ir_is(type, STR("text/plain"))) {
        c->format = IR_FORMAT_TEXT;
    } else if (type.n) {
        ir_drop_found(c, "generationConfig.responseMimeType=", type, "");
    }
}

/* TEXT is what is answered anyway. */
static void read_modalities(struct ir_call *c, struct walk *w)
{
    for (bool in = walk_array(w); in && walk_element(w);) {
        struct str word = walk_text(w);
        if (!is_word(word, STR("TEXT"))) {
            ir_drop_found(c, "generationConfig.responseModalities[", word, "]");
        }
    }
}

static int read_config_member(struct ir_call *c, struct str key, struct walk *w)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
    } else if (generate_is(key, STR("stop_sequences"))) {
        return ir_read_stop(c, "generationConfig.stopSequences", w);
    } else if (generate_is(key, STR("thinking_config"))) {
        return read_thinking(c, w);
    } else if (generate_is(key, STR("response_mime_type"))) {
        read_media_type(c, w);
    } else if (generate_is(key, STR("response_json_schema")) ||
               str_eq(key, STR("_responseJsonSchema"))) {
        struct str schema = walk_value(w);
        c->schema = schema.p[0] == '{' ? schema : c->schema;
    } else if (generate_is(key, STR("response_schema"))) {
        struct str schema = walk_value(w);
        c->schema = schema.p[0] == '{' ? schema_from_gemini(c->arena, schema) : c->schema;
    } else if (generate_is(key, STR("response_modalities"))) {
        read_modalities(c, w);
    } else {
        ir_drop_found(c, "generationConfig.", key, "");
        walk_value(w);
    }
    return 0;
}

int generate_read_config(struct ir_call *c, struct walk *w)
{
    struct str key;
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(c, "must be an object", "generationConfig");
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        int e =
            ir_read_member(c, generate_members + GENERATE_TOP_MEMBERS, "generationConfig.", key, w);
        e = e ? e : read_config_member(c, key, w);
        if (e < 0) {
            return e;
        }
    }
    if (c->schema.n && c->format != IR_FORMAT_TEXT) {
        c->format = IR_FORMAT_SCHEMA;
    }
    return 0;
}
