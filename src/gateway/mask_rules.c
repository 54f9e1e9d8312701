#include "gateway/mask_rules.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"

/* What several policies look for, put together. */
struct union_of {
    struct arena arena;
    struct mask_options o;
    struct mask_pattern patterns[MASK_PATTERNS_MAX + 1];
    enum mask_action pattern_actions[MASK_PATTERNS_MAX + 1];
    struct mask_words lists[MASK_LISTS_MAX + 1];
    enum mask_action list_actions[MASK_LISTS_MAX + 1];
    struct str names[MASK_NAMES_MAX + 1];
};

/* Tokens come back, so what is masked is better kept. */
static unsigned rank(enum mask_action a)
{
    static const unsigned ranks[MASK_ACTIONS] = {
        [MASK_REPORT] = 1, [MASK_TOKENISE] = 2, [MASK_REPLACE] = 3, [MASK_BLOCK] = 4};
    return ranks[a];
}

static void raise_to(enum mask_action *a, enum mask_action to)
{
    *a = rank(to) > rank(*a) ? to : *a;
}

static enum mask_action action_of(const struct config_masking *m, struct str own)
{
    enum mask_action a = (enum mask_action)(MASK_REPORT + m->action);
    if (own.n) {
        must(mask_action_of(own, &a) == 0); /* the configuration's rule has let it pass */
    }
    return a;
}

static bool same_word(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        char x = a.p[i] == '-' || a.p[i] == '_' ? ' ' : a.p[i];
        char y = b.p[i] == '-' || b.p[i] == '_' ? ' ' : b.p[i];
        if (!str_ieq(str_make(&x, 1), str_make(&y, 1))) {
            return false;
        }
    }
    return a.n == b.n;
}

static bool is_taken(const struct union_of *u, struct str name)
{
    for (size_t i = 0; i < u->o.n_patterns; i++) {
        if (same_word(u->patterns[i].name, name)) {
            return true;
        }
    }
    for (size_t i = 0; i < u->o.n_lists; i++) {
        if (same_word(u->lists[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Two policies may give one name to different things. */
static struct str free_name(struct union_of *u, struct str name, bool of_another)
{
    struct str free = name;
    for (char c = 'B'; of_another && c <= 'Z' && is_taken(u, free); c++) {
        free = arena_printf(&u->arena, "%.*s %c", STR_ARG(name), c);
    }
    return free;
}

static void add_pattern(struct union_of *u, const struct config_masking *m,
                        const struct config_mask_pattern *p, bool others)
{
    enum mask_action action = action_of(m, p->action);
    for (size_t i = 0; others && i < u->o.n_patterns; i++) {
        if (str_eq(u->patterns[i].regex, p->regex) && u->patterns[i].any_case == p->any_case) {
            raise_to(&u->pattern_actions[i], action);
            return;
        }
    }
    if (u->o.n_patterns <= MASK_PATTERNS_MAX) {
        size_t i = u->o.n_patterns;
        u->patterns[i] =
            (struct mask_pattern){free_name(u, p->name, others), p->regex, p->any_case};
        u->pattern_actions[i] = action;
        u->o.n_patterns++;
    }
}

static bool same_list(const struct mask_words *a, const struct config_mask_words *b)
{
    bool same = a->n == b->n_words && a->exact_case == b->exact_case;
    for (size_t i = 0; same && i < a->n; i++) {
        same = str_eq(a->words[i], b->words[i]);
    }
    return same;
}

static void add_list(struct union_of *u, const struct config_masking *m,
                     const struct config_mask_words *w, bool others)
{
    enum mask_action action = action_of(m, w->action);
    for (size_t i = 0; others && i < u->o.n_lists; i++) {
        if (same_list(&u->lists[i], w)) {
            raise_to(&u->list_actions[i], action);
            return;
        }
    }
    if (u->o.n_lists <= MASK_LISTS_MAX) {
        size_t i = u->o.n_lists;
        u->lists[i] =
            (struct mask_words){free_name(u, w->name, others), w->words, w->n_words, w->exact_case};
        u->list_actions[i] = action;
        u->o.n_lists++;
    }
}

static void add_name(struct union_of *u, struct str name)
{
    for (size_t i = 0; i < u->o.n_names; i++) {
        if (str_eq(u->names[i], name)) {
            return;
        }
    }
    if (u->o.n_names <= MASK_NAMES_MAX) {
        u->names[u->o.n_names++] = name;
    }
}

/* `others`: it is not the first one. */
static void add_policy(struct union_of *u, const struct config_masking *m, bool others)
{
    enum mask_action *of = u->o.action;
    enum mask_kind kind;
    for (size_t i = 0; i < m->n_detectors; i++) {
        must(mask_kind_of(m->detectors[i], &kind) == 0);
        raise_to(&of[kind], action_of(m, m->actions.of[kind]));
    }
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        if (m->actions.of[i].n) {
            raise_to(&of[i], action_of(m, m->actions.of[i]));
        }
    }
    for (size_t i = 0; i < m->n_patterns; i++) {
        add_pattern(u, m, &m->patterns[i], others);
    }
    for (size_t i = 0; i < m->n_words; i++) {
        add_list(u, m, &m->words[i], others);
    }
    for (size_t i = 0; i < m->n_fields; i++) {
        add_name(u, m->fields[i]);
        raise_to(&of[MASK_FIELD], action_of(m, m->actions.of[MASK_FIELD]));
    }
    of[MASK_PATTERN] = u->o.n_patterns ? MASK_REPORT : MASK_OFF;
    of[MASK_WORD] = u->o.n_lists ? MASK_REPORT : MASK_OFF;
}

/* The same options give the same text, and others another: each part is told with its length. */
static void add_text(struct buf *b, struct str s)
{
    buf_add_u64(b, s.n);
    buf_addc(b, ':');
    buf_add(b, s);
}

static void spell(const struct union_of *u, struct buf *b)
{
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        buf_addc(b, (char)('0' + u->o.action[i]));
    }
    for (size_t i = 0; i < u->o.n_patterns; i++) {
        buf_printf(b, "p%d%d", (int)u->pattern_actions[i], u->patterns[i].any_case);
        add_text(b, u->patterns[i].name);
        add_text(b, u->patterns[i].regex);
    }
    for (size_t i = 0; i < u->o.n_lists; i++) {
        buf_printf(b, "w%d%d", (int)u->list_actions[i], u->lists[i].exact_case);
        add_text(b, u->lists[i].name);
        for (size_t k = 0; k < u->lists[i].n; k++) {
            add_text(b, u->lists[i].words[k]);
        }
    }
    for (size_t i = 0; i < u->o.n_names; i++) {
        buf_addc(b, 'n');
        add_text(b, u->names[i]);
    }
}

/* ---- what is compiled ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* compiling, too, is for one at a time */
static struct mask_rules *all;

static struct mask_rules *find(struct str text)
{
    struct mask_rules *r = all;
    while (r && !str_eq(str_make(r->text, r->n), text)) {
        r = r->next;
    }
    return r;
}

static int compile(const struct union_of *u, struct str text, struct mask_rules **ret,
                   struct buf *errors)
{
    struct mask_policy *policy;
    int r = mask_compile(&u->o, &policy, errors);
    if (r < 0) {
        return r;
    }
    struct mask_rules *new = mem_zalloc(sizeof *new + text.n);
    *new = (struct mask_rules){.next = all, .policy = policy, .n = text.n};
    memcpy(new->text, text.p, text.n);
    all = new;
    *ret = new;
    return 0;
}

static int take(const struct union_of *u, struct mask_rules **ret, struct buf *errors)
{
    struct buf text = {0};
    int r = 0;
    spell(u, &text);
    pthread_mutex_lock(&lock);
    struct mask_rules *found = find(buf_str(&text));
    if (!found) {
        r = compile(u, buf_str(&text), &found, errors);
    }
    if (r == 0) {
        found->refs++;
        *ret = found;
    }
    pthread_mutex_unlock(&lock);
    buf_free(&text);
    return r;
}

void mask_rules_unref(struct mask_rules *r)
{
    if (!r) {
        return;
    }
    pthread_mutex_lock(&lock);
    bool last = --r->refs == 0;
    if (last) {
        struct mask_rules **at = &all;
        while (*at != r) {
            at = &(*at)->next;
        }
        *at = r->next;
    }
    pthread_mutex_unlock(&lock);
    if (last) {
        mask_policy_free(r->policy);
        free(r);
    }
}

int mask_rules_of(const struct config_policy *const *policies, size_t n, bool answers_only,
                  struct mask_rules **ret, struct buf *errors)
{
    struct union_of *u = mem_zalloc(sizeof *u);
    bool any = false;
    u->o.patterns = u->patterns;
    u->o.lists = u->lists;
    u->o.names = u->names;
    u->o.pattern_actions = u->pattern_actions;
    u->o.list_actions = u->list_actions;
    for (size_t i = 0; i < n; i++) {
        const struct config_masking *m = &policies[i]->masking;
        if (m->given && (m->answers || !answers_only)) {
            add_policy(u, m, any);
            any = true;
        }
    }
    *ret = NULL;
    int r = any ? take(u, ret, errors) : 0;
    arena_reset(&u->arena);
    free(u);
    return r;
}

int mask_rules_check(const struct config_policy *policies, size_t n, struct buf *errors)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const struct config_policy *p = &policies[i];
        struct buf lines = {0};
        struct mask_rules *rules;
        int r = mask_rules_of(&p, 1, false, &rules, &lines);
        struct str rest = buf_str(&lines), line;
        while (rest.n) {
            str_cut(&rest, '\n', &line);
            buf_printf(errors, "policies.%.*s.masking: %.*s\n", STR_ARG(p->id), STR_ARG(line));
        }
        buf_free(&lines);
        if (r < 0) {
            bad = -EINVAL;
        } else {
            mask_rules_unref(rules);
        }
    }
    return bad;
}
