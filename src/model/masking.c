/* The masking of a policy. What expressions and words may be is policy/mask.h's to say, when they are compiled. */
#include "model/masking.h"

#include "model/resource_kind.h"

static const char *const actions[] = {"report", "mask", "tokenise", "block", NULL};
static const char *const on_failure[] = {"block", "pass", NULL};

#define WORD(name, word, label) word,
static const char *const detectors[] = {DETECTOR_LIST(WORD) NULL};
#undef WORD

static bool is_one_of(const char *const *words, struct str s)
{
    for (size_t i = 0; words[i]; i++) {
        if (str_eq(s, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool check_detector(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_one_of(detectors, s);
}

static const struct rule rule_detector = {
    .allowed = "email, phone, card, iban, sin, ssn, postal_code, ip, secret and field",
    .pattern = "^(email|phone|card|iban|sin|ssn|postal_code|ip|secret|field)$",
    .example = "email",
    .check = check_detector,
};

static bool check_action(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_one_of(actions, s);
}

static const struct rule rule_action = {
    .allowed = "report, mask, tokenise or block",
    .pattern = "^(report|mask|tokenise|block)$",
    .example = "block",
    .check = check_action,
};

static bool check_label(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == ' ' || c == '_' || c == '-';
        if (!letter && (i == 0 || !other)) {
            return false;
        }
    }
    return s.n >= 1 && s.n <= MASKING_NAME_MAX;
}

static const struct rule rule_label = {
    .allowed = "a letter and up to 27 letters, digits, spaces, hyphens and underscores",
    .pattern = "^[A-Za-z][A-Za-z0-9 _-]{0,27}$",
    .example = "employee id",
    .check = check_label,
};

static bool check_any(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return s.n >= 1 && s.n <= 1024;
}

static const struct rule rule_regex = {
    .allowed = "1 to 1024 bytes, an expression in PCRE2's syntax",
    .example = "EMP-[0-9]{6}",
    .check = check_any,
};

static const struct rule rule_word = {
    .allowed = "1 to 128 bytes",
    .example = "Project Falcon",
    .check = check_any,
};

#define OWN_ACTION(owner)                                                                          \
    {                                                                                              \
        .name = "action", .help = "What becomes of it.", .fallback_help = "that of the policy",    \
        .type = FIELD_TEXT, .rule = &rule_action, .at = AT(owner, action)                          \
    }

static const struct field pattern_fields[] = {
    {.name = "name",
     .help = "Stands in the place of what is found: \"employee id\" is [EMPLOYEE_ID].",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_label,
     .at = AT(config_mask_pattern, name)},
    {.name = "regex",
     .help = "The expression.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_regex,
     .at = AT(config_mask_pattern, regex)},
    {.name = "any_case",
     .help = "Whether the case of letters does not matter.",
     .type = FIELD_BOOL,
     .at = AT(config_mask_pattern, any_case)},
    OWN_ACTION(config_mask_pattern),
};

static const struct kind kind_pattern = {
    .name = "pattern",
    .help = "A regular expression that is looked for.",
    .size = sizeof(struct config_mask_pattern),
    KIND_FIELDS(pattern_fields),
};

static const struct field words_fields[] = {
    {.name = "name",
     .help = "Stands in the place of what is found.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_label,
     .at = AT(config_mask_words, name)},
    {.name = "words",
     .help = "Words and phrases, found where no letter or digit touches them.",
     .type = FIELD_TEXTS,
     .required = true,
     .min = 1,
     .max = 10000,
     .rule = &rule_word,
     .at = AT(config_mask_words, words),
     .at_n = AT(config_mask_words, n_words)},
    {.name = "exact_case",
     .help = "Whether the case of letters matters.",
     .type = FIELD_BOOL,
     .at = AT(config_mask_words, exact_case)},
    OWN_ACTION(config_mask_words),
};

static const struct kind kind_words = {
    .name = "words",
    .help = "Words that are looked for.",
    .size = sizeof(struct config_mask_words),
    KIND_FIELDS(words_fields),
};

#define ACTION_OF(upper, word, label)                                                              \
    {.name = word,                                                                                 \
     .help = "What becomes of what this detector finds.",                                          \
     .type = FIELD_TEXT,                                                                           \
     .rule = &rule_action,                                                                         \
     .at = AT(config_mask_actions, of[MASK_##upper])},
static const struct field action_fields[] = {DETECTOR_LIST(ACTION_OF)};
#undef ACTION_OF

static const struct kind kind_actions = {
    .name = "actions",
    .help = "Detectors and what each does: report, mask, tokenise or block.",
    .size = sizeof(struct config_mask_actions),
    KIND_FIELDS(action_fields),
};

static const struct field masking_fields[] = {
    {.name = "detectors",
     .help = "What is looked for: email, phone, card, iban, sin, ssn, postal_code, ip, secret and "
             "field.",
     .type = FIELD_TEXTS,
     .one_or_many = true,
     .rule = &rule_detector,
     .max = 10,
     .at = AT(config_masking, detectors),
     .at_n = AT(config_masking, n_detectors)},
    {.name = "action",
     .help = "What becomes of what is found: it is only counted (report), replaced (mask), "
             "replaced and put back into the answer (tokenise), or the call is refused (block).",
     .type = FIELD_CHOICE,
     .choices = actions,
     .fallback = "mask",
     .at = AT(config_masking, action)},
    {.name = "actions",
     .help = "Actions of single detectors, in place of `action`; those are looked for as well.",
     .type = FIELD_OBJECT,
     .kind = &kind_actions,
     .at = AT(config_masking, actions)},
    {.name = "on_failure",
     .help = "What becomes of a call that cannot be looked into: it is refused (block) or goes "
             "as it is (pass).",
     .type = FIELD_CHOICE,
     .choices = on_failure,
     .fallback = "block",
     .at = AT(config_masking, on_failure)},
    {.name = "answers",
     .help = "Whether what models write is looked through, too; there tokenise is mask.",
     .type = FIELD_BOOL,
     .at = AT(config_masking, answers)},
    {.name = "patterns",
     .help = "Regular expressions of your own.",
     .type = FIELD_OBJECTS,
     .kind = &kind_pattern,
     .merge_key = "name",
     .max = 32,
     .at = AT(config_masking, patterns),
     .at_n = AT(config_masking, n_patterns)},
    {.name = "words",
     .help = "Lists of words of your own.",
     .type = FIELD_OBJECTS,
     .kind = &kind_words,
     .merge_key = "name",
     .max = 16,
     .at = AT(config_masking, words),
     .at_n = AT(config_masking, n_words)},
    {.name = "fields",
     .help = "Names of JSON members whose whole value is taken, besides those of the detector "
             "field, which they turn on.",
     .type = FIELD_TEXTS,
     .rule = &rule_word,
     .max = 64,
     .at = AT(config_masking, fields),
     .at_n = AT(config_masking, n_fields)},
};

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    struct config_masking *m = to;
    bool any = m->n_detectors || m->n_patterns || m->n_words || m->n_fields;
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        any = any || m->actions.of[i].n;
    }
    if (!any) {
        mistake_add(r->mistakes, j, path,
                    "there is nothing to look for: name detectors, actions, patterns, words or "
                    "fields");
    }
}

const struct kind kind_masking = {
    .name = "masking",
    .help = "What is looked for in calls, and what becomes of it.",
    .size = sizeof(struct config_masking),
    KIND_FIELDS(masking_fields),
    .finish = finish,
};
