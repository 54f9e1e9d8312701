#include "http/header.h"

#include "base/must.h"

const struct str header_name[H_COUNT] = {
#define HEADER_NAME(id, name, flags) [H_##id] = {name, sizeof(name) - 1},
    HEADER_TABLE(HEADER_NAME)
#undef HEADER_NAME
};

const uint8_t header_flags[H_COUNT] = {
#define HEADER_FLAGS(id, name, flags) [H_##id] = (flags),
    HEADER_TABLE(HEADER_FLAGS)
#undef HEADER_FLAGS
};

/* Open addressing over (length, first, last); filled once before main(), only read afterwards. */
enum { SLOTS = 256 };
static uint8_t slot[SLOTS];

static unsigned slot_of(struct str name)
{
    unsigned first = (unsigned char)name.p[0] | 0x20,
             last = (unsigned char)name.p[name.n - 1] | 0x20;
    return ((unsigned)name.n * 37 + first * 11 + last * 5) % SLOTS;
}

__attribute__((constructor)) static void fill(void)
{
    for (unsigned id = 1; id < H_COUNT; id++) {
        unsigned s = slot_of(header_name[id]);
        while (slot[s]) {
            s = (s + 1) % SLOTS;
        }
        slot[s] = (uint8_t)id;
    }
}

static uint64_t word_at(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint32_t half_at(const char *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* `name` holds token characters only, so setting bit 5 maps no two of those in the table together. Words
 * that overlap at the end cost less than a loop over what is left. */
static inline bool same(const char *name, const char *lower, size_t n)
{
    const uint64_t bit5 = 0x2020202020202020U;
    if (n < 4) {
        for (size_t i = 0; i < n; i++) {
            if ((name[i] | 0x20) != lower[i]) {
                return false;
            }
        }
        return true;
    }
    if (n < 8) {
        uint32_t bit5_half = (uint32_t)bit5;
        return (half_at(name) | bit5_half) == half_at(lower) &&
               (half_at(name + n - 4) | bit5_half) == half_at(lower + n - 4);
    }
    for (size_t i = 0; i + 8 < n; i += 8) {
        if ((word_at(name + i) | bit5) != word_at(lower + i)) {
            return false;
        }
    }
    return (word_at(name + n - 8) | bit5) == word_at(lower + n - 8);
}

enum header_id header_id(struct str name)
{
    if (name.n == 0) {
        return H_OTHER;
    }
    for (unsigned s = slot_of(name); slot[s]; s = (s + 1) % SLOTS) {
        if (header_name[slot[s]].n == name.n && same(name.p, header_name[slot[s]].p, name.n)) {
            return (enum header_id)slot[s];
        }
    }
    return H_OTHER;
}
