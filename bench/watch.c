#include "watch.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Small files of /proc; empty when it cannot be read (a thread may just have ended). */
static void read_file(const char *path, char *out, size_t max)
{
    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t n = read(fd, out, max - 1);
    out[n > 0 ? n : 0] = '\0';
    close(fd);
}

/* The scheduler's own account, in nanoseconds; /proc/PID/stat has ticks of 10 ms only. */
static uint64_t cpu_ns_of(const pid_t *pids, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        clockid_t clock;
        struct timespec spent;
        if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &spent) == 0) {
            sum += (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
        }
    }
    return sum;
}

/*
 * How long the busiest thread of each process stood runnable without a core, and how much CPU its
 * other threads used: they share the core, so it waits for them too, and only what goes beyond
 * that was a stranger. The other threads' own waiting says nothing; they wait for the busiest.
 */
static void read_waits(const pid_t *pids, int count, struct watch_sample *ret_sample)
{
    for (int i = 0; i < count; i++) {
        char path[300];
        snprintf(path, sizeof(path), "/proc/%d/task", (int)pids[i]);
        DIR *tasks = opendir(path);
        struct dirent *task;
        uint64_t busiest_ns = 0, busiest_wait_ns = 0, all_ns = 0;
        while (tasks && (task = readdir(tasks)) != NULL) {
            if (!isdigit((unsigned char)task->d_name[0])) {
                continue;
            }
            char text[128];
            snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", (int)pids[i],
                     task->d_name);
            read_file(path, text, sizeof(text));
            char *second = text;
            uint64_t ran_ns = strtoull(text, &second, 10);
            all_ns += ran_ns;
            if (ran_ns >= busiest_ns) {
                busiest_ns = ran_ns;
                busiest_wait_ns = strtoull(second, NULL, 10);
            }
        }
        if (tasks) {
            closedir(tasks);
        }
        ret_sample->wait_ns += busiest_wait_ns;
        ret_sample->others_ns += all_ns - busiest_ns;
    }
}

static void read_cpus(const struct watch *w, struct watch_sample *ret_sample)
{
    static char text[16384];
    read_file("/proc/stat", text, sizeof(text));
    for (int i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof(name), "cpu%d ", w->cores[i]);
        const char *line = strstr(text, name);
        if (!line) {
            continue;
        }
        /* user nice system idle iowait irq softirq steal, in ticks of 10 ms */
        uint64_t ticks[8] = {0};
        char *at = (char *)(uintptr_t)line + strlen(name);
        for (int k = 0; k < 8; k++) {
            ticks[k] = strtoull(at, &at, 10);
        }
        ret_sample->busy_us[i] = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * 10000;
        ret_sample->steal_us[i] = ticks[7] * 10000;
    }
}

static uint64_t own_ns(const struct watch *w)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return cpu_ns_of(w->peers, w->peer_count) + (uint64_t)spent.tv_sec * 1000000000u +
           (uint64_t)spent.tv_nsec;
}

static struct watch_sample sample(struct watch *w, uint64_t now_ns, uint64_t calls, uint64_t events)
{
    struct watch_sample now = {
        .at_ns = now_ns,
        .calls = calls,
        .events = events,
        .cpu_ns = cpu_ns_of(w->pids, w->pid_count),
        .own_ns = own_ns(w),
    };
    read_waits(w->pids, w->pid_count, &now);
    read_cpus(w, &now);
    return now;
}

static void start_slice(struct watch *w, const struct watch_sample *now)
{
    w->_last = *now;
    w->next_ns = now->at_ns + w->slice_ns;
    w->latency = (struct hist){0};
}

void watch_begin(struct watch *w, uint64_t now_ns, uint64_t calls, uint64_t events)
{
    w->slice_count = 0;
    struct watch_sample now = sample(w, now_ns, calls, events);
    start_slice(w, &now);
}

void watch_slice(struct watch *w, uint64_t now_ns, uint64_t calls, uint64_t events)
{
    struct watch_sample now = sample(w, now_ns, calls, events);
    const struct watch_sample *last = &w->_last;
    if (w->slice_count < WATCH_SLICES) {
        struct watch_slice *s = &w->slices[w->slice_count++];
        s->wall_ns = now_ns - last->at_ns;
        s->calls = calls - last->calls;
        s->events = events - last->events;
        s->cpu_ns = now.cpu_ns - last->cpu_ns;
        uint64_t wait_ns = now.wait_ns - last->wait_ns;
        uint64_t others_ns = now.others_ns - last->others_ns;
        s->wait_ns = wait_ns > others_ns ? wait_ns - others_ns : 0;
        s->others_ns = others_ns;
        s->p50_ns = hist_percentile_ns(&w->latency, 0.5);
        s->steal_us = 0;
        int64_t own_us = (int64_t)(now.own_ns - last->own_ns) / 1000;
        int64_t cpu_us = (int64_t)s->cpu_ns / 1000;
        bool one_core = w->cores[0] == w->cores[1];
        int64_t ours_us[2] = {one_core ? cpu_us + own_us : cpu_us,
                              one_core ? cpu_us + own_us : own_us};
        for (int i = 0; i < 2; i++) {
            s->foreign_us[i] = (int64_t)(now.busy_us[i] - last->busy_us[i]) - ours_us[i];
            s->steal_us += now.steal_us[i] - last->steal_us[i];
        }
    }
    start_slice(w, &now);
}

void watch_print(const struct watch *w, FILE *out)
{
    fputc('[', out);
    for (int i = 0; i < w->slice_count; i++) {
        const struct watch_slice *s = &w->slices[i];
        fprintf(out, "%s[%.1f,%llu,%llu,%.1f,%.1f,%.2f,%lld,%lld,%llu,%.1f]", i ? "," : "",
                (double)s->wall_ns / 1e3, (unsigned long long)s->calls,
                (unsigned long long)s->events, (double)s->cpu_ns / 1e3, (double)s->wait_ns / 1e3,
                (double)s->p50_ns / 1e3, (long long)s->foreign_us[0], (long long)s->foreign_us[1],
                (unsigned long long)s->steal_us, (double)s->others_ns / 1e3);
    }
    fputc(']', out);
}
