#include "policy/address_table.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/must.h"

enum { WAYS = 8, SETS = ADDRESSES / WAYS };

struct place {
    _Alignas(64) _Atomic uint64_t tag; /* of the address; 0: nobody's yet */
    struct limit_counter counter;
};

struct address_table {
    unsigned char
        secret[crypto_shorthash_KEYBYTES]; /* or somebody could look for addresses of one set */
    struct place *places;
};

struct address_table *address_table_new(void)
{
    struct address_table *t = mem_zalloc(sizeof *t);
    const size_t size = (size_t)ADDRESSES * sizeof *t->places;
    randombytes_buf(t->secret, sizeof t->secret);
    t->places = aligned_alloc(64, size);
    must(t->places);
    memset(t->places, 0, size);
    return t;
}

void address_table_free(struct address_table *t)
{
    if (t) {
        free(t->places);
        free(t);
    }
}

/* Its tag and, by other bits of it, its set. */
static uint64_t hash_of(const struct address_table *t, const uint8_t *address)
{
    uint64_t h;
    crypto_shorthash((unsigned char *)&h, address, ADDRESS_BYTES, t->secret);
    return h ? h : 1;
}

struct limit_counter *address_table_find(struct address_table *t,
                                         const uint8_t address[ADDRESS_BYTES],
                                         const struct limit_rule *rule, const struct limit_now *now)
{
    const uint64_t tag = hash_of(t, address);
    struct place *set = &t->places[tag % SETS * WAYS];
    for (unsigned i = 0; i < WAYS; i++) {
        if (atomic_load(&set[i].tag) == tag) {
            return &set[i].counter;
        }
    }
    for (unsigned i = 0; i < WAYS; i++) {
        struct limit_rule of = *rule;
        uint64_t was = atomic_load(&set[i].tag);
        of.counter = &set[i].counter;
        if (was == tag ||
            (limit_taken(&of, now) == 0 &&
             (atomic_compare_exchange_strong(&set[i].tag, &was, tag) || was == tag))) {
            return &set[i].counter;
        }
    }
    return &set[(tag >> 32) % WAYS].counter;
}

bool address_table_sweep(struct address_table *t, enum limit_per per, const struct zone *zone,
                         const struct limit_now *now)
{
    bool any = false;
    for (size_t i = 0; i < ADDRESSES; i++) {
        struct place *p = &t->places[i];
        any = (atomic_load(&p->tag) && limit_sweep(&p->counter, per, zone, now)) || any;
    }
    return any;
}
