#include "gateway/snapshot_cache.h"

#include "model/names.h"

enum { SUBJECTS = SCOPE_APPLICATION + 1 };

struct caches_compiler {
    const struct config *config;
    struct names of[SUBJECTS]; /* the last policy about it */
};

static struct snap_cache find(const struct caches_compiler *c, enum policy_scope scope,
                              struct str subject)
{
    size_t at;
    if (!c || (!subject.n && scope != SCOPE_ORG) || !names_find(&c->of[scope], subject, &at)) {
        return (struct snap_cache){0};
    }
    const struct config_cache *from = &c->config->policies[at].cache;
    return (struct snap_cache){.given = true,
                               .ttl_s = (uint32_t)from->ttl_s,
                               .by_key = from->scope == CACHE_KEY,
                               .coalesce = from->coalesce};
}

struct caches_compiler *caches_compile(struct snapshot *s, struct arena *scratch)
{
    struct caches_compiler *c = NULL;
    for (size_t i = 0; i < s->config->n_policies; i++) {
        const struct config_policy *p = &s->config->policies[i];
        struct str subject = p->scope == SCOPE_ORG ? STR("org") : p->subject;
        if (!p->cache.given || p->scope > SCOPE_APPLICATION) {
            continue;
        }
        if (!c) {
            c = arena_zalloc(scratch, sizeof *c);
            c->config = s->config;
            for (size_t k = 0; k < SUBJECTS; k++) {
                c->of[k].arena = scratch;
            }
        }
        if (!names_add(&c->of[p->scope], subject, i, NULL)) {
            names_set(&c->of[p->scope], subject, i);
        }
    }
    s->caches = c != NULL;
    s->cache = find(c, SCOPE_ORG, STR("org"));
    return c;
}

struct snap_cache cache_of_key(const struct caches_compiler *c, struct str id,
                               struct str application, struct str team)
{
    struct snap_cache found = find(c, SCOPE_KEY, id);
    found = found.given ? found : find(c, SCOPE_APPLICATION, application);
    return found.given ? found : find(c, SCOPE_TEAM, team);
}

struct snap_cache cache_of_model(const struct caches_compiler *c, struct str id)
{
    return find(c, SCOPE_MODEL, id);
}
