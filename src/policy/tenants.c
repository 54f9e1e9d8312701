#include "policy/tenants.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void set_place(struct tenants *all, struct tenant *t, uint32_t at)
{
    all->_heap[at] = t;
    t->_at = at;
    all->steps++;
}

/* Where it belongs now that it has more, or less. */
static void move(struct tenants *all, struct tenant *t)
{
    struct tenant **heap = all->_heap;
    uint32_t at = t->_at;
    while (at && heap[(at - 1) / 2]->bytes < t->bytes) {
        set_place(all, heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = 2 * at + 1) < all->n; at = child) {
        if (child + 1 < all->n && heap[child + 1]->bytes > heap[child]->bytes) {
            child++;
        }
        if (heap[child]->bytes <= t->bytes) {
            break;
        }
        set_place(all, heap[child], at);
    }
    set_place(all, t, at);
}

static void add(struct tenants *all, struct tenant *t)
{
    if (all->n == all->_cap) {
        all->_cap = all->_cap ? all->_cap * 2 : 64;
        all->_heap = mem_realloc(all->_heap, all->_cap * sizeof(struct tenant *));
    }
    set_place(all, t, all->n++); /* it has nothing yet, so it may be last */
}

static void take_out(struct tenants *all, struct tenant *t)
{
    struct tenant *last = all->_heap[--all->n];
    if (last != t) {
        set_place(all, last, t->_at);
        move(all, last);
    }
}

struct tenant *tenants_take(struct tenants *all, struct str name)
{
    uint32_t h = 2166136261U;
    name = str_first(name, TENANT_NAME);
    for (size_t i = 0; i < name.n; i++) {
        h = (h ^ (unsigned char)name.p[i]) * 16777619U;
    }
    struct tenant **slot = &all->_slot[h % TENANT_SLOTS], *t = *slot;
    while (t && !str_eq(str_make(t->_name, t->_name_n), name)) {
        t = t->_next;
    }
    if (!t) {
        t = mem_zalloc(sizeof *t);
        memcpy(t->_name, name.p, name.n);
        t->_name_n = (uint8_t)name.n;
        t->_slot = h % TENANT_SLOTS;
        t->_next = *slot;
        *slot = t;
        add(all, t);
    }
    t->_refs++;
    return t;
}

void tenants_give(struct tenants *all, struct tenant *t)
{
    if (--t->_refs) {
        return;
    }
    struct tenant **at = &all->_slot[t->_slot];
    while (*at != t) {
        at = &(*at)->_next;
    }
    *at = t->_next;
    take_out(all, t);
    free(t);
}

void tenants_weigh(struct tenants *all, struct tenant *t, size_t bytes)
{
    t->bytes = bytes;
    move(all, t);
}

struct tenant *tenants_heaviest(const struct tenants *all)
{
    return all->_heap[0];
}
