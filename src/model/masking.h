/* What a policy says about masking, decoded (config.h). */
#ifndef MODEL_MASKING_H
#define MODEL_MASKING_H

#include "base/str.h"
#include "model/detector.h"

enum { MASKING_NAME_MAX = 28 };

/* In the order of strictness. */
enum masking_action { MASKING_REPORT, MASKING_MASK, MASKING_TOKENISE, MASKING_BLOCK };
enum masking_failure { MASKING_REFUSE, MASKING_PASS };

struct config_mask_pattern {
    struct str name, regex;
    struct str action; /* empty: the policy's */
    bool any_case;
};

struct config_mask_words {
    struct str name;
    struct str *words;
    size_t n_words;
    struct str action;
    bool exact_case;
};

struct config_mask_actions {
    struct str of[MASK_KINDS]; /* empty: not said */
};

struct config_masking {
    struct str *detectors;
    size_t n_detectors;
    enum masking_action action;
    struct config_mask_actions actions;
    enum masking_failure on_failure;
    bool answers;
    struct config_mask_pattern *patterns;
    size_t n_patterns;
    struct config_mask_words *words;
    size_t n_words;
    struct str *fields;
    size_t n_fields;
    bool given; /* false: the policy says nothing about it */
};

#endif
