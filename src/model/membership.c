#include "model/resource_kind.h"

struct membership {
    struct str user, team, role;
};

static const struct field fields[] = {
    {.name = "user",
     .help = "Who belongs to the team.",
     .type = FIELD_REFERENCE,
     .required = true,
     .immutable = true,
     .kind = &kind_user,
     .rule = &rule_name,
     .at = AT(membership, user)},
    {.name = "team",
     .help = "The team.",
     .type = FIELD_REFERENCE,
     .required = true,
     .immutable = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(membership, team)},
    {.name = "role",
     .help = "What they may do in the team: owner, admin, developer, viewer, auditor, or the id of "
             "a role.",
     .type = FIELD_TEXT,
     .fallback = "developer",
     .rule = &rule_name,
     .at = AT(membership, role)},
};

static const struct kind kind_membership = {
    .name = "membership",
    .help = "A user in a team, with a role there.",
    .size = sizeof(struct membership),
    KIND_FIELDS(fields),
};

static const char *const together[] = {"user", "team", NULL};

const struct resource_kind resource_membership = {
    .kind = &kind_membership,
    .plural = "memberships",
    .id_prefix = "mem_",
    .id_rule = &rule_name,
    .owner = "team",
    .together = together,
};
