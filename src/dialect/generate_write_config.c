/* gemini.generate, requests as they are written for an upstream: tools and generationConfig. */
#include "dialect/generate.h"
#include "dialect/schema.h"

static const struct ir_member config_members[] = {
    IR_MEMBER("maxOutputTokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("topP", top_p, JSON_NUMBER),
    IR_MEMBER("topK", top_k, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("presencePenalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequencyPenalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER_END,
};

/* Written by hand below; here so that they are not taken for losses. */
static const struct ir_member by_hand[] = {
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("candidateCount", n, JSON_NUMBER),
    IR_MEMBER("labels", metadata, JSON_OBJECT),
    IR_MEMBER("serviceTier", tier, JSON_STRING),
    IR_MEMBER_END,
};

enum { STOPS_MAX = 5 };

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
};

static bool is(const struct writer *w, enum quirk q)
{
    return w->t->quirks & q;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool letter = ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch == '_';
        bool other = (ch >= '0' && ch <= '9') || ch == '.' || ch == ':' || ch == '-';
        if (!letter && (i == 0 || !other)) {
            return false;
        }
    }
    return s.n <= 64;
}

struct str generate_function_name(struct arena *a, struct str name)
{
    if (is_name(name)) {
        return name;
    }
    struct str fit = ir_function_name(a, name);
    return is_name(fit) ? fit : arena_printf(a, "_%.*s", STR_ARG(str_first(fit, 63)));
}

/* ---- tools ---- */

/* With AUTO no list of names can be told: only those are offered. */
static bool is_offered(const struct writer *w, const struct ir_tool *t)
{
    return w->c->choice != IR_CHOICE_AUTO || ir_is_among(w->c, t);
}

static void name_losses(struct writer *w, const char *front, struct str name, const char *middle,
                        struct str lost)
{
    struct str keyword;
    while (lost.n) {
        str_cut(&lost, ',', &keyword);
        struct str back = arena_printf(w->c->arena, "%s%.*s", middle, STR_ARG(keyword));
        ir_drop_found(w->c, front, name, arena_dupz(w->c->arena, back));
    }
}

static void put_tool(struct writer *w, const struct ir_tool *t)
{
    struct buf *b = w->b;
    struct schema s =
        schema_for_gemini(w->c->arena, w->c->schemas, ir_tool_schema(t), SCHEMA_PARAMETERS);
    ir_comma(b);
    buf_addc(b, '{');
    ir_put_text(b, "name", generate_function_name(w->c->arena, t->name));
    ir_put_text(b, "description", t->description);
    ir_put_value(b, "parameters", s.text);
    buf_addc(b, '}');
    name_losses(w, "tools.", t->name, ".parameters.", s.lost);
    if (t->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
    if (t->strict == IR_YES) {
        ir_drop(w->c, STR("tools.strict"));
    }
}

static void put_names(struct writer *w, const struct ir_list *l)
{
    buf_add(w->b, STR(",\"allowedFunctionNames\":["));
    for (; l; l = l->next) {
        ir_comma(w->b);
        buf_addc(w->b, '"');
        buf_add(w->b, generate_function_name(w->c->arena, l->text));
        buf_addc(w->b, '"');
    }
    buf_addc(w->b, ']');
}

static void put_choice(struct writer *w)
{
    static const struct str modes[] = {
        [IR_CHOICE_AUTO] = {"AUTO", 4},
        [IR_CHOICE_NONE] = {"NONE", 4},
        [IR_CHOICE_ANY] = {"ANY", 3},
        [IR_CHOICE_TOOL] = {"ANY", 3},
    };
    struct ir_call *c = w->c;
    if (!c->choice) {
        return;
    }
    buf_add(w->b, STR(",\"toolConfig\":{\"functionCallingConfig\":{"));
    ir_put_text(w->b, "mode", modes[c->choice]);
    if (c->choice == IR_CHOICE_TOOL) {
        put_names(w, &(struct ir_list){.text = c->choice_tool});
    } else if (c->choice == IR_CHOICE_ANY && c->choice_among) {
        put_names(w, c->choice_among);
    }
    buf_add(w->b, STR("}}"));
}

static void put_tools(struct writer *w)
{
    if (!w->c->tools) {
        return;
    }
    buf_add(w->b, STR(",\"tools\":[{\"functionDeclarations\":["));
    for (const struct ir_tool *t = w->c->tools; t; t = t->next) {
        if (is_offered(w, t)) {
            put_tool(w, t);
        }
    }
    buf_add(w->b, STR("]}]"));
    put_choice(w);
    if (w->c->parallel == IR_NO) {
        ir_drop(w->c, STR("parallel_tool_calls"));
    }
}

/* ---- generationConfig ---- */

/* Models before Gemini 3 refuse functions and JSON together. */
static void put_format(struct writer *w)
{
    struct ir_call *c = w->c;
    if (c->format < IR_FORMAT_JSON) {
        return;
    }
    if (c->tools && !is(w, QUIRK_GEMINI_3)) {
        ir_drop(c, STR("response_format"));
        return;
    }
    ir_put_text(w->b, "responseMimeType", STR("application/json"));
    if (c->format == IR_FORMAT_SCHEMA) {
        struct schema s = schema_for_gemini(c->arena, c->schemas, c->schema, SCHEMA_ANSWER);
        ir_put_value(w->b, "responseSchema", s.text);
        name_losses(w, "response_format.", STR("schema"), ".", s.lost);
    }
}

/* How much a model thinks, by the front of its name; the first that fits. */
static const struct thinking {
    struct str front;
    int64_t least, most; /* of a budget; most 0: it does not think */
    bool can_be_off;
} thinking[] = {
    {{"gemini-1", 8}, 0, 0, true},
    {{"gemini-2.0", 10}, 0, 0, true},
    {{"gemini-2.5-pro", 14}, 128, 32768, false},
    {{"gemini-2.5-flash-lite", 21}, 512, 24576, true},
    {{"", 0}, 0, 24576, true},
};

static struct str name_of_model(const struct writer *w)
{
    struct str rest = w->t->model, name;
    while (str_cut(&rest, '/', &name)) {
    }
    return name;
}

/* MINIMAL is known to the small models, MEDIUM to all but the first large one. */
static void put_level(struct writer *w, enum ir_effort e)
{
    struct str model = name_of_model(w), level = STR("HIGH");
    bool small = str_find(model, STR("flash")) >= 0;
    if (e == IR_EFFORT_NONE) {
        ir_drop(w->c, STR("reasoning_effort"));
    }
    if (e <= IR_EFFORT_MINIMAL) {
        level = small ? STR("MINIMAL") : STR("LOW");
    } else if (e == IR_EFFORT_LOW) {
        level = STR("LOW");
    } else if (e == IR_EFFORT_MEDIUM && !str_starts(model, STR("gemini-3-pro"))) {
        level = STR("MEDIUM");
    }
    ir_put_text(w->b, "thinkingLevel", level);
}

static void put_budget(struct writer *w, int64_t budget, const struct thinking *m)
{
    if (budget == IR_BUDGET_DYNAMIC) {
        budget = -1;
    } else if (budget == 0 && !m->can_be_off) {
        ir_drop(w->c, STR("reasoning_effort"));
        budget = m->least;
    } else if (budget > 0) {
        budget = budget < m->least ? m->least : budget > m->most ? m->most : budget;
    }
    ir_put_i64(w->b, "thinkingBudget", budget);
}

static void put_thinking_config(struct writer *w)
{
    struct ir_call *c = w->c;
    bool asked = c->effort || c->budget != IR_BUDGET_UNSAID;
    bool off = c->effort ? c->effort == IR_EFFORT_NONE : c->budget == 0;
    const struct thinking *m = thinking;
    while (!str_starts(name_of_model(w), m->front)) {
        m++;
    }
    if (!asked && !c->show_thinking) {
        return;
    }
    if (!m->most) {
        if (asked && !off) {
            ir_drop(c, STR("reasoning_effort"));
        }
        return;
    }
    buf_add(w->b, w->b->p[w->b->n - 1] == '{' ? STR("\"thinkingConfig\":{")
                                              : STR(",\"thinkingConfig\":{"));
    if (c->show_thinking == IR_YES || (!c->show_thinking && !off)) {
        ir_put_bool(w->b, "includeThoughts", true);
    } else if (c->show_thinking == IR_NO) {
        ir_put_bool(w->b, "includeThoughts", false);
    }
    if (asked && is(w, QUIRK_GEMINI_3)) {
        if (c->effort || c->budget != IR_BUDGET_DYNAMIC) {
            put_level(w, c->effort ? c->effort : ir_budget_effort(c->budget));
        }
    } else if (asked) {
        put_budget(w, c->budget != IR_BUDGET_UNSAID ? c->budget : ir_effort_budget(c->effort), m);
    }
    buf_addc(w->b, '}');
}

static void put_stops(struct writer *w)
{
    struct ir_list *last = w->c->stop;
    for (int i = 1; last; last = last->next, i++) {
        if (i == STOPS_MAX && last->next) {
            ir_drop(w->c, STR("stop[5]"));
            last->next = NULL;
        }
    }
    ir_put_list(w->b, "stopSequences", w->c->stop);
}

static void put_config(struct writer *w)
{
    struct ir_call *c = w->c;
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"generationConfig\":{"));
    size_t front = w->b->n;
    ir_put_value(w->b, "temperature", ir_at_most(c, c->temperature, "temperature", 2));
    ir_put_members(w->b, c, config_members);
    put_stops(w);
    put_format(w);
    put_thinking_config(w);
    if (w->b->n == front) {
        w->b->n = before;
    } else {
        buf_addc(w->b, '}');
    }
}

static void put_tier(struct writer *w)
{
    struct str tier = w->c->tier;
    if (ir_is(tier, STR("flex")) || ir_is(tier, STR("priority")) || ir_is(tier, STR("standard"))) {
        ir_put_text(w->b, "serviceTier", tier);
    } else if (ir_is(tier, STR("default")) || ir_is(tier, STR("standard_only"))) {
        ir_put_text(w->b, "serviceTier", STR("standard"));
    } else if (tier.n && !ir_is(tier, STR("auto"))) {
        ir_drop(w->c, STR("service_tier"));
    }
}

static void name_others(struct writer *w, bool native)
{
    struct ir_call *c = w->c;
    if (c->metadata.n && !native) {
        ir_drop(c, STR("metadata"));
    }
    if (c->n.n && !str_eq(c->n, STR("1"))) {
        ir_drop(c, STR("n")); /* one answer is all that is read */
    }
    if (c->schema_description.n) {
        ir_drop(c, STR("response_format.description"));
    }
    ir_drop_members(c, config_members, by_hand);
}

void generate_put_config(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {b, c, t};
    bool native = c->spelled == generate_members;
    put_tools(&w);
    put_config(&w);
    put_tier(&w);
    if (native) {
        ir_put_value(b, "labels", c->metadata);
    }
    name_others(&w, native);
}
