/* The configuration: YAML subset, field tables, references, environment, printing, schema. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/config.h"
#include "model/kinds.h"
#include "model/yaml.h"

struct loaded {
    struct arena arena;
    struct buf errors;
    struct config *config; /* NULL: refused */
};

static bool keeps_ci(struct str data_dir, struct str id)
{
    return str_eq(data_dir, STR("./data")) && str_eq(id, STR("ci"));
}

static struct loaded load_with(const char *text, struct config_overrides over)
{
    struct loaded l = {0};
    int r = config_load_text(&l.arena, STR("a.yaml"), str_of(text), &over, &l.config, &l.errors);
    assert_int_equal(r, l.config ? 0 : -EINVAL);
    assert_true((l.errors.n == 0) == (r == 0));
    buf_addc(&l.errors, 0);
    return l;
}

static struct loaded load(const char *text)
{
    return load_with(text, (struct config_overrides){.no_environment = true});
}

static void unload(struct loaded *l)
{
    buf_free(&l->errors);
    arena_reset(&l->arena);
}

static void assert_str(struct str s, const char *z)
{
    assert_int_equal(s.n, strlen(z));
    assert_memory_equal(s.p, z, s.n);
}

/* `text` is refused with exactly these lines. */
static void refused(const char *text, const char *lines)
{
    struct loaded l = load(text);
    assert_string_equal(l.errors.p, lines);
    assert_null(l.config);
    unload(&l);
}

/* `text` is refused, and `part` says so. */
static void refused_saying(const char *text, const char *part)
{
    struct loaded l = load(text);
    assert_null(l.config);
    if (!strstr(l.errors.p, part)) {
        print_error("%s\nwas refused without \"%s\":\n%s", text, part, l.errors.p);
        fail();
    }
    unload(&l);
}

static const char sample[] = "listen: [127.0.0.1:4090, '[::1]:0', unix:/run/accord.sock, ':80']\n"
                             "workers: 2\n"
                             "access_log: off\n"
                             "providers:\n"
                             "  - id: openai\n"
                             "    dialect: openai\n"
                             "    base_url: HTTPS://API.openai.com/v1/\n"
                             "    credential: ${TEST_SECRET}\n"
                             "  - id: claude\n"
                             "    dialect: anthropic\n"
                             "    credential:\n"
                             "      - {id: b, secret: two, priority: 2}\n"
                             "      - {secret: one}\n"
                             "  - id: local\n"
                             "    dialect: ollama\n"
                             "    base_url: http://[::1]:8000\n"
                             "    allow_private_address: true\n"
                             "    models: [tiny, big]\n"
                             "models:\n"
                             "  - id: smart\n"
                             "    aliases: [gpt-4o]\n"
                             "    targets:\n"
                             "      - {provider: local, model: big, weight: 3}\n"
                             "      - {provider: claude, model: c, priority: 2}\n"
                             "keys:\n"
                             "  - {id: dev, secret: abcdefghijklmnop}\n"
                             "  - {id: made}\n"
                             "policies:\n"
                             "  - id: p\n"
                             "    applies_to: {key: dev}\n"
                             "    limits: [{what: concurrency, at_most: 9}, {what: concurrency, "
                             "at_most: 3}]\n"
                             "  - {id: q, applies_to: {org: true}}\n"
                             "  - {id: r, applies_to: {model: smart}}\n";

static void test_a_whole_configuration_is_decoded(void **state)
{
    (void)state;
    setenv("TEST_SECRET", "sk-test-abcdefgh", 1);
    struct loaded l = load(sample);
    const struct config *c = l.config;
    assert_string_equal(l.errors.p, "");
    assert_int_equal(c->n_listen, 4);
    assert_str(c->listen[1], "[::1]:0");
    assert_str(c->listen[3], "0.0.0.0:80");
    assert_int_equal(c->workers, 2);
    assert_str(c->access_log, "off");
    assert_str(c->data, "./data");
    assert_int_equal(c->timeouts.total_ms, 3600000);
    assert_int_equal(c->limits.max_body_bytes, 64 << 20);
    assert_int_equal(c->n_providers, 4); /* with sim */
    assert_str(c->providers[0].base_url, "https://api.openai.com/v1");
    assert_str(secret_reveal(c->providers[0].credentials[0].secret), "sk-test-abcdefgh");
    assert_str(c->providers[0].credentials[0].id, "default");
    assert_str(c->providers[0].origin, "a.yaml:5");
    assert_str(c->providers[1].base_url, "https://api.anthropic.com");
    assert_int_equal(c->providers[1].n_credentials, 2);
    assert_str(secret_reveal(c->providers[1].credentials[0].secret), "one"); /* the best first */
    assert_int_equal(c->providers[1].credentials[1].priority, 2);
    assert_int_equal(c->providers[2].dialect, PROVIDER_OLLAMA);
    assert_true(c->providers[2].allow_private_address);
    assert_str(c->providers[2].models[1], "big");
    assert_true(c->providers[3].builtin_sim);
    assert_str(c->models[0].aliases[0], "gpt-4o");
    assert_int_equal(c->models[0].targets[0].provider, 2);
    assert_int_equal(c->models[0].targets[0].weight, 3);
    assert_int_equal(c->models[0].targets[1].provider, 1);
    assert_int_equal(c->models[0].targets[1].weight, 1);
    assert_int_equal(c->models[0].targets[1].priority, 2);
    assert_str(c->keys[0].models[0], "*");
    assert_true(secret_empty(c->keys[1].secret));
    assert_int_equal(c->policies[0].scope, SCOPE_KEY);
    assert_str(c->policies[0].subject, "dev");
    assert_int_equal(c->policies[0].n_limits, 2);
    assert_int_equal(c->policies[0].limits[1].at_most, 3);
    assert_int_equal(c->policies[0].limits[1].per, PER_NOTHING);
    assert_int_equal(c->policies[1].scope, SCOPE_ORG);
    assert_int_equal(c->policies[1].n_limits, 0);
    assert_int_equal(c->policies[2].scope, SCOPE_MODEL);
    unload(&l);
}

static void test_nothing_is_needed(void **state)
{
    (void)state;
    const char *texts[] = {"", "# only a comment\n", "---\n", "{}", "models:\nkeys: ~\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct loaded l = load(texts[i]);
        assert_non_null(l.config);
        assert_str(l.config->listen[0], "127.0.0.1:4090");
        assert_int_equal(l.config->n_providers, 1);
        assert_str(l.config->providers[0].id, "sim");
        assert_int_equal(l.config->providers[0].n_models, 3);
        assert_true(l.config->environment_providers);
        unload(&l);
    }
}

static void test_a_declared_sim_replaces_the_built_in_one(void **state)
{
    (void)state;
    struct loaded l = load("providers: [{id: sim, dialect: openai}]");
    assert_int_equal(l.config->n_providers, 1);
    assert_false(l.config->providers[0].builtin_sim);
    unload(&l);
}

static void test_all_mistakes_are_told_with_their_places(void **state)
{
    (void)state;
    refused(
        "listn: x\n"
        "providers:\n"
        "  - id: a\n"
        "    dialect: openia\n"
        "    base_url: https://u:p@h/\n"
        "  - {id: a, dialect: ollama}\n"
        "workers: 5000\n",
        "a.yaml:1:1: listn: unknown field; did you mean \"listen\"? A configuration has: listen, "
        "tls, data, trusted_proxies, workers, access_log, environment_providers, timeouts, limits, "
        "fetch, database, shared, responses, ledger, alerts, memory, "
        "providers, models, keys, policies\n"
        "a.yaml:4:14: providers[0].dialect: \"openia\" is not one of openai, anthropic, gemini, "
        "ollama, cohere, bedrock; did you mean \"openai\"?\n"
        "a.yaml:5:15: providers[0].base_url: \"https://u:p@h/\" is not allowed; allowed: http:// "
        "or https://, a host, and if needed :PORT and /PATH; no user, no query, no fragment\n"
        "a.yaml:6:5: providers[1].base_url: missing: the dialect ollama has no official "
        "address\n"
        "a.yaml:6:10: providers[1].id: \"a\" is the id of providers[0] already\n"
        "a.yaml:7:10: workers: 5000 is not allowed; allowed: a whole number from 0 to 1024\n");
}

#define TARGET "models: [{id: m, targets: [{provider: sim, model: x, "
#define POLICY "policies: [{id: p, applies_to: {org: true}, "

static void test_wrong_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "a.yaml:1:1: a list stands here; allowed: a mapping that describes a configuration"},
        {"just text", "\"just text\" stands here"},
        {"listen: []", "listen: 0 stand here; allowed: 1 to 64"},
        {"listen: 4090", "4090 is not a text; put it in quotes"},
        {"listen: '4090'", "allowed: ADDRESS:PORT"},
        {"listen: 1.2.3:80", "allowed: ADDRESS:PORT"},
        {"listen: 1.2.3.4:65536", "allowed: ADDRESS:PORT"},
        {"listen: '[::g]:80'", "allowed: ADDRESS:PORT"},
        {"listen: 'unix:'", "allowed: ADDRESS:PORT"},
        {"listen: [':1', ':1']", "listen[1]: \":1\" stands here twice"},
        {"workers: 1.5", "workers: 1.5 is not allowed"},
        {"workers: '2'", "workers: \"2\" is not allowed"},
        {"workers: 99999999999999999999", "is not allowed; allowed: a whole number"},
        {"data: ''", "data: \"\" is not allowed"},
        {"environment_providers: no", "\"no\" is not allowed; allowed: true or false"},
        {"tls: {key: k.pem}", "tls: certificate and key are both needed"},
        {"timeouts: {connect_ms: -1}", "allowed: a whole number from 0"},
        {"providers: {id: a}", "providers: a mapping stands here; allowed: a list"},
        {"providers: [{dialect: openai}]", "providers[0].id: missing"},
        {"providers: [{id: a}]", "providers[0].dialect: missing"},
        {"providers: [{id: a/b, dialect: openai}]", "providers[0].id: \"a/b\" is not allowed"},
        {"providers: [{id: a, dialect: ollama}]", "the dialect ollama has no official address"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://h:0'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://h?q'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://h/#f'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://[::1'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'ftp://h'}]", "is not allowed"},
        {"providers: [{id: a, dialect: openai, base_url: 'http://h/v1/chat/completions'}]",
         "providers[0].base_url: leave out \"/chat/completions\""},
        {"providers: [{id: a, dialect: ollama, base_url: 'http://h:11434/api'}]",
         "providers[0].base_url: leave out \"/api\""},
        {"providers: [{id: a, dialect: openai, credential: [{id: x}]}]", ".secret: missing"},
        {"providers: [{id: a, dialect: openai, credential: [{secret: x}, {secret: y}]}]",
         "\"default\" is the id of providers[0].credential[0] already"},
        {"providers: [{id: a, dialect: openai, credential: {file: /nowhere/at/all}}]",
         "the file /nowhere/at/all cannot be read: No such file"},
        {"providers: [{id: a, dialect: openai, credential: {file: /dev/zero}}]",
         "it is not a regular file"},
        {"models: [{id: m}]", "models[0].targets: missing"},
        {"models: [{id: m, targets: [{provider: simm, model: x}]}]",
         "there is no provider \"simm\"; did you mean \"sim\"?"},
        {"models: [{id: m, targets: [{provider: big, model: x}]}]",
         "there is no provider \"big\"; declare it under providers\n"},
        {"providers: [{id: a, dialect: openai, credential: ${NAME}}]",
         "(between brackets a variable needs quotes: \"${NAME}\")"},
        {"models: [{id: m, targets: [{provider: google, model: x}]}]",
         "there is no provider \"google\"; declare it, or set GEMINI_API_KEY in the environment"},
        {"models: [{id: m, targets: [{provider: sim}]}]", "targets[0].model: missing"},
        {"models: [{id: m, targets: [{provider: sim, model: x, weight: 1001}]}]", "0 to 1000"},
        {"models: [{id: m, aliases: [m], targets: [{provider: sim, model: x}]}]",
         "models[0].aliases[0]: this name leads to the model \"m\" already"},
        {"models: [{id: m, aliases: [n], targets: [{provider: sim, model: x}]},"
         " {id: n, targets: [{provider: sim, model: x}]}]",
         "models[0].aliases[0]: this name leads to the model \"n\" already"},
        {TARGET "price: {output: 1}}]}]", "targets[0].price.input: missing"},
        {TARGET "price: {in: 1, input: 1}}]}]", "targets[0].price.in: unknown field"},
        {TARGET "when: {header: x, is: []}}]}]", "when.is: 0 stand here; allowed: 1 to 64"},
        {TARGET "when: {model: []}}]}]", "when.model: 0 stand here; allowed: 1 to 64"},
        {"alerts: {webhooks: [], rules: [{id: a, when: error_rate, above: 5,\n webhooks: [b]}]}",
         "a.yaml:2:12: alerts.rules[0].webhooks: \"b\" is no webhook"},
        {"models: [{id: 'a b', targets: [{provider: sim, model: x}]}]", "without spaces"},
        {"keys: [{id: a, secret: tooshort}]", "(8 characters, not shown)"},
        {"keys: [{id: a, models: ['*x']}]", "models[0]: \"*x\" is not allowed"},
        {"keys: [{id: a, secret: aaaaaaaaaaaaaaaa}, {id: b, secret: aaaaaaaaaaaaaaaa}]",
         "keys[1].secret: the key \"a\" has the same secret"},
        {"policies: [{id: p}]", "policies[0].applies_to: missing"},
        {"policies: [{id: p, applies_to: {}}]", "exactly one is needed"},
        {"policies: [{id: p, applies_to: {org: true, key: first}}]", "exactly one is needed"},
        {"policies: [{id: p, applies_to: {key: nobody}}]",
         "there is no key \"nobody\"; declare it under keys, or make it with `accord key create`"},
        {"policies: [{id: p, applies_to: {model: nothing}}]",
         "there is no model \"nothing\"; declare it under models\n"},
        {"policies: [{id: p, applies_to: {model: n}}]\n"
         "models: [{id: m, aliases: [n], targets: [{provider: sim, model: x}]}]",
         "there is no model \"n\"; did you mean \"m\"?"},
        {"policies: [{id: p, applies_to: {team: t}}]", "belongs to the platform"},
        {POLICY "limits: [{what: tokens, at_most: 1}]}]",
         "per is missing; allowed: second, minute"},
        {POLICY "limits: [{what: concurrency, at_most: 1, per: day}]}]",
         "concurrency has no window: leave per out"},
        {POLICY "limits: [{what: tokens, at_most: 1, per: week}]}]",
         "\"week\" is not one of second, minute, hour, day, month"},
        {POLICY "limits: [{what: usd, at_most: 1, per: day}]}]",
         "\"usd\" is not one of concurrency, requests"},
        {POLICY "limits: [{what: tokens, at_most: 0, per: day}]}]", "0 is not allowed"},
        {POLICY "limits: [{what: tokens, at_most: 1, per: hour, time_zone: UTC}]}]",
         "time_zone is for day and month only"},
        {POLICY "budgets: [{usd: 5, tokens: 1, per: day}]}]",
         "exactly one is needed of usd, requests and tokens"},
        {POLICY "budgets: [{per: day}]}]", "exactly one is needed of usd, requests and tokens"},
        {POLICY "budgets: [{usd: 5}]}]", "policies[0].budgets[0].per: missing"},
        {POLICY "budgets: [{usd: 0, per: day}]}]", "0 is not allowed; allowed: a number above 0"},
        {POLICY "budgets: [{usd: -1, per: day}]}]", "-1 is not allowed; allowed: a number above 0"},
        {POLICY "budgets: [{usd: 1.0000000001, per: day}]}]", "at most 9 digits behind the point"},
        {POLICY "budgets: [{usd: 5, per: day, time_zone: Mars/Olympus}]}]",
         "\"Mars/Olympus\" is not allowed; allowed: UTC, or the name of a zone"},
        {POLICY "masking: {}}]", "policies[0].masking: there is nothing to look for"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused_saying(cases[i][0], cases[i][1]);
    }
}

static void test_keys_of_the_data_directory_may_be_named(void **state)
{
    (void)state;
    struct config_overrides over = {.no_environment = true, .key_exists = keeps_ci};
    struct loaded l = load_with("policies: [{id: p, applies_to: {key: ci}}]", over);
    assert_non_null(l.config);
    unload(&l);
    refused_saying("policies: [{id: p, applies_to: {key: ci}}]", "there is no key \"ci\"");
    l = load("policies: [{id: p, applies_to: {key: first}}]");
    assert_non_null(l.config);
    unload(&l);
}

static void test_yaml_that_could_be_read_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a: 1\na: 2\n", "a.yaml:2:1: the key \"a\" stands here twice"},
        {"a: &x 1\nb: *x\n", "a.yaml:1:4: anchors"},
        {"a: *x\n", "a.yaml:1:4: anchors"},
        {"a: !!str 1\n", "a.yaml:1:4: anchors (&x), aliases (*x) and tags"},
        {"a: ! x\n", "tags"},
        {"a: 1\n---\nb: 2\n", "a second one begins here"},
        {"{[a]: b}", "a key must be a plain text"},
        {"a: .inf\n", "a number must be finite"},
        {"a: 0x1ffffffffffffffff\n", "a number must fit in 64 bits"},
        {"a: \"\\0\"\n", "must not hold NUL"},
        {"a:\n\tb: 1\n", "a tab cannot indent"},
        {"a: [1\n", "a.yaml:2:1: while parsing a flow sequence"},
        {"a: \xff\n", "the file must be UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused_saying(cases[i][0], cases[i][1]);
    }
}

static struct json *yaml(struct arena *a, const char *text)
{
    struct mistakes m = {.arena = a};
    struct json *j = yaml_read(a, str_of(text), &m);
    assert_int_equal(m.n, 0);
    return j;
}

static void test_plain_scalars_are_typed_by_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_type type;
        const char *value;
    } cases[] = {
        {"~", JSON_NULL, ""},
        {"NULL", JSON_NULL, ""},
        {"nUll", JSON_STRING, "nUll"},
        {"True", JSON_TRUE, ""},
        {"FALSE", JSON_FALSE, ""},
        {"yes", JSON_STRING, "yes"},
        {"off", JSON_STRING, "off"},
        {"12", JSON_NUMBER, "12"},
        {"+12", JSON_NUMBER, "12"},
        {"-0", JSON_NUMBER, "-0"},
        {"007", JSON_NUMBER, "7"},
        {"0o17", JSON_NUMBER, "15"},
        {"0x1F", JSON_NUMBER, "31"},
        {"0x", JSON_STRING, "0x"},
        {".5", JSON_NUMBER, "0.5"},
        {"-5.", JSON_NUMBER, "-5.0"},
        {"1e3", JSON_NUMBER, "1e3"},
        {"1.5E-3", JSON_NUMBER, "1.5E-3"},
        {"1e", JSON_STRING, "1e"},
        {".", JSON_STRING, "."},
        {"1.2.3", JSON_STRING, "1.2.3"},
        {"1_000", JSON_STRING, "1_000"},
        {"12:30", JSON_STRING, "12:30"},
        {"'12'", JSON_STRING, "12"},
        {"\"true\"", JSON_STRING, "true"},
        {"2026-01-01", JSON_STRING, "2026-01-01"},
        {"18446744073709551616", JSON_NUMBER, "18446744073709551616"},
        {"0xffffffffffffffff", JSON_NUMBER, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct json *j = yaml(&a, cases[i].text);
        assert_int_equal(j->type, cases[i].type);
        assert_str(j->text, cases[i].value);
        arena_reset(&a);
    }
}

static void test_nodes_know_their_places(void **state)
{
    (void)state;
    struct arena a = {0};
    struct json *j = yaml(&a, "é: 1\nb:\n  - x\n  - {k: v}\n");
    const struct json *b = json_get(j, STR("b"));
    assert_int_equal(j->first->key_line, 1);
    assert_int_equal(j->first->column, 4); /* characters, not bytes */
    assert_int_equal(b->key_line, 2);
    assert_int_equal(b->first->line, 3);
    assert_int_equal(b->first->column, 5);
    assert_int_equal(b->last->first->key_column, 6);
    assert_int_equal(b->last->first->column, 9);
    arena_reset(&a);
}

static void test_size_and_depth_have_limits(void **state)
{
    (void)state;
    char deep[2 * YAML_DEPTH_MAX + 8];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    refused_saying(deep, "nested deeper than 64 levels");
    size_t n = YAML_SIZE_MAX + 1;
    char *large = calloc(1, n + 1);
    memset(large, '#', n);
    refused_saying(large, "longer than 4 MiB");
    free(large);
    struct buf many = {0};
    buf_addz(&many, "[");
    for (int k = 0; k <= YAML_NODES_MAX; k++) {
        buf_addz(&many, "a,");
    }
    buf_addz(&many, "]");
    buf_addc(&many, 0);
    refused_saying(many.p, "more than 500000 values");
    buf_free(&many);
}

static void test_many_keys_are_told_apart(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 5000; i++) {
        buf_printf(&b, "k%d: 1\n", i);
    }
    buf_addz(&b, "k4999: 2\nk17: 3\n");
    buf_addc(&b, 0);
    struct arena a = {0};
    struct mistakes m = {.arena = &a};
    assert_non_null(yaml_read(&a, str_of(b.p), &m));
    assert_int_equal(m.n, 2);
    assert_int_equal(m.first->line, 5001);
    assert_int_equal(m.last->line, 5002);
    arena_reset(&a);
    buf_free(&b);
}

static char *write_file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/accord-test-%d", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void test_variables_and_files_are_expanded(void **state)
{
    (void)state;
    char *path = write_file("from-a-file-0123\n");
    char text[1024];
    setenv("TEST_SECRET", "abcdefghijklmnopq", 1);
    setenv("TEST_WORKERS", "3", 1);
    setenv("TEST_BOOL", "true", 1);
    snprintf(text, sizeof text,
             "workers: ${TEST_WORKERS}\n"
             "data: /d/$${x}/$y/${TEST_WORKERS}${TEST_WORKERS}\n"
             "access_log: \"${file:%s}\"\n"
             "providers: [{id: a, dialect: openai, credential: {file: %s},\n"
             "             allow_private_address: '${TEST_BOOL}'}]\n"
             "keys: [{id: k, secret: '${TEST_SECRET}'}, {id: l, secret: '${file:%s}'}]\n",
             path, path, path);
    struct loaded l = load(text);
    assert_string_equal(l.errors.p, "");
    assert_int_equal(l.config->workers, 3);
    assert_str(l.config->data, "/d/${x}/$y/33");
    assert_str(l.config->access_log, "from-a-file-0123");
    assert_true(l.config->providers[0].allow_private_address);
    assert_str(secret_reveal(l.config->providers[0].credentials[0].secret), "from-a-file-0123");
    assert_str(secret_reveal(l.config->keys[0].secret), "abcdefghijklmnopq");
    assert_str(secret_reveal(l.config->keys[1].secret), "from-a-file-0123");
    unload(&l);
    unlink(path);
    unsetenv("TEST_NOTHING");
    refused("data: ${TEST_NOTHING}",
            "a.yaml:1:7: data: the environment variable TEST_NOTHING is not set\n");
    refused_saying("data: ${x", "has no closing }");
    refused_saying("data: ${a-b}", "neither the name of an environment variable nor");
    refused_saying("data: ${file:}", "no usable path");
    struct config_overrides no_files = {.no_environment = true, .no_files = true};
    l = load_with("data: ${file:/etc/hostname}", no_files);
    assert_null(l.config);
    unload(&l);
}

static void test_the_first_key_may_be_unset(void **state)
{
    (void)state;
    const char *text = "keys: [{id: dev, secret: '${ACCORD_FIRST_KEY}'}]";
    unsetenv("ACCORD_FIRST_KEY");
    struct loaded l = load(text);
    assert_true(secret_empty(l.config->keys[0].secret));
    unload(&l);
    setenv("ACCORD_FIRST_KEY", "sk-accord-0123456789", 1);
    l = load(text);
    assert_str(secret_reveal(l.config->keys[0].secret), "sk-accord-0123456789");
    unload(&l);
    unsetenv("ACCORD_FIRST_KEY");
}

/* A secret that stands where it does not belong is refused without being shown. */
static void test_no_mistake_shows_a_secret(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "listen: '${TEST_CANARY}'",
        "workers: '${TEST_CANARY}'",
        "tls: '${TEST_CANARY}'",
        "environment_providers: '${TEST_CANARY}'",
        "providers: [{id: '${TEST_CANARY} ', dialect: openai}]",
        "providers: [{id: a, dialect: '${TEST_CANARY}'}]",
        "providers: [{id: a, dialect: openai, base_url: '${TEST_CANARY}'}]",
        "providers: [{id: a, dialect: openai, credential: '${TEST_CANARY} '}]",
        "providers: [{id: a, dialect: openai, credential: [{secret: 'canary one two'}]}]",
        "providers: [{id: a, dialect: openai, credential: {canary-abc}}]",
        "providers: [{id: a, dialect: openai, credential: [canary-abc]}]",
        "providers: [{id: a, dialect: openai, credential: {file: canary, x: canary}}]",
        "providers: [{id: a, dialect: openai, credential: [{secret: {canary: 1}}]}]",
        "providers: [{id: a, dialect: openai, credential: {file: canary-abc}}]",
        "providers: [{id: a, dialect: openai, credential: {file: '/${TEST_CANARY}'}}]",
        "providers: [{id: a, dialect: openai, credential: '${file:canary-abc}'}]",
        "keys: [{id: a, secret: canary}]",
        "keys: [{id: a, secret: [canary]}]",
        "keys: [canary]",
        "keys: [{canary-0123456789}]",
        "keys: [{id: a, secret: '${TEST_CANARY} '}]",
        "keys: [{id: a, secret: '${canary-x}'}]",
        "keys: [{id: a, secret: canary-canary-xx}, {id: b, secret: canary-canary-xx}]",
        "models: [{id: m, targets: [{provider: '${TEST_CANARY}', model: x}]}]",
        "policies: [{id: p, applies_to: {key: '${TEST_CANARY}'}}]",
        "policies: [{id: p, applies_to: {model: '${TEST_CANARY}'}}]",
    };
    setenv("TEST_CANARY", "canary", 1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct loaded l = load(texts[i]);
        assert_null(l.config);
        if (strstr(l.errors.p, "canary")) {
            print_error("%s\nshows it:\n%s", texts[i], l.errors.p);
            fail();
        }
        unload(&l);
    }
}

static void clear_environment(void)
{
    static const char *const names[] = {
        "OPENAI_API_KEY",     "OPENAI_BASE_URL",        "ANTHROPIC_API_KEY", "CO_API_KEY",
        "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY",    "GOOGLE_API_KEY",
        "MISTRAL_API_KEY",    "COHERE_API_KEY",         "GITHUB_TOKEN",      "HF_TOKEN",
        "DASHSCOPE_API_KEY",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsetenv(names[i]);
    }
}

static const struct config_provider *provider(const struct loaded *l, const char *id)
{
    for (size_t i = 0; l->config && i < l->config->n_providers; i++) {
        if (str_eq(l->config->providers[i].id, str_of(id))) {
            return &l->config->providers[i];
        }
    }
    return NULL;
}

static void test_providers_appear_from_the_environment(void **state)
{
    (void)state;
    clear_environment();
    setenv("OPENAI_API_KEY", " sk-env-0123456789 ", 1);
    setenv("CO_API_KEY", "co", 1);
    setenv("GOOGLE_API_KEY", "second", 1);
    setenv("GEMINI_API_KEY", "first", 1);
    setenv("ANTHROPIC_API_KEY", "sk-accord-made-by-ourselves", 1);
    setenv("MISTRAL_API_KEY", "", 1);
    setenv("GITHUB_TOKEN", "general", 1);
    setenv("HF_TOKEN", "general", 1);
    setenv("DASHSCOPE_API_KEY", "d", 1);
    struct loaded l = load_with("", (struct config_overrides){0});
    const struct config_provider *p = provider(&l, "openai");
    assert_str(p->base_url, "https://api.openai.com/v1");
    assert_str(secret_reveal(p->credentials[0].secret), "sk-env-0123456789");
    assert_str(p->origin, "environment OPENAI_API_KEY");
    assert_true(p->n_models > 10);
    assert_false(p->allow_private_address);
    assert_int_equal(provider(&l, "cohere")->dialect, PROVIDER_COHERE);
    assert_str(secret_reveal(provider(&l, "google")->credentials[0].secret), "first");
    assert_int_equal(provider(&l, "google")->dialect, PROVIDER_GEMINI);
    assert_non_null(provider(&l, "alibaba"));
    assert_non_null(provider(&l, "sim"));
    assert_null(provider(&l, "alibaba-cn"));
    assert_null(provider(&l, "anthropic"));
    assert_null(provider(&l, "mistral"));
    assert_null(provider(&l, "github-models"));
    assert_null(provider(&l, "huggingface"));
    unload(&l);
    l = load_with("environment_providers: false", (struct config_overrides){0});
    assert_int_equal(l.config->n_providers, 1);
    unload(&l);
    l = load_with("providers: [{id: openai, dialect: openai}]", (struct config_overrides){0});
    assert_str(provider(&l, "openai")->origin, "a.yaml:1"); /* the file wins */
    unload(&l);
    clear_environment();
}

static void test_base_urls_of_the_environment(void **state)
{
    (void)state;
    clear_environment();
    setenv("OPENAI_API_KEY", "k", 1);
    setenv("ANTHROPIC_API_KEY", "k", 1);
    setenv("OPENAI_BASE_URL", "http://localhost:9000/v1/", 1);
    setenv("ANTHROPIC_BASE_URL", "https://proxy.example", 1);
    struct loaded l = load_with("", (struct config_overrides){0});
    assert_str(provider(&l, "openai")->base_url, "http://localhost:9000/v1");
    assert_true(provider(&l, "openai")->allow_private_address);
    assert_int_equal(provider(&l, "openai")->n_models, 0);
    assert_str(provider(&l, "anthropic")->base_url, "https://proxy.example");
    assert_false(provider(&l, "anthropic")->allow_private_address);
    unload(&l);
    setenv("OPENAI_BASE_URL", "localhost:9000", 1);
    l = load_with("", (struct config_overrides){0});
    assert_null(l.config);
    assert_non_null(strstr(l.errors.p, "OPENAI_BASE_URL: this environment variable is not"));
    unload(&l);
    clear_environment();
}

static void test_overrides_win_and_are_checked(void **state)
{
    (void)state;
    struct config_overrides over = {
        .no_environment = true, .listen = STR("localhost:0"), .data = STR("/x"), .workers = 7};
    struct loaded l = load_with("listen: [':1', ':2']\nworkers: 1\n", over);
    assert_int_equal(l.config->n_listen, 1);
    assert_str(l.config->listen[0], "127.0.0.1:0");
    assert_str(l.config->data, "/x");
    assert_int_equal(l.config->workers, 7);
    unload(&l);
    over.listen = STR("nowhere");
    l = load_with("", over);
    assert_non_null(strstr(l.errors.p, "--listen: not allowed; allowed: ADDRESS:PORT"));
    unload(&l);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf errors = {0};
    struct config *c;
    assert_int_equal(config_load(&a, "/nowhere/accord.yaml", NULL, &c, &errors), -ENOENT);
    buf_addc(&errors, 0);
    assert_string_equal(errors.p, "/nowhere/accord.yaml: the configuration cannot be read: No such "
                                  "file or directory\n");
    buf_free(&errors);
    char *path = write_file("workers: 3\nlimits: {max_connections: 0}\n");
    assert_int_equal(config_load(&a, path, NULL, &c, &errors), -EINVAL);
    buf_addc(&errors, 0);
    assert_non_null(strstr(errors.p, ":2:27: limits.max_connections: 0 is not allowed"));
    unlink(path);
    buf_free(&errors);
    arena_reset(&a);
}

static void test_the_effective_configuration_is_printed_without_secrets(void **state)
{
    (void)state;
    setenv("TEST_SECRET", "sk-test-abcdefgh", 1);
    struct loaded l = load(sample);
    struct buf b = {0};
    config_print(&b, l.config);
    config_print_json(&b, l.config);
    buf_addc(&b, 0);
    assert_null(strstr(b.p, "sk-test"));
    assert_null(strstr(b.p, "abcdefghijklmnop"));
    assert_null(strstr(b.p, "secret: one"));
    assert_non_null(strstr(b.p, "  - id: openai  # a.yaml:5\n"));
    assert_non_null(strstr(b.p, "secret: \"****efgh\"\n"));
    assert_non_null(strstr(b.p, "secret: \"****\"\n"));
    assert_non_null(strstr(b.p, "  - id: dev  # a.yaml:26\n    secret: \"****mnop\"\n"));
    assert_non_null(strstr(b.p, "# built in: sim/echo sim/lorem sim/fault\n"));
    assert_non_null(strstr(b.p, "\"id\":\"sim\""));
    buf_free(&b);
    unload(&l);
}

/* What is printed can be read again, and says the same. */
static void test_the_printed_configuration_can_be_read_again(void **state)
{
    (void)state;
    struct loaded l =
        load("data: \"/x y/$${z}: #1 -\"\naccess_log: '007'\n"
             "listen: ['[::1]:80', unix:/run/x]\n"
             "providers: [{id: '1', dialect: cohere, models: ['true', '~', '1e3', '0x1', 'a:', '-',"
             " '--', '.5', '1:2', '&a', 'é', '[', '2026-01-01', '+1', '1/2', 'no']}]\n"
             "keys: [{id: k, models: []}]\n"
             "models: [{id: 'null', targets: [{provider: '1', model: '@x'}]}]\n");
    assert_string_equal(l.errors.p, "");
    struct buf b = {0}, again = {0};
    config_print(&b, l.config);
    buf_addc(&b, 0);
    struct loaded m = load(b.p);
    assert_string_equal(m.errors.p, "");
    assert_int_equal(m.config->providers[0].n_models, l.config->providers[0].n_models);
    for (size_t i = 0; i < l.config->providers[0].n_models; i++) {
        assert_true(str_eq(m.config->providers[0].models[i], l.config->providers[0].models[i]));
    }
    assert_str(m.config->data, "/x y/${z}: #1 -");
    assert_int_equal(m.config->keys[0].n_models, 0); /* none, not the default */
    assert_str(m.config->access_log, "007");
    assert_str(m.config->models[0].id, "null");
    m.config->providers[0].origin = l.config->providers[0].origin; /* the lines are others */
    m.config->keys[0].origin = l.config->keys[0].origin;
    config_print(&again, m.config);
    buf_addc(&again, 0);
    assert_string_equal(b.p, again.p);
    buf_free(&b);
    buf_free(&again);
    unload(&l);
    unload(&m);
}

/* The schema that is shipped is the one that the program prints. The root of the source is found by
 * the path of this file, wherever the test runs. */
static void test_the_shipped_schema_is_current(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str here = str_of(__FILE__);
    struct str root = str_first(here, here.n - strlen("tests/unit/test_config.c"));
    const char *path =
        arena_dupz(&a, arena_printf(&a, "%.*sdocs/accord.schema.json", STR_ARG(root)));
    FILE *f = fopen(path, "r");
    struct buf shipped = {0}, made = {0};
    char chunk[4096];
    size_t n;
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        buf_add(&shipped, str_make(chunk, n));
    }
    fclose(f);
    config_schema(&made);
    buf_addc(&shipped, 0);
    buf_addc(&made, 0);
    if (strcmp(shipped.p, made.p) != 0) {
        print_error("docs/accord.schema.json is old: accord check --schema makes a new one\n");
        fail();
    }
    buf_free(&shipped);
    buf_free(&made);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_configuration_is_decoded),
        cmocka_unit_test(test_nothing_is_needed),
        cmocka_unit_test(test_a_declared_sim_replaces_the_built_in_one),
        cmocka_unit_test(test_all_mistakes_are_told_with_their_places),
        cmocka_unit_test(test_wrong_values_are_refused),
        cmocka_unit_test(test_keys_of_the_data_directory_may_be_named),
        cmocka_unit_test(test_yaml_that_could_be_read_two_ways_is_refused),
        cmocka_unit_test(test_plain_scalars_are_typed_by_the_core_schema),
        cmocka_unit_test(test_nodes_know_their_places),
        cmocka_unit_test(test_size_and_depth_have_limits),
        cmocka_unit_test(test_many_keys_are_told_apart),
        cmocka_unit_test(test_variables_and_files_are_expanded),
        cmocka_unit_test(test_the_first_key_may_be_unset),
        cmocka_unit_test(test_no_mistake_shows_a_secret),
        cmocka_unit_test(test_providers_appear_from_the_environment),
        cmocka_unit_test(test_base_urls_of_the_environment),
        cmocka_unit_test(test_overrides_win_and_are_checked),
        cmocka_unit_test(test_a_file_that_cannot_be_read),
        cmocka_unit_test(test_the_effective_configuration_is_printed_without_secrets),
        cmocka_unit_test(test_the_printed_configuration_can_be_read_again),
        cmocka_unit_test(test_the_shipped_schema_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
