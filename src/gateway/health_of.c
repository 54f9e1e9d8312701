#include "gateway/health_of.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/must.h"

struct named {
    struct health health;
    struct hedge *hedge; /* NULL: nobody has asked */
    struct load *load;   /* NULL: nobody has asked for it */
    uint64_t hash;
    struct str name;
    char text[];
};

static struct table {
    struct named **slots; /* open addressing */
    size_t mask, n;
} all;

/* FNV-1a; the names are the administrator's. */
static uint64_t hash_of(struct str s)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3;
    }
    return h ^ h >> 29;
}

static struct named **place_of(const struct table *t, uint64_t hash, struct str name)
{
    for (uint64_t i = hash;; i++) {
        struct named **slot = &t->slots[i & t->mask];
        if (!*slot || ((*slot)->hash == hash && str_eq((*slot)->name, name))) {
            return slot;
        }
    }
}

static void grow(struct table *t)
{
    struct table bigger = {.mask = t->mask ? t->mask * 2 + 1 : 255, .n = t->n};
    bigger.slots = mem_zalloc((bigger.mask + 1) * sizeof(struct named *));
    for (size_t i = 0; t->slots && i <= t->mask; i++) {
        if (t->slots[i]) {
            *place_of(&bigger, t->slots[i]->hash, t->slots[i]->name) = t->slots[i];
        }
    }
    free(t->slots);
    *t = bigger;
}

static unsigned workers = 1;

void load_workers(unsigned n)
{
    workers = n;
}

unsigned load_worker_count(void)
{
    return workers;
}

static struct named *named_of(struct str name)
{
    uint64_t hash = hash_of(name);
    if (all.n * 2 >= all.mask) {
        grow(&all);
    }
    struct named **slot = place_of(&all, hash, name);
    if (!*slot) {
        struct named *n = mem_zalloc(sizeof *n + name.n);
        memcpy(n->text, name.p, name.n);
        n->name = str_make(n->text, name.n);
        n->hash = hash;
        *slot = n;
        all.n++;
    }
    return *slot;
}

struct health *health_of(struct str name)
{
    return &named_of(name)->health;
}

struct hedge *hedge_of(struct str name)
{
    struct named *n = named_of(name);
    n->hedge = n->hedge ? n->hedge : mem_zalloc(sizeof *n->hedge);
    return n->hedge;
}

/* Its shards are cache lines of their own. */
static struct load *load_new(void)
{
    size_t size = sizeof(struct load) + workers * sizeof(struct load_shard);
    struct load *l = aligned_alloc(_Alignof(struct load), size);
    must(l);
    memset(l, 0, size);
    l->n_shards = workers;
    return l;
}

struct load *load_of(struct str name)
{
    struct named *n = named_of(name);
    n->load = n->load ? n->load : load_new();
    return n->load;
}

void health_of_target(struct arena *a, struct arena *scratch, struct snap_target *t)
{
    const struct snap_provider *p = t->provider;
    bool any = !t->model.n;
    uint32_t places = any ? SNAP_LIMIT_PLACES : 1, n = p->n_credentials;
    struct health **limits = arena_zalloc(a, places * n * sizeof(struct health *));
    for (uint32_t i = 0; i < places * n; i++) {
        /* No model's name holds a blank. */
        struct str model = any ? arena_printf(scratch, "any %u", i / n) : t->model;
        limits[i] = health_of(arena_printf(scratch, "%.*s limit %.*s %.*s", STR_ARG(p->id),
                                           STR_ARG(p->credentials[i % n].id), STR_ARG(model)));
    }
    struct str lane = arena_printf(scratch, "%.*s lane %.*s", STR_ARG(p->id), STR_ARG(t->model));
    t->limits = limits;
    t->load = load_of(lane);
    t->lane = any ? NULL : health_of(lane);
}
