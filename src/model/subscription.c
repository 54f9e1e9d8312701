#include "model/resource_kind.h"

struct subscription {
    struct str application, service, reason, state;
};

static const struct field fields[] = {
    {.name = "application",
     .help = "Who wants to call.",
     .type = FIELD_REFERENCE,
     .required = true,
     .immutable = true,
     .kind = &kind_application,
     .rule = &rule_name,
     .at = AT(subscription, application)},
    {.name = "service",
     .help = "What it wants to call.",
     .type = FIELD_REFERENCE,
     .required = true,
     .immutable = true,
     .kind = &kind_service,
     .rule = &rule_name,
     .at = AT(subscription, service)},
    {.name = "reason",
     .help = "What it is needed for.",
     .type = FIELD_TEXT,
     .rule = &rule_description,
     .at = AT(subscription, reason)},
    {.name = "state",
     .help = "requested, approved, refused, cancelled or revoked.",
     .type = FIELD_TEXT,
     .read_only = true,
     .at = AT(subscription, state)},
};

static const struct kind kind_subscription = {
    .name = "subscription",
    .help = "An application's wish to call a service, and what became of it.",
    .size = sizeof(struct subscription),
    KIND_FIELDS(fields),
};

/*   requested ──approve──▶ approved ──revoke──▶ revoked
 *       ├──refuse──▶ refused
 *       └──cancel──▶ cancelled ◀──cancel── approved
 *
 * What ended stays as it is; a new subscription may be requested then. */
static const char *const states[] = {"requested", "approved", "refused",
                                     "cancelled", "revoked",  NULL};
static const char *const requested[] = {"requested", NULL};
static const char *const approved[] = {"approved", NULL};
static const char *const alive[] = {"requested", "approved", NULL};
static const char *const together[] = {"application", "service", NULL};

static const struct action actions[] = {
    {.name = "approve",
     .help = "The owner of the service lets the application call it.",
     .from = requested,
     .to = "approved",
     .owner = "service",
     .note = true},
    {.name = "refuse",
     .help = "The owner of the service does not.",
     .from = requested,
     .to = "refused",
     .owner = "service",
     .note = true},
    {.name = "cancel",
     .help = "The owner of the application does not want it any more.",
     .from = alive,
     .to = "cancelled",
     .note = true},
    {.name = "revoke",
     .help = "The owner of the service takes an approval back.",
     .from = approved,
     .to = "revoked",
     .owner = "service",
     .note = true},
};

const struct resource_kind resource_subscription = {
    .kind = &kind_subscription,
    .plural = "subscriptions",
    .id_prefix = "sub_",
    .id_rule = &rule_name,
    .states = states,
    .actions = actions,
    .n_actions = sizeof actions / sizeof *actions,
    .owner = "application",
    .together = together,
    .while_in = alive,
};
