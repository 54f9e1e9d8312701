#include "gateway/snapshot_keep.h"

static bool says_cache(const struct config_policy *p)
{
    return p->cache.given;
}

static bool says_bodies(const struct config_policy *p)
{
    return p->bodies.given;
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

static struct snap_retry retry_of(const struct subjects *s, enum policy_scope scope,
                                  struct str subject)
{
    struct snap_retry r = {0};
    for (int64_t i = subjects_first(s, scope, subject); i >= 0; i = subjects_next(s, i)) {
        const struct config_retry *own = &s->config->policies[i].retry;
        r = snap_retry_or((struct snap_retry){(uint32_t)own->attempts, (uint32_t)own->deadline_ms},
                          r);
    }
    return r;
}

void keep_of_all(const struct subjects *s, struct snapshot *snap)
{
    const struct config *c = s->config;
    const struct str all = {0};
    for (size_t i = 0; i < c->n_policies; i++) {
        snap->caches = snap->caches || c->policies[i].cache.given;
        snap->keeps_bodies = snap->keeps_bodies || c->policies[i].bodies.given;
    }
    snap->cache = cache_of(subjects_last(s, SCOPE_ORG, all, says_cache));
    snap->bodies = bodies_of(subjects_last(s, SCOPE_ORG, all, says_bodies));
    snap->retry = retry_of(s, SCOPE_ORG, all);
}

static const struct config_policy *of_key(const struct subjects *s, const struct snap_key *k,
                                          bool (*says)(const struct config_policy *p))
{
    const struct config_policy *p = subjects_last(s, SCOPE_KEY, k->id, says);
    p = p ? p : subjects_last(s, SCOPE_APPLICATION, k->application, says);
    return p ? p : subjects_last(s, SCOPE_TEAM, k->team, says);
}

void keep_of_key(const struct subjects *s, struct snap_key *key)
{
    struct snap_retry wider = snap_retry_or(retry_of(s, SCOPE_APPLICATION, key->application),
                                            retry_of(s, SCOPE_TEAM, key->team));
    key->retry = snap_retry_or(retry_of(s, SCOPE_KEY, key->id), wider);
    key->cache = cache_of(of_key(s, key, says_cache));
    key->bodies = bodies_of(of_key(s, key, says_bodies));
}

void keep_of_models(const struct subjects *s, const struct str *ids, size_t n, struct snap_model *m)
{
    for (size_t i = 0; i < n; i++) {
        m->retry = snap_retry_or(m->retry, retry_of(s, SCOPE_MODEL, ids[i]));
        if (!m->cache.given) {
            m->cache = cache_of(subjects_last(s, SCOPE_MODEL, ids[i], says_cache));
        }
        if (!m->bodies.given) {
            m->bodies = bodies_of(subjects_last(s, SCOPE_MODEL, ids[i], says_bodies));
        }
    }
}
