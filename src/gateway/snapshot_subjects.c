#include "gateway/snapshot_subjects.h"

static struct str name_of(enum policy_scope scope, struct str subject)
{
    return scope == SCOPE_ORG || scope == SCOPE_ADDRESS ? STR("all") : subject;
}

void subjects_compile(struct subjects *s, const struct config *c, struct arena *scratch)
{
    *s = (struct subjects){.config = c};
    s->_next = arena_alloc(scratch, (c->n_policies + 1) * sizeof *s->_next);
    for (size_t i = 0; i < SCOPES; i++) {
        s->_of[i].arena = scratch;
    }
    for (size_t i = c->n_policies; i-- > 0;) { /* from the end: they stay in their order */
        const struct config_policy *p = &c->policies[i];
        struct str name = name_of(p->scope, p->subject);
        size_t first;
        s->_next[i] = SUBJECTS_NONE;
        if (!names_add(&s->_of[p->scope], name, i, &first)) {
            s->_next[i] = (int64_t)first;
            names_set(&s->_of[p->scope], name, i);
        }
    }
}

int64_t subjects_first(const struct subjects *s, enum policy_scope scope, struct str subject)
{
    struct str name = name_of(scope, subject);
    size_t i;
    return name.n && names_find(&s->_of[scope], name, &i) ? (int64_t)i : SUBJECTS_NONE;
}

const struct config_policy *subjects_last(const struct subjects *s, enum policy_scope scope,
                                          struct str subject,
                                          bool (*says)(const struct config_policy *p))
{
    const struct config_policy *found = NULL;
    for (int64_t i = subjects_first(s, scope, subject); i >= 0; i = subjects_next(s, i)) {
        const struct config_policy *p = &s->config->policies[i];
        found = says(p) ? p : found;
    }
    return found;
}
