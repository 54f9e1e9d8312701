/* cohere.chat (v2): what its files share. */
#ifndef DIALECT_COHERE_H
#define DIALECT_COHERE_H

#include "dialect/chat.h"
#include "dialect/ir_member.h"

extern const struct format format_cohere;

extern const struct ir_member cohere_members[];

int cohere_read_request(struct ir_call *c, struct str body);
void cohere_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void cohere_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

enum { COHERE_OUT_STATE = 32 };
void cohere_write_event(struct ir_out *o, const struct ir_event *e);
void cohere_write_answer(struct ir_out *o, const struct ir_answer *a);

#endif
