#include "model/rule.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "base/utf8.h"
#include "model/tariff.h"
#include "model/zone.h"
#include "net/network.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_visible(struct str s, size_t min, size_t max)
{
    if (s.n < min || s.n > max) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x21 || c > 0x7e) {
            return false;
        }
    }
    return true;
}

/* Visible characters of any script: no control characters, no spaces, well-formed UTF-8. */
static bool is_word(struct str s, size_t max)
{
    if (s.n < 1 || s.n > max) {
        return false;
    }
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len(s.p + i, s.n - i);
        unsigned char c = (unsigned char)s.p[i];
        if (!len || c < 0x21 || c == 0x7f || (c == 0xC2 && (unsigned char)s.p[i + 1] < 0xA1)) {
            return false;
        }
        i += len;
    }
    return true;
}

static bool check_name(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    if (s.n < 1 || s.n > 64 || !is_alnum(s.p[0])) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-') {
            return false;
        }
    }
    return true;
}

const struct rule rule_name = {
    .allowed = "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or a digit",
    .pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    .example = "weather",
    .check = check_name,
};

static bool check_model(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_word(s, 256) && s.p[0] != '/' && s.p[s.n - 1] != '/' && str_chr(s, '*') < 0;
}

const struct rule rule_model = {
    .allowed = "1 to 256 characters without spaces and '*', no '/' at its ends",
    .pattern = "^[^\\s*/]([^\\s*]*[^\\s*/])?$",
    .example = "assistant",
    .check = check_model,
};

static bool check_upstream(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_word(s, 512);
}

const struct rule rule_upstream = {
    .allowed = "1 to 512 characters without spaces",
    .pattern = "^\\S+$",
    .example = "gpt-5-mini",
    .check = check_upstream,
};

static bool check_model_pattern(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    ptrdiff_t star = str_chr(s, '*');
    return is_word(s, 256) && (star < 0 || (size_t)star == s.n - 1);
}

const struct rule rule_model_pattern = {
    .allowed = "a model's name, or the beginning of one followed by '*'",
    .pattern = "^[^\\s*]*\\*?$",
    .example = "gpt-*",
    .check = check_model_pattern,
};

static bool check_field_name(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && (s.p[i] == 0 || !strchr("!#$%&'*+-.^_`|~", s.p[i]))) {
            return false;
        }
    }
    return s.n >= 1 && s.n <= 128;
}

const struct rule rule_field_name = {
    .allowed = "the name of a header: 1 to 128 letters, digits, '-' or '_'",
    .pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$",
    .example = "x-tier",
    .check = check_field_name,
};

static bool check_value_pattern(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len(s.p + i, s.n - i);
        if (!len || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
        i += len;
    }
    return s.n >= 1 && s.n <= 256;
}

const struct rule rule_value_pattern = {
    .allowed = "1 to 256 characters, none of them a control character",
    .pattern = "^[^\\u0000-\\u001f\\u007f]{1,256}$",
    .example = "gold",
    .check = check_value_pattern,
};

static bool is_port(struct str s, uint64_t min)
{
    uint64_t port;
    return s.n <= 5 && str_to_u64(s, &port) == 0 && port >= min && port <= 65535;
}

static bool is_ip(int family, struct str s)
{
    unsigned char address[sizeof(struct in6_addr)];
    char z[INET6_ADDRSTRLEN];
    if (s.n >= sizeof z || memchr(s.p, 0, s.n)) {
        return false;
    }
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    return inet_pton(family, z, address) == 1;
}

static bool is_host(struct str s)
{
    if (s.n < 1 || s.n > 253) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '.' && s.p[i] != '_') {
            return false;
        }
    }
    return s.p[0] != '.' && s.p[0] != '-';
}

/* host [ ":" port ] (RFC 3986, 3.2), without userinfo. */
static bool is_authority(struct str s)
{
    struct str host, port = {0};
    if (s.n && s.p[0] == '[') {
        ptrdiff_t end = str_chr(s, ']');
        if (end < 0 || !is_ip(AF_INET6, str_make(s.p + 1, (size_t)end - 1))) {
            return false;
        }
        port = str_from(s, (size_t)end + 1);
        if (port.n == 0) {
            return true;
        }
        return port.p[0] == ':' && is_port(str_from(port, 1), 1);
    }
    bool has_port = str_cut(&s, ':', &host);
    return is_host(host) && (!has_port || is_port(s, 1));
}

/* http(s)://HOST[:PORT][/PATH] without userinfo, query and fragment; the trailing slash is cut, so
 * that paths can be put behind it. */
static bool check_base_url(struct arena *a, struct str s, struct str *ret)
{
    struct str rest, authority;
    if (!is_visible(s, 1, 2048)) {
        return false;
    }
    if (str_istarts(s, STR("https://"))) {
        rest = str_from(s, 8);
    } else if (str_istarts(s, STR("http://"))) {
        rest = str_from(s, 7);
    } else {
        return false;
    }
    size_t scheme = s.n - rest.n;
    struct str path = rest;
    str_cut(&path, '/', &authority);
    for (size_t i = 0; i < rest.n; i++) {
        if (memchr("?#\\\"<>^`{|}", rest.p[i], 11)) {
            return false;
        }
    }
    if (!is_authority(authority)) {
        return false;
    }
    while (s.p[s.n - 1] == '/') {
        s.n--;
    }
    struct str tidy = arena_dup(a, s);
    char *p = (char *)tidy.p;
    for (size_t i = 0; i < scheme + authority.n; i++) { /* scheme and host know no case */
        p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] | 0x20) : p[i];
    }
    *ret = tidy;
    return true;
}

const struct rule rule_base_url = {
    .allowed = "http:// or https://, a host, and if needed :PORT and /PATH; no user, no query, "
               "no fragment",
    .pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#@]+(/[^\\s?#]*)?$",
    .format = "uri",
    .example = "https://api.example.com/v1",
    .check = check_base_url,
};

bool base_url_is_loopback(struct str url)
{
    struct str host;
    url = str_from(url, str_starts(url, STR("https://")) ? 8 : 7);
    str_cut(&url, '/', &host);
    if (str_starts(host, STR("[::1]"))) {
        return true;
    }
    struct str name;
    str_cut(&host, ':', &name);
    return str_eq(name, STR("localhost")) ||
           (str_starts(name, STR("127.")) && is_ip(AF_INET, name));
}

/* PATH or PATH?mode=OCTAL */
static bool is_unix(struct str s)
{
    struct str path, mode = s;
    ptrdiff_t at = str_find(s, STR("?mode="));
    path = at < 0 ? s : str_first(s, (size_t)at);
    mode = at < 0 ? STR("600") : str_from(s, (size_t)at + 6);
    bool octal = mode.n >= 3 && mode.n <= 4 && (mode.n == 3 || mode.p[0] == '0');
    for (size_t i = 0; octal && i < mode.n; i++) {
        octal = mode.p[i] >= '0' && mode.p[i] <= '7';
    }
    return octal && path.n >= 1 && path.n < sizeof((struct sockaddr_un *)0)->sun_path &&
           is_word(path, path.n);
}

static bool check_listen(struct arena *a, struct str s, struct str *ret)
{
    *ret = s;
    if (str_starts(s, STR("unix:"))) {
        return is_unix(str_from(s, 5));
    }
    if (s.n && s.p[0] == '[') {
        ptrdiff_t end = str_find(s, STR("]:"));
        return end > 0 && is_ip(AF_INET6, str_make(s.p + 1, (size_t)end - 1)) &&
               is_port(str_from(s, (size_t)end + 2), 0);
    }
    struct str host, port = s;
    if (!str_cut(&port, ':', &host) || !is_port(port, 0)) {
        return false;
    }
    if (host.n == 0 || str_eq(host, STR("*"))) {
        *ret = arena_printf(a, "0.0.0.0:%.*s", STR_ARG(port));
        return true;
    }
    if (str_ieq(host, STR("localhost"))) {
        *ret = arena_printf(a, "127.0.0.1:%.*s", STR_ARG(port));
        return true;
    }
    return is_ip(AF_INET, host);
}

const struct rule rule_listen = {
    .allowed = "ADDRESS:PORT, [IPV6]:PORT, :PORT for all IPv4 addresses, or unix:/PATH, or with "
               "the socket's rights, "
               "unix:/PATH?mode=660",
    .pattern = "^(unix:\\S+|(\\[[0-9A-Fa-f:.]+\\]|[0-9.]*|\\*|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt])"
               ":[0-9]{1,5})$",
    .example = "127.0.0.1:4090",
    .check = check_listen,
};

static bool check_network(struct arena *a, struct str s, struct str *ret)
{
    struct network n;
    (void)a;
    *ret = s;
    return network_read(s, &n);
}

const struct rule rule_network = {
    .allowed = "an address, a network such as 10.0.0.0/8 or 2001:db8::/32, or unix",
    .example = "10.0.0.0/8",
    .check = check_network,
};

static bool check_path(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return s.n >= 1 && s.n < 4096 && !memchr(s.p, 0, s.n) && !memchr(s.p, '\n', s.n);
}

const struct rule rule_path = {
    .allowed = "the path of a file or a directory",
    .pattern = "^[^\\n]+$",
    .example = "/etc/accord/key.pem",
    .check = check_path,
};

static bool check_secret(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_visible(s, 1, 8192);
}

const struct rule rule_secret = {
    .allowed = "1 to 8192 visible ASCII characters",
    .pattern = "^\\S+$",
    .example = "secret-of-the-provider",
    .check = check_secret,
};

static bool check_database_url(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_visible(s, 1, 2048) &&
           (str_starts(s, STR("postgresql://")) || str_starts(s, STR("postgres://")));
}

static bool check_redis_url(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return (is_visible(s, 9, 2048) && str_starts(s, STR("redis://"))) ||
           (is_visible(s, 10, 2048) && str_starts(s, STR("rediss://")));
}

const struct rule rule_redis_url = {
    .allowed = "redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER], or rediss:// with TLS",
    .example = "redis://127.0.0.1:6379",
    .check = check_redis_url,
};

const struct rule rule_database_url = {
    .allowed = "postgresql://USER:PASSWORD@HOST:PORT/NAME",
    .pattern = "^postgres(ql)?://\\S*$",
    .example = "postgresql://accord@localhost/accord",
    .check = check_database_url,
};

static bool check_key_secret(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_visible(s, 16, 512);
}

const struct rule rule_key_secret = {
    .allowed = "16 to 512 visible ASCII characters",
    .pattern = "^\\S{16,512}$",
    .example = "sk-accord-0123456789abcdef",
    .check = check_key_secret,
};

static bool check_price(struct arena *a, struct str s, struct str *ret)
{
    int64_t ignored;
    (void)a;
    *ret = s;
    return price_parse(s, &ignored);
}

const struct rule rule_price = {
    .allowed = "a number such as 0.05, up to 1000000, with at most 6 digits behind the point",
    .pattern = "^[0-9]{1,7}(\\.[0-9]{1,6})?$",
    .example = "0.05",
    .check = check_price,
};

bool usd_parse(struct str usd, uint64_t *ret)
{
    enum { DIGITS = 9, NANO = 1000000000, MOST = 1000000 };
    struct str whole, fraction = usd;
    uint64_t dollars, nano = 0;
    bool point = str_cut(&fraction, '.', &whole);
    if (whole.n > 7 || str_to_u64(whole, &dollars) < 0 || dollars > MOST ||
        (point && (fraction.n > DIGITS || str_to_u64(fraction, &nano) < 0))) {
        return false;
    }
    for (size_t i = fraction.n; point && i < DIGITS; i++) {
        nano *= 10;
    }
    *ret = dollars * NANO + nano;
    return *ret > 0 && *ret <= (uint64_t)MOST * NANO;
}

static bool check_usd(struct arena *a, struct str s, struct str *ret)
{
    uint64_t ignored;
    (void)a;
    *ret = s;
    return usd_parse(s, &ignored);
}

const struct rule rule_usd = {
    .allowed = "a number above 0, up to 1000000, with at most 9 digits behind the point",
    .pattern = "^[0-9]{1,7}(\\.[0-9]{1,9})?$",
    .example = "5.00",
    .check = check_usd,
};

static bool check_zone(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return zone_find(s) != NULL;
}

const struct rule rule_zone = {
    .allowed = "UTC, or the name of a zone that this system knows, such as Europe/Paris",
    .pattern = "^[A-Za-z0-9/_+-]{1,60}$",
    .example = "Europe/Paris",
    .check = check_zone,
};
