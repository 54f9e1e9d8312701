/* A set of texts, for writers that must know what they have seen: a request may hold many thousands of ids.
 * Zero is the empty set; its memory is the arena's, the texts are not copied. */
#ifndef DIALECT_IR_SET_H
#define DIALECT_IR_SET_H

#include "base/arena.h"

struct ir_set {
    struct str *_slot;
    uint32_t _size, _n; /* the size is a power of two, or 0 */
};

/* Of a text that a caller has chosen: keyed with what only this process knows, so that nobody can choose many of
 * one place. */
uint64_t ir_hash(struct str text);

/* False: it was in the set already. */
bool ir_set_add(struct arena *a, struct ir_set *s, struct str text);
bool ir_set_has(const struct ir_set *s, struct str text);

#endif
