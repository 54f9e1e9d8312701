/* Which of several targets of the same priority: each is given a score, the lowest wins, and among equals the lot
 * decides by weight. Numbers in, decisions out. */
#ifndef POLICY_BALANCE_H
#define POLICY_BALANCE_H

#include "base/str.h"

struct balance_item {
    double score;
    uint32_t weight; /* 0: only when there is no other */
};

/* The index of one of them (1 at least); `random` is 64 random bits. */
uint32_t balance_pick(const struct balance_item *all, uint32_t n, uint64_t random);

/* Scores. Of latency: the average in microseconds (0: not known) and the calls under way. What is not known is
 * tried at once, by one call; the next ones take what is known until the first has an answer. */
double balance_latency(uint64_t us, uint64_t running);
double balance_busy(uint64_t running, uint32_t weight);
/* Of a price: pico-dollars per token of input and output, -1 where that is not known; three tokens in for one out. */
double balance_price(int64_t input, int64_t output);
/* Of a place in the order that belongs to `key` (rendezvous hashing with weights): all who ask with the same key and
 * the same targets get the same order, and when one is lost, only its share moves. */
double balance_place(uint64_t key, uint64_t target, uint32_t weight);

/* The hash that these two are; the same in every process. */
uint64_t balance_hash(uint64_t seed, struct str text);

#endif
