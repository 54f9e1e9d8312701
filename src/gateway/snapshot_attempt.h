/* What bounds the attempts at a target, compiled. */
#ifndef GATEWAY_SNAPSHOT_ATTEMPT_H
#define GATEWAY_SNAPSHOT_ATTEMPT_H

#include "gateway/snapshot.h"

/* Fills the deadlines and the hedging of a target whose provider is there: the model's count ahead of the provider's, and those ahead
 * of the server's. `m` NULL: nobody has declared the model. */
void compile_attempt(struct arena *scratch, const struct config *cfg, const struct config_model *m,
                     struct snap_target *t);
/* How a provider whose credentials are there is asked whether it is well. The request lives in `a`. */
void compile_check(struct arena *a, const struct config_health *h, struct snap_provider *p);
/* The deadline of a whole call, in milliseconds; 0: none. */
uint64_t compile_total_ms(const struct config *cfg, const struct config_model *m);

#endif
