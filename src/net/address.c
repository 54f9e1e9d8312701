/* Which addresses are not public: the tables of RFC 6890 as IANA keeps them today, and multicast.
 */
#include "net/connect.h"

struct prefix {
    uint8_t bytes[8];
    uint8_t bits;
};

static const struct prefix private4[] = {
    {{0}, 8},             /* this network */
    {{10}, 8},            /* RFC 1918 */
    {{100, 64}, 10},      /* behind a carrier's NAT, RFC 6598 */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local; clouds answer with credentials here */
    {{172, 16}, 12},      /* RFC 1918 */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays, RFC 7526 */
    {{192, 168}, 16},     /* RFC 1918 */
    {{198, 18}, 15},      /* benchmarks, RFC 2544 */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 3},           /* multicast, reserved, broadcast */
};

/* Exceptions inside 2000::/3; all that lies outside of it is not public anyway. */
static const struct prefix private6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments, Teredo and ORCHID among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation, RFC 9637 */
};

static bool inside(const uint8_t *address, const struct prefix *p)
{
    unsigned whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(address, p->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (address[whole] ^ p->bytes[whole]) >> (8 - rest) == 0;
}

static bool private_v4(const uint8_t *a)
{
    for (size_t i = 0; i < sizeof private4 / sizeof *private4; i++) {
        if (inside(a, &private4[i])) {
            return true;
        }
    }
    return false;
}

static bool private_v6(const uint8_t *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    /* What carries an IPv4 address inside leads to that address. */
    if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0) {
        return private_v4(a + 12);
    }
    if (a[0] == 0x20 && a[1] == 0x02) {
        return private_v4(a + 2); /* 6to4, RFC 3056 */
    }
    for (size_t i = 0; i < sizeof private6 / sizeof *private6; i++) {
        if (inside(a, &private6[i])) {
            return true;
        }
    }
    return a[0] >> 5 != 1;
}

bool address_is_private(const uint8_t *address, size_t n)
{
    switch (n) {
    case 4:
        return private_v4(address);
    case 16:
        return private_v6(address);
    default:
        return true; /* nothing that we know to be public */
    }
}
