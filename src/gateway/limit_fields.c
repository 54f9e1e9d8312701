/* What answers tell about limits: in the caller's dialect, and in the fields of the IETF draft ratelimit-headers. */
#include "base/must.h"
#include "conflict/http_date.h"
#include "gateway/limits.h"

/* Of each group the tightest, that is the one with the least left; NULL: nothing is told. */
struct shown {
    const struct snap_limit *limit;
    uint64_t left;
};

enum { LINES_MAX = 2048 };

static struct limit_now now_of(const struct call *c)
{
    uint64_t mono_us = loop_now_us(c->w->loop);
    return counter_now(mono_us, mono_us + c->w->wall_offset_us);
}

/* The call's own share is what it is likely to be, not what was reserved for the worst case. */
static void choose(const struct call *c, struct shown *all)
{
    const struct charge *charge = c->charge;
    const uint64_t own[LIMIT_GROUPS] = {[GROUP_REQUESTS] = 1,
                                        [GROUP_TOKENS] = (uint64_t)charge->input,
                                        [GROUP_INPUT] = (uint64_t)charge->input};
    for (size_t i = 0; i < charge->n; i++) {
        const struct limit_item *x = &charge->items[i];
        const struct snap_limit *l = (const struct snap_limit *)x->rule;
        enum limit_group g = l->group;
        if (g != LIMIT_GROUPS) {
            uint64_t left = x->left > own[g] ? x->left - own[g] : 0;
            if (!all[g].limit || left < all[g].left) {
                all[g] = (struct shown){l, left};
            }
        }
    }
}

static char *put(char *at, struct str s)
{
    memcpy(at, s.p, s.n);
    return at + s.n;
}

/* As Go prints durations, which is what OpenAI's are: 120ms, 7.5s, 6m0s. */
static char *put_duration(char *at, uint64_t us)
{
    uint64_t ms = (us + 999) / 1000, s = ms / 1000;
    if (ms < 1000) {
        at += u64_print(at, ms);
        return put(at, STR("ms"));
    }
    if (s >= 3600) {
        at += u64_print(at, s / 3600);
        *at++ = 'h';
    }
    if (s >= 60) {
        at += u64_print(at, s / 60 % 60);
        *at++ = 'm';
    }
    at += u64_print(at, s % 60);
    if (s < 60 && ms % 1000) {
        *at++ = '.';
        *at++ = (char)('0' + ms / 100 % 10);
        *at++ = (char)('0' + ms / 10 % 10);
        *at++ = (char)('0' + ms % 10);
    }
    *at++ = 's';
    return at;
}

static char *put_openai(char *at, const struct shown *s, const struct limit_now *now)
{
    at = put(at, s->limit->openai);
    at += u64_print(at, s->left);
    at = put(at, s->limit->openai_reset);
    at = put_duration(at, limit_reset_us(&s->limit->rule, now));
    return put(at, STR("\r\n"));
}

static char *put_anthropic(char *at, struct call *c, const struct shown *s,
                           const struct limit_now *now)
{
    uint64_t at_s = (now->wall_us + limit_reset_us(&s->limit->rule, now) + 999999) / 1000000;
    at = put(at, s->limit->anthropic);
    at += u64_print(at, s->left);
    at = put(at, s->limit->anthropic_reset);
    at = put(at, time_print(&c->req->arena, (int64_t)at_s * 1000000));
    return put(at, STR("\r\n"));
}

/* OpenAI knows one kind of tokens: the tightest of the three is told. */
static char *put_of_dialect(char *at, struct call *c, const struct shown *all,
                            const struct limit_now *now)
{
    unsigned theirs = c->charge->theirs;
    if (c->ep.endpoint->family == FAMILY_OPENAI) {
        const struct shown *tokens = &all[GROUP_TOKENS];
        for (unsigned g = GROUP_INPUT; g <= GROUP_OUTPUT; g++) {
            if (all[g].limit && (!tokens->limit || all[g].left < tokens->left)) {
                tokens = &all[g];
            }
        }
        if (all[GROUP_REQUESTS].limit && !(theirs >> GROUP_REQUESTS & 1)) {
            at = put_openai(at, &all[GROUP_REQUESTS], now);
        }
        if (tokens->limit && !(theirs >> GROUP_TOKENS & 1)) {
            at = put_openai(at, tokens, now);
        }
    } else if (c->ep.endpoint->family == FAMILY_ANTHROPIC) {
        for (unsigned g = 0; g < LIMIT_GROUPS; g++) {
            if (all[g].limit && !(theirs >> g & 1)) {
                at = put_anthropic(at, c, &all[g], now);
            }
        }
    }
    return at;
}

/* `t_us`: until there is more; LIMIT_NEVER: that is not told. */
static char *put_ratelimit(char *at, const struct shown *s, uint64_t t_us)
{
    at = put(at, s->limit->ratelimit);
    at += u64_print(at, s->left);
    if (t_us != LIMIT_NEVER) {
        at = put(at, STR(";t="));
        at += u64_print(at, (t_us + 999999) / 1000000);
    }
    return put(at, STR("\r\n"));
}

/* Of all that are shown the one that has the smallest share left. */
static const struct shown *tightest(const struct shown *all)
{
    const struct shown *least = NULL;
    for (unsigned g = 0; g < LIMIT_GROUPS; g++) {
        const struct shown *s = &all[g];
        if (s->limit && (!least || (double)s->left * (double)least->limit->rule.at_most <
                                       (double)least->left * (double)s->limit->rule.at_most)) {
            least = s;
        }
    }
    return least;
}

/* accord-limit-exceeded: the soft limits that had no room. */
static void add_exceeded(struct call *c)
{
    const struct charge *charge = c->charge;
    struct str last = {0};
    for (size_t i = 0; i < charge->n; i++) {
        const struct snap_limit *l = (const struct snap_limit *)charge->items[i].rule;
        if (charge->items[i].exceeded && !str_eq(l->policy, last)) {
            http_lines(c->req, last.n ? STR(", ") : STR("accord-limit-exceeded: "));
            http_lines(c->req, l->policy);
            last = l->policy;
        }
    }
    if (last.n) {
        http_lines(c->req, STR("\r\n"));
    }
}

void limits_fields(struct call *c)
{
    const struct charge *charge = c->charge;
    const struct limit_now now = now_of(c);
    char lines[LINES_MAX] UNINITIALIZED, *at = lines;
    struct shown all[LIMIT_GROUPS] = {{0}};
    if (charge->refused) {
        const struct snap_limit *l = charge->refused;
        if (l->group == LIMIT_GROUPS) {
            return;
        }
        uint64_t taken = limit_taken(&l->rule, &now);
        struct shown *s = &all[l->group];
        *s = (struct shown){l, taken < l->rule.at_most ? l->rule.at_most - taken : 0};
        at = put_of_dialect(at, c, all, &now);
        at = put_ratelimit(at, s, charge->wait_us);
        http_lines(c->req, str_make(lines, (size_t)(at - lines)));
        return;
    }
    choose(c, all);
    const struct shown *least = tightest(all);
    if (least) {
        at = put_of_dialect(at, c, all, &now);
        at = put_ratelimit(at, least, limit_reset_us(&least->limit->rule, &now));
        http_lines(c->req, str_make(lines, (size_t)(at - lines)));
    }
    if (charge->soft_exceeded) {
        add_exceeded(c);
    }
}

/* ---- the upstream's own ---- */

static bool is_ours(struct str name, enum limit_group *ret_group, bool *ret_remaining)
{
    static const struct {
        struct str part;
        enum limit_group group;
    } groups[] = {{{"input-tokens", 12}, GROUP_INPUT},
                  {{"output-tokens", 13}, GROUP_OUTPUT},
                  {{"requests", 8}, GROUP_REQUESTS},
                  {{"tokens", 6}, GROUP_TOKENS}};
    struct str openai = STR("x-ratelimit-"), anthropic = STR("anthropic-ratelimit-");
    bool first = str_istarts(name, openai);
    if (!first && !str_istarts(name, anthropic)) {
        return false;
    }
    struct str rest = str_from(name, first ? openai.n : anthropic.n);
    for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct str part = groups[i].part;
        if (rest.n > part.n &&
            (first ? str_ieq(str_from(rest, rest.n - part.n), part) : str_istarts(rest, part))) {
            struct str word = STR("remaining");
            *ret_group = groups[i].group;
            *ret_remaining =
                first ? str_istarts(rest, word) : str_ieq(str_from(rest, part.n + 1), word);
            return true;
        }
    }
    return false;
}

/* Whose are tighter are told; a client is never led to believe that there is more than the upstream gives. */
void limits_meet(struct call *c, const struct h1_head *h)
{
    struct shown all[LIMIT_GROUPS] = {{0}};
    enum limit_group g;
    bool remaining, chosen = false;
    uint64_t left;
    for (uint32_t i = 0; i < h->n_fields; i++) {
        if (h->fields[i].id != H_OTHER || !is_ours(h1_name(h, &h->fields[i]), &g, &remaining)) {
            continue;
        }
        if (!chosen) {
            choose(c, all);
            chosen = true;
        }
        bool ours = all[g].limit ||
                    (g == GROUP_TOKENS && (all[GROUP_INPUT].limit || all[GROUP_OUTPUT].limit));
        if (ours) {
            c->charge->hidden |= (uint8_t)(1U << g);
        }
        if (ours && remaining && str_to_u64(h1_value(h, &h->fields[i]), &left) == 0 &&
            all[g].limit && left < all[g].left) {
            c->charge->theirs |= (uint8_t)(1U << g);
        }
    }
    c->charge->hidden &= (uint8_t)~c->charge->theirs;
}

bool limits_hide(const struct call *c, struct str name)
{
    enum limit_group g;
    bool remaining;
    return c->charge->hidden && is_ours(name, &g, &remaining) && (c->charge->hidden >> g & 1);
}
