/* Who shares a bound, and how much of it each has: found by name, and the one who has the most at hand. What it takes
 * to keep that true grows with the number of doublings of their number: they stand in a heap.
 *
 * Not locked: the owner of a `struct tenants` has a lock. Zero is one without tenants. */
#ifndef POLICY_TENANTS_H
#define POLICY_TENANTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { TENANT_SLOTS = 4096, TENANT_NAME = 64 /* ids of ours have no more */ };

struct tenant {
    struct tenant *_next;
    void *newest, *oldest; /* the owner's */
    size_t bytes;          /* tenants_weigh() changes it */
    uint32_t _refs;
    uint32_t _slot, _at; /* among the names, and in the heap */
    uint8_t _name_n;
    char _name[TENANT_NAME];
};

struct tenants {
    struct tenant *_slot[TENANT_SLOTS];
    struct tenant **_heap; /* nobody has less than those at 2n + 1 and 2n + 2 behind him */
    uint32_t n, _cap;
    uint64_t steps; /* places in the heap that were written */
};

/* The tenant of that name, made when there is none. Each is to be given back; with the last it goes. */
struct tenant *tenants_take(struct tenants *all, struct str name);
void tenants_give(struct tenants *all, struct tenant *t);
/* It has so many bytes from now on. */
void tenants_weigh(struct tenants *all, struct tenant *t, size_t bytes);
/* Nobody has more. Only while there is one. */
struct tenant *tenants_heaviest(const struct tenants *all);

#endif
