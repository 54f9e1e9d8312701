/* What a configuration becomes: keys by their secret, models by all their names, limits, upstreams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>

#include "gateway/snapshot.h"

static const struct config_overrides over = {.no_environment = true};

/* Compiles a text; `keys` come from the key file. */
static struct snapshot *compile(const char *text, const struct keyfile_entry *keys, size_t n_keys)
{
    struct arena a = {0};
    struct buf errors = {0};
    struct config *c = NULL;
    if (config_load_text(&a, STR("a.yaml"), str_of(text), &over, &c, &errors) < 0) {
        fail_msg("%.*s", (int)errors.n, errors.p);
    }
    struct snapshot_input in = {
        .arena = a, .config = c, .keys = keys, .n_keys = n_keys, .generation = 7};
    struct snapshot *s = NULL;
    if (snapshot_compile(&in, &s, &errors) < 0) {
        fail_msg("%.*s", (int)errors.n, errors.p);
    }
    assert_int_equal(errors.n, 0);
    assert_int_equal(s->generation, 7);
    buf_free(&errors);
    return s;
}

/* ---- models ---- */

static const char models_text[] = "providers:\n"
                                  "  - {id: openai, dialect: openai, base_url: "
                                  "'https://api.openai.com/v1', credential: sk-test-1234567,\n"
                                  "     models: [gpt-4o, gpt-5, shared]}\n"
                                  "  - {id: claude, dialect: anthropic, base_url: "
                                  "'https://api.anthropic.com', credential: sk-ant-123456,\n"
                                  "     models: [claude-sonnet-4-5, shared]}\n"
                                  "  - {id: local, dialect: openai, base_url: "
                                  "'http://127.0.0.1:8000/v1', allow_private_address: true}\n"
                                  "models:\n"
                                  "  - id: smart\n"
                                  "    aliases: [gpt-4o, claude-smart, org/deep/name]\n"
                                  "    targets:\n"
                                  "      - {provider: local, model: 'llama\"3\"', priority: 2}\n"
                                  "      - {provider: openai, model: gpt-4o, weight: 3}\n"
                                  "      - {provider: claude, model: claude-sonnet-4-5}\n";

static const struct snap_model *model(const struct snapshot *s, const char *name, struct str *rest)
{
    size_t n = strlen(name); /* in memory that ends with the name */
    char *own = malloc(n ? n : 1);
    memcpy(own, name, n);
    const struct snap_model *m = snapshot_model(s, str_make(own, n), rest);
    if (rest->n) {
        assert_true(rest->p > own && rest->p + rest->n == own + n);
        rest->p = name + (rest->p - own);
    }
    free(own);
    return m;
}

static void models_by_name(void **state)
{
    (void)state;
    struct snapshot *s = compile(models_text, NULL, 0);
    static const struct {
        const char *name;     /* what a client asks for */
        const char *found;    /* the model's name; NULL: unknown */
        const char *rest;     /* for a wildcard: what it is asked for */
        const char *provider; /* of the first target */
        const char *upstream; /* its name there */
    } want[] = {
        {"smart", "smart", "", "openai", "gpt-4o"},
        {"claude-smart", "claude-smart", "", "openai", "gpt-4o"},
        {"org/deep/name", "org/deep/name", "", "openai", "gpt-4o"},
        {"gpt-4o", "gpt-4o", "", "openai", "gpt-4o"}, /* the alias, not the bare name */
        {"openai/gpt-4o", "openai/gpt-4o", "", "openai", "gpt-4o"}, /* only that target */
        {"gpt-5", "gpt-5", "", "openai", "gpt-5"},    /* a bare name that one provider lists */
        {"shared", "shared", "", "openai", "shared"}, /* the first that lists it */
        {"claude/shared", "claude/shared", "", "claude", "shared"},
        {"claude-sonnet-4-5", "claude-sonnet-4-5", "", "claude", "claude-sonnet-4-5"},
        {"local/any", "local/", "any", "local", ""},
        {"local/a/b:c", "local/", "a/b:c", "local", ""},
        {"openai/gpt-6", "openai/", "gpt-6", "openai", ""}, /* listed ones do not close the list */
        {"sim/echo", "sim/echo", "", "sim", "echo"},
        {"sim/x", "sim/", "x", "sim", ""},
        {"", NULL, "", NULL, NULL},
        {"Smart", NULL, "", NULL, NULL},
        {"smart ", NULL, "", NULL, NULL},
        {"smar", NULL, "", NULL, NULL},
        {"echo", NULL, "", NULL, NULL}, /* the simulator gives its names away with its own only */
        {"local", NULL, "", NULL, NULL},
        {"local/", NULL, "", NULL, NULL},
        {"/x", NULL, "", NULL, NULL},
        {"/", NULL, "", NULL, NULL},
        {"nobody/x", NULL, "", NULL, NULL},
        {"org/other", NULL, "", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct str rest;
        const struct snap_model *m = model(s, want[i].name, &rest);
        if (!m != !want[i].found || (m && !str_eq(m->name, str_of(want[i].found)))) {
            fail_msg("\"%s\" is \"%.*s\"", want[i].name, m ? (int)m->name.n : 0,
                     m ? m->name.p : "");
        }
        if (m) {
            assert_true(str_eq(rest, str_of(want[i].rest)));
            assert_true(str_eq(m->targets[0].provider->id, str_of(want[i].provider)));
            assert_true(str_eq(m->targets[0].model, str_of(want[i].upstream)));
        }
    }
    snapshot_unref(s);
}

static void targets_by_priority(void **state)
{
    (void)state;
    struct snapshot *s = compile(models_text, NULL, 0);
    struct str rest;
    const struct snap_model *m = model(s, "smart", &rest);
    assert_int_equal(m->n_targets, 3);
    assert_int_equal(m->targets[0].weight, 3);
    assert_int_equal(m->targets[0].priority, 1);
    assert_int_equal(m->targets[1].weight, 1);
    assert_int_equal(m->targets[2].priority, 2);
    assert_true(str_eq(m->targets[2].provider->id, STR("local")));
    assert_true(str_eq(m->targets[2].quoted, STR("\"llama\\\"3\\\"\"")));
    assert_true(m->listed);
    snapshot_unref(s);
}

/* The list of models: declared ones and what providers list, no bare doubles, no wildcards. */
static void listed_models(void **state)
{
    (void)state;
    struct snapshot *s = compile(models_text, NULL, 0);
    static const char *const want[] = {
        "smart",         "gpt-4o",       "claude-smart",  "org/deep/name",
        "openai/gpt-4o", "openai/gpt-5", "openai/shared", "claude/claude-sonnet-4-5",
        "claude/shared"};
    size_t n = 0;
    for (size_t i = 0; i < s->n_models; i++) {
        if (s->models[i].listed && !str_starts(s->models[i].name, STR("sim/"))) {
            assert_true(n < sizeof want / sizeof *want);
            assert_true(str_eq(s->models[i].name, str_of(want[n])));
            n++;
        }
    }
    assert_int_equal(n, sizeof want / sizeof *want);
    snapshot_unref(s);
}

/* ---- providers ---- */

static const struct snap_provider *provider(const struct snapshot *s, const char *id)
{
    for (size_t i = 0; i < s->n_providers; i++) {
        assert_int_equal(s->providers[i].index, i);
        if (str_eq(s->providers[i].id, str_of(id))) {
            return &s->providers[i];
        }
    }
    fail_msg("no provider %s", id);
    return NULL;
}

static void providers_taken_apart(void **state)
{
    (void)state;
    struct snapshot *s = compile(
        "providers:\n"
        "  - {id: a, dialect: openai, base_url: 'https://api.openai.com/v1', credential: sk-1}\n"
        "  - {id: b, dialect: anthropic, base_url: 'https://api.anthropic.com', credential: sk-2}\n"
        "  - {id: c, dialect: gemini, base_url: 'http://[::1]:8080/x/v1beta', credential: sk-3,\n"
        "     allow_private_address: true}\n"
        "  - {id: d, dialect: openai, base_url: 'http://h.test:81'}\n"
        "  - {id: e, dialect: openai, base_url: 'http://[fd00::1]', credential: []}\n"
        "  - {id: f, dialect: cohere, base_url: 'https://api.cohere.com', credential: sk-4}\n",
        NULL, 0);
    static const struct {
        const char *id, *host, *base_path, *origin, *fields;
        unsigned port;
        bool tls, private;
    } want[] = {
        {"a", "api.openai.com", "/v1", "https://api.openai.com:443",
         "host: api.openai.com\r\naccept-encoding: identity\r\nauthorization: Bearer sk-1\r\n", 443,
         true, false},
        {"b", "api.anthropic.com", "", "https://api.anthropic.com:443",
         "host: api.anthropic.com\r\naccept-encoding: identity\r\nx-api-key: sk-2\r\n", 443, true,
         false},
        {"c", "::1", "/x/v1beta", "http://::1:8080 (private allowed)",
         "host: [::1]:8080\r\naccept-encoding: identity\r\nx-goog-api-key: sk-3\r\n", 8080, false,
         true},
        {"d", "h.test", "", "http://h.test:81", "host: h.test:81\r\naccept-encoding: identity\r\n",
         81, false, false},
        {"e", "fd00::1", "", "http://fd00::1:80",
         "host: [fd00::1]\r\naccept-encoding: identity\r\n", 80, false, false},
        {"f", "api.cohere.com", "", "https://api.cohere.com:443", NULL, 443, true, false},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct snap_provider *p = provider(s, want[i].id);
        assert_true(str_eq(p->target.host, str_of(want[i].host)));
        assert_true(str_eq(p->base_path, str_of(want[i].base_path)));
        assert_true(str_eq(p->origin_name, str_of(want[i].origin)));
        assert_true(!want[i].fields || str_eq(p->credentials[0].fields, str_of(want[i].fields)));
        assert_int_equal(p->target.port, want[i].port);
        assert_int_equal(p->target.tls, want[i].tls);
        assert_int_equal(p->target.tls_ctx != NULL, want[i].tls);
        assert_int_equal(p->target.allow_private, want[i].private);
    }
    const struct snap_provider *sim = provider(s, "sim");
    assert_true(sim->sim);
    snapshot_unref(s);
}

/* ---- keys ---- */

static const char keys_text[] =
    "keys:\n"
    "  - {id: all, secret: sk-accord-aaaaaaaaaaaaaaaa, models: ['*']}\n"
    "  - {id: some, secret: sk-accord-bbbbbbbbbbbbbbbb, models: [smart, 'openai/*']}\n"
    "  - {id: none, secret: sk-accord-cccccccccccccccc, models: []}\n";

static void keys_by_secret(void **state)
{
    (void)state;
    struct str star = STR("*");
    static struct keyfile_entry kept[4];
    key_digest(STR("sk-accord-from-the-file"), kept[0].digest);
    kept[0].id = STR("kept");
    kept[0].models = &star;
    kept[0].n_models = 1;
    /* Digests that begin like that one and end otherwise, on both sides of it in the table. */
    for (int i = 1; i < 4; i++) {
        kept[i] = kept[0];
        kept[i].id = STR("near");
        kept[i].digest[KEY_DIGEST_SIZE - i] ^= 0x80;
    }
    for (int first = 0; first < 4; first++) {
        struct keyfile_entry turned[4];
        for (int i = 0; i < 4; i++) {
            turned[i] = kept[(i + first) % 4];
        }
        struct snapshot *s = compile(keys_text, turned, 4);
        assert_int_equal(s->n_keys, 7);
        static const struct {
            const char *secret, *id;
        } want[] = {
            {"sk-accord-aaaaaaaaaaaaaaaa", "all"}, {"sk-accord-bbbbbbbbbbbbbbbb", "some"},
            {"sk-accord-from-the-file", "kept"},   {"sk-accord-aaaaaaaaaaaaaaab", NULL},
            {"sk-accord-aaaaaaaaaaaaaaa", NULL},   {"sk-accord-aaaaaaaaaaaaaaaaa", NULL},
            {"SK-accord-aaaaaaaaaaaaaaaa", NULL},  {"", NULL},
        };
        for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
            const struct snap_key *k = snapshot_key(s, str_of(want[i].secret));
            assert_int_equal(k != NULL, want[i].id != NULL);
            assert_true(!k || str_eq(k->id, str_of(want[i].id)));
        }
        assert_null(snapshot_key(s, (struct str){0}));
        snapshot_unref(s);
    }
}

static void patterns_of_keys(void **state)
{
    (void)state;
    struct snapshot *s = compile(keys_text, NULL, 0);
    static const struct {
        const char *model;
        bool all, some;
    } want[] = {
        {"smart", true, true},      {"smart2", true, false},   {"smar", true, false},
        {"openai/x", true, true},   {"openai/", true, true},   {"openai", true, false},
        {"openai/a/b", true, true}, {"Openai/x", true, false}, {"", true, false},
    };
    const struct snap_key *all = snapshot_key(s, STR("sk-accord-aaaaaaaaaaaaaaaa"));
    const struct snap_key *some = snapshot_key(s, STR("sk-accord-bbbbbbbbbbbbbbbb"));
    const struct snap_key *none = snapshot_key(s, STR("sk-accord-cccccccccccccccc"));
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(snap_key_may(all, str_of(want[i].model)), want[i].all);
        assert_int_equal(snap_key_may(some, str_of(want[i].model)), want[i].some);
        assert_false(none && snap_key_may(none, str_of(want[i].model)));
    }
    snapshot_unref(s);
}

/* ---- retries ---- */

static void the_nearest_policy_that_says_it_counts(void **state)
{
    (void)state;
    struct snapshot *s =
        compile("providers:\n"
                "  - {id: p, dialect: openai, base_url: 'http://h', models: [x]}\n"
                "models:\n"
                "  - {id: a, targets: [{provider: p, model: x}]}\n"
                "  - {id: b, targets: [{provider: p, model: x}]}\n"
                "policies:\n"
                "  - {id: one, applies_to: {model: a}, retry: {deadline_ms: 100}}\n"
                "  - {id: two, applies_to: {model: b}, retry: {attempts: 4, deadline_ms: 200}}\n"
                "  - {id: six, applies_to: {org: true}, retry: {attempts: 7}}\n"
                "  - {id: ten, applies_to: {org: true}, retry: {deadline_ms: 300}}\n",
                NULL, 0);
    struct str rest;
    const struct snap_model *a = model(s, "a", &rest), *x = model(s, "p/x", &rest);
    assert_int_equal(a->retry.attempts, 0);
    assert_int_equal(a->retry.deadline_ms, 100);
    assert_int_equal(x->retry.attempts, 4); /* a says nothing of them */
    assert_int_equal(x->retry.deadline_ms, 100);
    assert_int_equal(s->retry.attempts, 7);
    assert_int_equal(s->retry.deadline_ms, 300);
    snapshot_unref(s);
}

/* ---- limits ---- */

/* Two declared models that share an upstream: whoever names that is under the policies of both. */
static void limits_of_an_upstream(void **state)
{
    (void)state;
    struct snapshot *s =
        compile("providers:\n"
                "  - {id: p, dialect: openai, base_url: 'http://h', models: [x, y, z]}\n"
                "  - {id: q, dialect: openai, base_url: 'http://i'}\n"
                "models:\n"
                "  - {id: a, targets: [{provider: p, model: x}, {provider: p, model: x},\n"
                "      {provider: q, model: x}]}\n"
                "  - {id: b, targets: [{provider: p, model: x, price: {input: 3, output: 4}}]}\n"
                "  - {id: c, targets: [{provider: p, model: y}]}\n"
                "policies:\n"
                "  - {id: one, applies_to: {model: a}, retry: {attempts: 2},\n"
                "     limits: [{what: concurrency, at_most: 5}]}\n"
                "  - {id: two, applies_to: {model: b}, limits: [{what: concurrency, at_most: 7}]}\n"
                "  - {id: six, applies_to: {model: b}, masking: {detectors: [email]}}\n",
                NULL, 0);
    struct str rest;
    const char *const names[] = {"p/x", "x"};
    for (size_t i = 0; i < 2; i++) {
        const struct snap_model *m = model(s, names[i], &rest);
        assert_int_equal(m->limits->n_at_once, 2);
        assert_int_equal(m->limits->at_once[0]->rule.at_most, 5);
        assert_int_equal(m->limits->at_once[1]->rule.at_most, 7);
        assert_int_equal(m->retry.attempts, 2);
        assert_int_equal(m->masking, model(s, "b", &rest)->masking);
    }
    assert_true(model(s, "p/x", &rest)->listed);
    const struct snap_model *q = model(s, "q/x", &rest);
    assert_int_equal(q->limits->n_at_once, 1);
    assert_false(q->listed);
    assert_int_equal(rest.n, 0);
    assert_null(model(s, "p/y", &rest)->limits);
    assert_null(model(s, "c", &rest)->limits);
    assert_null(model(s, "q/other", &rest)->limits);
    assert_int_equal(rest.n, 5);
    snapshot_unref(s);
}

static void limits(void **state)
{
    (void)state;
    static const char text[] =
        "providers: [{id: p, dialect: openai, base_url: 'http://h'}]\n"
        "models: [{id: m, aliases: [n], targets: [{provider: p, model: x}]}]\n"
        "keys:\n"
        "  - {id: dev, secret: sk-accord-aaaaaaaaaaaaaaaa, models: ['*']}\n"
        "  - {id: free, secret: sk-accord-bbbbbbbbbbbbbbbb, models: ['*']}\n"
        "policies:\n"
        "  - {id: loose, applies_to: {key: dev}, limits: [{what: concurrency, at_most: 9}]}\n"
        "  - {id: tight, applies_to: {key: dev}, limits: [{what: concurrency, at_most: 3}]}\n"
        "  - {id: whole, applies_to: {org: true}, limits: [{what: concurrency, at_most: 100}]}\n"
        "  - {id: one-model, applies_to: {model: m}, limits: [{what: concurrency, at_most: 5}]}\n";
    struct snapshot *s = compile(text, NULL, 0), *again = compile(text, NULL, 0);
    const struct snap_limits *dev = snapshot_key(s, STR("sk-accord-aaaaaaaaaaaaaaaa"))->limits;
    assert_int_equal(dev->n_at_once, 3); /* everybody's first, then its own in their order */
    assert_int_equal(dev->at_once[0]->rule.at_most, 100);
    assert_int_equal(dev->at_once[1]->rule.at_most, 9);
    assert_int_equal(dev->at_once[2]->rule.at_most, 3);
    assert_true(str_eq(dev->at_once[2]->policy, STR("tight")));
    const struct snap_limits *free = snapshot_key(s, STR("sk-accord-bbbbbbbbbbbbbbbb"))->limits;
    assert_int_equal(free->n_at_once, 1);
    assert_ptr_equal(free->at_once[0], dev->at_once[0]);
    struct str rest;
    assert_int_equal(model(s, "m", &rest)->limits->at_once[0]->rule.at_most, 5);
    assert_ptr_equal(model(s, "m", &rest)->limits, model(s, "n", &rest)->limits);
    /* The same model under its provider's name for it, though the provider lists none. */
    assert_ptr_equal(model(s, "p/x", &rest)->limits->at_once[0],
                     model(s, "m", &rest)->limits->at_once[0]);
    assert_int_equal(model(s, "p/x", &rest)->limits->n_at_once, 1);
    assert_null(model(s, "p/y", &rest)->limits);
    /* A reload counts on with the calls that are under way. */
    const struct snap_limits *after =
        snapshot_key(again, STR("sk-accord-aaaaaaaaaaaaaaaa"))->limits;
    struct counter *tight = dev->at_once[2]->counter, *same = after->at_once[2]->counter;
    assert_ptr_equal(tight, same);
    assert_ptr_not_equal(tight, dev->at_once[1]->counter);
    atomic_fetch_add(&tight->running, 2);
    snapshot_unref(s);
    assert_int_equal(atomic_load(&same->running), 2);
    atomic_fetch_sub(&same->running, 2);
    snapshot_unref(again);
}

/* Windows: what counts the same twice in one policy has two counters; a policy that moves to others begins anew. */
static void windows(void **state)
{
    (void)state;
#define WINDOWS(subject, most)                                                                     \
    "keys:\n"                                                                                      \
    "  - {id: dev, secret: sk-accord-aaaaaaaaaaaaaaaa}\n"                                          \
    "  - {id: ops, secret: sk-accord-bbbbbbbbbbbbbbbb}\n"                                          \
    "policies:\n"                                                                                  \
    "  - id: p\n"                                                                                  \
    "    applies_to: " subject "\n"                                                                \
    "    limits:\n"                                                                                \
    "      - {what: requests, at_most: " most ", per: minute}\n"                                   \
    "      - {what: requests, at_most: 7, per: minute, soft: true}\n"                              \
    "    budgets: [{usd: 5.25, per: month, time_zone: UTC}]\n"
    struct snapshot *s = compile(WINDOWS("{key: dev}", "600"), NULL, 0),
                    *more = compile(WINDOWS("{key: dev}", "900"), NULL, 0),
                    *moved = compile(WINDOWS("{key: ops}", "600"), NULL, 0);
    const struct snap_limits *dev = snapshot_key(s, STR("sk-accord-aaaaaaaaaaaaaaaa"))->limits;
    assert_null(snapshot_key(s, STR("sk-accord-bbbbbbbbbbbbbbbb"))->limits);
    assert_int_equal(dev->n_windows, 3);
    assert_true(dev->tokens);
    assert_int_equal(dev->windows[2]->rule.at_most, 5250000000);
    assert_true(dev->windows[2]->budget && dev->windows[1]->rule.soft);
    assert_ptr_not_equal(dev->windows[0]->counter, dev->windows[1]->counter);
    assert_true(str_eq(dev->windows[0]->ratelimit,
                       STR("ratelimit-policy: \"p\";q=600;w=60\r\nratelimit: \"p\";r=")));
    assert_int_equal(dev->windows[1]->group, LIMIT_GROUPS);
    const struct snap_limits *after = snapshot_key(more, STR("sk-accord-aaaaaaaaaaaaaaaa"))->limits;
    assert_int_equal(after->windows[0]->rule.at_most, 900);
    assert_ptr_equal(after->windows[0]->counter, dev->windows[0]->counter);
    const struct snap_limits *ops = snapshot_key(moved, STR("sk-accord-bbbbbbbbbbbbbbbb"))->limits;
    assert_ptr_not_equal(ops->windows[0]->counter, dev->windows[0]->counter);
    snapshot_unref(s);
    snapshot_unref(more);
    snapshot_unref(moved);
}

/* A key of an application of a team is limited by what holds for all of them, in one chain; keys of one application that
 * have no policy of their own share it. */
static void chains(void **state)
{
    (void)state;
    struct arena a = {0};
    struct config *c = arena_zalloc(&a, sizeof *c);
    static struct config_limit one = {.what = LIMIT_REQUESTS, .at_most = 1, .per = PER_DAY};
    struct config_policy policies[] = {
        {.id = STR("key"), .scope = SCOPE_KEY, .subject = STR("k1")},
        {.id = STR("team"), .scope = SCOPE_TEAM, .subject = STR("t")},
        {.id = STR("other"), .scope = SCOPE_TEAM, .subject = STR("u")},
        {.id = STR("app"), .scope = SCOPE_APPLICATION, .subject = STR("a")},
        {.id = STR("org"), .scope = SCOPE_ORG}};
    c->n_policies = sizeof policies / sizeof *policies;
    c->policies = policies;
    for (size_t i = 0; i < c->n_policies; i++) {
        policies[i].limits = &one;
        policies[i].n_limits = 1;
    }
    struct keyfile_entry keys[] = {
        {.id = STR("k1"), .digest = {1}, .application = STR("a"), .team = STR("t")},
        {.id = STR("k2"), .digest = {2}, .application = STR("a"), .team = STR("t")},
        {.id = STR("k3"), .digest = {3}, .application = STR("a"), .team = STR("t")},
        {.id = STR("k4"), .digest = {4}}};
    struct snapshot_input in = {.arena = a, .config = c, .keys = keys, .n_keys = 4};
    struct snapshot *s = NULL;
    struct buf errors = {0};
    assert_int_equal(snapshot_compile(&in, &s, &errors), 0);
    static const char *const want[] = {"org", "team", "app", "key"};
    for (size_t i = 0; i < 4; i++) {
        const struct snap_limits *l = s->keys[i].limits;
        assert_int_equal(l->n_windows, i == 0 ? 4 : i == 3 ? 1 : 3);
        for (size_t k = 0; k < l->n_windows; k++) {
            assert_true(str_eq(l->windows[k]->policy, str_of(want[k])));
        }
    }
    assert_ptr_equal(s->keys[1].limits, s->keys[2].limits);
    assert_ptr_equal(s->keys[0].limits->windows[1], s->keys[1].limits->windows[1]);
    snapshot_unref(s);
}

/* A thing that one policy alone says comes from the nearest subject, and of several about it from the last; what says
 * something else is no policy about that. */
static void nearest_of_a_key(void **state)
{
    (void)state;
    struct arena a = {0};
    struct config *c = arena_zalloc(&a, sizeof *c);
    struct config_policy policies[] = {
        {.scope = SCOPE_KEY, .subject = STR("k1"), .cache = {.given = true, .ttl_s = 1}},
        {.scope = SCOPE_KEY, .subject = STR("k1"), .cache = {.given = true, .ttl_s = 2}},
        {.scope = SCOPE_KEY, .subject = STR("k1"), .bodies = {.given = true, .max_bytes = 3}},
        {.scope = SCOPE_TEAM, .subject = STR("t"), .cache = {.given = true, .ttl_s = 4}},
        {.scope = SCOPE_TEAM, .subject = STR("t"), .retry = {.given = true, .deadline_ms = 5}},
        {.scope = SCOPE_APPLICATION, .subject = STR("a"), .cache = {.given = true, .ttl_s = 6}},
        {.scope = SCOPE_APPLICATION, .subject = STR("a"), .retry = {.given = true, .attempts = 7}},
        {.scope = SCOPE_APPLICATION, .subject = STR("a"), .priority = PRIORITY_HIGH},
        {.scope = SCOPE_ORG, .cache = {.given = true, .ttl_s = 8}, .priority = PRIORITY_LOW},
        {.scope = SCOPE_ORG, .bodies = {.given = true, .max_bytes = 9}}};
    c->n_policies = sizeof policies / sizeof *policies;
    c->policies = policies;
    for (size_t i = 0; i < c->n_policies; i++) {
        bool says = policies[i].priority || policies[i].scope == SCOPE_ORG;
        policies[i].id = STR("p");
        policies[i].priority = says && i != c->n_policies - 1 ? policies[i].priority : PRIORITIES;
    }
    struct keyfile_entry keys[] = {
        {.id = STR("k1"), .digest = {1}, .application = STR("a"), .team = STR("t")},
        {.id = STR("k2"), .digest = {2}, .application = STR("a"), .team = STR("t")},
        {.id = STR("k3"), .digest = {3}, .team = STR("t")},
        {.id = STR("k4"), .digest = {4}}};
    static const uint32_t want[4][6] = {/* cache, bodies, attempts, deadline, priority */
                                        {2, 3, 7, 5, PRIORITY_HIGH},
                                        {6, 0, 7, 5, PRIORITY_HIGH},
                                        {4, 0, 0, 5, PRIORITY_LOW},
                                        {0, 0, 0, 0, PRIORITY_LOW}};
    struct snapshot_input in = {.arena = a, .config = c, .keys = keys, .n_keys = 4};
    struct snapshot *s = NULL;
    struct buf errors = {0};
    assert_int_equal(snapshot_compile(&in, &s, &errors), 0);
    for (size_t i = 0; i < 4; i++) {
        const struct snap_key *k = &s->keys[i];
        assert_int_equal(k->cache.ttl_s, want[i][0]);
        assert_int_equal(k->bodies.max_bytes, want[i][1]);
        assert_int_equal(k->retry.attempts, want[i][2]);
        assert_int_equal(k->retry.deadline_ms, want[i][3]);
        assert_int_equal(k->priority, want[i][4]);
    }
    assert_int_equal(s->cache.ttl_s, 8);
    assert_int_equal(s->bodies.max_bytes, 9);
    assert_true(s->caches && s->keeps_bodies);
    snapshot_unref(s);
}

/* ---- life ---- */

static void references(void **state)
{
    (void)state;
    struct snapshot *s = compile(keys_text, NULL, 0);
    assert_ptr_equal(snapshot_ref(s), s);
    snapshot_unref(s);
    assert_non_null(snapshot_key(s, STR("sk-accord-aaaaaaaaaaaaaaaa"))); /* still alive */
    snapshot_unref(s);
    snapshot_unref(NULL);
}

/* A refusal says which provider it is about, and leaves the input to the caller. */
static void refusals(void **state)
{
    (void)state;
    struct arena a = {0};
    struct config c = {0};
    struct config_provider p[2] = {{.id = STR("ok"), .base_url = STR("http://h")},
                                   {.id = STR("odd"), .base_url = STR("http://h:70000/x")}};
    c.providers = p;
    c.n_providers = 2;
    struct snapshot_input in = {.arena = a, .config = &c};
    struct snapshot *s = NULL;
    struct buf errors = {0};
    assert_true(snapshot_compile(&in, &s, &errors) < 0);
    assert_null(s);
    assert_true(str_find(buf_str(&errors), STR("odd")) >= 0);
    assert_true(str_find(buf_str(&errors), STR("ok")) < 0);
    buf_free(&errors);
}

/* ---- size ---- */

enum { KEYS = 10000, MODELS = 1000 };

static struct config *large(struct arena *a)
{
    struct config *c = arena_zalloc(a, sizeof *c);
    c->providers = arena_zalloc(a, 2 * sizeof *c->providers);
    c->n_providers = 2;
    c->providers[0] = (struct config_provider){.id = STR("p"), .base_url = STR("http://h.test/v1")};
    c->providers[1] = (struct config_provider){.id = STR("q"), .base_url = STR("http://i.test/v1")};
    c->models = arena_zalloc(a, MODELS * sizeof *c->models);
    c->n_models = MODELS;
    struct str *listed = arena_alloc(a, MODELS * sizeof *listed);
    for (int i = 0; i < MODELS; i++) {
        struct config_target *t = arena_zalloc(a, 2 * sizeof *t);
        listed[i] = arena_printf(a, "upstream-%d", i);
        t[0] =
            (struct config_target){.provider = 0, .model = listed[i], .weight = 1, .priority = 2};
        t[1] =
            (struct config_target){.provider = 1, .model = listed[i], .weight = 1, .priority = 1};
        struct str *alias = arena_alloc(a, sizeof *alias);
        *alias = arena_printf(a, "alias-%d", i);
        c->models[i] = (struct config_model){.id = arena_printf(a, "model-%d", i),
                                             .aliases = alias,
                                             .n_aliases = 1,
                                             .targets = t,
                                             .n_targets = 2};
    }
    c->providers[0].models = listed;
    c->providers[0].n_models = MODELS;
    c->keys = arena_zalloc(a, KEYS * sizeof *c->keys);
    c->n_keys = KEYS;
    static struct str star = {"*", 1};
    for (int i = 0; i < KEYS; i++) {
        c->keys[i] =
            (struct config_key){.id = arena_printf(a, "key-%d", i),
                                .secret = secret_of(arena_printf(a, "sk-accord-secret-%d", i)),
                                .models = &star,
                                .n_models = 1};
    }
    static struct config_limit five[] = {
        {.what = LIMIT_CONCURRENCY, .at_most = 5, .per = PER_NOTHING}};
    c->policies = arena_zalloc(a, 10 * sizeof *c->policies);
    c->n_policies = 10;
    for (int i = 0; i < 10; i++) {
        c->policies[i] = (struct config_policy){.id = arena_printf(a, "policy-%d", i),
                                                .scope = SCOPE_KEY,
                                                .subject = arena_printf(a, "key-%d", i * 100),
                                                .limits = five,
                                                .n_limits = 1};
    }
    return c;
}

static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The floor of time holds for release builds only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define TIMED false
#elif defined(__has_feature)
#define TIMED (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define TIMED true
#endif

static void many_keys_and_models(void **state)
{
    (void)state;
    uint64_t best_us = UINT64_MAX;
    bool watched = getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "vgpreload");
    for (int round = 0; round < (TIMED ? 5 : 1); round++) {
        struct arena a = {0};
        struct config *c = large(&a);
        struct snapshot_input in = {.arena = a, .config = c};
        struct snapshot *s = NULL;
        struct buf errors = {0};
        uint64_t began = cpu_us();
        assert_int_equal(snapshot_compile(&in, &s, &errors), 0);
        uint64_t took = cpu_us() - began;
        best_us = took < best_us ? took : best_us;
        for (int i = 0; i < KEYS; i++) {
            char secret[32], id[32];
            snprintf(secret, sizeof secret, "sk-accord-secret-%d", i);
            snprintf(id, sizeof id, "key-%d", i);
            const struct snap_key *k = snapshot_key(s, str_of(secret));
            assert_non_null(k);
            assert_true(str_eq(k->id, str_of(id)));
            assert_int_equal(k->limits != NULL, i < 1000 && i % 100 == 0);
        }
        for (int i = 0; i < MODELS; i++) {
            char name[32];
            struct str rest;
            snprintf(name, sizeof name, "alias-%d", i);
            const struct snap_model *m = model(s, name, &rest);
            assert_non_null(m);
            assert_true(str_eq(m->targets[0].provider->id, STR("q")));
            snprintf(name, sizeof name, "p/upstream-%d", i);
            assert_non_null(model(s, name, &rest));
            snprintf(name, sizeof name, "model-%d", i + MODELS);
            assert_null(model(s, name, &rest));
        }
        snapshot_unref(s);
    }
    print_message("%d keys, %d models: %llu us\n", KEYS, MODELS, (unsigned long long)best_us);
    if (TIMED && !watched) {
        assert_true(best_us < 20000);
    }
}

/* ---- prices ---- */

static const char prices_text[] =
    "providers:\n"
    "  - {id: openai, dialect: openai, base_url: 'https://api.openai.com/v1', models: [gpt-4o]}\n"
    "  - {id: groq, dialect: openai, base_url: 'https://api.groq.com/openai/v1', models: "
    "[gpt-4o]}\n"
    "models:\n"
    "  - id: smart\n"
    "    targets:\n"
    "      - {provider: openai, model: gpt-4o}\n"
    "      - {provider: groq, model: gpt-4o}\n"
    "      - {provider: groq, model: other, price: {input: 0.05, output: '0.4'}}\n"
    "      - provider: openai\n"
    "        model: gpt-4o\n"
    "        price:\n"
    "          - {input: 9, output: 9, from: '2030-01-01T00:00:00Z'}\n"
    "          - {input: 7, output: 7, from: '2020-01-01T00:00:00Z'}\n";

static void prices_of_targets(void **state)
{
    (void)state;
    struct snapshot *s = compile(prices_text, NULL, 0);
    struct str rest;
    const struct snap_target *t = model(s, "smart", &rest)->targets;
    const uint64_t y2020 = 1577836800000000, y2030 = 1893456000000000;
    assert_int_equal(t[0].price->rate[RATE_INPUT], 2500000);
    assert_null(t[1].price); /* another vendor's price of that name is none */
    assert_int_equal(t[2].price->rate[RATE_INPUT], 50000);
    assert_int_equal(t[2].price->rate[RATE_OUTPUT], 400000);
    assert_int_equal(t[2].price->rate[RATE_CACHE_READ], -1);
    /* The vendor's own, until the first date. */
    assert_ptr_equal(price_at(t[3].price, y2030), t[3].price);
    assert_int_equal(price_at(t[3].price, y2030)->rate[RATE_INPUT], 9000000);
    assert_int_equal(price_at(t[3].price, y2030 - 1)->rate[RATE_INPUT], 7000000);
    assert_int_equal(price_at(t[3].price, y2020 - 1)->version, t[0].price->version);
    assert_int_equal(model(s, "openai/gpt-4o", &rest)->targets->price->version,
                     t[0].price->version);
    assert_null(
        model(s, "openai/gpt-5", &rest)->targets->price); /* the name is known at the call */
    assert_int_equal(model(s, "sim/x", &rest)->targets->price->rate[RATE_INPUT], 0);
    snapshot_unref(s);
}

static void prices_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "{output: 1}",
        "{input: -1}",
        "{input: 1e3}",
        "{input: 0.0000001}",
        "{input: a}",
        ("[{input: 1, from: '2030-01-01T00:00:00Z'}, {input: 2, from: "
         "'2030-01-01T00:00:00Z'}]")};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct arena a = {0};
        struct buf errors = {0};
        struct config *c = NULL;
        struct str text = arena_printf(
            &a, "models: [{id: m, targets: [{provider: sim, model: echo, price: %s}]}]", wrong[i]);
        assert_int_equal(config_load_text(&a, STR("a.yaml"), text, &over, &c, &errors), -EINVAL);
        buf_addc(&errors, 0);
        assert_non_null(strstr(errors.p, "models[0].targets[0].price"));
        buf_free(&errors);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_by_name),
        cmocka_unit_test(targets_by_priority),
        cmocka_unit_test(listed_models),
        cmocka_unit_test(providers_taken_apart),
        cmocka_unit_test(keys_by_secret),
        cmocka_unit_test(patterns_of_keys),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_nearest_policy_that_says_it_counts),
        cmocka_unit_test(nearest_of_a_key),
        cmocka_unit_test(limits_of_an_upstream),
        cmocka_unit_test(windows),
        cmocka_unit_test(chains),
        cmocka_unit_test(references),
        cmocka_unit_test(refusals),
        cmocka_unit_test(many_keys_and_models),
        cmocka_unit_test(prices_of_targets),
        cmocka_unit_test(prices_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
