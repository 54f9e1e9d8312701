/* anthropic.messages, requests as they are written for an upstream: tools, settings and the whole. Sampling steps
 * back where thinking is on. */
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

/* ---- tools ---- */

static void put_choice(struct messages_writer *w)
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

static void put_tools(struct messages_writer *w)
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
        messages_put_cache(w, t->cache);
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

static void put_adaptive(struct messages_writer *w)
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
static int64_t fitting_budget(struct messages_writer *w, int64_t budget, int64_t most)
{
    budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
    budget = budget < most ? budget : most - 1;
    if (budget < BUDGET_MIN || ir_loop_lacks_thinking(w->c, FAMILY_ANTHROPIC)) {
        ir_drop(w->c, STR("reasoning_effort"));
        return IR_BUDGET_UNSAID;
    }
    return budget;
}

/* thinking and max_tokens, which must be above the budget. Leaves output_config open when it began it. */
static bool put_thinking_wish(struct messages_writer *w)
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
        ir_drop(c, STR("reasoning_effort"));
    } else if (budget == 0) {
        ir_put_value(w->b, "thinking", STR("{\"type\":\"disabled\"}"));
    }
    return config;
}

static void put_output_config(struct messages_writer *w, bool open)
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

static void put_sampling(struct messages_writer *w)
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

static void put_tier(struct messages_writer *w)
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
    struct messages_writer w = {.b = b, .c = c, .t = t};
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    bool open = put_thinking_wish(&w);
    put_output_config(&w, open);
    messages_put_system(&w);
    messages_put_messages(&w);
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
