#include "platform/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/key.h"
#include "model/names.h"
#include "model/resource_kind.h"
#include "store/resource.h"

/* Kinds that calls depend on, in the order in which they refer to each other. */
static const struct resource_kind *const kinds[] = {
    &resource_provider, &resource_credential, &resource_model, &resource_key, &resource_policy};
enum { PROVIDERS, CREDENTIALS, MODELS, KEYS, POLICIES, KINDS };

/* What is read in one transaction. */
struct reading {
    struct store_job job; /* first member */
    struct platform *platform;
    struct arena *arena;
    struct resource *all[KINDS];
    size_t n[KINDS];
    struct resource_secret **secrets; /* of the providers, then of the credentials */
    size_t *n_secrets;
    struct kind_digest *digests;
    size_t n_digests;
    int64_t seq;
};

static int read_secrets(struct reading *r, struct db *db, size_t kind, size_t first)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < r->n[kind]; i++) {
        e = resource_secrets(db, r->arena, str_of(kinds[kind]->kind->name), r->all[kind][i].id,
                             &r->secrets[first + i], &r->n_secrets[first + i]);
    }
    return e;
}

static int read_all(struct store_job *j, struct db *db)
{
    struct reading *r = (struct reading *)j;
    int e = change_last(db, &r->seq);
    for (size_t k = 0; e == 0 && k < KINDS; k++) {
        e = resource_list(db, r->arena, str_of(kinds[k]->kind->name), (struct str){0},
                          SIZE_MAX >> 1, &r->all[k], &r->n[k]);
    }
    if (e < 0) {
        return e;
    }
    size_t n = r->n[PROVIDERS] + r->n[CREDENTIALS];
    r->secrets = arena_zalloc(r->arena, (n + 1) * sizeof *r->secrets);
    r->n_secrets = arena_zalloc(r->arena, (n + 1) * sizeof *r->n_secrets);
    e = read_secrets(r, db, PROVIDERS, 0);
    e = e < 0 ? e : read_secrets(r, db, CREDENTIALS, r->n[PROVIDERS]);
    return e < 0 ? e : kind_digests(db, r->arena, STR("key"), &r->digests, &r->n_digests);
}

/* ---- putting both together ---- */

struct joining {
    struct world *w;
    struct reading *r;
    struct arena *a; /* of the new snapshot's configuration */
    struct config *to;
    struct names providers, models;
    struct keyfile_entry *keys;
    size_t n_keys;
    struct buf *errors;
};

bool is_declared(const struct resource *r)
{
    return str_starts(r->managers, STR(DECLARED_MARK));
}

static void left_out(struct joining *j, const struct resource *r, const char *why)
{
    buf_printf(j->errors, "the %.*s \"%.*s\" of the platform is left out: %s\n", STR_ARG(r->kind),
               STR_ARG(r->id), why);
}

/* The decoded struct of a resource; NULL: left out. */
static void *decoded(struct joining *j, size_t kind, const struct resource *r)
{
    struct json *tree;
    struct json_error e;
    struct arena scratch = {0};
    struct mistakes m = {.arena = &scratch};
    struct document d;
    int x = json_parse(j->a, arena_dup(j->a, r->document), &tree, &e);
    x = x < 0 ? x : document_read(j->a, kinds[kind], arena_dup(j->a, r->id), tree, &m, &d);
    if (x < 0) {
        left_out(j, r, m.first ? arena_dupz(j->a, m.first->text) : "it is not JSON");
    }
    arena_reset(&scratch);
    return x < 0 ? NULL : d.decoded;
}

static struct str unsealed(struct joining *j, const struct resource *r, size_t at, struct str name)
{
    struct reading *from = j->r;
    struct str plain = {0};
    for (size_t i = 0; i < from->n_secrets[at]; i++) {
        const struct resource_secret *s = &from->secrets[at][i];
        if (str_eq(s->name, name)) {
            struct str context = arena_printf(j->a, "%.*s/%.*s%.*s", STR_ARG(r->kind),
                                              STR_ARG(r->id), STR_ARG(name));
            if (store_unseal(from->platform->store, j->a, context, s->sealed, &plain) < 0) {
                left_out(j, r, "its secret cannot be unsealed");
            }
        }
    }
    return plain;
}

static void join_providers(struct joining *j)
{
    struct reading *r = j->r;
    for (size_t i = 0; i < r->n[PROVIDERS]; i++) {
        const struct resource *x = &r->all[PROVIDERS][i];
        struct config_provider *p = is_declared(x) ? NULL : decoded(j, PROVIDERS, x);
        if (!p || !names_add(&j->providers, p->id, j->to->n_providers, NULL)) {
            continue;
        }
        for (size_t k = 0; k < p->n_credentials; k++) {
            struct buf name = {.arena = j->a};
            buf_addz(&name, "/credential");
            json_pointer_add(&name, p->credentials[k].id);
            buf_addz(&name, "/secret");
            p->credentials[k].secret = secret_of(unsealed(j, x, i, buf_str(&name)));
        }
        p->origin = STR("platform");
        j->to->providers[j->to->n_providers++] = *p;
    }
}

static void join_credentials(struct joining *j)
{
    struct reading *r = j->r;
    size_t index;
    for (size_t i = 0; i < r->n[CREDENTIALS]; i++) {
        const struct resource *x = &r->all[CREDENTIALS][i];
        struct pool_credential *c = decoded(j, CREDENTIALS, x);
        if (!c || !names_find(&j->providers, c->provider, &index)) {
            continue;
        }
        struct config_provider *p = &j->to->providers[index];
        struct config_credential *all = arena_zalloc(j->a, (p->n_credentials + 1) * sizeof *all);
        size_t at = 0;
        while (at < p->n_credentials && p->credentials[at].priority <= c->priority) {
            at++;
        }
        for (size_t k = 0; k < p->n_credentials; k++) {
            all[k + (k >= at)] = p->credentials[k];
        }
        all[at] = (struct config_credential){
            .id = arena_dup(j->a, x->id),
            .secret = secret_of(unsealed(j, x, r->n[PROVIDERS] + i, STR("/secret"))),
            .priority = c->priority};
        p->credentials = all;
        p->n_credentials++;
    }
}

static void join_models(struct joining *j)
{
    struct reading *r = j->r;
    for (size_t i = 0; i < r->n[MODELS]; i++) {
        const struct resource *x = &r->all[MODELS][i];
        struct config_model *m = is_declared(x) ? NULL : decoded(j, MODELS, x);
        bool ok = m != NULL;
        for (size_t k = 0; ok && k < m->n_targets; k++) {
            ok = names_find(&j->providers, m->targets[k].provider_id, &m->targets[k].provider);
            if (!ok) {
                left_out(j, x, "its provider is not there");
            }
        }
        if (ok && names_add(&j->models, m->id, j->to->n_models, NULL)) {
            j->to->models[j->to->n_models++] = *m;
        }
    }
}

static void add_key(struct joining *j, const struct config_key *k, const struct kind_digest *d)
{
    struct keyfile_entry *e = &j->keys[j->n_keys++];
    *e = (struct keyfile_entry){.id = k->id,
                                .models = k->models,
                                .n_models = k->n_models,
                                .expires_us = (uint64_t)d->expires_us};
    if (d->digest.n == KEY_DIGEST_SIZE) {
        memcpy(e->digest, d->digest.p, KEY_DIGEST_SIZE);
    }
}

/* A key counts as often as it has secrets: none once it is revoked, two while they overlap. */
static void join_keys(struct joining *j)
{
    struct reading *r = j->r;
    struct names ids = {.arena = r->arena};
    struct config_key **keys = arena_zalloc(r->arena, (r->n[KEYS] + 1) * sizeof(void *));
    size_t at;
    for (size_t i = 0; i < r->n[KEYS]; i++) {
        names_add(&ids, r->all[KEYS][i].id, i, NULL);
    }
    for (size_t d = 0; d < r->n_digests; d++) {
        if (!names_find(&ids, r->digests[d].id, &at) || is_declared(&r->all[KEYS][at])) {
            continue;
        }
        keys[at] = keys[at] ? keys[at] : decoded(j, KEYS, &r->all[KEYS][at]);
        if (keys[at]) {
            add_key(j, keys[at], &r->digests[d]);
        }
    }
}

static void join_policies(struct joining *j)
{
    struct reading *r = j->r;
    for (size_t i = 0; i < r->n[POLICIES]; i++) {
        const struct resource *x = &r->all[POLICIES][i];
        struct config_policy *p = is_declared(x) ? NULL : decoded(j, POLICIES, x);
        if (p) {
            j->to->policies[j->to->n_policies++] = *p;
        }
    }
}

static void *joined(struct arena *a, const void *base, size_t n, size_t more, size_t size)
{
    void *all = arena_zalloc(a, (n + more + 1) * size);
    if (n) {
        memcpy(all, base, n * size);
    }
    return all;
}

/* A copy of the declared configuration with room for what the platform adds. */
static void begin_join(struct joining *j)
{
    const struct config_base *base = j->w->base;
    const struct config *c = base->config;
    struct reading *r = j->r;
    struct config *to = arena_alloc(j->a, sizeof *to);
    *to = *c;
    to->providers =
        joined(j->a, c->providers, c->n_providers, r->n[PROVIDERS], sizeof *c->providers);
    to->models = joined(j->a, c->models, c->n_models, r->n[MODELS], sizeof *c->models);
    to->policies = joined(j->a, c->policies, c->n_policies, r->n[POLICIES], sizeof *c->policies);
    j->keys = joined(j->a, base->keys, base->n_keys, r->n_digests, sizeof *j->keys);
    j->n_keys = base->n_keys;
    j->to = to;
    j->providers.arena = j->models.arena = j->a;
    for (size_t i = 0; i < c->n_providers; i++) {
        names_add(&j->providers, c->providers[i].id, i, NULL);
    }
    for (size_t i = 0; i < c->n_models; i++) {
        names_add(&j->models, c->models[i].id, i, NULL);
        for (size_t k = 0; k < c->models[i].n_aliases; k++) {
            names_add(&j->models, c->models[i].aliases[k], i, NULL);
        }
    }
}

int world_compile(struct world *w, uint64_t generation, struct snapshot **ret, struct buf *errors)
{
    struct arena scratch = {0};
    struct reading reading = {.job = {.run = read_all}, .platform = w->platform, .arena = &scratch};
    struct snapshot_input in = {
        .generation = generation, .base = w->base, .client_tls = &w->client_tls};
    struct joining j = {.w = w, .r = &reading, .a = &in.arena, .errors = errors};
    int r = store_run(w->platform->store, &reading.job);
    if (r < 0) {
        buf_printf(errors, "the state cannot be read: %s\n", strerror(-r));
        arena_reset(&scratch);
        return r;
    }
    begin_join(&j);
    join_providers(&j);
    join_credentials(&j);
    join_models(&j);
    join_keys(&j);
    join_policies(&j);
    in.config = j.to;
    in.keys = j.keys;
    in.n_keys = j.n_keys;
    r = snapshot_compile(&in, ret, errors);
    if (r < 0) {
        arena_reset(&in.arena);
    } else {
        w->seq = reading.seq;
    }
    arena_reset(&scratch);
    return r;
}

/* ---- what has changed ---- */

struct looking {
    struct store_job job; /* first member */
    int64_t after, last;
    bool matters;
};

static int look(struct store_job *job, struct db *db)
{
    enum { PIECE = 200 };
    struct looking *l = (struct looking *)job;
    struct arena a = {0};
    struct change *all;
    size_t n = PIECE;
    int64_t after = l->after;
    int r = change_last(db, &l->last);
    l->matters = false;
    while (r == 0 && n == PIECE && !l->matters) {
        r = change_list(db, &a, (struct str){0}, after, PIECE, &all, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
            for (size_t k = 0; k < KINDS; k++) {
                l->matters = l->matters || str_eq(all[i].kind, str_of(kinds[k]->kind->name));
            }
            after = all[i].seq;
        }
    }
    arena_reset(&a);
    return r;
}

int world_changed(struct world *w, bool *ret, int64_t *ret_seq)
{
    struct looking l = {.job = {.run = look}, .after = w->seq};
    int r = store_run(w->platform->store, &l.job);
    if (r == 0) {
        *ret = l.matters;
        *ret_seq = l.last;
        w->seq = l.matters ? w->seq : l.last;
    }
    return r;
}

void world_free(struct world *w)
{
    config_base_unref(w->base);
    tls_ctx_unref(w->client_tls);
}
