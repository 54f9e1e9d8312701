/* Addresses and networks of the Internet Protocol as numbers: 16 bytes, those of IPv4 as ::ffff:a.b.c.d. */
#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include <stdint.h>

#include "base/arena.h"

struct network {
    uint8_t bytes[16];
    uint8_t bits;
    bool unix_socket; /* who comes over a unix socket, which has no address; the rest is 0 */
};

/* Reads an address, without a port; brackets around IPv6 and a port behind them or behind IPv4 are passed over, as some
 * proxies write them. False: it is none. */
bool address_read(struct str text, uint8_t to[16]);
/* Of IPv6 the /64: a household or a server has as much, so that is who counts as one. */
void address_cut(uint8_t address[16]);
/* As people write it, in the arena. */
struct str address_print(struct arena *a, const uint8_t address[16]);
/* Reads "10.0.0.0/8", "2001:db8::/32", an address alone, or "unix". False: it is none of those, or bits behind the
 * prefix are set. */
bool network_read(struct str text, struct network *ret);
/* Whether the address is in one of them. */
bool network_holds(const struct network *all, size_t n, const uint8_t address[16]);

#endif
