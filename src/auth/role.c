#include "auth/role.h"

#define P(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct str owner[] = {P("*")};
static const struct str admin[] = {
    P("*.read"),     P("team.*"),   P("user.*"),         P("membership.*"),  P("token.*"),
    P("provider.*"), P("model.*"),  P("credential.*"),   P("application.*"), P("key.*"),
    P("service.*"),  P("policy.*"), P("subscription.*"), P("explain.*"),     P("call.*"),
};
static const struct str developer[] = {
    P("application.*"), P("key.*"),           P("service.*"),     P("subscription.*"),
    P("team.read"),     P("membership.read"), P("user.read"),     P("provider.read"),
    P("model.read"),    P("policy.read"),     P("conflict.read"), P("status.read"),
    P("explain.read"),  P("call.read"),       P("routing.read"),
};
static const struct str viewer[] = {
    P("application.read"), P("key.read"),        P("service.read"),  P("subscription.read"),
    P("team.read"),        P("membership.read"), P("user.read"),     P("provider.read"),
    P("model.read"),       P("policy.read"),     P("conflict.read"), P("status.read"),
    P("call.read"),        P("routing.read"),
};
static const struct str auditor[] = {P("*.read")};
static const struct str everybody[] = {
    P("model.read"), P("service.read"), P("team.read"), P("role.read"), P("settings.read"),
};

const char *const role_names[] = {"owner", "admin", "developer", "viewer", "auditor", NULL};

bool role_builtin(struct str name, const struct str **ret, size_t *ret_n)
{
#define ROLE(role)                                                                                 \
    {                                                                                              \
#role, role, sizeof role / sizeof *role                                                    \
    }
    static const struct {
        const char *name;
        const struct str *permissions;
        size_t n;
    } roles[] = {ROLE(owner),  ROLE(admin),   ROLE(developer),
                 ROLE(viewer), ROLE(auditor), ROLE(everybody)};
#undef ROLE
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (str_eq(name, str_of(roles[i].name))) {
            *ret = roles[i].permissions;
            *ret_n = roles[i].n;
            return true;
        }
    }
    return false;
}

static bool part_covers(struct str pattern, struct str part)
{
    return str_eq(pattern, STR("*")) || str_eq(pattern, part);
}

bool permission_covers(struct str pattern, struct str permission)
{
    struct str kind, of_kind;
    if (str_eq(pattern, STR("*"))) {
        return true;
    }
    if (str_eq(permission, STR("*"))) {
        return false;
    }
    bool ok = str_cut(&pattern, '.', &kind) && str_cut(&permission, '.', &of_kind);
    return ok && part_covers(kind, of_kind) && part_covers(pattern, permission);
}

void grants_add(struct grants *g, const struct str *permissions, size_t n, struct str team)
{
    if (g->n == g->cap) {
        struct grant *old = g->all;
        g->cap = g->cap ? 2 * g->cap : 4;
        g->all = arena_alloc(g->arena, g->cap * sizeof *g->all);
        if (g->n) {
            memcpy(g->all, old, g->n * sizeof *old);
        }
    }
    g->all[g->n++] = (struct grant){permissions, n, team};
}

static bool any_covers(const struct str *patterns, size_t n, struct str permission)
{
    for (size_t i = 0; i < n; i++) {
        if (permission_covers(patterns[i], permission)) {
            return true;
        }
    }
    return false;
}

bool grants_in_scope(const struct grants *g, struct str permission)
{
    return !g->scopes || any_covers(g->scopes, g->n_scopes, permission);
}

bool grants_may(const struct grants *g, struct str permission, struct str team)
{
    if (!grants_in_scope(g, permission)) {
        return false;
    }
    for (size_t i = 0; i < g->n; i++) {
        const struct grant *x = &g->all[i];
        if ((x->team.n == 0 || str_eq(x->team, team)) &&
            any_covers(x->permissions, x->n, permission)) {
            return true;
        }
    }
    return false;
}

bool grants_may_anywhere(const struct grants *g, struct str permission)
{
    for (size_t i = 0; i < g->n; i++) {
        if (grants_may(g, permission, g->all[i].team)) {
            return true;
        }
    }
    return false;
}

bool grants_cover(const struct grants *g, const struct str *permissions, size_t n, struct str team)
{
    for (size_t i = 0; i < n; i++) {
        if (!grants_may(g, permissions[i], team)) {
            return false;
        }
    }
    return true;
}
