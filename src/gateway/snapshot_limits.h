/* Limits and budgets of policies, for the compiler of snapshots. */
#ifndef GATEWAY_SNAPSHOT_LIMITS_H
#define GATEWAY_SNAPSHOT_LIMITS_H

#include "gateway/snapshot.h"
#include "gateway/snapshot_subjects.h"

struct limits_compiler;

/* Compiles all limits of the snapshot's configuration into `s`, in `a`, and takes their counters. The control thread.
 * What is returned lives in `scratch`. */
struct limits_compiler *limits_compile(struct snapshot *s, const struct subjects *subjects,
                                       struct arena *a, struct arena *scratch);

/* What holds for a key of an application of a team (both may be empty); NULL: nothing. */
const struct snap_limits *limits_of_key(struct limits_compiler *c, struct str key,
                                        struct str application, struct str team);
/* ... and for calls that are about these declared models together: one, or all that share an upstream. */
const struct snap_limits *limits_of_models(struct limits_compiler *c, const struct str *models,
                                           size_t n);

/* The priority of a key's calls; and from which load on they are refused when `full` is all of it. */
enum priority priority_of_key(const struct limits_compiler *c, struct str key,
                              struct str application, struct str team);
uint32_t load_of_priority(uint32_t full, enum priority p);

#endif
