#include "gateway/snapshot_choice.h"

void compile_conditions(struct arena *a, const struct config_target *from, struct snap_target *t)
{
    struct snap_condition *all = arena_zalloc(a, (from->n_when + 1) * sizeof *all);
    for (size_t i = 0; i < from->n_when; i++) {
        const struct config_condition *w = &from->when[i];
        all[i] = (struct snap_condition){.what = w->header.n     ? WHEN_HEADER
                                                 : w->metadata.n ? WHEN_METADATA
                                                 : w->n_models   ? WHEN_MODEL
                                                                 : WHEN_TOKENS,
                                         .name = w->header.n ? w->header : w->metadata,
                                         .is = w->n_models ? w->models : w->is,
                                         .n_is = w->n_models ? w->n_models : w->n_is,
                                         .at_least = w->min_tokens,
                                         .at_most = w->max_tokens ? w->max_tokens : INT64_MAX};
    }
    t->when = all;
    t->n_when = (uint32_t)from->n_when;
}

void compile_choice(const struct config_model *from, struct snap_model *m)
{
    m->balance = (uint8_t)from->balance;
    for (size_t i = 0; i < from->n_sticky && m->n_sticky < STICKY_COUNT; i++) {
        uint8_t which = 0;
        while (!str_eq(from->sticky[i], str_of(sticky_name[which]))) {
            which++;
        }
        m->sticky[m->n_sticky++] = which;
    }
    m->looks = m->n_sticky > 0;
    for (uint32_t i = 0; i < m->n_targets; i++) {
        m->looks = m->looks || m->targets[i].n_when > 0;
    }
}
