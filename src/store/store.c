#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/must.h"
#include "store/driver.h"
#include "store/resource.h"
#include "store/seal.h"

enum {
    QUEUED_MAX = 10000,
    GROUP_MAX = 256, /* jobs of one commit */
    RERUNS_MAX = 50,
    THREADS_MAX = 64,
    CONNECTIONS = 4,
    CHECKPOINT_COMMITS = 64,
};

/* A queue with the threads that serve it. */
struct lane {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct store_job *first, *last;
    size_t n;
    bool stop;
};

struct server_thread {
    struct lane *lane;
    struct db *db;
    pthread_t id;
    void *(*serve)(void *);
    bool running;
};

struct store {
    struct store_options options;
    struct arena arena;
    struct lane writes, reads;
    struct lane checkpoints; /* SQLite: n is how many are due */
    struct server_thread threads[THREADS_MAX];
    size_t n_threads;
    char *path; /* SQLite */
    _Atomic bool closing;
    struct sealer sealer;
    pthread_mutex_t watch_lock;
    struct store_watcher *watchers;
    _Atomic uint64_t n_writes, n_reads, n_commits, n_reruns, n_refused;
    _Atomic int error;
    int64_t schema;
};

/* ---- jobs ---- */

static void finish(struct store_job *j)
{
    if (j->loop) {
        loop_post(j->loop, &j->done);
    } else if (j->done.run) {
        j->done.run(&j->done);
    }
}

static struct lane *lane_of(struct store *s, const struct store_job *j)
{
    return j->write || !s->reads.store ? &s->writes : &s->reads;
}

void store_submit(struct store *s, struct store_job *j)
{
    struct lane *l = lane_of(s, j);
    j->_next = NULL;
    j->result = 0;
    pthread_mutex_lock(&l->lock);
    if (l->stop || l->n >= s->options.max_queued) {
        pthread_mutex_unlock(&l->lock);
        s->n_refused++;
        j->result = -EBUSY;
        finish(j);
        return;
    }
    if (l->last) {
        l->last->_next = j;
    } else {
        l->first = j;
    }
    l->last = j;
    l->n++;
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->lock);
}

/* Waits for jobs and takes up to `max`; NULL: the store closes. */
static struct store_job *take(struct lane *l, size_t max)
{
    pthread_mutex_lock(&l->lock);
    while (!l->first && !l->stop) {
        pthread_cond_wait(&l->filled, &l->lock);
    }
    struct store_job *first = l->first, *last = first;
    for (size_t n = 1; last && n < max && last->_next; n++) {
        last = last->_next;
    }
    for (struct store_job *j = first; j; j = j == last ? NULL : j->_next) {
        l->n--;
    }
    if (last) {
        l->first = last->_next;
        l->last = l->first ? l->last : NULL;
        last->_next = NULL;
    }
    pthread_mutex_unlock(&l->lock);
    return first;
}

/* Tells all of a group that it failed, or leaves what each has. */
static void finish_all(struct store_job *first, int error)
{
    for (struct store_job *j = first, *next; j; j = next) {
        next = j->_next; /* j may be gone after finish() */
        if (error < 0 && j->result >= 0) {
            j->result = error;
        }
        finish(j);
    }
}

/* ---- groups: one transaction, a savepoint for each job ---- */

static int run_in_savepoint(struct store *s, struct db *db, struct store_job *j)
{
    for (int tries = 0;; tries++) {
        int r = db->driver->savepoint(db);
        if (r < 0) {
            return r;
        }
        j->result = j->run(j, db);
        r = j->result < 0 ? db->driver->rollback_to(db) : db->driver->release(db);
        if (r < 0 || j->result != -EAGAIN || tries == RERUNS_MAX) {
            return r;
        }
        s->n_reruns++;
    }
}

static void store_failed(struct store *s, int error)
{
    s->error = error;
}

static int run_group(struct store *s, struct db *db, struct store_job *first, bool write)
{
    int r = db->driver->begin(db, write);
    for (struct store_job *j = first; r == 0 && j; j = j->_next) {
        r = run_in_savepoint(s, db, j);
    }
    if (r == 0) {
        r = db->driver->commit(db);
    }
    if (r < 0) {
        db->driver->rollback(db);
    }
    return r;
}

/* A job alone in its transaction: when a group cannot be committed, so that one that is too large
 * for the disk does not take the others with it; and for PostgreSQL always. */
static void run_alone(struct store *s, struct db *db, struct store_job *j, bool write)
{
    int r = 0;
    db->aside = j->aside;
    for (int tries = 0; tries <= RERUNS_MAX; tries++) {
        r = db->driver->begin(db, write);
        if (r == 0) {
            j->result = r = j->run(j, db);
            r = r < 0 ? r : db->driver->commit(db);
        }
        if (r < 0) {
            db->driver->rollback(db);
        }
        if (r != -EAGAIN) {
            break;
        }
        s->n_reruns++;
    }
    if (r < 0) {
        j->result = r;
    }
}

static void tell_watchers(struct store *s)
{
    pthread_mutex_lock(&s->watch_lock);
    for (struct store_watcher *w = s->watchers; w; w = w->_next) {
        if (!atomic_exchange(&w->_posted, true)) {
            loop_post(w->loop, &w->task);
        }
    }
    pthread_mutex_unlock(&s->watch_lock);
}

static bool is_failure(int r)
{
    return r == -EIO || r == -ENOSPC || r == -EROFS || r == -ECONNREFUSED;
}

static void checkpoint_is_due(struct store *s)
{
    if (s->n_commits % CHECKPOINT_COMMITS == 0) {
        pthread_mutex_lock(&s->checkpoints.lock);
        s->checkpoints.n++;
        pthread_cond_signal(&s->checkpoints.filled);
        pthread_mutex_unlock(&s->checkpoints.lock);
    }
}

static bool adds_to_feed(const struct store_job *first)
{
    while (first && first->aside) {
        first = first->_next;
    }
    return first != NULL;
}

static void serve_group(struct store *s, struct db *db, struct store_job *first, bool write)
{
    int r = run_group(s, db, first, write);
    if (r < 0 && first->_next && write) {
        for (struct store_job *j = first, *next; j; j = next) {
            next = j->_next;
            j->_next = NULL;
            run_alone(s, db, j, true);
            store_failed(s, is_failure(j->result) ? j->result : 0);
            finish(j);
        }
        tell_watchers(s);
        return;
    }
    if (write) {
        s->n_commits += r == 0;
        store_failed(s, is_failure(r) ? r : 0);
    }
    /* Watchers are told before the answers go out: who has the answer finds the feed up to date. */
    if (write && r == 0) {
        if (adds_to_feed(first)) {
            tell_watchers(s);
        }
        checkpoint_is_due(s);
    }
    finish_all(first, r);
}

/* PostgreSQL: every job alone, on whichever connection is free. */
static void *serve_alone(void *arg)
{
    struct server_thread *t = arg;
    struct store *s = t->lane->store;
    struct store_job *j;
    pthread_setname_np(pthread_self(), "accord-store");
    while ((j = take(t->lane, 1))) {
        bool write = j->write;
        *(write ? &s->n_writes : &s->n_reads) += 1;
        run_alone(s, t->db, j, write);
        if (write || is_failure(j->result) || s->error == -ECONNREFUSED) {
            store_failed(s, is_failure(j->result) ? j->result : 0);
        }
        if (write && j->result >= 0) {
            s->n_commits++;
            if (!j->aside) {
                tell_watchers(s);
            }
        }
        finish(j);
    }
    return NULL;
}

/* Hears of commits of other processes; a look at the feed each second stands behind it. */
static void *listen_to_others(void *arg)
{
    struct server_thread *t = arg;
    struct store *s = t->lane->store;
    int64_t seen = 0, last = 0;
    pthread_setname_np(pthread_self(), "accord-listen");
    while (!s->closing) {
        struct pollfd fd = {.fd = db_postgres_socket(t->db), .events = POLLIN};
        if (fd.fd < 0 && db_postgres_listen(t->db) < 0) {
            poll(NULL, 0, 500);
            continue;
        }
        poll(&fd, fd.fd >= 0, 1000);
        bool heard = db_postgres_heard(t->db);
        if (!heard && t->db->driver->begin(t->db, false) == 0) {
            if (change_last(t->db, &last) < 0 || t->db->driver->commit(t->db) < 0) {
                t->db->driver->rollback(t->db);
            }
        }
        if (heard || last != seen) {
            seen = last;
            tell_watchers(s);
        }
    }
    return NULL;
}

static void *serve(void *arg)
{
    struct server_thread *t = arg;
    struct store *s = t->lane->store;
    bool write = t->lane == &s->writes;
    struct store_job *first;
    pthread_setname_np(pthread_self(), write ? "accord-store" : "accord-reads");
    while ((first = take(t->lane, GROUP_MAX))) {
        for (struct store_job *j = first; j; j = j->_next) {
            *(write ? &s->n_writes : &s->n_reads) += 1;
        }
        serve_group(s, t->db, first, write);
    }
    return NULL;
}

/* The log is written into the database beside the commits, which would else wait for it. */
static void *checkpoint(void *arg)
{
    struct server_thread *t = arg;
    struct lane *l = t->lane;
    pthread_setname_np(pthread_self(), "accord-wal");
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!l->n) {
            pthread_cond_wait(&l->filled, &l->lock);
            continue;
        }
        l->n = 0;
        pthread_mutex_unlock(&l->lock);
        db_sqlite_checkpoint(t->db);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- waiting for one ---- */

struct run_and_wait {
    struct store_job job;
    struct store_job *inner;
    sem_t *sem;
};

static int run_inner(struct store_job *j, struct db *db)
{
    struct run_and_wait *w = (struct run_and_wait *)j; /* its first member */
    return w->inner->run(w->inner, db);
}

static void wake(struct loop_task *t)
{
    struct run_and_wait *w =
        (struct run_and_wait *)((char *)t - offsetof(struct run_and_wait, job.done));
    sem_post(w->sem);
}

int store_run(struct store *s, struct store_job *j)
{
    sem_t sem;
    struct run_and_wait w = {
        .job = {.run = run_inner, .write = j->write, .done = {.run = wake}},
        .inner = j,
        .sem = &sem,
    };
    sem_init(&sem, 0, 0);
    store_submit(s, &w.job);
    while (sem_wait(&sem) < 0) {
    }
    sem_destroy(&sem);
    j->result = w.job.result;
    return j->result;
}

/* ---- watchers ---- */

void store_watch(struct store *s, struct store_watcher *w)
{
    pthread_mutex_lock(&s->watch_lock);
    w->_next = s->watchers;
    s->watchers = w;
    pthread_mutex_unlock(&s->watch_lock);
}

void store_unwatch(struct store *s, struct store_watcher *w)
{
    pthread_mutex_lock(&s->watch_lock);
    struct store_watcher **at = &s->watchers;
    while (*at && *at != w) {
        at = &(*at)->_next;
    }
    if (*at) {
        *at = w->_next;
    }
    pthread_mutex_unlock(&s->watch_lock);
}

void store_seen(struct store_watcher *w)
{
    w->_posted = false;
}

/* ---- life ---- */

static void lane_init(struct lane *l, struct store *s)
{
    l->store = s;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
}

static void lane_stop(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->filled);
    pthread_mutex_unlock(&l->lock);
}

static int add_thread(struct store *s, struct lane *l, void *(*serve_by)(void *), bool create,
                      struct buf *errors)
{
    struct server_thread *t = &s->threads[s->n_threads];
    int r = s->options.url.n ? db_postgres_open(s->options.url, &t->db, errors)
                             : db_sqlite_open(s->path, create, &t->db, errors);
    if (r == 0) {
        t->lane = l;
        t->serve = serve_by;
        s->n_threads++;
    }
    return r;
}

/* SQLite: one connection that writes, one that reads. */
static int open_sqlite(struct store *s, struct buf *errors)
{
    lane_init(&s->reads, s);
    lane_init(&s->checkpoints, s);
    int r = add_thread(s, &s->writes, serve, true, errors);
    r = r < 0 ? r : migrate(s->threads[0].db, &s->schema, errors);
    r = r < 0 ? r : add_thread(s, &s->reads, serve, false, errors);
    return r < 0 ? r : add_thread(s, &s->checkpoints, checkpoint, false, errors);
}

static int open_postgres(struct store *s, struct buf *errors)
{
    unsigned n = s->options.connections ? s->options.connections : CONNECTIONS;
    int r = add_thread(s, &s->writes, serve_alone, false, errors);
    r = r < 0 ? r : migrate(s->threads[0].db, &s->schema, errors);
    for (unsigned i = 1; r == 0 && i < n && i < THREADS_MAX - 1; i++) {
        r = add_thread(s, &s->writes, serve_alone, false, errors);
    }
    r = r < 0 ? r : add_thread(s, &s->writes, listen_to_others, false, errors);
    return r < 0 ? r : db_postgres_listen(s->threads[s->n_threads - 1].db);
}

static int start_threads(struct store *s)
{
    for (size_t i = 0; i < s->n_threads; i++) {
        int r = pthread_create(&s->threads[i].id, NULL, s->threads[i].serve, &s->threads[i]);
        if (r != 0) {
            return -r;
        }
        s->threads[i].running = true;
    }
    return 0;
}

int store_open(const struct store_options *o, struct store **ret, struct buf *errors)
{
    struct store *s = mem_zalloc(sizeof *s);
    s->options = *o;
    s->options.max_queued = o->max_queued ? o->max_queued : QUEUED_MAX;
    s->options.data_dir = arena_dup(&s->arena, o->data_dir);
    s->options.url = arena_dup(&s->arena, o->url);
    s->path = arena_dupz(&s->arena, arena_printf(&s->arena, "%.*s/state.db", STR_ARG(o->data_dir)));
    pthread_mutex_init(&s->watch_lock, NULL);
    lane_init(&s->writes, s);
    int r = o->url.n ? open_postgres(s, errors) : open_sqlite(s, errors);
    r = r < 0 ? r : seal_open(&s->sealer, s->threads[0].db, o, errors);
    r = r < 0 ? r : start_threads(s);
    if (r < 0) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

bool store_is_shared(const struct store *s)
{
    return s->options.url.n > 0;
}

void store_close(struct store *s)
{
    if (!s) {
        return;
    }
    s->closing = true;
    lane_stop(&s->writes);
    if (s->reads.store) {
        lane_stop(&s->reads);
        lane_stop(&s->checkpoints);
    }
    for (size_t i = 0; i < s->n_threads; i++) {
        if (s->threads[i].running) {
            pthread_join(s->threads[i].id, NULL);
        }
        s->threads[i].db->driver->close(s->threads[i].db);
    }
    seal_close(&s->sealer);
    arena_reset(&s->arena);
    free(s);
}

static size_t waiting(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    size_t n = l->n;
    pthread_mutex_unlock(&l->lock);
    return n;
}

void store_state(struct store *s, struct store_state *ret)
{
    *ret = (struct store_state){
        .driver = s->threads[0].db->driver->name,
        .writable = s->error == 0,
        .error = s->error,
        .writes = s->n_writes,
        .reads = s->n_reads,
        .commits = s->n_commits,
        .reruns = s->n_reruns,
        .refused = s->n_refused,
        .queued = waiting(&s->writes) + waiting(&s->reads),
        .schema = s->schema,
    };
}

struct str store_seal(struct store *s, struct arena *a, struct str context, struct str plain)
{
    return seal(&s->sealer, a, context, plain);
}

int store_unseal(struct store *s, struct arena *a, struct str context, struct str sealed,
                 struct str *ret)
{
    return unseal(&s->sealer, a, context, sealed, ret);
}

struct key_job {
    struct store_job job; /* first member */
    struct store *store;
    struct str purpose;
    struct sealer *to;
};

static int find_key(struct store_job *j, struct db *db)
{
    const struct key_job *k = (struct key_job *)j;
    return seal_data_key(&k->store->sealer, db, k->purpose, j->write, k->to);
}

int store_data_key(struct store *s, struct str purpose, bool make, struct sealer *ret)
{
    struct key_job k = {
        .job = {.run = find_key, .write = make}, .store = s, .purpose = purpose, .to = ret};
    return store_run(s, &k.job);
}
