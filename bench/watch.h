/*
 * Cuts the time of a load into slices and records for each what was done and what CPU the watched
 * process spent on it, with what is needed to throw out slices that somebody else disturbed. The
 * load itself takes the samples, so that work and CPU are read at the same moment.
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "hist.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { WATCH_PIDS = 8, WATCH_SLICES = 4096 };

struct watch_slice {
    uint64_t wall_ns;
    uint64_t calls;
    uint64_t events;
    uint64_t cpu_ns;       /* of the watched processes, user and system, all threads */
    uint64_t wait_ns;      /* they stood runnable while strangers had the core */
    uint64_t p50_ns;       /* latency of the calls in this slice */
    int64_t foreign_us[2]; /* CPU on either core that is neither ours nor the watched one's */
    uint64_t steal_us;     /* taken by the hypervisor, on both cores */
    uint64_t others_ns;    /* of cpu_ns: threads besides the busiest of each process */
};

/* What is read at the border of two slices. */
struct watch_sample {
    uint64_t at_ns;
    uint64_t calls;
    uint64_t events;
    uint64_t cpu_ns;
    uint64_t wait_ns;   /* of the busiest threads */
    uint64_t others_ns; /* CPU of the threads besides them */
    uint64_t own_ns;
    uint64_t busy_us[2];
    uint64_t steal_us[2];
};

struct watch {
    pid_t pids[WATCH_PIDS]; /* under test */
    int pid_count;
    pid_t peers[WATCH_PIDS]; /* ours: the upstream; the load adds itself */
    int peer_count;
    int cores[2]; /* of the watched processes, of load and upstream; may be equal */
    uint64_t slice_ns;
    uint64_t next_ns; /* 0 = not begun */

    struct watch_slice slices[WATCH_SLICES];
    int slice_count;
    struct hist latency; /* of the running slice */

    struct watch_sample _last;
};

/* Takes the first sample; calls and events are the counts up to now. */
void watch_begin(struct watch *w, uint64_t now_ns, uint64_t calls, uint64_t events);

/* Ends the running slice and starts the next. To be called when now_ns >= w->next_ns. */
void watch_slice(struct watch *w, uint64_t now_ns, uint64_t calls, uint64_t events);

/* The slices as a JSON array of arrays, in the order of struct watch_slice, times in us. */
void watch_print(const struct watch *w, FILE *out);

#endif
