#include "model/environment.h"

#include <stdlib.h>

#include "model/kinds.h"

struct known_provider {
    const char *id;
    enum provider_dialect dialect;
    const char *base_url;
    const char *variables;         /* comma-separated; the first that is set counts */
    const char *base_url_variable; /* or NULL */
    const char *models;            /* each ends with NUL */
    size_t n_models;
};

#include "known_providers.h"

enum { KNOWN = sizeof known_providers / sizeof *known_providers };

size_t environment_max(void)
{
    return KNOWN;
}

struct str environment_variable(struct str id)
{
    struct str names, first = {0};
    for (size_t i = 0; i < KNOWN; i++) {
        if (str_eq(id, str_of(known_providers[i].id))) {
            names = str_of(known_providers[i].variables);
            str_cut(&names, ',', &first);
        }
    }
    return first;
}

/* A key made by Accord is in the environment of an application that calls Accord; it opens no
 * provider, and sending it there would give it away. */
static bool is_usable(struct arena *a, struct str secret)
{
    struct str tidy;
    return rule_secret.check(a, secret, &tidy) && !str_starts(secret, STR("sk-accord-"));
}

static bool find_secret(struct arena *a, const struct known_provider *k, struct str *ret_name,
                        struct str *ret_secret)
{
    struct str names = str_of(k->variables), name;
    while (names.n) {
        str_cut(&names, ',', &name);
        struct str value = str_trim(str_of(getenv(arena_dupz(a, name))));
        if (is_usable(a, value)) {
            *ret_name = arena_dup(a, name);
            *ret_secret = arena_dup(a, value);
            return true;
        }
    }
    return false;
}

static void list_models(struct arena *a, const struct known_provider *k, struct config_provider *p)
{
    const char *at = k->models;
    p->models = arena_alloc(a, (k->n_models + 1) * sizeof *p->models);
    for (p->n_models = 0; p->n_models < k->n_models; p->n_models++) {
        p->models[p->n_models] = str_of(at);
        at += strlen(at) + 1;
    }
}

/* The address of the environment in place of the official one. Who answers there is not known, so
 * neither is what models it has. */
static void move(struct arena *a, struct mistakes *m, const struct known_provider *k,
                 struct config_provider *p)
{
    struct str value = {0};
    if (k->base_url_variable) {
        value = str_trim(str_of(getenv(k->base_url_variable)));
    }
    if (!value.n) {
        return;
    }
    if (!rule_base_url.check(a, value, &p->base_url)) {
        struct path root = {0};
        struct path at = {.up = &root, .name = str_of(k->base_url_variable)};
        mistake_add(m, NULL, &at, "this environment variable is not allowed; allowed: %s",
                    rule_base_url.allowed);
        return;
    }
    p->origin = arena_printf(a, "%.*s, %s", STR_ARG(p->origin), k->base_url_variable);
    p->n_models = 0;
}

size_t environment_providers(struct arena *a, struct mistakes *m, struct config_provider *to)
{
    size_t n = 0;
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known_provider *k = &known_providers[i];
        struct str name, secret;
        if (!find_secret(a, k, &name, &secret)) {
            continue;
        }
        struct config_provider *p = &to[n++];
        *p = (struct config_provider){.id = str_of(k->id),
                                      .dialect = k->dialect,
                                      .base_url = str_of(k->base_url),
                                      .n_credentials = 1};
        p->credentials = arena_alloc(a, sizeof *p->credentials);
        *p->credentials = (struct config_credential){STR("default"), secret_of(secret), 1};
        p->origin = arena_printf(a, "environment %.*s", STR_ARG(name));
        list_models(a, k, p);
        move(a, m, k, p);
        p->allow_private_address = base_url_is_loopback(p->base_url);
    }
    return n;
}
