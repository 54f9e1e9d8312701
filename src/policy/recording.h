/* Recordings: what was sent as the answer to a call, kept to be sent again: by the cache, to callers who ask the same
 * at the same time, and under an Idempotency-Key.
 *
 * A recording is a log. One call writes it; others read it at their own pace, while it grows and afterwards:
 *
 *   RUNS ── recording_end() ──┬─ WHOLE    the answer as it was
 *                             ├─ CUT      the answer as it was, which had begun and could not be completed
 *                             └─ FAILED   there is nothing to send again
 *
 * The table of those that can be found is shared by all threads, under one lock that is held for a few dozen
 * nanoseconds; a recording that grows has a lock of its own. Every byte counts against one bound (recordings_limit);
 * what is over it drives out ended recordings, the longest unused ones of the tenant that has the most first, so that
 * nobody can drive out others while he has more than they. Those that run are never driven out.
 *
 * Any thread may call everything here. No clock: `now_s` is the caller's, monotonic. */
#ifndef POLICY_RECORDING_H
#define POLICY_RECORDING_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/str.h"

struct recording;

enum recording_state { RECORDING_RUNS, RECORDING_WHOLE, RECORDING_CUT, RECORDING_FAILED };

/* A digest of all that decides which answer it is. */
enum { RECORDING_KEY = 32 };

/* Who is told when there is more. `wake` is called once, on the writer's thread and under the recording's lock: it
 * posts, and does no more. To be told again, recording_read() again. Its owner's memory until recording_unwatch(). */
struct recording_watcher {
    struct recording_watcher *_next;
    bool _waits;
    void (*wake)(struct recording_watcher *w);
};

/* Where a reader is; zero is the beginning. */
struct recording_place {
    const struct recording_block *block;
    size_t at;
};

struct recording_head {
    struct str type, lines; /* the Content-Type; further field lines that go with the answer */
    struct str origin;      /* whose answer it was: "provider/model" */
    bool begun;
    enum recording_state state;
    size_t length; /* of the body until now */
};

struct recording_ask {
    const uint8_t *key; /* RECORDING_KEY bytes */
    const uint8_t *
        payload; /* RECORDING_KEY bytes: what is to be the same whenever the key is; NULL: nothing */
    struct str tenant; /* whose memory it takes */
    uint64_t now_s;
    bool find_running; /* one that still runs will do */
    bool begin;        /* when there is none, it is begun, for others to find */
};

struct recording_stats {
    uint64_t bytes, recordings, evicted, too_large;
    uint64_t steps; /* that it took to know which tenant has the most */
};

/* Of all recordings together, and of one. Before and after, whenever the configuration says so. */
void recordings_limit(size_t max_bytes, size_t one_max_bytes);
struct recording_stats recordings_stats(void);

/* Looks for one. A reference, or NULL; `*ret_new`: it is the caller's to write. `*ret_other`: there is one under this
 * key, with another payload, and nothing is returned. */
struct recording *recording_find(const struct recording_ask *ask, bool *ret_new, bool *ret_other);
/* One that nobody finds until recording_end() puts it into the table. */
struct recording *recording_new(const struct recording_ask *ask);
struct recording *recording_ref(struct recording *r);
void recording_unref(struct recording *r); /* NULL is allowed */

/* The writer's. The answer begins, goes on and is over. Those who wait hear of it. */
void recording_begin(struct recording *r, struct str type, struct str lines, struct str origin);
/* False: it is longer than one may be, or there is no room. It is then as good as ended (CUT or FAILED). */
bool recording_add(struct recording *r, const struct iovec *v, int n);
/* `keep_s`: for how long it is found from now on; 0: it is not any more. */
void recording_end(struct recording *r, enum recording_state state, uint32_t keep_s,
                   uint64_t now_s);
/* Whether somebody besides its writer has it. */
bool recording_is_shared(struct recording *r);

/* The readers'. */
struct recording_head recording_head(struct recording *r);
/* Up to `n` pieces of what stands behind `*place`, which moves on; they stay as long as the reader's reference. When
 * there is nothing more and it still runs, `w` is told when there is (NULL will do for one that has ended). `*ret_last`: it has ended, and nothing follows. */
int recording_read(struct recording *r, struct recording_place *place, struct iovec *v, int n,
                   struct recording_watcher *w, enum recording_state *ret_state, bool *ret_last);
/* It is told nothing any more. */
void recording_unwatch(struct recording *r, struct recording_watcher *w);
uint64_t recording_age_s(struct recording *r, uint64_t now_s); /* since it ended */

#endif
