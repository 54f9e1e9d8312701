/* Below snapshot_compile.c: whose answers are given again. The policy that is nearest to the caller counts, whole: his
 * key's, his application's, his team's; then the model's, then everybody's. */
#ifndef GATEWAY_SNAPSHOT_CACHE_H
#define GATEWAY_SNAPSHOT_CACHE_H

#include "gateway/snapshot.h"

struct caches_compiler;

/* Fills what the snapshot says of everybody. NULL, which the others take, too: no policy has a cache. */
struct caches_compiler *caches_compile(struct snapshot *s, struct arena *scratch);
struct snap_cache cache_of_key(const struct caches_compiler *c, struct str id,
                               struct str application, struct str team);
struct snap_cache cache_of_model(const struct caches_compiler *c, struct str id);

#endif
