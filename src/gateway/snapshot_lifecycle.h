/* Deprecation and sunset of models, for the compiler of snapshots. */
#ifndef GATEWAY_SNAPSHOT_LIFECYCLE_H
#define GATEWAY_SNAPSHOT_LIFECYCLE_H

#include "gateway/snapshot.h"

/* What answers tell of it, and from when on. Lines in `a`. */
void compile_lifecycle(struct arena *a, const struct config_model *from, struct snap_model *m);

#endif
