/* Records between two threads: one puts, one takes; bounded. */
#ifndef LEDGER_QUEUE_H
#define LEDGER_QUEUE_H

#include <pthread.h>

#include "ledger/record.h"

enum { CHUNK_RECORDS = 256, QUEUE_CHUNKS = 128 };

struct chunk {
    struct chunk *next;
    size_t n;
    bool closed; /* it is being taken: nothing is added any more */
    struct record all[CHUNK_RECORDS];
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of who takes */
    struct chunk *first, *last, *spare;
    size_t n_chunks;
    uint64_t n; /* records */
    bool stop;
};

void queue_init(struct queue *q);
void queue_free(struct queue *q);
/* How many found room: the first ones. */
size_t queue_put(struct queue *q, const struct record *all, size_t n);
/* The oldest chunk, which stays in the queue until queue_pop(), or NULL after `wait_ms`, or at once when the queue is
 * to stop. Nothing is added to it any more. */
const struct chunk *queue_peek(struct queue *q, long wait_ms);
void queue_pop(struct queue *q);
void queue_stop(struct queue *q);

#endif
