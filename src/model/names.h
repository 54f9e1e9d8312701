/* A set of names with a number each: who has this id, which key was seen. Names are not copied and
 * must live as long as the set; the memory is the arena's. Zero with an arena is an empty set. */
#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include "base/arena.h"

struct names_slot {
    struct str name; /* p == NULL: free */
    size_t value;
};

struct names {
    struct arena *arena;
    struct names_slot *_slots;
    size_t _cap, n;
};

/* Adds `name`; false when it is there already, and `*ret_old` (may be NULL) is its number. */
bool names_add(struct names *s, struct str name, size_t value, size_t *ret_old);
bool names_find(const struct names *s, struct str name, size_t *ret_value);
/* Gives a name that is in the set another number. */
void names_set(struct names *s, struct str name, size_t value);

#endif
