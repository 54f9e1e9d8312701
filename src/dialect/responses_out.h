/* openai.responses: what the writer of events and the writer of objects share. */
#ifndef DIALECT_RESPONSES_OUT_H
#define DIALECT_RESPONSES_OUT_H

#include "dialect/responses.h"

/* An item as it is in the end; its arguments are escaped text. */
struct responses_item {
    enum ir_kind kind;
    uint32_t n; /* its number in the answer */
    struct str text, id, name, signature, media_type;
    const struct ir_tool *tool; /* as the caller declared it; NULL: unknown */
    bool redacted;
};

enum responses_state { RESPONSES_BEGUN, RESPONSES_DONE, RESPONSES_CUT };

/* Whether an answer that ended so is incomplete. */
bool responses_is_cut(enum ir_finish f);

/* The response object up to the inside of its output, and what stands behind that: what was asked, said again,
 * and the usage (NULL: not yet). `id` is the upstream's own, escaped; empty: one of ours. */
void responses_put_front(struct ir_out *o, struct str id, enum ir_finish finish);
void responses_put_back(struct ir_out *o, const struct usage *u);

/* "msg_", the answer's id and the item's number: `front` is of its kind. */
struct str responses_item_front(enum ir_kind kind, const struct ir_tool *tool);
void responses_put_item_id(struct ir_out *o, struct buf *b, struct str front, uint32_t n);
/* In the end with its content; else as it is when it begins. */
void responses_put_item(struct ir_out *o, struct buf *b, const struct responses_item *k,
                        enum responses_state state);
void responses_put_part(struct buf *b, enum ir_kind kind, struct str text);
void responses_put_summary(struct buf *b, struct str text);

const struct ir_tool *responses_tool_of(const struct ir_out *o, struct str name);
/* The text in a freeform tool's arguments, which are escaped text themselves. A model may have named it in
 * another way, or sent more: then it is all of them. */
struct str responses_call_input(struct ir_out *o, struct str args);

#endif
