/* What lists of models answer, in each dialect's shape, from what is known of a model. Pure: which models there
 * are, and who may see them, is the caller's to decide. */
#ifndef DIALECT_CATALOGUE_H
#define DIALECT_CATALOGUE_H

#include "dialect/dialect.h"
#include "model/facts.h"

struct catalogue_model {
    struct str name;                /* what clients ask for, plain */
    struct str display_name;        /* empty: the name */
    struct str owner;               /* the provider's id */
    int64_t created_s;              /* 0: not known */
    int64_t context;                /* tokens it reads; 0: not known */
    int64_t max_output;             /* tokens it writes; 0: not known */
    bool known;                     /* `can` says something; else nothing is claimed */
    uint32_t can;                   /* bits of enum model_can */
    int64_t deprecated_s, sunset_s; /* wall clock; 0: it stays */
    bool as_mistral;                /* FAMILY_OPENAI: with what Mistral's own SDKs insist on */
};

/* Which part of a long list is wanted: `limit`, `after_id`, `before_id` of Anthropic, pageSize and pageToken of
 * Gemini, page_size and page_token of Cohere. Zero: all of it. Tokens are names of models. */
struct catalogue_page {
    uint32_t limit; /* 0: all */
    struct str after, before;
};

/* One model as an element of a list, or alone. Ollama's lists (/api/tags) and Cohere's have shapes of their own. */
void catalogue_put_model(struct buf *b, enum family shape, const struct catalogue_model *m);
/* A whole list. FAMILY_BEDROCK: as FAMILY_OPENAI; it has no list at the address of its calls. */
void catalogue_put_list(struct buf *b, enum family shape, const struct catalogue_model *models,
                        size_t n, const struct catalogue_page *page);
/* Ollama's /api/show. */
void catalogue_put_show(struct buf *b, const struct catalogue_model *m);

#endif
