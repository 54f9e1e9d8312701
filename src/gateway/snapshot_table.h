/* How the tables of a snapshot are laid out: between the compiler, which fills them, and the calls,
 * which look. Open addressing, seeded; a slot holds 1 + index. */
#ifndef GATEWAY_SNAPSHOT_TABLE_H
#define GATEWAY_SNAPSHOT_TABLE_H

#include "gateway/snapshot.h"

static inline uint64_t table_hash(uint64_t seed, struct str s)
{
    uint64_t h = seed ^ s.n;
    while (s.n >= 8) {
        uint64_t w;
        memcpy(&w, s.p, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15U;
        h ^= h >> 32;
        s = str_from(s, 8);
    }
    uint64_t w = 0;
    if (s.n) {
        memcpy(&w, s.p, s.n);
    }
    h = (h ^ w) * 0x9E3779B97F4A7C15U;
    return h ^ h >> 29;
}

/* A digest is as good as random. */
static inline uint64_t table_digest(const uint8_t *digest)
{
    uint64_t w;
    memcpy(&w, digest, 8);
    return w;
}

static inline const struct snap_model *table_model(const struct snapshot *s, struct str name)
{
    for (uint64_t i = table_hash(s->_seed, name);; i++) {
        uint32_t slot = s->_model_slots[i & s->_model_mask];
        if (!slot) {
            return NULL;
        }
        if (str_eq(s->models[slot - 1].name, name)) {
            return &s->models[slot - 1];
        }
    }
}

#endif
