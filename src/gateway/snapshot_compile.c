/* The compiler: from a configuration to what calls look at. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/must.h"
#include "dialect/format.h"
#include "gateway/health_of.h"
#include "gateway/snapshot_attempt.h"
#include "gateway/snapshot_keep.h"
#include "gateway/snapshot_choice.h"
#include "gateway/snapshot_lifecycle.h"
#include "gateway/snapshot_limits.h"
#include "gateway/snapshot_masks.h"
#include "gateway/snapshot_price.h"
#include "gateway/snapshot_table.h"
#include "gateway/snapshot_upstream.h"
#include "model/names.h"
#include "policy/balance.h"

static uint32_t table_mask(size_t n)
{
    uint32_t size = 16;
    while (size < n * 2) {
        size *= 2;
    }
    return size - 1;
}

struct compiler {
    struct snapshot *s;
    struct arena *a;
    struct buf *errors;
    struct snap_provider *providers;
    struct snap_model *models;
    size_t n_models, cap_models;
    struct subjects subjects; /* of policies */
    struct limits_compiler *limits;
    struct masks_compiler *masks; /* NULL: nothing is masked */
    struct upstreams *upstreams;  /* of declared models that policies are about */
    struct arena scratch;
    struct tls_ctx *tls;
};

static enum family family_of(enum provider_dialect d)
{
    switch (d) {
    case PROVIDER_ANTHROPIC:
        return FAMILY_ANTHROPIC;
    case PROVIDER_GEMINI:
        return FAMILY_GEMINI;
    case PROVIDER_OLLAMA:
        return FAMILY_OLLAMA;
    case PROVIDER_COHERE:
        return FAMILY_COHERE;
    case PROVIDER_BEDROCK:
        return FAMILY_BEDROCK;
    default:
        return FAMILY_OPENAI;
    }
}

static struct health *health_named(struct compiler *c, struct str front, const char *rest)
{
    return health_of(arena_printf(&c->scratch, "%.*s%s", STR_ARG(front), rest));
}

/* The line that carries a secret of ours to the provider. */
static struct str credential_field(struct arena *a, enum family f, struct secret secret)
{
    struct str text = secret_reveal(secret);
    switch (f) {
    case FAMILY_ANTHROPIC:
        return arena_printf(a, "x-api-key: %.*s\r\n", STR_ARG(text));
    case FAMILY_GEMINI:
        return arena_printf(a, "x-goog-api-key: %.*s\r\n", STR_ARG(text));
    default:
        return arena_printf(a, "authorization: Bearer %.*s\r\n", STR_ARG(text));
    }
}

/* ACCESS_KEY:SECRET_KEY[:SESSION_TOKEN] signs; a secret without a colon is an API key and sent like others'.
 * NULL for those. */
static const struct snap_aws *aws_of(struct compiler *c, const struct config_provider *from,
                                     struct secret secret_text)
{
    struct str rest = secret_reveal(secret_text), access, secret;
    if (from->dialect != PROVIDER_BEDROCK || str_chr(rest, ':') < 0) {
        return NULL;
    }
    str_cut(&rest, ':', &access);
    str_cut(&rest, ':', &secret);
    struct snap_aws *aws = arena_zalloc(c->a, sizeof *aws);
    *aws = (struct snap_aws){.access_key = access,
                             .secret_key = secret_of(secret),
                             .session_token = rest,
                             .region = from->region};
    return aws;
}

/* What is known of a credential belongs to its secret, too: a new one under the same name starts well. */
static struct health *credential_health(struct compiler *c, const struct snap_provider *p,
                                        const struct config_credential *k)
{
    uint8_t digest[KEY_DIGEST_SIZE];
    struct buf name = {.arena = &c->scratch};
    key_digest(secret_reveal(k->secret), digest);
    buf_printf(&name, "%.*s credential %.*s ", STR_ARG(p->id), STR_ARG(k->id));
    buf_add(&name, str_make((const char *)digest, 8));
    return health_of(buf_str(&name));
}

/* They are sorted by priority. */
static void add_credentials(struct compiler *c, const struct config_provider *from,
                            struct snap_provider *p, struct str common)
{
    struct snap_credential *all = arena_zalloc(c->a, (from->n_credentials + 1) * sizeof *all);
    for (size_t i = 0; i < from->n_credentials && p->n_credentials < CREDENTIALS_MAX; i++) {
        const struct config_credential *k = &from->credentials[i];
        if (secret_empty(k->secret)) {
            continue;
        }
        struct snap_credential *to = &all[p->n_credentials++];
        *to = (struct snap_credential){.id = k->id,
                                       .fields = common,
                                       .aws = aws_of(c, from, k->secret),
                                       .priority = (uint32_t)k->priority,
                                       .place = balance_hash(0, k->id),
                                       .health = credential_health(c, p, k)};
        if (!to->aws) {
            struct str line = credential_field(c->a, p->family, k->secret);
            to->fields = arena_printf(c->a, "%.*s%.*s", STR_ARG(common), STR_ARG(line));
        }
        p->signs |= to->aws != NULL;
    }
    if (from->n_credentials > CREDENTIALS_MAX) { /* the platform adds them one by one */
        buf_printf(c->errors,
                   "providers.%.*s: %zu credentials, and only the first %d by priority are used; "
                   "delete the others, or give them to a second provider\n",
                   STR_ARG(from->id), from->n_credentials, CREDENTIALS_MAX);
    }
    if (!p->n_credentials) {
        all[p->n_credentials++] =
            (struct snap_credential){.fields = common,
                                     .priority = 1,
                                     .health = health_named(c, p->id, " without credential")};
    }
    p->credentials = all;
}

/* The path of a checked base URL, its slash included; empty without one. */
static struct str url_path(struct str url)
{
    ptrdiff_t authority = str_find(url, STR("://")) + 3;
    ptrdiff_t slash = str_chr(str_from(url, (size_t)authority), '/');
    return slash < 0 ? str_from(url, url.n) : str_from(url, (size_t)(authority + slash));
}

/* Takes a checked base URL apart: scheme://host[:port][/path]. `*ret_fields` are the lines that every request
 * to it has. */
static int split_url(struct compiler *c, struct str url, struct snap_provider *p,
                     struct str *ret_fields)
{
    struct connect_target *t = &p->target;
    t->tls = str_starts(url, STR("https://"));
    struct str rest = str_from(url, t->tls ? 8 : 7), authority = rest;
    ptrdiff_t slash = str_chr(rest, '/');
    if (slash >= 0) {
        authority = str_first(rest, (size_t)slash);
        p->base_path = str_from(rest, (size_t)slash);
    }
    while (p->base_path.n && p->base_path.p[p->base_path.n - 1] == '/') {
        p->base_path.n--;
    }
    uint64_t port = t->tls ? 443 : 80;
    struct str host = authority;
    ptrdiff_t bracket = str_chr(authority, ']');
    struct str tail = str_from(authority, bracket < 0 ? 0 : (size_t)bracket + 1);
    ptrdiff_t colon = str_chr(tail, ':');
    if (colon >= 0) {
        host = str_first(authority, (size_t)(tail.p + colon - authority.p));
        if (str_to_u64(str_from(tail, (size_t)colon + 1), &port) < 0 || port == 0 || port > 65535) {
            return -EINVAL;
        }
    }
    if (bracket > 0) {
        host = str_first(str_from(host, 1), (size_t)bracket - 1);
    }
    t->host = host;
    t->port = (uint16_t)port;
    /* Without accept-encoding a server may compress; then no usage could be read in passing. */
    p->authority = authority;
    *ret_fields =
        arena_printf(c->a, "host: %.*s\r\naccept-encoding: identity\r\n", STR_ARG(authority));
    struct str own = t->timeout_ms ? arena_printf(c->a, " (connects in %llu ms)",
                                                  (unsigned long long)t->timeout_ms)
                                   : (struct str){0};
    p->origin_name =
        arena_printf(c->a, "%s%.*s:%u%s%.*s", t->tls ? "https://" : "http://", STR_ARG(host),
                     (unsigned)port, t->allow_private ? " (private allowed)" : "", STR_ARG(own));
    return 0;
}

/* A proxy for plain HTTP gets the whole URL and its own credentials with each request. */
static void ask_proxy(struct compiler *c, struct str base_url, struct snap_provider *p,
                      struct str *fields)
{
    const struct connect_target *t = &p->target;
    p->absolute = str_first(base_url, base_url.n - (size_t)url_path(base_url).n);
    if (t->proxy_auth.n) {
        *fields = arena_printf(c->a, "%.*sproxy-authorization: %.*s\r\n", STR_ARG(*fields),
                               STR_ARG(t->proxy_auth));
    }
}

static int compile_provider(struct compiler *c, const struct config_provider *from,
                            struct snap_provider *p)
{
    const char *variable = NULL;
    struct str fields = STR("host: sim\r\n");
    p->id = from->id;
    p->index = (size_t)(p - c->providers);
    p->sim = from->builtin_sim;
    p->any_model = true;
    p->family = family_of(from->dialect);
    p->api = from->api;
    p->health = health_named(c, p->id, "");
    p->free = p->sim;
    if (p->sim) {
        p->origin_name = STR("sim");
        add_credentials(c, from, p, fields);
        return 0;
    }
    p->target.allow_private = from->allow_private_address;
    p->target.timeout_ms = (uint64_t)from->timeouts.connect_ms;
    if (split_url(c, from->base_url, p, &fields) < 0) {
        buf_printf(c->errors, "providers.%.*s.base_url: \"%.*s\" cannot be taken apart\n",
                   STR_ARG(from->id), STR_ARG(from->base_url));
        return -EINVAL;
    }
    p->vendor = facts_vendor(p->target.host);
    /* Whoever runs an Ollama pays nobody for its answers, but for the one that Ollama itself sells. */
    p->free = p->family == FAMILY_OLLAMA && !str_ends(p->target.host, STR("ollama.com"));
    p->quirks = vendor_quirks(p->family, p->target.host);
    if (connect_proxy_from_env(c->a, &p->target, &variable) < 0) {
        buf_printf(c->errors,
                   "environment: %s is not a proxy's URL; allowed: "
                   "http://[USER:PASSWORD@]HOST:PORT\n",
                   variable);
        return -EINVAL;
    }
    if (p->target.proxy_host.n && !p->target.tls) {
        ask_proxy(c, from->base_url, p, &fields);
    }
    add_credentials(c, from, p, fields);
    compile_check(c->a, &from->health, p);
    if (p->target.tls) {
        if (!c->tls && tls_client_ctx(&c->tls, c->errors) < 0) {
            return -EINVAL;
        }
        p->target.tls_ctx = tls_ctx_ref(c->tls);
    }
    return 0;
}

static void insert_model(struct compiler *c, struct snap_model m)
{
    struct snapshot *s = c->s;
    must(c->n_models < c->cap_models);
    for (uint64_t i = table_hash(s->_seed, m.name);; i++) {
        uint32_t *slot = &s->_model_slots[i & s->_model_mask];
        if (!*slot) {
            c->models[c->n_models++] = m;
            *slot = (uint32_t)c->n_models;
            return;
        }
        if (str_eq(c->models[*slot - 1].name, m.name)) {
            return; /* declared models come first and win over listed bare names */
        }
    }
}

static int by_priority(const void *a, const void *b)
{
    const struct snap_target *x = a, *y = b;
    return x->priority < y->priority ? -1 : x->priority > y->priority;
}

static struct str quote(struct compiler *c, struct str text)
{
    struct buf b = {.arena = c->a};
    buf_addc(&b, '"');
    buf_add_json(&b, text);
    buf_addc(&b, '"');
    return buf_str(&b);
}

static const struct model_facts *facts_of(const struct snap_target *t)
{
    return t->provider->sim ? NULL : facts_find(t->provider->vendor, t->model);
}

static struct snap_target target_for(struct compiler *c, const struct snap_provider *p,
                                     struct str model)
{
    struct snap_target t = {.provider = p,
                            .model = model,
                            .quoted = quote(c, model),
                            .quirks = p->quirks | vendor_model_quirks(p->family, model),
                            .max_output = vendor_model_output(model),
                            .weight = 1,
                            .priority = 1,
                            .told = snap_told(c->a, p, model),
                            .place = balance_hash(balance_hash(0, p->id), model)};
    const struct model_facts *facts = facts_of(&t);
    t.reads = facts ? facts->context : 0;
    health_of_target(c->a, &c->scratch, &t);
    return t;
}

static void compile_declared(struct compiler *c, const struct config_model *m)
{
    struct snap_target *targets = arena_zalloc(c->a, (m->n_targets + 1) * sizeof *targets);
    bool widens = false;
    for (size_t i = 0; i < m->n_targets; i++) {
        targets[i] = target_for(c, &c->providers[m->targets[i].provider], m->targets[i].model);
        targets[i].weight = (uint32_t)m->targets[i].weight;
        targets[i].priority = (uint32_t)m->targets[i].priority;
        compile_attempt(&c->scratch, c->s->config, m, &targets[i]);
        targets[i].price = compile_price(c->a, &m->targets[i], &targets[i]);
        compile_conditions(c->a, &m->targets[i], &targets[i]);
        widens = widens || targets[i].reads != targets[0].reads;
    }
    qsort(targets, m->n_targets, sizeof *targets, by_priority);
    struct snap_model out = {.targets = targets,
                             .n_targets = (uint32_t)m->n_targets,
                             .listed = true,
                             .widens = widens,
                             .facts = m->n_targets ? facts_of(targets) : NULL,
                             .total_ms = compile_total_ms(c->s->config, m),
                             .hedge = m->hedge.given ? &m->hedge : NULL,
                             .masking = masks_of_models(c->masks, &m->id, 1),
                             .limits = limits_of_models(c->limits, &m->id, 1)};
    keep_of_models(&c->subjects, &m->id, 1, &out);
    compile_lifecycle(c->a, m, &out);
    compile_choice(m, &out);
    out.name = out.id = m->id;
    insert_model(c, out);
}

/* After all ids: no alias takes the place of one. */
static void compile_aliases(struct compiler *c, const struct config_model *m)
{
    struct snap_model out = *table_model(c->s, m->id);
    for (size_t i = 0; i < m->n_aliases; i++) {
        out.name = m->aliases[i];
        insert_model(c, out);
    }
}

/* A model under the provider's own name for it, `*t`: what holds for declared models that lead there holds here, and what
 * they say that it costs. */
static struct snap_model upstream_model(struct compiler *c, struct snap_target *t)
{
    size_t n;
    const struct upstream_use *use = upstream_uses(c->upstreams, t->provider->id, t->model);
    const struct str *ids = upstream_models(use, &c->scratch, &n);
    struct snap_model m = {.targets = t,
                           .n_targets = 1,
                           .facts = facts_of(t),
                           .total_ms = compile_total_ms(c->s->config, NULL),
                           .masking = masks_of_models(c->masks, ids, n),
                           .limits = limits_of_models(c->limits, ids, n)};
    keep_of_models(&c->subjects, ids, n, &m);
    compile_attempt(&c->scratch, c->s->config, NULL, t);
    t->price = use ? compile_price(c->a, use->target, t) : known_price(c->a, t);
    m.name = m.id = arena_printf(c->a, "%.*s/%.*s", STR_ARG(t->provider->id), STR_ARG(t->model));
    return m;
}

/* provider/NAME where a declared model under a policy leads there, though the provider does not list it: the wildcard
 * would be under no policy. */
static void compile_upstreams(struct compiler *c)
{
    size_t n;
    const struct upstream_use *const *all = upstreams_all(c->upstreams, &n);
    for (size_t i = 0; i < n; i++) {
        struct snap_target *t = arena_zalloc(c->a, sizeof *t);
        *t = target_for(c, &c->providers[all[i]->target->provider], all[i]->target->model);
        insert_model(c, upstream_model(c, t));
    }
}

/* provider/NAME for what it lists, provider/ as the wildcard, and NAME alone for the first that
 * lists it. */
static void compile_names(struct compiler *c, const struct config_provider *from,
                          const struct snap_provider *p, bool listed)
{
    struct snap_target *any = arena_zalloc(c->a, sizeof *any);
    *any = (struct snap_target){.provider = p, .weight = 1, .priority = 1};
    health_of_target(c->a, &c->scratch, any);
    compile_attempt(&c->scratch, c->s->config, NULL, any);
    any->price = p->free ? known_price(c->a, any) : NULL;
    insert_model(c, (struct snap_model){.name = arena_printf(c->a, "%.*s/", STR_ARG(p->id)),
                                        .targets = any,
                                        .total_ms = compile_total_ms(c->s->config, NULL),
                                        .n_targets = 1});
    for (size_t i = 0; i < from->n_models; i++) {
        struct snap_target *t = arena_zalloc(c->a, sizeof *t);
        *t = target_for(c, p, from->models[i]);
        struct snap_model m = upstream_model(c, t);
        m.listed = listed;
        insert_model(c, m);
        m.name = t->model;
        m.listed = false;
        if (!p->sim) {
            insert_model(c, m);
        }
    }
}

static void compile_models(struct compiler *c)
{
    const struct config *cfg = c->s->config;
    c->cap_models = 1;
    for (size_t i = 0; i < cfg->n_models; i++) {
        c->cap_models += 1 + cfg->models[i].n_aliases + cfg->models[i].n_targets;
    }
    for (size_t i = 0; i < cfg->n_providers; i++) {
        c->cap_models += 1 + 2 * cfg->providers[i].n_models;
    }
    c->models = arena_zalloc(c->a, c->cap_models * sizeof *c->models);
    c->s->_model_mask = table_mask(c->cap_models);
    c->s->_model_slots = arena_zalloc(c->a, (c->s->_model_mask + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < cfg->n_models; i++) {
        compile_declared(c, &cfg->models[i]);
    }
    c->s->models = c->models;
    for (size_t i = 0; i < cfg->n_models; i++) {
        compile_aliases(c, &cfg->models[i]);
    }
    for (size_t i = 0; i < cfg->n_providers; i++) {
        compile_names(c, &cfg->providers[i], &c->providers[i], true);
    }
    compile_upstreams(c);
    c->s->models = c->models;
    c->s->n_models = c->n_models;
}

static void add_key(struct compiler *c, const struct snap_key *k)
{
    struct snapshot *s = c->s;
    struct snap_key *to = &s->keys[s->n_keys++];
    *to = *k;
    keep_of_key(&c->subjects, to);
    to->priority = priority_of_key(c->limits, k->id, k->application, k->team);
    to->shed_at = load_of_priority(s->full_load, to->priority);
    for (uint64_t i = table_digest(k->digest) ^ s->_seed;; i++) {
        uint32_t *slot = &s->_key_slots[i & s->_key_mask];
        if (!*slot) {
            *slot = (uint32_t)s->n_keys;
            return;
        }
    }
}

static void compile_keys(struct compiler *c, const struct snapshot_input *in)
{
    struct snapshot *s = c->s;
    const struct config *cfg = s->config;
    struct names declared = {.arena = &c->scratch}, kept = {.arena = &c->scratch};
    size_t at;
    for (size_t i = 0; cfg->n_keys && i < in->n_keys; i++) {
        names_add(&kept, in->keys[i].id, i, NULL);
    }
    s->keys = arena_zalloc(c->a, (cfg->n_keys + in->n_keys + 1) * sizeof *s->keys);
    s->_key_mask = table_mask(cfg->n_keys + in->n_keys);
    s->_key_slots = arena_zalloc(c->a, (s->_key_mask + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < cfg->n_keys; i++) {
        const struct config_key *from = &cfg->keys[i];
        struct snap_key k = {
            .id = from->id,
            .models = from->models,
            .n_models = from->n_models,
            .masking = masks_of_key(c->masks, from->id, (struct str){0}, (struct str){0}),
            .limits = limits_of_key(c->limits, from->id, (struct str){0}, (struct str){0})};
        names_add(&declared, from->id, i, NULL);
        if (!secret_empty(from->secret)) {
            key_digest(secret_reveal(from->secret), k.digest);
        } else if (names_find(&kept, from->id, &at)) {
            memcpy(k.digest, in->keys[at].digest, sizeof k.digest);
        } else {
            continue;
        }
        add_key(c, &k);
    }
    for (size_t i = 0; i < in->n_keys; i++) {
        const struct keyfile_entry *from = &in->keys[i];
        if (names_find(&declared, from->id, &at)) {
            continue; /* what the configuration says of a key counts */
        }
        struct snap_key k = {
            .id = from->id,
            .application = from->application,
            .team = from->team,
            .models = from->models,
            .n_models = from->n_models,
            .expires_us = from->expires_us,
            .masking = masks_of_key(c->masks, from->id, from->application, from->team),
            .limits = limits_of_key(c->limits, from->id, from->application, from->team)};
        memcpy(k.digest, from->digest, sizeof k.digest);
        add_key(c, &k);
    }
}

int snapshot_compile(const struct snapshot_input *in, struct snapshot **ret, struct buf *errors)
{
    struct arena arena = {0};
    struct snapshot *s = arena_zalloc(&arena, sizeof *s);
    s->refs = 1;
    s->generation = in->generation;
    s->config = in->config;
    s->config_arena = in->arena;
    randombytes_buf(&s->_seed, sizeof s->_seed);
    struct compiler c = {
        .s = s, .a = &arena, .errors = errors, .tls = in->client_tls ? *in->client_tls : NULL};
    int r = 0;
    c.providers = arena_zalloc(&arena, (in->config->n_providers + 1) * sizeof *c.providers);
    s->providers = c.providers;
    for (size_t i = 0; i < in->config->n_providers; i++) {
        s->n_providers = i + 1;
        if (compile_provider(&c, &in->config->providers[i], &c.providers[i]) < 0) {
            r = -EINVAL;
        }
    }
    if (in->client_tls) {
        *in->client_tls = c.tls;
    } else {
        tls_ctx_unref(c.tls);
    }
    if (r < 0) {
        arena_reset(&c.scratch);
        s->config_arena = (struct arena){0}; /* stays the caller's */
        s->arena = arena;
        snapshot_unref(s);
        return r;
    }
    subjects_compile(&c.subjects, s->config, &c.scratch);
    keep_of_all(&c.subjects, s);
    c.limits = limits_compile(s, &c.subjects, &arena, &c.scratch);
    c.masks = masks_begin(s, &c.subjects, &arena, &c.scratch);
    (void)masks_of_models(c.masks, NULL, 0); /* number 0: those that no policy names */
    c.upstreams = upstreams_of(in->config, &c.scratch);
    compile_models(&c);
    compile_keys(&c, in);
    masks_finish(c.masks, errors);
    s->base = in->base ? config_base_ref(in->base) : NULL;
    s->arena = arena;
    s->release = in->release;
    s->held = in->held;
    arena_reset(&c.scratch);
    *ret = s;
    return 0;
}
