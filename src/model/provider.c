#include "model/resource_kind.h"

static const char *const dialects[] = {
    /* in the order of enum provider_dialect */
    "openai", "anthropic", "gemini", "ollama", "cohere", "bedrock", NULL,
};

static const char *const apis[] = {
    /* in the order of enum provider_api */
    "any",
    "chat",
    "responses",
    NULL,
};

struct str provider_default_url(enum provider_dialect d)
{
    switch (d) {
    case PROVIDER_OPENAI:
        return STR("https://api.openai.com/v1");
    case PROVIDER_ANTHROPIC:
        return STR("https://api.anthropic.com");
    case PROVIDER_GEMINI:
        return STR("https://generativelanguage.googleapis.com");
    case PROVIDER_COHERE:
        return STR("https://api.cohere.com");
    case PROVIDER_OLLAMA:
    case PROVIDER_BEDROCK:
        break;
    }
    return (struct str){0};
}

static const struct field credential_fields[] = {
    {.name = "id",
     .help = "A name for it, shown in logs and metrics in place of the secret.",
     .type = FIELD_TEXT,
     .rule = &rule_name,
     .unique = true,
     .fallback = "default",
     .at = AT(config_credential, id)},
    {.name = "secret",
     .help = "The API key: a text, ${NAME} for an environment variable, or {file: /path}.",
     .type = FIELD_SECRET,
     .required = true,
     .rule = &rule_secret,
     .at = AT(config_credential, secret)},
    {.name = "priority",
     .help = "Credentials of priority 1 are used first; the next ones when none of those is left.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "1",
     .at = AT(config_credential, priority)},
};

static const struct kind kind_credential = {
    .name = "credential",
    .help = "A secret of ours at a provider.",
    .size = sizeof(struct config_credential),
    KIND_FIELDS(credential_fields),
};

static const struct field provider_fields[] = {
    {.name = "id",
     .help = "Its name; clients reach its models as ID/MODEL.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_name,
     .at = AT(config_provider, id)},
    {.name = "dialect",
     .help = "The wire format it speaks.",
     .type = FIELD_CHOICE,
     .required = true,
     .choices = dialects,
     .at = AT(config_provider, dialect)},
    {.name = "base_url",
     .help = "Where it answers: what stands before /chat/completions, /v1/messages and so on.",
     .type = FIELD_TEXT,
     .rule = &rule_base_url,
     .fallback_help =
         "the official address of openai, anthropic, gemini, cohere and bedrock; required for "
         "ollama",
     .at = AT(config_provider, base_url)},
    {.name = "credential",
     .help = "One secret, or a list of credentials that share the work.",
     .type = FIELD_OBJECTS,
     .kind = &kind_credential,
     .shorthand = "secret",
     .merge_key = "id",
     .max = CREDENTIALS_MAX,
     .at = AT(config_provider, credentials),
     .at_n = AT(config_provider, n_credentials)},
    {.name = "allow_private_address",
     .help = "Allows addresses of this machine and of private networks.",
     .type = FIELD_BOOL,
     .fallback = "false",
     .at = AT(config_provider, allow_private_address)},
    {.name = "api",
     .help = "Which of OpenAI's interfaces it has: chat (/chat/completions), responses "
             "(/responses), or "
             "any; calls to the other one are translated. With any, a provider that does not know "
             "/responses is noticed.",
     .type = FIELD_CHOICE,
     .choices = apis,
     .fallback = "any",
     .at = AT(config_provider, api)},
    {.name = "region",
     .help = "bedrock: the region of AWS that requests are signed for.",
     .type = FIELD_TEXT,
     .rule = &rule_name,
     .fallback = "us-east-1",
     .at = AT(config_provider, region)},
    {.name = "models",
     .help = "The names of the models it has. A client's bare model name goes to the provider that "
             "lists it; without a list every name is passed on.",
     .type = FIELD_TEXTS,
     .rule = &rule_upstream,
     .max = 10000,
     .at = AT(config_provider, models),
     .at_n = AT(config_provider, n_models)},
    {.name = "timeouts",
     .help = "Its deadlines in milliseconds, ahead of those of the server.",
     .type = FIELD_OBJECT,
     .kind = &kind_provider_timeouts,
     .at = AT(config_provider, timeouts)},
    {.name = "health",
     .help = "How it is asked, every so often, whether it is well; without it only calls tell.",
     .type = FIELD_OBJECT,
     .kind = &kind_health,
     .optional = true,
     .at = AT(config_provider, health),
     .at_n = AT(config_provider, health.given)},
    {.name = "origin", .type = FIELD_ORIGIN, .at = AT(config_provider, origin)},
};

/* What calls are sent to below the base URL: whoever copies a whole address out of a vendor's page has it at the end. */
static struct str doubled_end(const struct config_provider *p)
{
    static const struct str ends[] = {
        {"/chat/completions", 17}, {"/completions", 12}, {"/embeddings", 11}, {"/responses", 10},
        {"/messages", 9},          {"/api/chat", 9},     {"/v2/chat", 8}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (str_ends(p->base_url, ends[i])) {
            return ends[i];
        }
    }
    bool api = p->dialect == PROVIDER_OLLAMA && str_ends(p->base_url, STR("/api"));
    return api ? STR("/api") : (struct str){0};
}

/* The best first; those of one priority stay in the order of the file. */
static void sort_credentials(struct config_provider *p)
{
    for (size_t i = 1; i < p->n_credentials; i++) {
        struct config_credential c = p->credentials[i];
        size_t k = i;
        for (; k > 0 && p->credentials[k - 1].priority > c.priority; k--) {
            p->credentials[k] = p->credentials[k - 1];
        }
        p->credentials[k] = c;
    }
}

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    struct config_provider *p = to;
    sort_credentials(p);
    if (p->base_url.n == 0) {
        p->base_url = provider_default_url(p->dialect);
    }
    if (p->base_url.n == 0 && p->dialect == PROVIDER_BEDROCK) {
        p->base_url = arena_printf(r->arena, "https://bedrock-runtime.%.*s.amazonaws.com",
                                   STR_ARG(p->region));
    }
    if (p->base_url.n == 0) {
        struct path at = {.up = path, .name = STR("base_url")};
        mistake_add(r->mistakes, j, &at, "missing: the dialect %s has no official address",
                    dialects[p->dialect]);
    }
    struct str end = doubled_end(p);
    if (end.n) {
        struct path at = {.up = path, .name = STR("base_url")};
        const struct json *url = json_get(j, STR("base_url"));
        mistake_add(
            r->mistakes, url ? url : j, &at,
            "leave out \"%.*s\": it is what stands before that, and calls add it themselves",
            STR_ARG(end));
    }
}

const struct kind kind_provider = {
    .name = "provider",
    .help = "A company or server that answers model calls.",
    .size = sizeof(struct config_provider),
    KIND_FIELDS(provider_fields),
    .finish = finish,
};

const struct resource_kind resource_provider = {
    .kind = &kind_provider,
    .plural = "providers",
    .id_prefix = "prov_",
    .id_rule = &rule_name,
    .in_file = true,
};
