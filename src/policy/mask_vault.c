/* The values of a call that have tokens, and the tokens back to their values. */
#include <errno.h>

#include <sodium.h>

#include "policy/mask_look.h"

enum { BUCKETS_MIN = 64, NUMBER_DIGITS_MAX = 9 };

struct value {
    struct value *next_by_text, *next_by_token;
    const struct value *before; /* that was made */
    uint64_t hash;
    struct str plain, token;
    uint32_t label, number;
};

struct mask_vault {
    struct value **by_text, **by_token;
    size_t buckets, n;
    uint32_t *last; /* number given, for each label */
    const struct value *newest;
};

static uint64_t hash_of(const struct mask_policy *p, unsigned label, struct str s)
{
    uint64_t h;
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)s.p, s.n, p->hash_key);
    return h + label * 0x9E3779B97F4A7C15ULL;
}

static size_t token_bucket(const struct mask_vault *v, unsigned label, uint64_t number)
{
    return (number + label * 0x9E3779B1U) & (v->buckets - 1);
}

static void link_value(struct mask_vault *v, struct value *one)
{
    struct value **at = &v->by_text[one->hash & (v->buckets - 1)];
    one->next_by_text = *at;
    *at = one;
    at = &v->by_token[token_bucket(v, one->label, one->number)];
    one->next_by_token = *at;
    *at = one;
}

/* Twice as many buckets; the old ones stay in the arena, half as many. */
static void grow(struct mask_call *c, struct mask_vault *v)
{
    struct value **old = v->by_text;
    size_t n = v->buckets;
    v->buckets = n ? 2 * n : BUCKETS_MIN;
    v->by_text = arena_zalloc(c->arena, v->buckets * sizeof(struct value *));
    v->by_token = arena_zalloc(c->arena, v->buckets * sizeof(struct value *));
    for (size_t i = 0; i < n; i++) {
        for (struct value *one = old[i], *next; one; one = next) {
            next = one->next_by_text;
            link_value(v, one);
        }
    }
}

static int token_of(struct mask_call *c, unsigned label, struct str plain, struct str *ret)
{
    const struct mask_policy *p = c->policy;
    if (!c->_vault) {
        c->_vault = arena_zalloc(c->arena, sizeof *c->_vault);
        c->_vault->last = arena_zalloc(c->arena, p->n_labels * sizeof(uint32_t));
        grow(c, c->_vault);
    }
    struct mask_vault *v = c->_vault;
    uint64_t hash = hash_of(p, label, plain);
    for (struct value *i = v->by_text[hash & (v->buckets - 1)]; i; i = i->next_by_text) {
        if (i->hash == hash && i->label == label && str_eq(i->plain, plain)) {
            *ret = i->token;
            return 0;
        }
    }
    if (v->n == MASK_VALUES_MAX) {
        return -E2BIG;
    }
    if (++v->n > 2 * v->buckets) {
        grow(c, v);
    }
    struct value *one = arena_alloc(c->arena, sizeof *one);
    *one = (struct value){
        .hash = hash,
        .plain = arena_dup(c->arena, plain),
        .label = label,
        .number = c->first + ++v->last[label],
    };
    one->before = v->newest;
    v->newest = one;
    one->token = arena_printf(c->arena, "[%.*s_%u]", STR_ARG(p->labels[label]), one->number);
    link_value(v, one);
    *ret = one->token;
    return 0;
}

int mask_place(struct mask_call *c, const struct match *m, struct str plain, struct str *ret)
{
    const struct mask_policy *p = c->policy;
    enum mask_action action = m->kind < MASK_KINDS ? p->actions[m->label]
                              : c->one_way         ? MASK_OFF
                                                   : MASK_TOKENISE;
    *ret = (struct str){0};
    if (action == MASK_TOKENISE && c->one_way) {
        action = MASK_REPLACE;
    }
    if (m->kind < MASK_KINDS) {
        c->counts[m->kind]++;
        c->acted[m->kind][action]++;
        c->blocked |= action == MASK_BLOCK ? 1U << m->kind : 0;
    }
    switch (action) {
    case MASK_TOKENISE:
        return token_of(c, m->label, plain, ret);
    case MASK_REPLACE:
    case MASK_BLOCK:
        *ret = p->places[m->label];
        return 0;
    case MASK_REPORT:
    case MASK_OFF:
    case MASK_ACTIONS:
        break;
    }
    return 0;
}

bool mask_value(const struct mask_call *c, unsigned label, uint64_t number, struct str *ret)
{
    const struct mask_vault *v = c->_vault;
    if (!v) {
        return false;
    }
    for (const struct value *i = v->by_token[token_bucket(v, label, number)]; i;
         i = i->next_by_token) {
        if (i->label == label && i->number == number) {
            *ret = i->plain;
            return true;
        }
    }
    return false;
}

bool mask_each(const struct mask_call *c, const void **at, struct str *ret_plain,
               struct str *ret_token)
{
    const struct value *last = *at;
    const struct value *one = last ? last->before : c->_vault ? c->_vault->newest : NULL;
    if (one) {
        *ret_plain = one->plain;
        *ret_token = one->token;
        *at = one;
    }
    return one != NULL;
}

/* Whether `name` can become, or is, a label and a number. 1 and which: it is. -1: it can. */
static int judge(const struct mask_policy *p, struct str name, bool whole, unsigned *ret_label,
                 uint64_t *ret_number)
{
    int r = 0;
    for (unsigned i = 0; i < p->n_labels; i++) {
        struct str label = p->labels[i], rest = str_from(name, label.n);
        if (rest.n == 0) {
            r = !whole && str_starts(label, name) ? -1 : r;
            continue;
        }
        if (!str_starts(name, label) || *rest.p != '_' || rest.n > NUMBER_DIGITS_MAX + 1) {
            continue;
        }
        rest = str_from(rest, 1);
        if (rest.n == 0) {
            r = whole ? r : -1;
        } else if (*rest.p != '0' && str_to_u64(rest, ret_number) == 0) {
            *ret_label = i;
            return whole ? 1 : -1;
        }
    }
    return r;
}

int mask_token_read(const struct mask_policy *p, const char *s, size_t n, size_t *ret_n,
                    unsigned *ret_label, uint64_t *ret_number)
{
    char name[MASK_LABEL_MAX + NUMBER_DIGITS_MAX + 2];
    size_t len = 0, slashes = 0, i = 1;
    for (; i < n && i < MASK_TOKEN_BYTES_MAX && len < sizeof name; i++) {
        char c = s[i];
        if (c == '\\' && slashes < 4) {
            slashes++;
        } else if (c == ']' && slashes == 0) {
            *ret_n = i + 1;
            return judge(p, str_make(name, len), true, ret_label, ret_number);
        } else if (slashes ? c == '_' : is_alnum((unsigned char)c) || c == '_') {
            name[len++] = (char)(is_letter((unsigned char)c) ? c & ~0x20 : c);
            slashes = 0;
        } else {
            return 0;
        }
    }
    return i < n || i == MASK_TOKEN_BYTES_MAX || len == sizeof name
               ? 0
               : (len == 0 ? -1 : judge(p, str_make(name, len), false, ret_label, ret_number));
}
