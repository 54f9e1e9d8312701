#include "model/resource_kind.h"

struct token {
    struct str name, user, role, team, expires_at, state, hint, rotated_at;
    struct str *scopes;
    size_t n_scopes;
};

static const struct field fields[] = {
    {.name = "name",
     .help = "What it is for.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_title,
     .at = AT(token, name)},
    {.name = "user",
     .help = "A personal token: it may what this user may. Yourself, when neither user nor role is "
             "given.",
     .type = FIELD_REFERENCE,
     .immutable = true,
     .kind = &kind_user,
     .rule = &rule_name,
     .at = AT(token, user)},
    {.name = "role",
     .help = "A machine's token, which belongs to nobody: its own role.",
     .type = FIELD_TEXT,
     .immutable = true,
     .rule = &rule_name,
     .at = AT(token, role)},
    {.name = "team",
     .help = "The team that the role of a machine's token is limited to.",
     .type = FIELD_REFERENCE,
     .immutable = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(token, team)},
    {.name = "scopes",
     .help = "What it may at most: KIND.VERB, KIND.* or *.",
     .type = FIELD_TEXTS,
     .rule = &rule_permission,
     .fallback = "*",
     .max = 200,
     .at = AT(token, scopes),
     .at_n = AT(token, n_scopes)},
    {.name = "expires_at",
     .help = "From when on it is not accepted.",
     .type = FIELD_TEXT,
     .rule = &rule_time,
     .at = AT(token, expires_at)},
    {.name = "state",
     .help = "active or revoked.",
     .type = FIELD_TEXT,
     .read_only = true,
     .at = AT(token, state)},
    {.name = "hint",
     .help = "The last four characters of the secret.",
     .type = FIELD_TEXT,
     .read_only = true,
     .at = AT(token, hint)},
    {.name = "rotated_at",
     .help = "When the secret was made anew.",
     .type = FIELD_TEXT,
     .rule = &rule_time,
     .read_only = true,
     .at = AT(token, rotated_at)},
};

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    const struct token *t = to;
    if (t->user.n && (t->role.n || t->team.n)) {
        mistake_add(r->mistakes, j, path,
                    "a token has a user, whose rights it has, or a role of its own (with a team, "
                    "if it is limited to one), not both");
    }
}

static const struct kind kind_token = {
    .name = "token",
    .help = "Access to this API for a program: a person's, or a machine's own.",
    .size = sizeof(struct token),
    KIND_FIELDS(fields),
    .finish = finish,
};

const struct resource_kind resource_token = {
    .kind = &kind_token,
    .plural = "tokens",
    .id_prefix = "tok_",
    .id_rule = &rule_name,
    .states = secret_states,
    .actions = secret_actions,
    .n_actions = SECRET_ACTIONS,
    .owner = "team",
    .self = "user",
    .issues = ISSUED_TOKEN,
};
