/* Below snapshot_compile.c: which declared models lead to a provider's model. Policies that are about those hold for calls
 * that name the provider's model itself, too (PROVIDER/MODEL), or who knows that name would be under no policy. */
#ifndef GATEWAY_SNAPSHOT_UPSTREAM_H
#define GATEWAY_SNAPSHOT_UPSTREAM_H

#include "gateway/snapshot.h"

/* One target of a declared model that a policy is about. */
struct upstream_use {
    const struct config_model *model;
    const struct config_target *target;
    struct upstream_use *next; /* the next declared model with the same upstream; NULL: no more */
};

struct upstreams;

/* In `scratch`, where all of it lives. */
struct upstreams *upstreams_of(const struct config *c, struct arena *scratch);
/* NULL: no declared model under a policy leads there. */
const struct upstream_use *upstream_uses(const struct upstreams *u, struct str provider,
                                         struct str model);
/* The first use of each upstream, in the order of the configuration. */
const struct upstream_use *const *upstreams_all(const struct upstreams *u, size_t *ret_n);
/* The ids of the declared models, for those who gather policies. */
const struct str *upstream_models(const struct upstream_use *first, struct arena *scratch,
                                  size_t *ret_n);

#endif
