/* bedrock.converse, requests as they are read. A block is an object with one member, whose name says what it
 * is; a cache point is a block of its own, behind what it marks. */
#include <errno.h>

#include "dialect/converse.h"
#include "dialect/ir_member.h"

/* Where blocks go, and what they are called in complaints. */
struct place {
    struct ir_call *c;
    struct ir_turn *t;
    unsigned i;
    bool result; /* in a toolResult */
};

/* ---- media ---- */

static void read_s3_location(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("uri"))) {
            p->url = walk_text(w);
        } else {
            ir_drop_found(c, "s3Location.", key, "");
            walk_value(w);
        }
    }
}

/* [{"text":...}, ...], joined by line ends. */
static struct str read_texts(struct ir_call *c, struct walk *w)
{
    struct buf b = {.arena = c->arena};
    struct str key, first = {0};
    unsigned n = 0;
    for (bool in = walk_array(w); in && walk_element(w);) {
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (!str_eq(key, STR("text"))) {
                walk_value(w);
                continue;
            }
            struct str text = walk_text(w);
            if (n++ == 0) {
                first = text;
                continue;
            }
            if (n == 2) {
                buf_add(&b, first);
            }
            buf_add(&b, STR("\\n"));
            buf_add(&b, text);
        }
    }
    return n > 1 ? buf_str(&b) : first;
}

/* One of bytes, s3Location; for documents text and content, too. */
static void read_source(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("bytes"))) {
            p->data = walk_text(w);
        } else if (str_eq(key, STR("s3Location"))) {
            read_s3_location(c, p, w);
        } else if (str_eq(key, STR("text"))) {
            p->text = walk_text(w);
        } else if (str_eq(key, STR("content"))) {
            p->text = read_texts(c, w);
        } else {
            ir_drop_found(c, "source.", key, "");
            walk_value(w);
        }
    }
}

/* image, document, audio: {format, source}; a document has a name as well. */
static void read_media(struct place *at, enum ir_kind kind, struct walk *w)
{
    struct ir_part *p = ir_add_part(at->c, at->t, kind);
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("format"))) {
            p->media_type = converse_media_type(at->c->arena, kind, walk_text(w));
        } else if (str_eq(key, STR("source"))) {
            read_source(at->c, p, w);
        } else if (str_eq(key, STR("name"))) {
            p->title = walk_text(w);
        } else {
            bool nothing = walk_type(w) == JSON_NULL;
            walk_value(w);
            if (!nothing) {
                ir_drop_found(at->c, "messages.content.", key, "");
            }
        }
    }
}

/* ---- tools ---- */

static struct str read_input(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_STRING) {
        return ir_args_in(c->arena, walk_text(w));
    }
    struct str value = walk_value(w);
    return value.p[0] == '{' ? value : STR("{}");
}

static int read_tool_use(struct place *at, struct walk *w)
{
    struct str key, id = {0}, name = {0}, args = STR("{}"), type = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("toolUseId"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            name = walk_text(w);
        } else if (str_eq(key, STR("input"))) {
            args = read_input(at->c, w);
        } else if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else {
            ir_drop_found(at->c, "messages.content.toolUse.", key, "");
            walk_value(w);
        }
    }
    if (type.n) {
        ir_drop_found(at->c, "messages.content[", type, "]"); /* Bedrock has run it itself */
        return 0;
    }
    if (!id.n || !name.n) {
        return ir_bad(at->c, "has a toolUse without toolUseId or name", "messages[%u].content",
                      at->i);
    }
    struct ir_part *p = ir_add_part(at->c, at->t, IR_TOOL_CALL);
    p->id = id;
    p->name = name;
    p->args = args;
    return 0;
}

static int read_blocks(struct place *at, struct walk *w);

static int read_tool_result(struct place *at, struct walk *w)
{
    struct str key;
    struct ir_turn inside = {0};
    struct place within = {.c = at->c, .t = &inside, .i = at->i, .result = true};
    struct ir_part *p = ir_add_part(at->c, at->t, IR_TOOL_RESULT);
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("toolUseId"))) {
            p->id = walk_text(w);
        } else if (str_eq(key, STR("status"))) {
            p->is_error = ir_is(walk_text(w), STR("error"));
        } else if (str_eq(key, STR("content"))) {
            int r = read_blocks(&within, w);
            if (r < 0) {
                return r;
            }
        } else {
            ir_drop_found(at->c, "messages.content.toolResult.", key, "");
            walk_value(w);
        }
    }
    p->parts = inside.first;
    return p->id.n
               ? 0
               : ir_bad(at->c, "has a toolResult without toolUseId", "messages[%u].content", at->i);
}

/* ---- other blocks ---- */

static void read_reasoning(struct place *at, struct walk *w)
{
    struct str key, text = {0}, signature = {0};
    bool redacted = false;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("redactedContent"))) {
            signature = walk_text(w);
            redacted = true;
        } else if (!str_eq(key, STR("reasoningText"))) {
            walk_value(w);
        } else {
            for (bool more = walk_object(w); more && walk_member(w, &key);) {
                if (str_eq(key, STR("text"))) {
                    text = walk_text(w);
                } else if (str_eq(key, STR("signature"))) {
                    signature = walk_text(w);
                } else {
                    walk_value(w);
                }
            }
        }
    }
    struct ir_part *p = ir_add_part(at->c, at->t, IR_THINKING);
    p->text = text;
    p->redacted = redacted;
    p->signature = ir_signature_in(at->c->arena, signature, FAMILY_BEDROCK, &p->issuer);
}

/* {"text":{"text":...}}: what a guardrail looks at is a text like any other. */
static void read_guarded(struct place *at, struct walk *w)
{
    struct str key;
    ir_drop(at->c, STR("messages.content.guardContent"));
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("image"))) {
            read_media(at, IR_IMAGE, w);
            continue;
        }
        bool text = str_eq(key, STR("text"));
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (text && str_eq(key, STR("text"))) {
                ir_add_part(at->c, at->t, IR_TEXT)->text = walk_text(w);
            } else {
                walk_value(w);
            }
        }
    }
}

/* {"content":[{"text"}],"citations":[...]} */
static void read_cited(struct place *at, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("content"))) {
            ir_add_part(at->c, at->t, IR_TEXT)->text = read_texts(at->c, w);
        } else {
            ir_drop_found(at->c, "messages.content.citationsContent.", key, "");
            walk_value(w);
        }
    }
}

static void mark(struct place *at, struct walk *w)
{
    enum ir_cache cache = ir_read_cache_mark(w);
    if (at->t->last) {
        at->t->last->cache = cache;
    } else {
        ir_drop(at->c, STR("cachePoint"));
    }
}

static int read_block_member(struct place *at, struct str key, struct walk *w)
{
    if (str_eq(key, STR("text"))) {
        ir_add_part(at->c, at->t, IR_TEXT)->text = walk_text(w);
    } else if (str_eq(key, STR("toolUse"))) {
        return read_tool_use(at, w);
    } else if (str_eq(key, STR("toolResult")) && !at->result) {
        return read_tool_result(at, w);
    } else if (str_eq(key, STR("json")) && at->result) {
        ir_add_part(at->c, at->t, IR_TEXT)->text = ir_args_out(at->c->arena, walk_value(w));
    } else if (str_eq(key, STR("image"))) {
        read_media(at, IR_IMAGE, w);
    } else if (str_eq(key, STR("document"))) {
        read_media(at, IR_DOCUMENT, w);
    } else if (str_eq(key, STR("audio"))) {
        read_media(at, IR_AUDIO, w);
    } else if (str_eq(key, STR("reasoningContent"))) {
        read_reasoning(at, w);
    } else if (str_eq(key, STR("cachePoint"))) {
        mark(at, w);
    } else if (str_eq(key, STR("guardContent"))) {
        read_guarded(at, w);
    } else if (str_eq(key, STR("citationsContent"))) {
        read_cited(at, w);
    } else {
        ir_drop_found(at->c, "messages.content[", key, "]"); /* video, searchResult ... */
        walk_value(w);
    }
    return 0;
}

/* The type that a block's member must have; null is as absent. */
static bool is_wrong(const struct walk *w, struct str key)
{
    enum json_type type = walk_type(w);
    return str_eq(key, STR("text"))   ? type != JSON_STRING
           : str_eq(key, STR("json")) ? false
                                      : type != JSON_OBJECT;
}

static int read_blocks(struct place *at, struct walk *w)
{
    struct str key;
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(at->c, "must be an array of blocks", "messages[%u].content", at->i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(at->c, "must hold objects", "messages[%u].content", at->i);
        }
        walk_enter(w);
        while (walk_member(w, &key)) {
            if (walk_type(w) == JSON_NULL) {
                walk_value(w);
                continue;
            }
            if (is_wrong(w, key)) {
                return ir_bad(at->c, "has the wrong type", "messages[%u].content.%.*s", at->i,
                              STR_ARG(str_first(key, 40)));
            }
            int r = read_block_member(at, key, w);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

/* ---- messages, system ---- */

static int read_message(struct ir_call *c, struct walk *w, unsigned i)
{
    struct str key, role = {0};
    struct ir_turn *t = ir_add_turn(c, IR_USER);
    struct place at = {.c = c, .t = t, .i = i};
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(c, "must be an object", "messages[%u]", i);
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        int r = 0;
        if (str_eq(key, STR("role"))) {
            role = walk_text(w);
        } else if (str_eq(key, STR("content"))) {
            r = read_blocks(&at, w);
        } else {
            ir_drop_found(c, "messages.", key, "");
            walk_value(w);
        }
        if (r < 0) {
            return r;
        }
    }
    if (ir_is(role, STR("assistant"))) {
        t->role = IR_ASSISTANT;
    } else if (ir_is(role, STR("system"))) {
        t->role = IR_SYSTEM;
    } else if (!ir_is(role, STR("user"))) {
        return ir_bad(c, "must be user or assistant", "messages[%u].role", i);
    }
    return 0;
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

static int read_system(struct ir_call *c, struct walk *w)
{
    struct ir_turn inside = {0};
    struct place at = {.c = c, .t = &inside};
    if (read_blocks(&at, w) < 0) {
        return ir_bad(c, "must be an array of blocks with a text", "system");
    }
    for (const struct ir_part *p = inside.first; p; p = p->next) {
        if (p->kind == IR_TEXT) {
            ir_add_system(c, p->text)->cache = p->cache;
        } else {
            ir_drop(c, STR("system.content"));
        }
    }
    return 0;
}

/* ---- tools ---- */

static struct str read_schema(struct walk *w)
{
    struct str key, schema = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        struct str value = walk_value(w);
        if (str_eq(key, STR("json")) && value.p[0] == '{') {
            schema = value;
        }
    }
    return schema;
}

static int read_tool_spec(struct ir_call *c, struct walk *w, unsigned i, struct ir_tool **ret)
{
    struct ir_tool *t = ir_add_tool(c);
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            t->name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            t->description = walk_text(w);
        } else if (str_eq(key, STR("inputSchema"))) {
            t->schema = read_schema(w);
        } else if (str_eq(key, STR("strict"))) {
            enum json_type type = walk_type(w);
            t->strict = type == JSON_TRUE ? IR_YES : type == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else {
            ir_drop_found(c, "toolConfig.tools.toolSpec.", key, "");
            walk_value(w);
        }
    }
    *ret = t;
    return t->name.n ? 0 : ir_bad(c, "is missing", "toolConfig.tools[%u].toolSpec.name", i);
}

static int read_tools(struct ir_call *c, struct walk *w)
{
    struct ir_tool *last = NULL;
    struct str key;
    if (walk_type(w) != JSON_ARRAY && walk_type(w) != JSON_NULL) {
        return ir_bad(c, "must be an array", "toolConfig.tools");
    }
    bool any = walk_array(w);
    for (unsigned i = 0; any && walk_element(w); i++) {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("toolSpec")) && walk_type(w) == JSON_OBJECT) {
                int r = read_tool_spec(c, w, i, &last);
                if (r < 0) {
                    return r;
                }
            } else if (str_eq(key, STR("cachePoint")) && last) {
                last->cache = ir_read_cache_mark(w);
            } else {
                bool nothing = walk_type(w) == JSON_NULL;
                walk_value(w);
                if (!nothing) {
                    ir_drop_found(c, "toolConfig.tools[", key, "]"); /* systemTool */
                }
            }
        }
    }
    return 0;
}

static int read_choice(struct ir_call *c, struct walk *w)
{
    struct str key;
    bool given = walk_type(w) == JSON_OBJECT;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (walk_type(w) == JSON_NULL) {
            walk_value(w);
            continue;
        }
        c->choice = str_eq(key, STR("auto"))   ? IR_CHOICE_AUTO
                    : str_eq(key, STR("any"))  ? IR_CHOICE_ANY
                    : str_eq(key, STR("tool")) ? IR_CHOICE_TOOL
                                               : IR_CHOICE_UNSAID;
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            struct str value = walk_type(w) == JSON_STRING ? walk_text(w) : walk_value(w);
            if (str_eq(key, STR("name"))) {
                c->choice_tool = value;
            }
        }
    }
    if ((given && !c->choice) || (c->choice == IR_CHOICE_TOOL && !c->choice_tool.n)) {
        return ir_bad(c, "must be auto, any or a tool with its name", "toolConfig.toolChoice");
    }
    return 0;
}

static int read_tool_config(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        int r = 0;
        if (str_eq(key, STR("tools"))) {
            r = read_tools(c, w);
        } else if (str_eq(key, STR("toolChoice"))) {
            r = read_choice(c, w);
        } else {
            ir_drop_found(c, "toolConfig.", key, "");
            walk_value(w);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- the whole ---- */

static int read_top(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("messages"))) {
        return read_messages(c, w);
    }
    if (str_eq(key, STR("system"))) {
        return read_system(c, w);
    }
    if (str_eq(key, STR("toolConfig"))) {
        return read_tool_config(c, w);
    }
    int r = converse_read_setting(c, key, w);
    if (r) {
        return r;
    }
    bool nothing = walk_type(w) == JSON_NULL;
    walk_value(w);
    if (!nothing && !str_eq(key, STR("modelId")) && !str_eq(key, STR("model")) &&
        !str_eq(key, STR("stream"))) {
        ir_drop_found(c, "", key, ""); /* guardrailConfig, performanceConfig ... */
    }
    return 0;
}

int converse_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    c->caller = FORMAT_CONVERSE;
    c->spelled = converse_spelled;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = read_top(c, key, &w);
        if (r < 0) {
            return r;
        }
    }
    if (!c->turns) {
        return ir_bad(c, "is missing or empty", "messages");
    }
    return 0;
}
