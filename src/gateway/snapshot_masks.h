/* Below snapshot_compile.c: what is looked for in calls. The policies that hold for a key (its own, those of its
 * application and team, everybody's) are a set, and so are those of a model; a call is under both, and each pair of
 * sets that there is gets its rules. */
#ifndef GATEWAY_SNAPSHOT_MASKS_H
#define GATEWAY_SNAPSHOT_MASKS_H

#include "gateway/snapshot.h"
#include "gateway/snapshot_subjects.h"

struct masks_compiler;

/* NULL, which the others take, too: no policy masks anything. */
struct masks_compiler *masks_begin(struct snapshot *s, const struct subjects *subjects,
                                   struct arena *a, struct arena *scratch);
/* The number of the set. */
uint32_t masks_of_key(struct masks_compiler *m, struct str id, struct str application,
                      struct str team);
uint32_t masks_of_models(struct masks_compiler *m, const struct str *ids, size_t n);
/* Compiles. What cannot be is told in `errors`, and calls under it are refused. */
void masks_finish(struct masks_compiler *m, struct buf *errors);
void masks_free(struct snapshot *s);

#endif
