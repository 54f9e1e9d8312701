/* A credential as a resource of its own, beside those that stand in their provider: who may manage
 * secrets need not be allowed to change the provider. */
#include "model/resource_kind.h"

static const struct field fields[] = {
    {.name = "provider",
     .help = "The provider that accepts it.",
     .type = FIELD_REFERENCE,
     .required = true,
     .immutable = true,
     .kind = &kind_provider,
     .rule = &rule_name,
     .at = AT(pool_credential, provider)},
    {.name = "secret",
     .help = "The API key; only its last four characters are ever shown.",
     .type = FIELD_SECRET,
     .required = true,
     .rule = &rule_secret,
     .at = AT(pool_credential, secret)},
    {.name = "priority",
     .help = "Credentials of priority 1 are used first; the next ones when none of those is left.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "1",
     .at = AT(pool_credential, priority)},
};

static const struct kind kind_pool_credential = {
    .name = "credential",
    .help = "A secret of ours at a provider.",
    .size = sizeof(struct pool_credential),
    KIND_FIELDS(fields),
};

const struct resource_kind resource_credential = {
    .kind = &kind_pool_credential,
    .plural = "credentials",
    .id_prefix = "cred_",
    .id_rule = &rule_name,
};
