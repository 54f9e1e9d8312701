/* Vectorscan (libhs) and PCRE2, loaded when a policy first needs them: who masks nothing does not pay for them, in
 * memory and at the start, nor needs them installed. */
#ifndef POLICY_MASK_LIB_H
#define POLICY_MASK_LIB_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <hs.h>
#include <pcre2.h>

#include "base/buf.h"

/* The formatter takes them for casts. */
/* clang-format off */
#define HS_FUNCTIONS(X) \
    X(alloc_scratch) X(compile_multi) X(expression_info) X(free_compile_error) X(free_database) \
    X(free_scratch) X(scan)
#define PCRE_FUNCTIONS(X) \
    X(code_free) X(compile) X(get_error_message) \
    X(get_ovector_pointer) X(jit_compile) X(jit_stack_assign) X(jit_stack_create) X(jit_stack_free) X(match) \
    X(match_context_create) X(match_context_free) X(match_data_create) X(match_data_free) X(pattern_info) \
    X(set_match_limit)
/* clang-format on */

#define HS_MEMBER(name)    __typeof__(hs_##name) *name;
#define PCRE_NAME_(name)   pcre2_##name##_8
#define PCRE_MEMBER_(name) __typeof__(PCRE_NAME_(name)) *name;
struct hs_library {
    HS_FUNCTIONS(HS_MEMBER)
};
struct pcre_library {
    PCRE_FUNCTIONS(PCRE_MEMBER_)
};
#undef HS_MEMBER
#undef PCRE_MEMBER_

extern struct hs_library hs;     /* hs.scan is hs_scan; after mask_lib_load() */
extern struct pcre_library pcre; /* pcre.match is pcre2_match_8 */

/* From one thread at a time; again is nothing. -ENOENT and a line in `errors`. */
__attribute__((warn_unused_result)) int mask_lib_load(struct buf *errors);

#endif
