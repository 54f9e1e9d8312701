/* What the vendors of one dialect do differently: data, by the host of a provider's base URL and by the front
 * of a model's name. Sources: the vendors' API references of autumn 2026. */
#include "dialect/format.h"

#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    enum family family;
    struct str host; /* the host itself, or what it ends in when it begins with a dot */
    uint32_t quirks;
} hosts[] = {
    {FAMILY_OPENAI, WORD("api.openai.com"),
     QUIRK_MAX_COMPLETION | QUIRK_DEVELOPER | QUIRK_STRICT_MEMBERS | QUIRK_COUNTS_TOKENS},
    {FAMILY_OPENAI, WORD(".openai.azure.com"),
     QUIRK_MAX_COMPLETION | QUIRK_DEVELOPER | QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, WORD("api.mistral.ai"),
     QUIRK_ID_9 | QUIRK_RANDOM_SEED | QUIRK_NO_STREAM_OPTIONS | QUIRK_ANY_REQUIRED |
         QUIRK_NO_RESPONSES | QUIRK_NO_EFFORT | QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, WORD("api.groq.com"), QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, WORD("api.deepseek.com"),
     QUIRK_NO_SCHEMA | QUIRK_NO_RESPONSES | QUIRK_NO_PARALLEL | QUIRK_NO_EFFORT |
         QUIRK_THINKING_OBJECT},
    {FAMILY_OPENAI, WORD("api.x.ai"), QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, WORD("openrouter.ai"), QUIRK_REASONING_OBJECT},
    {FAMILY_OPENAI, WORD("api.together.xyz"), QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, WORD("api.fireworks.ai"), 0},
    {FAMILY_OPENAI, WORD("api.cerebras.ai"), QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, WORD("api.perplexity.ai"), QUIRK_NO_RESPONSES | QUIRK_NO_PARALLEL},
    {FAMILY_OPENAI, WORD("api.cohere.ai"), QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, WORD("generativelanguage.googleapis.com"), QUIRK_NO_RESPONSES},
};

/* Budgets and sampling are refused. */
#define ALWAYS_ADAPTIVE (QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING)

static const struct {
    enum family family;
    struct str front;
    uint32_t quirks;
} models[] = {
    {FAMILY_OPENAI, WORD("o1"), QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, WORD("o3"), QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, WORD("o4"), QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, WORD("gpt-5"), QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_GEMINI, WORD("gemini-3"), QUIRK_GEMINI_3},
    /* platform.claude.com, the migration guides of each model; the longer front first */
    {FAMILY_ANTHROPIC, WORD("claude-sonnet-5-5"), ALWAYS_ADAPTIVE | QUIRK_ALWAYS_THINKS},
    {FAMILY_ANTHROPIC, WORD("claude-sonnet-5"), ALWAYS_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-opus-5"), ALWAYS_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-fable-5"), ALWAYS_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-opus-4-7"), ALWAYS_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-opus-4-8"), ALWAYS_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-opus-4-6"), QUIRK_ADAPTIVE},
    {FAMILY_ANTHROPIC, WORD("claude-sonnet-4-6"), QUIRK_ADAPTIVE},
};

/* How long an answer may be where a dialect must be told and the caller has not said: no more than the model
 * takes. */
static const struct {
    struct str front;
    int64_t tokens;
} outputs[] = {
    {WORD("claude-3-haiku"), 4096}, {WORD("claude-3-opus"), 4096}, {WORD("claude-3-sonnet"), 4096},
    {WORD("claude-3-5"), 8192},     {WORD("claude-"), 32000},
};

uint32_t vendor_quirks(enum family f, struct str host)
{
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct str h = hosts[i].host;
        if (hosts[i].family == f && (h.p[0] == '.' ? str_ends(host, h) : str_ieq(host, h))) {
            return hosts[i].quirks;
        }
    }
    return 0;
}

/* Without what stands ahead of it: "vendor/", and Amazon's "eu.anthropic.". */
static struct str bare_name(struct str model)
{
    ptrdiff_t claude = str_find(model, STR("claude-")), slash = str_chr(model, '/');
    return str_from(model, claude >= 0 ? (size_t)claude : (size_t)(slash + 1));
}

uint32_t vendor_model_quirks(enum family f, struct str model)
{
    struct str name = bare_name(model);
    f = f == FAMILY_BEDROCK ? FAMILY_ANTHROPIC : f; /* the same models, refusing the same */
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (models[i].family == f && str_starts(name, models[i].front)) {
            return models[i].quirks;
        }
    }
    return 0;
}

int64_t vendor_model_output(struct str model)
{
    struct str name = bare_name(model);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (str_starts(name, outputs[i].front)) {
            return outputs[i].tokens;
        }
    }
    return 0;
}
