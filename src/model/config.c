#include "model/config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "model/environment.h"
#include "model/kinds.h"
#include "model/names.h"
#include "model/yaml.h"

/* What a load carries from step to step. */
struct load {
    struct kind_reader reader;
    const struct config_overrides *over;
    const struct json *root; /* NULL without a file */
    struct config *config;
    struct names providers; /* id to index */
    struct names models;    /* ids and aliases, of `models:` */
    struct names keys;
};

static const struct json *element(const struct json *object, const char *list, size_t index)
{
    const struct json *j = json_get(object, str_of(list));
    const struct json *c = j && j->type == JSON_ARRAY ? j->first : NULL;
    while (c && index--) {
        c = c->next;
    }
    return c;
}

static void override_text(struct load *l, const char *option, const struct rule *rule,
                          struct str given, struct str *ret)
{
    struct path root = {0}, at = {.up = &root, .name = str_of(option)};
    struct str copy = arena_dup(l->reader.arena, given);
    if (!rule->check(l->reader.arena, copy, ret)) {
        mistake_add(l->reader.mistakes, NULL, &at, "not allowed; allowed: %s", rule->allowed);
    }
}

static void apply_overrides(struct load *l)
{
    struct config *c = l->config;
    const struct config_overrides *over = l->over;
    if (over->listen.n) {
        c->listen = arena_zalloc(l->reader.arena, sizeof *c->listen);
        c->n_listen = 1;
        override_text(l, "--listen", &rule_listen, over->listen, &c->listen[0]);
    }
    if (over->data.n) {
        override_text(l, "--data", &rule_path, over->data, &c->data);
    }
    if (over->workers > 0) {
        c->workers = over->workers;
    }
}

static void add_sim(struct load *l)
{
    static struct str models[] = {{"echo", 4}, {"lorem", 5}, {"fault", 5}};
    struct config *c = l->config;
    c->providers[c->n_providers++] = (struct config_provider){
        .id = STR("sim"),
        .dialect = PROVIDER_OPENAI,
        .builtin_sim = true,
        .models = models,
        .n_models = sizeof models / sizeof *models,
        .origin = STR("built in"),
    };
}

/* Behind the providers of the file come those of the environment and the simulated one, unless
 * the file has one of the same name. */
static void add_providers(struct load *l)
{
    struct arena *a = l->reader.arena;
    struct config *c = l->config;
    struct config_provider *of_file = c->providers;
    c->providers = arena_alloc(a, (c->n_providers + environment_max() + 1) * sizeof *of_file);
    if (c->n_providers) {
        memcpy(c->providers, of_file, c->n_providers * sizeof *of_file);
    }
    l->providers = (struct names){.arena = a};
    for (size_t i = 0; i < c->n_providers; i++) {
        names_add(&l->providers, c->providers[i].id, i, NULL);
    }
    if (c->environment_providers && !l->over->no_environment) {
        struct config_provider *found = arena_alloc(a, environment_max() * sizeof *found);
        size_t n = environment_providers(a, l->reader.mistakes, found);
        for (size_t i = 0; i < n; i++) {
            if (names_add(&l->providers, found[i].id, c->n_providers, NULL)) {
                c->providers[c->n_providers++] = found[i];
            }
        }
    }
    if (names_add(&l->providers, STR("sim"), c->n_providers, NULL)) {
        add_sim(l);
    }
}

/* A name that clients use must lead to one model. */
static void check_aliases(struct load *l)
{
    struct config *c = l->config;
    struct path root = {0}, models = {.up = &root, .name = STR("models")};
    size_t old;
    l->models = (struct names){.arena = l->reader.arena};
    for (size_t i = 0; i < c->n_models; i++) {
        names_add(&l->models, c->models[i].id, i, NULL); /* doubled ids were found before */
    }
    const struct json *list = json_get(l->root, STR("models"));
    const struct json *j = list && list->type == JSON_ARRAY ? list->first : NULL;
    for (size_t i = 0; i < c->n_models; i++, j = j ? j->next : NULL) {
        for (size_t k = 0; k < c->models[i].n_aliases; k++) {
            struct str alias = c->models[i].aliases[k];
            struct path model = {.up = &models, .index = i};
            struct path aliases = {.up = &model, .name = STR("aliases")};
            struct path at = {.up = &aliases, .index = k};
            if (!alias.n || names_add(&l->models, alias, i, &old)) {
                continue;
            }
            /* An alias that stands twice in one list was found before. */
            if (old != i || str_eq(alias, c->models[i].id)) {
                mistake_add(l->reader.mistakes, element(j, "aliases", k), &at,
                            "this name leads to the model \"%.*s\" already",
                            STR_ARG(c->models[old].id));
            }
        }
    }
}

/* A policy names the id of a declared model, not an alias: there is one limit for all its names. */
static bool is_model(const struct load *l, struct str id)
{
    size_t index;
    return names_find(&l->models, id, &index) && str_eq(l->config->models[index].id, id);
}

static bool key_exists(const struct load *l, struct str id)
{
    /* The first start makes a key of this name, and policies may be written before it. */
    return names_find(&l->keys, id, NULL) || str_eq(id, STR("first")) ||
           (l->over->key_exists && l->over->key_exists(l->config->data, id));
}

static const char **ids_of(struct load *l, const struct kind *k)
{
    const struct config *c = l->config;
    struct arena *a = l->reader.arena;
    size_t n = k == &kind_provider ? c->n_providers : k == &kind_model ? c->n_models : c->n_keys;
    const char **ids = arena_alloc(a, (n + 1) * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = arena_dupz(a, k == &kind_provider ? c->providers[i].id
                               : k == &kind_model  ? c->models[i].id
                                                   : c->keys[i].id);
    }
    ids[n] = NULL;
    return ids;
}

/* What was probably meant: the model behind an alias, or an id that differs in a letter or two. */
static const char *nearest_id(struct load *l, const struct reference *x, size_t n_before)
{
    size_t index;
    if (x->kind == &kind_model && names_find(&l->models, x->at->text, &index)) {
        return arena_dupz(l->reader.arena, l->config->models[index].id);
    }
    /* Each look reads all ids: not for thousands of mistakes. */
    return n_before < 20 ? nearest_word(x->at->text, ids_of(l, x->kind)) : NULL;
}

/* What follows "there is no provider "opnai"": what was probably meant, or what would make it be there. */
static struct str advice(struct load *l, const struct reference *x, size_t n_before)
{
    struct arena *a = l->reader.arena;
    const char *near = nearest_id(l, x, n_before);
    struct str variable = {0};
    if (near) {
        return arena_printf(a, "; did you mean \"%s\"?", near);
    }
    if (x->kind == &kind_provider && l->config->environment_providers) {
        variable = environment_variable(x->id);
    }
    return variable.n
               ? arena_printf(a, "; declare it, or set %.*s in the environment", STR_ARG(variable))
               : arena_printf(a, "; declare it under %ss%s", x->kind->name,
                              x->kind == &kind_key ? ", or make it with `accord key create`" : "");
}

static void check_references(struct load *l)
{
    size_t n = 0;
    for (const struct reference *x = l->reader.references; x; x = x->next) {
        size_t index = 0;
        bool found = x->kind == &kind_provider ? names_find(&l->providers, x->id, &index)
                     : x->kind == &kind_model  ? is_model(l, x->id)
                                               : key_exists(l, x->id);
        if (found) {
            if (x->index) {
                *x->index = index;
            }
            continue;
        }
        struct str hint = advice(l, x, n++);
        struct buf shown = {.arena = l->reader.arena};
        buf_add_json(&shown, str_first(x->at->text, 80));
        mistake_add_at(l->reader.mistakes, x->at->line, x->at->column,
                       "%.*s: there is no %s \"%.*s\"%.*s", STR_ARG(x->path), x->kind->name,
                       STR_ARG(shown), STR_ARG(hint));
    }
}

/* Two keys with one secret: which of them calls could not be told. */
static void check_keys(struct load *l)
{
    struct config *c = l->config;
    struct names secrets = {.arena = l->reader.arena};
    struct path root = {0}, keys = {.up = &root, .name = STR("keys")};
    size_t old;
    l->keys = (struct names){.arena = l->reader.arena};
    for (size_t i = 0; i < c->n_keys; i++) {
        struct path key = {.up = &keys, .index = i};
        struct path at = {.up = &key, .name = STR("secret")};
        names_add(&l->keys, c->keys[i].id, i, NULL);
        if (!secret_empty(c->keys[i].secret) &&
            !names_add(&secrets, secret_reveal(c->keys[i].secret), i, &old)) {
            mistake_add(l->reader.mistakes, element(l->root, "keys", i), &at,
                        "the key \"%.*s\" has the same secret", STR_ARG(c->keys[old].id));
        }
    }
}

static int load(struct arena *a, struct str name, const struct str *text,
                const struct config_overrides *over, struct config **ret, struct buf *errors)
{
    static const struct config_overrides none = {0};
    struct arena scratch = {0}; /* for mistakes, which do not outlive this */
    struct mistakes mistakes = {.arena = &scratch};
    struct expander expander = {.no_files = over && over->no_files};
    struct path root = {0};
    struct load l = {
        .reader = {.arena = a, .mistakes = &mistakes, .expander = &expander},
        .over = over ? over : &none,
        .config = arena_zalloc(a, sizeof(struct config)),
    };
    int r = -EINVAL;
    l.config->path = l.reader.source = arena_dup(a, name);
    l.root = text ? yaml_read(a, *text, &mistakes) : json_new(a, JSON_OBJECT);
    if (!l.root) {
        goto out;
    }
    if (l.root->type == JSON_NULL) { /* "---" and nothing behind it */
        l.root = json_new(a, JSON_OBJECT);
    }
    kind_decode(&l.reader, &kind_settings, l.root, &root, l.config);
    apply_overrides(&l);
    add_providers(&l);
    check_aliases(&l);
    check_keys(&l);
    check_references(&l);
    if (mistakes.n == 0) {
        *ret = l.config;
        r = 0;
    }
out:
    mistakes_print(errors, &mistakes, name);
    arena_reset(&scratch);
    return r;
}

int config_load_text(struct arena *a, struct str name, struct str text,
                     const struct config_overrides *over, struct config **ret, struct buf *errors)
{
    return load(a, name, &text, over, ret, errors);
}

/* The whole file, up to one byte more than YAML takes. */
static int read_file(const char *path, struct buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r = 0;
    if (fd < 0) {
        return -errno;
    }
    while (b->n <= YAML_SIZE_MAX) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        buf_add(b, str_make(chunk, (size_t)n));
    }
    close(fd);
    return r;
}

int config_load(struct arena *a, const char *path, const struct config_overrides *over,
                struct config **ret, struct buf *errors)
{
    if (!path) {
        return load(a, (struct str){0}, NULL, over, ret, errors);
    }
    struct buf file = {0};
    int r = read_file(path, &file);
    if (r < 0) {
        buf_printf(errors, "%s: the configuration cannot be read: %s\n", path, strerror(-r));
    } else {
        r = config_load_text(a, str_of(path), buf_str(&file), over, ret, errors);
    }
    buf_free(&file);
    return r;
}
