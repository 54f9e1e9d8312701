/* Hedging: when the first content of a stream, or the head of a whole answer, is late, a second attempt is made beside the
 * first. Streams and whole answers have times and budgets of their own. The first of the two that brings content is the answer, the other is cancelled and remembered as "hedged"; what it has cost is not known.
 *
 * A call holds one attempt: its upstream, its translation, what is held back of its answer. The other lies in a
 * struct leg meanwhile. An event of the second attempt changes places with the first for as long as it is worked on,
 * so all that handles an attempt handles either:
 *
 *   c: first,  leg: second ──event of the second──▶ c: second, leg: first ──its end──▶ back
 *        │ the one that c holds goes to the client: the other is cancelled (hedging_settle)
 *        └ the one that c holds fails: the other takes its place (hedging_lose)
 *
 * Not for calls that may leave something behind at the provider or here (what is stored, in the background, on a
 * conversation, with tools that the provider runs), that go on from something stored, that are masked, that fetch what
 * they name, that carry an Idempotency-Key, or whose body streams. */
#ifndef GATEWAY_HEDGING_H
#define GATEWAY_HEDGING_H

#include "gateway/call.h"

/* An attempt has begun; its target has a `hedge`. And it has its first content. */
void hedging_begin(struct call *c);
void hedging_content(struct call *c);
/* It is time: makes the second attempt, if there is a target for it and the budget allows it. */
void hedging_start(struct call *c);
/* Whether two attempts are under way. */
bool hedging_runs(const struct call *c);
/* The attempt that c holds has failed: drops it, and c goes on with the other. Only while hedging_runs(). */
void hedging_lose(struct call *c);
/* What c holds is the answer: the other attempt, if there is one, is cancelled. Before the first byte goes out. */
void hedging_settle(struct call *c);
/* The call ends: as above, and its memory goes. */
void hedging_end(struct call *c);

#endif
