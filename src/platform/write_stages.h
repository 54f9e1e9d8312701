/* The stages of a write that stand in files of their own (write.c has the list). */
#ifndef PLATFORM_WRITE_STAGES_H
#define PLATFORM_WRITE_STAGES_H

#include "platform/write.h"

/* compose.c */
int stage_compose(struct writing *w);
int stage_merge(struct writing *w);
/* Refuses a write whose condition names an older state: 412 when a header said so, else 409; with
 * both sides, as far as they can be told. */
int refuse_stale(struct writing *w);

/* check.c */
int stage_check(struct writing *w);
/* The managers of a resource's fields; who has the field at `pointer`: the entry nearest above it. */
struct json *managers_of(struct visit *v, const struct resource *r);
struct str manager_at(const struct json *managers, struct str pointer);

/* commit.c */
int stage_store(struct writing *w);
int stage_answer(struct writing *w);
int replay_answer(struct writing *w, const struct idempotent *had);

#endif
