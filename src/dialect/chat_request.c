/* openai.chat, requests. Source: OpenAI API reference, "Create chat completion"; members of other vendors
 * (reasoning_content, top_k, random_seed) as their references have them. */
#include <errno.h>

#include "dialect/chat.h"
#include "dialect/ir_member.h"

/* As they are read; a form's member may have several spellings. */
static const struct ir_member read_members[] = {
    IR_MEMBER("max_completion_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("min_p", min_p, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("random_seed", seed, JSON_NUMBER),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("n", n, JSON_NUMBER),
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER("logit_bias", logit_bias, JSON_OBJECT),
    IR_MEMBER("verbosity", verbosity, JSON_STRING),
    IR_MEMBER("user", end_user, JSON_STRING),
    IR_MEMBER("safety_identifier", end_user, JSON_STRING),
    IR_MEMBER("metadata", metadata, JSON_OBJECT),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("prompt_cache_key", cache_key, JSON_STRING),
    IR_MEMBER("store", store, JSON_TRUE),
    IR_MEMBER("parallel_tool_calls", parallel, JSON_TRUE),
    IR_MEMBER_END,
};

/* ---- tools and the rest ---- */

static void read_tool_function(struct ir_call *c, struct ir_tool *t, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            t->name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            t->description = walk_text(w);
        } else if (str_eq(key, STR("parameters"))) {
            struct str schema = walk_value(w);
            t->schema = schema.p[0] == '{' ? schema : (struct str){0};
        } else if (str_eq(key, STR("strict"))) {
            enum json_type is = walk_type(w);
            t->strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else if (str_eq(key, STR("format"))) {
            ir_drop(c, STR("tools.custom.format"));
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
}

static int read_tools(struct ir_call *c, struct walk *w, bool bare)
{
    struct str key;
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        struct str type = {0};
        struct walk function = {0};
        enum ir_cache mark = IR_CACHE_NONE;
        if (bare) {
            read_tool_function(c, ir_add_tool(c), w); /* functions: the old form */
            continue;
        }
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("type"))) {
                type = walk_text(w);
            } else if (str_eq(key, STR("function")) || str_eq(key, STR("custom"))) {
                function = *w;
                walk_value(w);
            } else if (str_eq(key, STR("cache_control"))) {
                mark = ir_read_cache_mark(w);
            } else {
                walk_value(w);
            }
        }
        if (!function.p) {
            ir_drop_found(c, "tools[", type, "]");
            continue;
        }
        struct ir_tool *t = ir_add_tool(c);
        t->cache = mark;
        t->freeform = ir_is(type, STR("custom"));
        read_tool_function(c, t, &function);
        if (!t->name.n) {
            return ir_bad(c, "must have a function with a name", "tools[%u]", i);
        }
    }
    return 0;
}

int chat_read_tools(struct ir_call *c, struct walk *w)
{
    return read_tools(c, w, false);
}

/* {"type":"function","function":{"name":...}}, or {"name":...} of the old form. */
static void read_choice_object(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("function")) || str_eq(key, STR("custom"))) {
            read_choice_object(c, w);
        } else if (str_eq(key, STR("name"))) {
            c->choice = IR_CHOICE_TOOL;
            c->choice_tool = walk_text(w);
        } else if (str_eq(key, STR("allowed_tools"))) {
            read_choice_object(c, w);
        } else if (str_eq(key, STR("mode"))) {
            c->choice = ir_is(walk_text(w), STR("required")) ? IR_CHOICE_ANY : IR_CHOICE_AUTO;
        } else if (str_eq(key, STR("tools"))) {
            struct ir_call inner = {.arena = c->arena};
            for (bool more = walk_array(w); more && walk_element(w);) {
                read_choice_object(&inner, w);
                if (inner.choice == IR_CHOICE_TOOL) {
                    ir_append(c->arena, &c->choice_among, inner.choice_tool);
                }
            }
        } else {
            walk_value(w);
        }
    }
}

static int read_choice(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_OBJECT) {
        read_choice_object(c, w);
        return 0;
    }
    bool nothing = walk_type(w) == JSON_NULL;
    struct str word = walk_text(w);
    if (ir_is(word, STR("auto"))) {
        c->choice = IR_CHOICE_AUTO;
    } else if (ir_is(word, STR("none"))) {
        c->choice = IR_CHOICE_NONE;
    } else if (ir_is(word, STR("required")) || ir_is(word, STR("any"))) {
        c->choice = IR_CHOICE_ANY;
    } else if (!nothing) {
        return ir_bad(c, "must be auto, none, required or an object that names a function",
                      "tool_choice");
    }
    return 0;
}

static void read_json_schema(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            c->schema_name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            c->schema_description = walk_text(w);
        } else if (str_eq(key, STR("schema"))) {
            struct str schema = walk_value(w);
            c->schema = schema.p[0] == '{' ? schema : (struct str){0};
        } else if (str_eq(key, STR("strict"))) {
            enum json_type is = walk_type(w);
            c->schema_strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
}

static int read_format(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    bool given = walk_type(w) == JSON_OBJECT;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("json_schema"))) {
            read_json_schema(c, w);
        } else {
            walk_value(w);
        }
    }
    if (ir_is(type, STR("json_schema"))) {
        c->format = c->schema.n ? IR_FORMAT_SCHEMA : IR_FORMAT_JSON;
    } else if (ir_is(type, STR("json_object"))) {
        c->format = IR_FORMAT_JSON;
    } else if (ir_is(type, STR("text"))) {
        c->format = IR_FORMAT_TEXT;
    } else if (given) {
        return ir_bad(c, "must be text, json_object or json_schema", "response_format.type");
    }
    return 0;
}

/* reasoning of OpenRouter: {"effort": ..., "max_tokens": ..., "exclude": ..., "enabled": ...} */
static void read_reasoning(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("effort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else if (str_eq(key, STR("max_tokens"))) {
            (void)!json_int(walk_value(w), &c->budget);
        } else if (str_eq(key, STR("exclude"))) {
            c->show_thinking = walk_type(w) == JSON_TRUE ? IR_NO : IR_YES;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
}

static int read_effort(struct ir_call *c, struct walk *w)
{
    bool given = walk_type(w) != JSON_NULL;
    c->effort = ir_effort_of(walk_text(w));
    if (given && c->effort == IR_EFFORT_UNSAID) {
        return ir_bad(c, "must be none, minimal, low, medium, high, xhigh or max",
                      "reasoning_effort");
    }
    return 0;
}

static int read_other(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("model")) || str_eq(key, STR("stream")) ||
        str_eq(key, STR("stream_options"))) {
        walk_value(w); /* the gateway's own */
    } else if (str_eq(key, STR("tools")) || str_eq(key, STR("functions"))) {
        return read_tools(c, w, key.p[0] == 'f');
    } else if (str_eq(key, STR("tool_choice")) || str_eq(key, STR("function_call"))) {
        return read_choice(c, w);
    } else if (str_eq(key, STR("response_format"))) {
        return read_format(c, w);
    } else if (str_eq(key, STR("reasoning_effort"))) {
        return read_effort(c, w);
    } else if (str_eq(key, STR("reasoning"))) {
        read_reasoning(c, w);
    } else if (str_eq(key, STR("stop"))) {
        return ir_read_stop(c, "stop", w);
    } else {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        if (!nothing) {
            ir_drop_found(c, "", key, "");
        }
    }
    return 0;
}

int chat_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    bool messages = false;
    c->caller = FORMAT_CHAT;
    c->spelled = read_members;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r;
        if (str_eq(key, STR("messages"))) {
            messages = true;
            r = chat_read_messages(c, &w);
        } else {
            r = ir_read_member(c, read_members, "", key, &w);
            r = r ? r : read_other(c, key, &w);
        }
        if (r < 0) {
            return r;
        }
    }
    if (!messages) {
        return ir_bad(c, "is missing", "messages");
    }
    return 0;
}
