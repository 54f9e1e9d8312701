#include "dialect/bound.h"
#include "gateway/choice.h"
#include "policy/balance.h"

enum {
    TEXT_MOST = 4096, /* so much of a text tells one conversation from another */
    FIRST_MOST = 8,   /* of its elements are looked at for the first that a user has said */
    NESTED_MOST = 4,  /* texts are no deeper in a message */
};

/* The members that are looked for. What a call is routed by must stand there once, so that nobody reads something
 * else. */
enum {
    HAS_METADATA,
    HAS_REQUEST_METADATA, /* Bedrock's name for it */
    HAS_USER,
    HAS_CACHE_KEY,
    HAS_SYSTEM,
    HAS_INSTRUCTIONS,
    HAS_SYSTEM_INSTRUCTION,
    HAS_SYSTEM_INSTRUCTION_SNAKE,
    HAS_MESSAGES,
    HAS_CONTENTS,
    HAS_INPUT,
    HAS_PROMPT,
    HAS_COUNT,
};

static const struct str member_name[HAS_COUNT] = {
    [HAS_METADATA] = {"metadata", 8},
    [HAS_REQUEST_METADATA] = {"requestMetadata", 15},
    [HAS_USER] = {"user", 4},
    [HAS_CACHE_KEY] = {"prompt_cache_key", 16},
    [HAS_SYSTEM] = {"system", 6},
    [HAS_INSTRUCTIONS] = {"instructions", 12},
    [HAS_SYSTEM_INSTRUCTION] = {"systemInstruction", 17},
    [HAS_SYSTEM_INSTRUCTION_SNAKE] = {"system_instruction", 18},
    [HAS_MESSAGES] = {"messages", 8},
    [HAS_CONTENTS] = {"contents", 8},
    [HAS_INPUT] = {"input", 5},
    [HAS_PROMPT] = {"prompt", 6},
};

struct traits {
    struct json_want has[HAS_COUNT];
    int64_t tokens; /* of the request, about */
};

/* ---- reading ---- */

static enum next refuse_member(struct call *c, struct str name)
{
    struct call_error e = {
        .status = 400, .code = "ambiguous_member", .param = name.p, .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e,
                     "The member \"%.*s\" stands there twice or is spelled with an escape; send it "
                     "once, spelled plainly.",
                     STR_ARG(name));
}

/* A form's members, and what a body without any says, are not there. */
static enum next scan(struct call *c, struct traits *t)
{
    struct str body = c->req->body;
    for (unsigned i = 0; i < HAS_COUNT; i++) {
        t->has[i] = (struct json_want){.name = member_name[i]};
    }
    if (!c->body_scanned) {
        /* Where the model stands in the path nobody has looked into the body yet; the upstream says what is wrong
         * with one that is none. */
        if (c->form || json_scan(body, t->has, HAS_COUNT, NULL, NULL) < 0) {
            return NEXT;
        }
    } else if (json_scan_members(body, t->has, HAS_COUNT, NULL, NULL) < 0) {
        return NEXT;
    }
    for (unsigned i = 0; i < HAS_SYSTEM; i++) {
        if (t->has[i].count > 1 || t->has[i].escaped) {
            return refuse_member(c, member_name[i]);
        }
    }
    return NEXT;
}

/* A value as a condition compares it: a text decoded, anything else as it is spelled; of bounded length. */
static struct str plain(struct call *c, enum json_type type, struct str value)
{
    struct str s = value;
    if (type == JSON_STRING && !json_plain(value, &s)) {
        char *text = arena_alloc(&c->req->arena, value.n);
        s = str_make(text, json_unescape(value, text));
    }
    return s;
}

static enum json_type metadata(const struct call *c, struct str name, struct str *ret)
{
    const struct json_want *has = c->traits->has;
    enum json_type type = JSON_NONE;
    for (unsigned i = HAS_METADATA; i <= HAS_REQUEST_METADATA && type == JSON_NONE; i++) {
        if (has[i].type == JSON_OBJECT) {
            type = json_member(has[i].value, name, ret);
        }
    }
    return type;
}

/* ---- conditions ---- */

static bool value_fits(const struct snap_condition *w, struct str value)
{
    return w->n_is == 0 || snap_matches(w->is, w->n_is, value);
}

bool traits_hold(struct call *c, const struct snap_condition *w)
{
    struct str value = {0};
    enum json_type type;
    switch (w->what) {
    case WHEN_HEADER:
        value = c->req->head ? h1_find(c->req->head, w->name) : value;
        return value.p && value_fits(w, value);
    case WHEN_METADATA:
        type = metadata(c, w->name, &value);
        return type != JSON_NONE && type != JSON_NULL && value_fits(w, plain(c, type, value));
    case WHEN_MODEL:
        return value_fits(w, c->asked);
    case WHEN_TOKENS:
        return c->traits->tokens >= w->at_least && c->traits->tokens <= w->at_most;
    }
    return false;
}

static void judge_targets(struct call *c)
{
    const struct snap_model *m = c->model;
    for (uint32_t i = 0; i < m->n_targets && i < CHOICE_TARGETS_MAX; i++) {
        for (uint32_t k = 0; k < m->targets[i].n_when; k++) {
            if (!traits_hold(c, &m->targets[i].when[k])) {
                c->unfit |= (uint64_t)1 << i;
            }
        }
    }
}

/* ---- what it sticks to ---- */

/* A hash of 0 says that there is none. */
static uint64_t hash_of(enum sticky by, struct str text)
{
    uint64_t h = text.n ? balance_hash(by + 1, text) : 0;
    return text.n && !h ? 1 : h;
}

static uint64_t by_session(struct call *c)
{
    static const struct str fields[] = {{"x-session-id", 12},
                                        {"session-id", 10},
                                        {"session_id", 10},
                                        {"x-claude-code-session-id", 24},
                                        {"x-session-affinity", 18}};
    static const struct str members[] = {{"session_id", 10}, {"user_id", 7}};
    const struct json_want *user = &c->traits->has[HAS_USER];
    struct str value = {0};
    for (size_t i = 0; c->req->head && i < sizeof fields / sizeof *fields && !value.n; i++) {
        value = h1_find(c->req->head, fields[i]);
    }
    value = value.n ? value : c->conversation;
    for (size_t i = 0; i < sizeof members / sizeof *members && !value.n; i++) {
        struct str quoted;
        if (metadata(c, members[i], &quoted) == JSON_STRING) {
            value = plain(c, JSON_STRING, quoted);
        }
    }
    if (!value.n && user->type == JSON_STRING) {
        value = plain(c, JSON_STRING, user->value);
    }
    return hash_of(STICKY_SESSION, value);
}

static uint64_t by_cache_key(struct call *c)
{
    const struct json_want *key = &c->traits->has[HAS_CACHE_KEY];
    return key->type == JSON_STRING ? hash_of(STICKY_CACHE_KEY, plain(c, JSON_STRING, key->value))
                                    : 0;
}

/* The texts of a message, or of what stands for one: marks for caches, which move from turn to turn, are no part of
 * it, and it does not matter whether a text stands in a list of its own. */
static uint64_t add_texts(uint64_t h, struct str value, enum json_type type, unsigned depth)
{
    static const struct str inside[] = {{"content", 7}, {"parts", 5}, {"text", 4}};
    struct str key, one;
    if (type == JSON_STRING) {
        struct str text = str_from(str_first(value, value.n - 1), 1);
        return balance_hash(h, str_first(text, text.n < TEXT_MOST ? text.n : TEXT_MOST));
    }
    for (size_t at = 0; type == JSON_ARRAY && depth && json_each(value, &at, &key, &one, &type);) {
        h = add_texts(h, one, type, depth - 1);
        type = JSON_ARRAY;
    }
    for (size_t i = 0; type == JSON_OBJECT && depth && i < sizeof inside / sizeof *inside; i++) {
        enum json_type of = json_member(value, inside[i], &one);
        h = of == JSON_NONE ? h : add_texts(h, one, of, depth - 1);
    }
    return h;
}

static bool is_of_user(struct str message, enum json_type type)
{
    struct str role;
    return type == JSON_OBJECT && json_member(message, STR("role"), &role) == JSON_STRING &&
           str_eq(role, STR("\"user\""));
}

/* Up to the first message of a user: what stays when the conversation goes on. */
static uint64_t add_first(uint64_t h, const struct json_want *list)
{
    struct str key, one;
    enum json_type type;
    size_t at = 0;
    if (list->type != JSON_ARRAY) {
        return add_texts(h, list->value, list->type, NESTED_MOST);
    }
    for (unsigned n = 0; n < FIRST_MOST && json_each(list->value, &at, &key, &one, &type); n++) {
        h = add_texts(h, one, type, NESTED_MOST);
        if (is_of_user(one, type)) {
            break;
        }
    }
    return h;
}

static uint64_t by_prefix(const struct call *c)
{
    const struct json_want *has = c->traits->has;
    uint64_t h = 0;
    for (unsigned i = HAS_SYSTEM; i < HAS_MESSAGES; i++) {
        h = add_texts(h, has[i].value, has[i].type, NESTED_MOST);
    }
    for (unsigned i = HAS_MESSAGES; i < HAS_COUNT; i++) {
        h = add_first(h, &has[i]);
    }
    return h;
}

static uint64_t sticks_to(struct call *c, enum sticky by)
{
    switch (by) {
    case STICKY_KEY:
        return hash_of(by, c->key->id);
    case STICKY_SESSION:
        return by_session(c);
    case STICKY_CACHE_KEY:
        return by_cache_key(c);
    default:
        return by_prefix(c);
    }
}

enum next traits_read(struct call *c)
{
    const struct snap_model *m = c->model;
    struct traits *t = arena_alloc(&c->req->arena, sizeof *t);
    c->traits = t;
    enum next n = scan(c, t);
    if (n != NEXT) {
        return n;
    }
    t->tokens = c->form ? 0 : bound_input(c->req->body);
    judge_targets(c);
    for (unsigned i = 0; i < m->n_sticky && !c->sticky; i++) {
        c->sticky = sticks_to(c, m->sticky[i]);
        c->sticks_by = m->sticky[i];
    }
    return NEXT;
}

int64_t traits_tokens(const struct call *c)
{
    return c->traits->tokens;
}
