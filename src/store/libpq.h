/* libpq, loaded when PostgreSQL is asked for: who keeps the state in SQLite does not pay for the two
 * dozen libraries that come with it, in memory and at the start, nor needs it installed. */
#ifndef STORE_LIBPQ_H
#define STORE_LIBPQ_H

#include <libpq-fe.h>

#include "base/buf.h"

/* The formatter takes them for casts. */
/* clang-format off */
#define LIBPQ_FUNCTIONS(X) \
    X(clear) X(cmdTuples) X(connectdbParams) X(consumeInput) X(enterPipelineMode) \
    X(errorMessage) X(exec) X(exitPipelineMode) X(finish) X(freemem) \
    X(ftype) X(getResult) X(getisnull) X(getlength) X(getvalue) X(isBusy) \
    X(nfields) X(notifies) X(ntuples) X(pipelineSync) X(resultErrorField) \
    X(resultErrorMessage) X(resultStatus) X(sendPrepare) X(sendQueryPrepared) \
    X(socket) X(status) X(transactionStatus) X(unescapeBytea)
/* clang-format on */

#define LIBPQ_MEMBER(name) __typeof__(PQ##name) *name;
struct libpq {
    LIBPQ_FUNCTIONS(LIBPQ_MEMBER)
};
#undef LIBPQ_MEMBER

extern struct libpq pq; /* pq.exec is PQexec; after libpq_load() */

/* Before the first of them is called, and from one thread; again is nothing. -ENOENT and a line in `errors`. */
__attribute__((warn_unused_result)) int libpq_load(struct buf *errors);

#endif
