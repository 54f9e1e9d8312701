/* Sources: OpenAI "List models"; Anthropic "List models" (capabilities, lifecycle); Gemini "models.list"; Ollama
 * "List local models", "Show model information"; Cohere "List models". */
#include "dialect/catalogue.h"

#include <sodium.h>

#include "dialect/ir.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

/* ---- what several have ---- */

static bool can(const struct catalogue_model *m, uint32_t what)
{
    return m->known && (m->can & what) != 0;
}

static bool converses(const struct catalogue_model *m)
{
    return !can(m, CAN_EMBED | CAN_RERANK);
}

static struct str display_name(const struct catalogue_model *m)
{
    return m->display_name.n ? m->display_name : m->name;
}

static void put_2(struct buf *b, uint64_t n)
{
    buf_addc(b, (char)('0' + n / 10 % 10));
    buf_addc(b, (char)('0' + n % 10));
}

/* RFC 3339, in UTC; Howard Hinnant's way from days to a date. */
static void put_time(struct buf *b, const char *name, int64_t at_s)
{
    uint64_t s = at_s > 0 ? (uint64_t)at_s : 0, days = s / 86400, second = s % 86400;
    uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);
    ir_put_name(b, name);
    buf_addc(b, '"');
    put_2(b, year / 100);
    put_2(b, year);
    buf_addc(b, '-');
    put_2(b, month);
    buf_addc(b, '-');
    put_2(b, doy - (153 * mp + 2) / 5 + 1);
    buf_addc(b, 'T');
    put_2(b, second / 3600);
    buf_addc(b, ':');
    put_2(b, second / 60 % 60);
    buf_addc(b, ':');
    put_2(b, second % 60);
    buf_add(b, STR("Z\""));
}

static void put_null(struct buf *b, const char *name)
{
    ir_put_value(b, name, STR("null"));
}

static void put_number_or_null(struct buf *b, const char *name, int64_t n)
{
    if (n > 0) {
        ir_put_i64(b, name, n);
    } else {
        put_null(b, name);
    }
}

static void put_number(struct buf *b, const char *name, int64_t n)
{
    if (n > 0) {
        ir_put_i64(b, name, n);
    }
}

static void put_word(struct buf *b, bool is, struct str word)
{
    if (is) {
        ir_comma(b);
        buf_addc(b, '"');
        buf_add(b, word);
        buf_addc(b, '"');
    }
}

/* Ollama's words, which others take up. */
static void put_words(struct buf *b, const struct catalogue_model *m)
{
    ir_put_name(b, "capabilities");
    buf_addc(b, '[');
    put_word(b, converses(m), STR("completion"));
    put_word(b, can(m, CAN_TOOLS), STR("tools"));
    put_word(b, can(m, CAN_VISION), STR("vision"));
    put_word(b, can(m, CAN_AUDIO), STR("audio"));
    put_word(b, can(m, CAN_THINKING), STR("thinking"));
    put_word(b, can(m, CAN_EMBED), STR("embedding"));
    put_word(b, can(m, CAN_RERANK), STR("rerank"));
    buf_addc(b, ']');
}

/* ---- OpenAI ---- */

static void put_ability(struct buf *b, const char *name, bool is)
{
    ir_put_value(b, name, is ? STR("true") : STR("false"));
}

/* Mistral's SDKs check type and capabilities. Of what is not known, only that it may converse is said. */
static void put_mistral(struct buf *b, const struct catalogue_model *m)
{
    ir_put_text(b, "type", STR("base"));
    put_number(b, "max_context_length", m->context);
    ir_put_name(b, "capabilities");
    buf_addc(b, '{');
    put_ability(b, "completion_chat", converses(m));
    put_ability(b, "function_calling", can(m, CAN_TOOLS));
    put_ability(b, "reasoning", can(m, CAN_THINKING));
    put_ability(b, "vision", can(m, CAN_VISION));
    put_ability(b, "audio", can(m, CAN_AUDIO));
    buf_addc(b, '}');
}

/* OpenAI's own four members, and what its SDKs pass on of others': clients ask them what a model holds. */
static void put_openai(struct buf *b, const struct catalogue_model *m)
{
    ir_put_plain(b, "id", m->name);
    ir_put_text(b, "object", STR("model"));
    ir_put_i64(b, "created", m->created_s > 0 ? m->created_s : 0);
    ir_put_plain(b, "owned_by", m->owner);
    put_number(b, "context_window", m->context);
    put_number(b, "max_output_tokens", m->max_output);
    if (m->as_mistral) {
        put_mistral(b, m);
    } else if (m->known) {
        put_words(b, m);
    }
}

/* ---- Anthropic ---- */

static void put_support(struct buf *b, const char *name, bool supported)
{
    ir_put_value(b, name, supported ? STR("{\"supported\":true}") : STR("{\"supported\":false}"));
}

/* All keys are always there. What Anthropic's own servers add (batches, citations, tools that they run) is not
 * carried to others, so it is not claimed. */
static void put_capabilities(struct buf *b, const struct catalogue_model *m)
{
    bool thinks = can(m, CAN_THINKING);
    ir_put_name(b, "capabilities");
    buf_addc(b, '{');
    put_support(b, "batch", false);
    put_support(b, "citations", false);
    put_support(b, "code_execution", false);
    ir_put_value(b, "context_management",
                 STR("{\"clear_thinking_20251015\":null,\"clear_tool_uses_20250919\":null,"
                     "\"compact_20260112\":null,\"supported\":false}"));
    ir_put_name(b, "effort");
    buf_addc(b, '{');
    ir_put_bool(b, "supported", thinks);
    put_support(b, "low", thinks);
    put_support(b, "medium", thinks);
    put_support(b, "high", thinks);
    put_support(b, "xhigh", false);
    put_support(b, "max", false);
    buf_addc(b, '}');
    put_support(b, "image_input", can(m, CAN_VISION));
    put_support(b, "pdf_input", can(m, CAN_DOCUMENTS));
    ir_put_value(b, "server_tools",
                 STR("{\"supported\":false,\"code_execution\":{\"supported\":false},"
                     "\"web_search\":{\"supported\":false}}"));
    put_support(b, "structured_outputs", can(m, CAN_SCHEMA));
    ir_put_name(b, "thinking");
    buf_addc(b, '{');
    ir_put_bool(b, "supported", thinks);
    ir_put_name(b, "types");
    buf_addc(b, '{');
    put_support(b, "adaptive", thinks);
    put_support(b, "between_tools", false);
    put_support(b, "disabled", true);
    put_support(b, "enabled", thinks);
    buf_add(b, STR("}}}"));
}

static void put_anthropic(struct buf *b, const struct catalogue_model *m)
{
    bool leaves = m->deprecated_s > 0 || m->sunset_s > 0;
    ir_put_text(b, "type", STR("model"));
    ir_put_plain(b, "id", m->name);
    ir_put_plain(b, "display_name", display_name(m));
    put_time(b, "created_at", m->created_s);
    ir_put_text(b, "lifecycle", leaves ? STR("deprecated") : STR("active"));
    if (m->deprecated_s > 0) {
        put_time(b, "deprecated_at", m->deprecated_s);
    } else {
        put_null(b, "deprecated_at");
    }
    if (m->sunset_s > 0) {
        put_time(b, "retires_at", m->sunset_s);
    } else {
        put_null(b, "retires_at");
    }
    put_null(b, "line");
    put_number_or_null(b, "max_input_tokens", m->context);
    put_number_or_null(b, "max_tokens", m->max_output);
    if (m->known) {
        put_capabilities(b, m);
    } else {
        put_null(b, "capabilities");
    }
}

/* ---- Gemini ---- */

static void put_gemini(struct buf *b, const struct catalogue_model *m)
{
    ir_put_name(b, "name");
    buf_add(b, STR("\"models/"));
    buf_add_json(b, m->name);
    buf_addc(b, '"');
    ir_put_plain(b, "displayName", display_name(m));
    put_number(b, "inputTokenLimit", m->context);
    put_number(b, "outputTokenLimit", m->max_output);
    ir_put_name(b, "supportedGenerationMethods");
    buf_addc(b, '[');
    put_word(b, converses(m), STR("generateContent"));
    put_word(b, converses(m), STR("streamGenerateContent"));
    put_word(b, converses(m), STR("countTokens"));
    put_word(b, can(m, CAN_EMBED), STR("embedContent"));
    put_word(b, can(m, CAN_EMBED), STR("batchEmbedContents"));
    buf_addc(b, ']');
    if (m->known) {
        ir_put_bool(b, "thinking", can(m, CAN_THINKING));
    }
}

/* ---- Ollama ---- */

/* Its own command-line client cuts twelve characters out of the digest, so there must be one. */
static void put_digest(struct buf *b, struct str name)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[2 * sizeof hash + 1];
    crypto_hash_sha256(hash, (const unsigned char *)name.p, name.n);
    sodium_bin2hex(text, sizeof text, hash, sizeof hash);
    ir_put_text(b, "digest", str_of(text));
}

static void put_details(struct buf *b, const struct catalogue_model *m)
{
    ir_put_name(b, "details");
    buf_addc(b, '{');
    ir_put_text(b, "parent_model", STR(""));
    ir_put_text(b, "format", STR(""));
    ir_put_plain(b, "family", m->owner);
    ir_put_name(b, "families");
    buf_add(b, STR("[\""));
    buf_add_json(b, m->owner);
    buf_add(b, STR("\"]"));
    ir_put_text(b, "parameter_size", STR(""));
    ir_put_text(b, "quantization_level", STR(""));
    buf_addc(b, '}');
}

static void put_ollama(struct buf *b, const struct catalogue_model *m)
{
    ir_put_plain(b, "name", m->name);
    ir_put_plain(b, "model", m->name);
    put_time(b, "modified_at", m->created_s);
    ir_put_i64(b, "size", 0);
    put_digest(b, m->name);
    put_details(b, m);
    put_words(b, m);
}

/* Clients look for the length of the context under the name that general.architecture tells. */
void catalogue_put_show(struct buf *b, const struct catalogue_model *m)
{
    buf_addc(b, '{');
    ir_put_text(b, "modelfile", STR(""));
    ir_put_text(b, "parameters", STR(""));
    ir_put_text(b, "template", STR(""));
    put_details(b, m);
    ir_put_name(b, "model_info");
    buf_add(b, STR("{\"general.architecture\":\"accord\""));
    ir_put_plain(b, "general.basename", m->name);
    put_number(b, "accord.context_length", m->context);
    buf_addc(b, '}');
    put_words(b, m);
    put_time(b, "modified_at", m->created_s);
    buf_addc(b, '}');
}

/* ---- Cohere ---- */

static void put_cohere(struct buf *b, const struct catalogue_model *m)
{
    ir_put_plain(b, "name", m->name);
    ir_put_bool(b, "is_deprecated", m->deprecated_s > 0 || m->sunset_s > 0);
    ir_put_name(b, "endpoints");
    buf_addc(b, '[');
    put_word(b, converses(m), STR("chat"));
    put_word(b, can(m, CAN_EMBED), STR("embed"));
    put_word(b, can(m, CAN_RERANK), STR("rerank"));
    buf_addc(b, ']');
    ir_put_bool(b, "finetuned", false);
    put_number(b, "context_length", m->context);
    ir_put_text(b, "tokenizer_url", STR(""));
    ir_put_value(b, "default_endpoints", STR("[]"));
    ir_put_name(b, "features");
    buf_addc(b, '[');
    put_word(b, can(m, CAN_TOOLS), STR("tools"));
    put_word(b, can(m, CAN_VISION), STR("vision"));
    put_word(b, can(m, CAN_THINKING), STR("reasoning"));
    put_word(b, can(m, CAN_SCHEMA), STR("json_schema"));
    buf_addc(b, ']');
}

/* ---- lists ---- */

static const struct shape {
    void (*put)(struct buf *b, const struct catalogue_model *m);
    struct str open;
    struct str
        next; /* the member with the name from which the next page starts; empty: it has no pages */
} shapes[FAMILY_COUNT] = {
    [FAMILY_OPENAI] = {put_openai, TEXT("{\"object\":\"list\",\"data\":["), {0}},
    [FAMILY_ANTHROPIC] = {put_anthropic, TEXT("{\"data\":["), {0}},
    [FAMILY_GEMINI] = {put_gemini, TEXT("{\"models\":["), TEXT("nextPageToken")},
    [FAMILY_OLLAMA] = {put_ollama, TEXT("{\"models\":["), {0}},
    [FAMILY_COHERE] = {put_cohere, TEXT("{\"models\":["), TEXT("next_page_token")},
    [FAMILY_BEDROCK] = {put_openai, TEXT("{\"object\":\"list\",\"data\":["), {0}},
};

static const struct shape *shape_of(enum family f)
{
    return &shapes[f < FAMILY_COUNT ? f : FAMILY_OPENAI];
}

void catalogue_put_model(struct buf *b, enum family shape, const struct catalogue_model *m)
{
    buf_addc(b, '{');
    shape_of(shape)->put(b, m);
    buf_addc(b, '}');
}

static size_t find(const struct catalogue_model *models, size_t n, struct str name)
{
    size_t i = 0;
    while (i < n && !str_eq(models[i].name, name)) {
        i++;
    }
    return i;
}

static void anthropic_end(struct buf *b, const struct catalogue_model *models, size_t from,
                          size_t to, bool more)
{
    ir_put_bool(b, "has_more", more);
    if (from < to) {
        ir_put_plain(b, "first_id", models[from].name);
        ir_put_plain(b, "last_id", models[to - 1].name);
    } else {
        put_null(b, "first_id");
        put_null(b, "last_id");
    }
}

void catalogue_put_list(struct buf *b, enum family shape, const struct catalogue_model *models,
                        size_t n, const struct catalogue_page *page)
{
    const struct shape *s = shape_of(shape);
    size_t from = 0, to = n;
    if (page->after.n) { /* a name that is gone: the list has ended */
        from = find(models, n, page->after);
        from += from < n;
    } else if (page->before.n) {
        to = find(models, n, page->before);
    }
    bool cut = page->limit && to - from > page->limit;
    if (cut && page->before.n && !page->after.n) {
        from = to - page->limit;
    } else if (cut) {
        to = from + page->limit;
    }
    buf_add(b, s->open);
    for (size_t i = from; i < to; i++) {
        ir_comma(b);
        catalogue_put_model(b, shape, &models[i]);
    }
    buf_addc(b, ']');
    if (shape == FAMILY_ANTHROPIC) {
        anthropic_end(b, models, from, to, cut);
    } else if (cut && s->next.n) {
        ir_put_plain(b, s->next.p, models[to - 1].name);
    }
    buf_addc(b, '}');
}
