#include "http/url.h"

#include <errno.h>

#include "base/buf.h"

enum { HOST_MAX = 253 };

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool has_controls(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* ---- who is asked ---- */

static bool is_host(struct str host, bool address)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool good = address ? is_digit(c) || c == ':' || c == '.' ||
                                  ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                            : is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
        if (!good) {
            return false;
        }
    }
    return host.n > 0 && host.n <= HOST_MAX;
}

static struct str lower(struct arena *a, struct str s)
{
    char *to = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    }
    return str_make(to, s.n);
}

static int take_authority(struct arena *a, struct str text, struct url *u, const char **ret_why)
{
    struct str host = text, port = {0};
    bool address = text.n && text.p[0] == '[';
    uint64_t number = u->tls ? 443 : 80;
    if (str_chr(text, '@') >= 0) {
        *ret_why = "it holds a user's name or password";
        return -EINVAL;
    }
    if (address) {
        host = str_from(text, 1);
        if (!str_cut(&host, ']', &port) || (host.n && host.p[0] != ':')) {
            *ret_why = "its host is not one";
            return -EINVAL;
        }
        struct str inside = port;
        port = str_from(host, 1);
        host = inside;
    } else {
        port = text;
        str_cut(&port, ':', &host);
    }
    if (!is_host(host, address)) {
        *ret_why = host.n ? "its host is not one (a name is to be in ASCII)" : "it has no host";
        return -EINVAL;
    }
    if (port.n && (str_to_u64(port, &number) < 0 || number == 0 || number > 65535)) {
        *ret_why = "its port is not one";
        return -EINVAL;
    }
    u->port = (uint16_t)number;
    u->host = lower(a, host);
    struct buf b = {.arena = a};
    buf_add(&b, address ? STR("[") : STR(""));
    buf_add(&b, u->host);
    buf_add(&b, address ? STR("]") : STR(""));
    if (number != (u->tls ? 443 : 80)) {
        buf_addc(&b, ':');
        buf_add_u64(&b, number);
    }
    u->authority = buf_str(&b);
    return 0;
}

/* ---- what for ---- */

/* RFC 3986, 5.2.4; in place, on an encoded path that begins with a slash. Returns its new length. */
static size_t remove_dots(char *p, size_t n)
{
    size_t to = 0, at = 0;
    while (at < n) {
        size_t end = at + 1;
        while (end < n && p[end] != '/') {
            end++;
        }
        struct str segment = str_make(p + at + 1, end - at - 1);
        bool up = str_eq(segment, STR(".."));
        if (up || str_eq(segment, STR("."))) {
            while (up && to > 0 && p[--to] != '/') {
            }
            if (end == n) {
                p[to++] = '/';
            }
        } else {
            memmove(p + to, p + at, end - at);
            to += end - at;
        }
        at = end;
    }
    return to;
}

static void add_encoded(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c)) {
            char three[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(b, str_make(three, 3));
        } else {
            buf_addc(b, (char)c);
        }
    }
}

static struct str make_target(struct arena *a, struct str text)
{
    struct str path, query = text;
    bool asks = str_cut(&query, '?', &path);
    struct buf b = {.arena = a};
    if (!path.n || path.p[0] != '/') {
        buf_addc(&b, '/');
    }
    add_encoded(&b, path);
    b.n = remove_dots(b.p, b.n);
    if (asks) {
        buf_addc(&b, '?');
        add_encoded(&b, query);
    }
    return buf_str(&b);
}

int url_parse(struct arena *a, struct str text, struct url *ret, const char **ret_why)
{
    struct url u = {0};
    struct str rest;
    text = str_trim(text);
    if (text.n > URL_MAX) {
        *ret_why = "it is too long";
        return -EINVAL;
    }
    if (has_controls(text)) {
        *ret_why = "it holds control characters";
        return -EINVAL;
    }
    if (str_istarts(text, STR("https://"))) {
        u.tls = true;
        rest = str_from(text, 8);
    } else if (str_istarts(text, STR("http://"))) {
        rest = str_from(text, 7);
    } else {
        *ret_why = "it is not one of http or https";
        return -EINVAL;
    }
    size_t n = 0;
    while (n < rest.n && !strchr("/?#\\", rest.p[n])) {
        n++;
    }
    int r = take_authority(a, str_first(rest, n), &u, ret_why);
    if (r < 0) {
        return r;
    }
    struct str behind = str_from(rest, n), target;
    str_cut(&behind, '#', &target);
    u.target = make_target(a, target);
    *ret = u;
    return 0;
}

/* ---- from one to the next ---- */

/* Whether it begins with a scheme (RFC 3986, 3.1). */
static bool has_scheme(struct str s)
{
    size_t i = 0;
    while (i < s.n && (is_letter(s.p[i]) || (i && (is_digit(s.p[i]) || strchr("+-.", s.p[i]))))) {
        i++;
    }
    return i > 0 && i < s.n && s.p[i] == ':';
}

/* The path of what a relative reference is relative to: up to its last slash. */
static struct str directory(struct str target)
{
    struct str path;
    str_cut(&target, '?', &path);
    while (path.p[path.n - 1] != '/') {
        path.n--;
    }
    return path;
}

int url_follow(struct arena *a, const struct url *base, struct str location, struct url *ret,
               const char **ret_why)
{
    struct buf b = {.arena = a};
    struct str l = str_trim(location), rest = base->target, path;
    if (has_scheme(l)) {
        return url_parse(a, l, ret, ret_why);
    }
    buf_add(&b, base->tls ? STR("https:") : STR("http:"));
    if (!str_starts(l, STR("//"))) {
        buf_add(&b, STR("//"));
        buf_add(&b, base->authority);
        if (l.n == 0 || l.p[0] == '#') {
            buf_add(&b, base->target);
        } else if (l.p[0] == '?') {
            str_cut(&rest, '?', &path);
            buf_add(&b, path);
        } else if (l.p[0] != '/') {
            buf_add(&b, directory(base->target));
        }
    }
    buf_add(&b, l);
    return url_parse(a, buf_str(&b), ret, ret_why);
}
