#include "model/resource_kind.h"

struct user {
    struct str email, name, role, state;
    struct secret password;
};

static const struct field fields[] = {
    {.name = "email",
     .help = "Where mail reaches them, and what they sign in with; no other user has the same.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .folded = true,
     .rule = &rule_email,
     .at = AT(user, email)},
    {.name = "name",
     .help = "What people call them.",
     .type = FIELD_TEXT,
     .rule = &rule_title,
     .at = AT(user, name)},
    {.name = "role",
     .help =
         "What they may do everywhere: owner, admin, developer, viewer, auditor, or the id of a "
         "role. Without one, only what their memberships allow.",
     .type = FIELD_TEXT,
     .rule = &rule_name,
     .at = AT(user, role)},
    {.name = "password",
     .help = "To sign in with; only a hash of it is kept. Without one they sign in by other means.",
     .type = FIELD_SECRET,
     .hashed = true,
     .rule = &rule_password,
     .at = AT(user, password)},
    {.name = "state",
     .help = "active or disabled; a disabled user cannot sign in.",
     .type = FIELD_TEXT,
     .read_only = true,
     .at = AT(user, state)},
};

const struct kind kind_user = {
    .name = "user",
    .help = "A person who signs in.",
    .size = sizeof(struct user),
    KIND_FIELDS(fields),
};

static const char *const states[] = {"active", "disabled", NULL};
static const char *const active[] = {"active", NULL};
static const char *const disabled[] = {"disabled", NULL};

static const struct action actions[] = {
    {.name = "disable",
     .help = "Ends all sessions; the user cannot sign in until enabled again.",
     .from = active,
     .to = "disabled",
     .note = true},
    {.name = "enable", .help = "The user may sign in again.", .from = disabled, .to = "active"},
};

const struct resource_kind resource_user = {
    .kind = &kind_user,
    .plural = "users",
    .id_prefix = "user_",
    .id_rule = &rule_name,
    .states = states,
    .actions = actions,
    .n_actions = sizeof actions / sizeof *actions,
    .self = "id",
};
