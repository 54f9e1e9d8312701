/* What the tests of gemini.generate share. Texts are written with ' in place of ". */
#ifndef TESTS_GENERATEBENCH_H
#define TESTS_GENERATEBENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dialect/generate.h"
#include "dialect/schema.h"
#include "json/scan.h"

static struct arena arena;

static inline int reset(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static inline void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("\n  is   %.*s\n  not  %s", STR_ARG(have), want);
    }
}

static inline void is_json(struct str s)
{
    struct json_error e = {0};
    if (json_scan(s, NULL, 0, NULL, &e) < 0) {
        fail_msg("%s at %zu: %.*s", e.why, e.at, STR_ARG(s));
    }
}

static inline struct str quoted(const char *text)
{
    char *z = arena_dupz(&arena, str_of(text));
    for (char *p = z; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_of(z);
}

static inline void is_quoted(struct str have, const char *want)
{
    is(have, quoted(want).p);
}

static inline struct str losses(const struct ir_call *c)
{
    struct buf b = {.arena = &arena};
    for (const struct ir_list *l = c->dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(" ") : STR(""));
    }
    buf_addc(&b, 0);
    return str_make(b.p, b.n - 1);
}

static inline struct ir_call *read_as(enum format_id from, const char *body)
{
    struct ir_call *c = arena_alloc(&arena, sizeof *c);
    struct str text = quoted(body);
    ir_call_init(c, &arena);
    is_json(text);
    if (format_of(from)->read_request(c, text) < 0) {
        fail_msg("%.*s", STR_ARG(c->bad));
    }
    ir_call_finish(c);
    return c;
}

static inline struct str write_as(enum format_id to, struct ir_call *c, const char *model,
                                  uint32_t quirks)
{
    const struct format *f = format_of(to);
    struct ir_target t = {.model = str_of(model), .family = f->family, .quirks = quirks};
    struct buf b = {.arena = &arena};
    f->write_request(&b, c, &t);
    is_json(buf_str(&b));
    return buf_str(&b);
}

static inline void to_gemini(enum format_id from, const char *model, const char *body,
                             const char *want, const char *lost)
{
    struct ir_call *c = read_as(from, body);
    uint32_t quirks = vendor_model_quirks(FAMILY_GEMINI, str_of(model));
    is_quoted(write_as(FORMAT_GENERATE, c, model, quirks), want);
    is(losses(c), lost);
}

static inline void from_gemini(enum format_id to, const char *body, const char *want,
                               const char *lost)
{
    struct ir_call *c = read_as(FORMAT_GENERATE, body);
    is_quoted(write_as(to, c, "m", 0), want);
    is(losses(c), lost);
}

#define ONE                                                                                        \
    "{'systemInstruction':'s','contents':[{'role':'user','parts':[{'fileData':{'fileUri':'gs://b/" \
    "c','mimeType':'application/pdf'}}]},{'role':'model','parts':[{'functionCall':{'name':'f'},"   \
    "'thoughtSignature':'eA'}]},{'role':'user','parts':[{'functionResponse':{'name':'f',"          \
    "'response':{'output':'r'}}}]}],'generationConfig':{'topP':1,'topK':2,'candidateCount':1,"     \
    "'presencePenalty':1,'stopSequences':['s'],'thinkingConfig':{'thinkingBudget':5}},'tools':[{"  \
    "'functionDeclarations':[{'name':'f','parametersJsonSchema':{'type':'object'}}]}],"            \
    "'toolConfig':{'functionCallingConfig':{'mode':'AUTO'}}}"

#define TWO                                                                                        \
    "{'system_instruction':{'parts':{'text':'s'}},'contents':[{'parts':[{'file_data':{'file_uri':" \
    "'gs://b/c','mime_type':'application/pdf'}}]},{'role':'model','parts':[{'function_call':{"     \
    "'name':'f'},'thought_signature':'eA'}]},{'role':'function','parts':[{'function_response':{"   \
    "'name':'f','response':{'result':'r'}}}]}],'generation_config':{'top_p':1,'top_k':2,"          \
    "'candidate_count':1,'presence_penalty':1,'stop_sequences':['s'],'thinking_config':{"          \
    "'thinking_budget':5}},'tools':{'function_declarations':[{'name':'f',"                         \
    "'parameters_json_schema':{'type':'object'}}]},'tool_config':{'function_calling_config':{"     \
    "'mode':'auto'}}}"

#endif
