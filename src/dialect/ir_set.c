#include "dialect/ir_set.h"

#include <sodium.h>

enum { SIZE_FIRST = 16 };

static unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* filled before main() */

__attribute__((constructor)) static void make_hash_key(void)
{
    randombytes_buf(hash_key, sizeof hash_key);
}

uint64_t ir_hash(struct str text)
{
    uint64_t h;
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)text.p, text.n, hash_key);
    return h;
}

/* Where the text stands, or the free slot for it. */
static struct str *slot_of(const struct ir_set *s, struct str text)
{
    for (uint64_t i = ir_hash(text);; i++) {
        struct str *at = &s->_slot[i & (s->_size - 1)];
        if (!at->p || str_eq(*at, text)) {
            return at;
        }
    }
}

static void grow(struct arena *a, struct ir_set *s)
{
    struct ir_set wide = {._size = s->_size ? 2 * s->_size : SIZE_FIRST, ._n = s->_n};
    wide._slot = arena_zalloc(a, wide._size * sizeof *wide._slot);
    for (uint32_t i = 0; i < s->_size; i++) {
        if (s->_slot[i].p) {
            *slot_of(&wide, s->_slot[i]) = s->_slot[i];
        }
    }
    *s = wide;
}

bool ir_set_add(struct arena *a, struct ir_set *s, struct str text)
{
    if (2 * s->_n >= s->_size) {
        grow(a, s);
    }
    text.p = text.p ? text.p : ""; /* the empty text is one, too */
    struct str *at = slot_of(s, text);
    if (at->p) {
        return false;
    }
    *at = text;
    s->_n++;
    return true;
}

bool ir_set_has(const struct ir_set *s, struct str text)
{
    return s->_n && slot_of(s, text)->p;
}
