#include "gateway/snapshot_retry.h"

#include "model/names.h"

enum { SUBJECTS = SCOPE_APPLICATION + 1 };

struct retries_compiler {
    struct names of[SUBJECTS]; /* the index in `all` */
    struct snap_retry *all;
};

static struct snap_retry find(const struct retries_compiler *c, enum policy_scope scope,
                              struct str subject)
{
    size_t at;
    if (!c || (!subject.n && scope != SCOPE_ORG) || !names_find(&c->of[scope], subject, &at)) {
        return (struct snap_retry){0};
    }
    return c->all[at];
}

static struct retries_compiler *begin(const struct config *cfg, struct arena *scratch)
{
    struct retries_compiler *c = arena_zalloc(scratch, sizeof *c);
    c->all = arena_zalloc(scratch, cfg->n_policies * sizeof *c->all);
    for (size_t i = 0; i < SUBJECTS; i++) {
        c->of[i].arena = scratch;
    }
    return c;
}

struct retries_compiler *retries_compile(struct snapshot *s, struct arena *scratch)
{
    struct retries_compiler *c = NULL;
    for (size_t i = 0; i < s->config->n_policies; i++) {
        const struct config_policy *p = &s->config->policies[i];
        const struct snap_retry own = {(uint32_t)p->retry.attempts, (uint32_t)p->retry.deadline_ms};
        struct str subject = p->scope == SCOPE_ORG ? STR("org") : p->subject;
        size_t at = i;
        if (!p->retry.given || p->scope > SCOPE_APPLICATION) {
            continue;
        }
        if (!c) {
            c = begin(s->config, scratch);
        }
        names_add(&c->of[p->scope], subject, i, &at);
        c->all[at] = snap_retry_or(own, c->all[at]);
    }
    s->retry = find(c, SCOPE_ORG, STR("org"));
    return c;
}

struct snap_retry retry_of_key(const struct retries_compiler *c, struct str id,
                               struct str application, struct str team)
{
    struct snap_retry wider =
        snap_retry_or(find(c, SCOPE_APPLICATION, application), find(c, SCOPE_TEAM, team));
    return snap_retry_or(find(c, SCOPE_KEY, id), wider);
}

struct snap_retry retry_of_models(const struct retries_compiler *c, const struct str *ids, size_t n)
{
    struct snap_retry r = {0};
    for (size_t i = 0; c && i < n; i++) {
        r = snap_retry_or(r, find(c, SCOPE_MODEL, ids[i]));
    }
    return r;
}
