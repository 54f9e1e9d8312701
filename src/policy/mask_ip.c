/* Addresses of the Internet: IPv4 in dotted decimal (RFC 6943, 3.1.1, strict), IPv6 as RFC 4291, 2.2 writes it.
 * Those that name nobody stay: unspecified, loopback, broadcast, masks; and of IPv6 what IANA has not given out. */
#include "policy/mask_near.h"
#include "policy/mask_shape.h"

static bool octet(const struct text *t, const struct shape *h, unsigned i, unsigned *ret)
{
    unsigned len = shape_len(h, i), v = 0;
    for (size_t k = h->group[i].at; k < h->group[i].end; k++) {
        v = v * 10 + (unsigned)(t->p[k] - '0');
    }
    *ret = v;
    return len >= 1 && len <= 3 && v < 256 && !(len > 1 && t->p[h->group[i].at] == '0');
}

/* Four numbers with dots are versions, too. */
static bool is_version(const struct text *t, size_t i)
{
    int c = text_back(t, i, 1);
    if (c == '/' && text_back(t, i, 2) != '/') {
        return true; /* Chrome/120.0.0.0 */
    }
    return text_near(t, i, 26, NEAR_VERSION);
}

/* "22.2.1.6" is a paragraph rather than a host, unless something says so. */
static bool is_paragraph(const struct text *t, size_t i, const unsigned v[4])
{
    bool small = v[0] < 32 && v[1] < 32 && v[2] < 32 && v[3] < 32 && v[0] != 10;
    bool alike = v[0] == v[1] && v[1] == v[2] && v[2] == v[3]; /* 8.8.8.8 */
    bool url = text_back(t, i, 1) == '/' || text_back(t, i, 1) == '@';
    return small && !alike && !url && !text_near(t, i, 26, NEAR_HOST);
}

bool number_ip4(struct look *l, const struct shape *h, size_t *ret_to)
{
    struct text *t = &l->t;
    unsigned v[4];
    if (h->n < 4) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        if ((i && h->group[i].before != '.') || !octet(t, h, i, &v[i])) {
            return false;
        }
    }
    size_t end = h->group[3].end;
    if (h->n > 4 && h->group[4].before == '.') {
        return false; /* five: an object identifier, a version */
    }
    int before = text_back(t, h->at, 1);
    if (number_continues(t, h->at, ".-") || before == '-' || v[0] == 0 || v[0] == 127 ||
        v[0] == 255 || is_version(t, h->at) || is_paragraph(t, h->at, v)) {
        return false;
    }
    int c = text_at(t, end);
    if (is_alnum(c) || c == '_' || c == '@' || (c == '-' && is_letter(text_at(t, end + 1)))) {
        return false;
    }
    *ret_to = end;
    return true;
}

/* Global unicast 2000::/3, unique local fc00::/7, link-local fe80::/10, multicast ff00::/8, 64:ff9b::/96 and
 * IPv4-mapped: what may stand in the first group. */
static bool is_given_out(unsigned first, bool leading_gap, bool dotted)
{
    return leading_gap
               ? dotted
               : (first >= 0x2000 && first < 0x4000) || (first & 0xFE00) == 0xFC00 ||
                     (first & 0xFFC0) == 0xFE80 || (first & 0xFF00) == 0xFF00 || first == 0x64;
}

static size_t dotted_end(struct text *t, size_t i)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned n = 0, v = 0;
        while (n < 4 && is_digit(text_at(t, i))) {
            v = v * 10 + (unsigned)(text_at(t, i++) - '0');
            n++;
        }
        if (n == 0 || n > 3 || v > 255 || (k < 3 && text_at(t, i++) != '.')) {
            return 0;
        }
    }
    return i;
}

/* The end of the address that starts at s; 0: none. */
static size_t ip6_end(struct text *t, size_t s)
{
    unsigned groups = 0, first = 0, gaps = 0;
    bool leading = text_at(t, s) == ':', dotted = false;
    size_t i = s, end = s;
    while (groups < 8) {
        if (text_at(t, i) == ':' && text_at(t, i + 1) == ':') {
            if (gaps++) {
                return 0;
            }
            end = i += 2;
        } else if (groups && text_at(t, i) == ':' && is_hex(text_at(t, i + 1))) {
            i++;
        } else if (groups || leading) {
            break;
        }
        unsigned n = 0, v = 0;
        size_t from = i;
        while (n < 5 && is_hex(text_at(t, i))) {
            int c = text_at(t, i++);
            v = v << 4 | (unsigned)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
            n++;
        }
        if (n > 4) {
            return 0;
        }
        if (n == 0) {
            break;
        }
        if (text_at(t, i) == '.' && is_digit(text_at(t, i + 1))) {
            end = dotted_end(t, from);
            dotted = end != 0;
            groups += 2;
            break;
        }
        first = groups++ ? first : v;
        end = i;
    }
    bool whole = gaps ? groups < 8 && groups > 0 : groups == 8;
    return whole && end && is_given_out(first, leading, dotted) ? end : 0;
}

void find_ip6(struct look *l, size_t i)
{
    struct text *t = &l->t;
    size_t s = i;
    while (i - s < 4 && s > l->resume[SOURCE_IP6] && is_hex(text_back(t, s, 1))) {
        s--;
    }
    int c = text_back(t, s, 1);
    if (is_alnum(c) || c == ':' || c == '_' || (s == i && text_at(t, i + 1) != ':')) {
        return; /* inside of something longer, or not its first colon */
    }
    size_t end = ip6_end(t, s);
    c = end ? text_at(t, end) : 0;
    if (end && !is_alnum(c) && c != '_' && !(c == ':' && is_hex(text_at(t, end + 1)))) {
        look_found(l, SOURCE_IP6, MASK_IP, MASK_IP, s, end);
    }
    look_starved(l, s);
}
