/* Embeddings: texts in, vectors out. One typed form of the request and one of the answer, and a row of
 * functions for each dialect, as format.h has them for conversations.
 *
 * The form stands on a struct ir_call: its arena is the memory, and losses (ir_drop()) and what is wrong
 * (ir_bad()) are told there. Texts are escaped text. Vectors stay as they stood in the answer, a JSON array
 * or base64, and are converted (exactly, vector.h) only when the caller wants the other spelling. */
#ifndef DIALECT_EMBED_H
#define DIALECT_EMBED_H

#include "dialect/ir.h"

/* How the numbers of a vector are spelled. */
enum embed_type {
    EMBED_FLOAT,
    EMBED_BASE64, /* of float32, the lowest byte first */
    EMBED_INT8,   /* this and what follows: only between the dialects of Cohere's models */
    EMBED_UINT8,
    EMBED_BINARY,
    EMBED_UBINARY,
    EMBED_TYPES
};
struct str embed_type_word(enum embed_type t);

/* What the vectors are for. */
enum embed_purpose {
    EMBED_UNSAID,
    EMBED_QUERY,
    EMBED_DOCUMENT,
    EMBED_SIMILARITY,
    EMBED_CLASSIFICATION,
    EMBED_CLUSTERING,
    EMBED_CODE_QUERY,
    EMBED_QUESTION,
    EMBED_FACT,
};

/* What becomes of a text that is too long. */
enum embed_truncate { EMBED_TRUNCATE_UNSAID, EMBED_REFUSE, EMBED_CUT_START, EMBED_CUT_END };

struct embed_call {
    struct ir_call *call;
    struct ir_list *texts, *_last;
    uint32_t n;            /* of them; at least one after a reader */
    struct str dimensions; /* a number as it stands; empty: unsaid */
    uint32_t types;        /* bits 1 << enum embed_type; never 0 after a reader */
    enum embed_purpose purpose;
    const char *purpose_name;    /* ... as the caller spells the member */
    const char *dimensions_name; /* the same */
    enum embed_truncate truncate;
    bool
        one; /* the caller's dialect has another answer for one text than for several, and it is one */
};

void embed_call_init(struct embed_call *c, struct ir_call *call);

/* Vectors in the order of the texts. FLOAT and the others: arrays as they stand; BASE64: escaped text. */
struct embed_set {
    struct str *at;
    uint32_t n, _room;
};

struct embed_answer {
    struct arena *arena;
    struct embed_set sets[EMBED_TYPES];
    struct str id;  /* escaped, empty when the vendor gives none */
    int64_t tokens; /* of the input; -1: not told */
};

void embed_answer_init(struct embed_answer *a, struct arena *arena);

/* What an answer says besides the vectors. */
struct embed_out {
    struct str model;    /* what the caller asked for, escaped */
    struct str id;       /* of our answer, plain */
    struct arena *spare; /* for what is needed only while it is written */
};

struct embed_format {
    struct str name;
    enum family family;
    struct str version; /* what stands before its paths when a base URL has none */
    uint32_t
        max_batch; /* texts that one request holds; 0: no limit is known. More are not refused here */

    /* Reads a request that json_scan() accepts and whose top level is an object. 0, or -EINVAL with
     * c->call->bad. */
    int (*read_request)(struct embed_call *c, struct str body);
    void (*write_request)(struct buf *b, struct embed_call *c, const struct ir_target *t);
    void (*path)(struct buf *b, const struct embed_call *c, const struct ir_target *t);

    /* Reads a whole answer, checked JSON of any type; its vectors are appended to those that are there, so
     * that several calls' answers become one. 0, or -EBADMSG when it is not what this dialect answers. */
    int (*read_answer)(struct embed_answer *a, struct str body);
    /* Writes the whole body. -EBADMSG when a vector that must be converted is none. */
    int (*write_answer)(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                        const struct embed_out *o);
};

/* How an upstream of the family takes embeddings of the model; NULL: it has none. */
const struct embed_format *embed_format_of(enum family f, struct str model);
/* What a caller of the family speaks: at Bedrock the body tells. */
const struct embed_format *embed_format_in(enum family f, struct str body);

/* Whether there are n vectors, in each spelling that came. */
bool embed_is_whole(const struct embed_answer *a, uint32_t n);

/* An estimate of the input's tokens, for answers of vendors that do not count. */
int64_t embed_tokens_estimate(const struct embed_call *c);

#endif
