/* The stages of a write that stand in files of their own (write.c has the list). */
#ifndef PLATFORM_WRITE_STAGES_H
#define PLATFORM_WRITE_STAGES_H

#include "platform/write.h"

/* write.c: parses the body into w->body. -EBADMSG; -E2BIG: an object or a list that is too long, on which
 * the others would have to wait. */
int read_body(struct writing *w, struct json_error *ret_error);

/* compose.c */
int stage_compose(struct writing *w);
int stage_merge(struct writing *w);
/* Refuses a write whose condition names an older state: 412 when a header said so, else 409; with
 * both sides, as far as they can be told. */
int refuse_stale(struct writing *w);

/* check.c */
int stage_check(struct writing *w);
/* A new resource with these fields, or one that moves to another team: the asker must be allowed to
 * there, too; else refused. */
int check_new_team(struct writing *w, const struct json *tree);
/* The managers of a resource's fields; who has the field at `pointer`: the entry nearest above it. */
struct json *managers_of(struct visit *v, const struct resource *r);
struct str manager_at(const struct json *managers, struct str pointer);

/* commit.c */
int stage_store(struct writing *w);
int stage_answer(struct writing *w);
int replay_answer(struct writing *w, const struct idempotent *had);

#endif
