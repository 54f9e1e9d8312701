#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_begin(struct answer *a, uint64_t asked_ns)
{
    a->state = ANSWER_IN_HEAD;
    a->closes = false;
    a->finish_seen = false;
    a->role_seen = false;
    a->done_seen = false;
    a->next_index = 0;
    a->usage_seen = 0;
    a->left = 0;
    a->body_len = 0;
    a->asked_ns = asked_ns;
    a->head_len = 0;
    a->line_len = 0;
}

static bool value_of(const char *line, size_t n, const char *name, const char **ret_value)
{
    size_t len = strlen(name);
    if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0) {
        return false;
    }
    const char *value = line + len + 1;
    while (*value == ' ') {
        value++;
    }
    *ret_value = value;
    return true;
}

/* head ends with the empty line. */
static const char *read_head(struct answer *a, const struct answer_rules *rules, const char *head,
                             size_t n)
{
    const char *end = head + n;
    if (n < 16 || memcmp(head, "HTTP/1.1 ", 9) != 0) {
        return "not an HTTP/1.1 answer";
    }
    if (atol(head + 9) != rules->status) {
        return "status";
    }
    bool chunked = false;
    bool sized = false;
    const char *line = memchr(head, '\n', n);
    while (line && ++line < end) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        size_t len = eol ? (size_t)(eol - line) : (size_t)(end - line);
        const char *value;
        if (value_of(line, len, "content-length", &value)) {
            a->left = strtoull(value, NULL, 10);
            sized = true;
        } else if (value_of(line, len, "transfer-encoding", &value)) {
            chunked = strncasecmp(value, "chunked", 7) == 0;
        } else if (value_of(line, len, "connection", &value)) {
            a->closes = strncasecmp(value, "close", 5) == 0;
        }
        line = eol;
    }
    if (!sized && !chunked) {
        return "neither length nor chunks";
    }
    a->state = chunked ? ANSWER_IN_SIZE : ANSWER_IN_BODY;
    return NULL;
}

/* Returns how many of the n bytes belong to the head, 0 when it is incomplete (then it is kept). */
static size_t take_head(struct answer *a, const struct answer_rules *rules, const char *p, size_t n,
                        const char **ret_why)
{
    const char *found = a->head_len ? NULL : memmem(p, n, "\r\n\r\n", 4);
    if (found) {
        size_t len = (size_t)(found - p) + 4;
        *ret_why = read_head(a, rules, p, len);
        return len;
    }
    if (!a->head) {
        a->head = malloc(ANSWER_HEAD);
    }
    size_t room = ANSWER_HEAD - a->head_len;
    size_t copy = n < room ? n : room;
    if (!a->head || copy == 0) {
        *ret_why = "head too long";
        return 0;
    }
    size_t before = a->head_len;
    memcpy(a->head + before, p, copy);
    a->head_len += copy;
    found = memmem(a->head, a->head_len, "\r\n\r\n", 4);
    if (!found) {
        return 0;
    }
    size_t len = (size_t)(found - a->head) + 4;
    *ret_why = read_head(a, rules, a->head, len);
    free(a->head);
    a->head = NULL;
    a->head_len = 0;
    return len - before;
}

static uint64_t digits_at(const char *p, const char *end)
{
    uint64_t value = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        value = value * 10 + (uint64_t)(*p++ - '0');
    }
    return value;
}

static const char *take_content(struct answer *a, struct answer_rules *rules, const char *line,
                                size_t n, const char *index, uint64_t now_ns)
{
    if (digits_at(index, line + n) != a->next_index) {
        return "an event is missing or doubled";
    }
    if (a->next_index == 0) {
        hist_add(&rules->first, now_ns - a->asked_ns);
    }
    a->next_index++;
    rules->events++;
    const char *stamp = memmem(line, n, "fp_", 3);
    if (!stamp) {
        return "an event without its stamp";
    }
    uint64_t sent_ns = digits_at(stamp + 3, line + n);
    uint64_t delay_ns = now_ns > sent_ns ? now_ns - sent_ns : 0;
    hist_add(&rules->delay, delay_ns);
    rules->late += delay_ns > rules->late_ns;
    return NULL;
}

static const char *take_line(struct answer *a, struct answer_rules *rules, const char *line,
                             size_t n, uint64_t now_ns)
{
    static const char mark[] = "\"content\":\" t";
    static const char role[] = "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}";
    if (n == 0) {
        return NULL;
    }
    if (line[0] == ':') {
        rules->comments++;
        return NULL;
    }
    if (n < 6 || memcmp(line, "data: ", 6) != 0) {
        return "a line that no upstream sent";
    }
    if (a->done_seen) {
        return "an event after [DONE]";
    }
    const char *content = memmem(line, n, mark, sizeof(mark) - 1);
    if (content) {
        return take_content(a, rules, line, n, content + sizeof(mark) - 1, now_ns);
    }
    if (n == 12 && !memcmp(line + 6, "[DONE]", 6)) {
        a->done_seen = true;
        rules->done_events++;
    } else if (memmem(line, n, "\"finish_reason\":\"stop\"", 22)) {
        a->finish_seen = true;
    } else if (memmem(line, n, "\"usage\":{", 9)) {
        a->usage_seen++;
        rules->usage_events++;
    } else if (rules->own_id && !a->role_seen && a->next_index == 0 &&
               memmem(line, n, role, sizeof(role) - 1)) {
        a->role_seen = true;
    } else {
        return "an event that no upstream sent";
    }
    return NULL;
}

/* Adds to the line that is incomplete; its bytes are few, so a copy does not matter. */
static bool gather(struct answer *a, const char *p, size_t n)
{
    if (n > sizeof(a->line) - a->line_len) {
        return false;
    }
    memcpy(a->line + a->line_len, p, n);
    a->line_len += (uint32_t)n;
    return true;
}

static const char *take_events(struct answer *a, struct answer_rules *rules, const char *p,
                               size_t n, uint64_t now_ns)
{
    const char *end = p + n;
    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((eol ? eol : end) - p);
        const char *why = NULL;
        if (a->line_len || !eol) {
            if (!gather(a, p, len)) {
                return "an event is too long";
            }
            if (eol) {
                why = take_line(a, rules, a->line, a->line_len, now_ns);
                a->line_len = 0;
            }
        } else {
            why = take_line(a, rules, p, len, now_ns);
        }
        if (why || !eol) {
            return why;
        }
        p = eol + 1;
    }
    return NULL;
}

/* The n bytes at `at` of a body against the first one's. */
static bool is_as_first(const struct answer_rules *rules, uint64_t at, const char *p, size_t n)
{
    uint64_t from = at;
    uint64_t end = at + n;
    for (size_t i = 0; i <= 2 && from < end; i++) {
        uint64_t to = i < 2 && rules->varies[i].from < end ? rules->varies[i].from : end;
        if (from < to && memcmp(rules->reference + from, p + (from - at), to - from) != 0) {
            return false;
        }
        if (i < 2 && from < rules->varies[i].to) {
            from = rules->varies[i].to;
        }
    }
    return true;
}

/* id and created of the first answer: in this order, and always as long. */
static const char *note_varying(struct answer_rules *rules)
{
    static const char *const names[] = {"\"id\":\"chatcmpl-", "\"created\":"};
    size_t at = 0;
    for (size_t i = 0; rules->own_id && i < 2; i++) {
        const char *found =
            memmem(rules->reference + at, rules->reference_len - at, names[i], strlen(names[i]));
        if (!found) {
            return "an answer without id and time";
        }
        at = (size_t)(found - rules->reference) + strlen(names[i]);
        rules->varies[i].from = at;
        while (at < rules->reference_len && !strchr("\",}", rules->reference[at])) {
            at++;
        }
        rules->varies[i].to = at;
    }
    return NULL;
}

static const char *take_body(struct answer *a, struct answer_rules *rules, const char *p, size_t n,
                             uint64_t now_ns)
{
    uint64_t at = a->body_len;
    a->body_len += n;
    rules->body_bytes += n;
    if (rules->stream) {
        return take_events(a, rules, p, n, now_ns);
    }
    if (at + n > sizeof(rules->reference)) {
        return "a body longer than any the upstream has";
    }
    if (!rules->have_reference) {
        memcpy(rules->reference + at, p, n);
    } else if (at + n > rules->reference_len) {
        return "a body longer than the first";
    } else if (rules->status == 200 && !is_as_first(rules, at, p, n)) {
        return "a body unlike the first";
    }
    return NULL;
}

static const char *check_end(const struct answer *a, struct answer_rules *rules)
{
    if (rules->stream) {
        if (a->next_index != rules->chunks) {
            return "a stream that is too short";
        }
        if (!a->finish_seen || !a->done_seen) {
            return "a stream without its end";
        }
        return a->usage_seen == (rules->usage ? 1u : 0u) ? NULL : "usage missing or not asked for";
    }
    if (!rules->have_reference) {
        rules->have_reference = true;
        rules->reference_len = a->body_len;
        return note_varying(rules);
    }
    return a->body_len == rules->reference_len ? NULL : "a body shorter than the first";
}

/* The states of chunked encoding besides the data. Returns how many bytes it took. */
static size_t take_framing(struct answer *a, const char *p, size_t n, bool *ret_end,
                           const char **ret_why)
{
    if (a->state == ANSWER_AFTER_CHUNK) {
        /* CR LF: two bytes, counted down in left */
        size_t take = n < a->left ? n : (size_t)a->left;
        a->left -= take;
        if (a->left == 0) {
            a->state = ANSWER_IN_SIZE;
        }
        return take;
    }
    /* A line: the size, or an (empty) trailer. The line buffer may hold half an event, so the
     * size is read digit by digit instead. */
    for (size_t i = 0; i < n; i++) {
        char byte = p[i];
        if (byte == '\n') {
            if (a->state == ANSWER_IN_TRAILER) {
                *ret_end = true;
            } else if (a->left == 0) {
                a->state = ANSWER_IN_TRAILER;
            } else {
                a->state = ANSWER_IN_CHUNK;
            }
            return i + 1;
        }
        if (byte == '\r') {
            continue;
        }
        int digit = byte >= '0' && byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10;
        if (a->state == ANSWER_IN_TRAILER || digit < 0 || digit > 15 || a->left >> 32) {
            *ret_why = "chunked encoding";
            return n;
        }
        a->left = a->left * 16 + (uint64_t)digit;
    }
    return n;
}

enum answer_result answer_feed(struct answer *a, struct answer_rules *rules, const char *p,
                               size_t n, uint64_t now_ns, const char **ret_why)
{
    const char *why = NULL;
    bool end = false;
    while (n && !why && !end) {
        size_t took;
        if (a->state == ANSWER_IN_HEAD) {
            took = take_head(a, rules, p, n, &why);
            if (took == 0) {
                break;
            }
            end = !why && a->state == ANSWER_IN_BODY && a->left == 0;
        } else if (a->state == ANSWER_IN_BODY || a->state == ANSWER_IN_CHUNK) {
            took = n < a->left ? n : (size_t)a->left;
            why = take_body(a, rules, p, took, now_ns);
            a->left -= took;
            if (a->left == 0 && a->state == ANSWER_IN_CHUNK) {
                a->state = ANSWER_AFTER_CHUNK;
                a->left = 2;
            } else if (a->left == 0) {
                end = true;
            }
        } else {
            took = take_framing(a, p, n, &end, &why);
        }
        p += took;
        n -= took;
    }
    if (!why && end) {
        why = n ? "bytes after the answer" : check_end(a, rules);
    }
    if (why) {
        *ret_why = why;
        return ANSWER_WRONG;
    }
    return end ? ANSWER_DONE : ANSWER_MORE;
}
