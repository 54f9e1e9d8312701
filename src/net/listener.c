#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/uv.h"

enum { BACKLOG = 4096 };

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct loop *loop;
    struct tls_ctx *tls;
    bool tcp;
    void (*accepted)(void *arg, struct stream *s);
    void *arg;
};

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *ln = server->data;
    if (status < 0) {
        return; /* out of descriptors or the peer left already: libuv tries again */
    }
    struct stream *s = stream_accept(ln->loop, server, ln->tcp, ln->tls);
    if (s) {
        ln->accepted(ln->arg, s);
    }
}

struct listener *listener_new(struct loop *l, int fd, struct tls_ctx *tls,
                              void (*accepted)(void *arg, struct stream *s), void *arg)
{
    struct listener *ln = mem_zalloc(sizeof *ln);
    int domain = 0;
    socklen_t len = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    ln->tcp = domain != AF_UNIX;
    ln->loop = l;
    ln->tls = tls ? tls_ctx_ref(tls) : NULL;
    ln->accepted = accepted;
    ln->arg = arg;
    if (ln->tcp) {
        must(uv_tcp_init(&l->uv, &ln->uv.tcp) == 0 && uv_tcp_open(&ln->uv.tcp, fd) == 0);
    } else {
        must(uv_pipe_init(&l->uv, &ln->uv.pipe, 0) == 0 && uv_pipe_open(&ln->uv.pipe, fd) == 0);
    }
    ln->uv.handle.data = ln;
    must(uv_listen(&ln->uv.stream, BACKLOG, on_connection) == 0);
    return ln;
}

void listener_tls(struct listener *l, struct tls_ctx *tls)
{
    tls_ctx_unref(l->tls);
    l->tls = tls ? tls_ctx_ref(tls) : NULL;
}

static void on_closed(uv_handle_t *h)
{
    struct listener *ln = h->data;
    tls_ctx_unref(ln->tls);
    free(ln);
}

void listener_close(struct listener *l)
{
    if (!l) {
        return;
    }
    /* Connections whose handshake the kernel has finished would be reset by close(): take them
     * first. */
    uv_os_fd_t fd;
    if (uv_fileno(&l->uv.handle, &fd) == 0) {
        int c;
        while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
            if (l->tls) {
                close(c); /* no handshake was begun: the client sees a clean end and tries elsewhere
                           */
            } else {
                l->accepted(l->arg, stream_from_fd(l->loop, c));
            }
        }
    }
    uv_close(&l->uv.handle, on_closed);
}

/* ---- binding ---- */

struct str stream_unix_path(struct str address, mode_t *ret_mode)
{
    struct str path = str_from(address, 5);
    ptrdiff_t at = str_find(path, STR("?mode="));
    *ret_mode = 0;
    for (size_t i = at < 0 ? path.n : (size_t)at + 6; i < path.n; i++) {
        *ret_mode = *ret_mode << 3 | (mode_t)(path.p[i] - '0');
    }
    return at < 0 ? path : str_first(path, (size_t)at);
}

/* Nobody but us can connect before the mode is what was asked for. */
static int bind_with_mode(int fd, const struct sockaddr_un *a, mode_t mode)
{
    if (mode && fchmod(fd, 0600) < 0) {
        return -errno;
    }
    if (bind(fd, (const struct sockaddr *)a, sizeof *a) < 0) {
        return -errno;
    }
    return mode && chmod(a->sun_path, mode) < 0 ? -errno : 0;
}

static int bind_unix(struct str address, int *ret_fd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    mode_t mode;
    struct str path = stream_unix_path(address, &mode);
    if (path.n == 0 || path.n >= sizeof a.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(a.sun_path, path.p, path.n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EAGAIN) {
        close(fd);
        return -EADDRINUSE; /* somebody answers there */
    }
    struct stat st;
    if (errno == ECONNREFUSED && lstat(a.sun_path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(a.sun_path); /* left behind by a process that is gone */
    }
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int r = bind_with_mode(fd, &a, mode);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int parse_address(struct str address, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    char host[64];
    uint64_t port;
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < address.n; i++) {
        colon = address.p[i] == ':' ? (ptrdiff_t)i : colon;
    }
    if (colon < 0 || str_to_u64(str_from(address, (size_t)colon + 1), &port) < 0 || port > 65535) {
        return -EINVAL;
    }
    struct str h = str_first(address, (size_t)colon);
    bool v6 = h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (v6) {
        h = str_first(str_from(h, 1), h.n - 2);
    }
    if (h.n == 0) {
        h = STR("0.0.0.0");
    } else if (str_eq(h, STR("localhost"))) {
        h = STR("127.0.0.1");
    }
    if (h.n >= sizeof host) {
        return -EINVAL;
    }
    memcpy(host, h.p, h.n);
    host[h.n] = 0;
    *ret_len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int r = v6 ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)ret)
               : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)ret);
    return r < 0 ? -EINVAL : 0;
}

int stream_bind(struct str address, int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_storage a = {0};
    socklen_t len;
    int one = 1;
    if (str_starts(address, STR("unix:"))) {
        return bind_unix(address, ret_fd);
    }
    int r = parse_address(address, &a, &len);
    if (r < 0) {
        return r;
    }
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    /* Without REUSEPORT first: another program's socket on this address must be an error, not a
     * share. The kernel checks both flags of all sockets of one address, so the check is a trial
     * bind. */
    int trial = ret_port ? socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (trial >= 0) {
        setsockopt(trial, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        r = bind(trial, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
        close(trial);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (r == 0 && bind(fd, (struct sockaddr *)&a, len) < 0) {
        r = -errno;
    }
    if (r == 0 && listen(fd, BACKLOG) < 0) {
        r = -errno;
    }
    if (r == 0 && ret_port && getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        *ret_port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                                  : ((struct sockaddr_in *)&a)->sin_port);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}
