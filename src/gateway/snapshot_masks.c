#include "gateway/snapshot_masks.h"

#include "gateway/mask_rules.h"

enum {
    RULES_MAX = 256, /* pairs of sets; compiling one takes milliseconds */
    SETS_MAX = 4096,
};

/* Policies that hold together, by their place in the configuration. */
struct set {
    uint32_t *policies;
    uint32_t n;
    bool unknown; /* of a key whose team is not known while teams have policies */
};

struct sets {
    struct set *all;
    uint32_t n;
};

struct masks_compiler {
    struct snapshot *s;
    struct arena *a, *scratch;
    const struct subjects *subjects;
    uint32_t *now; /* a set that is being made */
    bool teams;
    struct sets keys, models;
};

struct masks_compiler *masks_begin(struct snapshot *s, const struct subjects *subjects,
                                   struct arena *a, struct arena *scratch)
{
    const struct config *c = s->config;
    struct masks_compiler *m = NULL;
    for (size_t i = 0; i < c->n_policies; i++) {
        if (!c->policies[i].masking.given) {
            continue;
        }
        if (!m) {
            m = arena_zalloc(scratch, sizeof *m);
            *m = (struct masks_compiler){.s = s, .a = a, .scratch = scratch, .subjects = subjects};
            m->now = arena_zalloc(scratch, c->n_policies * sizeof *m->now);
            m->keys.all = arena_zalloc(scratch, SETS_MAX * sizeof *m->keys.all);
            m->models.all = arena_zalloc(scratch, SETS_MAX * sizeof *m->models.all);
        }
        m->teams = m->teams || c->policies[i].scope == SCOPE_TEAM;
    }
    return m;
}

static uint32_t add_of(struct masks_compiler *m, uint32_t n, enum policy_scope scope,
                       struct str subject)
{
    const struct subjects *all = m->subjects;
    for (int64_t i = subjects_first(all, scope, subject); i >= 0; i = subjects_next(all, i)) {
        if (m->s->config->policies[i].masking.given) {
            m->now[n++] = (uint32_t)i;
        }
    }
    return n;
}

/* The number of the set in m->now; of more than SETS_MAX all further ones share the last, which is unknown. */
static uint32_t number_of(struct masks_compiler *m, struct sets *s, uint32_t n, bool unknown)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct set *x = &s->all[i];
        if (x->n == n && x->unknown == unknown &&
            (n == 0 || memcmp(x->policies, m->now, n * sizeof *m->now) == 0)) {
            return i;
        }
    }
    if (s->n == SETS_MAX) {
        s->all[SETS_MAX - 1].unknown = true;
        return SETS_MAX - 1;
    }
    struct set *x = &s->all[s->n];
    *x = (struct set){
        .policies = arena_zalloc(m->scratch, (n + 1) * sizeof *m->now), .n = n, .unknown = unknown};
    if (n) {
        memcpy(x->policies, m->now, n * sizeof *m->now);
    }
    return s->n++;
}

uint32_t masks_of_key(struct masks_compiler *m, struct str id, struct str application,
                      struct str team)
{
    if (!m) {
        return 0;
    }
    uint32_t n = add_of(m, 0, SCOPE_ORG, (struct str){0});
    n = add_of(m, n, SCOPE_TEAM, team);
    n = add_of(m, n, SCOPE_APPLICATION, application);
    n = add_of(m, n, SCOPE_KEY, id);
    return number_of(m, &m->keys, n, m->teams && application.n && !team.n);
}

uint32_t masks_of_models(struct masks_compiler *m, const struct str *ids, size_t n)
{
    uint32_t found = 0;
    for (size_t i = 0; m && i < n; i++) {
        found = add_of(m, found, SCOPE_MODEL, ids[i]);
    }
    return m ? number_of(m, &m->models, found, false) : 0;
}

/* ---- compiling ---- */

static void join(struct masks_compiler *m, const struct set *key, const struct set *model,
                 struct snap_masking *to, struct buf *errors)
{
    uint32_t n = 0;
    const struct config_policy **all =
        arena_alloc(m->scratch, (key->n + model->n + 1) * sizeof(struct config_policy *));
    struct buf lines = {.arena = m->scratch};
    for (uint32_t i = 0; i < key->n; i++) {
        all[n++] = &m->s->config->policies[key->policies[i]];
    }
    for (uint32_t i = 0; i < model->n; i++) {
        all[n++] = &m->s->config->policies[model->policies[i]];
    }
    to->on = n > 0 || key->unknown || model->unknown;
    to->pass = !key->unknown && !model->unknown;
    for (uint32_t i = 0; i < n; i++) {
        to->pass = to->pass && all[i]->masking.on_failure == MASKING_PASS;
    }
    if (key->unknown || model->unknown) {
        return;
    }
    if (mask_rules_of(all, n, false, &to->rules, &lines) < 0 ||
        mask_rules_of(all, n, true, &to->answers, &lines) < 0) {
        mask_rules_unref(to->rules);
        to->rules = NULL;
        buf_printf(errors, "masking of the policies");
        for (uint32_t i = 0; i < n; i++) {
            buf_printf(errors, " %.*s", STR_ARG(all[i]->id));
        }
        buf_printf(errors, " together cannot be compiled: %.*s", STR_ARG(buf_str(&lines)));
    }
}

void masks_finish(struct masks_compiler *m, struct buf *errors)
{
    if (!m) {
        return;
    }
    struct snapshot *s = m->s;
    size_t n = (size_t)m->keys.n * m->models.n;
    s->maskings = arena_zalloc(m->a, (n + 1) * sizeof *s->maskings);
    s->n_maskings = n;
    s->masking_models = m->models.n;
    for (size_t i = 0; i < n; i++) {
        const struct set *key = &m->keys.all[i / m->models.n];
        if (i < RULES_MAX) {
            join(m, key, &m->models.all[i % m->models.n], &s->maskings[i], errors);
        } else {
            s->maskings[i].on = true; /* without rules: refused */
        }
    }
    if (n > RULES_MAX) {
        buf_printf(errors,
                   "masking: keys and models are under more than %d different sets of policies; "
                   "calls under the others are refused\n",
                   RULES_MAX);
    }
}

void masks_free(struct snapshot *s)
{
    for (size_t i = 0; i < s->n_maskings; i++) {
        mask_rules_unref(s->maskings[i].rules);
        mask_rules_unref(s->maskings[i].answers);
    }
}
