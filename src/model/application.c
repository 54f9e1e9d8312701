#include "model/resource_kind.h"

static const struct field fields[] = {
    {.name = "name",
     .help = "What people call it.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_title,
     .at = AT(application, name)},
    {.name = "team",
     .help = "Whose it is.",
     .type = FIELD_REFERENCE,
     .required = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(application, team)},
    {.name = "description",
     .help = "What it does.",
     .type = FIELD_TEXT,
     .rule = &rule_description,
     .at = AT(application, description)},
};

const struct kind kind_application = {
    .name = "application",
    .help = "Who calls: a program of a team. It has keys and subscribes to services.",
    .size = sizeof(struct application),
    KIND_FIELDS(fields),
};

static const char *const together[] = {"team", "name", NULL};

const struct resource_kind resource_application = {
    .kind = &kind_application,
    .plural = "applications",
    .id_prefix = "app_",
    .id_rule = &rule_name,
    .owner = "team",
    .together = together,
};
