/* alerts: what is watched, and whom to tell. */
#include <sodium.h>

#include "http/url.h"
#include "model/kinds.h"

static bool check_url(struct arena *a, struct str s, struct str *ret)
{
    struct url ignored;
    const char *why;
    *ret = s;
    return url_parse(a, s, &ignored, &why) == 0;
}

static const struct rule rule_url = {
    .allowed = "a URL of http or https with a host, such as https://hooks.example/accord",
    .pattern = "^https?://",
    .example = "https://hooks.example/accord",
    .check = check_url,
};

static const struct field webhook_fields[] = {
    {.name = "id",
     .help = "A name for it, by which rules call it.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_name,
     .at = AT(config_webhook, id)},
    {.name = "url",
     .help = "Where messages are posted to. Redirects are not followed.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_url,
     .at = AT(config_webhook, url)},
    {.name = "secret",
     .help =
         "What messages are signed with, as Standard Webhooks says; behind whsec_ it is base64.",
     .type = FIELD_SECRET,
     .required = true,
     .rule = &rule_key_secret,
     .at = AT(config_webhook, secret)},
    {.name = "allow_private_address",
     .help = "Whether it may be at a loopback, private or link-local address.",
     .type = FIELD_BOOL,
     .fallback = "false",
     .at = AT(config_webhook, allow_private_address)},
};

bool webhook_key(struct str secret, unsigned char to[WEBHOOK_KEY_MAX], size_t *ret_n)
{
    struct str rest = str_from(secret, sizeof WEBHOOK_PREFIX - 1);
    if (!str_starts(secret, STR(WEBHOOK_PREFIX))) {
        memcpy(to, secret.p, secret.n);
        *ret_n = secret.n;
        return true;
    }
    return sodium_base642bin(to, WEBHOOK_KEY_MAX, rest.p, rest.n, NULL, ret_n, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           *ret_n >= 8;
}

static void finish_webhook(struct kind_reader *r, const struct json *j, const struct path *path,
                           void *to)
{
    const struct config_webhook *w = to;
    unsigned char key[WEBHOOK_KEY_MAX];
    size_t n;
    if (!webhook_key(secret_reveal(w->secret), key, &n)) {
        mistake_add(r->mistakes, j, path,
                    "secret: what follows whsec_ must be base64 of at least 8 bytes; make one with "
                    "openssl rand -base64 32");
    }
    sodium_memzero(key, sizeof key);
}

static const struct kind kind_webhook = {
    .name = "webhook",
    .help = "Somebody who is told of alerts.",
    .size = sizeof(struct config_webhook),
    KIND_FIELDS(webhook_fields),
    .finish = finish_webhook,
};

static const char *const whens[] = {"error_rate",  "latency_mean",  "latency_p95",
                                    "budget_used", "provider_down", NULL};

static const struct field rule_fields[] = {
    {.name = "id",
     .help = "A name for it, in messages and in the log.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_name,
     .at = AT(config_alert, id)},
    {.name = "when",
     .help =
         "What is watched: the share of calls that went wrong (percent), how long calls take on "
         "average or at the 95th percentile (milliseconds), how much of a budget is used "
         "(percent), or whether the circuit breaker of a provider is open.",
     .type = FIELD_CHOICE,
     .required = true,
     .choices = whens,
     .at = AT(config_alert, when)},
    {.name = "above",
     .help = "The alert begins above it. Not of provider_down.",
     .type = FIELD_INT,
     .min = 1,
     .max = 86400000,
     .example = "5",
     .at = AT(config_alert, above)},
    {.name = "clear",
     .help = "The alert ends at it or below it.",
     .type = FIELD_INT,
     .min = 0,
     .max = 86400000,
     .fallback_help = "nine tenths of above",
     .at = AT(config_alert, clear)},
    {.name = "for_s",
     .help =
         "So many seconds it must last before it is told, and be well again before that is told.",
     .type = FIELD_INT,
     .min = 0,
     .max = 86400,
     .fallback = "60",
     .at = AT(config_alert, for_s)},
    {.name = "window_s",
     .help = "Of calls: those of the last so many seconds, in whole minutes.",
     .type = FIELD_INT,
     .min = 60,
     .max = 86400,
     .fallback = "300",
     .at = AT(config_alert, window_s)},
    {.name = "min_calls",
     .help = "Of calls: with fewer in the window nothing is said of them.",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000,
     .fallback = "20",
     .at = AT(config_alert, min_calls)},
    {.name = "provider",
     .help = "Only calls to this provider, or only this one.",
     .type = FIELD_TEXT,
     .rule = &rule_name,
     .at = AT(config_alert, provider)},
    {.name = "model",
     .help = "Of calls: only those to this model.",
     .type = FIELD_TEXT,
     .rule = &rule_model,
     .at = AT(config_alert, model)},
    {.name = "policy",
     .help = "Of budgets: only those of this policy.",
     .type = FIELD_TEXT,
     .rule = &rule_name,
     .at = AT(config_alert, policy)},
    {.name = "webhooks",
     .help = "The ids of those who are told.",
     .fallback_help = "all",
     .type = FIELD_TEXTS,
     .one_or_many = true,
     .rule = &rule_name,
     .max = 16,
     .at = AT(config_alert, webhooks),
     .at_n = AT(config_alert, n_webhooks)},
};

bool alert_of_calls(const struct config_alert *a)
{
    return a->when == ALERT_ERROR_RATE || a->when == ALERT_LATENCY_MEAN ||
           a->when == ALERT_LATENCY_P95;
}

static void finish_rule(struct kind_reader *r, const struct json *j, const struct path *path,
                        void *to)
{
    struct config_alert *a = to;
    bool down = a->when == ALERT_PROVIDER_DOWN, given = json_get(j, STR("clear")) != NULL;
    if (down == (a->above > 0)) {
        mistake_add(r->mistakes, j, path,
                    down ? "above is not for provider_down: leave it out" : "above is missing");
    }
    if (a->when == ALERT_ERROR_RATE && a->above >= 100) {
        mistake_add(r->mistakes, j, path,
                    "above: an error rate is never above %lld percent; "
                    "allowed: 1 to 99",
                    (long long)a->above);
    }
    if (given && a->clear > a->above) {
        mistake_add(r->mistakes, j, path, "clear: %lld must not be more than above, which is %lld",
                    (long long)a->clear, (long long)a->above);
    }
    if (a->policy.n && a->when != ALERT_BUDGET_USED) {
        mistake_add(r->mistakes, j, path, "policy is for budget_used only");
    }
    if (a->model.n && !alert_of_calls(a)) {
        mistake_add(r->mistakes, j, path,
                    "model is for error_rate, latency_mean and latency_p95 only");
    }
    if (a->provider.n && a->when == ALERT_BUDGET_USED) {
        mistake_add(r->mistakes, j, path, "provider is not for budget_used");
    }
    a->clear = given ? a->clear : -1;
}

static const struct kind kind_rule = {
    .name = "rule",
    .help = "Something that is watched.",
    .size = sizeof(struct config_alert),
    KIND_FIELDS(rule_fields),
    .finish = finish_rule,
};

static const struct field alerts_fields[] = {
    {.name = "webhooks",
     .help = "Who is told.",
     .type = FIELD_OBJECTS,
     .kind = &kind_webhook,
     .merge_key = "id",
     .max = 16,
     .at = AT(config_alerts, webhooks),
     .at_n = AT(config_alerts, n_webhooks)},
    {.name = "rules",
     .help = "What is watched.",
     .type = FIELD_OBJECTS,
     .kind = &kind_rule,
     .merge_key = "id",
     .max = 100,
     .at = AT(config_alerts, rules),
     .at_n = AT(config_alerts, n_rules)},
};

const struct config_webhook *webhook_named(const struct config_alerts *c, struct str id)
{
    for (size_t i = 0; i < c->n_webhooks; i++) {
        if (str_eq(c->webhooks[i].id, id)) {
            return &c->webhooks[i];
        }
    }
    return NULL;
}

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    const struct config_alerts *c = to;
    const struct json *rules = json_get(j, STR("rules")), *rule = rules ? rules->first : NULL;
    struct path all = {.up = path, .name = STR("rules")};
    for (size_t i = 0; i < c->n_rules && rule; i++, rule = rule->next) {
        struct path of_rule = {.up = &all, .index = i};
        struct path at = {.up = &of_rule, .name = STR("webhooks")};
        for (size_t k = 0; k < c->rules[i].n_webhooks; k++) {
            struct str id = c->rules[i].webhooks[k];
            if (!webhook_named(c, id)) {
                mistake_add(r->mistakes, json_get(rule, STR("webhooks")), &at,
                            "\"%.*s\" is no webhook; declare it under alerts.webhooks",
                            STR_ARG(id));
            }
        }
    }
}

const struct kind kind_alerts = {
    .name = "setting of alerts",
    .help = "What is watched, and who is told when it goes wrong.",
    .size = sizeof(struct config_alerts),
    KIND_FIELDS(alerts_fields),
    .finish = finish,
};
