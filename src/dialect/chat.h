/* openai.chat: what its files share. */
#ifndef DIALECT_CHAT_H
#define DIALECT_CHAT_H

#include "dialect/format.h"
#include "json/walk.h"

int chat_read_request(struct ir_call *c, struct str body);
void chat_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void chat_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

int chat_read_messages(struct ir_call *c, struct walk *w);

/* `tools` as OpenAI has them; Ollama and Cohere took the shape over. 0 or -EINVAL. */
int chat_read_tools(struct ir_call *c, struct walk *w);

enum { CHAT_OUT_STATE = 160 };
void chat_write_event(struct ir_out *o, const struct ir_event *e);
void chat_write_answer(struct ir_out *o, const struct ir_answer *a);

/* An error's body in OpenAI's shape, which most of those that are like it share. */
void openai_read_error(struct arena *a, struct str body, bool json, struct ir_error *e);
/* The usage object of both OpenAI dialects, with its details; `input` and `output` name its two sums. */
void openai_put_usage(struct buf *b, const struct usage *u, struct str input, struct str output);

#endif
