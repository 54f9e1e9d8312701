/* What the files of net/ share about libuv. Not for other folders. */
#ifndef NET_UV_H
#define NET_UV_H

#include <uv.h>

#include "net/loop.h"

enum { LOOP_GATHER = 16 * 1024 };

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;
    uv_check_t after_poll;
    uv_prepare_t before_poll;
    uint64_t now_us;     /* 0: read the clock when somebody asks */
    uint64_t now_ms;     /* the same moment */
    uint64_t tick_at_ms; /* when `tick` is armed for; UINT64_MAX when it is not */
    struct timer_wheel wheel;
    struct pool pool;
    pthread_mutex_t lock; /* of `posted` */
    struct loop_task *posted;
    struct loop_hook *hooks;
    struct signal_watch *signals;
    struct stream *streams; /* all that are not closing */
    bool stopping;
    char *scratch;       /* LOOP_SCRATCH: reads land here */
    char *plain;         /* LOOP_SCRATCH: decrypted text; made when TLS is first used */
    char *gather;        /* LOOP_GATHER: pieces of one message on their way into one TLS record */
    struct names *names; /* names.c's: the addresses of hosts; made when first used */
};

uv_loop_t *loop_uv(struct loop *l);

struct stream;
struct tls_ctx;
/* Takes the next connection off a listening handle; NULL when it has gone already. Starts paused.
 */
struct stream *stream_accept(struct loop *l, uv_stream_t *server, bool tcp, struct tls_ctx *tls);
/* Our -Exxx for libuv's codes (they are the same numbers on Linux, but for its own ranges). */
int uv_to_errno(int code);

#endif
