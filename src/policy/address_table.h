/* A counter for each client address, in bounded memory: ADDRESSES places in sets of a few. An address has a place of its
 * own from the first thing that it takes until all of that is older than the window. When all places of its set are
 * taken, further addresses of that set share one of them, and with it what it allows: who fills the table loses. When
 * a place changes hands, a call that is on its way to it may be counted for the next address instead.
 *
 * Any thread; no locks. */
#ifndef POLICY_ADDRESS_TABLE_H
#define POLICY_ADDRESS_TABLE_H

#include "policy/limit.h"

enum { ADDRESSES = 16384, ADDRESS_BYTES = 16 };

struct address_table;

struct address_table *address_table_new(void);
void address_table_free(struct address_table *t); /* NULL is allowed */

/* The counter of that address. */
struct limit_counter *address_table_find(struct address_table *t,
                                         const uint8_t address[ADDRESS_BYTES],
                                         const struct limit_rule *rule,
                                         const struct limit_now *now);
/* Empties what has passed, limit_sweep() of each; false when nothing is left. */
bool address_table_sweep(struct address_table *t, enum limit_per per, const struct zone *zone,
                         const struct limit_now *now);

#endif
