#include "model/kinds.h"

#define HOUR_MS 3600000
#define DAY_MS  (24 * HOUR_MS)

#define MS(field, standard, text)                                                                  \
    {                                                                                              \
        .name = #field, .help = text, .type = FIELD_INT, .min = 0, .max = DAY_MS,                  \
        .fallback = standard, .at = AT(config_timeouts, field)                                     \
    }

static const struct field timeout_fields[] = {
    MS(connect_ms, "5000", "To connect to an upstream, TLS included."),
    MS(first_byte_ms, "600000", "From a request sent to the first byte of its answer."),
    MS(idle_ms, "300000", "Between two reads of an answer."),
    MS(first_token_ms, "0",
       "From an attempt's begin to the first content of a stream; then another target is asked."),
    MS(between_tokens_ms, "0", "Between two pieces of content of a stream."),
    MS(total_ms, "3600000", "A whole call."),
    MS(client_header_ms, "10000", "For a client to send a request's head, from its first byte."),
    MS(client_body_ms, "30000", "Between two reads of a request's body."),
    MS(client_idle_ms, "75000", "A kept-alive connection without a request."),
    MS(client_write_ms, "60000", "A client that takes no byte."),
    MS(keepalive_ping_ms, "15000", "Silence in a stream before a ping is sent to the client."),
    MS(drain_ms, "30000", "For running calls to end after SIGTERM."),
};

static const struct kind kind_timeouts = {
    .name = "set of timeouts",
    .help = "Deadlines in milliseconds; 0 means none.",
    .size = sizeof(struct config_timeouts),
    KIND_FIELDS(timeout_fields),
};

static const struct field limits_fields[] = {
    {.name = "max_body_bytes",
     .help = "Longest request body; a longer one is answered 413.",
     .type = FIELD_INT,
     .min = 1024,
     .max = (int64_t)1 << 40,
     .fallback = "67108864",
     .at = AT(config_limits, max_body_bytes)},
    {.name = "max_header_bytes",
     .help = "Longest request head; a longer one is answered 431.",
     .type = FIELD_INT,
     .min = 1024,
     .max = 1 << 20,
     .fallback = "65536",
     .at = AT(config_limits, max_header_bytes)},
    {.name = "max_connections",
     .help = "Most client connections of one worker.",
     .type = FIELD_INT,
     .min = 1,
     .max = 10000000,
     .fallback = "50000",
     .at = AT(config_limits, max_connections)},
    {.name = "max_inflight",
     .help = "Most calls under way in one worker; beyond it they are answered 503, those of low "
             "priority from three quarters of it on, normal ones from nine tenths. 0 means no "
             "bound.",
     .type = FIELD_INT,
     .min = 0,
     .max = 10000000,
     .fallback = "20000",
     .at = AT(config_limits, max_inflight)},
    {.name = "max_delay_ms",
     .help = "How late a worker may be with what it has to do, twice in a row; beyond it calls of "
             "low priority are "
             "answered 503, beyond twice as much normal ones, beyond four times all. 0 means no "
             "bound.",
     .type = FIELD_INT,
     .min = 0,
     .max = 3600000,
     .fallback = "1000",
     .at = AT(config_limits, max_delay_ms)},
};

static const struct kind kind_limits = {
    .name = "set of limits",
    .help = "What one client may ask of the server.",
    .size = sizeof(struct config_limits),
    KIND_FIELDS(limits_fields),
};

static const struct field fetch_fields[] = {
    {.name = "allow_private_address",
     .help = "Whether they may be at a loopback, private or link-local address.",
     .type = FIELD_BOOL,
     .fallback = "false",
     .at = AT(config_fetch, allow_private_address)},
    {.name = "max_bytes",
     .help = "The largest that is fetched; those of one request may have twice as many together. "
             "0: nothing is fetched.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1 << 30,
     .fallback = "20971520",
     .at = AT(config_fetch, max_bytes)},
};

static const struct kind kind_fetch = {
    .name = "setting of what is fetched",
    .help =
        "Images and documents that a request names by URL, for a provider that takes data only.",
    .size = sizeof(struct config_fetch),
    KIND_FIELDS(fetch_fields),
};

static const struct field tls_fields[] = {
    {.name = "certificate",
     .help = "A PEM file with the certificate and its chain.",
     .type = FIELD_TEXT,
     .rule = &rule_path,
     .at = AT(config_tls, certificate)},
    {.name = "key",
     .help = "A PEM file with the private key.",
     .type = FIELD_TEXT,
     .rule = &rule_path,
     .at = AT(config_tls, key)},
};

static void finish_tls(struct kind_reader *r, const struct json *j, const struct path *path,
                       void *to)
{
    const struct config_tls *tls = to;
    if ((tls->certificate.n > 0) != (tls->key.n > 0)) {
        mistake_add(r->mistakes, j, path, "certificate and key are both needed, or none of them");
    }
}

static const struct kind kind_tls = {
    .name = "TLS setting",
    .help = "With it, clients speak TLS on every listener.",
    .size = sizeof(struct config_tls),
    KIND_FIELDS(tls_fields),
    .finish = finish_tls,
};

static const struct field database_fields[] = {
    {.name = "url",
     .help =
         "A PostgreSQL that several servers share, as postgresql://USER:PASSWORD@HOST/NAME; all "
         "of them need the same master key. ACCORD_DATABASE_URL stands for it.",
     .type = FIELD_SECRET,
     .rule = &rule_database_url,
     .fallback_help = "SQLite in the data directory",
     .at = AT(config_database, url)},
    {.name = "connections",
     .help = "How many connections to it are open.",
     .type = FIELD_INT,
     .min = 1,
     .max = 60,
     .fallback = "4",
     .at = AT(config_database, connections)},
};

static const struct kind kind_database = {
    .name = "database setting",
    .help = "Where the state of the platform is.",
    .size = sizeof(struct config_database),
    KIND_FIELDS(database_fields),
};

static const char *const when_unreachable[] = {"refuse", "allow", NULL};

static const struct field shared_fields[] = {
    {.name = "redis",
     .help = "A Redis or Valkey in which several servers with the same policies count together.",
     .type = FIELD_SECRET,
     .rule = &rule_redis_url,
     .fallback_help = "each server counts for itself",
     .at = AT(config_shared, redis)},
    {.name = "postgres",
     .help = "They count together in the PostgreSQL that holds their state (database.url), and "
             "need no Redis.",
     .type = FIELD_BOOL,
     .at = AT(config_shared, postgres)},
    {.name = "lease_percent",
     .help = "How much of a limit a server may give away before the others know of it, in percent "
             "of the limit; one call in any case.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "5",
     .at = AT(config_shared, lease_percent)},
    {.name = "when_unreachable",
     .help = "What becomes of calls under limits when that is used up and what they count in does "
             "not answer: "
             "they are refused with 503 (refuse), or each server counts for itself (allow).",
     .type = FIELD_CHOICE,
     .choices = when_unreachable,
     .fallback = "refuse",
     .at = AT(config_shared, when_unreachable)},
};

static void finish_shared(struct kind_reader *r, const struct json *j, const struct path *path,
                          void *to)
{
    const struct config_shared *s = to;
    if (s->postgres && !secret_empty(s->redis)) {
        mistake_add(r->mistakes, j, path,
                    "redis and postgres are both given; leave out the one that is not to be used");
    }
}

static const struct kind kind_shared = {
    .name = "setting of what is shared",
    .help = "Where several servers count limits and budgets together.",
    .size = sizeof(struct config_shared),
    KIND_FIELDS(shared_fields),
    .finish = finish_shared,
};

static const struct field responses_fields[] = {
    {.name = "keep_days",
     .help =
         "How long a response of an upstream that does not keep them itself can be asked for, and "
         "named as previous_response_id; 0 means that none is kept.",
     .type = FIELD_INT,
     .min = 0,
     .max = 3650,
     .fallback = "30",
     .at = AT(config_responses, keep_days)},
};

static const struct kind kind_responses = {
    .name = "setting of responses",
    .help = "What is kept of calls to /v1/responses.",
    .size = sizeof(struct config_responses),
    KIND_FIELDS(responses_fields),
};

static const struct field memory_fields[] = {
    {.name = "max_bytes",
     .help = "What answers that are kept in memory may take together. Beyond it the longest unused "
             "ones of the team that has the most go first.",
     .type = FIELD_INT,
     .min = 0,
     .max = INT64_C(1) << 40,
     .fallback = "67108864",
     .at = AT(config_memory, max_bytes)},
    {.name = "answer_max_bytes",
     .help = "A longer answer is not kept.",
     .type = FIELD_INT,
     .min = 0,
     .max = INT64_C(1) << 30,
     .fallback = "4194304",
     .at = AT(config_memory, answer_max_bytes)},
    {.name = "idempotency_ttl_s",
     .help = "How many seconds a model call under an Idempotency-Key is answered with the same "
             "answer, counted from its end; 0 means that the field is not looked at.",
     .type = FIELD_INT,
     .min = 0,
     .max = 2592000,
     .fallback = "86400",
     .at = AT(config_memory, idempotency_ttl_s)},
    {.name = "idempotency_stored_bytes",
     .help = "An answer under an Idempotency-Key that is not longer is also kept in the database, "
             "sealed, and given again after a restart; 0 means that none is.",
     .type = FIELD_INT,
     .min = 0,
     .max = INT64_C(1) << 24,
     .fallback = "262144",
     .at = AT(config_memory, idempotency_stored_bytes)},
    {.name = "idempotency_fail_closed",
     .help = "Whether a call under an Idempotency-Key is refused while the database cannot be "
             "told of it. Else it is made, and says `idempotency-status: volatile`.",
     .type = FIELD_BOOL,
     .fallback = "false",
     .at = AT(config_memory, idempotency_fail_closed)},
};

static const struct kind kind_memory = {
    .name = "setting of memory",
    .help =
        "Answers that are kept in memory to be given again: those of caches, and those of calls "
        "under an Idempotency-Key.",
    .size = sizeof(struct config_memory),
    KIND_FIELDS(memory_fields),
};

static const struct field ledger_fields[] = {
    {.name = "keep_days",
     .help = "How many days the records of calls are kept; 0 means that none is made. What they "
             "add up to is kept by "
             "minute for 8 days, by hour for 400, by day for good.",
     .type = FIELD_INT,
     .min = 0,
     .max = 36500,
     .fallback = "30",
     .at = AT(config_ledger, keep_days)},
    {.name = "max_bytes",
     .help = "How much of the disk they may take; the oldest go first. 0 means no bound.",
     .type = FIELD_INT,
     .min = 0,
     .max = INT64_C(1) << 50,
     .fallback = "10737418240",
     .at = AT(config_ledger, max_bytes)},
    {.name = "spool_bytes",
     .help = "How much room is taken for records that cannot be written in time; 0 means none.",
     .type = FIELD_INT,
     .min = 0,
     .max = INT64_C(1) << 36,
     .fallback = "33554432",
     .at = AT(config_ledger, spool_bytes)},
    {.name = "bodies_max_bytes",
     .help =
         "How much of the disk the bodies may take that policies keep; those that would go next "
         "go first.",
     .type = FIELD_INT,
     .min = 1 << 20,
     .max = INT64_C(1) << 50,
     .fallback = "1073741824",
     .at = AT(config_ledger, bodies_max_bytes)},
};

static const struct kind kind_ledger = {
    .name = "setting of the ledger",
    .help = "What is kept of calls: the records of them, and bodies only where a policy says so.",
    .size = sizeof(struct config_ledger),
    KIND_FIELDS(ledger_fields),
};

static const struct field settings_fields[] = {
    {.name = "listen",
     .help = "Where it listens; one address or a list.",
     .type = FIELD_TEXTS,
     .rule = &rule_listen,
     .one_or_many = true,
     .min = 1,
     .max = 64,
     .fallback = "127.0.0.1:4090",
     .at = AT(config, listen),
     .at_n = AT(config, n_listen)},
    {.name = "tls",
     .help = "The certificate of the server.",
     .type = FIELD_OBJECT,
     .kind = &kind_tls,
     .at = AT(config, tls)},
    {.name = "data",
     .help = "The directory that holds keys and state; made when it is not there.",
     .type = FIELD_TEXT,
     .rule = &rule_path,
     .fallback = "./data",
     .at = AT(config, data)},
    {.name = "trusted_proxies",
     .help =
         "Addresses and networks whose x-forwarded-for is believed: proxies of your own in front "
         "of it. `unix` stands for whoever comes over a unix socket. Limits of addresses, the "
         "pauses after failed sign-ins and the audit trail go by it.",
     .type = FIELD_TEXTS,
     .rule = &rule_network,
     .max = 256,
     .at = AT(config, trusted_proxies),
     .at_n = AT(config, n_trusted_proxies)},
    {.name = "workers",
     .help = "How many event loops run; 0 means as many as the cores it may use.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1024,
     .fallback = "0",
     .at = AT(config, workers)},
    {.name = "access_log",
     .help = "Where the log line of each call goes: stderr, off, or the path of a file.",
     .type = FIELD_TEXT,
     .rule = &rule_path,
     .fallback = "stderr",
     .at = AT(config, access_log)},
    {.name = "environment_providers",
     .help = "Whether providers are made from the API keys found in the environment, and from an "
             "Ollama that answers.",
     .type = FIELD_BOOL,
     .fallback = "true",
     .at = AT(config, environment_providers)},
    {.name = "timeouts",
     .help = "Deadlines in milliseconds; 0 means none.",
     .type = FIELD_OBJECT,
     .kind = &kind_timeouts,
     .at = AT(config, timeouts)},
    {.name = "limits",
     .help = "What one client may ask of the server.",
     .type = FIELD_OBJECT,
     .kind = &kind_limits,
     .at = AT(config, limits)},
    {.name = "fetch",
     .help = "Images and documents that a request names by URL, for a provider that takes data "
             "only.",
     .type = FIELD_OBJECT,
     .kind = &kind_fetch,
     .at = AT(config, fetch)},
    {.name = "database",
     .help = "Where the state of the platform is.",
     .type = FIELD_OBJECT,
     .kind = &kind_database,
     .at = AT(config, database)},
    {.name = "shared",
     .help = "Where several servers count limits and budgets together.",
     .type = FIELD_OBJECT,
     .kind = &kind_shared,
     .at = AT(config, shared)},
    {.name = "responses",
     .help = "What is kept of calls to /v1/responses.",
     .type = FIELD_OBJECT,
     .kind = &kind_responses,
     .at = AT(config, responses)},
    {.name = "ledger",
     .help = "What is kept of calls: the records of them, and bodies only where a policy says so.",
     .type = FIELD_OBJECT,
     .kind = &kind_ledger,
     .at = AT(config, ledger)},
    {.name = "alerts",
     .help = "What is watched, and who is told when it goes wrong.",
     .type = FIELD_OBJECT,
     .kind = &kind_alerts,
     .at = AT(config, alerts)},
    {.name = "memory",
     .help = "Answers that are kept in memory to be given again.",
     .type = FIELD_OBJECT,
     .kind = &kind_memory,
     .at = AT(config, memory)},
    {.name = "providers",
     .help = "Who answers model calls.",
     .type = FIELD_OBJECTS,
     .kind = &kind_provider,
     .merge_key = "id",
     .max = 1000,
     .at = AT(config, providers),
     .at_n = AT(config, n_providers)},
    {.name = "models",
     .help = "Names that clients use. Without any, every model of every provider is reachable as "
             "PROVIDER/MODEL, and a bare name goes to the provider that lists it.",
     .type = FIELD_OBJECTS,
     .kind = &kind_model,
     .merge_key = "id",
     .max = 10000,
     .at = AT(config, models),
     .at_n = AT(config, n_models)},
    {.name = "keys",
     .help = "Secrets of the applications that call.",
     .type = FIELD_OBJECTS,
     .kind = &kind_key,
     .merge_key = "id",
     .max = 100000,
     .at = AT(config, keys),
     .at_n = AT(config, n_keys)},
    {.name = "policies",
     .help = "Limits, attached to everybody, to a key or to a model.",
     .type = FIELD_OBJECTS,
     .kind = &kind_policy,
     .merge_key = "id",
     .max = 10000,
     .at = AT(config, policies),
     .at_n = AT(config, n_policies)},
};

static void finish_settings(struct kind_reader *r, const struct json *j, const struct path *path,
                            void *to)
{
    const struct config *c = to;
    for (size_t i = 0; i < c->alerts.n_rules && !c->ledger.keep_days; i++) {
        if (alert_of_calls(&c->alerts.rules[i])) {
            mistake_add(r->mistakes, j, path,
                        "alerts.rules[%zu]: what calls do is known from the ledger, and "
                        "ledger.keep_days is 0; set it to 1 at least",
                        i);
        }
    }
}

const struct kind kind_settings = {
    .name = "configuration",
    .help = "The configuration of Accord.",
    .size = sizeof(struct config),
    KIND_FIELDS(settings_fields),
    .finish = finish_settings,
};
