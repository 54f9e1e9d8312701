#include "dialect/bound.h"

enum { BOUND_MAX = 1 << 30 };

/* Where a family says it: members of the body, or of an object in it. The largest counts; the others multiply it. */
struct bound_names {
    struct str object, other_object; /* empty: the body itself */
    struct str most[3];
    struct str times[2];
    struct str each; /* a list: each element of it is answered by itself */
};

static const struct bound_names names[FAMILY_COUNT] = {
    [FAMILY_OPENAI] = {.most = {{"max_completion_tokens", 21},
                                {"max_tokens", 10},
                                {"max_output_tokens", 17}},
                       .times = {{"n", 1}, {"best_of", 7}},
                       .each = {"prompt", 6}},
    [FAMILY_ANTHROPIC] = {.most = {{"max_tokens", 10}}},
    [FAMILY_COHERE] = {.most = {{"max_tokens", 10}}},
    [FAMILY_GEMINI] = {.object = {"generationConfig", 16},
                       .other_object = {"generation_config", 17},
                       .most = {{"maxOutputTokens", 15}, {"max_output_tokens", 17}},
                       .times = {{"candidateCount", 14}, {"candidate_count", 15}}},
    [FAMILY_OLLAMA] = {.object = {"options", 7}, .most = {{"num_predict", 11}}},
    [FAMILY_BEDROCK] = {.object = {"inferenceConfig", 15}, .most = {{"maxTokens", 9}}},
};

/* A positive number; 0: none is there; -1: something else is, or it stands there twice. */
static int64_t number(const struct json_want *w)
{
    int64_t v;
    if (w->type == JSON_NONE || w->type == JSON_NULL) {
        return w->count > 1 || w->cased ? -1 : 0;
    }
    if (w->count > 1 || w->escaped || w->cased || w->type != JSON_NUMBER ||
        json_int(w->value, &v) < 0 || v < 1 || v > BOUND_MAX) {
        return -1;
    }
    return v;
}

static size_t fill(const struct bound_names *b, struct json_want *to)
{
    size_t n = 0;
    for (size_t i = 0; i < 3 && b->most[i].n; i++) {
        to[n++].name = b->most[i];
    }
    for (size_t i = 0; i < 2 && b->times[i].n; i++) {
        to[n++].name = b->times[i];
    }
    if (b->each.n) {
        to[n++].name = b->each;
    }
    return n;
}

/* How many prompts there are: a list of numbers is one (its tokens). -1: that is not clear. */
static int64_t prompts(const struct json_want *w)
{
    struct str key, one;
    enum json_type type;
    int64_t n = 0;
    if (w->count > 1 || w->escaped || w->cased) {
        return -1;
    }
    for (size_t at = 0; w->type == JSON_ARRAY && n < BOUND_MAX &&
                        json_each(w->value, &at, &key, &one, &type) && type != JSON_NUMBER;) {
        n++;
    }
    return n ? n : 1;
}

static int64_t times(int64_t bound, int64_t v)
{
    bound *= v ? v : 1; /* both at most 2^30 */
    return bound < BOUND_MAX ? bound : BOUND_MAX;
}

static int64_t read_wants(const struct bound_names *b, const struct json_want *want)
{
    int64_t bound = 0;
    for (size_t i = 0; i < 3 && b->most[i].n; i++, want++) {
        int64_t v = number(want);
        if (v < 0) {
            return -1;
        }
        bound = v > bound ? v : bound;
    }
    for (size_t i = 0; i < 2 && b->times[i].n; i++, want++) {
        int64_t v = number(want);
        if (v < 0) {
            return -1;
        }
        bound = times(bound, v);
    }
    int64_t each = b->each.n ? prompts(want) : 1;
    return bound && each > 0 ? times(bound, each) : -1;
}

size_t bound_wants(const struct endpoint *ep, struct json_want *to)
{
    const struct bound_names *b = &names[ep->family];
    if (ep->work != WORK_OTHER || ep->model_in == MODEL_IN_FORM) {
        return 0;
    }
    if (!b->object.n) {
        return fill(b, to);
    }
    to[0].name = b->object;
    to[1].name = b->other_object;
    return b->other_object.n ? 2 : 1;
}

int64_t bound_of(const struct endpoint *ep, const struct json_want *want)
{
    const struct bound_names *b = &names[ep->family];
    const struct json_want *found = NULL;
    struct json_want inside[BOUND_WANTS];
    if (ep->work != WORK_OTHER) {
        return 0;
    }
    if (ep->model_in == MODEL_IN_FORM) {
        return -1;
    }
    if (!b->object.n) {
        return read_wants(b, want);
    }
    for (size_t i = 0; i < (b->other_object.n ? 2 : 1); i++) {
        if (want[i].count > 1 || want[i].escaped || (want[i].count && found)) {
            return -1;
        }
        found = want[i].type == JSON_OBJECT ? &want[i] : found;
    }
    if (!found || json_scan_members(found->value, inside, fill(b, inside), NULL, NULL) < 0) {
        return -1;
    }
    return read_wants(b, inside);
}

int64_t bound_output(const struct endpoint *ep, struct str body)
{
    struct json_want want[BOUND_WANTS];
    size_t n = bound_wants(ep, want);
    if (n && json_scan_members(body, want, n, NULL, NULL) < 0) {
        return -1;
    }
    return bound_of(ep, want);
}

/* ---- input ---- */

enum { BYTES_PER_TOKEN = 4, DATA_MIN = 4096, DATA_TOKENS = 1600, LOOK = 256 };

/* Base64 has no space in it, no escape and no quote; prose of this length has. */
static bool is_data(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], l = (char)(c | 0x20);
        if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
              c == '-' || c == '_' || c == '=')) {
            return false;
        }
    }
    return true;
}

int64_t bound_input(struct str body)
{
    int64_t data = 0;
    size_t text = body.n;
    while (body.n >= DATA_MIN) {
        struct str piece;
        str_cut(&body, '"', &piece);
        /* "data:image/png;base64," may stand ahead of it */
        if (piece.n >= DATA_MIN && is_data(str_first(str_from(piece, piece.n / 2), LOOK))) {
            text -= piece.n;
            data += DATA_TOKENS;
        }
    }
    return (int64_t)(text / BYTES_PER_TOKEN) + 1 + data;
}
