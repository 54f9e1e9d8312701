/* What stands for something else in a configuration: "${NAME}" is an environment variable and
 * "${file:/path}" what a file holds (without the newline at its end); "$${" is a plain "${". A
 * variable that is not set is an error, because an empty secret would be found out too late.
 *
 * Reasons never hold what was expanded. */
#ifndef MODEL_EXPAND_H
#define MODEL_EXPAND_H

#include "base/arena.h"

enum { EXPAND_FILE_MAX = 64 * 1024 };

struct expander {
    bool no_files; /* refuse every file (fuzzing) */
};

bool expand_has(struct str text);

/* 0; -ENOENT for a variable that is not set, else -EINVAL; both with a sentence in `*ret_why`. */
__attribute__((warn_unused_result)) int expand(struct arena *a, const struct expander *x,
                                               struct str text, struct str *ret,
                                               struct str *ret_why);

/* The content of a small regular file without the newline at its end. 0 or -EINVAL with a reason.
 */
__attribute__((warn_unused_result)) int expand_file(struct arena *a, const struct expander *x,
                                                    struct str path, struct str *ret,
                                                    struct str *ret_why);

#endif
