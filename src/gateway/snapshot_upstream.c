#include "gateway/snapshot_upstream.h"

#include "model/names.h"

struct upstreams {
    struct arena *scratch;
    struct names by_name; /* "provider/model": the place of its first use in `all` */
    const struct upstream_use **all;
    struct upstream_use **last; /* of the same upstream */
    size_t n;
};

static struct str name_of(struct arena *a, struct str provider, struct str model)
{
    return arena_printf(a, "%.*s/%.*s", STR_ARG(provider), STR_ARG(model));
}

static void add(struct upstreams *u, const struct config *c, const struct config_model *m,
                const struct config_target *t)
{
    struct str name = name_of(u->scratch, c->providers[t->provider].id, t->model);
    struct upstream_use *use = arena_zalloc(u->scratch, sizeof *use);
    size_t at;
    *use = (struct upstream_use){.model = m, .target = t};
    if (names_add(&u->by_name, name, u->n, &at)) {
        u->all[u->n] = u->last[u->n] = use;
        u->n++;
    } else if (u->last[at]->model != m) { /* one model may have the same target twice */
        u->last[at]->next = use;
        u->last[at] = use;
    }
}

struct upstreams *upstreams_of(const struct config *c, struct arena *scratch)
{
    struct upstreams *u = arena_zalloc(scratch, sizeof *u);
    struct names subjects = {.arena = scratch};
    size_t n = 0;
    *u = (struct upstreams){.scratch = scratch, .by_name = {.arena = scratch}};
    for (size_t i = 0; i < c->n_policies; i++) {
        if (c->policies[i].scope == SCOPE_MODEL) {
            names_add(&subjects, c->policies[i].subject, i, NULL);
        }
    }
    for (size_t i = 0; i < c->n_models; i++) {
        n += c->models[i].n_targets;
    }
    u->all = arena_zalloc(scratch, (n + 1) * sizeof *u->all);
    u->last = arena_zalloc(scratch, (n + 1) * sizeof *u->last);
    for (size_t i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        for (size_t k = 0; k < m->n_targets && names_find(&subjects, m->id, NULL); k++) {
            add(u, c, m, &m->targets[k]);
        }
    }
    return u;
}

const struct upstream_use *upstream_uses(const struct upstreams *u, struct str provider,
                                         struct str model)
{
    size_t at;
    return u->n && names_find(&u->by_name, name_of(u->scratch, provider, model), &at) ? u->all[at]
                                                                                      : NULL;
}

const struct upstream_use *const *upstreams_all(const struct upstreams *u, size_t *ret_n)
{
    *ret_n = u->n;
    return u->all;
}

const struct str *upstream_models(const struct upstream_use *first, struct arena *scratch,
                                  size_t *ret_n)
{
    size_t n = 0;
    for (const struct upstream_use *x = first; x; x = x->next) {
        n++;
    }
    struct str *ids = arena_alloc(scratch, (n + 1) * sizeof *ids);
    *ret_n = 0;
    for (const struct upstream_use *x = first; x; x = x->next) {
        ids[(*ret_n)++] = x->model->id;
    }
    return ids;
}
