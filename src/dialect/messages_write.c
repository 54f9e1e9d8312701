/* anthropic.messages, requests as they are written for an upstream: turns of one role merge, results come first
 * in the turn behind their calls, empty texts are left out, sampling steps back where thinking is on. */
#include <sodium.h>

#include "dialect/ir_member.h"
#include "dialect/messages.h"
#include "json/scan.h"

static const struct ir_member written[] = {
    IR_MEMBER("max_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("user_id", end_user, JSON_STRING),
    IR_MEMBER_END,
};

enum { OUTPUT_DEFAULT = 8192, BUDGET_MIN = 1024 };

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
    bool thinking;
};

static void put_cache(struct writer *w, enum ir_cache cache)
{
    if (cache) {
        ir_put_value(w->b, "cache_control",
                     cache == IR_CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                                          : STR("{\"type\":\"ephemeral\"}"));
    }
}

static void open_block(struct writer *w, struct str type)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\"type\":\""));
    buf_add(w->b, type);
    buf_addc(w->b, '"');
}

static void close_block(struct writer *w, const struct ir_part *p)
{
    put_cache(w, p->cache);
    buf_addc(w->b, '}');
}

/* ---- parts ---- */

static bool is_http(struct str url)
{
    return str_istarts(url, STR("http://")) || str_istarts(url, STR("https://"));
}

static void put_source(struct writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    buf_add(b, STR(",\"source\":{"));
    if (p->file.n) {
        ir_put_text(b, "type", STR("file"));
        ir_put_text(b, "file_id", p->file);
    } else if (p->url.n) {
        ir_put_text(b, "type", STR("url"));
        ir_put_text(b, "url", p->url);
    } else if (p->text.p) {
        ir_put_text(b, "type", STR("text"));
        ir_put_text(b, "media_type", STR("text/plain"));
        ir_put_text(b, "data", p->text);
    } else {
        ir_put_text(b, "type", STR("base64"));
        ir_put_text(b, "media_type", p->media_type);
        ir_put_text(b, "data", p->data);
    }
    buf_addc(b, '}');
}

static bool image_can_go(const struct ir_part *p)
{
    static const char *const types[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};
    if (p->file.n) {
        return false; /* an id at another vendor */
    }
    if (p->url.n) {
        return is_http(p->url);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (ir_is(p->media_type, str_of(types[i]))) {
            return p->data.n > 0;
        }
    }
    return false;
}

/* A text file in base64 goes as text. */
static struct str decoded_text(struct ir_call *c, const struct ir_part *p)
{
    struct str data = ir_plain(c->arena, p->data);
    char *to = arena_alloc(c->arena, data.n + 1);
    size_t n;
    if (sodium_base642bin((unsigned char *)to, data.n, data.p, data.n, "\r\n ", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return (struct str){0};
    }
    return ir_escape(c->arena, str_make(to, n));
}

static void put_document(struct writer *w, const struct ir_part *p)
{
    struct ir_part d = *p;
    bool pdf = ir_is(d.media_type, STR("application/pdf")) || d.url.n;
    if (d.data.n && !pdf) {
        bool text =
            str_starts(d.media_type, STR("text/")) || ir_is(d.media_type, STR("application/json"));
        d.text = text ? decoded_text(w->c, &d) : (struct str){0};
    }
    if (d.file.n || (!d.text.p && !(pdf && (d.data.n || is_http(d.url))))) {
        ir_drop(w->c, STR("messages.content[document]"));
        return;
    }
    open_block(w, STR("document"));
    put_source(w, &d);
    if (d.title.n) {
        ir_put_text(w->b, "title", d.title);
    }
    close_block(w, p);
}

/* Texts, images and documents: what turns and results both hold. */
static void put_plain_part(struct writer *w, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TEXT:
    case IR_REFUSAL:
        if (p->text.n) {
            open_block(w, STR("text"));
            ir_put_text(w->b, "text", p->text);
            close_block(w, p);
        }
        break;
    case IR_IMAGE:
        if (image_can_go(p)) {
            open_block(w, STR("image"));
            put_source(w, p);
            close_block(w, p);
        } else {
            ir_drop(w->c, STR("messages.content[image]"));
        }
        break;
    case IR_DOCUMENT:
        put_document(w, p);
        break;
    case IR_AUDIO:
        ir_drop(w->c, STR("messages.content[audio]"));
        break;
    default:
        break;
    }
}

static void put_result(struct writer *w, const struct ir_part *p)
{
    open_block(w, STR("tool_result"));
    ir_put_text(w->b, "tool_use_id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    const struct ir_part *only = p->parts;
    if (only && !only->next && only->kind == IR_TEXT && !only->cache) {
        ir_put_text(w->b, "content", only->text.p ? only->text : STR(""));
    } else if (only) {
        buf_add(w->b, STR(",\"content\":["));
        for (const struct ir_part *k = p->parts; k; k = k->next) {
            put_plain_part(w, k);
        }
        buf_addc(w->b, ']');
    }
    if (p->is_error) {
        ir_put_bool(w->b, "is_error", true);
    }
    close_block(w, p);
}

static void put_call(struct writer *w, const struct ir_part *p)
{
    open_block(w, STR("tool_use"));
    ir_put_text(w->b, "id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    ir_put_text(w->b, "name", ir_function_name(w->c->arena, p->name));
    ir_put_value(w->b, "input", p->args);
    close_block(w, p);
}

/* Only what Anthropic itself has signed may come back. */
static bool is_ours(const struct ir_part *p)
{
    return p->kind == IR_THINKING && p->issuer == FAMILY_ANTHROPIC && p->signature.n;
}

static void put_thinking(struct writer *w, const struct ir_part *p)
{
    if (!is_ours(p)) {
        ir_drop(w->c, STR("messages.thinking"));
        return;
    }
    open_block(w, p->redacted ? STR("redacted_thinking") : STR("thinking"));
    if (p->redacted) {
        ir_put_text(w->b, "data", p->signature);
    } else {
        ir_put_text(w->b, "thinking", p->text.p ? p->text : STR(""));
        ir_put_text(w->b, "signature", p->signature);
    }
    close_block(w, p);
}

/* ---- turns ---- */

static void put_parts(struct writer *w, const struct ir_turn *t, bool results)
{
    for (const struct ir_part *p = t->first; p; p = p->next) {
        if ((p->kind == IR_TOOL_RESULT) != results) {
            continue;
        }
        switch (p->kind) {
        case IR_TOOL_RESULT:
            put_result(w, p);
            break;
        case IR_TOOL_CALL:
            put_call(w, p);
            break;
        case IR_THINKING:
            put_thinking(w, p);
            break;
        default:
            put_plain_part(w, p);
            break;
        }
    }
}

static const struct ir_turn *next_of_talk(const struct ir_turn *t)
{
    while (t && t->role == IR_SYSTEM) {
        t = t->next;
    }
    return t;
}

/* All turns from t on that have its role, as one message; returns the turn behind them. */
static const struct ir_turn *put_message(struct writer *w, const struct ir_turn *t)
{
    const struct ir_turn *from = t, *end = t;
    while (end && end->role == from->role) {
        end = next_of_talk(end->next);
    }
    ir_comma(w->b);
    size_t before = w->b->n;
    buf_add(w->b, from->role == IR_USER ? STR("{\"role\":\"user\",\"content\":[")
                                        : STR("{\"role\":\"assistant\",\"content\":["));
    size_t empty = w->b->n;
    for (int results = 1; results >= 0; results--) {
        for (t = from; t != end; t = next_of_talk(t->next)) {
            put_parts(w, t, results);
        }
    }
    if (w->b->n == empty && from->role == IR_ASSISTANT) {
        w->b->n = before; /* said nothing: no message may be empty */
        if (before && w->b->p[before - 1] == ',') {
            w->b->n--;
        }
        return end;
    }
    if (w->b->n == empty) {
        buf_add(w->b, STR("{\"type\":\"text\",\"text\":\".\"}"));
    }
    buf_add(w->b, STR("]}"));
    return end;
}

static void put_messages(struct writer *w)
{
    const struct ir_turn *t = next_of_talk(w->c->turns);
    buf_add(w->b, STR(",\"messages\":["));
    if (!t || t->role != IR_USER) {
        buf_add(w->b, STR("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]}"));
    }
    while (t) {
        t = put_message(w, t);
    }
    buf_addc(w->b, ']');
}

static void put_system_part(struct writer *w, const struct ir_part *p)
{
    if (p->kind == IR_TEXT && p->text.n) {
        put_plain_part(w, p);
    }
}

/* Instructions, those from the middle of the conversation behind those ahead of it. */
static void put_system(struct writer *w)
{
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"system\":["));
    size_t empty = w->b->n;
    for (const struct ir_part *p = w->c->system; p; p = p->next) {
        put_system_part(w, p);
    }
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        for (const struct ir_part *p = t->role == IR_SYSTEM ? t->first : NULL; p; p = p->next) {
            put_system_part(w, p);
        }
    }
    if (w->b->n == empty) {
        w->b->n = before;
    } else {
        buf_addc(w->b, ']');
    }
}

/* ---- tools ---- */

static void put_choice(struct writer *w)
{
    struct ir_call *c = w->c;
    enum ir_choice choice = c->choice;
    bool thinks = w->thinking || w->t->quirks & QUIRK_ALWAYS_THINKS;
    if (thinks && (choice == IR_CHOICE_ANY || choice == IR_CHOICE_TOOL)) {
        ir_drop(c, STR("tool_choice")); /* not allowed beside thinking */
        choice = IR_CHOICE_AUTO;
    }
    if (!choice && c->parallel != IR_NO) {
        return;
    }
    buf_add(w->b, STR(",\"tool_choice\":{"));
    ir_put_text(w->b, "type",
                choice == IR_CHOICE_ANY    ? STR("any")
                : choice == IR_CHOICE_NONE ? STR("none")
                : choice == IR_CHOICE_TOOL ? STR("tool")
                                           : STR("auto"));
    if (choice == IR_CHOICE_TOOL) {
        ir_put_text(w->b, "name", ir_function_name(c->arena, c->choice_tool));
    }
    if (c->parallel == IR_NO && choice != IR_CHOICE_NONE) {
        ir_put_bool(w->b, "disable_parallel_tool_use", true);
    }
    buf_addc(w->b, '}');
}

static void put_tools(struct writer *w)
{
    if (!w->c->tools) {
        return;
    }
    buf_add(w->b, STR(",\"tools\":["));
    for (const struct ir_tool *t = w->c->tools; t; t = t->next) {
        if (!ir_is_among(w->c, t)) {
            continue;
        }
        ir_comma(w->b);
        buf_addc(w->b, '{');
        ir_put_text(w->b, "name", ir_function_name(w->c->arena, t->name));
        if (t->description.n) {
            ir_put_text(w->b, "description", t->description);
        }
        ir_put_value(w->b, "input_schema", ir_tool_schema(t));
        if (t->strict == IR_YES) {
            ir_put_bool(w->b, "strict", true);
        }
        put_cache(w, t->cache);
        buf_addc(w->b, '}');
    }
    buf_addc(w->b, ']');
    put_choice(w);
}

/* ---- thinking, length, sampling ---- */

static struct str adaptive_word(enum ir_effort e)
{
    return e <= IR_EFFORT_LOW ? STR("low") : ir_effort_word(e);
}

static void put_adaptive(struct writer *w)
{
    struct ir_call *c = w->c;
    enum ir_effort e = c->effort ? c->effort : ir_budget_effort(c->budget);
    ir_put_value(w->b, "thinking",
                 c->show_thinking == IR_NO ? STR("{\"type\":\"adaptive\",\"display\":\"omitted\"}")
                 : c->show_thinking == IR_YES
                     ? STR("{\"type\":\"adaptive\",\"display\":\"summarized\"}")
                     : STR("{\"type\":\"adaptive\"}"));
    if (c->effort || c->budget > 0) {
        buf_add(w->b, STR(",\"output_config\":{"));
        ir_put_text(w->b, "effort", adaptive_word(e));
    }
}

/* A budget that is below `most` and not too small; IR_BUDGET_UNSAID when there is none, which is a loss. */
static int64_t fitting_budget(struct writer *w, int64_t budget, int64_t most)
{
    budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
    budget = budget < most ? budget : most - 1;
    if (budget < BUDGET_MIN || ir_loop_lacks_thinking(w->c, FAMILY_ANTHROPIC)) {
        ir_drop(w->c, STR("reasoning"));
        return IR_BUDGET_UNSAID;
    }
    return budget;
}

/* thinking and max_tokens, which must be above the budget. Leaves output_config open when it began it. */
static bool put_thinking_wish(struct writer *w)
{
    struct ir_call *c = w->c;
    bool adaptive = w->t->quirks & QUIRK_ADAPTIVE, config = false;
    int64_t budget = ir_thinking_budget(c);
    int64_t fallback = w->t->max_output          ? w->t->max_output
                       : budget > 0 && !adaptive ? OUTPUT_DEFAULT + budget
                                                 : OUTPUT_DEFAULT;
    int64_t most = c->max_tokens.n ? ir_number(c->max_tokens) : fallback;
    if (budget > 0 && !adaptive) {
        budget = fitting_budget(w, budget, most);
    }
    if (c->max_tokens.n) {
        ir_put_value(w->b, "max_tokens", c->max_tokens);
    } else {
        ir_put_i64(w->b, "max_tokens", fallback);
    }
    w->thinking = budget > 0;
    if (budget > 0 && adaptive) {
        put_adaptive(w);
        config = c->effort || c->budget > 0;
    } else if (budget > 0) {
        buf_add(w->b, STR(",\"thinking\":{\"type\":\"enabled\""));
        ir_put_i64(w->b, "budget_tokens", budget);
        buf_addc(w->b, '}');
    } else if (budget == 0 && w->t->quirks & QUIRK_ALWAYS_THINKS) {
        ir_drop(c, STR("reasoning"));
    } else if (budget == 0) {
        ir_put_value(w->b, "thinking", STR("{\"type\":\"disabled\"}"));
    }
    return config;
}

static void put_output_config(struct writer *w, bool open)
{
    struct ir_call *c = w->c;
    if (c->format == IR_FORMAT_SCHEMA) {
        buf_add(w->b, open ? STR(",") : STR(",\"output_config\":{"));
        buf_add(w->b, STR("\"format\":{\"type\":\"json_schema\""));
        ir_put_value(w->b, "schema", c->schema);
        buf_addc(w->b, '}');
        open = true;
    } else if (c->format == IR_FORMAT_JSON) {
        ir_drop(c, STR("response_format.json_object"));
    }
    if (open) {
        buf_addc(w->b, '}');
    }
}

static void put_sampling(struct writer *w)
{
    struct ir_call *c = w->c;
    if (w->thinking || w->t->quirks & QUIRK_NO_SAMPLING) {
        /* temperature and top_k are refused beside thinking, and so is a top_p below 0.95 */
        static const char *const names[] = {"temperature", "top_p", "top_k"};
        const struct str values[] = {c->temperature, c->top_p, c->top_k};
        for (int i = 0; i < 3; i++) {
            if (values[i].n) {
                ir_drop(c, str_of(names[i]));
            }
        }
    } else {
        ir_put_value(w->b, "temperature", ir_at_most(c, c->temperature, "temperature", 1));
        ir_put_value(w->b, "top_p", c->top_p);
        ir_put_value(w->b, "top_k", c->top_k);
    }
    ir_put_list(w->b, "stop_sequences", c->stop);
}

static void put_tier(struct writer *w)
{
    struct str tier = w->c->tier;
    if (ir_is(tier, STR("auto")) || ir_is(tier, STR("standard_only"))) {
        ir_put_text(w->b, "service_tier", tier);
    } else if (ir_is(tier, STR("default"))) {
        ir_put_text(w->b, "service_tier", STR("standard_only"));
    } else if (tier.n) {
        ir_drop(w->c, STR("service_tier"));
    }
}

void messages_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {.b = b, .c = c, .t = t};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    bool open = put_thinking_wish(&w);
    put_output_config(&w, open);
    put_system(&w);
    put_messages(&w);
    put_tools(&w);
    put_sampling(&w);
    if (c->end_user.n) {
        buf_add(b, STR(",\"metadata\":{"));
        ir_put_text(b, "user_id", c->end_user);
        buf_addc(b, '}');
    }
    put_tier(&w);
    ir_drop_members(c, written, NULL);
    if (c->stream) {
        ir_put_bool(b, "stream", true);
    }
    buf_addc(b, '}');
}

void messages_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/messages"));
}
