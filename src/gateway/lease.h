/* The lease on a conversation that several processes share by their database: only who has it may call. The
 * process's own line (conversation.c) comes first, so within a process one call at a time asks for it.
 *
 *   TAKING ──┬── HELD ⇄ kept every few seconds ── the call's end: given back
 *      ▲     └── it is another's: asked again in a moment
 *      └── it ran out before the call was sent
 *
 * A process that dies holds nobody up for longer than the lease lasts. One that only stood still finds that its
 * lease has another epoch: its call ends, and what it does late changes nothing. Where the database cannot say,
 * a call goes on as if there was no other process; then the provider's own lock is what is left. */
#ifndef GATEWAY_LEASE_H
#define GATEWAY_LEASE_H

#include "gateway/call.h"

/* NEXT: the call may go on (at once where no database is shared). WAIT: it is run again when it may. */
enum next lease_enter(struct call *c, struct str name);
/* The name of this process among those that share a database. */
struct str lease_process(void);
/* The call has ended, or has no lease. */
void lease_leave(struct call *c);

#endif
