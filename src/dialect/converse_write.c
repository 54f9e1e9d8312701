/* bedrock.converse, requests as they are written for an upstream: tools, settings and the whole. Which of
 * them a model takes depends on its vendor, whom its id names. */
#include "dialect/converse.h"
#include "dialect/ir_member.h"
#include "json/scan.h"

static const struct ir_member written[] = {
    IR_MEMBER("maxTokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("topP", top_p, JSON_NUMBER),
    IR_MEMBER("requestMetadata", metadata, JSON_OBJECT),
    IR_MEMBER("requestMetadata", end_user, JSON_STRING),
    IR_MEMBER("serviceTier", tier, JSON_STRING),
    IR_MEMBER_END,
};
static const struct ir_member written_top_k[] = {
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER_END,
};

enum { OUTPUT_DEFAULT = 8192, BUDGET_MIN = 1024 };

/* "us.anthropic.claude-...", an ARN with that in it; other ARNs say nothing of the model. */
static enum converse_vendor vendor_of(struct str model)
{
    static const struct {
        struct str word;
        enum converse_vendor vendor;
    } words[] = {
        {{"anthropic.", 10}, CONVERSE_ANTHROPIC}, {{"amazon.nova", 11}, CONVERSE_NOVA},
        {{"mistral.", 8}, CONVERSE_MISTRAL},      {{"openai.", 7}, CONVERSE_OPENAI},
        {{"claude", 6}, CONVERSE_ANTHROPIC},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_find(model, words[i].word) >= 0) {
            return words[i].vendor;
        }
    }
    return str_chr(model, '.') < 0 ? CONVERSE_UNKNOWN : CONVERSE_OTHER;
}

/* ---- tools ---- */

/* The root must say that it is an object. */
static void put_schema(struct converse_writer *w, struct str schema)
{
    struct str type;
    buf_add(w->b, STR(",\"inputSchema\":{\"json\":{"));
    if (json_member(schema, STR("type"), &type) == JSON_NONE) {
        ir_put_text(w->b, "type", STR("object"));
        struct str rest = str_trim(str_from(schema, 1));
        if (rest.n && rest.p[0] != '}') {
            buf_addc(w->b, ',');
        }
    }
    buf_add(w->b, str_from(schema, 1));
    buf_addc(w->b, '}');
}

static void put_tool(struct converse_writer *w, const struct ir_tool *t)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\"toolSpec\":{"));
    ir_put_text(w->b, "name", ir_function_name(w->c->arena, t->name));
    if (t->description.n) {
        ir_put_text(w->b, "description", t->description);
    }
    put_schema(w, ir_tool_schema(t));
    if (t->strict == IR_YES && (w->vendor == CONVERSE_ANTHROPIC || w->vendor == CONVERSE_UNKNOWN)) {
        ir_put_bool(w->b, "strict", true);
    } else if (t->strict == IR_YES) {
        ir_drop(w->c, STR("tools.strict"));
    }
    buf_add(w->b, STR("}}"));
    converse_put_cache_point(w, t->cache);
}

/* A history with calls is refused without tools: those that it names, as little as can be said of them. */
static void put_tools_of_history(struct converse_writer *w)
{
    struct ir_set names = {0};
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_CALL && t->role == IR_ASSISTANT &&
                ir_set_add(w->c->arena, &names, p->name)) {
                put_tool(w, &(struct ir_tool){.name = p->name});
            }
        }
    }
}

/* Anthropic's and Nova's models know all, Mistral's "any", the others nothing but their own mind. */
static bool knows_choice(const struct converse_writer *w, enum ir_choice choice)
{
    switch (w->vendor) {
    case CONVERSE_MISTRAL:
        return choice == IR_CHOICE_ANY;
    case CONVERSE_OPENAI:
    case CONVERSE_OTHER:
        return false;
    default:
        return !w->thinking || w->vendor == CONVERSE_NOVA;
    }
}

static void put_choice(struct converse_writer *w)
{
    struct ir_call *c = w->c;
    if (c->choice == IR_CHOICE_NONE) {
        ir_drop(c, STR("tool_choice")); /* cannot be said, and the history needs its tools */
    } else if (c->choice == IR_CHOICE_AUTO && knows_choice(w, IR_CHOICE_AUTO)) {
        ir_put_value(w->b, "toolChoice", STR("{\"auto\":{}}"));
    } else if (c->choice == IR_CHOICE_ANY || c->choice == IR_CHOICE_TOOL) {
        if (!knows_choice(w, c->choice)) {
            ir_drop(c, STR("tool_choice"));
        } else if (c->choice == IR_CHOICE_ANY) {
            ir_put_value(w->b, "toolChoice", STR("{\"any\":{}}"));
        } else {
            buf_add(w->b, STR(",\"toolChoice\":{\"tool\":{"));
            ir_put_text(w->b, "name", ir_function_name(c->arena, c->choice_tool));
            buf_add(w->b, STR("}}"));
        }
    }
}

static void put_tools(struct converse_writer *w)
{
    struct ir_call *c = w->c;
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"toolConfig\":{\"tools\":["));
    size_t empty = w->b->n;
    if (c->choice != IR_CHOICE_NONE || w->calls) {
        for (const struct ir_tool *t = c->tools; t; t = t->next) {
            if (ir_is_among(c, t)) {
                put_tool(w, t);
            }
        }
    }
    bool offered = w->b->n > empty;
    if (!offered && w->calls) {
        put_tools_of_history(w);
    }
    if (w->b->n == empty) {
        w->b->n = before;
        return;
    }
    buf_addc(w->b, ']');
    if (offered) {
        put_choice(w);
    }
    buf_addc(w->b, '}');
    if (offered && c->parallel == IR_NO) {
        ir_drop(c, STR("parallel_tool_calls"));
    }
}

/* ---- thinking, lengths, sampling ---- */

/* The budget to write; 0: none. Anthropic's must be below maxTokens. */
static int64_t budget_for(struct converse_writer *w)
{
    struct ir_call *c = w->c;
    int64_t budget = ir_thinking_budget(c), most = ir_number(c->max_tokens);
    bool nova_2 = str_find(w->t->model, STR("amazon.nova-2")) >= 0;
    if (budget <= 0) {
        return 0; /* off is what it is without a word */
    }
    if (w->vendor == CONVERSE_OPENAI || (w->vendor == CONVERSE_NOVA && nova_2)) {
        return budget;
    }
    if (w->vendor != CONVERSE_ANTHROPIC) {
        ir_drop(c, STR("reasoning_effort"));
        return 0;
    }
    if (w->t->quirks & QUIRK_ADAPTIVE) {
        return budget;
    }
    budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
    budget = most && budget >= most ? most - 1 : budget;
    if (budget < BUDGET_MIN || ir_loop_lacks_thinking(c, w->t->family)) {
        ir_drop(c, STR("reasoning_effort"));
        return 0;
    }
    return budget;
}

static void put_sampling(struct converse_writer *w)
{
    struct ir_call *c = w->c;
    bool refused =
        (w->thinking && w->vendor == CONVERSE_ANTHROPIC) || (w->t->quirks & QUIRK_NO_SAMPLING);
    if (refused && c->temperature.n) {
        ir_drop(c, STR("temperature"));
    }
    if (refused && c->top_p.n) {
        ir_drop(c, STR("top_p"));
    }
    if (!refused) {
        ir_put_value(w->b, "temperature", ir_at_most(c, c->temperature, "temperature", 1));
        ir_put_value(w->b, "topP", c->top_p);
    }
}

static void put_inference(struct converse_writer *w, int64_t budget)
{
    struct ir_call *c = w->c;
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"inferenceConfig\":{"));
    size_t empty = w->b->n;
    bool counted = budget && w->vendor == CONVERSE_ANTHROPIC && !(w->t->quirks & QUIRK_ADAPTIVE);
    if (!c->max_tokens.n && counted) {
        int64_t rest = w->t->max_output > 0 && w->t->max_output < OUTPUT_DEFAULT ? w->t->max_output
                                                                                 : OUTPUT_DEFAULT;
        ir_put_i64(w->b, "maxTokens", budget + rest);
    }
    ir_put_value(w->b, "maxTokens", c->max_tokens);
    put_sampling(w);
    ir_put_list(w->b, "stopSequences", c->stop);
    if (w->b->n == empty) {
        w->b->n = before;
    } else {
        buf_addc(w->b, '}');
    }
}

/* Three words, whatever was asked for. */
static struct str effort_word(const struct ir_call *c)
{
    enum ir_effort e = c->effort ? c->effort : ir_budget_effort(c->budget);
    return e <= IR_EFFORT_LOW ? STR("low") : e == IR_EFFORT_MEDIUM ? STR("medium") : STR("high");
}

static void put_thinking_wish(struct converse_writer *w, int64_t budget)
{
    struct buf *b = w->b;
    if (w->vendor == CONVERSE_OPENAI) {
        ir_put_text(b, "reasoning_effort", effort_word(w->c));
    } else if (w->vendor == CONVERSE_NOVA) {
        ir_put_name(b, "reasoningConfig");
        buf_add(b, STR("{\"type\":\"enabled\""));
        ir_put_text(b, "maxReasoningEffort", effort_word(w->c));
        buf_addc(b, '}');
    } else if (w->t->quirks & QUIRK_ADAPTIVE) {
        ir_put_value(b, "thinking", STR("{\"type\":\"adaptive\"}"));
    } else {
        ir_put_name(b, "thinking");
        buf_add(b, STR("{\"type\":\"enabled\""));
        ir_put_i64(b, "budget_tokens", budget);
        buf_addc(b, '}');
    }
}

/* Whether top_k was written, or could be. */
static bool put_top_k(struct converse_writer *w)
{
    struct str top_k = w->c->top_k;
    bool refused =
        (w->thinking && w->vendor == CONVERSE_ANTHROPIC) || (w->t->quirks & QUIRK_NO_SAMPLING);
    if (!top_k.n || refused) {
        return !refused;
    }
    if (w->vendor == CONVERSE_NOVA) {
        ir_put_name(w->b, "inferenceConfig");
        buf_addc(w->b, '{');
        ir_put_value(w->b, "topK", top_k);
        buf_addc(w->b, '}');
        return true;
    }
    if (w->vendor != CONVERSE_ANTHROPIC && w->vendor != CONVERSE_MISTRAL) {
        return false;
    }
    ir_put_value(w->b, "top_k", top_k);
    return true;
}

static void put_extra(struct converse_writer *w, int64_t budget)
{
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"additionalModelRequestFields\":{"));
    size_t empty = w->b->n;
    if (budget) {
        put_thinking_wish(w, budget);
    }
    bool top_k = put_top_k(w);
    if (w->b->n == empty) {
        w->b->n = before;
    } else {
        buf_addc(w->b, '}');
    }
    ir_drop_members(w->c, written, top_k ? written_top_k : NULL);
}

/* ---- the shape of the answer, names and tiers ---- */

static void put_output_config(struct converse_writer *w, int64_t budget)
{
    struct ir_call *c = w->c;
    bool schema = c->format == IR_FORMAT_SCHEMA;
    bool effort = budget && w->vendor == CONVERSE_ANTHROPIC && (w->t->quirks & QUIRK_ADAPTIVE) &&
                  (c->effort || c->budget > 0);
    if (c->format == IR_FORMAT_JSON) {
        ir_drop(c, STR("response_format.json_object"));
    }
    if (!schema && !effort) {
        return;
    }
    buf_add(w->b, STR(",\"outputConfig\":{"));
    if (schema) {
        buf_add(w->b, STR("\"textFormat\":{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":"
                          "{\"schema\":\""));
        ir_add_escaped(w->b, c->schema);
        buf_addc(w->b, '"');
        if (c->schema_name.n) {
            ir_put_text(w->b, "name", c->schema_name);
        }
        if (c->schema_description.n) {
            ir_put_text(w->b, "description", c->schema_description);
        }
        buf_add(w->b, STR("}}}"));
    }
    if (effort) {
        enum ir_effort e = c->effort ? c->effort : ir_budget_effort(c->budget);
        ir_put_text(w->b, "effort", e <= IR_EFFORT_LOW ? STR("low") : ir_effort_word(e));
    }
    buf_addc(w->b, '}');
}

/* What may stand in requestMetadata: 1 to 256 letters, digits, spaces and some marks. */
static bool is_tag(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!word && (c == 0 || !strchr(" :_@$#=/+,-.", c))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 256;
}

static bool are_tags(struct str object, unsigned *ret_n)
{
    struct walk w = walk_at(object);
    struct str key;
    *ret_n = 0;
    for (bool in = walk_object(&w); in && walk_member(&w, &key); ++*ret_n) {
        if (walk_type(&w) != JSON_STRING || !is_tag(key) || !is_tag(walk_text(&w))) {
            return false;
        }
    }
    return *ret_n <= 16;
}

static void put_metadata(struct converse_writer *w)
{
    struct ir_call *c = w->c;
    unsigned n = 0;
    bool tags = c->metadata.n && are_tags(c->metadata, &n);
    bool user = c->end_user.n && is_tag(c->end_user) && (!tags || n < 16);
    if (c->metadata.n && !tags) {
        ir_drop(c, STR("metadata"));
    }
    if (c->end_user.n && !user) {
        ir_drop(c, STR("user"));
    }
    if (!user && !(tags && n)) {
        return;
    }
    buf_add(w->b, STR(",\"requestMetadata\":{"));
    if (tags && n) {
        buf_add(w->b, str_make(c->metadata.p + 1, c->metadata.n - 2));
    }
    if (user) {
        ir_put_text(w->b, "user_id", c->end_user);
    }
    buf_addc(w->b, '}');
}

static void put_tier(struct converse_writer *w)
{
    static const char *const words[] = {"default", "priority", "flex", "reserved"};
    struct str tier = w->c->tier;
    if (!tier.n || ir_is(tier, STR("auto"))) {
        return;
    }
    if (ir_is(tier, STR("standard_only"))) {
        tier = STR("default");
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ir_is(tier, str_of(words[i]))) {
            buf_add(w->b, STR(",\"serviceTier\":{"));
            ir_put_text(w->b, "type", tier);
            buf_addc(w->b, '}');
            return;
        }
    }
    ir_drop(w->c, STR("service_tier"));
}

/* ---- the whole ---- */

void converse_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct converse_writer w = {.b = b, .c = c, .t = t, .vendor = vendor_of(t->model)};
    int64_t budget = budget_for(&w);
    w.thinking = budget > 0;
    buf_addc(b, '{');
    converse_put_messages(&w);
    converse_put_system(&w);
    put_inference(&w, budget);
    put_tools(&w);
    put_extra(&w, budget);
    put_output_config(&w, budget);
    put_metadata(&w);
    put_tier(&w);
    buf_addc(b, '}');
}

/* The model is one segment, its colons and slashes escaped, as Amazon's own clients do. */
void converse_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_add(b, STR("/model/"));
    for (size_t i = 0; i < t->model.n; i++) {
        char ch = t->model.p[i];
        bool plain = (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
                     ch == '-' || ch == '.' || ch == '_' || ch == '~';
        if (plain) {
            buf_addc(b, ch);
        } else {
            const char coded[] = {'%', digits[(unsigned char)ch >> 4], digits[ch & 15]};
            buf_add(b, str_make(coded, sizeof coded));
        }
    }
    buf_add(b, c->stream ? STR("/converse-stream") : STR("/converse"));
}
