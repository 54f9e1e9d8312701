/* Policies and the memory of workers. */
#include "policy/mask.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "policy/mask_near.h"

enum { JIT_STACK_MIN = 32 << 10, JIT_STACK_MAX = 512 << 10 };

#define KIND_WORD(name, word, label)  [MASK_##name] = word,
#define KIND_LABEL(name, word, label) [MASK_##name] = label,
static const char *const kind_words[] = {MASK_KIND_LIST(KIND_WORD)};
static const char *const kind_labels[] = {MASK_KIND_LIST(KIND_LABEL)};
static const char *const action_words[] = {"off", "report", "mask", "tokenise", "block"};

const char *mask_kind_word(enum mask_kind kind)
{
    return kind_words[kind];
}

const char *mask_action_word(enum mask_action action)
{
    return action_words[action];
}

int mask_kind_of(struct str word, enum mask_kind *ret)
{
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        if (str_eq(word, str_of(kind_words[i]))) {
            *ret = (enum mask_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

int mask_action_of(struct str word, enum mask_action *ret)
{
    for (unsigned i = 0; i < sizeof action_words / sizeof *action_words; i++) {
        if (str_eq(word, str_of(action_words[i]))) {
            *ret = (enum mask_action)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool label_taken(const struct mask_policy *p, struct str label)
{
    for (unsigned i = 0; i < p->n_labels; i++) {
        if (str_eq(p->labels[i], label)) {
            return true;
        }
    }
    return false;
}

static void add_label(struct mask_policy *p, struct str label, enum mask_action action)
{
    p->labels[p->n_labels] = arena_dup(&p->arena, label);
    p->actions[p->n_labels] = action;
    p->tokens |= action == MASK_TOKENISE;
    p->places[p->n_labels++] = arena_printf(&p->arena, "[%.*s]", STR_ARG(label));
}

/* "employee id" becomes EMPLOYEE_ID. */
static int add_name(struct mask_policy *p, const char *what, struct str name,
                    enum mask_action action, struct buf *errors)
{
    char label[MASK_LABEL_MAX];
    bool fits = name.n > 0 && name.n <= sizeof label && is_letter((unsigned char)name.p[0]);
    for (size_t i = 0; fits && i < name.n; i++) {
        char c = name.p[i];
        label[i] = (char)(is_letter((unsigned char)c) ? c & ~0x20 : c);
        if (c == ' ' || c == '-') {
            label[i] = '_';
        } else if (!is_alnum((unsigned char)c) && c != '_') {
            fits = false;
        }
    }
    if (!fits) {
        buf_printf(errors,
                   "%s \"%.*s\": a name is a letter, and up to %d letters, digits, spaces, "
                   "hyphens and underscores\n",
                   what, STR_ARG(name), MASK_LABEL_MAX - 1);
        return -EINVAL;
    }
    if (label_taken(p, str_make(label, name.n))) {
        buf_printf(errors, "%s \"%.*s\": the name is taken\n", what, STR_ARG(name));
        return -EINVAL;
    }
    add_label(p, str_make(label, name.n), action);
    return 0;
}

static int make_labels(struct mask_policy *p, const struct mask_options *o, struct buf *errors)
{
    size_t n = MASK_KINDS + o->n_patterns + o->n_lists;
    int r = 0, one;
    p->labels = arena_alloc(&p->arena, n * sizeof *p->labels);
    p->places = arena_alloc(&p->arena, n * sizeof *p->places);
    p->actions = arena_alloc(&p->arena, n * sizeof *p->actions);
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        add_label(p, str_of(kind_labels[i]), p->action[i]);
    }
    for (size_t i = 0; i < o->n_patterns; i++) {
        one =
            add_name(p, "pattern", o->patterns[i].name,
                     o->pattern_actions ? o->pattern_actions[i] : p->action[MASK_PATTERN], errors);
        r = one < 0 ? one : r;
    }
    for (size_t i = 0; i < o->n_lists; i++) {
        one = add_name(p, "word list", o->lists[i].name,
                       o->list_actions ? o->list_actions[i] : p->action[MASK_WORD], errors);
        r = one < 0 ? one : r;
    }
    return r;
}

int mask_compile(const struct mask_options *o, struct mask_policy **ret, struct buf *errors)
{
    struct mask_policy *p = mem_zalloc(sizeof *p);
    memcpy(p->action, o->action, sizeof p->action);
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        p->any |= p->action[i] != MASK_OFF;
        p->numbers |= p->action[i] != MASK_OFF && i >= MASK_PHONE && i <= MASK_IP;
    }
    randombytes_buf(p->hash_key, sizeof p->hash_key);
    near_compile();
    secret_compile(p);
    int r = o->n_patterns > MASK_PATTERNS_MAX || o->n_lists > MASK_LISTS_MAX ? -EINVAL : 0;
    if (r < 0) {
        buf_printf(errors, "more than %d patterns, or %d lists of words\n", MASK_PATTERNS_MAX,
                   MASK_LISTS_MAX);
        goto out;
    }
    r = make_labels(p, o, errors);
    int one = mask_names_compile(p, o, errors);
    r = one < 0 ? one : r;
    if (p->action[MASK_SECRET] || p->action[MASK_PATTERN] || p->action[MASK_WORD]) {
        one = mask_lib_load(errors);
        one = one < 0 ? one : mask_user_compile(p, o, errors);
        r = one < 0 ? one : r;
    }
out:
    if (r < 0) {
        mask_policy_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct mask_policy *mask_policy_free(struct mask_policy *p)
{
    if (!p) {
        return NULL;
    }
    if (p->whole || p->stream) {
        if (p->stream != p->whole) {
            hs.free_database(p->stream);
        }
        hs.free_database(p->whole);
    }
    if (p->pattern) {
        pcre.code_free(p->pattern);
    }
    arena_reset(&p->arena);
    free(p);
    return NULL;
}

bool mask_policy_is_on(const struct mask_policy *p)
{
    return p->any;
}

bool mask_policy_acts(const struct mask_policy *p)
{
    for (unsigned i = 0; i < p->n_labels; i++) {
        if (p->actions[i] > MASK_REPORT) {
            return true;
        }
    }
    return false;
}

static int fit_patterns(struct mask_scratch *s, const struct mask_policy *p)
{
    uint32_t groups = 0;
    pcre.pattern_info(p->pattern, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (!s->jit_stack) {
        s->jit_stack = pcre.jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
        s->match_context = pcre.match_context_create(NULL);
        if (!s->jit_stack || !s->match_context) {
            return -ENOMEM;
        }
        pcre.set_match_limit(s->match_context, MASK_MATCH_LIMIT);
        pcre.jit_stack_assign(s->match_context, NULL, s->jit_stack);
    }
    if (groups >= s->match_groups) {
        if (s->match_data) {
            pcre.match_data_free(s->match_data);
        }
        s->match_data = pcre.match_data_create(groups + 1, NULL);
        s->match_groups = s->match_data ? groups + 1 : 0;
    }
    return s->match_data ? 0 : -ENOMEM;
}

int mask_scratch_fit(struct mask_scratch **s, const struct mask_policy *p)
{
    if (!*s) {
        *s = mem_zalloc(sizeof **s);
        must(SCRATCH_ROOM(*s, hits, 1) && SCRATCH_ROOM(*s, matches, 1) &&
             SCRATCH_ROOM(*s, raw, 1) && SCRATCH_ROOM(*s, rows, 1) &&
             SCRATCH_ROOM(*s, segments, 1) && SCRATCH_ROOM(*s, plain, 1));
    }
    for (unsigned i = 0; i < 2; i++) {
        hs_database_t *db = i ? p->stream : p->whole;
        if (db && hs.alloc_scratch(db, &(*s)->hs) != HS_SUCCESS) {
            return -ENOMEM;
        }
    }
    return p->pattern ? fit_patterns(*s, p) : 0;
}

struct mask_scratch *mask_scratch_free(struct mask_scratch *s)
{
    if (!s) {
        return NULL;
    }
    if (s->hs) {
        hs.free_scratch(s->hs);
    }
    if (s->match_data) {
        pcre.match_data_free(s->match_data);
    }
    if (s->match_context) {
        pcre.match_context_free(s->match_context);
    }
    if (s->jit_stack) {
        pcre.jit_stack_free(s->jit_stack);
    }
    free(s->hits);
    free(s->matches);
    free(s->plain);
    free(s->rows);
    free(s->raw);
    free(s->segments);
    free(s);
    return NULL;
}
