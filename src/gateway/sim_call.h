/* One call to the simulated provider, on its way through the files sim*.c:
 *
 *   sim.c       the server: takes a request, finds its format, has it read
 *   sim_ask.c   what was asked: words, numbers
 *   sim_wish.c  the pace and the faults that headers and directives ask for
 *   sim_tool.c  whether a tool is called, and with what
 *   sim_text.c  what is said, piece by piece
 *   sim_run.c   the answer's progress: pace, backpressure, faults
 *   sim_openai.c sim_responses.c sim_anthropic.c sim_gemini.c sim_embed.c sim_moderation.c  the
 * formats
 *
 * A format reads a request into the call and names an answer: a table of parts in the order in
 * which they go out. A part writes a few hundred bytes, once or for each piece of the text; so no
 * answer is ever whole in memory, however long it is.
 *
 * A call lives in the arena of its request; the request's input is gone once the answer runs, save
 * where the answer is made from it (keep_input). */
#ifndef GATEWAY_SIM_CALL_H
#define GATEWAY_SIM_CALL_H

#include "dialect/endpoint.h"
#include "http/server.h"
#include "json/tree.h"

enum sim_model { SIM_ECHO, SIM_LOREM, SIM_FAULT };

/* What may be asked for, as a header `sim-first-token-ms: 20` or, of sim/fault, as a directive in
 * the last user message, `first_token_ms=20`: name, least, most, whether only sim/fault does it. */
#define SIM_WISHES(X)                                                                              \
    X(FIRST_TOKEN_MS, "first_token_ms", 0, 600000, false)                                          \
    X(TOKENS_PER_SECOND, "tokens_per_second", 1, 100000, false)                                    \
    X(LATENCY_MS, "latency_ms", 0, 600000, true)                                                   \
    X(STATUS, "status", 400, 599, true)                                                            \
    X(RETRY_AFTER_MS, "retry_after_ms", 0, 600000, true)                                           \
    X(CUT_AFTER, "cut_after", 0, 1000000, true)                                                    \
    X(STALL_AFTER, "stall_after", 0, 1000000, true)                                                \
    X(ERROR_IN_STREAM, "error_in_stream", 1, 1000000, true)                                        \
    X(MALFORMED, "malformed", 1, 1000000, true)                                                    \
    X(NO_USAGE, "no_usage", 0, 1, true)                                                            \
    X(NO_END, "no_end", 0, 1, true)                                                                \
    X(HTML, "html", 0, 1, true)

enum sim_wish {
#define SIM_WISH_ENUM(id, name, least, most, fault_only) SIM_##id,
    SIM_WISHES(SIM_WISH_ENUM)
#undef SIM_WISH_ENUM
        SIM_WISH_COUNT
};

enum {
    SIM_WORDS_DEFAULT = 50, /* of sim/lorem and sim/fault */
    SIM_WORDS_MAX = 100000,
    SIM_PIECE_MAX = 1024, /* bytes; a longer word goes out in several pieces */
    SIM_FRAGMENT = 12,    /* bytes of a tool call's arguments in one piece */
};

struct sim_call;

/* ONCE: write() is called once. END: the same; here an answer stops that is to lack its end. PACED:
 * for each piece, at the pace asked for. FILL: for each piece without a pause, because the pieces
 * are inside of something larger. PACED and FILL find the piece in c->piece (or c->item) and begin
 * with the first. */
enum sim_when { SIM_ONCE, SIM_END, SIM_PACED, SIM_FILL };

struct sim_part {
    enum sim_when when;
    void (*write)(struct sim_call *c, struct buf *b); /* at most one event of a stream */
};

enum sim_framing { SIM_WHOLE, SIM_EVENTS, SIM_JSON_ARRAY };

/* One way to be called. */
struct sim_format {
    struct str path; /* the endpoint's: endpoint->path */
    /* Reads the body, an object: fills what was asked and names the answer. False after
     * sim_refuse(). */
    bool (*read)(struct sim_call *c, const struct json *body);
    /* An error as an event, where the format's differs from its dialect's; else NULL. */
    void (*error_event)(struct sim_call *c, struct buf *b, const struct api_error *e);
};

extern const struct sim_format sim_chat, sim_completions, sim_responses, sim_embeddings,
    sim_moderations, sim_messages, sim_count_messages, sim_generate, sim_stream_generate,
    sim_count_contents, sim_embed_content, sim_batch_embed, sim_rerank;

/* A tool that the request offers, taken out of its dialect's shape. */
struct sim_tool {
    struct str name;
    const struct json *schema; /* of its arguments; may be NULL */
};

struct sim_call {
    struct http_req *req;
    const struct sim_format *format;
    enum family family;
    enum sim_model model;
    struct str name; /* the model's, as answers say it: "sim/echo" */
    struct str id;   /* 16 hexadecimal digits, others for each call */
    struct str request_id;
    uint64_t made_s; /* wall clock */

    /* What was asked. */
    struct buf said; /* the last user message's text, or the results of tools after it */
    bool said_by_tool, turn_open;
    uint64_t input_tokens; /* words of everything that was asked */
    int64_t max_tokens;    /* -1: not said */
    bool usage_asked;      /* include_usage */
    bool alt_sse;          /* ?alt=sse */
    bool keep_input;
    struct sim_tool *tools;
    size_t n_tools;
    const struct json **items; /* inputs that are answered one by one */
    size_t n_items;
    int64_t dims; /* of vectors */
    bool base64;
    int64_t top_n; /* results of a reranking */
    bool with_documents;
    int64_t wish[SIM_WISH_COUNT]; /* -1: not said */
    bool cut_bytes, stall_bytes;  /* the number counts bytes, not events */
    struct api_error error;       /* why it is refused: status 0 when it is not */

    /* What is answered. */
    const struct sim_part *parts;
    size_t n_parts;
    unsigned status;
    enum sim_framing framing;
    struct str content_type;
    struct str tool; /* the tool that is called, or empty */
    struct str text; /* what is said, or the arguments of the call; over and over when `lorem` */
    bool lorem;
    uint64_t output_tokens; /* of all of it */
    bool truncated;         /* it was longer than max_tokens */

    /* How far it is. */
    struct timer timer;
    uint8_t state;
    bool part_begun, in_event;
    size_t part;
    size_t text_at;   /* bytes of the text that were said */
    uint64_t word_at; /* words, or items */
    struct str piece; /* the present one */
    const struct json *item;
    uint64_t paced; /* pieces that went out at a pace */
    uint64_t paced_from_ms;
    uint64_t events;   /* whole ones */
    uint64_t sequence; /* of the Responses API's events */
    uint64_t sent;     /* bytes of the body */
    struct buf out;
};

/* ---- sim.c ---- */

/* Notes why the call is refused; always false. `param` (static) is the member it is about, or NULL.
 */
__attribute__((format(printf, 5, 6))) bool sim_refuse(struct sim_call *c, unsigned status,
                                                      const char *code, const char *param,
                                                      const char *fmt, ...);

/* ---- sim_ask.c ---- */

/* How many words: runs of anything but white space. They are the simulated tokens. */
uint64_t sim_words(struct str s);
bool sim_is_space(char c);
/* Begins a message of the user, or a tool's result (several in a row count as one). */
void sim_turn(struct sim_call *c, bool tool);
/* A text that was asked; `said` when it belongs to the turn. */
void sim_hear(struct sim_call *c, struct str text, bool said);
/* The same for what holds text in most dialects: a string, or an array of strings and of objects
 * with a member `text`. */
void sim_hear_content(struct sim_call *c, const struct json *content, bool said);
/* Member `name` as a number from 1 to `most`; `*ret` stays when it is absent or null. */
bool sim_read_count(struct sim_call *c, const struct json *object, const char *name, int64_t most,
                    int64_t *ret);
/* The elements of member `name`: a refusal when it is not an array. */
bool sim_read_array(struct sim_call *c, const struct json *object, const char *name,
                    const struct json **ret_first);
bool sim_is(const struct json *j, struct str text); /* a string with that text */
bool sim_true(const struct json *j);
struct str sim_text(const struct json *j); /* a string's text, or empty */

/* ---- sim_wish.c ---- */

/* Reads the headers and, for sim/fault, the directives in c->said. */
bool sim_read_wishes(struct sim_call *c);
static inline uint64_t sim_wish_or(const struct sim_call *c, enum sim_wish w, uint64_t otherwise)
{
    return c->wish[w] >= 0 ? (uint64_t)c->wish[w] : otherwise;
}

/* ---- sim_tool.c ---- */

void sim_offer_tool(struct sim_call *c, struct str name, const struct json *schema);
/* Decides whether one of the tools offered is called: because one must be (`forced`; any when
 * `name` is empty), or because the last user message is "call NAME {json}". Then c->tool is set and
 * c->text is its arguments. */
bool sim_choose_tool(struct sim_call *c, bool forced, struct str name);

/* ---- sim_text.c ---- */

/* Decides what is said, within max_tokens, unless a tool is called. `max_name` is the name of the
 * member that limits it. */
bool sim_choose_text(struct sim_call *c, const char *max_name);
void sim_rewind(struct sim_call *c);
bool sim_more(const struct sim_call *c);
void sim_next(struct sim_call *c);
/* FILL: the piece as the inside of a JSON string. */
void sim_write_piece(struct sim_call *c, struct buf *b);
/* A whole JSON string. */
void sim_string(struct buf *b, struct str text);

/* ---- sim_run.c ---- */

void sim_answer_parts(struct sim_call *c, enum sim_framing framing, const struct sim_part *parts,
                      size_t n);
#define sim_answer(c, framing, parts)                                                              \
    sim_answer_parts(c, framing, parts, sizeof(parts) / sizeof *(parts))
/* Begins to answer; the call may be over when this returns. */
void sim_start(struct sim_call *c);
void sim_drained(struct sim_call *c);
/* The client may be gone: shows it that we are here. */
void sim_probe(struct sim_call *c);
/* An event of a stream; what is written between the two is its data. `name` is empty in dialects
 * whose events have none. */
void sim_event(struct sim_call *c, struct buf *b, struct str name);
void sim_event_end(struct sim_call *c, struct buf *b);
static inline bool sim_tells_usage(const struct sim_call *c)
{
    return c->wish[SIM_NO_USAGE] != 1;
}

#endif
