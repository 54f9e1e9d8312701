/* The snapshot: everything that calls need to know, compiled from the configuration, immutable,
 * shared by all workers. A worker holds one reference and swaps it between two events; calls that
 * started on the old one keep it alive. */
#ifndef GATEWAY_SNAPSHOT_H
#define GATEWAY_SNAPSHOT_H

#include <stdatomic.h>

#include "auth/key.h"
#include "dialect/endpoint.h"
#include "gateway/counter.h"
#include "http/client.h"
#include "model/config.h"
#include "model/facts.h"
#include "net/network.h"
#include "policy/health.h"
#include "policy/load.h"

/* Groups of fields in which dialects tell about limits; of the others nothing is told. */
enum limit_group { GROUP_REQUESTS, GROUP_TOKENS, GROUP_INPUT, GROUP_OUTPUT, LIMIT_GROUPS };

/* A limit or budget of a policy. Its counter outlives snapshots. */
struct snap_limit {
    struct limit_rule rule; /* first member; of concurrency, only `what`, `soft` and `at_most` */
    struct counter *counter;
    struct str policy;
    uint16_t number; /* among those of its policy: limits first, then budgets */
    bool budget;
    bool refuse_unpriced;
    bool shared; /* of concurrency: other processes count, too */
    /* What answers tell of it, up to the number that is left, and from there up to the time when all is free again: */
    enum limit_group group;
    struct str ratelimit; /* "ratelimit-policy: "ID";q=600;w=60\r\nratelimit: "ID";r=" */
    struct str openai, openai_reset, anthropic, anthropic_reset;
};

/* Those that hold for a key or a model: for everybody first, then the team, the application, the key. */
struct snap_limits {
    const struct snap_limit *const *at_once; /* calls at the same time */
    const struct snap_limit *const *windows;
    uint32_t n_at_once, n_windows;
    bool tokens; /* some count tokens or money: the body is to be weighed */
};

/* How often, and how long, a call is tried. */
struct snap_retry {
    uint32_t attempts;    /* 0: not said */
    uint32_t deadline_ms; /* 0: not said */
};

/* What a policy says, and of what it does not say what a wider one does. */
static inline struct snap_retry snap_retry_or(struct snap_retry r, struct snap_retry wider)
{
    return (struct snap_retry){r.attempts ? r.attempts : wider.attempts,
                               r.deadline_ms ? r.deadline_ms : wider.deadline_ms};
}

/* Whether answers are given again. */
struct snap_cache {
    uint32_t ttl_s; /* 0: none is kept */
    bool given, by_key, coalesce;
};

/* What is kept of requests and answers. */
struct snap_bodies {
    bool given;
    uint8_t record; /* enum record_bodies */
    uint8_t share_percent;
    uint32_t max_bytes; /* of each */
    uint32_t keep_days;
};

/* What is looked for in a call. */
struct mask_rules;
struct snap_masking {
    struct mask_rules *rules;   /* NULL though it is on: they could not be compiled, no call goes */
    struct mask_rules *answers; /* of what models write; NULL: nothing */
    bool on;
    bool pass; /* what cannot be looked into goes as it is */
};

struct snap_key {
    uint8_t digest[KEY_DIGEST_SIZE];
    uint64_t expires_us; /* wall clock; 0: never */
    struct str id;
    struct str application, team; /* whose it is; empty: of nobody on the platform */
    const struct str *models;     /* patterns */
    size_t n_models;
    const struct snap_limits *limits; /* NULL: none */
    struct snap_retry retry;
    uint32_t masking; /* the number of its set of policies */
    uint32_t shed_at; /* load of a worker (admit.c) from which on its calls are refused */
    enum priority priority;
    struct snap_cache cache;
    struct snap_bodies bodies;
};

/* A credential of Amazon's, which signs instead of being sent. */
struct snap_aws {
    struct str access_key, session_token, region;
    struct secret secret_key;
};

/* One of the credentials of a provider. */
struct snap_credential {
    struct str id;
    struct str fields;          /* "host: ...\r\nauthorization: ...\r\n": the same for every call */
    const struct snap_aws *aws; /* NULL: the fields carry it */
    uint32_t priority;
    uint64_t place; /* among the others, for calls that stick: balance_place() */
    struct health *health;
};

/* How a provider is asked whether it is well. */
struct snap_check {
    uint64_t every_ms, timeout_ms; /* every_ms 0: it is not asked */
    uint32_t failures;
    struct str request; /* the whole of it */
};

struct snap_provider {
    struct str id;
    struct str vendor; /* who sells there, as facts_vendor() knows it; empty: nobody knows */
    enum family family;
    enum provider_api api;
    uint32_t quirks; /* of the vendor, dialect/format.h */
    size_t index;
    struct str base_path; /* path of base_url, without a final slash */
    struct str
        absolute; /* "http://host" before the path when a plain proxy is asked (RFC 9112, 3.2.2) */
    const struct snap_credential *credentials; /* by priority; one without any when none is set */
    uint32_t n_credentials;                    /* 1 at least */
    bool signs;                                /* bedrock: one of them signs requests */
    struct health *health;                     /* of the host */
    struct str authority;                      /* the host field's value */
    struct str origin_name;
    struct connect_target target;
    struct snap_check check;
    bool sim;
    bool free;      /* what it answers costs nothing, and that is known */
    bool any_model; /* provider/NAME is passed on whatever NAME is */
};

/* A condition of a target: one of these. */
enum condition_what { WHEN_HEADER, WHEN_METADATA, WHEN_MODEL, WHEN_TOKENS };
struct snap_condition {
    enum condition_what what;
    struct str name;      /* of the header or the member */
    const struct str *is; /* patterns of the value; none: any */
    size_t n_is;
    int64_t at_least, at_most; /* tokens */
};

struct snap_target {
    const struct snap_provider *provider;
    struct str model;  /* upstream's name; empty: what the client said behind "provider/" */
    struct str quoted; /* the same as a JSON string */
    uint32_t weight, priority;
    struct health *lane;               /* the model there; NULL: any model of the provider */
    struct health *const *limits;      /* snap_limit_on() */
    struct load *load;                 /* what it has to do, in all models */
    uint64_t place;                    /* among the others, for calls that stick */
    struct str told;                   /* snap_told(); empty where the client names the model */
    const struct snap_condition *when; /* all must hold */
    uint32_t n_when;
    uint32_t quirks;    /* of the provider and of this model: enum quirk, dialect/format.h */
    int64_t reads;      /* tokens that the model takes in, 0: unknown */
    int64_t max_output; /* the model's, 0: unknown; both only where `model` is known */
    uint32_t first_token_ms, between_tokens_ms; /* of streams; 0: none */
    struct hedge *hedge;       /* how fast its streams begin; NULL: the model is not hedged */
    struct hedge *hedge_whole; /* ... and its whole answers */
    const struct price
        *price; /* the newest; NULL: not known, or the name is the client's (call_price) */
};

/* Models that nobody has listed find their limits by their name, and there are so many places for them: two that
 * share one rest together. With a single place a limit of one model would keep all others of its provider. */
enum { SNAP_LIMIT_PLACES = 64 };

struct snap_model {
    struct str name;                   /* what clients ask for */
    struct str id;                     /* the model's own: `name` may be an alias */
    const struct snap_target *targets; /* by priority */
    uint32_t n_targets;
    bool listed;     /* appears in /v1/models */
    uint8_t balance; /* enum balance */
    uint8_t n_sticky;
    uint8_t sticky[STICKY_COUNT]; /* enum sticky, in their order */
    bool widens;                  /* some of its targets are known to read more than others */
    bool looks; /* calls are looked into for it (traits.c): it has conditions, or sticks */
    struct str lifecycle;   /* lines of its answers: Deprecation, Sunset, Link; empty: it stays */
    uint64_t deprecated_us; /* wall clock; 0: never */
    uint64_t sunset_us;     /* wall clock, from when on it is gone; 0: never */
    struct str successor;   /* the model that takes its place; may be empty */
    const struct model_facts *facts; /* of the first target; NULL: nothing is known */
    const struct snap_limits *limits;
    struct snap_retry retry;
    const struct config_hedge *hedge; /* NULL: no second attempts */
    uint64_t total_ms;                /* that a call may take; 0: as long as it likes */
    uint32_t masking;                 /* the number of its set of policies */
    struct snap_cache cache;
    struct snap_bodies bodies;
};

/* What the file, the environment and the key file said at the last reading; shared by all snapshots
 * that are compiled from it until the next one. */
struct config_base {
    _Atomic uint32_t refs;
    struct arena arena;
    const struct config *config;
    const struct keyfile_entry *keys;
    size_t n_keys;
};
struct config_base *config_base_ref(struct config_base *b);
void config_base_unref(struct config_base *b); /* NULL is allowed */

struct snapshot {
    _Atomic uint32_t refs;
    struct config_base *base; /* what `config` points into besides; NULL: nothing */
    uint64_t generation;
    struct arena arena;
    const struct config *config; /* in its own arena, released with the snapshot */
    struct arena config_arena;
    void (*release)(void *held); /* of what the configuration points into besides */
    void *held;
    const struct snap_provider *providers;
    size_t n_providers;
    const struct snap_model *models; /* listed ones first, in the order of the configuration */
    size_t n_models;
    const struct snap_limit *limits; /* all */
    size_t n_limits;
    uint32_t full_load; /* of a worker: calls under way, and what stands for its being late */
    const struct snap_limits *of_addresses; /* what holds for each client address; NULL: nothing */
    const struct network *proxies;          /* config->n_trusted_proxies */
    struct snap_retry retry;                /* of everybody */
    struct snap_cache cache;                /* the same */
    bool caches;                            /* some policy has one */
    struct snap_bodies bodies;              /* of everybody */
    bool keeps_bodies;                      /* some policy says so */
    struct snap_masking *maskings; /* by the numbers of key and model; NULL: no policy masks */
    size_t n_maskings;
    uint32_t masking_models; /* how many sets models have */
    struct snap_key *keys;
    size_t n_keys;
    uint32_t *_key_slots, *_model_slots; /* open addressing; 1 + index */
    uint32_t _key_mask, _model_mask;
    uint64_t _seed;
};

/* What a snapshot is made of. All of it lives in `arena`. */
struct snapshot_input {
    struct arena arena;
    const struct config *config;
    const struct keyfile_entry *keys; /* beside those of the configuration */
    size_t n_keys;
    uint64_t generation;
    void (*release)(void *held); /* called when the snapshot goes, on any thread; NULL: nothing */
    void *held;                  /* in `arena` */
    struct config_base *base;    /* the snapshot takes a reference of its own; NULL: none */
    struct tls_ctx **client_tls; /* kept from compilation to compilation by the caller: it has read
                                    all certificates of the system; NULL: made anew */
};

/* Compiles. The input's arena becomes the snapshot's on success. 0, or -EINVAL with lines in
 * `errors`. Starts with one reference. */
__attribute__((warn_unused_result)) int snapshot_compile(const struct snapshot_input *in,
                                                         struct snapshot **ret, struct buf *errors);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/* The key whose secret this is, or NULL. Compares digests in constant time. */
const struct snap_key *snapshot_key(const struct snapshot *s, struct str secret);
bool snap_key_may(const struct snap_key *k, struct str model);
/* The lines of an answer that say who gave it, accord-provider and accord-target; in `a`. */
struct str snap_told(struct arena *a, const struct snap_provider *p, struct str model);
/* Whether the text is one of those, or begins like one that ends in '*'. */
bool snap_matches(const struct str *patterns, size_t n, struct str text);

/* The model of that name; for "provider/name" of a provider that takes any name, `*ret_name` is the
 * name behind the slash and the answer the provider's wildcard. NULL: unknown. */
const struct snap_model *snapshot_model(const struct snapshot *s, struct str name,
                                        struct str *ret_name);

/* How the provider's credential of that index is doing with the target's model; `name`: the one behind the slash,
 * when the target is a wildcard's. */
struct health *snap_limit_on(const struct snap_target *t, struct str name, size_t credential);

#endif
