/* Embeddings: what its files share. */
#ifndef DIALECT_EMBED_ROWS_H
#define DIALECT_EMBED_ROWS_H

#include "dialect/embed.h"
#include "json/walk.h"

int embed_read_openai(struct embed_call *c, struct str body);
int embed_read_gemini(struct embed_call *c, struct str body);
int embed_read_invoke(struct embed_call *c, struct str body);
int embed_read_cohere(struct embed_call *c, struct str body);
int embed_read_ollama(struct embed_call *c, struct str body);
int embed_read_titan(struct embed_call *c, struct str body);

void embed_write_openai(struct buf *b, struct embed_call *c, const struct ir_target *t);
void embed_write_gemini(struct buf *b, struct embed_call *c, const struct ir_target *t);
void embed_write_cohere(struct buf *b, struct embed_call *c, const struct ir_target *t);
void embed_write_ollama(struct buf *b, struct embed_call *c, const struct ir_target *t);
void embed_write_titan(struct buf *b, struct embed_call *c, const struct ir_target *t);
void embed_write_bedrock_cohere(struct buf *b, struct embed_call *c, const struct ir_target *t);

int embed_take_openai(struct embed_answer *a, struct str body);
int embed_take_gemini(struct embed_answer *a, struct str body);
int embed_take_cohere(struct embed_answer *a, struct str body);
int embed_take_ollama(struct embed_answer *a, struct str body);
int embed_take_titan(struct embed_answer *a, struct str body);

int embed_put_openai(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o);
int embed_put_gemini(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o);
int embed_put_cohere(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o);
int embed_put_ollama(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o);
int embed_put_titan(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                    const struct embed_out *o);

/* A member of a whole body, as it stands; empty without it. (json_member() wants no white space around.) */
struct str embed_member(struct str body, struct str name);
/* A number of an answer, not below 0: it is set, else `*to` stays as it is. */
void embed_read_count(struct walk *w, int64_t *to);
/* A model's name as one segment of a path. */
void embed_add_model(struct buf *b, struct str model);

#endif
