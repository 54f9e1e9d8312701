/* cohere.chat (v2), requests as they are written for an upstream. */
#include "dialect/cohere.h"

enum { STOPS_MAX = 5 };

struct writer {
    struct buf *b;
    struct ir_call *c;
};

/* ---- content ---- */

static bool is_text(const struct ir_part *p)
{
    return p->kind == IR_TEXT || p->kind == IR_REFUSAL || (p->kind == IR_DOCUMENT && p->text.n);
}

static void put_text(struct writer *w, const struct ir_part *p)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\"type\":\"text\""));
    ir_put_text(w->b, "text", p->text.p ? p->text : STR(""));
    buf_addc(w->b, '}');
}

static void put_image(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_add(b, STR("{\"type\":\"image_url\",\"image_url\":{"));
    if (p->url.n) {
        ir_put_text(b, "url", p->url);
    } else {
        buf_add(b, STR("\"url\":\"data:"));
        buf_add(b, p->media_type.n ? p->media_type : STR("image/png"));
        buf_add(b, STR(";base64,"));
        buf_add(b, p->data);
        buf_addc(b, '"');
    }
    if (p->detail.n) {
        ir_put_text(b, "detail", p->detail);
    }
    buf_add(b, STR("}}"));
}

static bool is_image(const struct ir_part *p)
{
    return p->kind == IR_IMAGE && (p->url.n || p->data.n);
}

/* Images go; audio, documents by data and what is only an id at another vendor have no place. */
static void note_lost(struct writer *w, const struct ir_part *parts)
{
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (p->kind == IR_AUDIO) {
            ir_drop(w->c, STR("messages.content[audio]"));
        } else if (p->kind == IR_DOCUMENT && !is_text(p)) {
            ir_drop(w->c, STR("messages.content[document]"));
        } else if (p->kind == IR_IMAGE && !is_image(p)) {
            ir_drop(w->c, STR("messages.content[file_id]"));
        } else if (p->kind == IR_TOOL_RESULT) {
            note_lost(w, p->parts);
        }
    }
}

static void note_cache(struct writer *w, const struct ir_part *parts)
{
    for (; parts; parts = parts->next) {
        if (parts->cache) {
            ir_drop(w->c, STR("cache_control"));
        }
    }
}

/* content of texts: a string when it is one, else an array. */
static void put_texts(struct writer *w, const struct ir_part *parts)
{
    const struct ir_part *only = NULL;
    unsigned n = 0;
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (is_text(p)) {
            only = p;
            n++;
        }
    }
    note_cache(w, parts);
    if (n <= 1) {
        ir_put_text(w->b, "content", only && only->text.p ? only->text : STR(""));
        return;
    }
    buf_add(w->b, STR(",\"content\":["));
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (is_text(p)) {
            put_text(w, p);
        }
    }
    buf_addc(w->b, ']');
}

/* ---- messages ---- */

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
    ir_put_text(w->b, "tool_call_id", ir_id(w->c->arena, p->id, IR_ID_ANY));
    put_texts(w, p->parts);
    buf_addc(w->b, '}');
    if (p->is_error) {
        ir_drop(w->c, STR("tool_result.is_error"));
    }
}

/* Images of results, which follow in the user's message; how many. */
static unsigned put_result_images(struct writer *w, const struct ir_turn *t, bool dry)
{
    unsigned n = 0;
    for (const struct ir_part *r = t->first; r; r = r->next) {
        for (const struct ir_part *p = r->kind == IR_TOOL_RESULT ? r->parts : NULL; p;
             p = p->next) {
            if (is_image(p)) {
                n++;
                if (!dry) {
                    put_image(w, p);
                }
            }
        }
    }
    return n;
}

static void put_user(struct writer *w, const struct ir_turn *t)
{
    bool more = !t->first, images = put_result_images(w, t, true) > 0;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        images = images || is_image(p);
        if (p->kind == IR_TOOL_RESULT) {
            put_result(w, p);
        } else {
            more = true;
        }
    }
    note_lost(w, t->first);
    note_cache(w, t->first);
    if (!images && !more) {
        return;
    }
    begin(w, STR("user"));
    if (!images) {
        put_texts(w, t->first);
    } else {
        buf_add(w->b, STR(",\"content\":["));
        put_result_images(w, t, false);
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (is_text(p)) {
                put_text(w, p);
            } else if (is_image(p)) {
                put_image(w, p);
            }
        }
        buf_addc(w->b, ']');
    }
    buf_addc(w->b, '}');
}

static void put_call(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_addc(b, '{');
    ir_put_text(b, "id", ir_id(w->c->arena, p->id, IR_ID_ANY));
    buf_add(b, STR(",\"type\":\"function\",\"function\":{"));
    ir_put_text(b, "name", ir_function_name(w->c->arena, p->name));
    buf_add(b, STR(",\"arguments\":\""));
    ir_add_escaped(b, p->args);
    buf_add(b, STR("\"}}"));
}

/* Thinking has no signature here: whoever's it was, its text may go. */
static bool put_thinking(struct writer *w, const struct ir_turn *t)
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
        buf_add(w->b, any ? STR(",") : STR(",\"content\":["));
        buf_add(w->b, STR("{\"type\":\"thinking\""));
        ir_put_text(w->b, "thinking", p->text);
        buf_addc(w->b, '}');
        any = true;
    }
    return any;
}

/* The texts of a turn that calls, as one. */
static void put_plan(struct writer *w, const struct ir_turn *t)
{
    bool any = false;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (is_text(p) && p->text.n) {
            buf_add(w->b, any ? STR("\\n\\n") : STR(",\"tool_plan\":\""));
            buf_add(w->b, p->text);
            any = true;
        }
    }
    if (any) {
        buf_addc(w->b, '"');
    }
}

static void put_assistant(struct writer *w, const struct ir_turn *t)
{
    bool calls = false;
    begin(w, STR("assistant"));
    for (const struct ir_part *p = t->first; p; p = p->next) {
        calls = calls || p->kind == IR_TOOL_CALL;
        if (p->kind == IR_IMAGE) {
            ir_drop(w->c, STR("messages.content[image]"));
        }
    }
    note_cache(w, t->first);
    bool content = put_thinking(w, t);
    if (calls) {
        buf_add(w->b, content ? STR("]") : STR(""));
        put_plan(w, t);
        buf_add(w->b, STR(",\"tool_calls\":["));
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_CALL) {
                put_call(w, p);
            }
        }
        buf_addc(w->b, ']');
    } else if (content) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (is_text(p)) {
                put_text(w, p);
            }
        }
        buf_addc(w->b, ']');
    } else {
        put_texts(w, t->first);
    }
    buf_addc(w->b, '}');
}

static void put_messages(struct writer *w)
{
    buf_add(w->b, STR(",\"messages\":["));
    if (w->c->system) {
        begin(w, STR("system"));
        put_texts(w, w->c->system);
        buf_addc(w->b, '}');
    }
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        if (t->role == IR_USER) {
            put_user(w, t);
        } else if (t->role == IR_ASSISTANT) {
            put_assistant(w, t);
        } else {
            begin(w, STR("system"));
            put_texts(w, t->first);
            buf_addc(w->b, '}');
        }
    }
    buf_addc(w->b, ']');
}

/* ---- tools ---- */

/* One tool alone that must be called is how a certain one is asked for. */
static bool is_offered(const struct ir_call *c, const struct ir_tool *t)
{
    if (c->choice == IR_CHOICE_TOOL) {
        return str_eq(c->choice_tool, t->name);
    }
    return ir_is_among(c, t);
}

static void put_tool(struct writer *w, const struct ir_tool *t)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_add(b, STR("{\"type\":\"function\",\"function\":{"));
    ir_put_text(b, "name", ir_function_name(w->c->arena, t->name));
    if (t->description.n) {
        ir_put_text(b, "description", t->description);
    }
    ir_put_value(b, "parameters", ir_tool_schema(t));
    buf_add(b, STR("}}"));
    if (t->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

/* Strictness is of all tools or of none. */
static void put_strict(struct writer *w, unsigned offered, unsigned strict, unsigned loose)
{
    if (strict == offered || loose == offered) {
        ir_put_bool(w->b, "strict_tools", strict == offered);
    } else if (strict) {
        ir_drop(w->c, STR("tools.strict"));
    }
}

static bool put_tools(struct writer *w)
{
    struct ir_call *c = w->c;
    unsigned n = 0, strict = 0, loose = 0;
    for (const struct ir_tool *t = c->tools; t; t = t->next) {
        if (is_offered(c, t)) {
            buf_add(w->b, n++ ? STR("") : STR(",\"tools\":["));
            put_tool(w, t);
            strict += t->strict == IR_YES;
            loose += t->strict == IR_NO;
        }
    }
    if (c->tools && c->parallel == IR_NO) {
        ir_drop(c, STR("parallel_tool_calls"));
    }
    if (n == 0) {
        return false;
    }
    buf_addc(w->b, ']');
    put_strict(w, n, strict, loose);
    if (c->choice == IR_CHOICE_ANY || c->choice == IR_CHOICE_TOOL) {
        ir_put_text(w->b, "tool_choice", STR("REQUIRED"));
    } else if (c->choice == IR_CHOICE_NONE) {
        ir_put_text(w->b, "tool_choice", STR("NONE"));
    }
    return true;
}

/* ---- the rest ---- */

/* The API refuses a format beside tools. */
static void put_format(struct writer *w, bool tools)
{
    struct ir_call *c = w->c;
    if (c->format < IR_FORMAT_JSON) {
        return;
    }
    if (tools) {
        ir_drop(c, STR("response_format"));
        return;
    }
    buf_add(w->b, STR(",\"response_format\":{\"type\":\"json_object\""));
    if (c->format == IR_FORMAT_SCHEMA) {
        ir_put_value(w->b, "json_schema", c->schema);
    }
    buf_addc(w->b, '}');
}

static void put_thinking_wish(struct writer *w)
{
    const struct ir_call *c = w->c;
    int64_t budget = ir_thinking_budget(c);
    if (budget == 0) {
        ir_put_value(w->b, "thinking", STR("{\"type\":\"disabled\"}"));
    } else if (c->budget == IR_BUDGET_DYNAMIC && !c->effort) {
        ir_put_value(w->b, "thinking", STR("{\"type\":\"enabled\"}"));
    } else if (budget > 0) {
        buf_add(w->b, STR(",\"thinking\":{\"type\":\"enabled\""));
        ir_put_i64(w->b, "token_budget", budget);
        buf_addc(w->b, '}');
    }
}

static void put_penalty(struct writer *w, const char *name, struct str value)
{
    if (value.n && value.p[0] == '-') {
        ir_drop(w->c, str_of(name)); /* none is below zero here */
    } else {
        ir_put_value(w->b, name, ir_at_most(w->c, value, name, 1));
    }
}

static void put_sampling(struct writer *w)
{
    struct ir_call *c = w->c;
    ir_put_value(w->b, "max_tokens", c->max_tokens);
    ir_put_value(w->b, "temperature", c->temperature);
    ir_put_value(w->b, "p", ir_at_most(c, c->top_p, "top_p", 0.99));
    ir_put_value(w->b, "k", ir_at_most(c, c->top_k, "top_k", 500));
    ir_put_value(w->b, "seed", c->seed);
    put_penalty(w, "presence_penalty", c->presence_penalty);
    put_penalty(w, "frequency_penalty", c->frequency_penalty);
    if (c->logprobs) {
        ir_put_bool(w->b, "logprobs", c->logprobs == IR_YES);
    }
    unsigned n = 0;
    for (const struct ir_list *l = c->stop; l; l = l->next, n++) {
        if (n == STOPS_MAX) {
            ir_drop(c, STR("stop[5]"));
            break;
        }
        buf_add(w->b, n ? STR(",\"") : STR(",\"stop_sequences\":[\""));
        buf_add(w->b, l->text);
        buf_addc(w->b, '"');
    }
    buf_add(w->b, n ? STR("]") : STR(""));
}

void cohere_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {b, c};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    put_messages(&w);
    bool tools = put_tools(&w);
    put_format(&w, tools);
    put_thinking_wish(&w);
    put_sampling(&w);
    ir_drop_members(c, cohere_members, NULL);
    if (c->stream) {
        buf_add(b, STR(",\"stream\":true"));
    }
    buf_addc(b, '}');
}

void cohere_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/v2/chat"));
}
