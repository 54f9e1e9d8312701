/* cohere.chat (v2), requests. Source: Cohere's API reference, "Chat", and the types of its SDKs.
 *
 * tool_plan, which a model says ahead of its calls, is a text like any other in the form. */
#include "dialect/cohere.h"

const struct ir_member cohere_members[] = {
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("p", top_p, JSON_NUMBER),
    IR_MEMBER("k", top_k, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER_END,
};

/* ---- messages ---- */

static void read_image(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key, url = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("url"))) {
            url = walk_text(w);
        } else if (str_eq(key, STR("detail"))) {
            p->detail = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    if (!ir_data_url(c->arena, url, &p->media_type, &p->data)) {
        p->url = url;
    }
}

/* {"id": ..., "data": {...}}: what the model reads of it is the data. */
static struct str read_document(struct ir_call *c, struct walk *w)
{
    struct str key, text = {0};
    if (walk_type(w) == JSON_STRING) {
        return walk_text(w);
    }
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("data"))) {
            text =
                walk_type(w) == JSON_STRING ? walk_text(w) : ir_args_out(c->arena, walk_value(w));
        } else if (str_eq(key, STR("id"))) {
            ir_drop(c, STR("messages.content.document.id"));
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    return text;
}

static int read_part(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
{
    struct str key, type = {0}, text = {0}, thinking = {0};
    struct walk image = {0}, document = {0};
    if (walk_type(w) == JSON_STRING) {
        ir_append_part(c, list, IR_TEXT)->text = walk_text(w);
        return 0;
    }
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(c, "must hold objects with a type", "messages[%u].content", i);
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("text"))) {
            text = walk_text(w);
        } else if (str_eq(key, STR("thinking"))) {
            thinking = walk_text(w);
        } else if (str_eq(key, STR("image_url"))) {
            image = *w;
            walk_value(w);
        } else if (str_eq(key, STR("document"))) {
            document = *w;
            walk_value(w);
        } else {
            ir_drop_found(c, "messages.content.", key, "");
            walk_value(w);
        }
    }
    if (ir_is(type, STR("text"))) {
        ir_append_part(c, list, IR_TEXT)->text = text;
    } else if (ir_is(type, STR("thinking"))) {
        struct ir_part *p = ir_append_part(c, list, IR_THINKING);
        p->text = thinking;
        p->issuer = FAMILY_COHERE;
    } else if (ir_is(type, STR("image_url")) && image.p) {
        read_image(c, ir_append_part(c, list, IR_IMAGE), &image);
    } else if (ir_is(type, STR("document")) && document.p) {
        ir_append_part(c, list, IR_TEXT)->text = read_document(c, &document);
    } else {
        return ir_bad(c, "has a part without a known type (text, thinking, image_url, document)",
                      "messages[%u].content", i);
    }
    return 0;
}

static void read_function(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("arguments"))) {
            p->args =
                walk_type(w) == JSON_OBJECT ? walk_value(w) : ir_args_in(c->arena, walk_text(w));
        } else {
            walk_value(w);
        }
    }
}

static int read_calls(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
{
    struct str key;
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages[%u].tool_calls", i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        struct ir_part *p = ir_append_part(c, list, IR_TOOL_CALL);
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("id"))) {
                p->id = walk_text(w);
            } else if (str_eq(key, STR("function"))) {
                read_function(c, p, w);
            } else {
                walk_value(w); /* type */
            }
        }
        if (!p->name.n || !p->id.n) {
            return ir_bad(c, "must each have an id and a function with a name",
                          "messages[%u].tool_calls", i);
        }
        if (!p->args.n) {
            p->args = STR("{}");
        }
    }
    return 0;
}

struct message {
    struct str role, tool_call_id, plan;
    struct ir_part *content, *calls;
};

static int read_message_member(struct ir_call *c, struct message *m, struct str key, struct walk *w,
                               unsigned i)
{
    if (str_eq(key, STR("role"))) {
        m->role = walk_text(w);
    } else if (str_eq(key, STR("content"))) {
        return ir_read_content(c, &m->content, w, i, read_part);
    } else if (str_eq(key, STR("tool_calls"))) {
        return read_calls(c, &m->calls, w, i);
    } else if (str_eq(key, STR("tool_call_id"))) {
        m->tool_call_id = walk_text(w);
    } else if (str_eq(key, STR("tool_plan"))) {
        m->plan = walk_text(w);
    } else {
        struct str value = walk_value(w);
        if (value.p[0] != 'n' && !str_eq(value, STR("[]"))) {
            ir_drop_found(c, "messages.", key, ""); /* citations */
        }
    }
    return 0;
}

/* Results of one turn stand in messages of their own; here they are parts of one turn. */
static int place_result(struct ir_call *c, struct message *m, unsigned i)
{
    struct ir_turn *t = c->last_turn;
    if (!m->tool_call_id.n) {
        return ir_bad(c, "is missing: a tool's message says which call it answers",
                      "messages[%u].tool_call_id", i);
    }
    if (!t || t->role != IR_USER || !t->last || t->last->kind != IR_TOOL_RESULT) {
        t = ir_add_turn(c, IR_USER);
    }
    struct ir_part *p = ir_add_part(c, t, IR_TOOL_RESULT);
    p->id = m->tool_call_id;
    p->parts = m->content;
    return 0;
}

static int place_message(struct ir_call *c, struct message *m, unsigned i)
{
    if (ir_is(m->role, STR("user"))) {
        ir_take_parts(ir_add_turn(c, IR_USER), m->content);
    } else if (ir_is(m->role, STR("assistant"))) {
        struct ir_turn *t = ir_add_turn(c, IR_ASSISTANT);
        ir_take_parts(t, m->content);
        if (m->plan.n) {
            ir_add_part(c, t, IR_TEXT)->text = m->plan;
        }
        ir_take_parts(t, m->calls);
    } else if (ir_is(m->role, STR("tool"))) {
        return place_result(c, m, i);
    } else if (ir_is(m->role, STR("system")) || ir_is(m->role, STR("developer"))) {
        if (c->turns) {
            ir_take_parts(ir_add_turn(c, IR_SYSTEM), m->content);
            return 0;
        }
        for (struct ir_part *p = m->content; p; p = p->next) {
            ir_add_system(c, p->text);
        }
    } else {
        return ir_bad(c, "must be system, user, assistant or tool", "messages[%u].role", i);
    }
    return 0;
}

static int read_messages(struct ir_call *c, struct walk *w)
{
    struct str key;
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        struct message m = {0};
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(c, "must be an object", "messages[%u]", i);
        }
        walk_enter(w);
        while (walk_member(w, &key)) {
            int r = read_message_member(c, &m, key, w, i);
            if (r < 0) {
                return r;
            }
        }
        int r = place_message(c, &m, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- the rest ---- */

/* {"type": "json_object", "json_schema": {...}}; `schema` is its older name. */
static int read_format(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    bool given = walk_type(w) != JSON_NULL;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("json_schema")) || str_eq(key, STR("schema"))) {
            struct str schema = walk_value(w);
            c->schema = schema.p[0] == '{' ? schema : c->schema;
        } else {
            ir_drop_found(c, "response_format.", key, "");
            walk_value(w);
        }
    }
    if (ir_is(type, STR("json_object"))) {
        c->format = c->schema.n ? IR_FORMAT_SCHEMA : IR_FORMAT_JSON;
    } else if (ir_is(type, STR("text"))) {
        c->format = IR_FORMAT_TEXT;
    } else if (given) {
        return ir_bad(c, "must be text or json_object", "response_format.type");
    }
    return 0;
}

static int read_thinking(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    bool given = walk_type(w) != JSON_NULL;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("token_budget"))) {
            (void)!json_int(walk_value(w), &c->budget);
        } else {
            walk_value(w);
        }
    }
    if (ir_is(type, STR("disabled"))) {
        c->budget = 0;
    } else if (ir_is(type, STR("enabled"))) {
        c->budget = c->budget > 0 ? c->budget : IR_BUDGET_DYNAMIC;
        c->show_thinking = IR_YES;
    } else if (given) {
        return ir_bad(c, "must be enabled or disabled", "thinking.type");
    }
    return 0;
}

static int read_choice(struct ir_call *c, struct walk *w)
{
    bool given = walk_type(w) != JSON_NULL;
    struct str word = walk_text(w);
    if (ir_is(word, STR("REQUIRED"))) {
        c->choice = IR_CHOICE_ANY;
    } else if (ir_is(word, STR("NONE"))) {
        c->choice = IR_CHOICE_NONE;
    } else if (given) {
        return ir_bad(c, "must be REQUIRED or NONE", "tool_choice");
    }
    return 0;
}

static int read_other(struct ir_call *c, struct str key, struct walk *w, enum ir_tri *strict)
{
    if (str_eq(key, STR("model")) || str_eq(key, STR("stream"))) {
        walk_value(w); /* the gateway's own */
    } else if (str_eq(key, STR("tools"))) {
        return chat_read_tools(c, w);
    } else if (str_eq(key, STR("tool_choice"))) {
        return read_choice(c, w);
    } else if (str_eq(key, STR("response_format"))) {
        return read_format(c, w);
    } else if (str_eq(key, STR("thinking"))) {
        return read_thinking(c, w);
    } else if (str_eq(key, STR("stop_sequences"))) {
        return ir_read_stop(c, "stop_sequences", w);
    } else if (str_eq(key, STR("strict_tools"))) {
        enum json_type is = walk_type(w);
        *strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
        walk_value(w);
    } else {
        struct str value = walk_value(w);
        if (value.p[0] != 'n' && !str_eq(value, STR("[]"))) {
            ir_drop_found(c, "", key, ""); /* documents, citation_options, safety_mode ... */
        }
    }
    return 0;
}

int cohere_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    enum ir_tri strict = IR_UNSAID;
    bool messages = false;
    c->caller = FORMAT_COHERE;
    c->spelled = cohere_members;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r;
        if (str_eq(key, STR("messages"))) {
            messages = true;
            r = read_messages(c, &w);
        } else {
            r = ir_read_member(c, cohere_members, "", key, &w);
            r = r ? r : read_other(c, key, &w, &strict);
        }
        if (r < 0) {
            return r;
        }
    }
    for (struct ir_tool *t = c->tools; t; t = t->next) {
        t->strict = strict ? strict : t->strict;
    }
    return messages ? 0 : ir_bad(c, "is missing", "messages");
}
