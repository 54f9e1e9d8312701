/*
 * The load generator: keep-alive connections that send one fixed chat completion again and again
 * and check every answer (answer.h). Closed loop, or open loop at a rate; streams; connections
 * that stay open and idle. One thread, epoll; the result is one JSON object on the last line.
 */
#include "answer.h"
#include "request.h"
#include "sock.h"
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: load --target HOST:PORT [options]\n"
    "  --key KEY --model NAME        what is sent (Authorization: Bearer KEY)\n"
    "  --connections N (32)          --body BYTES (1024)\n"
    "  --calls N | --seconds S       how many calls, or how long\n"
    "  --warm S (0)                  seconds before slices and latencies count\n"
    "  --rate R                      open loop: R calls a second over all connections\n"
    "  --vary-keys N, --vary-models N  the last 6 characters of the key, the last 5 of the "
    "model's\n"
    "                                name are numbers below that, another one in each call\n"
    "  --stream CHUNKS               stream, and expect as many content events\n"
    "  --include-usage               the client asks for the usage event\n"
    "  --own-id                      answers have ids and times of the gateway's own making\n"
    "  --spread-ms MS                the connections start over this time\n"
    "  --late-ms MS (50)             an event that took longer counts as late\n"
    "  --hold                        one call each; then say so, stay until stdin ends\n"
    "  --status CODE (200)           what each answer must be\n"
    "  --watch PID, --peer PID       process under test; process that belongs to the bench\n"
    "  --cores A,B (0,1)             where the watched process runs, where load and peers do\n"
    "  --slice-ms MS (100)\n";

struct conn {
    struct answer answer;
    struct conn *next_idle;
    uint64_t start_ns; /* when it may send its first call */
    size_t sent;       /* of the request */
    uint64_t number;   /* of the call: which of the requests that differ it is */
    int fd;
    bool busy;
    bool writing; /* waits for EPOLLOUT */
    bool failed;  /* its last call; it has not begun again */
};

static struct {
    struct sockaddr_in target;
    struct request_options request;
    uint32_t connections;
    uint64_t calls;
    double seconds;
    double warm_s;
    double rate;
    uint64_t spread_ms;
    bool hold;
} opt = {
    .request = {.key = "none", .model = "mock-model", .body_len = 1024},
    .connections = 32,
};

static struct {
    uint64_t issued; /* with the probe */
    uint64_t probes;
    uint64_t done;
    uint64_t failed;
    uint64_t reconnects;
    uint64_t reads;       /* that brought bytes of an answer */
    uint64_t backlog_max; /* open loop: calls that found no free connection */
    const char *first_failure;
    struct hist latency;
} total;

static struct answer_rules rules = {.status = 200, .late_ns = 50000000};
static struct watch watch = {.cores = {0, 1}, .slice_ns = 100000000};
static struct request request;
static struct conn *conns;
static struct conn *idle_conns; /* open loop only */
static int epoll_fd;
static uint64_t count_from_ns; /* the end of warming up */
static uint64_t stop_ns;       /* no new calls from here on */
static uint64_t last_bytes_ns;
static char buffer[262144];

enum { FAILURES_MAX = 100, SILENCE_S = 20 };

static bool may_issue(uint64_t now_ns)
{
    if (opt.calls) {
        return total.issued - total.probes < opt.calls;
    }
    return now_ns < stop_ns;
}

static void open_conn(struct conn *c)
{
    c->fd = sock_connect(&opt.target);
    c->writing = false;
    sock_watch(epoll_fd, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void want_write(struct conn *c, bool on)
{
    if (c->writing != on) {
        c->writing = on;
        sock_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, on ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
    }
}

static void fail(struct conn *c, const char *why)
{
    total.failed++;
    if (!total.first_failure) {
        total.first_failure = why;
    }
    c->busy = false;
    c->failed = true;
    close(c->fd);
    c->fd = -1;
}

static void push_request(struct conn *c)
{
    request_vary(&request, c->number);
    while (c->sent < request.len) {
        ssize_t n = send(c->fd, request.bytes + c->sent, request.len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                want_write(c, true);
            } else {
                fail(c, "the connection was closed while sending");
            }
            return;
        }
        c->sent += (size_t)n;
    }
    want_write(c, false);
}

/* asked_ns: the moment from which the latency counts. */
static void issue(struct conn *c, uint64_t asked_ns)
{
    if (c->fd < 0) {
        open_conn(c);
    }
    c->number = total.issued++;
    c->busy = true;
    c->sent = 0;
    answer_begin(&c->answer, asked_ns);
    push_request(c);
}

static void on_done(struct conn *c, uint64_t now_ns)
{
    uint64_t latency_ns = now_ns - c->answer.asked_ns;
    total.done++;
    c->busy = false;
    if (now_ns >= count_from_ns) {
        hist_add(&total.latency, latency_ns);
        hist_add(&watch.latency, latency_ns);
    }
    if (c->answer.closes) {
        close(c->fd);
        c->fd = -1;
        total.reconnects++;
    }
    if (opt.rate > 0) {
        c->next_idle = idle_conns;
        idle_conns = c;
    } else if (!opt.hold && may_issue(now_ns)) {
        issue(c, now_ns);
    }
}

static void on_readable(struct conn *c, uint64_t now_ns)
{
    ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        if (c->busy) {
            fail(c, n ? "the connection was reset" : "the connection was closed in an answer");
        } else { /* an idle connection may be closed at any time */
            close(c->fd);
            c->fd = -1;
            total.reconnects++;
        }
        return;
    }
    total.reads++;
    last_bytes_ns = now_ns;
    const char *why = "bytes that nobody asked for";
    enum answer_result result =
        c->busy ? answer_feed(&c->answer, &rules, buffer, (size_t)n, now_ns, &why) : ANSWER_WRONG;
    if (result == ANSWER_WRONG) {
        fail(c, why);
    } else if (result == ANSWER_DONE) {
        on_done(c, now_ns);
    }
}

/* One call by itself, so that the body all others are compared with comes from a quiet moment.
 * Streams need none: their events are known beforehand. */
static void probe(void)
{
    struct conn *c = &conns[0];
    total.probes = 1;
    issue(c, sock_now_ns());
    uint64_t deadline_ns = sock_now_ns() + UINT64_C(60000000000);
    while (c->busy && sock_now_ns() < deadline_ns) {
        struct pollfd p = {.fd = c->fd, .events = c->writing ? POLLIN | POLLOUT : POLLIN};
        poll(&p, 1, 1000);
        if (p.revents & POLLOUT) {
            push_request(c);
        }
        if (c->busy && (p.revents & (POLLIN | POLLHUP | POLLERR))) {
            ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);
            const char *why = "the connection was closed in the first answer";
            if (n <= 0) {
                if (n == 0 || errno != EAGAIN) {
                    fail(c, why);
                }
                continue;
            }
            enum answer_result result =
                answer_feed(&c->answer, &rules, buffer, (size_t)n, sock_now_ns(), &why);
            if (result == ANSWER_WRONG) {
                fail(c, why);
            } else if (result == ANSWER_DONE) {
                total.done++;
                c->busy = false;
            }
        }
    }
    if (c->busy) {
        fail(c, "no answer to the first call");
    }
    if (c->fd >= 0 && c->answer.closes) {
        close(c->fd);
        c->fd = -1;
    }
}

/* First calls of the connections, as their moments come; returns how many are still to start. */
static uint32_t start_conns(uint32_t started, uint64_t now_ns)
{
    while (started < opt.connections && conns[started].start_ns <= now_ns) {
        struct conn *c = &conns[started++];
        if (opt.rate > 0) {
            if (c->fd < 0) {
                open_conn(c);
            }
            c->next_idle = idle_conns;
            idle_conns = c;
        } else if (opt.hold || may_issue(now_ns)) {
            issue(c, now_ns);
        }
    }
    return started;
}

/* Open loop: a call is due at its moment, whether or not a connection is free for it. */
static uint64_t issue_due(uint64_t next_due_ns, uint64_t now_ns)
{
    uint64_t gap_ns = (uint64_t)(1e9 / opt.rate);
    while (next_due_ns <= now_ns && may_issue(now_ns)) {
        struct conn *c = idle_conns;
        if (!c) {
            uint64_t behind = (now_ns - next_due_ns) / gap_ns + 1;
            if (behind > total.backlog_max) {
                total.backlog_max = behind;
            }
            break;
        }
        idle_conns = c->next_idle;
        issue(c, next_due_ns);
        next_due_ns += gap_ns;
    }
    return next_due_ns;
}

static int wait_ms(uint64_t now_ns, uint64_t until_ns)
{
    if (until_ns <= now_ns) {
        return 0;
    }
    uint64_t ms = (until_ns - now_ns) / 1000000;
    return ms > 1000 ? 1000 : (int)ms;
}

/* Nothing at all came for so long: what is under way counts as failed. */
static bool stuck(uint64_t now_ns)
{
    if (now_ns < last_bytes_ns + SILENCE_S * UINT64_C(1000000000)) {
        return false;
    }
    for (uint32_t i = 0; i < opt.connections; i++) {
        if (conns[i].busy) {
            fail(&conns[i], "an answer is missing");
        }
    }
    return true;
}

static bool finished(uint64_t now_ns)
{
    if (total.failed >= FAILURES_MAX) {
        return true;
    }
    if (opt.hold) {
        return total.done + total.failed >= opt.connections + total.probes;
    }
    if (may_issue(now_ns)) {
        return false;
    }
    return total.done + total.failed >= total.issued;
}

static void on_events(const struct epoll_event *events, int n, uint64_t now_ns)
{
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->fd >= 0 && (events[i].events & EPOLLOUT)) {
            push_request(c);
        }
        if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
            on_readable(c, now_ns);
        }
    }
}

/* Connections that failed begin again, as a client would; fail() itself may be deep in a call. */
static void revive_failed(uint64_t now_ns)
{
    for (uint32_t i = 0; i < opt.connections; i++) {
        struct conn *c = &conns[i];
        if (c->failed && opt.rate > 0) {
            c->failed = false;
            c->next_idle = idle_conns;
            idle_conns = c;
        } else if (c->failed && !opt.hold && may_issue(now_ns)) {
            c->failed = false;
            issue(c, now_ns);
        }
    }
}

static void run(void)
{
    struct epoll_event events[256];
    uint64_t now_ns = sock_now_ns();
    uint64_t next_due_ns = now_ns;
    uint64_t gap_ns = opt.connections > 1 ? opt.spread_ms * 1000000 / opt.connections : 0;
    uint32_t started = 0;
    uint64_t revived = 0;
    count_from_ns = now_ns + (uint64_t)(opt.warm_s * 1e9);
    stop_ns = count_from_ns + (uint64_t)(opt.seconds * 1e9);
    for (uint32_t i = 0; i < opt.connections; i++) {
        conns[i].start_ns = now_ns + i * gap_ns;
    }
    last_bytes_ns = now_ns;
    while (!finished(now_ns) && !stuck(now_ns)) {
        started = start_conns(started, now_ns);
        uint64_t wake_ns = now_ns + 100000000;
        if (started < opt.connections && conns[started].start_ns < wake_ns) {
            wake_ns = conns[started].start_ns;
        }
        if (opt.rate > 0) {
            next_due_ns = issue_due(next_due_ns, now_ns);
            wake_ns = next_due_ns < wake_ns && idle_conns ? next_due_ns : wake_ns;
        }
        if (watch.next_ns && watch.next_ns < wake_ns) {
            wake_ns = watch.next_ns;
        }
        int n = epoll_wait(epoll_fd, events, 256, wait_ms(now_ns, wake_ns));
        now_ns = sock_now_ns();
        on_events(events, n, now_ns);
        if (total.failed != revived) {
            revived = total.failed;
            revive_failed(now_ns);
        }
        if (opt.seconds <= 0 || now_ns < count_from_ns) {
            continue;
        }
        if (!watch.next_ns) {
            watch_begin(&watch, now_ns, total.done, rules.events);
        } else if (now_ns >= watch.next_ns && now_ns <= stop_ns + 20000000) {
            watch_slice(&watch, now_ns, total.done, rules.events);
        }
    }
}

static void hold(void)
{
    printf("{\"held\":%llu,\"failed\":%llu}\n", (unsigned long long)(total.done - total.probes),
           (unsigned long long)total.failed);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
}

static void print_hist(const char *name, const struct hist *h)
{
    printf(",\"%s\":{\"count\":%llu,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,"
           "\"max\":%.2f}",
           name, (unsigned long long)h->count, (double)hist_percentile_ns(h, 0.5) / 1e3,
           (double)hist_percentile_ns(h, 0.9) / 1e3, (double)hist_percentile_ns(h, 0.99) / 1e3,
           (double)hist_percentile_ns(h, 0.999) / 1e3, (double)h->max_ns / 1e3);
}

static void print_sample(void)
{
    printf(",\"sample\":\"");
    for (size_t i = 0; i < rules.reference_len; i++) {
        unsigned char byte = (unsigned char)rules.reference[i];
        if (byte == '"' || byte == '\\') {
            printf("\\%c", byte);
        } else if (byte < 0x20 || byte > 0x7e) {
            printf("\\u%04x", byte);
        } else {
            putchar(byte);
        }
    }
    printf("\"");
}

static void print_result(double seconds)
{
    printf("{\"calls\":%llu,\"issued\":%llu,\"failed\":%llu,\"first_failure\":\"%s\","
           "\"reconnects\":%llu,\"reads\":%llu,\"backlog_max\":%llu,\"seconds\":%.3f,"
           "\"request_len\":%zu,\"body_len\":%zu,\"body_bytes\":%llu,\"events\":%llu,"
           "\"usage_events\":%llu,\"done_events\":%llu,\"comments\":%llu,\"late\":%llu",
           (unsigned long long)total.done, (unsigned long long)total.issued,
           (unsigned long long)total.failed, total.first_failure ? total.first_failure : "",
           (unsigned long long)total.reconnects, (unsigned long long)total.reads,
           (unsigned long long)total.backlog_max, seconds, request.len, rules.reference_len,
           (unsigned long long)rules.body_bytes, (unsigned long long)rules.events,
           (unsigned long long)rules.usage_events, (unsigned long long)rules.done_events,
           (unsigned long long)rules.comments, (unsigned long long)rules.late);
    print_hist("latency_us", &total.latency);
    print_hist("first_us", &rules.first);
    print_hist("delay_us", &rules.delay);
    print_sample();
    printf(",\"slices\":");
    watch_print(&watch, stdout);
    printf("}\n");
}

static void add_pid(pid_t *pids, int *count, const char *value)
{
    if (*count < WATCH_PIDS) {
        pids[(*count)++] = (pid_t)strtol(value, NULL, 10);
    }
}

static bool take_option(const char *name, const char *value)
{
    if (!strcmp(name, "--target")) {
        opt.target = sock_address(value);
        opt.request.host = value;
    } else if (!strcmp(name, "--key")) {
        opt.request.key = value;
    } else if (!strcmp(name, "--model")) {
        opt.request.model = value;
    } else if (!strcmp(name, "--vary-keys")) {
        opt.request.vary_keys = (unsigned)strtoul(value, NULL, 10);
    } else if (!strcmp(name, "--vary-models")) {
        opt.request.vary_models = (unsigned)strtoul(value, NULL, 10);
    } else if (!strcmp(name, "--connections")) {
        opt.connections = (uint32_t)strtoul(value, NULL, 10);
    } else if (!strcmp(name, "--body")) {
        opt.request.body_len = strtoul(value, NULL, 10);
    } else if (!strcmp(name, "--calls")) {
        opt.calls = strtoull(value, NULL, 10);
    } else if (!strcmp(name, "--seconds")) {
        opt.seconds = strtod(value, NULL);
    } else if (!strcmp(name, "--warm")) {
        opt.warm_s = strtod(value, NULL);
    } else if (!strcmp(name, "--rate")) {
        opt.rate = strtod(value, NULL);
    } else if (!strcmp(name, "--stream")) {
        rules.stream = true;
        opt.request.stream = true;
        rules.chunks = (uint32_t)strtoul(value, NULL, 10);
    } else if (!strcmp(name, "--spread-ms")) {
        opt.spread_ms = strtoull(value, NULL, 10);
    } else if (!strcmp(name, "--late-ms")) {
        rules.late_ns = strtoull(value, NULL, 10) * 1000000;
    } else if (!strcmp(name, "--status")) {
        rules.status = (int)strtol(value, NULL, 10);
    } else if (!strcmp(name, "--watch")) {
        add_pid(watch.pids, &watch.pid_count, value);
    } else if (!strcmp(name, "--peer")) {
        add_pid(watch.peers, &watch.peer_count, value);
    } else if (!strcmp(name, "--cores")) {
        const char *comma = strchr(value, ',');
        watch.cores[0] = (int)strtol(value, NULL, 10);
        watch.cores[1] = comma ? (int)strtol(comma + 1, NULL, 10) : watch.cores[0];
    } else if (!strcmp(name, "--slice-ms")) {
        watch.slice_ns = strtoull(value, NULL, 10) * 1000000;
    } else {
        return false;
    }
    return true;
}

static bool take_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--hold")) {
            opt.hold = true;
        } else if (!strcmp(argv[i], "--include-usage")) {
            opt.request.include_usage = true;
            rules.usage = true;
        } else if (!strcmp(argv[i], "--own-id")) {
            rules.own_id = true;
        } else if (i + 1 == argc || !take_option(argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    bool bounded = opt.calls || opt.seconds > 0 || opt.hold;
    return opt.request.host && opt.connections && bounded;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv)) {
        fputs(USAGE, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sock_raise_fd_limit();
    request = request_build(&opt.request);
    conns = calloc(opt.connections, sizeof(*conns));
    if (!conns) {
        sock_die("calloc");
    }
    for (uint32_t i = 0; i < opt.connections; i++) {
        conns[i].fd = -1;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint64_t began_ns = sock_now_ns();
    if (!rules.stream) {
        probe();
    }
    if (!total.failed) {
        run();
    }
    if (opt.hold) {
        hold();
    }
    print_result((double)(sock_now_ns() - began_ns) / 1e9);
    return total.failed ? 1 : 0;
}
