/* One call to the simulated provider, on its way through the files sim*.c:
 *
 *   sim.c            the server: takes a request, finds its format, runs the answer
 *   sim_run.c        the answer's progress: pace, backpressure, the faults that were asked for
 *   sim_wish.c       what headers and directives ask for
 *   sim_text.c       words: what is said, how much of it, one piece after the other
 *   sim_tool.c       whether a tool is called, and with what
 *   sim_openai.c sim_responses.c sim_anthropic.c sim_gemini.c sim_embed.c    the wire formats
 *
 * A format reads a request into the call and names an answer: a table of parts, in the order in which they
 * go out. A part writes a few hundred bytes, or so for each piece of the text; so no answer is ever whole
 * in memory, however long it is.
 *
 * A call lives in the arena of its request; the request's input is gone once the answer runs. */
#ifndef GATEWAY_SIM_CALL_H
#define GATEWAY_SIM_CALL_H

#include "dialect/endpoint.h"
#include "http/server.h"
#include "json/tree.h"

enum sim_model { SIM_ECHO, SIM_LOREM, SIM_FAULT };

/* What may be asked for, as a header `sim-first-token-ms: 20` or, of sim/fault, as a directive in the last
 * user message, `first_token_ms=20`: name, least, most, whether only sim/fault does it. */
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
    SIM_WORDS_DEFAULT = 50, /* of sim/lorem */
    SIM_WORDS_MAX = 100000,
    SIM_PIECE_MAX = 1024,   /* bytes; a longer word goes out in several pieces */
    SIM_FRAGMENT = 12,      /* bytes of a tool call's arguments in one piece */
};

struct sim_call;

/* ONCE: write() is called once. PACED: for each piece, at the pace asked for. FILL: for each piece at
 * once, because the piece is inside of something larger. Both leave the piece in c->piece, and begin with
 * the first. END: as ONCE, but left out when the stream is to lack its end. */
enum sim_when { SIM_ONCE, SIM_PACED, SIM_FILL, SIM_END };

struct sim_part {
    enum sim_when when;
    void (*write)(struct sim_call *c, struct buf *b);
};

enum sim_framing { SIM_WHOLE, SIM_EVENTS, SIM_JSON_ARRAY };

/* An answer that refuses: in the words of the dialect. */
struct sim_error {
    unsigned status;
    const char *code, *param;
    struct str message;
};

struct sim_embed;

/* One way to be called: what the request's body means. */
struct sim_format {
    struct str route, verb; /* as the endpoint has them: endpoint->route, endpoint->path */
    /* Reads the body (a JSON object); false after sim_refuse(). Sets c->parts by sim_answer(). */
    bool (*read)(struct sim_call *c, const struct json *body);
};

struct sim_call {
    struct http_req *req;
    struct timer timer;
    const struct sim_format *format;
    enum family family;
    enum sim_model model;
    struct str name;   /* of the model, as an answer says it: "sim/echo" */
    struct str id;     /* 16 hexadecimal digits, another for each call */
    uint64_t made_s;   /* wall clock */

    /* What was asked. */
    struct str said;       /* the last user message's text, or the tool result that came after it */
    uint64_t input_tokens; /* words of everything that was asked */
    int64_t max_tokens;    /* -1: not said */
    bool usage_wanted;     /* a chat stream's include_usage */
    struct str tool;       /* the tool to call, or empty */
    struct str arguments;  /* JSON */
    struct sim_embed *embed;
    int64_t wish[SIM_WISH_COUNT]; /* -1: not said */
    bool cut_bytes, stall_bytes;  /* the number counts bytes, not events */
    struct sim_error error;

    /* What is answered. */
    const struct sim_part *parts;
    size_t n_parts;
    unsigned status;
    enum sim_framing framing;
    struct str content_type;
    struct str text;        /* to be said; without one (p NULL) it is lorem ipsum */
    uint64_t output_tokens; /* of all of it */
    bool truncated;         /* it was longer than max_tokens */

    /* How far it is. */
    size_t part;
    bool part_begun;
    size_t text_at;   /* bytes said */
    uint64_t word_at; /* words said */
    struct str piece; /* the present one */
    uint64_t pieces;  /* paced ones that are out */
    uint64_t sequence; /* of events that number themselves */
    uint64_t events;  /* whole ones */
    uint64_t sent;    /* bytes of the body */
    uint64_t paced_from_ms;
    bool pacing, in_event;
    uint8_t state;
    struct buf out;
};

/* ---- sim.c ---- */

struct loop *sim_loop(const struct sim_call *c);
/* Notes why the call is refused; always false. */
__attribute__((format(printf, 5, 6))) bool sim_refuse(struct sim_call *c, unsigned status,
                                                      const char *code, const char *param,
                                                      const char *fmt, ...);

/* ---- sim_run.c ---- */

/* Begins to answer with c->parts; from here on the call runs by itself. */
void sim_start(struct sim_call *c);
/* Goes on after a pause: a timer fired, or the client took what was queued. */
void sim_go_on(struct sim_call *c);
/* Shows a client that may have gone that we are here. */
void sim_probe(struct sim_call *c);
/* An answer's parts: sim_answer(c, SIM_WHOLE, parts). */
void sim_answer_parts(struct sim_call *c, enum sim_framing framing, const struct sim_part *parts,
                      size_t n);
#define sim_answer(c, framing, parts)                                                              \
    sim_answer_parts(c, framing, parts, sizeof(parts) / sizeof *(parts))
/* Begins an event of a stream, `name` empty when the dialect does not name them; what comes between is its
 * data. */
void sim_event(struct sim_call *c, struct buf *b, struct str name);
void sim_event_end(struct sim_call *c, struct buf *b);

/* ---- sim_wish.c ---- */

/* Reads the headers and, for sim/fault, the directives in c->said; false after sim_refuse(). */
bool sim_read_wishes(struct sim_call *c);
/* The number asked for, or `otherwise`. */
static inline int64_t sim_wish_or(const struct sim_call *c, enum sim_wish w, int64_t otherwise)
{
    return c->wish[w] >= 0 ? c->wish[w] : otherwise;
}

/* ---- sim_text.c ---- */

/* How many words: runs of anything but white space. The simulated tokens. */
uint64_t sim_words(struct str s);
/* Decides what will be said: c->text or lorem, within max_tokens; or the tool's arguments. */
bool sim_choose_text(struct sim_call *c);
void sim_rewind(struct sim_call *c);
bool sim_next_piece(struct sim_call *c); /* false: there is none */
/* FILL: the piece as the inside of a JSON string. */
void sim_write_piece(struct sim_call *c, struct buf *b);

/* ---- reading what was asked: sim_ask.c ---- */

/* Adds `text` to what was asked; `says` also makes it a part of the last user message. */
void sim_hear(struct sim_call *c, struct buf *said, struct str text);
/* A positive whole number, or absent (then -1): false after sim_refuse(). */
bool sim_read_count(struct sim_call *c, const struct json *object, struct str name, int64_t most,
                    int64_t *ret);
bool sim_is(const struct json *j, struct str text); /* a string with that text */
bool sim_true(const struct json *j);

/* ---- sim_tool.c ---- */

/* A tool as the dialects have it, taken out of its shape. */
struct sim_tool {
    struct str name;
    const struct json *schema; /* of its arguments; may be NULL */
};
/* Decides whether one of `tools` is called: `forced` (by name, or any when the name is empty), or because
 * the last user message is "call NAME {json}". False after sim_refuse(). */
bool sim_choose_tool(struct sim_call *c, const struct sim_tool *tools, size_t n, bool forced,
                     struct str name);

/* ---- the formats ---- */

extern const struct sim_format sim_formats[];
extern const size_t sim_formats_n;

#endif
