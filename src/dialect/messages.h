/* anthropic.messages: what its files share. */
#ifndef DIALECT_MESSAGES_H
#define DIALECT_MESSAGES_H

#include "dialect/chat.h"

extern const struct format format_messages;

int messages_read_request(struct ir_call *c, struct str body);
void messages_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
/* A request that is being written. */
struct messages_writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
    bool thinking;
};
void messages_put_messages(struct messages_writer *w);
void messages_put_system(struct messages_writer *w);
void messages_put_cache(struct messages_writer *w, enum ir_cache cache);
void messages_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

enum { MESSAGES_OUT_STATE = 32 };
void messages_write_event(struct ir_out *o, const struct ir_event *e);
void messages_write_answer(struct ir_out *o, const struct ir_answer *a);

#endif
