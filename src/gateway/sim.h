/* The built-in provider `sim`: models that need no network and no key, and say in their answers
 * that they are simulated. It is an HTTP server of its own inside the worker, reached through a
 * socket pair, so that its calls go through the same stages, pools and parsers as any other
 * provider's. docs/sim.md says what it understands. */
#ifndef GATEWAY_SIM_H
#define GATEWAY_SIM_H

#include "http/server.h"

extern const struct http_server_ops sim_server_ops;

/* The server for a loop; http_serve() gives it the upstream's end of each pair. */
struct http_server *sim_new(struct loop *l);

#endif
