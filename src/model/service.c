#include "model/resource_kind.h"

struct upstream {
    struct str url;
    int64_t weight;
};

struct service {
    struct str name, team, description, prefix;
    unsigned kind;
    struct upstream *upstreams;
    size_t n_upstreams;
    struct str *models, *tags;
    size_t n_models, n_tags;
    int64_t timeout_ms;
};

static const char *const kinds[] = {"rest", "ai", NULL};

static const struct field upstream_fields[] = {
    {.name = "url",
     .help = "Where it answers.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_base_url,
     .at = AT(upstream, url)},
    {.name = "weight",
     .help = "Its share of the requests; 0 takes none.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000,
     .fallback = "1",
     .at = AT(upstream, weight)},
};

static const struct kind kind_upstream = {
    .name = "upstream",
    .help = "A server that answers for a service.",
    .size = sizeof(struct upstream),
    KIND_FIELDS(upstream_fields),
};

static const struct field fields[] = {
    {.name = "name",
     .help = "What people call it.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_title,
     .at = AT(service, name)},
    {.name = "team",
     .help = "Whose it is.",
     .type = FIELD_REFERENCE,
     .required = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(service, team)},
    {.name = "description",
     .help = "What it offers.",
     .type = FIELD_TEXT,
     .rule = &rule_description,
     .at = AT(service, description)},
    {.name = "kind",
     .help = "rest: requests go to its upstreams; ai: calls go to its models.",
     .example = "\"ai\"",
     .type = FIELD_CHOICE,
     .choices = kinds,
     .fallback = "rest",
     .at = AT(service, kind)},
    {.name = "prefix",
     .help = "The beginning of its paths; no other service has the same.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_prefix,
     .at = AT(service, prefix)},
    {.name = "upstreams",
     .help = "Who answers for a service of kind rest.",
     .type = FIELD_OBJECTS,
     .kind = &kind_upstream,
     .merge_key = "url",
     .max = 64,
     .at = AT(service, upstreams),
     .at_n = AT(service, n_upstreams)},
    {.name = "models",
     .help = "The models of a service of kind ai: names, or the beginning of names followed by "
             "'*'.",
     .type = FIELD_TEXTS,
     .rule = &rule_model_pattern,
     .max = 1000,
     .at = AT(service, models),
     .at_n = AT(service, n_models)},
    {.name = "tags",
     .help = "Words to find it by.",
     .type = FIELD_TEXTS,
     .rule = &rule_name,
     .max = 32,
     .at = AT(service, tags),
     .at_n = AT(service, n_tags)},
    {.name = "timeout_ms",
     .help = "For the whole of a request to it, in milliseconds.",
     .type = FIELD_INT,
     .min = 1,
     .max = 3600000,
     .fallback = "60000",
     .at = AT(service, timeout_ms)},
};

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    const struct service *s = to;
    if (s->kind == 1 && s->n_upstreams) {
        mistake_add(r->mistakes, j, path, "a service of kind ai has models, not upstreams");
    }
    if (s->kind == 0 && s->n_models) {
        mistake_add(r->mistakes, j, path, "a service of kind rest has upstreams, not models");
    }
}

const struct kind kind_service = {
    .name = "service",
    .help = "What a team publishes for applications: an API of its own, or models.",
    .size = sizeof(struct service),
    KIND_FIELDS(fields),
    .finish = finish,
};

const struct resource_kind resource_service = {
    .kind = &kind_service,
    .plural = "services",
    .id_prefix = "svc_",
    .id_rule = &rule_name,
    .owner = "team",
};
