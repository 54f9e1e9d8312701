/* The wire formats of model calls, by number. */
#ifndef DIALECT_FORMAT_ID_H
#define DIALECT_FORMAT_ID_H

#include "dialect/dialect.h"

enum format_id {
    FORMAT_CHAT,            /* openai.chat */
    FORMAT_RESPONSES,       /* openai.responses */
    FORMAT_MESSAGES,        /* anthropic.messages */
    FORMAT_GENERATE,        /* gemini.generate */
    FORMAT_OLLAMA,          /* ollama.chat */
    FORMAT_COHERE,          /* cohere.chat */
    FORMAT_CONVERSE,        /* bedrock.converse */
    FORMAT_OLLAMA_GENERATE, /* /api/generate: spoken to callers only */
    FORMAT_COUNT,
    FORMAT_NONE = FORMAT_COUNT, /* an endpoint that is no call of this form */
};

#endif
