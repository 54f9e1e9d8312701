#include "wheel.h"

#include <stddef.h>

static uint32_t slot_of(uint64_t tick)
{
    return (uint32_t)(tick % WHEEL_SLOTS);
}

void wheel_init(struct wheel *w, uint64_t now)
{
    for (uint32_t i = 0; i < WHEEL_SLOTS; i++) {
        w->slots[i].prev = &w->slots[i];
        w->slots[i].next = &w->slots[i];
    }
    w->done = now;
}

void wheel_add(struct wheel *w, struct wheel_node *node, uint64_t due)
{
    node->due = due;
    /* Its own slot may lie behind us; then it goes where wheel_expire looks next. */
    uint64_t tick = due > w->done ? due : w->done + 1;
    uint32_t slot = slot_of(tick);
    struct wheel_node *head = &w->slots[slot];
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
    w->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
    w->count++;
}

void wheel_remove(struct wheel *w, struct wheel_node *node)
{
    if (!node->next) {
        return;
    }
    /* The slot's bit stays: wheel_expire clears it when it finds the list empty. */
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = NULL;
    node->next = NULL;
    w->count--;
}

static struct wheel_node *due_in_slot(struct wheel *w, uint32_t slot, uint64_t tick)
{
    struct wheel_node *head = &w->slots[slot];
    if (head->next == head) {
        w->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
        return NULL;
    }
    for (struct wheel_node *node = head->next; node != head; node = node->next) {
        if (node->due <= tick) { /* others belong to a later turn of the wheel */
            return node;
        }
    }
    return NULL;
}

struct wheel_node *wheel_expire(struct wheel *w, uint64_t now)
{
    while (w->done < now) {
        uint64_t tick = w->done + 1;
        uint32_t slot = slot_of(tick);
        if (w->occupied[slot / 64] >> (slot % 64) & 1) {
            struct wheel_node *node = due_in_slot(w, slot, tick);
            if (node) {
                wheel_remove(w, node);
                return node;
            }
        }
        w->done = tick;
    }
    return NULL;
}

int64_t wheel_timeout(const struct wheel *w, uint64_t now)
{
    if (w->count == 0) {
        return -1;
    }
    for (uint64_t tick = w->done + 1; tick <= w->done + WHEEL_SLOTS; tick++) {
        uint32_t slot = slot_of(tick);
        if (slot % 64 == 0 && w->occupied[slot / 64] == 0) {
            tick += 63;
            continue;
        }
        if (w->occupied[slot / 64] >> (slot % 64) & 1) {
            return tick > now ? (int64_t)(tick - now) : 0;
        }
    }
    return -1;
}
