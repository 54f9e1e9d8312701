#include "gateway/snapshot_price.h"

#include "conflict/http_date.h"

const struct price *known_price(struct arena *a, const struct snap_target *t)
{
    struct price p = {0};
    if (!t->provider->free && !facts_price(t->provider->vendor, t->model, &p)) {
        return NULL;
    }
    p.version = price_version(&p);
    struct price *kept = arena_alloc(a, sizeof *kept);
    *kept = p;
    return kept;
}

static struct price declared(const struct config_price *from)
{
    struct price p = {0};
    int64_t from_us = 0;
    for (unsigned i = 0; i < RATES; i++) {
        p.rate[i] = -1;
        (void)price_parse(from->rate[i], &p.rate[i]); /* what was not given stays unknown */
    }
    if (from->from.n) {
        (void)!time_parse(from->from, &from_us);
    }
    p.from_us = (uint64_t)from_us;
    p.version = price_version(&p);
    return p;
}

const struct price *compile_price(struct arena *a, const struct config_target *from,
                                  const struct snap_target *t)
{
    struct price *all = arena_zalloc(a, (from->n_prices + 1) * sizeof *all);
    for (size_t n = 0; n < from->n_prices; n++) {
        struct price p = declared(&from->prices[n]);
        size_t at = n;
        for (; at > 0 && all[at - 1].from_us > p.from_us; at--) {
            all[at] = all[at - 1];
        }
        all[at] = p;
    }
    /* Ahead of the first date the vendor's own price counts. */
    const struct price *newest = known_price(a, t);
    for (size_t i = 0; i < from->n_prices; i++) {
        all[i].before = newest;
        newest = &all[i];
    }
    return newest;
}
