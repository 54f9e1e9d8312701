#include "gateway/snapshot_keep.h"

#include "model/names.h"

enum { SUBJECTS = SCOPE_APPLICATION + 1 };

/* Whom the policies are about that say a thing. */
struct subjects {
    const struct config *config;
    struct names of[SUBJECTS]; /* the last policy about it */
};

static const struct str everybody = {"org", 3};

static bool says_cache(const struct config_policy *p)
{
    return p->cache.given;
}

static bool says_bodies(const struct config_policy *p)
{
    return p->bodies.given;
}

static const struct subjects *subjects_of(const struct config *cfg, struct arena *scratch,
                                          bool (*says)(const struct config_policy *p))
{
    struct subjects *s = NULL;
    for (size_t i = 0; i < cfg->n_policies; i++) {
        const struct config_policy *p = &cfg->policies[i];
        struct str subject = p->scope == SCOPE_ORG ? everybody : p->subject;
        if (!says(p) || p->scope > SCOPE_APPLICATION) {
            continue;
        }
        if (!s) {
            s = arena_zalloc(scratch, sizeof *s);
            s->config = cfg;
            for (size_t k = 0; k < SUBJECTS; k++) {
                s->of[k].arena = scratch;
            }
        }
        if (!names_add(&s->of[p->scope], subject, i, NULL)) {
            names_set(&s->of[p->scope], subject, i);
        }
    }
    return s;
}

/* NULL: none. */
static const struct config_policy *find(const struct subjects *s, enum policy_scope scope,
                                        struct str subject)
{
    size_t at;
    bool there = s && subject.n && names_find(&s->of[scope], subject, &at);
    return there ? &s->config->policies[at] : NULL;
}

static const struct config_policy *find_of_key(const struct subjects *s, const struct snap_key *k)
{
    const struct config_policy *p = find(s, SCOPE_KEY, k->id);
    p = p ? p : find(s, SCOPE_APPLICATION, k->application);
    return p ? p : find(s, SCOPE_TEAM, k->team);
}

static struct snap_cache cache_of(const struct config_policy *p)
{
    return !p ? (struct snap_cache){0}
              : (struct snap_cache){.given = true,
                                    .ttl_s = (uint32_t)p->cache.ttl_s,
                                    .by_key = p->cache.scope == CACHE_KEY,
                                    .coalesce = p->cache.coalesce};
}

static struct snap_bodies bodies_of(const struct config_policy *p)
{
    return !p ? (struct snap_bodies){0}
              : (struct snap_bodies){.given = true,
                                     .record = (uint8_t)p->bodies.record,
                                     .share_percent = (uint8_t)p->bodies.share_percent,
                                     .max_bytes = (uint32_t)p->bodies.max_bytes,
                                     .keep_days = (uint32_t)p->bodies.keep_days};
}

void keep_compile(struct keeping *k, struct snapshot *s, struct arena *scratch)
{
    k->caches = subjects_of(s->config, scratch, says_cache);
    k->bodies = subjects_of(s->config, scratch, says_bodies);
    s->caches = k->caches != NULL;
    s->keeps_bodies = k->bodies != NULL;
    s->cache = cache_of(find(k->caches, SCOPE_ORG, everybody));
    s->bodies = bodies_of(find(k->bodies, SCOPE_ORG, everybody));
}

void keep_of_key(const struct keeping *k, struct snap_key *key)
{
    key->cache = cache_of(find_of_key(k->caches, key));
    key->bodies = bodies_of(find_of_key(k->bodies, key));
}

void keep_of_models(const struct keeping *k, const struct str *ids, size_t n, struct snap_model *m)
{
    for (size_t i = 0; i < n && !m->cache.given; i++) {
        m->cache = cache_of(find(k->caches, SCOPE_MODEL, ids[i]));
    }
    for (size_t i = 0; i < n && !m->bodies.given; i++) {
        m->bodies = bodies_of(find(k->bodies, SCOPE_MODEL, ids[i]));
    }
}
