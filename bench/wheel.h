/*
 * A timer wheel: thousands of slow streams cost one list operation per chunk each. Times are
 * ticks of WHEEL_TICK_NS; they are that short because streams that are served together once a
 * millisecond would reach a proxy in batches that no real upstreams make. Nodes are embedded in
 * their owners; a wheel belongs to one thread.
 */
#ifndef BENCH_WHEEL_H
#define BENCH_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 16384, WHEEL_TICK_NS = 100000, WHEEL_TICKS_PER_MS = 10 };

/* All zero is a node that is in no list. */
struct wheel_node {
    struct wheel_node *prev;
    struct wheel_node *next;
    uint64_t due;
};

struct wheel {
    struct wheel_node slots[WHEEL_SLOTS]; /* list heads */
    uint64_t occupied[WHEEL_SLOTS / 64];
    uint64_t done; /* all ticks up to this one have been visited */
    uint32_t count;
};

void wheel_init(struct wheel *w, uint64_t now);

/* A due time that has passed already fires at the next wheel_expire. */
void wheel_add(struct wheel *w, struct wheel_node *node, uint64_t due);
void wheel_remove(struct wheel *w, struct wheel_node *node);

/* Takes one node that is due out of the wheel; NULL when there is none left up to now. */
struct wheel_node *wheel_expire(struct wheel *w, uint64_t now);

/* Ticks until the next slot that may hold something due; -1 = nothing. */
int64_t wheel_timeout(const struct wheel *w, uint64_t now);

#endif
