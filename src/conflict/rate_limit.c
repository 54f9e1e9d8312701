#include "conflict/rate_limit.h"

static struct sf_member integer(const char *name, uint64_t n)
{
    return (struct sf_member){.name = str_of(name), .item = {.type = SF_INTEGER, .n = (int64_t)n}};
}

static void add_line(struct buf *b, const char *name, const struct sf_item *policy)
{
    size_t before = b->n;
    const struct sf_member one = {.item = *policy};
    buf_addz(b, name);
    if (sf_write_list(b, &one, 1) < 0) {
        b->n = before;
        return;
    }
    buf_addz(b, "\r\n");
}

void rate_limit_fields(struct buf *b, const struct rate_limit *l)
{
    struct sf_member policy[3] = {integer("q", l->quota), integer("w", l->window_s)};
    struct sf_member now[3] = {integer("r", l->left)};
    struct sf_item item = {
        .type = SF_STRING, .text = l->policy, .parameters = policy, .n_parameters = 2};
    const struct sf_member whose = {.name = STR("pk"),
                                    .item = {.type = SF_BYTES, .text = l->partition}};
    size_t n = 1;
    if (l->partition.n) {
        policy[item.n_parameters++] = whose;
    }
    add_line(b, "ratelimit-policy: ", &item);
    if (l->reset_ms) {
        now[n++] = integer("t", (l->reset_ms + 999) / 1000);
    }
    if (l->partition.n) {
        now[n++] = whose;
    }
    item.parameters = now;
    item.n_parameters = n;
    add_line(b, "ratelimit: ", &item);
}

uint64_t retry_after_spread(uint64_t ms, uint64_t random)
{
    enum { LEAST_MS = 1000, MOST_MS = 60000 };
    uint64_t range = ms / 4;
    range = range < LEAST_MS ? LEAST_MS : range > MOST_MS ? MOST_MS : range;
    return ms + random % range;
}

void retry_after_fields(struct buf *b, uint64_t ms)
{
    buf_printf(b, "retry-after: %llu\r\nretry-after-ms: %llu\r\n",
               (unsigned long long)(ms + 999) / 1000, (unsigned long long)ms);
}
