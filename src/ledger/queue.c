#include "ledger/queue.h"

#include <stdlib.h>
#include <time.h>

#include "base/arena.h"

void queue_init(struct queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, NULL);
}

void queue_free(struct queue *q)
{
    while (q->first) {
        struct chunk *c = q->first;
        q->first = c->next;
        free(c);
    }
    free(q->spare);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
}

static struct chunk *add_chunk(struct queue *q)
{
    struct chunk *c = q->spare ? q->spare : mem_realloc(NULL, sizeof *c);
    q->spare = NULL;
    c->next = NULL;
    c->n = 0;
    c->closed = false;
    if (q->last) {
        q->last->next = c;
    } else {
        q->first = c;
    }
    q->last = c;
    q->n_chunks++;
    return c;
}

size_t queue_put(struct queue *q, const struct record *all, size_t n)
{
    size_t done = 0;
    pthread_mutex_lock(&q->lock);
    while (done < n) {
        struct chunk *c = q->last;
        if (!c || c->closed || c->n == CHUNK_RECORDS) {
            if (q->n_chunks == QUEUE_CHUNKS) {
                break;
            }
            c = add_chunk(q);
        }
        size_t room = CHUNK_RECORDS - c->n, piece = n - done < room ? n - done : room;
        memcpy(c->all + c->n, all + done, piece * sizeof *all);
        c->n += piece;
        done += piece;
    }
    q->n += done;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    return done;
}

static void wait(struct queue *q, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&q->wake, &q->lock, &until);
}

const struct chunk *queue_peek(struct queue *q, long wait_ms)
{
    pthread_mutex_lock(&q->lock);
    if (!q->first && !q->stop && wait_ms) {
        wait(q, wait_ms);
    }
    struct chunk *c = q->first;
    if (c) {
        c->closed = true;
    } else { /* nothing comes for a while */
        free(q->spare);
        q->spare = NULL;
    }
    pthread_mutex_unlock(&q->lock);
    return c;
}

void queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    struct chunk *c = q->first;
    q->first = c->next;
    q->last = q->first ? q->last : NULL;
    q->n_chunks--;
    q->n -= c->n;
    struct chunk *old = q->spare;
    q->spare = c;
    pthread_mutex_unlock(&q->lock);
    free(old);
}

void queue_stop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
}
