/* The proxy's part in making a connection: the tunnel through it. Only for connect.c; no sockets.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/connect.h"

enum { PROXY_HEAD_MAX = 8192 };

/* Adds the request for a tunnel to the target (RFC 9110, 9.3.6). */
void proxy_request(struct buf *b, const struct connect_target *t);

/* Reads what the proxy has answered so far: 1 the tunnel stands, 0 there must be more, -EPROTO it
 * does not stand and `why` gets the words. */
int proxy_answer(struct str got, struct buf *why);

#endif
