/* A stream of bytes in both directions: TCP, unix socket or one end of an in-process pair, plain or
 * under TLS, behind one interface.
 *
 * A stream belongs to its loop's thread. Its events go to the `ops` of its owner; an event may
 * close the stream, and after stream_close() no event comes any more and the pointer is not to be
 * used. Library layer: it logs nothing, errors are -Exxx. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <sys/uio.h>

#include "net/loop.h"

struct stream;
struct tls_ctx;

struct stream_ops {
    /* `n` > 0 bytes came in. They lie in the loop's scratch (or in the sink) and are gone
     * afterwards. */
    void (*data)(void *owner, char *p, size_t n);
    /* The peer has sent its last byte (FIN, or TLS close_notify); we may still write. Comes once.
     */
    void (*eof)(void *owner);
    /* The connection is broken, the TLS handshake included. The owner closes the stream. */
    void (*error)(void *owner, int err);
    /* What was queued has all gone out (only after stream_write() had to queue). */
    void (*drained)(void *owner);
};

/* Takes bytes out now if the kernel takes them, queues (copies) the rest. 0, or -Exxx when the
 * connection is broken; no error event follows then. */
__attribute__((warn_unused_result)) int stream_write(struct stream *s, const struct iovec *v,
                                                     int n);

/* Bytes that wait for the kernel: the owner stops producing when this is more than it likes. */
size_t stream_queued(const struct stream *s);

/* Stops and starts the delivery of data. A paused stream notices nothing, not even eof. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* The next reads go to p[0..n) instead of the scratch buffer, until it was filled or the sink is
 * unset with n = 0; data() reports each read as usual. Ignored under TLS. */
void stream_sink(struct stream *s, char *p, size_t n);

/* Sends FIN (after what is queued). */
void stream_shutdown(struct stream *s);

/* Closes at once; what is queued is lost. NULL is allowed. */
void stream_close(struct stream *s);
/* Closes once what is queued has gone out, or after `linger_ms`; reads and drops what comes in
 * meanwhile, so that a reset does not overtake our last words (RFC 9112, 9.6). No event comes any
 * more. */
void stream_close_gently(struct stream *s, uint64_t linger_ms);

/* A new owner for the events (a pooled connection changes hands). */
void stream_own(struct stream *s, const struct stream_ops *ops, void *owner);

/* After eof: whether the peer's socket is gone for good (a reset came back) and did not merely stop
 * sending. Asks the kernel. */
bool stream_peer_gone(struct stream *s);

bool stream_is_tls(const struct stream *s);

/* The peer's address as text ("127.0.0.1:5000", "unix"), for logs. */
size_t stream_peer(struct stream *s, char *to, size_t cap);

/* ---- where streams come from ---- */

/* Binds and listens: "HOST:PORT" (a literal address), "[v6]:PORT" or "unix:PATH", optionally with
 * "?mode=OCTAL" (else as the umask has it). Several sockets may be bound to one TCP address (SO_REUSEPORT): one per worker. `*ret_fd` is the socket; for port
 * 0 `ret_port` (may be NULL) is what the kernel chose. A stale unix socket file is removed, a live
 * one is -EADDRINUSE. */
__attribute__((warn_unused_result)) int stream_bind(struct str address, int *ret_fd,
                                                    uint16_t *ret_port);

/* The path of "unix:PATH?mode=OCTAL", which has been checked, and its mode; 0: none is named. */
struct str stream_unix_path(struct str address, mode_t *ret_mode);

struct listener;
/* Accepts on `fd` (taken over). `accepted` gets each new stream, with `ops` still to be set by
 * stream_own(); it starts paused. `tls` NULL: plain; else the handshake comes first, by itself. */
struct listener *listener_new(struct loop *l, int fd, struct tls_ctx *tls,
                              void (*accepted)(void *arg, struct stream *s), void *arg);
/* A new TLS context for connections from now on. */
void listener_tls(struct listener *l, struct tls_ctx *tls);
/* Accepts what the kernel has queued, then stops listening. */
void listener_close(struct listener *l);

/* A socket that is connected already (taken over). Starts paused. */
struct stream *stream_from_fd(struct loop *l, int fd);
/* Both ends of a socket pair on one loop. Start paused. 0 or -errno. */
__attribute__((warn_unused_result)) int stream_pair(struct loop *l, struct stream **ret_a,
                                                    struct stream **ret_b);

/* Puts TLS on a connected stream as a client; `host` is checked against the certificate and sent as
 * SNI. Nothing is written before `done(owner, 0 or -Exxx, why)` has told the outcome ("certificate
 * has expired"); it comes instead of ops->error while shaking. */
void stream_start_tls(struct stream *s, struct tls_ctx *ctx, const char *host,
                      void (*done)(void *owner, int err, const char *why));

#endif
