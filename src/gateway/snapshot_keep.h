/* Below snapshot_compile.c: whose answers are given again (cache), whose bodies are kept (bodies), and how often and how long
 * a call is tried (retry). Of the policies that say a thing the one that is nearest counts: of the first two for the caller
 * (his key's, his application's, his team's), then the model's, then everybody's; of retries the model's comes first,
 * and attempts and deadline are looked for each by itself. Of several about one subject the last counts. */
#ifndef GATEWAY_SNAPSHOT_KEEP_H
#define GATEWAY_SNAPSHOT_KEEP_H

#include "gateway/snapshot.h"
#include "gateway/snapshot_subjects.h"

/* Fills what the snapshot says of everybody. */
void keep_of_all(const struct subjects *s, struct snapshot *snap);
/* ... what the key says, whose id, application and team are set; and a model that is known by these ids, of which the first
 * that says it counts. */
void keep_of_key(const struct subjects *s, struct snap_key *key);
void keep_of_models(const struct subjects *s, const struct str *ids, size_t n,
                    struct snap_model *m);

#endif
