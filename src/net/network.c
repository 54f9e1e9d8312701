#include "net/network.h"

#include <arpa/inet.h>

#include "base/must.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool read_plain(struct str text, uint8_t to[16])
{
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof z || memchr(text.p, 0, text.n)) {
        return false;
    }
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    if (inet_pton(AF_INET, z, to + sizeof mapped) == 1) {
        memcpy(to, mapped, sizeof mapped);
        return true;
    }
    return inet_pton(AF_INET6, z, to) == 1;
}

bool address_read(struct str text, uint8_t to[16])
{
    ptrdiff_t colon = str_chr(text, ':');
    if (text.n && text.p[0] == '[') {
        ptrdiff_t end = str_chr(text, ']');
        return end > 0 && read_plain(str_make(text.p + 1, (size_t)end - 1), to);
    }
    if (colon > 0 && str_chr(str_from(text, (size_t)colon + 1), ':') < 0) {
        text = str_first(text, (size_t)colon); /* one colon alone: a port follows it */
    }
    return read_plain(text, to);
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool network_read(struct str text, struct network *ret)
{
    struct network n = {.bits = 128};
    struct str rest = text, address;
    uint64_t bits;
    static const uint8_t zero[16];
    if (str_eq(text, STR("unix"))) {
        *ret = (struct network){.unix_socket = true};
        return true;
    }
    bool prefix = str_cut(&rest, '/', &address);
    if (!read_plain(address, n.bytes)) {
        return false;
    }
    if (prefix) {
        unsigned most = str_chr(address, ':') < 0 ? 32 : 128;
        if (str_to_u64(rest, &bits) < 0 || bits > most) {
            return false;
        }
        n.bits = (uint8_t)(bits + 128 - most);
    }
    uint8_t behind[16];
    memcpy(behind, n.bytes, sizeof behind);
    for (unsigned i = 0; i < n.bits; i++) {
        behind[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    }
    if (memcmp(behind, zero, sizeof zero) != 0) {
        return false;
    }
    *ret = n;
    return true;
}

bool network_holds(const struct network *all, size_t n, const uint8_t address[16])
{
    for (size_t i = 0; i < n; i++) {
        if (!all[i].unix_socket && same_prefix(all[i].bytes, address, all[i].bits)) {
            return true;
        }
    }
    return false;
}

void address_cut(uint8_t address[16])
{
    if (memcmp(address, mapped, sizeof mapped) != 0) {
        memset(address + 8, 0, 8);
    }
}

struct str address_print(struct arena *a, const uint8_t address[16])
{
    char text[INET6_ADDRSTRLEN];
    bool v4 = memcmp(address, mapped, sizeof mapped) == 0;
    must(inet_ntop(v4 ? AF_INET : AF_INET6, address + (v4 ? sizeof mapped : 0), text, sizeof text));
    return arena_dup(a, str_of(text));
}
