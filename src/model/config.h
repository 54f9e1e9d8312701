/* The whole configuration, decoded: what accord.yaml, the environment and the key file say, checked
 * and with defaults filled in. The snapshot compiler (gateway/) and the server's start read it.
 *
 * A struct config lives in one arena and is never changed once it is loaded; all slices point into
 * that arena. Arrays are (pointer, n_ count). */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/secret.h"
#include "model/masking.h"
#include "model/tariff.h"

enum provider_dialect {
    PROVIDER_OPENAI,
    PROVIDER_ANTHROPIC,
    PROVIDER_GEMINI,
    PROVIDER_OLLAMA,
    PROVIDER_COHERE,
    PROVIDER_BEDROCK,
};

/* Which of OpenAI's two interfaces a provider of that dialect has. */
enum provider_api { API_ANY, API_CHAT, API_RESPONSES };

struct config_credential {
    struct str id; /* "default" when only a secret was given */
    struct secret secret;
    int64_t priority; /* 1 first */
};

/* Deadlines of one provider or model, milliseconds; 0: what a wider setting says. */
struct config_deadlines {
    int64_t connect_ms;        /* of providers only */
    int64_t first_token_ms;    /* of streams */
    int64_t between_tokens_ms; /* of streams */
    int64_t total_ms;          /* of models only */
};

/* Whether, and how, a provider is asked how it is doing. */
struct config_health {
    bool given;
    struct str path; /* from the root of its host */
    int64_t every_ms, timeout_ms;
    int64_t failures; /* in a row, until its host rests */
};

/* When a second target is asked beside the first. */
struct config_hedge {
    bool given;
    int64_t after_percentile, budget_percent, min_samples;
};

enum { CREDENTIALS_MAX = 64 }; /* of a provider: as many as a call keeps apart */

struct config_provider {
    struct str id;
    enum provider_dialect dialect;
    struct str base_url; /* checked: http or https, a host, no query, no trailing slash */
    struct config_credential *credentials; /* by priority */
    size_t n_credentials;
    bool allow_private_address;
    enum provider_api api;
    struct str region;  /* bedrock: of its endpoint */
    bool builtin_sim;   /* the built-in simulated provider: base_url is empty */
    struct str *models; /* upstream model names it lists; none: any name is passed on */
    size_t n_models;
    struct config_deadlines timeouts;
    struct config_health health;
    struct str origin; /* where it was declared: "accord.yaml:12", "environment OPENAI_API_KEY",
                          "built in" */
};

struct config_price {
    struct str rate[RATES]; /* US dollars per million tokens; empty: not known */
    struct str from;        /* a time; empty: ever since */
};

/* What must hold of a call before a target may take it: one of header, metadata, model and tokens. */
struct config_condition {
    struct str header,
        metadata;   /* the name of a field, or of a member of the request's `metadata` */
    struct str *is; /* patterns of its value; none: any value will do */
    size_t n_is;
    struct str *models; /* patterns of the name that the client asks for */
    size_t n_models;
    int64_t min_tokens, max_tokens; /* of the request, about; 0: no bound */
};

enum balance { BALANCE_WEIGHTED, BALANCE_LEAST_LATENCY, BALANCE_LEAST_BUSY, BALANCE_CHEAPEST };
enum sticky { STICKY_KEY, STICKY_SESSION, STICKY_CACHE_KEY, STICKY_PREFIX, STICKY_COUNT };
/* Their names; NULL at the end. */
extern const char *const balance_name[];
extern const char *const sticky_name[STICKY_COUNT + 1];

struct config_target {
    size_t provider;             /* index into config.providers */
    struct str model;            /* upstream name */
    int64_t weight;              /* 0 to 1000, default 1 */
    int64_t priority;            /* default 1 */
    struct config_price *prices; /* instead of what is known of the model */
    size_t n_prices;
    struct config_condition *when; /* all must hold */
    size_t n_when;
    struct str provider_id;
};

struct config_model {
    struct str id;
    struct str *aliases;
    size_t n_aliases;
    struct config_target *targets;
    size_t n_targets;
    enum balance balance;
    struct str *sticky; /* of sticky_name; the first that a call has */
    size_t n_sticky;
    struct str deprecated_at, sunset_at; /* times; empty: neither */
    struct str successor, notice;        /* a model's name, a page's URL; empty: none */
    struct config_deadlines timeouts;
    struct config_hedge hedge;
};

struct config_key {
    struct str id;
    struct secret secret; /* 16 to 512 visible characters; the compiler keeps only its digest.
                           * Empty: none was given, and the server makes one on the first start */
    struct str *models;   /* patterns: a name, or a prefix before a final '*' */
    size_t n_models;
    /* Of the platform's keys (model/resource_kind.h): */
    struct str application, expires_at, state, hint, rotated_at;
    struct str origin;
};

enum policy_scope {
    SCOPE_ORG,
    SCOPE_KEY,
    SCOPE_MODEL,
    SCOPE_TEAM, /* these three only on the platform */
    SCOPE_SERVICE,
    SCOPE_APPLICATION,
    SCOPE_ADDRESS, /* each address by itself */
};

/* Exactly one of them is set. */
struct config_applies {
    bool org, address;
    struct str key, model;
    struct str team, service, application; /* of the platform */
};

enum limit_what {
    LIMIT_CONCURRENCY,
    LIMIT_REQUESTS,
    LIMIT_INPUT_TOKENS,
    LIMIT_OUTPUT_TOKENS,
    LIMIT_TOKENS,
    LIMIT_USD, /* of budgets only */
    LIMIT_WHATS
};

/* Without a window: calls at the same time. */
enum limit_per { PER_SECOND, PER_MINUTE, PER_HOUR, PER_DAY, PER_MONTH, PER_NOTHING };

struct config_limit {
    enum limit_what what;
    int64_t at_most;
    enum limit_per per;
    struct str time_zone; /* of a day or a month; empty: UTC */
    bool soft;            /* counts and tells, refuses nothing */
};

enum unpriced { UNPRICED_PASS, UNPRICED_REFUSE };

struct config_budget {
    struct str usd; /* exactly one of these three is given */
    int64_t requests, tokens;
    enum limit_per per;
    struct str time_zone;
    bool soft;
    enum unpriced unpriced;
};

/* Who is refused last when the server has too much to do. */
enum priority { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITIES };

struct config_retry {
    bool given;
    int64_t attempts;    /* 0: not said */
    int64_t deadline_ms; /* 0: not said */
};

/* Answers that are given again to who asks the same. */
struct config_cache {
    int64_t ttl_s;                        /* 0: none is kept */
    enum { CACHE_TEAM, CACHE_KEY } scope; /* who asks the same: anybody of a team, or one key */
    bool coalesce; /* identical calls at the same time become one, whatever they ask */
    bool given;
};

enum record_bodies { BODIES_NONE, BODIES_ERRORS, BODIES_ALL };

/* What is kept of requests and answers. */
struct config_bodies {
    enum record_bodies record;
    int64_t share_percent; /* of the calls that `record` means */
    int64_t max_bytes;     /* of each body */
    int64_t keep_days;
    bool given;
};

struct config_policy {
    struct str id;
    struct config_applies applies_to;
    struct config_limit *limits;
    size_t n_limits;
    struct config_budget *budgets;
    size_t n_budgets;
    enum priority priority; /* PRIORITIES: not said */
    struct config_retry retry;
    struct config_masking masking;
    struct config_cache cache;
    struct config_bodies bodies;
    /* The same once more, as the compiler wants it: */
    enum policy_scope scope;
    struct str subject; /* id of the key or declared model; empty for org */
};

struct config_timeouts {    /* milliseconds; 0 never */
    int64_t connect_ms;     /* to an upstream, TLS included: 5000 */
    int64_t first_byte_ms;  /* from the request written to the first byte of the answer: 600000 */
    int64_t idle_ms;        /* between two reads of an answer: 300000 */
    int64_t first_token_ms; /* from an attempt's begin to a stream's first content: 0 */
    int64_t between_tokens_ms; /* between two pieces of its content: 0 */
    int64_t total_ms;          /* a whole call: 3600000 */
    int64_t client_header_ms;  /* a request head, from its first byte: 10000 */
    int64_t client_body_ms;    /* between two reads of a request body: 30000 */
    int64_t client_idle_ms;    /* a kept-alive connection without a request: 75000 */
    int64_t client_write_ms;   /* a client that takes no byte: 60000 */
    int64_t keepalive_ping_ms; /* silence in a stream before a ping is sent: 15000 */
    int64_t drain_ms;          /* after SIGTERM: 30000 */
};

struct config_limits {
    int64_t max_body_bytes;   /* 64 MiB */
    int64_t max_header_bytes; /* 64 KiB */
    int64_t max_connections;  /* per worker: 50000 */
    int64_t max_inflight;     /* calls, per worker: 20000; 0: no bound */
    int64_t max_delay_ms;     /* of a worker's loop: 1000; 0: no bound */
};

/* What requests name by URL, for providers that take data only. */
struct config_fetch {
    bool allow_private_address;
    int64_t
        max_bytes; /* of one; of a request's together twice as many. 20 MiB; 0: nothing is fetched */
};

struct config_tls {
    struct str certificate, key; /* paths of PEM files; both or none */
};

struct config_database {
    struct secret url;   /* postgresql://...; empty: SQLite in the data directory */
    int64_t connections; /* to it */
};

struct config_ledger {
    int64_t keep_days;        /* 0: no call is recorded */
    int64_t max_bytes;        /* 0: no bound */
    int64_t spool_bytes;      /* 0: nothing is spooled */
    int64_t bodies_max_bytes; /* of all bodies that policies keep */
};

/* Somebody who is told of alerts. */
struct config_webhook {
    struct str id, url;
    struct secret secret;
    bool allow_private_address;
};

enum alert_when {
    ALERT_ERROR_RATE,
    ALERT_LATENCY_MEAN,
    ALERT_LATENCY_P95,
    ALERT_BUDGET_USED,
    ALERT_PROVIDER_DOWN,
    ALERT_WHENS,
};

struct config_alert {
    struct str id;
    enum alert_when when;
    int64_t above, clear; /* percent or milliseconds; clear -1: not said */
    int64_t for_s, window_s, min_calls;
    struct str provider, model, policy; /* empty: any */
    struct str *webhooks;               /* none: all */
    size_t n_webhooks;
};

struct config_alerts {
    struct config_webhook *webhooks;
    size_t n_webhooks;
    struct config_alert *rules;
    size_t n_rules;
};

/* Whether it is worked out from the ledger. */
bool alert_of_calls(const struct config_alert *a);
/* NULL: there is none. */
const struct config_webhook *webhook_named(const struct config_alerts *c, struct str id);

/* The bytes of a webhook's secret that sign (Standard Webhooks): what base64 behind the prefix says, else the secret's own.
 * False: it is no base64. */
#define WEBHOOK_PREFIX "whsec_"
enum { WEBHOOK_KEY_MAX = 512 };
bool webhook_key(struct str secret, unsigned char to[WEBHOOK_KEY_MAX], size_t *ret_n);

enum unreachable { UNREACHABLE_REFUSE, UNREACHABLE_ALLOW };

/* Counters of limits that several servers share. */
struct config_shared {
    struct secret redis; /* redis://... or rediss://...; at most one of the two */
    bool postgres;       /* where the state is; neither: each server counts for itself */
    int64_t lease_percent;
    enum unreachable when_unreachable;
};

struct config_responses {
    int64_t keep_days; /* 0: none is kept */
};

/* Answers in memory: those of caches, and those under an Idempotency-Key. */
struct config_memory {
    int64_t max_bytes;                /* of all together */
    int64_t answer_max_bytes;         /* of one */
    int64_t idempotency_ttl_s;        /* 0: Idempotency-Key means nothing */
    int64_t idempotency_stored_bytes; /* of an answer that is written into the store as well */
    bool idempotency_fail_closed;     /* without the store no call is made under a key */
};

struct config {
    struct str path;    /* of the file; empty without one */
    struct str *listen; /* "127.0.0.1:4090", "[::1]:4090", "unix:/run/accord.sock" */
    size_t n_listen;
    struct config_tls tls;
    struct str data;             /* directory */
    struct str *trusted_proxies; /* networks whose x-forwarded-for is believed */
    size_t n_trusted_proxies;
    int64_t workers;            /* 0: as many as the cores it may use */
    struct str access_log;      /* "stderr", "off" or a path */
    bool environment_providers; /* make providers from API keys in the environment */
    struct config_timeouts timeouts;
    struct config_limits limits;
    struct config_fetch fetch;
    struct config_database database;
    struct config_shared shared;
    struct config_responses responses;
    struct config_ledger ledger;
    struct config_alerts alerts;
    struct config_memory memory;
    struct config_provider *providers;
    size_t n_providers;
    struct config_model *models;
    size_t n_models;
    struct config_key *keys;
    size_t n_keys;
    struct config_policy *policies;
    size_t n_policies;
};

/* What decides besides the file. Empty fields decide nothing. */
struct config_overrides {
    struct str listen, data;
    int64_t workers;
    bool no_environment; /* do not look for provider keys in the environment (tests) */
    bool no_files;       /* refuse ${file:...} and {file: ...} (fuzzing) */
    /* Whether a key with this id is kept in the data directory: policies may name it although it
     * does not stand in the file. NULL: none is (keyfile_has of auth/keyfile.h answers it). */
    bool (*key_exists)(struct str data_dir, struct str id);
};

/* Reads, checks and decodes. `path` NULL: defaults, environment and built-ins only. On failure
 * returns -EINVAL (or -errno when the file cannot be read) and adds to `errors` one line per
 * mistake: accord.yaml:12:5: providers[0].dialect: "openia" is not one of openai, anthropic, ...;
 * did you mean "openai"? All mistakes of a file are reported, not only the first. */
__attribute__((warn_unused_result)) int config_load(struct arena *a, const char *path,
                                                    const struct config_overrides *over,
                                                    struct config **ret, struct buf *errors);

/* The same with the text at hand; `name` stands in errors and origins. */
__attribute__((warn_unused_result)) int config_load_text(struct arena *a, struct str name,
                                                         struct str text,
                                                         const struct config_overrides *over,
                                                         struct config **ret, struct buf *errors);

/* The effective configuration as YAML, secrets masked (only their last four characters, and only
 * when they have 12 or more), with the origin of each provider and key as a comment. */
void config_print(struct buf *b, const struct config *c);

/* The same as one JSON object, with `origin` as a member. */
void config_print_json(struct buf *b, const struct config *c);

/* The JSON Schema (2020-12) of accord.yaml, made from the same field tables. */
void config_schema(struct buf *b);

#endif
