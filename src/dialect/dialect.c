#include "dialect/dialect.h"

#include "json/scan.h"

const struct dialect *dialect_of(enum family f)
{
    static const struct dialect *const all[FAMILY_COUNT] = {
        [FAMILY_OPENAI] = &dialect_openai,       [FAMILY_ANTHROPIC] = &dialect_anthropic,
        [FAMILY_GEMINI] = &dialect_gemini,       [FAMILY_OLLAMA] = &dialect_ollama,
        [FAMILY_COHERE] = &dialect_cohere,
    };
    return all[f];
}

void usage_int(struct str object, struct str name, int64_t *ret)
{
    struct str value;
    int64_t v;
    if (json_member(object, name, &value) == JSON_NUMBER && json_int(value, &v) == 0 && v >= 0) {
        *ret = v;
    }
}
