/* What is known of hosts, lanes and credentials, by name: made once in this process, so that a reload forgets
 * nothing. Only the control thread asks. */
#ifndef GATEWAY_HEALTH_OF_H
#define GATEWAY_HEALTH_OF_H

#include "gateway/snapshot.h"
#include "policy/health.h"
#include "policy/hedge.h"
#include "policy/load.h"

/* Of that name (copied), all well when it is new. Lives as long as the process: there are as many as
 * configurations have named. */
struct health *health_of(struct str name);

/* How fast what has that name (copied) answers, and its budget. Lives as long as the process. */
struct hedge *hedge_of(struct str name);

/* How many workers count there: before the first of these is made. */
void load_workers(unsigned n);
unsigned load_worker_count(void);
/* What the lane of that name has to do; the same life. */
struct load *load_of(struct str name);

/* Fills lane, limits and load of a target whose provider and model are there. */
void health_of_target(struct arena *a, struct arena *scratch, struct snap_target *t);

#endif
