#include "model/resource_kind.h"

struct org {
    struct str name;
    int64_t session_hours, idempotency_hours;
    bool require_idempotency_key;
    int64_t keep_revisions;
};

static const struct field fields[] = {
    {.name = "name",
     .help = "What the organisation is called.",
     .type = FIELD_TEXT,
     .rule = &rule_title,
     .at = AT(org, name)},
    {.name = "session_hours",
     .help = "How long somebody who signed in stays so.",
     .type = FIELD_INT,
     .min = 1,
     .max = 720,
     .fallback = "12",
     .at = AT(org, session_hours)},
    {.name = "idempotency_hours",
     .help = "How long the answer to a request with an Idempotency-Key is kept for its repeats.",
     .type = FIELD_INT,
     .min = 1,
     .max = 720,
     .fallback = "24",
     .at = AT(org, idempotency_hours)},
    {.name = "require_idempotency_key",
     .help = "Whether what creates or acts (POST) must come with an Idempotency-Key.",
     .type = FIELD_BOOL,
     .fallback = "false",
     .at = AT(org, require_idempotency_key)},
    {.name = "keep_revisions",
     .help = "How many states of each resource are kept, the present one included; 0 keeps all.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .fallback = "0",
     .at = AT(org, keep_revisions)},
};

static const struct kind kind_org = {
    .name = "settings",
    .help = "What holds for the whole organisation.",
    .size = sizeof(struct org),
    KIND_FIELDS(fields),
};

const struct resource_kind resource_settings = {
    .kind = &kind_org,
    .plural = "settings",
    .id_prefix = "",
    .id_rule = &rule_name,
    .single = true,
};
