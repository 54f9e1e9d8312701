#include "model/kinds.h"

static const struct field key_fields[] = {
    {.name = "id",
     .help = "A name for it, shown in logs and metrics in place of the secret.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_name,
     .at = AT(config_key, id)},
    {.name = "secret",
     .help =
         "What the client sends: a text, ${NAME} for an environment variable, or {file: /path}. "
         "Only a digest of it is kept.",
     .type = FIELD_SECRET,
     .rule = &rule_key_secret,
     .may_be_unset = "ACCORD_FIRST_KEY",
     .fallback_help = "one is made, printed once, and kept as a digest in the data directory",
     .at = AT(config_key, secret)},
    {.name = "models",
     .help = "The models it may call: names, or the beginning of names followed by '*'.",
     .type = FIELD_TEXTS,
     .rule = &rule_model_pattern,
     .fallback = "*",
     .at = AT(config_key, models),
     .at_n = AT(config_key, n_models)},
    {.name = "origin", .type = FIELD_ORIGIN, .at = AT(config_key, origin)},
};

const struct kind kind_key = {
    .name = "key",
    .help = "A secret of an application that calls.",
    .size = sizeof(struct config_key),
    KIND_FIELDS(key_fields),
};
