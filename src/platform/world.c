#include "platform/world.h"

#include <errno.h>
#include <string.h>

#include "auth/key.h"
#include "model/names.h"

/* ---- putting both together ---- */

struct joining {
    struct world *w;
    struct arena *a; /* of the new snapshot's configuration */
    struct config *to;
    struct names providers, models;
    struct keyfile_entry *keys;
    size_t n_keys;
    struct held *held;
    struct buf *errors;
};

/* Items that the snapshot points into. */
struct held {
    size_t n;
    struct image_item *items[];
};

static void release(void *arg)
{
    struct held *h = arg;
    for (size_t i = 0; i < h->n; i++) {
        image_drop(h->items[i]);
    }
}

bool is_declared(const struct resource *r)
{
    return str_starts(r->managers, STR(DECLARED_MARK));
}

static const struct image_list *list_of(const struct joining *j, enum image_kind kind)
{
    return &j->w->image.all[kind];
}

/* What an item has been decoded to, when it is the platform's own and can be used. */
static void *own(struct image_item *i)
{
    return i->declared ? NULL : i->decoded;
}

static void hold(struct joining *j, struct image_item *i)
{
    j->held->items[j->held->n++] = image_hold(i);
}

static void join_providers(struct joining *j)
{
    const struct image_list *l = list_of(j, IMAGE_PROVIDERS);
    for (size_t i = 0; i < l->n; i++) {
        const struct config_provider *p = own(l->items[i]);
        if (p && names_add(&j->providers, p->id, j->to->n_providers, NULL)) {
            j->to->providers[j->to->n_providers++] = *p;
            hold(j, l->items[i]);
        }
    }
}

static void join_credentials(struct joining *j)
{
    const struct image_list *l = list_of(j, IMAGE_CREDENTIALS);
    size_t index;
    for (size_t i = 0; i < l->n; i++) {
        const struct pool_credential *c = own(l->items[i]);
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
            .id = l->items[i]->id, .secret = c->secret, .priority = c->priority};
        p->credentials = all;
        p->n_credentials++;
        hold(j, l->items[i]);
    }
}

/* The targets of this snapshot: where their providers stand in it. */
static bool place_targets(struct joining *j, struct config_model *m)
{
    struct config_target *targets = arena_alloc(j->a, (m->n_targets + 1) * sizeof *targets);
    for (size_t k = 0; k < m->n_targets; k++) {
        targets[k] = m->targets[k];
        if (!names_find(&j->providers, targets[k].provider_id, &targets[k].provider)) {
            buf_printf(j->errors,
                       "the model \"%.*s\" of the platform is left out: its provider \"%.*s\" is "
                       "not there\n",
                       STR_ARG(m->id), STR_ARG(targets[k].provider_id));
            return false;
        }
    }
    m->targets = targets;
    return true;
}

static void join_models(struct joining *j)
{
    const struct image_list *l = list_of(j, IMAGE_MODELS);
    for (size_t i = 0; i < l->n; i++) {
        const struct config_model *from = own(l->items[i]);
        struct config_model m = from ? *from : (struct config_model){0};
        if (from && place_targets(j, &m) && names_add(&j->models, m.id, j->to->n_models, NULL)) {
            j->to->models[j->to->n_models++] = m;
            hold(j, l->items[i]);
        }
    }
}

/* Keys are copied, not held: there are many, and a worker that lets go of the last snapshot must not
 * have to touch each of them. One counts as often as it has secrets. */
static void join_key(struct joining *j, const struct image_item *i, const struct config_key *k)
{
    struct str id = arena_dup(j->a, k->id), application = arena_dup(j->a, k->application);
    const struct image_item *of = image_find(&j->w->image, IMAGE_APPLICATIONS, k->application);
    const struct application *a = of ? of->decoded : NULL;
    struct str team = a ? arena_dup(j->a, a->team) : (struct str){0};
    struct str *models = arena_alloc(j->a, (k->n_models + 1) * sizeof *models);
    for (size_t m = 0; m < k->n_models; m++) {
        models[m] = arena_dup(j->a, k->models[m]);
    }
    for (size_t d = 0; d < i->n_digests; d++) {
        struct keyfile_entry *e = &j->keys[j->n_keys++];
        *e = (struct keyfile_entry){.id = id,
                                    .application = application,
                                    .team = team,
                                    .models = models,
                                    .n_models = k->n_models,
                                    .expires_us = i->digests[d].expires_us};
        memcpy(e->digest, i->digests[d].digest, KEY_DIGEST_SIZE);
    }
}

static void join_keys(struct joining *j)
{
    const struct image_list *l = list_of(j, IMAGE_KEYS);
    for (size_t i = 0; i < l->n; i++) {
        const struct config_key *k = own(l->items[i]);
        if (k) {
            join_key(j, l->items[i], k);
        }
    }
}

static size_t count_digests(const struct image_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        n += l->items[i]->n_digests;
    }
    return n;
}

static void join_policies(struct joining *j)
{
    const struct image_list *l = list_of(j, IMAGE_POLICIES);
    for (size_t i = 0; i < l->n; i++) {
        const struct config_policy *p = own(l->items[i]);
        if (p) {
            j->to->policies[j->to->n_policies++] = *p;
            hold(j, l->items[i]);
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
    const struct image_list *all = j->w->image.all;
    struct config *to = arena_alloc(j->a, sizeof *to);
    *to = *c;
    to->providers =
        joined(j->a, c->providers, c->n_providers, all[IMAGE_PROVIDERS].n, sizeof *c->providers);
    to->models = joined(j->a, c->models, c->n_models, all[IMAGE_MODELS].n, sizeof *c->models);
    to->policies =
        joined(j->a, c->policies, c->n_policies, all[IMAGE_POLICIES].n, sizeof *c->policies);
    j->keys =
        joined(j->a, base->keys, base->n_keys, count_digests(&all[IMAGE_KEYS]), sizeof *j->keys);
    j->n_keys = base->n_keys;
    j->to = to;
    j->held =
        arena_alloc(j->a, sizeof *j->held + (all[IMAGE_PROVIDERS].n + all[IMAGE_CREDENTIALS].n +
                                             all[IMAGE_MODELS].n + all[IMAGE_POLICIES].n) *
                                                sizeof *j->held->items);
    j->held->n = 0;
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

int world_refresh(struct world *w, bool *ret_matters, struct buf *errors)
{
    bool matters;
    int r = image_refresh(&w->image, w->platform->store, &matters, errors);
    if (r < 0) {
        buf_printf(errors, "the state cannot be read: %s\n", strerror(-r));
        return r;
    }
    w->_stale = w->_stale || matters;
    *ret_matters = w->_stale;
    return 0;
}

int world_compile(struct world *w, uint64_t generation, struct snapshot **ret, struct buf *errors)
{
    struct snapshot_input in = {
        .generation = generation, .base = w->base, .client_tls = &w->client_tls};
    struct joining j = {.w = w, .a = &in.arena, .errors = errors};
    begin_join(&j);
    join_providers(&j);
    join_credentials(&j);
    join_models(&j);
    join_keys(&j);
    join_policies(&j);
    in.config = j.to;
    in.keys = j.keys;
    in.n_keys = j.n_keys;
    in.release = release;
    in.held = j.held;
    int r = snapshot_compile(&in, ret, errors);
    if (r < 0) {
        release(j.held);
        arena_reset(&in.arena);
    } else {
        w->_stale = false;
    }
    return r;
}

void world_free(struct world *w)
{
    config_base_unref(w->base);
    image_free(&w->image);
    tls_ctx_unref(w->client_tls);
}
