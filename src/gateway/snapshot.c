#include "gateway/snapshot.h"

#include <stdlib.h>

#include "gateway/snapshot_masks.h"
#include "gateway/snapshot_table.h"

void snapshot_unref(struct snapshot *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
        for (size_t i = 0; i < s->n_providers; i++) {
            tls_ctx_unref(s->providers[i].target.tls_ctx);
        }
        for (size_t i = 0; i < s->n_limits; i++) {
            counter_drop(s->limits[i].counter);
        }
        masks_free(s);
        struct arena config_arena = s->config_arena, own = s->arena;
        if (s->release) {
            s->release(s->held);
        }
        config_base_unref(s->base);
        arena_reset(&config_arena);
        arena_reset(&own);
    }
}

struct config_base *config_base_ref(struct config_base *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void config_base_unref(struct config_base *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) {
        arena_reset(&b->arena);
        free(b);
    }
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

/* ---- looking ---- */

/* In constant time: all words are looked at, whatever the first ones say. */
static bool same_digest(const uint8_t *a, const uint8_t *b)
{
    uint64_t x[KEY_DIGEST_SIZE / 8], y[KEY_DIGEST_SIZE / 8], difference = 0;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (unsigned i = 0; i < KEY_DIGEST_SIZE / 8; i++) {
        difference |= x[i] ^ y[i];
        __asm__ volatile("" : "+r"(difference)); /* so that no compiler makes a shortcut */
    }
    return difference == 0;
}

const struct snap_key *snapshot_key(const struct snapshot *s, struct str secret)
{
    uint8_t digest[KEY_DIGEST_SIZE];
    key_digest(secret, digest);
    for (uint64_t i = table_digest(digest) ^ s->_seed;; i++) {
        uint32_t slot = s->_key_slots[i & s->_key_mask];
        if (!slot) {
            return NULL;
        }
        if (same_digest(s->keys[slot - 1].digest, digest)) {
            return &s->keys[slot - 1];
        }
    }
}

/* A model's name may hold what no field may: that is percent-encoded. */
static void add_name(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch > ' ' && ch < 0x7f && ch != '%') {
            buf_addc(b, (char)ch);
        } else {
            buf_printf(b, "%%%02X", ch);
        }
    }
}

struct str snap_told(struct arena *a, const struct snap_provider *p, struct str model)
{
    struct buf b = {.arena = a};
    buf_printf(&b, "accord-provider: %.*s\r\naccord-target: %.*s/", STR_ARG(p->id), STR_ARG(p->id));
    add_name(&b, model);
    buf_addz(&b, "\r\n");
    return buf_str(&b);
}

bool snap_matches(const struct str *patterns, size_t n, struct str text)
{
    for (size_t i = 0; i < n; i++) {
        struct str p = patterns[i];
        if (p.n && p.p[p.n - 1] == '*' ? str_starts(text, str_first(p, p.n - 1))
                                       : str_eq(p, text)) {
            return true;
        }
    }
    return false;
}

bool snap_key_may(const struct snap_key *k, struct str model)
{
    return snap_matches(k->models, k->n_models, model);
}

const struct snap_model *snapshot_model(const struct snapshot *s, struct str name,
                                        struct str *ret_name)
{
    const struct snap_model *m = table_model(s, name);
    *ret_name = (struct str){0};
    if (m) {
        return m->name.n && m->name.p[m->name.n - 1] == '/' ? NULL : m;
    }
    /* "provider/" stands in the table as the wildcard of that provider. */
    ptrdiff_t slash = str_chr(name, '/');
    if (slash > 0 && (size_t)slash + 1 < name.n) {
        *ret_name = str_from(name, (size_t)slash + 1);
        m = table_model(s, str_first(name, (size_t)slash + 1));
    }
    return m;
}

struct health *snap_limit_on(const struct snap_target *t, struct str name, size_t credential)
{
    size_t place = t->model.n ? 0 : table_hash(0, name) % SNAP_LIMIT_PLACES;
    return t->limits[place * t->provider->n_credentials + credential];
}
