/* Active health: providers that have a `health` are asked every so often, each by one worker. When checks fail in a
 * row the provider's host rests (policy/health.h) until one succeeds. */
#ifndef GATEWAY_CHECKUP_H
#define GATEWAY_CHECKUP_H

#include "gateway/worker.h"

/* Fits the worker's checks to its present snapshot. What is known of providers that stay is kept: when they are due,
 * and how often they failed. */
void checkups_fit(struct worker *w);
/* Ends them all. */
void checkups_end(struct worker *w);

#endif
