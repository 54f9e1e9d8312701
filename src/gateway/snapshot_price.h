/* Prices of targets, for the compiler of snapshots. */
#ifndef GATEWAY_SNAPSHOT_PRICE_H
#define GATEWAY_SNAPSHOT_PRICE_H

#include "gateway/snapshot.h"

/* What the vendor of the target's provider asks for the model; NULL: not known. */
const struct price *known_price(struct arena *a, const struct snap_target *t);
/* The same, unless the configuration says something else. */
const struct price *compile_price(struct arena *a, const struct config_target *from,
                                  const struct snap_target *t);

#endif
