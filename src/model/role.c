#include "model/resource_kind.h"

struct role {
    struct str name, description;
    struct str *permissions;
    size_t n_permissions;
};

static const struct field fields[] = {
    {.name = "name",
     .help = "What people call it.",
     .type = FIELD_TEXT,
     .rule = &rule_title,
     .at = AT(role, name)},
    {.name = "description",
     .help = "Who should have it.",
     .type = FIELD_TEXT,
     .rule = &rule_description,
     .at = AT(role, description)},
    {.name = "permissions",
     .help = "What it allows: KIND.VERB, KIND.* or *.",
     .type = FIELD_TEXTS,
     .required = true,
     .rule = &rule_permission,
     .max = 200,
     .at = AT(role, permissions),
     .at_n = AT(role, n_permissions)},
};

static const struct kind kind_role = {
    .name = "role",
    .help = "A set of permissions with a name, beside the built-in owner, admin, developer, viewer "
            "and auditor.",
    .size = sizeof(struct role),
    KIND_FIELDS(fields),
};

const struct resource_kind resource_role = {
    .kind = &kind_role,
    .plural = "roles",
    .id_prefix = "role_",
    .id_rule = &rule_name,
};
