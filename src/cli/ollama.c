#include "cli/ollama.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/h1.h"
#include "json/tree.h"
#include "net/loop.h"

enum { ASK_MS = 300, ANSWER_MAX = 256 * 1024, PORT = 11434 };

/* "HOST", "HOST:PORT" or a URL, as Ollama reads OLLAMA_HOST; only literal IPv4 addresses are asked.
 */
static bool usual_address(struct sockaddr_in *ret)
{
    struct str text = str_of(getenv("OLLAMA_HOST")), host;
    uint64_t port = PORT;
    char z[64];
    ptrdiff_t scheme = str_find(text, STR("://"));
    if (scheme >= 0) {
        text = str_from(text, (size_t)scheme + 3);
    }
    ptrdiff_t slash = str_chr(text, '/');
    if (slash >= 0) {
        text = str_first(text, (size_t)slash);
    }
    if (str_cut(&text, ':', &host) && str_to_u64(text, &port) < 0) {
        return false;
    }
    if (host.n == 0 || str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("localhost"))) {
        host = STR("127.0.0.1");
    }
    if (host.n >= sizeof z || port == 0 || port > 65535) {
        return false;
    }
    memcpy(z, host.p, host.n);
    z[host.n] = 0;
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, z, &ret->sin_addr) == 1;
}

static bool wait_for(int fd, short events, uint64_t until_ms)
{
    uint64_t now = clock_us() / 1000;
    struct pollfd p = {.fd = fd, .events = events};
    return now < until_ms && poll(&p, 1, (int)(until_ms - now)) == 1;
}

/* The whole answer to GET /api/tags, or what came of it in time. */
static void ask(int fd, const struct sockaddr_in *at, struct buf *answer)
{
    static const char request[] = "GET /api/tags HTTP/1.0\r\nHost: localhost\r\n\r\n";
    uint64_t until = clock_us() / 1000 + ASK_MS;
    int err = 0;
    socklen_t len = sizeof err;
    if (connect(fd, (const struct sockaddr *)at, sizeof *at) < 0 && errno != EINPROGRESS) {
        return;
    }
    if (!wait_for(fd, POLLOUT, until) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ||
        err || send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) {
        return;
    }
    while (wait_for(fd, POLLIN, until)) {
        char piece[8192];
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0 || answer->overflow) {
            return;
        }
        buf_add(answer, str_make(piece, (size_t)n));
    }
}

static struct str body_of(struct str answer)
{
    struct h1_field fields[H1_FIELDS_MAX];
    struct h1_head h = {.fields = fields};
    const char *why;
    int n = h1_answer(&h, answer.p, answer.n, 65536, M_GET, &why);
    return n > 0 && h.status == 200 && h.body != BODY_CHUNKED ? str_from(answer, (size_t)n)
                                                              : (struct str){0};
}

static void add_provider(struct arena *a, struct config *c, const struct sockaddr_in *at,
                         const struct json *models)
{
    struct config_provider *all = arena_zalloc(a, (c->n_providers + 1) * sizeof *all);
    struct config_provider *p = &all[c->n_providers];
    char host[INET_ADDRSTRLEN];
    memcpy(all, c->providers, c->n_providers * sizeof *all);
    inet_ntop(AF_INET, &at->sin_addr, host, sizeof host);
    *p = (struct config_provider){
        .id = STR("ollama"),
        .dialect = PROVIDER_OPENAI, /* it serves /v1 in that dialect, too */
        .base_url = arena_printf(a, "http://%s:%u/v1", host, (unsigned)ntohs(at->sin_port)),
        .allow_private_address = true,
        .origin = STR("found at its usual address"),
    };
    p->models = arena_zalloc(a, (json_count(models) + 1) * sizeof *p->models);
    for (const struct json *m = models ? models->first : NULL; m; m = m->next) {
        const struct json *name = json_get(m, STR("name"));
        if (name && name->type == JSON_STRING) {
            p->models[p->n_models++] = name->text;
        }
    }
    c->providers = all;
    c->n_providers++;
}

void ollama_discover(struct arena *a, struct config *c)
{
    struct sockaddr_in at;
    struct buf answer = {.arena = a, .limit = ANSWER_MAX};
    for (size_t i = 0; i < c->n_providers; i++) {
        if (str_eq(c->providers[i].id, STR("ollama"))) {
            return;
        }
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (usual_address(&at)) {
        ask(fd, &at, &answer);
    }
    close(fd);
    struct json *tags;
    struct str body = answer.n ? body_of(buf_str(&answer)) : (struct str){0};
    if (body.n && json_parse(a, body, &tags, NULL) == 0 && json_get(tags, STR("models"))) {
        add_provider(a, c, &at, json_get(tags, STR("models")));
    }
}
