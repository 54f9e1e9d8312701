#include "gateway/snapshot_attempt.h"

#include "gateway/health_of.h"

static uint32_t first_of(int64_t model, int64_t provider, int64_t server)
{
    return (uint32_t)(model ? model : provider ? provider : server);
}

void compile_attempt(struct arena *scratch, const struct config *cfg, const struct config_model *m,
                     struct snap_target *t)
{
    static const struct config_deadlines none;
    const struct config_deadlines *p = &cfg->providers[t->provider->index].timeouts;
    const struct config_deadlines *own = m ? &m->timeouts : &none;
    t->first_token_ms =
        first_of(own->first_token_ms, p->first_token_ms, cfg->timeouts.first_token_ms);
    t->between_tokens_ms =
        first_of(own->between_tokens_ms, p->between_tokens_ms, cfg->timeouts.between_tokens_ms);
    if (m && m->hedge.given) {
        /* No model's name holds a blank. */
        t->hedge = hedge_of(arena_printf(scratch, "hedge %.*s %.*s %.*s", STR_ARG(m->id),
                                         STR_ARG(t->provider->id), STR_ARG(t->model)));
        t->hedge_whole = hedge_of(arena_printf(scratch, "whole %.*s %.*s %.*s", STR_ARG(m->id),
                                               STR_ARG(t->provider->id), STR_ARG(t->model)));
    }
}

void compile_check(struct arena *a, const struct config_health *h, struct snap_provider *p)
{
    const struct snap_credential *k = &p->credentials[0];
    if (!h->given) {
        return;
    }
    /* A credential of Amazon's is none of the lines; such a check goes without. */
    p->check = (struct snap_check){
        .every_ms = (uint64_t)h->every_ms,
        .timeout_ms = (uint64_t)h->timeout_ms,
        .failures = (uint32_t)h->failures,
        .request = arena_printf(a, "GET %.*s%.*s HTTP/1.1\r\n%.*suser-agent: accord\r\n\r\n",
                                STR_ARG(p->absolute), STR_ARG(h->path), STR_ARG(k->fields))};
}

uint64_t compile_total_ms(const struct config *cfg, const struct config_model *m)
{
    return (uint64_t)(m && m->timeouts.total_ms ? m->timeouts.total_ms : cfg->timeouts.total_ms);
}
