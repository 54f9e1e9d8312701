/* What the vendors of one dialect do differently: data, by the host of a provider's base URL and by the front
 * of a model's name. Sources: the vendors' API references of autumn 2026. */
#include "dialect/format.h"

static const struct {
    enum family family;
    struct str host; /* the host itself, or what it ends in when it begins with a dot */
    uint32_t quirks;
} hosts[] = {
    {FAMILY_OPENAI,
     {"api.openai.com", 14},
     QUIRK_MAX_COMPLETION | QUIRK_DEVELOPER | QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI,
     {".openai.azure.com", 17},
     QUIRK_MAX_COMPLETION | QUIRK_DEVELOPER | QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI,
     {"api.mistral.ai", 14},
     QUIRK_ID_9 | QUIRK_RANDOM_SEED | QUIRK_NO_STREAM_OPTIONS | QUIRK_ANY_REQUIRED |
         QUIRK_NO_RESPONSES | QUIRK_NO_EFFORT | QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, {"api.groq.com", 12}, QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI,
     {"api.deepseek.com", 16},
     QUIRK_NO_SCHEMA | QUIRK_NO_RESPONSES | QUIRK_NO_PARALLEL | QUIRK_NO_EFFORT |
         QUIRK_THINKING_OBJECT},
    {FAMILY_OPENAI, {"api.x.ai", 8}, QUIRK_STRICT_MEMBERS},
    {FAMILY_OPENAI, {"openrouter.ai", 13}, QUIRK_REASONING_OBJECT},
    {FAMILY_OPENAI, {"api.together.xyz", 16}, QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, {"api.fireworks.ai", 16}, 0},
    {FAMILY_OPENAI, {"api.cerebras.ai", 15}, QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, {"api.perplexity.ai", 17}, QUIRK_NO_RESPONSES | QUIRK_NO_PARALLEL},
    {FAMILY_OPENAI, {"api.cohere.ai", 13}, QUIRK_NO_RESPONSES},
    {FAMILY_OPENAI, {"generativelanguage.googleapis.com", 33}, QUIRK_NO_RESPONSES},
};

static const struct {
    enum family family;
    struct str front;
    uint32_t quirks;
} models[] = {
    {FAMILY_OPENAI, {"o1", 2}, QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, {"o3", 2}, QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, {"o4", 2}, QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_OPENAI, {"gpt-5", 5}, QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING},
    {FAMILY_GEMINI, {"gemini-3", 8}, QUIRK_GEMINI_3},
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

uint32_t vendor_model_quirks(enum family f, struct str model)
{
    ptrdiff_t slash = str_chr(model, '/');
    struct str name = slash < 0 ? model : str_from(model, (size_t)slash + 1);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (models[i].family == f && str_starts(name, models[i].front)) {
            return models[i].quirks;
        }
    }
    return 0;
}
