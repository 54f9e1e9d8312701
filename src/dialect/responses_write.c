/* openai.responses, requests as they are written for an upstream. */
#include "dialect/ir_member.h"
#include "dialect/responses.h"
#include "json/scan.h"

static const struct ir_member written[] = {
    IR_MEMBER("metadata", metadata, JSON_OBJECT),
    IR_MEMBER("prompt_cache_key", cache_key, JSON_STRING),
    IR_MEMBER_END,
};

/* Written by hand below. */
static const struct ir_member by_hand[] = {
    IR_MEMBER("max_output_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("user", end_user, JSON_STRING),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("store", store, JSON_TRUE),
    IR_MEMBER("verbosity", verbosity, JSON_STRING),
    IR_MEMBER_END,
};

enum { OUTPUT_MIN = 16 }; /* OpenAI refuses less */

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
    bool signatures; /* reasoning goes along, or is asked for */
};

/* OpenAI's own, which knows more words than the servers that are like it. */
static bool is_openai(const struct writer *w)
{
    return w->t->quirks & QUIRK_DEVELOPER;
}

struct str responses_input_of(struct str args)
{
    struct str value;
    if (args.n < 2 || json_member(args, STR("input"), &value) != JSON_STRING) {
        return (struct str){0};
    }
    return str_make(value.p + 1, value.n - 2);
}

/* ---- parts ---- */

static void put_file(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    if (p->text.p) {
        ir_put_text(b, "type", STR("input_text"));
        ir_put_text(b, "text", p->text);
        return;
    }
    ir_put_text(b, "type", STR("input_file"));
    if (p->file.n) {
        ir_put_text(b, "file_id", p->file);
    } else if (p->url.n) {
        ir_put_text(b, "file_url", p->url);
    } else {
        ir_put_text(b, "filename", p->title.n ? p->title : STR("document.pdf"));
        ir_put_media_url(b, "file_data", p);
    }
}

/* Whether a part has a place in content; one that has none is named. */
static bool can_go(struct writer *w, const struct ir_part *p)
{
    bool has_source = p->data.n || p->url.n || p->file.n;
    if (p->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
    if (p->kind == IR_AUDIO) {
        ir_drop(w->c, STR("messages.content[audio]"));
        return false;
    }
    if ((p->kind == IR_IMAGE && !has_source) ||
        (p->kind == IR_DOCUMENT && !has_source && !p->text.p)) {
        ir_drop(w->c, p->kind == IR_IMAGE ? STR("messages.content[image]")
                                          : STR("messages.content[document]"));
        return false;
    }
    return true;
}

static void put_part(struct writer *w, const struct ir_part *p, bool said)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_addc(b, '{');
    if (p->kind == IR_IMAGE) {
        ir_put_text(b, "type", STR("input_image"));
        if (p->data.n) {
            ir_put_media_url(b, "image_url", p);
        } else if (p->url.n) {
            ir_put_text(b, "image_url", p->url);
        } else {
            ir_put_text(b, "file_id", p->file);
        }
        ir_put_text(b, "detail", p->detail.n ? p->detail : STR("auto"));
    } else if (p->kind == IR_DOCUMENT) {
        put_file(w, p);
    } else if (p->kind == IR_REFUSAL) {
        ir_put_text(b, "type", STR("refusal"));
        ir_put_text(b, "refusal", p->text.p ? p->text : STR(""));
    } else {
        ir_put_text(b, "type", said ? STR("output_text") : STR("input_text"));
        ir_put_text(b, "text", p->text.p ? p->text : STR(""));
        if (said) {
            buf_add(b, STR(",\"annotations\":[]"));
        }
    }
    buf_addc(b, '}');
}

static bool is_said(const struct ir_part *p)
{
    return p->kind != IR_TOOL_CALL && p->kind != IR_TOOL_RESULT && p->kind != IR_THINKING;
}

/* The message that begins at p: all parts up to one that is an item of its own. */
static const struct ir_part *put_message(struct writer *w, const struct ir_part *p,
                                         const char *role, bool said)
{
    bool any = false;
    for (; p && is_said(p); p = p->next) {
        if (!can_go(w, p)) {
            continue;
        }
        if (!any) {
            ir_comma(w->b);
            buf_add(w->b, STR("{\"type\":\"message\""));
            ir_put_text(w->b, "role", str_of(role));
            buf_add(w->b, STR(",\"content\":["));
            any = true;
        }
        put_part(w, p, said);
    }
    buf_add(w->b, any ? STR("]}") : STR(""));
    return p;
}

/* ---- items ---- */

/* It goes without its id: OpenAI checks a signature against the one that it was made with, which nobody tells
 * here, and takes it alone. */
static void put_reasoning(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    if (p->issuer != FAMILY_OPENAI || !p->signature.n) {
        ir_drop(w->c, STR("messages.thinking"));
        return;
    }
    w->signatures = true;
    ir_comma(b);
    buf_add(b, STR("{\"type\":\"reasoning\",\"summary\":["));
    if (p->text.n) {
        buf_add(b, STR("{\"type\":\"summary_text\""));
        ir_put_text(b, "text", p->text);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    ir_put_text(b, "encrypted_content", p->signature);
    buf_addc(b, '}');
}

static void put_call(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_add(b, p->freeform ? STR("{\"type\":\"custom_tool_call\"")
                           : STR("{\"type\":\"function_call\""));
    ir_put_text(b, "call_id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    ir_put_text(b, "name", ir_function_name(w->c->arena, p->name));
    if (p->freeform) {
        struct str input = responses_input_of(p->args);
        ir_put_text(b, "input", input.p ? input : STR(""));
    } else {
        buf_add(b, STR(",\"arguments\":\""));
        ir_add_escaped(b, p->args);
        buf_addc(b, '"');
    }
    buf_addc(b, '}');
}

static bool is_freeform(const struct ir_call *c, struct str name)
{
    const struct ir_tool *t = c->tools;
    while (t && !str_eq(t->name, name)) {
        t = t->next;
    }
    return t && t->freeform;
}

static void put_result(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    const struct ir_part *only = p->parts;
    ir_comma(b);
    buf_add(b, p->freeform ? STR("{\"type\":\"custom_tool_call_output\"")
                           : STR("{\"type\":\"function_call_output\""));
    ir_put_text(b, "call_id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    if (!only || (!only->next && only->kind == IR_TEXT)) {
        ir_put_text(b, "output", only && only->text.p ? only->text : STR(""));
    } else {
        buf_add(b, STR(",\"output\":["));
        for (; only; only = only->next) {
            if (can_go(w, only)) {
                put_part(w, only, false);
            }
        }
        buf_addc(b, ']');
    }
    buf_addc(b, '}');
    if (p->is_error) {
        ir_drop(w->c, STR("tool_result.is_error"));
    }
}

static void put_turn(struct writer *w, const struct ir_turn *t)
{
    bool said = t->role == IR_ASSISTANT;
    const char *role = said                 ? "assistant"
                       : t->role == IR_USER ? "user"
                       : is_openai(w)       ? "developer"
                                            : "system";
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if (p->kind == IR_TOOL_RESULT) {
            put_result(w, p);
        }
        if (p->cache) {
            ir_drop(w->c, STR("cache_control"));
        }
    }
    for (const struct ir_part *p = t->first; p;) {
        if (p->kind == IR_THINKING) {
            put_reasoning(w, p);
        } else if (p->kind == IR_TOOL_CALL) {
            put_call(w, p);
        } else if (is_said(p)) {
            p = put_message(w, p, role, said);
            continue;
        }
        p = p->next;
    }
}

static void put_input(struct writer *w)
{
    struct ir_part *system = w->c->system;
    if (system) {
        buf_add(w->b, STR(",\"instructions\":\""));
        for (const struct ir_part *p = system; p; p = p->next) {
            buf_add(w->b, p == system ? STR("") : STR("\\n\\n"));
            buf_add(w->b, p->text);
            if (p->cache) {
                ir_drop(w->c, STR("cache_control"));
            }
        }
        buf_addc(w->b, '"');
    }
    buf_add(w->b, STR(",\"input\":["));
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        put_turn(w, t);
    }
    buf_addc(w->b, ']');
}

/* ---- tools ---- */

static void put_tool(struct writer *w, const struct ir_tool *t)
{
    struct buf *b = w->b;
    ir_comma(b);
    buf_add(b, t->freeform ? STR("{\"type\":\"custom\"") : STR("{\"type\":\"function\""));
    ir_put_text(b, "name", ir_function_name(w->c->arena, t->name));
    if (t->description.n) {
        ir_put_text(b, "description", t->description);
    }
    if (!t->freeform) {
        ir_put_value(b, "parameters", ir_tool_schema(t));
        ir_put_bool(b, "strict", t->strict == IR_YES);
    }
    buf_addc(b, '}');
    if (t->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

/* Servers that are like OpenAI's know no allowed_tools: only these are offered to them. OpenAI's own is told
 * all, so that its prompt cache holds. */
static bool is_offered(const struct writer *w, const struct ir_tool *t)
{
    return is_openai(w) || ir_is_among(w->c, t);
}

static void put_allowed(struct writer *w)
{
    struct ir_set freeform = {0};
    for (const struct ir_tool *t = w->c->tools; t; t = t->next) {
        if (t->freeform) {
            (void)ir_set_add(w->c->arena, &freeform, t->name);
        }
    }
    buf_add(w->b, STR(",\"tool_choice\":{\"type\":\"allowed_tools\""));
    ir_put_text(w->b, "mode", w->c->choice == IR_CHOICE_ANY ? STR("required") : STR("auto"));
    buf_add(w->b, STR(",\"tools\":["));
    for (const struct ir_list *l = w->c->choice_among; l; l = l->next) {
        ir_comma(w->b);
        buf_add(w->b, ir_set_has(&freeform, l->text) ? STR("{\"type\":\"custom\"")
                                                     : STR("{\"type\":\"function\""));
        ir_put_text(w->b, "name", ir_function_name(w->c->arena, l->text));
        buf_addc(w->b, '}');
    }
    buf_add(w->b, STR("]}"));
}

static void put_choice(struct writer *w)
{
    struct ir_call *c = w->c;
    if (c->choice_among && is_openai(w)) {
        put_allowed(w);
    } else if (c->choice == IR_CHOICE_TOOL) {
        buf_add(w->b, is_freeform(c, c->choice_tool)
                          ? STR(",\"tool_choice\":{\"type\":\"custom\"")
                          : STR(",\"tool_choice\":{\"type\":\"function\""));
        ir_put_text(w->b, "name", ir_function_name(c->arena, c->choice_tool));
        buf_addc(w->b, '}');
    } else if (c->choice) {
        ir_put_text(w->b, "tool_choice",
                    c->choice == IR_CHOICE_ANY    ? STR("required")
                    : c->choice == IR_CHOICE_NONE ? STR("none")
                                                  : STR("auto"));
    }
    if (c->parallel) {
        ir_put_bool(w->b, "parallel_tool_calls", c->parallel == IR_YES);
    }
}

/* ---- the rest ---- */

static void put_text_settings(struct writer *w)
{
    struct ir_call *c = w->c;
    struct buf *b = w->b;
    if (c->format < IR_FORMAT_JSON && !c->verbosity.n) {
        return;
    }
    buf_add(b, STR(",\"text\":{"));
    if (c->format == IR_FORMAT_SCHEMA) {
        buf_add(b, STR("\"format\":{\"type\":\"json_schema\""));
        ir_put_text(b, "name", c->schema_name.n ? c->schema_name : STR("answer"));
        if (c->schema_description.n) {
            ir_put_text(b, "description", c->schema_description);
        }
        ir_put_value(b, "schema", c->schema);
        ir_put_bool(b, "strict", c->schema_strict == IR_YES);
        buf_addc(b, '}');
    } else if (c->format == IR_FORMAT_JSON) {
        buf_add(b, STR("\"format\":{\"type\":\"json_object\"}"));
    }
    if (c->verbosity.n) {
        ir_put_text(b, "verbosity", c->verbosity);
    }
    buf_addc(b, '}');
}

static void put_reasoning_wish(struct writer *w)
{
    struct ir_call *c = w->c;
    enum ir_effort e = c->effort;
    if (!e && c->budget != IR_BUDGET_UNSAID) {
        e = ir_budget_effort(c->budget);
    }
    bool show = c->show_thinking == IR_YES && e != IR_EFFORT_NONE;
    if (e || show) {
        buf_add(w->b, STR(",\"reasoning\":{"));
        if (e) {
            ir_put_text(w->b, "effort", ir_effort_word(e));
        }
        if (show) {
            ir_put_text(w->b, "summary", STR("auto"));
        }
        buf_addc(w->b, '}');
    }
    if (w->signatures || (e && e != IR_EFFORT_NONE) || show) {
        buf_add(w->b, STR(",\"include\":[\"reasoning.encrypted_content\"]"));
    }
}

static void put_sampling(struct writer *w)
{
    struct ir_call *c = w->c;
    int64_t most;
    if (c->max_tokens.n && is_openai(w) && json_int(c->max_tokens, &most) == 0 &&
        most < OUTPUT_MIN) {
        ir_drop(c, STR("max_tokens<16"));
        ir_put_i64(w->b, "max_output_tokens", OUTPUT_MIN);
    } else {
        ir_put_value(w->b, "max_output_tokens", c->max_tokens);
    }
    if (w->t->quirks & QUIRK_NO_SAMPLING) {
        if (c->temperature.n) {
            ir_drop(c, STR("temperature"));
        }
        if (c->top_p.n) {
            ir_drop(c, STR("top_p"));
        }
    } else {
        ir_put_value(w->b, "temperature", c->temperature);
        ir_put_value(w->b, "top_p", c->top_p);
    }
    if (c->stop) {
        ir_drop(c, STR("stop"));
    }
    if (ir_is_openai_tier(c->tier)) {
        ir_put_text(w->b, "service_tier", c->tier);
    } else if (c->tier.n) {
        ir_drop(c, STR("service_tier"));
    }
}

/* Nothing is kept there that nobody will ask for: only one who keeps its own may do what it is used to. */
static void put_store(struct writer *w)
{
    const struct ir_call *c = w->c;
    if (!c->own || c->store != IR_UNSAID) {
        ir_put_bool(w->b, "store", c->store == IR_YES);
    }
    for (const struct ir_list *l = c->own_members; l; l = l->next) {
        ir_comma(w->b);
        buf_add(w->b, l->text);
    }
}

void responses_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {.b = b, .c = c, .t = t};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    put_input(&w);
    if (c->tools) {
        buf_add(b, STR(",\"tools\":["));
        for (const struct ir_tool *tool = c->tools; tool; tool = tool->next) {
            if (is_offered(&w, tool)) {
                put_tool(&w, tool);
            }
        }
        buf_addc(b, ']');
        put_choice(&w);
    }
    put_text_settings(&w);
    put_reasoning_wish(&w);
    put_sampling(&w);
    ir_put_members(b, c, written);
    if (c->end_user.n) {
        ir_put_text(b, is_openai(&w) ? "safety_identifier" : "user", c->end_user);
    }
    put_store(&w);
    ir_drop_members(c, written, by_hand);
    if (c->stream) {
        ir_put_bool(b, "stream", true);
    }
    buf_addc(b, '}');
}

void responses_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/responses"));
}
