#include "model/names.h"

static size_t hash_of(struct str s)
{
    uint64_t h = 0xcbf29ce484222325U; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
    }
    return (size_t)(h ^ h >> 32);
}

static struct names_slot *slot_of(const struct names *s, struct str name)
{
    size_t at = hash_of(name) & (s->_cap - 1);
    while (s->_slots[at].name.p && !str_eq(s->_slots[at].name, name)) {
        at = (at + 1) & (s->_cap - 1);
    }
    return &s->_slots[at];
}

static void grow(struct names *s)
{
    struct names old = *s;
    s->_cap = old._cap ? old._cap * 2 : 16;
    s->_slots = arena_zalloc(s->arena, s->_cap * sizeof *s->_slots);
    for (size_t i = 0; i < old._cap; i++) {
        if (old._slots[i].name.p) {
            *slot_of(s, old._slots[i].name) = old._slots[i];
        }
    }
}

bool names_add(struct names *s, struct str name, size_t value, size_t *ret_old)
{
    if (!name.p) {
        name = STR(""); /* a free slot is told by its NULL */
    }
    if (2 * (s->n + 1) > s->_cap) {
        grow(s);
    }
    struct names_slot *slot = slot_of(s, name);
    if (slot->name.p) {
        if (ret_old) {
            *ret_old = slot->value;
        }
        return false;
    }
    *slot = (struct names_slot){name, value};
    s->n++;
    return true;
}

bool names_find(const struct names *s, struct str name, size_t *ret_value)
{
    if (!s->_cap) {
        return false;
    }
    const struct names_slot *slot = slot_of(s, name);
    if (!slot->name.p) {
        return false;
    }
    if (ret_value) {
        *ret_value = slot->value;
    }
    return true;
}

void names_set(struct names *s, struct str name, size_t value)
{
    slot_of(s, name.p ? name : STR(""))->value = value;
}
