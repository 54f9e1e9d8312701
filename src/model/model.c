#include "model/resource_kind.h"

static const struct field target_fields[] = {
    {.name = "provider",
     .help = "The id of the provider that answers.",
     .type = FIELD_REFERENCE,
     .required = true,
     .kind = &kind_provider,
     .rule = &rule_name,
     .at = AT(config_target, provider_id),
     .at_n = AT(config_target, provider),
     .indexed = true},
    {.name = "model",
     .help = "The name of the model at that provider.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_upstream,
     .at = AT(config_target, model)},
    {.name = "weight",
     .help = "Its share of the calls among the targets of the same priority; 0 takes none.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000,
     .fallback = "1",
     .at = AT(config_target, weight)},
    {.name = "priority",
     .help = "Targets of priority 1 are used first; the next ones when none of those is left.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "1",
     .at = AT(config_target, priority)},
};

static const struct kind kind_target = {
    .name = "target",
    .help = "A model at a provider.",
    .size = sizeof(struct config_target),
    KIND_FIELDS(target_fields),
};

static const struct field model_fields[] = {
    {.name = "id",
     .help = "The name that clients ask for.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_model,
     .at = AT(config_model, id)},
    {.name = "aliases",
     .help = "Other names for the same.",
     .type = FIELD_TEXTS,
     .rule = &rule_model,
     .at = AT(config_model, aliases),
     .at_n = AT(config_model, n_aliases)},
    {.name = "targets",
     .help = "Who answers.",
     .type = FIELD_OBJECTS,
     .required = true,
     .kind = &kind_target,
     .min = 1,
     .max = 64,
     .at = AT(config_model, targets),
     .at_n = AT(config_model, n_targets)},
};

const struct kind kind_model = {
    .name = "model",
    .help = "A name that clients use, and who answers to it.",
    .size = sizeof(struct config_model),
    KIND_FIELDS(model_fields),
};

const struct resource_kind resource_model = {
    .kind = &kind_model,
    .plural = "models",
    .id_prefix = "model_",
    .id_rule = &rule_model,
    .in_file = true,
};
