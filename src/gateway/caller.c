/* The address that a call comes from, for limits of each address, the pauses of sign-in and the audit trail. */
#include "gateway/limits.h"

#include "net/network.h"

static bool is_trusted(const struct snapshot *s, bool unix_socket, const uint8_t address[16])
{
    const size_t n = s->config->n_trusted_proxies;
    if (!unix_socket) {
        return network_holds(s->proxies, n, address);
    }
    for (size_t i = 0; i < n; i++) {
        if (s->proxies[i].unix_socket) {
            return true;
        }
    }
    return false;
}

/* From the right: each proxy adds who came to it, so what stands behind an address of somebody whom nobody trusts may be
 * made up. A word that is no address ends the search. */
static bool look_back(const struct snapshot *s, struct str list, uint8_t to[16])
{
    while (list.n) {
        size_t at = list.n;
        while (at > 0 && list.p[at - 1] != ',') {
            at--;
        }
        uint8_t found[16];
        if (!address_read(str_trim(str_from(list, at)), found)) {
            return false;
        }
        memcpy(to, found, sizeof found);
        if (!is_trusted(s, false, found)) {
            return false;
        }
        list = str_first(list, at ? at - 1 : 0);
    }
    return true;
}

bool caller_address(const struct call *c, uint8_t to[16])
{
    const struct snapshot *s = c->hold->snap;
    const struct h1_head *h = c->req->head;
    char peer[64];
    struct str text = str_make(peer, http_peer(c->req, peer, sizeof peer));
    memset(to, 0, 16);
    bool known = address_read(text, to);
    if (!s->config->n_trusted_proxies || !h || !is_trusted(s, !known, to)) {
        return known;
    }
    for (uint32_t i = h->n_fields; i > 0; i--) { /* several lines are one list (RFC 9110, 5.3) */
        const struct h1_field *f = &h->fields[i - 1];
        if (str_ieq(h1_name(h, f), STR("x-forwarded-for")) && !look_back(s, h1_value(h, f), to)) {
            break;
        }
    }
    static const uint8_t none[16];
    return memcmp(to, none, sizeof none) != 0;
}
