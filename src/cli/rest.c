#include "cli/rest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "http/h1.h"

enum {
    TRIES_MAX = 6,
    PAUSE_MS = 100,    /* of the first retry at most; doubles */
    PAUSES_MS = 15000, /* all of a call's pauses together: the budget */
    ANSWER_MAX = 64 << 20,
    HEAD_MAX = 65536,
};

struct str rest_text(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

/* ---- where, and who ---- */

static char *login_path(struct arena *a, bool directory)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    bool xdg = config && *config;
    return arena_dupz(a, arena_printf(a, "%s%s/accord%s",
                                      xdg    ? config
                                      : home ? home
                                             : ".",
                                      xdg ? "" : "/.config", directory ? "" : "/login.json"));
}

static struct json *kept_login(struct arena *a)
{
    struct buf b = {.arena = a, .limit = 65536};
    char piece[4096];
    struct json *j;
    ssize_t n;
    int fd = open(login_path(a, false), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        buf_add(&b, str_make(piece, (size_t)n));
    }
    close(fd);
    return json_parse(a, buf_str(&b), &j, NULL) == 0 ? j : NULL;
}

void rest_open(struct rest *r, const char *command, const char *address)
{
    *r = (struct rest){.command = command};
    const struct json *kept = kept_login(&r->arena);
    struct str known = rest_text(kept, "address");
    r->address = address                    ? str_of(address)
                 : getenv("ACCORD_ADDRESS") ? str_of(getenv("ACCORD_ADDRESS"))
                 : known.n                  ? known
                                            : STR("http://127.0.0.1:4090");
    while (r->address.n && r->address.p[r->address.n - 1] == '/') {
        r->address.n--;
    }
    r->token = str_of(getenv("ACCORD_TOKEN"));
    if (!r->token.n && str_eq(known, r->address)) {
        r->token = rest_text(kept, "token");
    }
}

int rest_keep(struct rest *r, struct str token)
{
    struct json *j = json_new(&r->arena, JSON_OBJECT);
    struct buf b = {.arena = &r->arena};
    char *directory = login_path(&r->arena, true), *path = login_path(&r->arena, false);
    json_set(j, STR("address"), json_new_str(&r->arena, r->address));
    json_set(j, STR("token"), json_new_str(&r->arena, token));
    json_print(&b, j, 0);
    for (char *slash = directory + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(directory, 0700);
    }
    mkdir(directory, 0700);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n;
    if (fd >= 0) {
        close(fd);
    }
    if (!ok) {
        fprintf(stderr, "accord %s: %s cannot be written: %s\n", r->command, path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static struct str key_line(struct rest *r)
{
    uint8_t random[16];
    char hex[33];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    return arena_printf(&r->arena, "Idempotency-Key: \"%s\"\r\n", hex);
}

/* ---- one exchange: HTTP/1.0, so that an answer ends with its connection ---- */

static int unreachable(const struct rest *r, const char *why)
{
    fprintf(stderr,
            "accord %s: %.*s cannot be reached: %s; --address URL, ACCORD_ADDRESS or `accord "
            "login` say where the server is\n",
            r->command, STR_ARG(r->address), why);
    return CLI_UNREACHABLE;
}

static BIO *secure(const char *host, SSL_CTX **ret_ctx)
{
    SSL *ssl = NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *b = NULL;
    if (ctx && SSL_CTX_set_default_verify_paths(ctx) == 1) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        b = BIO_new_ssl_connect(ctx);
        if (b && BIO_get_ssl(b, &ssl) == 1) {
            SSL_set_tlsext_host_name(ssl, host);
            SSL_set1_host(ssl, host);
        }
    }
    *ret_ctx = ctx;
    return b;
}

/* unix:/PATH, as the server writes it. */
static BIO *by_path(struct str path, const char **ret_why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (path.n >= sizeof at.sun_path) {
        *ret_why = "the path is too long for a socket";
        return NULL;
    }
    memcpy(at.sun_path, path.p, path.n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BIO *b = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0
                 ? BIO_new_socket(fd, BIO_CLOSE)
                 : NULL;
    if (!b) {
        *ret_why = strerror(errno);
        if (fd >= 0) {
            close(fd);
        }
    }
    return b;
}

/* NULL: told. `*ret_ctx` is to be freed after the connection. */
static BIO *connected(struct rest *r, SSL_CTX **ret_ctx, const char **ret_why)
{
    struct str rest = r->address, host;
    bool tls = str_starts(rest, STR("https://"));
    *ret_ctx = NULL;
    if (str_starts(rest, STR("unix:"))) {
        return by_path(str_from(rest, 5), ret_why);
    }
    if (!tls && !str_starts(rest, STR("http://"))) {
        *ret_why = "the address must begin with http://, https:// or unix:";
        return NULL;
    }
    rest = str_from(rest, tls ? 8 : 7);
    ptrdiff_t bracket = str_chr(rest, ']'); /* of an IPv6 address */
    size_t from = bracket < 0 ? 0 : (size_t)bracket + 1;
    ptrdiff_t colon = str_chr(str_from(rest, from), ':');
    host = colon < 0 ? rest : str_first(rest, from + (size_t)colon);
    char *name = arena_dupz(&r->arena, bracket < 0 ? host : str_make(host.p + 1, from - 2));
    char *target = arena_dupz(
        &r->arena,
        colon < 0 ? arena_printf(&r->arena, "%.*s:%s", STR_ARG(host), tls ? "443" : "80") : rest);
    errno = 0;
    BIO *b = tls ? secure(name, ret_ctx) : BIO_new(BIO_s_connect());
    if (b) {
        BIO_set_conn_hostname(b, target);
    }
    if (!b || BIO_do_connect(b) <= 0) {
        unsigned long e = ERR_peek_last_error();
        *ret_why = errno ? strerror(errno) : e ? ERR_reason_error_string(e) : "no connection";
        BIO_free_all(b);
        return NULL;
    }
    return b;
}

static void add_request(struct buf *b, struct rest *r, const char *method, struct str path,
                        struct str fields, struct str body)
{
    struct str host = str_starts(r->address, STR("unix:"))      ? STR("localhost")
                      : str_starts(r->address, STR("https://")) ? str_from(r->address, 8)
                                                                : str_from(r->address, 7);
    buf_printf(b, "%s /api/v1%.*s HTTP/1.0\r\nHost: %.*s\r\nUser-Agent: accord/%s\r\n", method,
               STR_ARG(path), STR_ARG(host), cli_program_version());
    if (r->cookie.n) {
        buf_printf(b, "Cookie: %.*s\r\nX-CSRF-Token: %.*s\r\n", STR_ARG(r->cookie),
                   STR_ARG(r->csrf));
    } else if (r->token.n) {
        buf_printf(b, "Authorization: Bearer %.*s\r\n", STR_ARG(r->token));
    }
    buf_add(b, fields);
    if (body.n || *method == 'P') {
        if (str_find(fields, STR("Content-Type:")) < 0) {
            buf_addz(b, "Content-Type: application/json\r\n");
        }
        buf_printf(b, "Content-Length: %zu\r\n", body.n);
    }
    buf_addz(b, "\r\n");
    buf_add(b, body);
}

static bool send_all(BIO *b, struct str s)
{
    while (s.n) {
        int n = BIO_write(b, s.p, s.n > 1 << 20 ? 1 << 20 : (int)s.n);
        if (n <= 0) {
            return false;
        }
        s = str_from(s, (size_t)n);
    }
    return true;
}

bool rest_read(struct rest *r, struct str whole, enum h1_method method, struct rest_answer *ret)
{
    struct h1_field fields[H1_FIELDS_MAX];
    struct h1_head h = {.fields = fields};
    const char *why;
    int n = h1_answer(&h, whole.p, whole.n, HEAD_MAX, method, &why);
    if (n <= 0) {
        return false;
    }
    struct str cookie = h1_find(&h, STR("set-cookie"));
    ptrdiff_t end = str_chr(cookie, ';');
    ret->status = h.status;
    ret->etag = h1_find(&h, STR("etag"));
    ret->cookie = end > 0 ? str_first(cookie, (size_t)end) : cookie;
    ret->body = str_from(whole, (size_t)n);
    if (h.body == BODY_LENGTH && ret->body.n < h.length) {
        return false;
    }
    ret->json = NULL;
    if (ret->body.n && json_parse(&r->arena, ret->body, &ret->json, NULL) < 0) {
        ret->json = NULL;
    }
    return true;
}

/* 0; -ECONNRESET: nobody knows what became of it; -ECONNREFUSED: there is nobody. */
static int exchange(struct rest *r, const char *method, struct str path, struct str fields,
                    struct str body, struct rest_answer *ret, const char **ret_why)
{
    struct buf request = {.arena = &r->arena}, answer = {.arena = &r->arena, .limit = ANSWER_MAX};
    SSL_CTX *ctx;
    char piece[16384];
    int n = 0, e = -ECONNRESET;
    BIO *b = connected(r, &ctx, ret_why);
    if (!b) {
        SSL_CTX_free(ctx);
        return -ECONNREFUSED;
    }
    add_request(&request, r, method, path, fields, body);
    if (send_all(b, buf_str(&request))) {
        while ((n = BIO_read(b, piece, sizeof piece)) > 0) {
            buf_add(&answer, str_make(piece, (size_t)n));
        }
        e = rest_read(r, buf_str(&answer), M_GET, ret) ? 0 : -ECONNRESET;
    }
    *ret_why = "the connection broke";
    BIO_free_all(b);
    SSL_CTX_free(ctx);
    return e;
}

/* ---- trying again ---- */

bool rest_may_repeat(int e, const struct rest_answer *a, uint64_t *ret_after_ms)
{
    const struct json *retry = e == 0 ? json_get(a->json, STR("retry")) : NULL;
    const struct json *after = json_get(retry, STR("after_ms"));
    int64_t ms = 0;
    *ret_after_ms = after && json_int(after->text, &ms) == 0 && ms > 0 ? (uint64_t)ms : 0;
    return e == -ECONNRESET || str_eq(rest_text(retry, "class"), STR("unchanged"));
}

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

int rest_call(struct rest *r, const char *method, struct str path, struct str fields,
              struct str body, struct rest_answer *ret)
{
    const char *why = "";
    uint64_t slept = 0;
    if (*method != 'G') {
        struct str key = key_line(r);
        fields = arena_printf(&r->arena, "%.*s%.*s", STR_ARG(fields), STR_ARG(key));
    }
    for (unsigned tries = 1;; tries++) {
        uint64_t after, most = (uint64_t)PAUSE_MS << tries;
        *ret = (struct rest_answer){0};
        int e = exchange(r, method, path, fields, body, ret, &why);
        if (e == -ECONNREFUSED) {
            return unreachable(r, why);
        }
        bool again = rest_may_repeat(e, ret, &after);
        after += randombytes_uniform((uint32_t)most); /* full jitter */
        if (!again || tries == TRIES_MAX || slept + after > PAUSES_MS) {
            return e < 0 ? unreachable(r, why) : 0;
        }
        sleep_ms(after);
        slept += after;
    }
}

int rest_stream(struct rest *r, struct str path, struct str fields,
                void (*on_line)(void *arg, struct str line), void *arg)
{
    struct rest_answer refused = {0};
    struct buf request = {.arena = &r->arena}, line = {0};
    const char *why = "the connection broke";
    SSL_CTX *ctx;
    char piece[4096];
    int n, status = 0;
    BIO *b = connected(r, &ctx, &why);
    if (!b) {
        SSL_CTX_free(ctx);
        return unreachable(r, why);
    }
    add_request(&request, r, "GET", path, fields, (struct str){0});
    bool in_head = true, sent = send_all(b, buf_str(&request));
    while (sent && (n = BIO_read(b, piece, sizeof piece)) > 0) {
        for (int i = 0; i < n; i++) {
            if (piece[i] != '\n') {
                buf_addc(&line, piece[i]);
                continue;
            }
            struct str s = buf_str(&line);
            s.n -= s.n && s.p[s.n - 1] == '\r';
            if (!status) {
                status = s.n > 12 ? atoi(s.p + 9) : 500;
            } else if (in_head) {
                in_head = s.n != 0;
            } else if (status == 200) {
                on_line(arg, s);
            }
            line.n = 0;
        }
    }
    if (status != 200) { /* what is refused is one line of JSON, without an end */
        refused.status = status ? (unsigned)status : 503;
        refused.body = arena_dup(&r->arena, buf_str(&line));
        (void)!json_parse(&r->arena, refused.body, &refused.json, NULL);
    }
    buf_free(&line);
    BIO_free_all(b);
    SSL_CTX_free(ctx);
    return status == 200 ? CLI_OK : rest_verdict(r, &refused);
}

/* ---- what it comes to ---- */

int rest_verdict(struct rest *r, const struct rest_answer *a)
{
    if (a->status < 300) {
        return CLI_OK;
    }
    struct str message = rest_text(a->json, "message");
    fprintf(stderr, "accord %s: %.*s\n", r->command, message.n ? (int)message.n : 17,
            message.n ? message.p : "no problem was told");
    const struct json *errors = json_get(a->json, STR("errors"));
    bool several = errors && errors->first != errors->last; /* the message has said the only one */
    for (const struct json *e = several ? errors->first : NULL; e; e = e->next) {
        struct str at = rest_text(e, "pointer"), what = rest_text(e, "detail");
        fprintf(stderr, "  %.*s: %.*s\n", STR_ARG(at), STR_ARG(what));
    }
    const struct json *blocking = json_get(a->json, STR("blocking"));
    for (const struct json *b = blocking ? blocking->first : NULL; b; b = b->next) {
        struct str kind = rest_text(b, "kind"), id = rest_text(b, "id");
        fprintf(stderr, "  %.*s %.*s\n", STR_ARG(kind), STR_ARG(id));
    }
    if (a->status == 401 && !r->token.n) {
        fprintf(stderr, "accord %s: sign in with `accord login`, or set ACCORD_TOKEN\n",
                r->command);
    }
    switch (a->status) {
    case 401:
    case 403:
        return CLI_DENIED;
    case 409:
    case 412:
    case 428:
        return CLI_CONFLICT;
    case 503:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILED;
    }
}
