/* How a model of a snapshot chooses among its targets. */
#ifndef GATEWAY_SNAPSHOT_CHOICE_H
#define GATEWAY_SNAPSHOT_CHOICE_H

#include "gateway/snapshot.h"

/* The conditions of a target, in `a`; texts stay where the configuration has them. */
void compile_conditions(struct arena *a, const struct config_target *from, struct snap_target *t);
/* Balance, stickiness, and whether calls are looked into: when its targets are there. */
void compile_choice(const struct config_model *from, struct snap_model *m);

#endif
