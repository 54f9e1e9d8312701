/* A model's answer as events, in one shape for all dialects, and the whole answer as their fold.
 *
 *     START  ( BLOCK_START  DELTA*  BLOCK_STOP )*  FINISH  END      USAGE anywhere
 *
 * Usage may still change between FINISH and END (some dialects tell it last), so writers tell it at END, whose
 * event has it. An error is no event: the reader sets `failed`, and nothing follows.
 *
 * Blocks are numbered from 0 in the order of their starts; one is open at a time (a reader of a dialect that
 * may interleave them goes through ir_order.h). A reader of answers turns what came from an upstream into
 * events; a writer turns events into the caller's dialect: stream by stream, or the fold as one body. */
#ifndef DIALECT_IR_ANSWER_H
#define DIALECT_IR_ANSWER_H

#include "dialect/ir.h"

enum ir_event_type {
    IR_START,       /* id, model, usage (what is known of the input) */
    IR_BLOCK_START, /* block, kind; TOOL_CALL: id, name */
    IR_DELTA, /* block, kind, text; TOOL_CALL: a piece of the arguments' JSON, as escaped text */
    IR_SIGNATURE,  /* block, signature, issuer; THINKING and TOOL_CALL, before its stop */
    IR_BLOCK_STOP, /* block, kind */
    IR_USAGE,      /* usage: all that is known by now, cumulative */
    IR_FINISH,     /* finish, stop_sequence: why the model stopped */
    IR_END,        /* the answer is whole */
};

enum ir_finish {
    IR_FINISH_NONE,
    IR_FINISH_STOP,
    IR_FINISH_SEQUENCE, /* one of the caller's stop sequences */
    IR_FINISH_LENGTH,
    IR_FINISH_CONTEXT, /* the context window was full */
    IR_FINISH_TOOLS,
    IR_FINISH_FILTER,  /* content filter, safety block */
    IR_FINISH_REFUSAL, /* the model refused */
    IR_FINISH_PAUSE,   /* a long turn was paused, to be continued */
    IR_FINISH_ERROR,   /* the vendor says so in place of a reason */
};

/* Slices are valid during the call that hands the event on. */
struct ir_event {
    enum ir_event_type type;
    enum ir_kind kind;
    uint32_t block;
    struct str text; /* escaped; IMAGE and AUDIO: base64 */
    struct str id, name, model, media_type;
    struct str
        signature; /* SIGNATURE; BLOCK_START of ir_redacted(), which is followed by the same */
    enum family issuer;
    bool redacted;
    bool freeform;
    enum ir_finish finish;
    struct str stop_sequence; /* escaped */
    struct usage usage;
};

/* An error that came from upstream, in a body or in a stream. Text is plain. */
struct ir_error {
    unsigned status; /* what it would have been as a status: 429, 529, 400, 500 ... */
    struct str code, message, param;
    uint32_t retry_after_ms; /* 0: not told */
};

/* Where events go. */
typedef void ir_event_fn(void *arg, const struct ir_event *e);

/* The reading side: one per answer. `state` is the reader's own, zeroed (format.in_state bytes). */
struct ir_in {
    struct arena *arena; /* of the call: for little that lasts (names, ids), never per event */
    ir_event_fn *event;
    void *arg;
    void *state;
    const char *request_id; /* plain and short: for ids where a vendor gives none */
    bool started;           /* START was emitted: ir_start() does that once */
    bool finished;          /* FINISH was emitted: the stream may end now */
    bool ended;             /* the dialect's own last event has come: nothing follows */
    bool failed;            /* `error` is set: an error came in place of the rest */
    struct usage usage;     /* as told so far */
    struct ir_error error;
    uint32_t blocks;    /* started so far */
    enum family family; /* of the upstream */
    bool
        mark_unsigned; /* thinking without a signature is told whose it is all the same: it goes to a
                               caller of another family, who would send it back as his own vendor's */
    bool is_signed;    /* the open block */
    bool refused;      /* a refusal was said: a plain stop becomes IR_FINISH_REFUSAL */
    bool open;         /* a block is open: its number is blocks - 1 */
    enum ir_kind open_kind;
    struct str made_id; /* see ir_make_id() */
    uint32_t lost;      /* things in the answer that no event has a place for (citations ...) */
};

/* For readers: each emits what its name says; ir_text() and the like open a block of that kind when another
 * is open, or none. */
void ir_start(struct ir_in *in, struct str id, struct str model);
void ir_open(struct ir_in *in,
             enum ir_kind kind); /* closes what is open, unless it is of that kind and no call */
void ir_open_call(struct ir_in *in, struct str id, struct str name); /* empty id: one is made */
void ir_delta(struct ir_in *in, struct str text); /* to the open block; empty: nothing */
void ir_text(struct ir_in *in, enum ir_kind kind,
             struct str text); /* ir_open() and ir_delta(); empty: nothing */
/* An IMAGE or AUDIO at once: a block of its own. */
void ir_media(struct ir_in *in, enum ir_kind kind, struct str media_type, struct str base64);
/* A whole call at once; args is a JSON object as it stands. */
void ir_whole_call(struct ir_in *in, struct str id, struct str name, struct str args);
void ir_signature(struct ir_in *in, struct str signature, enum family issuer, bool redacted);
/* Thinking of which nothing may be seen, as its vendor has a block for it: one of its own, whose start tells
 * already what it is. `data` empty: nothing. */
void ir_redacted(struct ir_in *in, struct str data, enum family issuer);
void ir_close(struct ir_in *in);      /* the open block, if any */
void ir_tell_usage(struct ir_in *in); /* in->usage, as it is now */
void ir_finish(struct ir_in *in, enum ir_finish why, struct str stop_sequence); /* closes; once */
/* An error; the first one counts. */
void ir_fail(struct ir_in *in, unsigned status, struct str code, struct str message);
/* An id for a tool call of this answer where the vendor gave none: "call_" and what is unique to the call. */
struct str ir_make_id(struct ir_in *in);

/* ---- the fold ---- */

struct ir_answer {
    struct str id, model;
    struct ir_part *parts, *last; /* TEXT, THINKING, REFUSAL, TOOL_CALL (args), IMAGE */
    struct usage usage;
    enum ir_finish finish;
    struct str stop_sequence;
};

struct ir_fold {
    struct arena *arena;
    bool copy; /* what is read does not last: an event of a stream */
    struct ir_answer answer;
    struct buf _text; /* of the open part, once it has more than one piece */
    uint32_t _pieces;
};
/* Whether the answer holds a refusal as a part of its own: dialects that have those end it like any other. */
bool ir_says_refusal(const struct ir_answer *a);
/* An ir_event_fn; `arg` is a struct ir_fold. Without `copy` it keeps slices of what is read. */
void ir_fold_event(void *fold, const struct ir_event *e);

/* ---- the writing side ---- */

struct ir_out {
    struct arena *arena;        /* of the call */
    struct buf *out;            /* where the stream's bytes go */
    struct arena *scratch;      /* for what a writer needs until it returns */
    void *state;                /* the writer's own, zeroed (format.out_state bytes) */
    const struct ir_call *call; /* what was asked; NULL unless call->keep */
    struct str model;           /* what the caller asked for, escaped: answers name it */
    struct str id;     /* of our answer, plain, without a prefix: "req_..." is its request id */
    int64_t created_s; /* wall clock */
    bool usage_wanted; /* openai.chat: the caller asked for the usage chunk */
    bool whole_calls;  /* openai.chat: each tool call of a stream is one chunk (Mistral) */
    bool array;        /* gemini.generate: the stream is a JSON array */
    bool stream;       /* the answer is a stream */
    int64_t sequence;  /* events written, for dialects that number them; -1: not numbered */
    enum family caller;
    uint32_t lost; /* blocks and events that the dialect has no word for */
};

#endif
