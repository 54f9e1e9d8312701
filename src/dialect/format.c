#include "dialect/format.h"

extern const struct format format_chat;
extern const struct format format_cohere;
extern const struct format format_converse;
extern const struct format format_messages;
extern const struct format format_responses;
extern const struct format format_generate;
extern const struct format format_ollama;
extern const struct format format_ollama_generate;

/* One line each. */
static const struct format *const rows[FORMAT_COUNT] = {
    [FORMAT_CHAT] = &format_chat,
    [FORMAT_RESPONSES] = &format_responses,
    [FORMAT_MESSAGES] = &format_messages,
    [FORMAT_GENERATE] = &format_generate,
    [FORMAT_OLLAMA] = &format_ollama,
    [FORMAT_COHERE] = &format_cohere,
    [FORMAT_OLLAMA_GENERATE] = &format_ollama_generate,
    [FORMAT_CONVERSE] = &format_converse,
};

const struct format *format_of(enum format_id id)
{
    return id < FORMAT_COUNT ? rows[id] : NULL;
}

enum format_id format_of_route(struct str route)
{
    for (unsigned i = 0; i < FORMAT_COUNT; i++) {
        if (rows[i] && str_eq(rows[i]->name, route)) {
            return (enum format_id)i;
        }
    }
    return FORMAT_NONE;
}

enum format_id format_of_family(enum family f)
{
    static const enum format_id of[FAMILY_COUNT] = {
        [FAMILY_OPENAI] = FORMAT_CHAT,     [FAMILY_ANTHROPIC] = FORMAT_MESSAGES,
        [FAMILY_GEMINI] = FORMAT_GENERATE, [FAMILY_OLLAMA] = FORMAT_OLLAMA,
        [FAMILY_COHERE] = FORMAT_COHERE,   [FAMILY_BEDROCK] = FORMAT_CONVERSE,
    };
    return f < FAMILY_COUNT ? of[f] : FORMAT_NONE;
}
