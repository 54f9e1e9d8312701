/* openai.chat, requests as they are written for an upstream. */
#include "dialect/chat.h"
#include "dialect/ir_member.h"

/* What every server of this dialect knows, and what only OpenAI's own does. */
static const struct ir_member usual[] = {
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("n", n, JSON_NUMBER),
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER("logit_bias", logit_bias, JSON_OBJECT),
    IR_MEMBER_END,
};

static const struct ir_member of_openai[] = {
    IR_MEMBER("verbosity", verbosity, JSON_STRING),
    IR_MEMBER("safety_identifier", end_user, JSON_STRING),
    IR_MEMBER("metadata", metadata, JSON_OBJECT),
    IR_MEMBER("prompt_cache_key", cache_key, JSON_STRING),
    IR_MEMBER("store", store, JSON_TRUE),
    IR_MEMBER_END,
};

/* Written by hand below; here so that they are not taken for losses. */
static const struct ir_member by_hand[] = {
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("min_p", min_p, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("user", end_user, JSON_STRING),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("n", n, JSON_NUMBER),
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER("logit_bias", logit_bias, JSON_OBJECT),
    IR_MEMBER_END,
};

enum { STOPS_MAX = 4 };

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
};

static bool is(const struct writer *w, enum quirk q)
{
    return w->t->quirks & q;
}

/* ---- content ---- */

static void put_document(struct writer *w, const struct ir_part *p)
{
    if (p->text.n) {
        ir_put_text(w->b, "type", STR("text"));
        ir_put_text(w->b, "text", p->text);
        return;
    }
    ir_put_text(w->b, "type", STR("file"));
    buf_add(w->b, STR(",\"file\":{"));
    if (p->file.n) {
        ir_put_text(w->b, "file_id", p->file);
    } else {
        ir_put_text(w->b, "filename", p->title.n ? p->title : STR("document.pdf"));
        ir_put_media_url(w->b, "file_data", p);
    }
    buf_addc(w->b, '}');
}

/* One part of a user's content array. */
static void put_part(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_addc(b, '{');
    switch (p->kind) {
    case IR_IMAGE:
        buf_add(b, STR("\"type\":\"image_url\",\"image_url\":{"));
        ir_put_media_url(b, "url", p);
        if (p->detail.n) {
            ir_put_text(b, "detail", p->detail);
        }
        buf_addc(b, '}');
        break;
    case IR_AUDIO:
        buf_add(b, STR("\"type\":\"input_audio\",\"input_audio\":{"));
        ir_put_text(b, "data", p->data);
        ir_put_text(b, "format", ir_media_format(p->media_type));
        buf_addc(b, '}');
        break;
    case IR_DOCUMENT:
        put_document(w, p);
        break;
    default:
        ir_put_text(b, "type", STR("text"));
        ir_put_text(b, "text", p->text.p ? p->text : STR(""));
        break;
    }
    buf_addc(b, '}');
}

static bool is_media(const struct ir_part *p)
{
    return p->kind == IR_IMAGE || p->kind == IR_DOCUMENT || p->kind == IR_AUDIO;
}

/* An image that is only an id at another vendor, or that this dialect cannot hold. */
static bool can_go(struct writer *w, const struct ir_part *p)
{
    if (is_media(p) && !p->data.n && !p->url.n && !p->text.n && p->kind != IR_DOCUMENT) {
        ir_drop(w->c, STR("messages.content[file_id]"));
        return false;
    }
    return true;
}

static void note_cache(struct writer *w, const struct ir_part *p)
{
    if (p->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

static bool is_plain(const struct ir_part *p)
{
    return p->kind == IR_TEXT || p->kind == IR_REFUSAL;
}

/* content of parts: a string when it is one text, else an array. Results, calls and thinking are passed over;
 * `media_too` says whether the message may hold more than text. */
static void put_content(struct writer *w, const struct ir_part *parts, bool media_too)
{
    const struct ir_part *only = NULL;
    unsigned n = 0;
    for (const struct ir_part *p = parts; p; p = p->next) {
        if (is_plain(p) || (media_too && is_media(p))) {
            only = p;
            n++;
            note_cache(w, p);
        }
    }
    if (n == 0) {
        ir_put_text(w->b, "content", STR(""));
        return;
    }
    if (n == 1 && is_plain(only)) {
        ir_put_text(w->b, "content", only->text.p ? only->text : STR(""));
        return;
    }
    buf_add(w->b, STR(",\"content\":["));
    for (const struct ir_part *p = parts; p; p = p->next) {
        if ((is_plain(p) || (media_too && is_media(p))) && can_go(w, p)) {
            put_part(w, p);
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

static void end(struct writer *w)
{
    buf_addc(w->b, '}');
}

static enum ir_id_rule id_rule(const struct writer *w)
{
    return is(w, QUIRK_ID_9) ? IR_ID_MISTRAL : IR_ID_OPENAI;
}

static void put_result(struct writer *w, const struct ir_part *p)
{
    begin(w, STR("tool"));
    ir_put_text(w->b, "tool_call_id", ir_id(w->c->arena, p->id, id_rule(w)));
    if (is(w, QUIRK_ID_9) && p->name.n) {
        ir_put_text(w->b, "name", p->name); /* Mistral's own */
    }
    put_content(w, p->parts, false);
    end(w);
    note_cache(w, p);
    if (p->is_error) {
        ir_drop(w->c, STR("tool_result.is_error"));
    }
}

/* Images of results cannot stand in a tool's message: they follow in the user's. */
static bool put_result_media(struct writer *w, const struct ir_turn *t, bool dry)
{
    bool found = false;
    for (const struct ir_part *r = t->first; r; r = r->next) {
        for (const struct ir_part *p = r->kind == IR_TOOL_RESULT ? r->parts : NULL; p;
             p = p->next) {
            if (is_media(p)) {
                found = true;
                if (!dry && can_go(w, p)) {
                    put_part(w, p);
                }
            }
        }
    }
    return found;
}

static void put_user(struct writer *w, const struct ir_turn *t)
{
    bool more = false;
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind == IR_TOOL_RESULT) {
            put_result(w, p);
        } else {
            more = true;
        }
    }
    if (put_result_media(w, t, true)) {
        begin(w, STR("user"));
        buf_add(w->b, STR(",\"content\":["));
        put_result_media(w, t, false);
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if ((is_plain(p) || is_media(p)) && can_go(w, p)) {
                put_part(w, p);
            }
        }
        buf_addc(w->b, ']');
        end(w);
    } else if (more || !t->first) {
        begin(w, STR("user"));
        put_content(w, t->first, true);
        end(w);
    }
}

static void put_call(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_addc(b, '{');
    ir_put_text(b, "id", ir_id(w->c->arena, p->id, id_rule(w)));
    buf_add(b, STR(",\"type\":\"function\",\"function\":{"));
    ir_put_text(b, "name", ir_function_name(w->c->arena, p->name));
    buf_add(b, STR(",\"arguments\":\""));
    ir_add_escaped(b, p->args);
    buf_add(b, STR("\"}}"));
}

/* Thinking goes back to servers that made it; OpenAI's own knows no such member. */
static void put_thinking(struct writer *w, const struct ir_turn *t)
{
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind != IR_THINKING) {
            continue;
        }
        if (p->issuer == FAMILY_OPENAI && p->text.n && !is(w, QUIRK_DEVELOPER)) {
            ir_put_text(w->b, "reasoning_content", p->text);
            return;
        }
        ir_drop(w->c, STR("messages.thinking"));
    }
}

static void put_assistant(struct writer *w, const struct ir_turn *t)
{
    bool calls = false, plain = false;
    begin(w, STR("assistant"));
    for (const struct ir_part *p = t->first; p; p = p->next) {
        calls = calls || p->kind == IR_TOOL_CALL;
        plain = plain || is_plain(p);
    }
    if (plain || !calls) {
        put_content(w, t->first, false);
    } else {
        buf_add(w->b, STR(",\"content\":null"));
    }
    put_thinking(w, t);
    if (calls) {
        buf_add(w->b, STR(",\"tool_calls\":["));
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_CALL) {
                put_call(w, p);
            }
        }
        buf_addc(w->b, ']');
    }
    end(w);
}

static void put_messages(struct writer *w)
{
    buf_add(w->b, STR(",\"messages\":["));
    if (w->c->system) {
        begin(w, STR("system"));
        put_content(w, w->c->system, false);
        end(w);
    }
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        if (t->role == IR_USER) {
            put_user(w, t);
        } else if (t->role == IR_ASSISTANT) {
            put_assistant(w, t);
        } else {
            begin(w, STR("system"));
            put_content(w, t->first, false);
            end(w);
        }
    }
    buf_addc(w->b, ']');
}

/* ---- tools ---- */

static bool is_offered(const struct writer *w, const struct ir_tool *t)
{
    /* OpenAI's own has allowed_tools: the list stays, and with it the prompt cache */
    return is(w, QUIRK_DEVELOPER) || ir_is_among(w->c, t);
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
    if (t->strict) {
        ir_put_bool(b, "strict", t->strict == IR_YES);
    }
    buf_add(b, STR("}}"));
    if (t->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

static void put_allowed(struct writer *w)
{
    buf_add(w->b, STR(",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{"));
    ir_put_text(w->b, "mode", w->c->choice == IR_CHOICE_ANY ? STR("required") : STR("auto"));
    buf_add(w->b, STR(",\"tools\":["));
    for (const struct ir_list *l = w->c->choice_among; l; l = l->next) {
        ir_comma(w->b);
        buf_add(w->b, STR("{\"type\":\"function\",\"function\":{"));
        ir_put_text(w->b, "name", l->text);
        buf_add(w->b, STR("}}"));
    }
    buf_add(w->b, STR("]}}"));
}

static void put_choice(struct writer *w)
{
    switch (w->c->choice) {
    case IR_CHOICE_AUTO:
        ir_put_text(w->b, "tool_choice", STR("auto"));
        break;
    case IR_CHOICE_NONE:
        ir_put_text(w->b, "tool_choice", STR("none"));
        break;
    case IR_CHOICE_ANY:
        ir_put_text(w->b, "tool_choice", is(w, QUIRK_ANY_REQUIRED) ? STR("any") : STR("required"));
        break;
    case IR_CHOICE_TOOL:
        buf_add(w->b, STR(",\"tool_choice\":{\"type\":\"function\",\"function\":{"));
        ir_put_text(w->b, "name", ir_function_name(w->c->arena, w->c->choice_tool));
        buf_add(w->b, STR("}}"));
        break;
    case IR_CHOICE_UNSAID:
        break;
    }
}

static void put_tools(struct writer *w)
{
    struct ir_call *c = w->c;
    if (!c->tools) {
        return;
    }
    buf_add(w->b, STR(",\"tools\":["));
    for (const struct ir_tool *t = c->tools; t; t = t->next) {
        if (is_offered(w, t)) {
            put_tool(w, t);
        }
    }
    buf_addc(w->b, ']');
    if (c->choice_among && is(w, QUIRK_DEVELOPER)) {
        put_allowed(w);
    } else {
        put_choice(w);
    }
    if (c->parallel && is(w, QUIRK_NO_PARALLEL)) {
        ir_drop(c, STR("parallel_tool_calls"));
    } else if (c->parallel) {
        ir_put_bool(w->b, "parallel_tool_calls", c->parallel == IR_YES);
    }
}

/* ---- the rest ---- */

static void put_format(struct writer *w)
{
    struct ir_call *c = w->c;
    bool schema = c->format == IR_FORMAT_SCHEMA && !is(w, QUIRK_NO_SCHEMA);
    if (c->format == IR_FORMAT_SCHEMA && !schema) {
        ir_drop(c, STR("response_format.json_schema"));
    }
    if (schema) {
        buf_add(w->b, STR(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"));
        ir_put_text(w->b, "name", c->schema_name.n ? c->schema_name : STR("answer"));
        if (c->schema_description.n) {
            ir_put_text(w->b, "description", c->schema_description);
        }
        ir_put_value(w->b, "schema", c->schema);
        if (c->schema_strict) {
            ir_put_bool(w->b, "strict", c->schema_strict == IR_YES);
        }
        buf_add(w->b, STR("}}"));
    } else if (c->format >= IR_FORMAT_JSON) {
        buf_add(w->b, STR(",\"response_format\":{\"type\":\"json_object\"}"));
    }
}

static void put_effort(struct writer *w)
{
    struct ir_call *c = w->c;
    enum ir_effort e = c->effort;
    if (!e && c->budget != IR_BUDGET_UNSAID) {
        e = ir_budget_effort(c->budget);
    }
    if (!e) {
        return;
    }
    if (is(w, QUIRK_THINKING_OBJECT)) {
        ir_put_value(w->b, "thinking",
                     e == IR_EFFORT_NONE ? STR("{\"type\":\"disabled\"}")
                                         : STR("{\"type\":\"enabled\"}"));
    } else if (is(w, QUIRK_NO_EFFORT)) {
        ir_drop(c, STR("reasoning_effort"));
    } else if (is(w, QUIRK_REASONING_OBJECT)) {
        buf_add(w->b, STR(",\"reasoning\":{"));
        if (!c->effort && c->budget > 0) {
            ir_put_i64(w->b, "max_tokens", c->budget);
        } else {
            ir_put_text(w->b, "effort", ir_effort_word(e));
        }
        buf_addc(w->b, '}');
    } else {
        ir_put_text(w->b, "reasoning_effort", ir_effort_word(e));
    }
}

static void put_or_drop(struct writer *w, const char *name, struct str value, bool known)
{
    if (value.n && known) {
        ir_put_value(w->b, name, value);
    } else if (value.n) {
        ir_drop(w->c, str_of(name));
    }
}

/* OpenAI takes four; the form keeps them all, for the next target. */
static void put_stops(struct writer *w)
{
    int n = 0;
    for (const struct ir_list *l = w->c->stop; l; l = l->next) {
        if (++n > STOPS_MAX) {
            ir_drop(w->c, STR("stop[4]"));
            break;
        }
        buf_add(w->b, n == 1 ? STR(",\"stop\":[\"") : STR(",\""));
        buf_add(w->b, l->text);
        buf_addc(w->b, '"');
    }
    if (n) {
        buf_addc(w->b, ']');
    }
}

static void put_sampling(struct writer *w)
{
    struct ir_call *c = w->c;
    bool sampling = !is(w, QUIRK_NO_SAMPLING), loose = !is(w, QUIRK_STRICT_MEMBERS);
    ir_put_value(w->b, is(w, QUIRK_MAX_COMPLETION) ? "max_completion_tokens" : "max_tokens",
                 c->max_tokens);
    put_or_drop(w, "temperature", c->temperature, sampling);
    put_or_drop(w, "top_p", c->top_p, sampling);
    put_or_drop(w, "top_k", c->top_k, loose);
    put_or_drop(w, "min_p", c->min_p, loose);
    ir_put_value(w->b, is(w, QUIRK_RANDOM_SEED) ? "random_seed" : "seed", c->seed);
    ir_put_members(w->b, c, usual);
    if (c->top_logprobs.n && !c->logprobs) {
        ir_put_bool(w->b, "logprobs", true); /* Responses asks by the number alone */
    }
    put_stops(w);
}

void chat_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {b, c, t};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    put_messages(&w);
    put_tools(&w);
    put_format(&w);
    put_effort(&w);
    put_sampling(&w);
    if (is(&w, QUIRK_DEVELOPER)) {
        ir_put_members(b, c, of_openai);
    } else if (c->end_user.n && !is(&w, QUIRK_STRICT_MEMBERS)) {
        ir_put_text(b, "user", c->end_user);
    }
    if (c->tier.n && ir_is_openai_tier(c->tier)) {
        ir_put_text(b, "service_tier", c->tier);
    } else if (c->tier.n) {
        ir_drop(c, STR("service_tier"));
    }
    ir_drop_members(c, by_hand, is(&w, QUIRK_DEVELOPER) ? of_openai : NULL);
    if (c->stream) {
        buf_add(b, STR(",\"stream\":true"));
        if (!is(&w, QUIRK_NO_STREAM_OPTIONS)) {
            buf_add(b, STR(",\"stream_options\":{\"include_usage\":true}"));
        }
    }
    buf_addc(b, '}');
}

void chat_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/chat/completions"));
}
