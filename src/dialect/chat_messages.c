/* openai.chat, the messages of a request: what they hold, and the turns that they make. */
#include <errno.h>

#include "dialect/chat.h"
#include "dialect/ir_member.h"

/* ---- content ---- */

/* {"url": ..., "detail": ...}; some vendors' clients send the URL itself. */
static void read_image(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key, url = {0};
    if (walk_type(w) == JSON_STRING) {
        url = walk_text(w);
    } else {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("url"))) {
                url = walk_text(w);
            } else if (str_eq(key, STR("detail"))) {
                p->detail = walk_text(w);
            } else {
                walk_value(w);
            }
        }
    }
    if (!ir_data_url(c->arena, url, &p->media_type, &p->data)) {
        p->url = url;
    }
}

/* {"file_data": data URL, "file_id": ..., "filename": ...} */
static void read_file(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key, data = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("file_data"))) {
            data = walk_text(w);
        } else if (str_eq(key, STR("file_id"))) {
            p->file = walk_text(w);
        } else if (str_eq(key, STR("filename"))) {
            p->title = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    if (data.n && !ir_data_url(c->arena, data, &p->media_type, &p->data)) {
        p->data = data;
        p->media_type = ir_media_of(p->title);
    }
}

static void read_audio(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    (void)c;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("data"))) {
            p->data = walk_text(w);
        } else if (str_eq(key, STR("format"))) {
            p->media_type = ir_media_of(walk_text(w));
        } else {
            walk_value(w);
        }
    }
}

/* One part of a content array into the list. The type may stand behind what it is about, so that is kept. */
static int read_part(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
{
    struct str key, type = {0}, text = {0};
    struct walk about = {0};
    enum ir_cache mark = IR_CACHE_NONE;
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
        } else if (str_eq(key, STR("text")) || str_eq(key, STR("refusal"))) {
            text = walk_text(w);
        } else if (str_eq(key, STR("cache_control"))) {
            mark = ir_read_cache_mark(w);
        } else if (str_eq(key, STR("image_url")) || str_eq(key, STR("file")) ||
                   str_eq(key, STR("input_audio")) || str_eq(key, STR("document_url")) ||
                   str_eq(key, STR("thinking"))) {
            about = *w;
            walk_value(w);
        } else {
            ir_drop_found(c, "messages.content.", key, "");
            walk_value(w);
        }
    }
    struct ir_part *p;
    if (ir_is(type, STR("text"))) {
        p = ir_append_part(c, list, IR_TEXT);
        p->text = text;
    } else if (ir_is(type, STR("refusal"))) {
        p = ir_append_part(c, list, IR_REFUSAL);
        p->text = text;
    } else if (!about.p) {
        return ir_bad(c, "has a part without a known type (text, image_url, input_audio, file)",
                      "messages[%u].content", i);
    } else if (ir_is(type, STR("image_url"))) {
        p = ir_append_part(c, list, IR_IMAGE);
        read_image(c, p, &about);
    } else if (ir_is(type, STR("file"))) {
        p = ir_append_part(c, list, IR_DOCUMENT);
        read_file(c, p, &about);
    } else if (ir_is(type, STR("document_url"))) {
        p = ir_append_part(c, list, IR_DOCUMENT);
        read_image(c, p, &about);
    } else if (ir_is(type, STR("input_audio"))) {
        p = ir_append_part(c, list, IR_AUDIO);
        read_audio(c, p, &about);
    } else {
        ir_drop_found(c, "messages.content[", type,
                      "]"); /* thinking of Mistral: read by nobody else */
        return 0;
    }
    p->cache = mark;
    return 0;
}

/* ---- messages ---- */

/* extra_content.google.thought_signature, as Google's own openai.chat endpoint has it. */
static struct str read_google_signature(struct walk *w)
{
    struct str key, found = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (!str_eq(key, STR("google"))) {
            walk_value(w);
            continue;
        }
        for (bool inner = walk_object(w); inner && walk_member(w, &key);) {
            if (str_eq(key, STR("thought_signature"))) {
                found = walk_text(w);
            } else {
                walk_value(w);
            }
        }
    }
    return found;
}

static void read_function(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("arguments"))) {
            /* a string by the reference; some clients send the object itself */
            p->args =
                walk_type(w) == JSON_OBJECT ? walk_value(w) : ir_args_in(c->arena, walk_text(w));
        } else if (str_eq(key, STR("input"))) {
            struct buf b = {.arena = c->arena};
            buf_addc(&b, '{');
            ir_put_text(&b, "input", walk_text(w));
            buf_addc(&b, '}');
            p->args = buf_str(&b);
            p->freeform = true;
        } else {
            walk_value(w);
        }
    }
}

static int read_tool_calls(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
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
            } else if (str_eq(key, STR("function")) || str_eq(key, STR("custom"))) {
                read_function(c, p, w);
            } else if (str_eq(key, STR("extra_content"))) {
                p->signature =
                    ir_signature_in(c->arena, read_google_signature(w), FAMILY_GEMINI, &p->issuer);
            } else {
                walk_value(w); /* type, index */
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

/* reasoning_details of OpenRouter: texts with the signature of who made them. */
static void read_details(struct ir_call *c, struct ir_part **list, struct walk *w)
{
    struct str key;
    for (bool more = walk_array(w); more && walk_element(w);) {
        struct str text = {0}, signature = {0}, data = {0};
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("text")) || str_eq(key, STR("summary"))) {
                text = walk_text(w);
            } else if (str_eq(key, STR("signature"))) {
                signature = walk_text(w);
            } else if (str_eq(key, STR("data"))) {
                data = walk_text(w);
            } else {
                walk_value(w);
            }
        }
        struct ir_part *p = ir_append_part(c, list, IR_THINKING);
        p->text = text;
        p->redacted = !text.n && data.n;
        p->signature =
            ir_signature_in(c->arena, data.n ? data : signature, FAMILY_OPENAI, &p->issuer);
    }
}

/* What one message says, before its role tells what it becomes. */
struct message {
    struct str role, tool_call_id, name;
    struct ir_part *content, *calls, *thinking, *refusal;
    struct str reasoning;
};

static int read_message_member(struct ir_call *c, struct message *m, struct str key, struct walk *w,
                               unsigned i)
{
    if (str_eq(key, STR("role"))) {
        m->role = walk_text(w);
    } else if (str_eq(key, STR("content"))) {
        return ir_read_content(c, &m->content, w, i, read_part);
    } else if (str_eq(key, STR("tool_calls"))) {
        return read_tool_calls(c, &m->calls, w, i);
    } else if (str_eq(key, STR("tool_call_id"))) {
        m->tool_call_id = walk_text(w);
    } else if (str_eq(key, STR("name"))) {
        m->name = walk_text(w);
    } else if (str_eq(key, STR("reasoning_content")) || str_eq(key, STR("reasoning"))) {
        m->reasoning = walk_text(w);
    } else if (str_eq(key, STR("reasoning_details"))) {
        read_details(c, &m->thinking, w);
    } else if (str_eq(key, STR("refusal"))) {
        struct str text = walk_text(w);
        if (text.n) {
            ir_append_part(c, &m->refusal, IR_REFUSAL)->text = text;
        }
    } else if (str_eq(key, STR("function_call"))) {
        struct ir_part *p = ir_append_part(c, &m->calls, IR_TOOL_CALL);
        read_function(c, p, w);
        p->id = p->name; /* the old form had no ids: one call at a time */
        if (!p->name.n) {
            m->calls = NULL; /* null */
        } else if (!p->args.n) {
            p->args = STR("{}");
        }
    } else {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        if (!nothing) {
            ir_drop_found(c, "messages.", key, "");
        }
    }
    return 0;
}

/* A signature may come without its text, which then stands in the plain member (and cannot be told apart when
 * there are several: they are worth nothing then). */
static struct ir_part *thinking_of(struct ir_call *c, struct message *m)
{
    struct ir_part *t = m->thinking;
    if (!t && m->reasoning.n) {
        ir_append_part(c, &t, IR_THINKING)->text = m->reasoning;
        t->issuer = FAMILY_OPENAI;
    } else if (t && !t->next && !t->text.n && !t->redacted) {
        t->text = m->reasoning;
    }
    for (struct ir_part *p = t; p; p = p->next) {
        if (!p->text.n && !p->redacted) {
            p->signature = (struct str){0};
        }
    }
    return t;
}

static int place_message(struct ir_call *c, struct message *m, unsigned i)
{
    if (ir_is(m->role, STR("user"))) {
        ir_take_parts(ir_add_turn(c, IR_USER), m->content);
    } else if (ir_is(m->role, STR("assistant"))) {
        struct ir_turn *t = ir_add_turn(c, IR_ASSISTANT);
        ir_take_parts(t, thinking_of(c, m));
        ir_take_parts(t, m->content);
        ir_take_parts(t, m->refusal);
        ir_take_parts(t, m->calls);
    } else if (ir_is(m->role, STR("tool")) || ir_is(m->role, STR("function"))) {
        /* Results of one turn stand in messages of their own; here they are parts of one turn. */
        struct ir_turn *t = c->last_turn;
        if (!t || t->role != IR_USER || !t->last || t->last->kind != IR_TOOL_RESULT) {
            t = ir_add_turn(c, IR_USER);
        }
        struct ir_part *p = ir_add_part(c, t, IR_TOOL_RESULT);
        p->id = m->tool_call_id.n ? m->tool_call_id : m->name;
        p->name = m->name;
        p->parts = m->content;
        if (!p->id.n) {
            return ir_bad(c, "is missing: a tool's message says which call it answers",
                          "messages[%u].tool_call_id", i);
        }
    } else if (ir_is(m->role, STR("system")) || ir_is(m->role, STR("developer"))) {
        if (c->turns) {
            ir_take_parts(ir_add_turn(c, IR_SYSTEM), m->content);
        } else {
            for (struct ir_part *p = m->content; p; p = p->next) {
                ir_add_system(c, p->text)->cache = p->cache;
            }
        }
    } else {
        return ir_bad(c, "must be system, developer, user, assistant or tool", "messages[%u].role",
                      i);
    }
    return 0;
}

int chat_read_messages(struct ir_call *c, struct walk *w)
{
    struct str key;
    unsigned i = 0;
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages");
    }
    walk_enter(w);
    for (; walk_element(w); i++) {
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
