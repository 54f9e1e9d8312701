/* Tool calls whose arguments a dialect may interleave (openai.chat counts them by an index), put in order:
 * one after the other, as most dialects demand. The first call's arguments pass at once; another's wait only
 * while the one before it is not a whole JSON object yet. Tolerates what servers do: an id or a name that is
 * repeated or comes in pieces, arguments in the first chunk or in none. Arguments that go on behind a text that
 * came between have no place: the answer fails. */
#ifndef DIALECT_IR_ORDER_H
#define DIALECT_IR_ORDER_H

#include "dialect/ir_answer.h"

struct ir_order_call;

struct ir_order {
    struct ir_order_call *calls, *last; /* in the order of their coming */
    struct ir_order_call *now;          /* whose block is open */
};

/* A piece of the call `index`: what is known of its id and name (escaped; empty: nothing new), and a piece of
 * its arguments (escaped text). */
void ir_order_add(struct ir_order *o, struct ir_in *in, uint32_t index, struct str id,
                  struct str name, struct str args);
/* Whether arguments of the call `index` have come. */
bool ir_order_has_args(const struct ir_order *o, uint32_t index);
/* A signature that belongs to the call `index`. */
void ir_order_sign(struct ir_order *o, struct ir_in *in, uint32_t index, struct str signature,
                   enum family issuer);
/* No more comes: what waited is emitted. */
void ir_order_end(struct ir_order *o, struct ir_in *in);

#endif
