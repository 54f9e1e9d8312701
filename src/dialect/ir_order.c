#include "dialect/ir_order.h"

/* Where in its JSON a call's arguments are. */
struct balance {
    uint32_t depth;
    bool begun, in_string, escaped;
};

struct ir_order_call {
    struct ir_order_call *next;
    uint32_t index;
    bool started, done; /* its block was opened; its arguments are whole */
    struct str id, name;
    struct buf held; /* arguments that wait */
    struct balance balance;
    struct str signature;
    enum family issuer;
};

enum { CALLS_MAX = 128 };

static void count_one(struct balance *b, char c)
{
    if (b->in_string) {
        if (b->escaped) {
            b->escaped = false;
        } else if (c == '\\') {
            b->escaped = true;
        } else if (c == '"') {
            b->in_string = false;
        }
        return;
    }
    if (c == '"') {
        b->in_string = true;
    } else if (c == '{' || c == '[') {
        b->depth++;
        b->begun = true;
    } else if ((c == '}' || c == ']') && b->depth) {
        b->depth--;
    }
}

/* Follows a piece of escaped text: each escape in it is one character of the arguments' JSON. */
static void count(struct balance *b, struct str escaped)
{
    for (size_t i = 0; i < escaped.n; i++) {
        char c = escaped.p[i];
        if (c == '\\' && i + 1 < escaped.n) {
            c = escaped.p[++i];
            if (c == 'u' && i + 4 < escaped.n) {
                struct str hex = str_make(escaped.p + i + 1, 4);
                c = str_eq(hex, STR("0022"))                                 ? '"'
                    : str_ieq(hex, STR("005c"))                              ? '\\'
                    : str_ieq(hex, STR("007b")) || str_ieq(hex, STR("005b")) ? '{'
                    : str_ieq(hex, STR("007d")) || str_ieq(hex, STR("005d")) ? '}'
                                                                             : ' ';
                i += 4;
            } else if (c != '"' && c != '\\') {
                c = ' '; /* \n and the like, and a solidus */
            }
        }
        count_one(b, c);
    }
}

static struct ir_order_call *find(struct ir_order *o, struct ir_in *in, uint32_t index)
{
    uint32_t n = 0;
    for (struct ir_order_call *c = o->calls; c; c = c->next, n++) {
        if (c->index == index) {
            return c;
        }
    }
    if (n == CALLS_MAX) {
        return NULL;
    }
    struct ir_order_call *c = arena_zalloc(in->arena, sizeof *c);
    c->index = index;
    c->held.arena = in->arena;
    if (o->last) {
        o->last->next = c;
    } else {
        o->calls = c;
    }
    o->last = c;
    return c;
}

static void begin(struct ir_order *o, struct ir_in *in, struct ir_order_call *c)
{
    ir_open_call(in, c->id, c->name);
    c->started = true;
    o->now = c;
    ir_delta(in, buf_str(&c->held));
    c->held.n = 0;
    if (c->signature.n) {
        ir_signature(in, c->signature, c->issuer, false);
    }
}

/* Opens what may be opened: the next call in line, when the one before it is whole. */
static void advance(struct ir_order *o, struct ir_in *in)
{
    for (struct ir_order_call *c = o->calls; c; c = c->next) {
        if (c->done) {
            continue;
        }
        if (!c->started) {
            if (c->held.n == 0) {
                return; /* its name may not be whole yet */
            }
            begin(o, in, c);
        }
        c->done = c->balance.begun && c->balance.depth == 0;
        if (!c->done) {
            return;
        }
    }
}

static void add_name(struct ir_in *in, struct ir_order_call *c, struct str name)
{
    if (c->started || name.n == 0 || str_eq(c->name, name)) {
        return; /* known, or repeated */
    }
    struct buf b = {.arena = in->arena};
    buf_add(&b, c->name);
    buf_add(&b, name);
    c->name = buf_str(&b);
}

void ir_order_add(struct ir_order *o, struct ir_in *in, uint32_t index, struct str id,
                  struct str name, struct str args)
{
    struct ir_order_call *c = find(o, in, index);
    if (!c) {
        ir_fail(in, 502, STR("too_many_tool_calls"),
                STR("The provider's answer has more tool calls than are carried: 128."));
        return;
    }
    if (!c->id.n && id.n) {
        c->id = arena_dup(in->arena, id);
    }
    add_name(in, c, name);
    if (args.n == 0) {
        return;
    }
    if (c == o->now && in->open && in->open_kind == IR_TOOL_CALL) {
        ir_delta(in, args);
    } else if (!c->started) {
        buf_add(&c->held, args);
    } else if (!c->done && !in->finished) {
        ir_fail(in, 502, STR("upstream_malformed"),
                STR("The provider went on with a tool call that it had left."));
        return;
    }
    count(&c->balance, args);
    advance(o, in);
}

bool ir_order_has_args(const struct ir_order *o, uint32_t index)
{
    const struct ir_order_call *c = o->calls;
    while (c && c->index != index) {
        c = c->next;
    }
    return c && (c->started || c->held.n);
}

void ir_order_sign(struct ir_order *o, struct ir_in *in, uint32_t index, struct str signature,
                   enum family issuer)
{
    struct ir_order_call *c = find(o, in, index);
    if (!c || !signature.n) {
        return;
    }
    if (c == o->now && in->open) {
        ir_signature(in, signature, issuer, false);
    } else {
        c->signature = arena_dup(in->arena, signature);
        c->issuer = issuer;
    }
}

void ir_order_end(struct ir_order *o, struct ir_in *in)
{
    for (struct ir_order_call *c = o->calls; c; c = c->next) {
        if (!c->started) {
            begin(o, in, c);
        }
        c->done = true;
    }
    o->now = NULL;
}
