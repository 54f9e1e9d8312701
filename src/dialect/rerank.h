/* Reranking: a query and documents in, an order of them out. In two dialects: cohere.rerank (/v2/rerank, and
 * what is left of /v1) and openai.rerank, which is no API of OpenAI's but what Jina, vLLM, Voyage, Together and
 * others put beside it (/rerank).
 *
 * As in embed.h the form stands on a struct ir_call, and texts are escaped text. */
#ifndef DIALECT_RERANK_H
#define DIALECT_RERANK_H

#include "dialect/ir.h"

struct rerank_document {
    struct str text;
    struct str object; /* the object it came as, as it stands; empty: it was a string */
};

struct rerank_call {
    struct ir_call *call;
    struct str query;
    struct rerank_document *documents;
    uint32_t n, _room;
    struct str top_n;                         /* numbers as they stand; empty: unsaid */
    struct str max_tokens;                    /* of each document */
    enum ir_tri with_documents;               /* they are wanted in the answer */
    const char *top_n_name, *max_tokens_name; /* as the caller spells them */
};

void rerank_call_init(struct rerank_call *c, struct ir_call *call);

struct rerank_result {
    uint32_t index;
    struct str score; /* a number as it stands */
};

struct rerank_answer {
    struct arena *arena;
    struct rerank_result *results; /* the best first, as the vendor gave them */
    uint32_t n, _room;
    struct str id;        /* escaped, empty when the vendor gives none */
    int64_t tokens;       /* -1: not told */
    int64_t search_units; /* what Cohere bills; -1: not told */
};

void rerank_answer_init(struct rerank_answer *a, struct arena *arena);

struct rerank_out {
    struct str model; /* what the caller asked for, escaped */
    struct str id;    /* of our answer, plain */
};

struct rerank_format {
    struct str name;
    enum family family;
    struct str version;
    struct str path;
    /* 0, or -EINVAL with c->call->bad. */
    int (*read_request)(struct rerank_call *c, struct str body);
    void (*write_request)(struct buf *b, struct rerank_call *c, const struct ir_target *t);
    /* 0, or -EBADMSG: no answer of this dialect, or a result that is none of the documents. */
    int (*read_answer)(struct rerank_answer *a, const struct rerank_call *c, struct str body);
    void (*write_answer)(struct buf *b, const struct rerank_call *c, const struct rerank_answer *a,
                         const struct rerank_out *o);
};

/* NULL: providers of the family have none. */
const struct rerank_format *rerank_format_of(enum family f);

/* An estimate of the tokens of query and documents. */
int64_t rerank_tokens_estimate(const struct rerank_call *c);

#endif
