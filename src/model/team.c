#include "model/resource_kind.h"

struct team {
    struct str name, description;
};

static const struct field fields[] = {
    {.name = "name",
     .help = "What people call it; no other team has the same.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .folded = true,
     .rule = &rule_title,
     .at = AT(team, name)},
    {.name = "description",
     .help = "What it does.",
     .type = FIELD_TEXT,
     .rule = &rule_description,
     .at = AT(team, description)},
};

const struct kind kind_team = {
    .name = "team",
    .help = "People who own applications and services together.",
    .size = sizeof(struct team),
    KIND_FIELDS(fields),
};

const struct resource_kind resource_team = {
    .kind = &kind_team,
    .plural = "teams",
    .id_prefix = "team_",
    .id_rule = &rule_name,
    .owner = "id",
};
