/* The server that runs on a data directory, as other commands see it. */
#ifndef CLI_RUNNING_H
#define CLI_RUNNING_H

#include <sys/types.h>

#include "base/arena.h"

/* Its process, or 0. */
pid_t running_server(struct arena *a, struct str data);
/* Tells it to read everything again. Its process, or 0 when none runs. */
pid_t running_reload(struct arena *a, struct str data);

#endif
