/* Below snapshot_compile.c: whose answers are given again (cache), and whose bodies are kept (bodies). Of the policies that
 * say it, the one that is nearest to the caller counts, whole: his key's, his application's, his team's; then the
 * model's, then everybody's. */
#ifndef GATEWAY_SNAPSHOT_KEEP_H
#define GATEWAY_SNAPSHOT_KEEP_H

#include "gateway/snapshot.h"

struct subjects;

struct keeping {
    const struct subjects *caches, *bodies; /* NULL: no policy says it */
};

/* Fills what the snapshot says of everybody. */
void keep_compile(struct keeping *k, struct snapshot *s, struct arena *scratch);
/* ... what the key says, whose id, application and team are set; and a model that is known by these ids. */
void keep_of_key(const struct keeping *k, struct snap_key *key);
void keep_of_models(const struct keeping *k, const struct str *ids, size_t n, struct snap_model *m);

#endif
