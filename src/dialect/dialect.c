#include "dialect/dialect.h"

#include "json/scan.h"

const struct dialect *dialect_of(enum family f)
{
    static const struct dialect *const all[FAMILY_COUNT] = {
        [FAMILY_OPENAI] = &dialect_openai, [FAMILY_ANTHROPIC] = &dialect_anthropic,
        [FAMILY_GEMINI] = &dialect_gemini, [FAMILY_OLLAMA] = &dialect_ollama,
        [FAMILY_COHERE] = &dialect_cohere,
    };
    return all[f];
}

void usage_read(struct str object, const struct usage_row *rows)
{
    struct str key, value;
    enum json_type type;
    for (size_t at = 0; json_each(object, &at, &key, &value, &type);) {
        const struct usage_row *r = rows;
        while (r->name.n && !str_eq(r->name, key)) {
            r++;
        }
        int64_t v;
        if (type == JSON_NUMBER && r->to && json_int(value, &v) == 0 && v >= 0) {
            *r->to = v;
        } else if (type == JSON_OBJECT && r->inside) {
            usage_read(value, r->inside);
        }
    }
}
