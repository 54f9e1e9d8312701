/* The pace and the faults that a request asks for: headers of any request, and directives in the
 * last user message of sim/fault ("status=503 retry_after_ms=200"). Nothing is ignored: a name that
 * is not known, or a value out of its bounds, is refused. */
#include "gateway/sim_call.h"

static const struct {
    struct str name;
    int64_t least, most;
    bool fault_only;
} wishes[SIM_WISH_COUNT] = {
#define SIM_WISH_ROW(id, name, least, most, fault_only)                                            \
    [SIM_##id] = {{name, sizeof(name) - 1}, least, most, fault_only},
    SIM_WISHES(SIM_WISH_ROW)
#undef SIM_WISH_ROW
};

enum { LIST_MAX = 256 };

/* A header writes - where a directive has _. */
static bool same_name(struct str name, struct str wish)
{
    if (name.n != wish.n) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i] == '-'
                      ? '_'
                      : (char)(name.p[i] | (name.p[i] >= 'A' && name.p[i] <= 'Z' ? 0x20 : 0));
        if (ch != wish.p[i]) {
            return false;
        }
    }
    return true;
}

static bool unknown(struct sim_call *c, struct str name)
{
    struct buf list = {.arena = &c->req->arena, .limit = LIST_MAX * 4};
    unsigned nearest = 4; /* more edits than that are another word */
    struct str meant = {0};
    for (int i = 0; i < SIM_WISH_COUNT; i++) {
        unsigned d = str_distance(name, wishes[i].name);
        if (d < nearest) {
            nearest = d;
            meant = wishes[i].name;
        }
        buf_add(&list, i ? STR(", ") : STR(""));
        buf_add(&list, wishes[i].name);
    }
    if (meant.n) {
        return sim_refuse(c, 400, "unknown_directive", NULL,
                          "sim/fault knows no \"%.*s\"; did you mean \"%.*s\"? It knows: %.*s.",
                          STR_ARG(str_first(name, 64)), STR_ARG(meant), STR_ARG(buf_str(&list)));
    }
    return sim_refuse(c, 400, "unknown_directive", NULL,
                      "sim/fault knows no \"%.*s\". It knows: %.*s.", STR_ARG(str_first(name, 64)),
                      STR_ARG(buf_str(&list)));
}

static bool wrong_value(struct sim_call *c, enum sim_wish w, struct str value)
{
    bool bytes = w == SIM_CUT_AFTER || w == SIM_STALL_AFTER;
    return sim_refuse(
        c, 400, "invalid_directive", NULL,
        "%.*s must be a whole number from %lld to %lld%s, not \"%.*s\".", STR_ARG(wishes[w].name),
        (long long)wishes[w].least, (long long)wishes[w].most,
        bytes ? " (of events; with b behind it, of bytes)" : "", STR_ARG(str_first(value, 64)));
}

static bool take(struct sim_call *c, struct str name, struct str value)
{
    int w = 0;
    while (w < SIM_WISH_COUNT && !same_name(name, wishes[w].name)) {
        w++;
    }
    if (w == SIM_WISH_COUNT) {
        return unknown(c, name);
    }
    if (wishes[w].fault_only && c->model != SIM_FAULT) {
        return sim_refuse(c, 400, "invalid_directive", NULL, "%.*s is done by sim/fault only.",
                          STR_ARG(wishes[w].name));
    }
    struct str digits = value;
    uint64_t v;
    bool *bytes = w == SIM_CUT_AFTER     ? &c->cut_bytes
                  : w == SIM_STALL_AFTER ? &c->stall_bytes
                                         : NULL;
    if (bytes) {
        *bytes = value.n && value.p[value.n - 1] == 'b';
        digits.n -= *bytes;
    }
    if (str_to_u64(digits, &v) < 0 || v > (uint64_t)wishes[w].most ||
        v < (uint64_t)wishes[w].least) {
        return wrong_value(c, (enum sim_wish)w, value);
    }
    c->wish[w] = (int64_t)v;
    return true;
}

static bool read_headers(struct sim_call *c)
{
    const struct h1_head *h = c->req->head;
    for (uint32_t i = 0; i < h->n_fields; i++) {
        struct str name = h1_name(h, &h->fields[i]);
        if (str_istarts(name, STR("sim-")) &&
            !take(c, str_from(name, 4), h1_value(h, &h->fields[i]))) {
            return false;
        }
    }
    return true;
}

/* Words with a = in them are directives; others are prose. */
static bool read_directives(struct sim_call *c)
{
    struct str said = buf_str(&c->said);
    for (size_t at = 0; at < said.n;) {
        size_t end = at;
        while (end < said.n && !sim_is_space(said.p[end])) {
            end++;
        }
        struct str value = str_make(said.p + at, end - at), name;
        if (str_cut(&value, '=', &name) && !take(c, name, value)) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

bool sim_read_wishes(struct sim_call *c)
{
    return read_headers(c) && (c->model != SIM_FAULT || c->said_by_tool || read_directives(c));
}
