/*
 * What the mock upstream says: a fixed answer of about 700 bytes, the chunks of a streamed one, an
 * error; as OpenAI's chat API says it, and (but for the error) as Anthropic's Messages do. Texts are
 * built once; a chunk is a template with a few digits patched.
 */
#ifndef BENCH_MOCK_ANSWERS_H
#define BENCH_MOCK_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MOCK_PROMPT_TOKENS = 19,
    MOCK_COMPLETION_TOKENS =
        90, /* of the answer that is not streamed; a stream has one per chunk */
    MOCK_CHUNK_MAX = 512,
    MOCK_END_MAX = 1024,
};

enum mock_dialect { MOCK_CHAT, MOCK_MESSAGES, MOCK_DIALECTS };

struct text {
    char *p;
    size_t n;
};

/* Head and body in one piece, ready for one send. The model's name goes into each answer. */
void mock_answers_init(const char *model);
struct text mock_answer_completion(enum mock_dialect d);
struct text mock_answer_error(void);
/* With what Messages send ahead of the first chunk: the message's and the block's start. */
struct text mock_answer_stream_head(enum mock_dialect d);
size_t mock_answer_completion_body_len(void);

/*
 * One event in a frame of chunked encoding. index counts from 0 and is in the text (" t00042"), so
 * that a receiver can tell a lost event; stamp_ns stands in system_fingerprint, so that it can
 * tell a late one. Messages have no such member: there it is in the text, behind the index (" t00042
 * fp_..."), and so passes a translation. out has MOCK_CHUNK_MAX bytes; returns how many were written.
 */
size_t mock_answer_chunk(enum mock_dialect d, uint32_t index, uint64_t stamp_ns, char *out);

/* finish_reason, usage when asked for, [DONE] and the last chunk; of Messages all from the block's
 * stop on, always with usage. out has MOCK_END_MAX bytes. */
size_t mock_answer_stream_end(enum mock_dialect d, uint32_t chunks, bool usage, char *out);

#endif
