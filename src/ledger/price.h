/* What a call costs. Pure; any thread. */
#ifndef LEDGER_PRICE_H
#define LEDGER_PRICE_H

#include "dialect/dialect.h"
#include "model/tariff.h"

/* In nano-dollars, rounded up once at the end; INT64_MAX when it is more than that. -1: not known, because there is no
 * price (NULL is allowed), or none of a kind of tokens that were used, or no tokens were told at all.
 *
 * Of the input, what was read from a cache, put into one, or heard is charged by its own price, the rest by that of
 * input; of the output likewise what was thought or spoken. A part without a price of its own costs what the rest
 * costs; what is cached for an hour twice the input (Anthropic, "Prompt caching: Pricing"). A tier counts for the
 * whole call when its input, cached parts included, has more tokens than its bound. */
int64_t price_cost(const struct price *p, const struct usage *u);

#endif
