/* anthropic.messages, requests as they are read. Source: Anthropic API reference, "Create a Message". */
#include <errno.h>

#include "dialect/ir_member.h"
#include "dialect/messages.h"

static const struct ir_member members[] = {
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER_END,
};

/* ---- blocks ---- */

/* {"type":"base64","media_type","data"}, {"type":"url","url"}, {"type":"file","file_id"}, {"type":"text","data"} */
static void read_source(struct ir_part *p, struct walk *w)
{
    struct str key, type = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("media_type"))) {
            p->media_type = walk_text(w);
        } else if (str_eq(key, STR("data"))) {
            p->data = walk_text(w);
        } else if (str_eq(key, STR("url"))) {
            p->url = walk_text(w);
        } else if (str_eq(key, STR("file_id"))) {
            p->file = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    if (ir_is(type, STR("text"))) {
        p->text = p->data;
        p->data = (struct str){0};
    }
}

/* What a block may say, before its type tells what it is. */
struct block {
    struct str type, text, id, name, title, thinking, signature, data, tool_use_id;
    struct str input;
    struct walk source, content;
    bool is_error;
    enum ir_cache cache;
};

static bool take_text(const char *name, struct str key, struct str *to, struct walk *w)
{
    if (!str_eq(key, str_of(name))) {
        return false;
    }
    *to = walk_text(w);
    return true;
}

static void read_block_member(struct ir_call *c, struct block *k, struct str key, struct walk *w)
{
    if (take_text("type", key, &k->type, w) || take_text("text", key, &k->text, w) ||
        take_text("id", key, &k->id, w) || take_text("name", key, &k->name, w) ||
        take_text("tool_use_id", key, &k->tool_use_id, w) ||
        take_text("thinking", key, &k->thinking, w) ||
        take_text("signature", key, &k->signature, w) || take_text("data", key, &k->data, w) ||
        take_text("title", key, &k->title, w)) {
        return;
    }
    if (str_eq(key, STR("cache_control"))) {
        k->cache = ir_read_cache_mark(w);
    } else if (str_eq(key, STR("input"))) {
        k->input = walk_value(w);
    } else if (str_eq(key, STR("source"))) {
        k->source = *w;
        walk_value(w);
    } else if (str_eq(key, STR("content"))) {
        k->content = *w;
        walk_value(w);
    } else if (str_eq(key, STR("is_error"))) {
        k->is_error = walk_type(w) == JSON_TRUE;
        walk_value(w);
    } else {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        if (!nothing && !str_eq(key, STR("caller"))) {
            ir_drop_found(c, "messages.content.", key, "");
        }
    }
}

static int read_content(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i);

static int read_tool_use(struct ir_call *c, struct ir_part **list, const struct block *k,
                         unsigned i)
{
    if (!k->id.n || !k->name.n) {
        return ir_bad(c, "has a tool_use without id or name", "messages[%u].content", i);
    }
    struct ir_part *p = ir_append_part(c, list, IR_TOOL_CALL);
    p->id = k->id;
    p->name = k->name;
    p->args = k->input.n && k->input.p[0] == '{' ? k->input : STR("{}");
    return 0;
}

static int read_tool_result(struct ir_call *c, struct ir_part **list, struct block *k, unsigned i)
{
    if (!k->tool_use_id.n) {
        return ir_bad(c, "has a tool_result without tool_use_id", "messages[%u].content", i);
    }
    struct ir_part *p = ir_append_part(c, list, IR_TOOL_RESULT);
    p->id = k->tool_use_id;
    p->is_error = k->is_error;
    return k->content.p ? read_content(c, &p->parts, &k->content, i) : 0;
}

static void read_thinking(struct ir_call *c, struct ir_part **list, const struct block *k,
                          bool redacted)
{
    struct ir_part *p = ir_append_part(c, list, IR_THINKING);
    p->text = k->thinking;
    p->redacted = redacted;
    p->signature =
        ir_signature_in(c->arena, redacted ? k->data : k->signature, FAMILY_ANTHROPIC, &p->issuer);
    /* Other vendors' redacted thinking came as a thinking block without text. */
    p->redacted = p->redacted || (!p->text.n && p->signature.n && p->issuer != FAMILY_ANTHROPIC);
}

static int place_block(struct ir_call *c, struct ir_part **list, struct block *k, unsigned i)
{
    struct ir_part *p = NULL;
    int r = 0;
    if (ir_is(k->type, STR("text"))) {
        p = ir_append_part(c, list, IR_TEXT);
        p->text = k->text;
    } else if (ir_is(k->type, STR("image"))) {
        p = ir_append_part(c, list, IR_IMAGE);
        read_source(p, &k->source);
    } else if (ir_is(k->type, STR("document"))) {
        p = ir_append_part(c, list, IR_DOCUMENT);
        p->title = k->title;
        read_source(p, &k->source);
    } else if (ir_is(k->type, STR("tool_use"))) {
        r = read_tool_use(c, list, k, i);
    } else if (ir_is(k->type, STR("tool_result"))) {
        r = read_tool_result(c, list, k, i);
    } else if (ir_is(k->type, STR("thinking"))) {
        read_thinking(c, list, k, false);
    } else if (ir_is(k->type, STR("redacted_thinking"))) {
        read_thinking(c, list, k, true);
    } else if (k->type.n) {
        ir_drop_found(c, "messages.content[", k->type, "]");
    } else {
        return ir_bad(c, "has a block without a type", "messages[%u].content", i);
    }
    if (k->cache && r == 0 && *list) {
        (*list)->_last->cache = k->cache;
    }
    return r;
}

static int read_content(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
{
    struct str key;
    if (walk_type(w) == JSON_STRING) {
        ir_append_part(c, list, IR_TEXT)->text = walk_text(w);
        return 0;
    }
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be a string or an array of blocks", "messages[%u].content", i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        struct block k = {.source = {"{}", NULL}};
        k.source.end = k.source.p + 2;
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(c, "must hold objects with a type", "messages[%u].content", i);
        }
        walk_enter(w);
        while (walk_member(w, &key)) {
            read_block_member(c, &k, key, w);
        }
        int r = place_block(c, list, &k, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static void keep_last(struct ir_turn *t)
{
    for (t->last = t->first; t->last && t->last->next;) {
        t->last = t->last->next;
    }
}

static int read_message(struct ir_call *c, struct walk *w, unsigned i)
{
    struct str key, role = {0};
    struct walk content = {0};
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(c, "must be an object", "messages[%u]", i);
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("role"))) {
            role = walk_text(w);
        } else if (str_eq(key, STR("content"))) {
            content = *w;
            walk_value(w);
        } else {
            ir_drop_found(c, "messages.", key, "");
            walk_value(w);
        }
    }
    struct ir_turn *t;
    if (ir_is(role, STR("user"))) {
        t = ir_add_turn(c, IR_USER);
    } else if (ir_is(role, STR("assistant"))) {
        t = ir_add_turn(c, IR_ASSISTANT);
    } else if (ir_is(role, STR("system"))) {
        t = ir_add_turn(c, IR_SYSTEM);
    } else {
        return ir_bad(c, "must be user or assistant", "messages[%u].role", i);
    }
    int r = content.p ? read_content(c, &t->first, &content, i) : 0;
    keep_last(t);
    return r;
}

/* ---- the other members ---- */

static int read_system(struct ir_call *c, struct walk *w)
{
    struct ir_part *list = NULL;
    int r = read_content(c, &list, w, 0);
    if (r < 0) {
        return ir_bad(c, "must be a string or an array of text blocks", "system");
    }
    for (; list; list = list->next) {
        if (list->kind == IR_TEXT) {
            ir_add_system(c, list->text)->cache = list->cache;
        }
    }
    return 0;
}

static int read_tool(struct ir_call *c, struct walk *w, unsigned i)
{
    struct str key, name = {0}, description = {0}, schema = {0}, type = {0};
    enum ir_tri strict = IR_UNSAID;
    enum ir_cache cache = IR_CACHE_NONE;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            description = walk_text(w);
        } else if (str_eq(key, STR("input_schema"))) {
            schema = walk_value(w);
        } else if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("strict"))) {
            strict = walk_type(w) == JSON_TRUE ? IR_YES : IR_NO;
            walk_value(w);
        } else if (str_eq(key, STR("cache_control"))) {
            cache = ir_read_cache_mark(w);
        } else {
            ir_drop_found(c, "tools.", key, "");
            walk_value(w);
        }
    }
    if (type.n && !ir_is(type, STR("custom"))) {
        ir_drop_found(c, "tools[", type,
                      "]"); /* run by the vendor: web_search_20250305 and the like */
        return 0;
    }
    if (!name.n) {
        return ir_bad(c, "is missing", "tools[%u].name", i);
    }
    struct ir_tool *t = ir_add_tool(c);
    t->name = name;
    t->description = description;
    t->schema = schema.n && schema.p[0] == '{' ? schema : (struct str){0};
    t->strict = strict;
    t->cache = cache;
    return 0;
}

static int read_tools(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        int r = read_tool(c, w, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int read_choice(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    bool given = walk_type(w) == JSON_OBJECT;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            c->choice_tool = walk_text(w);
        } else if (str_eq(key, STR("disable_parallel_tool_use"))) {
            c->parallel = walk_type(w) == JSON_TRUE ? IR_NO : IR_YES;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    c->choice = ir_is(type, STR("auto"))   ? IR_CHOICE_AUTO
                : ir_is(type, STR("any"))  ? IR_CHOICE_ANY
                : ir_is(type, STR("none")) ? IR_CHOICE_NONE
                : ir_is(type, STR("tool")) ? IR_CHOICE_TOOL
                                           : IR_CHOICE_UNSAID;
    if (given && !c->choice) {
        return ir_bad(c, "must be auto, any, tool or none", "tool_choice.type");
    }
    return 0;
}

static int read_thinking_wish(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("budget_tokens"))) {
            (void)!json_int(walk_value(w), &c->budget);
        } else if (str_eq(key, STR("display"))) {
            c->show_thinking = ir_is(walk_text(w), STR("omitted")) ? IR_NO : IR_YES;
        } else {
            walk_value(w);
        }
    }
    if (ir_is(type, STR("disabled"))) {
        c->budget = 0;
    } else if (ir_is(type, STR("adaptive"))) {
        c->budget = IR_BUDGET_DYNAMIC;
    } else if (ir_is(type, STR("enabled")) && c->budget < 0) {
        return ir_bad(c, "is missing", "thinking.budget_tokens");
    }
    if (c->budget != 0 && !c->show_thinking && type.n) {
        c->show_thinking = IR_YES;
    }
    return 0;
}

static void read_output_format(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0}, schema = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("schema"))) {
            schema = walk_value(w);
        } else {
            walk_value(w);
        }
    }
    if (ir_is(type, STR("json_schema")) && schema.n && schema.p[0] == '{') {
        c->format = IR_FORMAT_SCHEMA;
        c->schema = schema;
    }
}

static void read_output_config(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("effort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else if (str_eq(key, STR("format"))) {
            read_output_format(c, w);
        } else {
            ir_drop_found(c, "output_config.", key, "");
            walk_value(w);
        }
    }
}

static void read_metadata(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("user_id"))) {
            c->end_user = walk_text(w);
        } else {
            ir_drop_found(c, "metadata.", key, "");
            walk_value(w);
        }
    }
}

static int read_messages(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        int r = read_message(c, w, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int read_other(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("messages"))) {
        return read_messages(c, w);
    }
    if (str_eq(key, STR("system"))) {
        return read_system(c, w);
    }
    if (str_eq(key, STR("tools"))) {
        return read_tools(c, w);
    }
    if (str_eq(key, STR("tool_choice"))) {
        return read_choice(c, w);
    }
    if (str_eq(key, STR("thinking"))) {
        return read_thinking_wish(c, w);
    }
    if (str_eq(key, STR("stop_sequences"))) {
        return ir_read_stop(c, "stop_sequences", w);
    }
    if (str_eq(key, STR("output_config"))) {
        read_output_config(c, w);
    } else if (str_eq(key, STR("output_format"))) {
        read_output_format(c, w);
    } else if (str_eq(key, STR("metadata"))) {
        read_metadata(c, w);
    } else {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        if (!nothing && !str_eq(key, STR("model")) && !str_eq(key, STR("stream"))) {
            ir_drop_found(c, "", key, "");
        }
    }
    return 0;
}

int messages_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    c->caller = FORMAT_MESSAGES;
    c->spelled = members;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = ir_read_member(c, members, "", key, &w);
        r = r ? r : read_other(c, key, &w);
        if (r < 0) {
            return r;
        }
    }
    if (!c->turns) {
        return ir_bad(c, "is missing or empty", "messages");
    }
    return 0;
}
