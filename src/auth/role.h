/* Who may what. A permission is a text KIND.VERB: application.update, subscription.approve,
 * audit.read. A role is a list of permissions with wildcards: "*", "*.read", "application.*".
 *
 *   owner      everything
 *   admin      everything but the settings and roles themselves
 *   developer  makes applications, keys, services, subscriptions; reads models and who there is
 *   viewer     reads all of that
 *   auditor    reads everything, the audit trail and all conflicts included, but what calls said
 *
 * What calls said (call.read_body, call.delete_body, where a policy keeps it) is for owner and admin, and for roles
 * that name it: "*.read" does not cover it.
 *
 * A user's own role holds for the whole organisation; a role through a membership holds for what
 * belongs to that team. Everybody who is known may read what the organisation offers (models,
 * services, teams, roles, settings) and themselves. */
#ifndef AUTH_ROLE_H
#define AUTH_ROLE_H

#include "base/arena.h"

/* Permissions in one scope. */
struct grant {
    const struct str *permissions;
    size_t n;
    struct str team; /* empty: the whole organisation */
};

struct grants {
    struct grant *all;
    size_t n, cap;
    struct arena *arena;      /* of `all` */
    const struct str *scopes; /* of a token: what it may at most; NULL: no limit */
    size_t n_scopes;
};

/* A built-in role's permissions; false when there is no such role. */
bool role_builtin(struct str name, const struct str **ret, size_t *ret_n);
extern const char *const role_names[]; /* NULL-terminated */

/* Whether `pattern` ("application.*") allows `permission`, which may be a pattern itself. */
bool permission_covers(struct str pattern, struct str permission);

void grants_add(struct grants *g, const struct str *permissions, size_t n, struct str team);
/* Whether the token's scopes allow it at all. */
bool grants_in_scope(const struct grants *g, struct str permission);
/* `team` empty: it belongs to the whole organisation. */
bool grants_may(const struct grants *g, struct str permission, struct str team);
/* Whether in any team or the organisation. */
bool grants_may_anywhere(const struct grants *g, struct str permission);
/* Nobody gives what they do not have: whether all of `permissions` are allowed in that scope. */
bool grants_cover(const struct grants *g, const struct str *permissions, size_t n, struct str team);

#endif
