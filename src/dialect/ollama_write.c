/* ollama.chat, requests as they are written for an upstream. */
#include "dialect/ollama.h"

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
};

/* ---- messages ---- */

static bool is_text(const struct ir_part *p)
{
    return p->kind == IR_TEXT || p->kind == IR_REFUSAL || (p->kind == IR_DOCUMENT && p->text.n);
}

static bool is_media(const struct ir_part *p)
{
    return (p->kind == IR_IMAGE || p->kind == IR_AUDIO || p->kind == IR_DOCUMENT) && !is_text(p);
}

/* content is one string: texts stand apart in it as Ollama's templates set messages apart. */
static void put_content(struct writer *w, const struct ir_part *parts)
{
    bool any = false;
    buf_add(w->b, STR(",\"content\":\""));
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (p->cache) {
            ir_drop(w->c, STR("cache_control"));
        }
        if (is_text(p) && p->text.n) {
            buf_add(w->b, any ? STR("\\n\\n") : STR(""));
            buf_add(w->b, p->text);
            any = true;
        }
    }
    buf_addc(w->b, '"');
}

/* Bare base64 of what can go; true when `images` was begun. */
static bool put_images(struct writer *w, const struct ir_part *parts, bool begun)
{
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (!is_media(p)) {
            continue;
        }
        if (p->kind != IR_IMAGE) {
            ir_drop(w->c, p->kind == IR_AUDIO ? STR("messages.content[audio]")
                                              : STR("messages.content[document]"));
        } else if (!p->data.n) {
            ir_drop(w->c, p->url.n ? STR("messages.content.image_url")
                                   : STR("messages.content[file_id]"));
        } else {
            buf_add(w->b, begun ? STR(",\"") : STR(",\"images\":[\""));
            buf_add(w->b, p->data);
            buf_addc(w->b, '"');
            begun = true;
        }
    }
    return begun;
}

static void begin(struct writer *w, struct str role)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\"role\":\""));
    buf_add(w->b, role);
    buf_addc(w->b, '"');
}

static void put_result(struct writer *w, const struct ir_part *p)
{
    begin(w, STR("tool"));
    put_content(w, p->parts);
    if (p->name.n) {
        ir_put_text(w->b, "tool_name", p->name);
    }
    ir_put_text(w->b, "tool_call_id", ir_id(w->c->arena, p->id, IR_ID_ANY));
    buf_addc(w->b, '}');
    if (p->is_error) {
        ir_drop(w->c, STR("tool_result.is_error"));
    }
    if (p->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

static bool has_image(const struct ir_part *parts)
{
    for (; parts; parts = parts->next) {
        if (is_media(parts)) {
            return true;
        }
    }
    return false;
}

/* Results stand in messages of their own; their images follow in the user's. */
static void put_user(struct writer *w, const struct ir_turn *t)
{
    bool more = !t->first, begun = false;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind == IR_TOOL_RESULT) {
            put_result(w, p);
            more = more || has_image(p->parts);
        } else {
            more = true;
        }
    }
    if (!more) {
        return;
    }
    begin(w, STR("user"));
    put_content(w, t->first);
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind == IR_TOOL_RESULT) {
            begun = put_images(w, p->parts, begun);
        }
    }
    begun = put_images(w, t->first, begun);
    buf_add(w->b, begun ? STR("]}") : STR("}"));
}

/* Thinking has no signature here: whoever's it was, its text may go. */
static void put_thinking(struct writer *w, const struct ir_turn *t)
{
    bool any = false;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind != IR_THINKING) {
            continue;
        }
        if (!p->text.n) {
            ir_drop(w->c, STR("messages.thinking"));
            continue;
        }
        buf_add(w->b, any ? STR("\\n\\n") : STR(",\"thinking\":\""));
        buf_add(w->b, p->text);
        any = true;
    }
    if (any) {
        buf_addc(w->b, '"');
    }
}

static void put_calls(struct writer *w, const struct ir_turn *t)
{
    int64_t n = 0;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind != IR_TOOL_CALL) {
            continue;
        }
        buf_add(w->b, n ? STR(",{") : STR(",\"tool_calls\":[{"));
        ir_put_text(w->b, "id", ir_id(w->c->arena, p->id, IR_ID_ANY));
        buf_add(w->b, STR(",\"function\":{"));
        ir_put_i64(w->b, "index", n++);
        ir_put_text(w->b, "name", p->name);
        ir_put_value(w->b, "arguments", p->args);
        buf_add(w->b, STR("}}"));
    }
    if (n) {
        buf_addc(w->b, ']');
    }
}

static void put_messages(struct writer *w)
{
    buf_add(w->b, STR(",\"messages\":["));
    if (w->c->system) {
        begin(w, STR("system"));
        put_content(w, w->c->system);
        buf_addc(w->b, '}');
    }
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        if (t->role == IR_USER) {
            put_user(w, t);
            continue;
        }
        begin(w, t->role == IR_ASSISTANT ? STR("assistant") : STR("system"));
        put_content(w, t->first);
        put_thinking(w, t);
        bool images = put_images(w, t->first, false);
        buf_add(w->b, images ? STR("]") : STR(""));
        put_calls(w, t);
        buf_addc(w->b, '}');
    }
    buf_addc(w->b, ']');
}

/* ---- the rest ---- */

/* There is no tool_choice: to offer no tool, or few, is what can be done of it. */
static bool is_offered(const struct ir_call *c, const struct ir_tool *t)
{
    if (c->choice == IR_CHOICE_NONE) {
        return false;
    }
    if (c->choice == IR_CHOICE_TOOL) {
        return str_eq(c->choice_tool, t->name);
    }
    return ir_is_among(c, t);
}

static void put_tools(struct writer *w)
{
    struct ir_call *c = w->c;
    struct buf *b = w->b;
    bool any = false;
    for (const struct ir_tool *t = c->tools; t; t = t->next) {
        if (!is_offered(c, t)) {
            continue;
        }
        buf_add(b, any ? STR(",") : STR(",\"tools\":["));
        buf_add(b, STR("{\"type\":\"function\",\"function\":{"));
        ir_put_text(b, "name", t->name);
        if (t->description.n) {
            ir_put_text(b, "description", t->description);
        }
        ir_put_value(b, "parameters", ir_tool_schema(t));
        buf_add(b, STR("}}"));
        any = true;
        if (t->strict == IR_YES) {
            ir_drop(c, STR("tools.strict"));
        }
        if (t->cache) {
            ir_drop(c, STR("cache_control"));
        }
    }
    if (any) {
        buf_addc(b, ']');
    }
    if (c->tools && (c->choice == IR_CHOICE_ANY || c->choice == IR_CHOICE_TOOL)) {
        ir_drop(c, STR("tool_choice"));
    }
    if (c->tools && c->parallel == IR_NO) {
        ir_drop(c, STR("parallel_tool_calls"));
    }
}

/* Only gpt-oss takes a word; other models are told to think or not to, and refuse words. */
static void put_think(struct writer *w)
{
    const struct ir_call *c = w->c;
    enum ir_effort e = c->effort;
    bool words = str_find(w->t->model, STR("gpt-oss")) >= 0;
    if (!e && c->budget == IR_BUDGET_UNSAID) {
        return;
    }
    if (!e && c->budget == IR_BUDGET_DYNAMIC) {
        words = false;
    }
    e = e ? e : ir_budget_effort(c->budget);
    if (e == IR_EFFORT_NONE || !words) {
        ir_put_bool(w->b, "think", e != IR_EFFORT_NONE);
    } else {
        ir_put_text(w->b, "think",
                    e <= IR_EFFORT_LOW      ? STR("low")
                    : e == IR_EFFORT_MEDIUM ? STR("medium")
                                            : STR("high"));
    }
}

void ollama_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {b, c, t};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    put_messages(&w);
    ir_put_bool(b, "stream", c->stream); /* true when it is not there */
    put_tools(&w);
    if (c->format == IR_FORMAT_SCHEMA) {
        ir_put_value(b, "format", c->schema);
    } else if (c->format == IR_FORMAT_JSON) {
        ir_put_text(b, "format", STR("json"));
    }
    put_think(&w);
    ir_put_members(b, c, ollama_beside);
    if (c->top_logprobs.n && !c->logprobs) {
        ir_put_bool(b, "logprobs", true); /* Responses asks by the number alone */
    }
    size_t before = b->n;
    buf_add(b, STR(",\"options\":{"));
    size_t inside = b->n;
    ir_put_members(b, c, ollama_options);
    ir_put_list(b, "stop", c->stop);
    if (b->n == inside) {
        b->n = before;
    } else {
        buf_addc(b, '}');
    }
    ir_drop_members(c, ollama_options, ollama_beside);
    buf_addc(b, '}');
}

void ollama_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/api/chat"));
}
