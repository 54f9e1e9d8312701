/* How targets, providers and credentials are doing, as calls see it. */
#include "conflict/http_date.h"
#include "gateway/explain.h"
#include "model/names.h"

static void set_text(struct arena *a, struct json *to, const char *name, struct str value)
{
    json_set(to, str_of(name), json_new_str(a, arena_dup(a, value)));
}

static void set_int(struct arena *a, struct json *to, const char *name, uint64_t value)
{
    json_set(to, str_of(name), json_new_int(a, (int64_t)value));
}

/* A breaker is open after failures in a row, and half open when that time is over and nobody knows yet; what rests
 * for another reason has been told to, or its credential was refused. */
static const char *state_of(const struct health *h, uint64_t left_ms)
{
    bool doubt = health_doubtful(h);
    return left_ms ? (doubt ? "open" : "resting") : doubt ? "half_open" : "closed";
}

void routing_add_health(struct arena *a, struct json *to, const struct health *h,
                        const struct worker *w)
{
    uint64_t left = health_left_ms(h, loop_now_ms(w->loop));
    set_text(a, to, "state", str_of(state_of(h, left)));
    set_int(a, to, "failures", atomic_load_explicit(&h->failures, memory_order_relaxed));
    if (left) {
        uint64_t wall_us = loop_now_us(w->loop) + w->wall_offset_us;
        set_int(a, to, "rests_ms", left);
        set_text(a, to, "rests_until", time_print(a, (int64_t)(wall_us + left * 1000)));
        json_set(to, STR("told"),
                 json_new_bool(a, atomic_load_explicit(&h->told, memory_order_relaxed)));
    }
}

void routing_add_load(struct arena *a, struct json *to, const struct load *l,
                      const struct worker *w)
{
    struct load_sum s = load_sum(l);
    uint64_t us = load_latency_us(l, loop_now_ms(w->loop));
    set_int(a, to, "in_flight", s.running);
    set_int(a, to, "attempts", s.calls);
    set_int(a, to, "failed", s.failed);
    if (us) {
        struct json *ms = json_new(a, JSON_NUMBER);
        ms->text = arena_printf(a, "%llu.%03llu", (unsigned long long)(us / 1000),
                                (unsigned long long)(us % 1000));
        json_set(to, STR("latency_ms"), ms);
    }
}

static struct json *credential_json(struct arena *a, const struct snap_credential *k,
                                    const struct health *h, const struct worker *w)
{
    struct json *j = json_new(a, JSON_OBJECT);
    set_text(a, j, "id", k->id);
    set_int(a, j, "priority", k->priority);
    routing_add_health(a, j, h, w);
    return j;
}

static struct json *provider_json(struct arena *a, const struct snap_provider *p,
                                  const struct worker *w)
{
    struct json *j = json_new(a, JSON_OBJECT), *all = json_new(a, JSON_ARRAY);
    set_text(a, j, "id", p->id);
    routing_add_health(a, j, p->health, w);
    for (uint32_t i = 0; i < p->n_credentials; i++) {
        json_append(all, credential_json(a, &p->credentials[i], p->credentials[i].health, w));
    }
    json_set(j, STR("credentials"), all);
    return j;
}

/* Of models that nobody has listed, all together: what is known of one alone is not told. */
static struct json *target_json(struct arena *a, const struct snap_target *t,
                                const struct worker *w)
{
    const struct snap_provider *p = t->provider;
    struct json *j = json_new(a, JSON_OBJECT), *all = json_new(a, JSON_ARRAY);
    struct str model = t->model.n ? t->model : STR("*");
    set_text(a, j, "target", arena_printf(a, "%.*s/%.*s", STR_ARG(p->id), STR_ARG(model)));
    set_text(a, j, "provider", p->id);
    set_text(a, j, "model", model);
    routing_add_load(a, j, t->load, w);
    if (t->lane) {
        routing_add_health(a, j, t->lane, w);
        for (uint32_t i = 0; i < p->n_credentials; i++) {
            json_append(all, credential_json(a, &p->credentials[i],
                                             snap_limit_on(t, (struct str){0}, i), w));
        }
        json_set(j, STR("credentials"), all);
    }
    return j;
}

static bool is_asked(const struct snap_target *t, struct str provider, struct str model)
{
    return (!provider.p || str_eq(t->provider->id, provider)) &&
           (!model.p || str_eq(t->model, model));
}

struct json *routing_state(struct worker *w, struct str provider, struct str model, size_t most,
                           struct arena *a)
{
    const struct snapshot *s = w->hold->snap;
    struct json *j = json_new(a, JSON_OBJECT), *providers = json_new(a, JSON_ARRAY),
                *targets = json_new(a, JSON_ARRAY);
    struct names seen = {.arena = a}; /* a target stands in many models */
    size_t n = 0;
    bool more = false;
    for (size_t i = 0; i < s->n_providers; i++) {
        if (!provider.p || str_eq(s->providers[i].id, provider)) {
            json_append(providers, provider_json(a, &s->providers[i], w));
        }
    }
    for (size_t i = 0; i < s->n_models && !more; i++) {
        for (uint32_t k = 0; k < s->models[i].n_targets; k++) {
            const struct snap_target *t = &s->models[i].targets[k];
            if (!is_asked(t, provider, model) ||
                !names_add(
                    &seen,
                    arena_printf(a, "%.*s %.*s", STR_ARG(t->provider->id), STR_ARG(t->model)), n,
                    NULL)) {
                continue;
            }
            more = n == most;
            if (more) {
                break;
            }
            json_append(targets, target_json(a, t, w));
            n++;
        }
    }
    json_set(j, STR("providers"), providers);
    json_set(j, STR("targets"), targets);
    json_set(j, STR("more"), json_new_bool(a, more));
    return j;
}
