#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/types.h>

#include "auth/key.h"
#include "auth/keyfile.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/running.h"
#include "model/config.h"
#include "model/rule.h"

struct request {
    const char *id, *models, *config, *data;
    bool json;
};

/* A key that is to be made. */
struct made {
    struct str id, data, *models;
    size_t n_models;
    struct secret secret;
    pid_t reloaded; /* the server that was told, or 0 */
};

static int find_data(struct arena *a, const struct request *q, struct made *m)
{
    struct buf errors = {.arena = a};
    struct config_overrides over = {.data = str_of(q->data), .key_exists = keyfile_has};
    struct config *c;
    if (config_load(a, q->config, &over, &c, &errors) < 0) {
        fwrite(errors.p, 1, errors.n, stderr);
        return CLI_CONFIG;
    }
    m->data = c->data;
    for (size_t i = 0; i < c->n_keys; i++) {
        if (str_eq(c->keys[i].id, m->id)) {
            fprintf(stderr, "accord key create: the configuration has a key \"%.*s\" already\n",
                    STR_ARG(m->id));
            return CLI_CONFLICT;
        }
    }
    return CLI_OK;
}

static int wrong(const char *option, const char *allowed)
{
    fprintf(stderr, "accord key create: the value of %s is not allowed; allowed: %s\n", option,
            allowed);
    fputs("accord: `accord help key create` lists the options\n", stderr);
    return CLI_USAGE;
}

static int read_request(struct arena *a, const struct request *q, struct made *m)
{
    struct str all = str_of(q->models ? q->models : "*"), tidy;
    unsigned char random[4];
    char hex[9];
    if (sodium_init() < 0) {
        fputs("accord key create: the system gives no random numbers\n", stderr);
        return CLI_FAILED;
    }
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    m->id = q->id ? str_of(q->id) : arena_printf(a, "key-%s", hex);
    if (!rule_name.check(a, m->id, &tidy)) {
        return wrong("--id", rule_name.allowed);
    }
    m->models = arena_alloc(a, (all.n + 1) * sizeof *m->models);
    while (all.n) {
        struct str one;
        str_cut(&all, ',', &one);
        one = str_trim(one);
        if (m->n_models == KEYFILE_MODELS_MAX ||
            !rule_model_pattern.check(a, one, &m->models[m->n_models])) {
            return wrong("--models", rule_model_pattern.allowed);
        }
        m->n_models++;
    }
    return CLI_OK;
}

static int add(struct arena *a, struct made *m)
{
    m->secret = key_make(a);
    int r = keyfile_add(m->data, m->id, secret_reveal(m->secret), m->models, m->n_models);
    if (r == -EEXIST) {
        fprintf(stderr, "accord key create: there is a key \"%.*s\" already; choose another --id\n",
                STR_ARG(m->id));
        return CLI_CONFLICT;
    }
    if (r < 0) {
        const char *why = r == -EBADMSG ? "it holds lines that are no keys" : strerror(-r);
        fprintf(stderr, "accord key create: %.*s/keys.jsonl cannot be written: %s\n",
                STR_ARG(m->data), why);
        return CLI_FAILED;
    }
    m->reloaded = running_reload(a, m->data);
    return CLI_OK;
}

static void print(struct arena *a, const struct made *m, bool json)
{
    struct str secret = secret_reveal(m->secret);
    struct buf b = {.arena = a};
    if (!json) {
        printf("%.*s\n", STR_ARG(secret));
        fprintf(stderr, "The key \"%.*s\" is made; its secret is shown only now.%s\n",
                STR_ARG(m->id), m->reloaded ? " The running server takes it." : "");
        return;
    }
    buf_printf(&b, "{\"id\":\"%.*s\",\"secret\":\"%.*s\",\"models\":[", STR_ARG(m->id),
               STR_ARG(secret));
    for (size_t i = 0; i < m->n_models; i++) {
        buf_addz(&b, i ? ",\"" : "\"");
        buf_add_json(&b, m->models[i]);
        buf_addc(&b, '"');
    }
    buf_printf(&b, "],\"reloaded\":%s}\n", m->reloaded ? "true" : "false");
    fwrite(b.p, 1, b.n, stdout);
}

int cli_key_create(int argc, char **argv)
{
    struct request q = {0};
    const struct args_option options[] = {
        {"--id", 0, .value = &q.id},           {"--models", 0, .value = &q.models},
        {"--config", 'c', .value = &q.config}, {"--data", 0, .value = &q.data},
        {"--json", 0, .flag = &q.json},        {0},
    };
    struct arena a = {0};
    struct made m = {0};
    int r;
    if (args_read("key create", argc, argv, options, &r) < 0) {
        return r;
    }
    r = read_request(&a, &q, &m);
    if (r == CLI_OK) {
        r = find_data(&a, &q, &m);
    }
    if (r == CLI_OK) {
        r = add(&a, &m);
    }
    if (r == CLI_OK) {
        print(&a, &m, q.json);
    }
    arena_reset(&a);
    return r;
}
