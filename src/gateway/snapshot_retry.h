/* Below snapshot_compile.c: how often and how long a call is tried. Attempts and deadline each come from the nearest policy
 * that says something of them: the model's, then the key's, its application's, its team's, then everybody's. Of several
 * for one subject the last that says it counts. */
#ifndef GATEWAY_SNAPSHOT_RETRY_H
#define GATEWAY_SNAPSHOT_RETRY_H

#include "gateway/snapshot.h"

struct retries_compiler;

/* Fills what the snapshot says of everybody. NULL, which the others take, too: no policy has a retry. */
struct retries_compiler *retries_compile(struct snapshot *s, struct arena *scratch);
struct snap_retry retry_of_key(const struct retries_compiler *c, struct str id,
                               struct str application, struct str team);
/* Of several models the first that says it counts. */
struct snap_retry retry_of_models(const struct retries_compiler *c, const struct str *ids,
                                  size_t n);

#endif
