/* gemini.generate through its row: requests both ways, answers both ways, whole and streamed. */
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

static int reset(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("\n  is   %.*s\n  not  %s", STR_ARG(have), want);
    }
}

static void is_json(struct str s)
{
    struct json_error e = {0};
    if (json_scan(s, NULL, 0, NULL, &e) < 0) {
        fail_msg("%s at %zu: %.*s", e.why, e.at, STR_ARG(s));
    }
}

/* Tests are written with ' in place of ". */
static struct str quoted(const char *text)
{
    char *z = arena_dupz(&arena, str_of(text));
    for (char *p = z; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_of(z);
}

static void is_quoted(struct str have, const char *want)
{
    is(have, quoted(want).p);
}

/* ---- requests ---- */

static struct str losses(const struct ir_call *c)
{
    struct buf b = {.arena = &arena};
    for (const struct ir_list *l = c->dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(" ") : STR(""));
    }
    buf_addc(&b, 0);
    return str_make(b.p, b.n - 1);
}

static struct ir_call *read_as(enum format_id from, const char *body)
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

static struct str write_as(enum format_id to, struct ir_call *c, const char *model, uint32_t quirks)
{
    const struct format *f = format_of(to);
    struct ir_target t = {.model = str_of(model), .family = f->family, .quirks = quirks};
    struct buf b = {.arena = &arena};
    f->write_request(&b, c, &t);
    is_json(buf_str(&b));
    return buf_str(&b);
}

static void to_gemini(enum format_id from, const char *model, const char *body, const char *want,
                      const char *lost)
{
    struct ir_call *c = read_as(from, body);
    uint32_t quirks = vendor_model_quirks(FAMILY_GEMINI, str_of(model));
    is_quoted(write_as(FORMAT_GENERATE, c, model, quirks), want);
    is(losses(c), lost);
}

static void from_gemini(enum format_id to, const char *body, const char *want, const char *lost)
{
    struct ir_call *c = read_as(FORMAT_GENERATE, body);
    is_quoted(write_as(to, c, "m", 0), want);
    is(losses(c), lost);
}

static void the_whole_of_a_chat_request(void **state)
{
    (void)state;
    to_gemini(
        FORMAT_CHAT, "gemini-2.5-flash",
        "{'model':'x','messages':[{'role':'system','content':'be \\u00fc "
        "brief'},{'role':'user','content':"
        "[{'type':'text','text':'what is it?'},{'type':'image_url','image_url':{'url':'data:image/"
        "png;base64,AAAA'}},{'type':'image_url','image_url':{'url':'https://a.b/c.webp?x'}}]},"
        "{'role':'assistant','content':'a "
        "cat'},{'role':'user','content':'sure?'}],'temperature':0.70,"
        "'top_p':0.9,'max_tokens':50,'seed':7,'stop':['a','b'],'presence_penalty':1e-1,'user':'u',"
        "'logit_bias':{'1':2},'n':2}",
        "{'contents':[{'role':'user','parts':[{'text':'what is it?'},{'inlineData':{'mimeType':"
        "'image/png','data':'AAAA'}},{'fileData':{'mimeType':'image/webp','fileUri':"
        "'https://a.b/c.webp?x'}}]},{'role':'model','parts':[{'text':'a "
        "cat'}]},{'role':'user','parts':"
        "[{'text':'sure?'}]}],'systemInstruction':{'parts':[{'text':'be \\u00fc brief'}]},"
        "'generationConfig':{'temperature':0.70,'maxOutputTokens':50,'topP':0.9,'seed':7,"
        "'presencePenalty':1e-1,'stopSequences':['a','b']}}",
        "n logit_bias user");
}

#define CHAT_TOOLS                                                                                 \
    "'tools':[{'type':'function','function':{'name':'f','description':'d','parameters':{'type':"   \
    "'object','properties':{'a':{'type':'string','format':'uri'}},'additionalProperties':false,"   \
    "'$schema':'x'}}},{'type':'function','function':{'name':'g','parameters':{'type':'object',"    \
    "'properties':{}}}}]"
#define GEMINI_TOOLS                                                                               \
    "'tools':[{'functionDeclarations':[{'name':'f','description':'d','parameters':{'type':"        \
    "'object','properties':{'a':{'type':'string'}}}},{'name':'g'}]}]"

static void a_tool_loop(void **state)
{
    (void)state;
    const char *body =
        "{'messages':[{'role':'user','content':'go'},{'role':'assistant','content':null,'tool_"
        "calls':["
        "{'id':'c1','type':'function','function':{'name':'f','arguments':'{\\'a\\':\\'x\\'}'}},"
        "{'id':'c2','type':'function','function':{'name':'g','arguments':''}}]},"
        "{'role':'tool','tool_call_id':'c2','content':'plain \\u00e9'},"
        "{'role':'tool','tool_call_id':'c1','content':' {\\'ok\\':[1]} '},"
        "{'role':'user','content':'and?'}],'tool_choice':'required','parallel_tool_calls':"
        "false," CHAT_TOOLS "}";
    to_gemini(
        FORMAT_CHAT, "gemini-2.5-flash", body,
        "{'contents':[{'role':'user','parts':[{'text':'go'}]},{'role':'model','parts':["
        "{'functionCall':{'id':'c1','name':'f','args':{'a':'x'}}},{'functionCall':{'id':'c2',"
        "'name':'g','args':{}}}]},{'role':'user','parts':[{'functionResponse':{'id':'c1','name':"
        "'f','response':{'ok':[1]}}},{'functionResponse':{'id':'c2','name':'g','response':"
        "{'result':'plain \\u00e9'}}},{'text':'and?'}]}]," GEMINI_TOOLS
        ",'toolConfig':{'functionCallingConfig':{'mode':'ANY'}}}",
        "tools.f.parameters.format parallel_tool_calls");
    /* Gemini 3: the first call of a turn needs a signature; the dummy stands for one that never was. */
    struct ir_call *c = read_as(FORMAT_CHAT, body);
    struct str out = write_as(FORMAT_GENERATE, c, "gemini-3-flash", QUIRK_GEMINI_3);
    struct str dummy = STR("},\"thoughtSignature\":\"skip_thought_signature_validator\"}");
    ptrdiff_t at = str_find(out, dummy);
    assert_true(at > 0);
    assert_true(str_find(str_from(out, (size_t)at + 1), dummy) < 0);
}

static void choices_of_tools(void **state)
{
    (void)state;
#define WITH(choice)                                                                               \
    "{'messages':[{'role':'user','content':'q'}]," CHAT_TOOLS ",'tool_choice':" choice "}"
#define BECOMES(rest) "{'contents':[{'role':'user','parts':[{'text':'q'}]}]," GEMINI_TOOLS rest "}"
    const char *lost = "tools.f.parameters.format";
    to_gemini(FORMAT_CHAT, "m", WITH("'none'"),
              BECOMES(",'toolConfig':{'functionCallingConfig':{'mode':'NONE'}}"), lost);
    to_gemini(
        FORMAT_CHAT, "m", WITH("{'type':'function','function':{'name':'g'}}"),
        BECOMES(",'toolConfig':{'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':["
                "'g']}}"),
        lost);
    to_gemini(
        FORMAT_CHAT, "m",
        WITH("{'type':'allowed_tools','allowed_tools':{'mode':'auto','tools':[{'type':'function',"
             "'function':{'name':'g'}}]}}"),
        "{'contents':[{'role':'user','parts':[{'text':'q'}]}],'tools':[{'functionDeclarations':[{"
        "'name':'g'}]}],'toolConfig':{'functionCallingConfig':{'mode':'AUTO'}}}",
        "");
}

/* A result of Anthropic's with an image and an error; what only Anthropic can read is not sent. */
static void results_with_images_and_errors(void **state)
{
    (void)state;
    to_gemini(
        FORMAT_MESSAGES, "gemini-2.5-pro",
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'go'},{'role':'assistant'"
        ","
        "'content':[{'type':'thinking','thinking':'hm','signature':'c2ln'},{'type':'text','text':'"
        "I'},"
        "{'type':'tool_use','id':'t1','name':'look','input':{}},{'type':'tool_use','id':'t2','name'"
        ":"
        "'fail','input':{}}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1',"
        "'content':[{'type':'text','text':'one'},{'type':'text','text':'two'},{'type':'image','"
        "source':"
        "{'type':'base64','media_type':'image/png','data':'QUJD'}}]},{'type':'tool_result',"
        "'tool_use_id':'t2','is_error':true,'content':'no'}]}]}",
        "{'contents':[{'role':'user','parts':[{'text':'go'}]},{'role':'model','parts':[{'text':'I'}"
        ","
        "{'functionCall':{'id':'t1','name':'look','args':{}}},{'functionCall':{'id':'t2','name':'"
        "fail',"
        "'args':{}}}]},{'role':'user','parts':[{'functionResponse':{'id':'t1','name':'look','"
        "response':"
        "{'result':'one\\ntwo'}}},{'functionResponse':{'id':'t2','name':'fail','response':{'error':"
        "'no'}}},{'inlineData':{'mimeType':'image/png','data':'QUJD'}}]}],'generationConfig':{"
        "'maxOutputTokens':9}}",
        "messages.content[thinking]");
}

static void thinking_by_model(void **state)
{
    (void)state;
    static const struct {
        const char *model, *ask, *want, *lost;
    } asks[] = {
        {"gemini-2.5-flash", "'reasoning_effort':'low'",
         "{'includeThoughts':true,'thinkingBudget':2048}", ""},
        {"gemini-2.5-flash", "'reasoning_effort':'none'", "{'thinkingBudget':0}", ""},
        {"gemini-2.5-flash", "'reasoning_effort':'max'",
         "{'includeThoughts':true,'thinkingBudget':24576}", ""},
        {"gemini-2.5-pro", "'reasoning_effort':'none'", "{'thinkingBudget':128}",
         "reasoning_effort"},
        {"gemini-2.5-pro", "'reasoning_effort':'max'",
         "{'includeThoughts':true,'thinkingBudget':32000}", ""},
        {"gemini-3-flash-preview", "'reasoning_effort':'minimal'",
         "{'includeThoughts':true,'thinkingLevel':'MINIMAL'}", ""},
        {"models/gemini-3-pro-preview", "'reasoning_effort':'medium'",
         "{'includeThoughts':true,'thinkingLevel':'HIGH'}", ""},
        {"gemini-3.1-pro", "'reasoning_effort':'medium'",
         "{'includeThoughts':true,'thinkingLevel':'MEDIUM'}", ""},
        {"gemini-3-pro", "'reasoning':{'max_tokens':1000,'exclude':true}",
         "{'includeThoughts':false,'thinkingLevel':'LOW'}", ""},
        {"gemini-2.0-flash", "'reasoning_effort':'high'", NULL, "reasoning_effort"},
    };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct str body =
            arena_printf(&arena, "{'messages':[{'role':'user','content':'q'}],%s}", asks[i].ask);
        struct str want =
            asks[i].want
                ? arena_printf(&arena, ",'generationConfig':{'thinkingConfig':%s}", asks[i].want)
                : STR("");
        want = arena_printf(&arena, "{'contents':[{'role':'user','parts':[{'text':'q'}]}]%.*s}",
                            STR_ARG(want));
        to_gemini(FORMAT_CHAT, asks[i].model, body.p, want.p, asks[i].lost);
    }
}

static void structured_output(void **state)
{
    (void)state;
#define SCHEMA_BODY(more)                                                                          \
    "{'messages':[{'role':'user','content':'q'}],'response_format':{'type':'json_schema',"         \
    "'json_schema':{'name':'n','strict':true,'schema':{'type':'object','properties':{'a':{'type':" \
    "['string','null'],'not':{}}},'additionalProperties':false}}}" more "}"
    to_gemini(
        FORMAT_CHAT, "gemini-2.5-flash", SCHEMA_BODY(""),
        "{'contents':[{'role':'user','parts':[{'text':'q'}]}],'generationConfig':{"
        "'responseMimeType':'application/json','responseSchema':{'type':'object','properties':{"
        "'a':{'type':'string','nullable':true}}}}}",
        "response_format.schema.not");
    /* functions and JSON together are refused by models before Gemini 3 */
    to_gemini(FORMAT_CHAT, "gemini-2.5-flash", SCHEMA_BODY("," CHAT_TOOLS), BECOMES(""),
              "tools.f.parameters.format response_format");
}

static void what_gemini_refuses_is_not_sent(void **state)
{
    (void)state;
    /* no contents but instructions; empty texts; a name it does not take */
    to_gemini(FORMAT_CHAT, "m", "{'messages':[{'role':'system','content':'s'}]}",
              "{'contents':[{'role':'user','parts':[{'text':'s'}]}]}", "");
    to_gemini(FORMAT_CHAT, "m", "{'messages':[{'role':'user','content':''}]}",
              "{'contents':[{'role':'user','parts':[{'text':' '}]}]}", "");
    struct str name = generate_function_name(&arena, STR("9 lives"));
    assert_true(str_starts(name, STR("_9_lives_")) && name.n <= 64);
    is(generate_function_name(&arena, STR("mcp.x:y-z")), "mcp.x:y-z");
    /* instructions in the middle, and turns of one role in a row */
    to_gemini(
        FORMAT_CHAT, "m",
        "{'messages':[{'role':'user','content':'a'},{'role':'system','content':'s'},{'role':"
        "'user','content':'b'},{'role':'assistant','content':'c'},{'role':'assistant','content':"
        "'d'}],'temperature':3,'stop':['1','2','3','4','5','6']}",
        "{'contents':[{'role':'user','parts':[{'text':'a'},{'text':'s'},{'text':'b'}]},{'role':"
        "'model','parts':[{'text':'c'},{'text':'d'}]}],'generationConfig':{'temperature':2,"
        "'stopSequences':['1','2','3','4','5']}}",
        "temperature>2 stop[5]");
}

static void a_request_of_an_sdk(void **state)
{
    (void)state;
    from_gemini(
        FORMAT_CHAT,
        "{'contents':[{'parts':[{'text':'hi'},{'inlineData':{'mimeType':'image\\/"
        "png','data':'A-_A'}}],"
        "'role':'user'}],'systemInstruction':{'parts':[{'text':'be nice'}],'role':'user'},"
        "'generationConfig':{'temperature':0.1,'maxOutputTokens':50,'responseMimeType':"
        "'application/"
        "json','responseSchema':{'type':'OBJECT','properties':{'a':{'type':'STRING'}}},"
        "'stopSequences':['x'],'thinkingConfig':{'thinkingLevel':'LOW','includeThoughts':true},"
        "'responseModalities':['TEXT'],'mediaResolution':'X'},'tools':[{'functionDeclarations':[{"
        "'name':'w','description':'d','parameters':{'type':'OBJECT','properties':{'c':{'type':"
        "'STRING'}}}}]},{'googleSearch':{}}],'toolConfig':{'functionCallingConfig':{'mode':'ANY',"
        "'allowedFunctionNames':['w']}},'safetySettings':[],'cachedContent':'c','labels':{'k':'v'}"
        "}",
        "{'model':'m','messages':[{'role':'system','content':'be nice'},{'role':'user','content':[{"
        "'type':'text','text':'hi'},{'type':'image_url','image_url':{'url':'data:image/png;base64,"
        "A+/"
        "A'}}]}],'tools':[{'type':'function','function':{'name':'w','description':'d','parameters':"
        "{'type':'object','properties':{'c':{'type':'string'}}}}}],'tool_choice':{'type':'function'"
        ","
        "'function':{'name':'w'}},'response_format':{'type':'json_schema','json_schema':{'name':"
        "'answer','schema':{'type':'object','properties':{'a':{'type':'string'}}}}},"
        "'reasoning_effort':'low','max_tokens':50,'temperature':0.1,'stop':['x']}",
        "generationConfig.mediaResolution tools[googleSearch] safetySettings cachedContent labels");
}

static void both_spellings_say_the_same(void **state)
{
    (void)state;
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
    struct str one = write_as(FORMAT_GENERATE, read_as(FORMAT_GENERATE, ONE), "m", 0);
    struct str two = write_as(FORMAT_GENERATE, read_as(FORMAT_GENERATE, TWO), "m", 0);
    assert_true(str_eq(one, two));
    is_quoted(
        one,
        "{'contents':[{'role':'user','parts':[{'fileData':{'mimeType':'application/pdf','fileUri':"
        "'gs://b/c'}}]},{'role':'model','parts':[{'functionCall':{'id':'call_1_0','name':'f',"
        "'args':{}},'thoughtSignature':'eA'}]},{'role':'user','parts':[{'functionResponse':{'id':"
        "'call_1_0','name':'f','response':{'result':'r'}}}]}],'systemInstruction':{'parts':[{"
        "'text':'s'}]},'tools':[{'functionDeclarations':[{'name':'f'}]}],'toolConfig':{"
        "'functionCallingConfig':{'mode':'AUTO'}},'generationConfig':{'topP':1,'topK':2,"
        "'presencePenalty':1,'stopSequences':['s'],'thinkingConfig':{'includeThoughts':true,"
        "'thinkingBudget':5}}}");
}

/* Parallel calls without ids: results by name, then by order; an id of the caller's is kept. */
static void ids_are_made_from_places(void **state)
{
    (void)state;
    from_gemini(
        FORMAT_CHAT,
        "{'contents':[{'role':'user','parts':[{'text':'q'}]},{'role':'model','parts':[{'"
        "functionCall':{"
        "'name':'f','args':{'n':1}}},{'functionCall':{'name':'g','args':{}}},{'functionCall':{'"
        "name':"
        "'f','args':{'n':2}}},{'functionCall':{'id':'own','name':'g'}}]},{'role':'user','parts':[{"
        "'functionResponse':{'name':'g','response':{'result':'g1'}}},{'functionResponse':{'name':'"
        "f',"
        "'response':{'result':'f1'}}},{'functionResponse':{'id':'own','name':'g','response':{'a':1,"
        "'b':2}}},{'functionResponse':{'name':'f','response':{'error':'f2'}}}]}]}",
        "{'model':'m','messages':[{'role':'user','content':'q'},{'role':'assistant','content':null,"
        "'tool_calls':[{'id':'call_1_0','type':'function','function':{'name':'f','arguments':'{\\'"
        "n\\':"
        "1}'}},{'id':'call_1_1','type':'function','function':{'name':'g','arguments':'{}'}},{'id':"
        "'call_1_2','type':'function','function':{'name':'f','arguments':'{\\'n\\':2}'}},{'id':'"
        "own',"
        "'type':'function','function':{'name':'g','arguments':'{}'}}]},{'role':'tool','tool_call_"
        "id':"
        "'call_1_1','content':'g1'},{'role':'tool','tool_call_id':'call_1_0','content':'f1'},{'"
        "role':"
        "'tool','tool_call_id':'own','content':'{\\'a\\':1,\\'b\\':2}'},{'role':'tool','tool_call_"
        "id':"
        "'call_1_2','content':'f2'}]}",
        "tool_result.is_error");
}

/* The history of a stream, as SDKs keep it: a content per chunk, thoughts with another vendor's signature. */
static void chunks_are_joined_and_marks_taken_off(void **state)
{
    (void)state;
    struct str mark = ir_signature_out(&arena, STR("c2ln+/=="), FAMILY_ANTHROPIC, FAMILY_GEMINI);
    char *url_safe = arena_dupz(&arena, mark); /* as Python's SDK sends base64 */
    for (char *p = url_safe; *p; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    }
    struct str body = arena_printf(&arena,
                                   "{'contents':[{'parts':[{'text':'q'}]},{'role':'model','parts':["
                                   "{'text':'th','thought':true}]},"
                                   "{'role':'model','parts':[{'text':'ink','thought':true}]},{'"
                                   "role':'model','parts':[{'text':'',"
                                   "'thought':true,'thoughtSignature':'%s'}]},{'role':'model','"
                                   "parts':[{'text':'Hel'}]},{'role':"
                                   "'model','parts':[{'text':'lo'}]},{'role':'model','parts':[{'"
                                   "text':''}]},{'role':'user','parts':[{"
                                   "'text':'on'}]}],'generationConfig':{'maxOutputTokens':9}}",
                                   url_safe);
    struct ir_call *c = read_as(FORMAT_GENERATE, body.p);
    struct ir_turn *t = c->turns->next;
    assert_int_equal(t->role, IR_ASSISTANT);
    is(t->first->text, "think");
    is(t->first->signature, "c2ln+/==");
    assert_int_equal(t->first->issuer, FAMILY_ANTHROPIC);
    is(t->first->next->text, "Hello");
    assert_null(t->first->next->next);
    assert_int_equal(t->next->role, IR_USER);
    struct str anthropic = write_as(FORMAT_MESSAGES, c, "m", 0);
    assert_true(str_find(anthropic, STR("\"thinking\":\"think\",\"signature\":\"c2ln+/==\"")) > 0);
    /* ... and nobody else gets it */
    struct str gemini = write_as(FORMAT_GENERATE, c, "m", 0);
    assert_true(str_find(gemini, STR("think")) < 0 && str_find(gemini, STR("c2ln")) < 0);
}

/* Gemini's own signatures come back to it where they stood, also out of dialects whose calls hold none. */
static void signatures_go_back_to_their_issuer(void **state)
{
    (void)state;
    const char *history =
        "{'contents':[{'role':'user','parts':[{'text':'q'}]},{'role':'model','parts':[{'text':'t',"
        "'thought':true,'thoughtSignature':'AA=='},{'functionCall':{'id':'c','name':'f','args':{}},"
        "'thoughtSignature':'BB=='},{'text':'','thoughtSignature':'CC=='},{'text':'x',"
        "'thoughtSignature':'DD=='}]}]}";
    is_quoted(write_as(FORMAT_GENERATE, read_as(FORMAT_GENERATE, history), "m", QUIRK_GEMINI_3),
              history);
    struct str mark = ir_signature_out(&arena, STR("BB=="), FAMILY_GEMINI, FAMILY_ANTHROPIC);
    struct str body = arena_printf(
        &arena,
        "{'max_tokens':1,'messages':[{'role':'user','content':'q'},{'role':'assistant','content':[{"
        "'type':'thinking','thinking':'','signature':'%.*s'},{'type':'tool_use','id':'c','name':'f'"
        ","
        "'input':{}}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':'c','content':"
        "'r'}]}]}",
        STR_ARG(mark));
    to_gemini(FORMAT_MESSAGES, "gemini-3-flash", body.p,
              "{'contents':[{'role':'user','parts':[{'text':'q'}]},{'role':'model','parts':[{"
              "'functionCall':{'id':'c','name':'f','args':{}},'thoughtSignature':'BB=='}]},{'role':"
              "'user',"
              "'parts':[{'functionResponse':{'id':'c','name':'f','response':{'result':'r'}}}]}],"
              "'generationConfig':{'maxOutputTokens':1}}",
              "");
}

static void requests_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
    } wrong[] = {
        {"{}", "contents"},
        {"{'contents':[]}", "contents"},
        {"{'contents':'x'}", "contents"},
        {"{'contents':[1]}", "contents[0]"},
        {"{'contents':[{'role':'system','parts':[{'text':'x'}]}]}", "contents[0].role"},
        {"{'contents':[{'parts':[3]}]}", "contents[0].parts"},
        {"{'contents':[{'parts':[{'functionCall':{'name':'f'}}]}]}",
         "contents[0].parts.functionCall"},
        {"{'contents':[{'role':'model','parts':[{'functionCall':{}}]}]}",
         "contents[0].parts.functionCall"},
        {"{'contents':[{'parts':[{'functionResponse':{}}]}]}",
         "contents[0].parts.functionResponse"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'tools':7}", "tools"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'tools':[{'functionDeclarations':[{}]}]}",
         "tools[0].functionDeclarations"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'generationConfig':[]}", "generationConfig"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'generationConfig':{'topP':'x'}}",
         "generationConfig.topP"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'generationConfig':{'thinkingConfig':{'"
         "thinkingLevel':"
         "'x'}}}",
         "generationConfig.thinkingConfig.thinkingLevel"},
        {"{'contents':[{'parts':[{'text':'x'}]}],'toolConfig':{'functionCallingConfig':{'mode':'x'}"
         "}}",
         "toolConfig.functionCallingConfig.mode"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ir_call c;
        ir_call_init(&c, &arena);
        if (format_of(FORMAT_GENERATE)->read_request(&c, quoted(wrong[i].body)) == 0) {
            fail_msg("taken: %s", wrong[i].body);
        }
        is(c.bad_param, wrong[i].param);
    }
    /* nulls are as absent everywhere */
    read_as(
        FORMAT_GENERATE,
        "{'contents':[{'role':'user','parts':[{'text':'x','thought':null,'inlineData':null,"
        "'functionCall':null}]}],'tools':null,'toolConfig':null,'generationConfig':{'topP':null,"
        "'thinkingConfig':null,'stopSequences':null},'systemInstruction':null,'safetySettings':"
        "null}");
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *model, *want;
        bool stream;
    } rows[] = {
        {"gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent", false},
        {"models/x", "/models/x:streamGenerateContent?alt=sse", true},
        {"a b:c?d/e%\n", "/models/a%20b%3Ac%3Fd/e%25%0A:generateContent", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ir_call c = {.stream = rows[i].stream};
        struct ir_target t = {.model = str_of(rows[i].model)};
        struct buf b = {.arena = &arena};
        format_of(FORMAT_GENERATE)->path(&b, &c, &t);
        is(buf_str(&b), rows[i].want);
    }
}

/* ---- answers, read ---- */

struct trace {
    struct buf b;
    struct ir_in in;
};

static const char *const kinds[] = {"text", "image",  "audio", "document",
                                    "call", "result", "think", "refusal"};

/* Events as short words. */
static void note(void *arg, const struct ir_event *e)
{
    struct trace *t = arg;
    struct buf *b = &t->b;
    switch (e->type) {
    case IR_START:
        buf_printf(b, "start(%.*s,%.*s,%d) ", STR_ARG(e->id), STR_ARG(e->model),
                   (int)e->usage.input);
        break;
    case IR_BLOCK_START:
        buf_printf(b, "%s%u[", kinds[e->kind], e->block);
        if (e->kind == IR_TOOL_CALL) {
            buf_printf(b, "%.*s %.*s:", STR_ARG(e->id), STR_ARG(e->name));
        }
        buf_add(b, e->media_type);
        break;
    case IR_DELTA:
        buf_printf(b, "<%.*s>", STR_ARG(e->text));
        break;
    case IR_SIGNATURE:
        buf_printf(b, "%s%.*s", e->redacted ? "!" : "~", STR_ARG(e->signature));
        break;
    case IR_BLOCK_STOP:
        buf_addz(b, "] ");
        break;
    case IR_USAGE:
        buf_printf(b, "u(%d,%d,%d,%d) ", (int)e->usage.input, (int)e->usage.output,
                   (int)e->usage.cache_read, (int)e->usage.reasoning);
        break;
    case IR_FINISH:
        buf_printf(b, "finish%d(%d,%d)", (int)e->finish, (int)e->usage.input, (int)e->usage.output);
        break;
    case IR_END:
        break;
    }
}

static struct trace *new_trace(void)
{
    struct trace *t = arena_zalloc(&arena, sizeof *t);
    t->b.arena = &arena;
    t->in = (struct ir_in){.arena = &arena,
                           .event = note,
                           .arg = t,
                           .state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state),
                           .usage = USAGE_NONE,
                           .request_id = "req_7"};
    return t;
}

/* Chunks of a stream, up to a NULL. */
static struct trace *read_stream(const char *const *chunks)
{
    struct trace *t = new_trace();
    for (; *chunks; chunks++) {
        struct str data = quoted(*chunks);
        is_json(data);
        /* its own memory, to be sure that nothing looks at it later */
        char *copy = test_malloc(data.n);
        memcpy(copy, data.p, data.n);
        format_of(FORMAT_GENERATE)->read_event(&t->in, STR(""), str_make(copy, data.n), true);
        memset(copy, '#', data.n);
        test_free(copy);
    }
    return t;
}

static struct trace *read_whole(const char *body)
{
    struct trace *t = new_trace();
    struct str data = quoted(body);
    is_json(data);
    format_of(FORMAT_GENERATE)->read_answer(&t->in, data);
    return t;
}

#define PARTS(parts) "{'candidates':[{'content':{'parts':[" parts "],'role':'model'},'index':0}]}"

static void a_stream_is_read(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true}],'role':'model'}}],"
        "'usageMetadata':{'promptTokenCount':10,'cachedContentTokenCount':4},'modelVersion':'m',"
        "'responseId':'r'}",
        PARTS("{'text':' so','thought':true}"), PARTS("{'text':'Hel\\u006c'}"),
        PARTS("{'text':'o'}"),
        PARTS("{'functionCall':{'name':'f','args':{'a':'x'}},'thoughtSignature':'AA=='}"),
        PARTS("{'functionCall':{'id':'i','name':'g'}}"),
        "{'candidates':[{'content':{'parts':[{'text':''}]},'finishReason':'STOP','index':0}],"
        "'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':5,'thoughtsTokenCount':3,"
        "'toolUsePromptTokenCount':2,'cachedContentTokenCount':4}}",
        NULL});
    is_quoted(
        buf_str(&t->b),
        "start(r,m,10) think0[<hm>< so>] text1[<Hel\\u006c><o>] think2[!AA==] "
        "call3[call_73 f:<{\\'a\\':\\'x\\'}>~AA==] call4[i g:<{}>] u(12,8,4,3) finish5(12,8)");
    assert_false(t->in.failed);
    assert_true(t->in.finished);
    assert_int_equal(t->in.lost, 0);
}

static void signatures_in_answers(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        PARTS("{'text':'t','thought':true},{'text':'','thought':true,'thoughtSignature':'A'}"),
        PARTS(
            "{'text':'x','thoughtSignature':'B'},{'text':'y'},{'text':'','thoughtSignature':'C'}"),
        NULL});
    is_quoted(buf_str(&t->b),
              "start(,,-1) think0[<t>~A] text1[<x>] think2[!B] text3[<y>] think4[!C] ");
}

static void reasons_to_stop(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum ir_finish want;
    } rows[] = {
        {"STOP", IR_FINISH_STOP},
        {"MAX_TOKENS", IR_FINISH_LENGTH},
        {"SAFETY", IR_FINISH_FILTER},
        {"RECITATION", IR_FINISH_FILTER},
        {"LANGUAGE", IR_FINISH_FILTER},
        {"BLOCKLIST", IR_FINISH_FILTER},
        {"PROHIBITED_CONTENT", IR_FINISH_FILTER},
        {"SPII", IR_FINISH_FILTER},
        {"IMAGE_SAFETY", IR_FINISH_FILTER},
        {"MALFORMED_FUNCTION_CALL", IR_FINISH_ERROR},
        {"UNEXPECTED_TOOL_CALL", IR_FINISH_ERROR},
        {"TOO_MANY_TOOL_CALLS", IR_FINISH_ERROR},
        {"OTHER", IR_FINISH_ERROR},
        {"SOMETHING_NEW", IR_FINISH_STOP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ir_fold f = {.arena = &arena};
        struct trace *t = new_trace();
        t->in.event = ir_fold_event;
        t->in.arg = &f;
        struct str body = quoted(arena_printf(&arena,
                                              "{'candidates':[{'content':{'parts':[{'text':'x'}]},"
                                              "'finishReason':'%s'}]}",
                                              rows[i].word)
                                     .p);
        format_of(FORMAT_GENERATE)->read_answer(&t->in, body);
        assert_int_equal(f.answer.finish, rows[i].want);
        is(f.answer.parts->text, "x");
    }
}

static void blocked_empty_and_odd_answers(void **state)
{
    (void)state;
    struct trace *t = read_whole(
        "{'promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':3}}");
    is_quoted(buf_str(&t->b), "start(,,3) finish6(3,-1)");
    t = read_stream((const char *const[]){"{'promptFeedback':{'blockReason':'OTHER'}}", NULL});
    assert_true(t->in.finished);
    t = read_stream((const char *const[]){"{'promptFeedback':{'safetyRatings':[]}}", NULL});
    assert_false(t->in.finished);
    t = read_whole("{'usageMetadata':{'promptTokenCount':3}}");
    assert_true(t->in.failed);
    assert_int_equal(t->in.error.status, 502);
    /* the array of a stream; other candidates; a repeated end; what no event has a place for */
    t = read_whole(
        "[" PARTS("{'text':'a'}") ",{'candidates':[{'index':1,'content':{'parts':[{'text':'no'}]}},"
                                  "{'content':{'parts':[{'text':'b'},{'executableCode':{'code':'x'}"
                                  "}]},'finishReason':"
                                  "'STOP','groundingMetadata':{'a':1}}]},{'candidates':[{'"
                                  "finishReason':'STOP'}]}]");
    is_quoted(buf_str(&t->b), "start(,,-1) text0[<a><b>] finish1(-1,-1)");
    assert_int_equal(t->in.lost, 2);
    /* a picture; no reason at all */
    t = read_whole(PARTS("{'text':'see'},{'inlineData':{'mimeType':'image/png','data':'A-_B'}}"));
    is_quoted(buf_str(&t->b), "start(,,-1) text0[<see>] image1[image/png<A+/B>] finish1(-1,-1)");
    /* any JSON at all */
    static const char *const odd[] = {
        "[]",
        "1",
        "'x'",
        "null",
        "[[]]",
        "{'candidates':7}",
        "{'candidates':[7,[],{}]}",
        "{'candidates':[{'content':[]}]}",
        "{'candidates':[{'content':{'parts':{'text':'x'}}}]}",
        "{'candidates':[{'content':{'parts':[1,'x',null,[],{}]},'finishReason':{}}],'usageMetadata'"
        ":[]}",
        "{'candidates':[{'content':{'parts':[{'functionCall':7,'text':[],'inlineData':[],"
        "'thoughtSignature':1,'thought':'x'}]},'index':'0'}],'promptFeedback':1,'error':1}",
        "{'candidates':[{'content':{'parts':[{'functionCall':{'name':1,'args':[],'id':{}}}]}}]}",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        read_whole(odd[i]);
        read_stream((const char *const[]){odd[i], odd[i], NULL});
    }
}

static void errors_are_read(void **state)
{
    (void)state;
#define QUOTA                                                                                      \
    "{'error':{'code':429,'message':'slow \\u0064own','status':'RESOURCE_EXHAUSTED','details':[{"  \
    "'@type':'type.googleapis.com/google.rpc.QuotaFailure','violations':[]},{'@type':"             \
    "'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'17.25s'}]}}"
    for (int array = 0; array < 2; array++) {
        struct ir_error e = {.status = 429};
        struct str body = quoted(array ? "[" QUOTA "]" : QUOTA);
        format_of(FORMAT_GENERATE)->read_error(&arena, body, true, &e);
        is(e.message, "slow down");
        is(e.code, "RESOURCE_EXHAUSTED");
        assert_int_equal(e.retry_after_ms, 17250);
        assert_int_equal(e.status, 429);
    }
    struct trace *t = read_stream((const char *const[]){PARTS("{'text':'a'}"), QUOTA, NULL});
    assert_true(t->in.failed);
    assert_int_equal(t->in.error.status, 429);
    assert_int_equal(t->in.error.retry_after_ms, 17250);
    struct ir_error e = {.status = 400};
    format_of(FORMAT_GENERATE)
        ->read_error(
            &arena,
            quoted("{'error':{'code':400,'message':'m','status':'INVALID_ARGUMENT','details':[{"
                   "'reason':'API_KEY_INVALID'}]}}"),
            true, &e);
    is(e.code, "API_KEY_INVALID");
    static const char *const odd[] = {"[]",
                                      "{}",
                                      "7",
                                      "{'error':7}",
                                      "{'error':'text'}",
                                      "{'error':{'details':{},'code':'x','message':1}}",
                                      ("{'error':{'details':[1,{'retryDelay':'x'},{'retryDelay':"
                                       "'99999999999999999999s'}]}}")};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        format_of(FORMAT_GENERATE)->read_error(&arena, quoted(odd[i]), true, &e);
    }
    format_of(FORMAT_GENERATE)->read_error(&arena, STR("<html>"), false, &e);
}

/* ---- answers, written ---- */

struct output {
    struct buf out;
    struct arena scratch;
    struct ir_out o;
    struct ir_in in; /* makes the events */
};

static void write_one(void *arg, const struct ir_event *e)
{
    struct output *w = arg;
    format_of(FORMAT_GENERATE)->write_event(&w->o, e);
    arena_reset(&w->scratch);
}

static struct output *new_output(bool array)
{
    struct output *w = arena_zalloc(&arena, sizeof *w);
    w->out.arena = &arena;
    w->o = (struct ir_out){.arena = &arena,
                           .out = &w->out,
                           .scratch = &w->scratch,
                           .state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->out_state),
                           .model = STR("m"),
                           .id = STR("ID"),
                           .array = array,
                           .stream = true,
                           .sequence = -1,
                           .caller = FAMILY_GEMINI};
    w->in = (struct ir_in){
        .arena = &arena, .event = write_one, .arg = w, .usage = USAGE_NONE, .request_id = "req_7"};
    return w;
}

static void some_answer(struct ir_in *in)
{
    in->usage.input = 10;
    ir_start(in, STR("up"), STR("upstream"));
    ir_text(in, IR_THINKING, STR("hm"));
    ir_signature(in, STR("c2ln"), FAMILY_ANTHROPIC, false);
    ir_text(in, IR_TEXT, STR("Hel\\u006c"));
    ir_text(in, IR_TEXT, STR("o"));
    ir_open_call(in, STR("c1"), STR("f"));
    ir_delta(in, STR("{\\\"a\\\":\\\"\\ud83d"));
    ir_delta(in, STR("\\ude00\\\"}"));
    ir_signature(in, STR("AA=="), FAMILY_GEMINI, false);
    ir_open_call(in, STR("c2"), STR("g"));
    ir_media(in, IR_IMAGE, STR("image/png"), STR("QUJD"));
    in->usage = (struct usage){
        .input = 10, .output = 8, .cache_read = 4, .cache_write = -1, .reasoning = 3};
    ir_finish(in, IR_FINISH_TOOLS, STR(""));
}

#define CHUNK(part)                                                                                \
    "{'candidates':[{'content':{'parts':[" part                                                    \
    "],'role':'model'},'index':0}],'modelVersion':'m',"                                            \
    "'responseId':'ID'}"
#define MARKED "YWNjb3Jkc2lnAAABYzJsbg=="
#define CALL_F                                                                                     \
    "{'functionCall':{'id':'c1','name':'f','args':{'a':'\xf0\x9f\x98\x80'}},'thoughtSignature':'"  \
    "AA=='}"
#define CALL_G  "{'functionCall':{'id':'c2','name':'g','args':{}}}"
#define PICTURE "{'inlineData':{'mimeType':'image/png','data':'QUJD'}}"
#define USAGE                                                                                      \
    "'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':5,'totalTokenCount':18,"        \
    "'cachedContentTokenCount':4,'thoughtsTokenCount':3}"
#define LAST(reason, usage)                                                                        \
    "{'candidates':[{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'" reason     \
    "',"                                                                                           \
    "'index':0}]," usage "'modelVersion':'m','responseId':'ID'}"

static void a_stream_is_written(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    some_answer(&w->in);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
#define EVENT(data) "data: " data "\r\n\r\n"
    is_quoted(buf_str(&w->out),
              EVENT(CHUNK("{'text':'hm','thought':true}"))
                  EVENT(CHUNK("{'text':'','thought':true,'thoughtSignature':'" MARKED "'}"))
                      EVENT(CHUNK("{'text':'Hel\\u006c'}")) EVENT(CHUNK("{'text':'o'}"))
                          EVENT(CHUNK(CALL_F)) EVENT(CHUNK(CALL_G)) EVENT(CHUNK(PICTURE))
                              EVENT(LAST("STOP", USAGE ",")));
    w = new_output(true);
    some_answer(&w->in);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
    is_json(buf_str(&w->out));
    assert_true(str_starts(buf_str(&w->out), STR("[{")));
    assert_true(str_ends(buf_str(&w->out), STR("}]")));
    assert_true(str_find(buf_str(&w->out), STR("},\r\n{")) > 0);
    /* nothing was said at all */
    w = new_output(true);
    ir_finish(&w->in, IR_FINISH_FILTER, STR(""));
    write_one(w, &(struct ir_event){.type = IR_END, .usage = USAGE_NONE});
    is_quoted(buf_str(&w->out), "[" LAST("SAFETY", "") "]");
}

static void a_whole_answer_is_written(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    struct ir_fold f = {.arena = &arena};
    w->in.event = ir_fold_event;
    w->in.arg = &f;
    some_answer(&w->in);
    format_of(FORMAT_GENERATE)->write_answer(&w->o, &f.answer);
    arena_reset(&w->scratch);
    is_quoted(buf_str(&w->out),
              "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true,'thoughtSignature':"
              "'" MARKED "'},{'text':'Hel\\u006co'}," CALL_F "," CALL_G "," PICTURE
              "],'role':'model'},'finishReason':'STOP','index':0}]," USAGE
              ",'modelVersion':'m','responseId':'ID'}");
}

static void reasons_are_written(void **state)
{
    (void)state;
    static const char *const words[] = {
        [IR_FINISH_NONE] = "STOP",          [IR_FINISH_STOP] = "STOP",
        [IR_FINISH_SEQUENCE] = "STOP",      [IR_FINISH_LENGTH] = "MAX_TOKENS",
        [IR_FINISH_CONTEXT] = "MAX_TOKENS", [IR_FINISH_TOOLS] = "STOP",
        [IR_FINISH_FILTER] = "SAFETY",      [IR_FINISH_REFUSAL] = "SAFETY",
        [IR_FINISH_PAUSE] = "STOP",         [IR_FINISH_ERROR] = "OTHER",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct output *w = new_output(false);
        struct ir_answer a = {.finish = (enum ir_finish)i, .usage = USAGE_NONE};
        format_of(FORMAT_GENERATE)->write_answer(&w->o, &a);
        is_json(buf_str(&w->out));
        struct str want = arena_printf(&arena, "\"finishReason\":\"%s\"", words[i]);
        assert_true(str_find(buf_str(&w->out), want) > 0);
    }
}

/* Our own vendor's answer, written again for its own caller (it held another's mark): nothing twice. */
static void an_answer_through_both_sides_stays_the_same(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
    static const char *const parts[] = {
        CHUNK("{'text':'t','thought':true}"),
        CHUNK("{'functionCall':{'id':'a','name':'f','args':{'x':[1,'\\n']}},'thoughtSignature':'AA="
              "='}"),
        CHUNK("{'text':'z'}"),
        CHUNK("{'text':'','thoughtSignature':'BB=='}"),
    };
    struct buf want = {.arena = &arena};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_printf(&want, "data: %s\r\n\r\n", parts[i]);
        format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), quoted(parts[i]), true);
    }
    struct str last = quoted(LAST("STOP", USAGE ","));
    format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), last, true);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
    buf_printf(&want, "data: %.*s\r\n\r\n", STR_ARG(last));
    buf_addc(&want, 0);
    is_quoted(buf_str(&w->out), want.p);
}

/* A stream of many events takes no memory that lasts. */
static void long_streams_take_no_memory(void **state)
{
    (void)state;
    struct pool pool = {0};
    struct arena call = {.pool = &pool};
    struct output *w = new_output(false);
    w->o.arena = &call;
    w->in.arena = &call;
    w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
    struct str text = quoted(CHUNK("{'text':'word'}"));
    for (int i = 0; i < 20000; i++) {
        format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), text, true);
        w->out.n = 0;
    }
    assert_true(pool.lent <= 4096);
    arena_reset(&call);
    pool_trim(&pool, 0);
}

/* ---- anything ---- */

static uint32_t next_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

/* One value of the document replaced by one that does not belong there. */
static struct str mutate(struct str doc, uint32_t *seed)
{
    static const char *const values[] = {"null", "7",      "\"x\"",          "[]",
                                         "{}",   "[{}]",   "true",           "\"\"",
                                         "-1",   "[null]", "\"A-_\\u0041\"", "1e999"};
    size_t at = next_random(seed, (uint32_t)doc.n);
    ptrdiff_t colon = str_chr(str_from(doc, at), ':');
    if (colon < 0) {
        return doc;
    }
    at += (size_t)colon + 1;
    struct walk w = walk_at(str_from(doc, at));
    if (w.p >= doc.p + doc.n || json_type_of(*w.p) == JSON_NONE) {
        return doc; /* in a string */
    }
    struct str other = str_of(values[next_random(seed, sizeof values / sizeof *values)]);
    struct buf b = {.arena = &arena};
    buf_add(&b, str_first(doc, at));
    buf_add(&b, other);
    struct str value = walk_value(&w);
    buf_add(&b, str_from(doc, (size_t)(value.p + value.n - doc.p)));
    return json_scan(buf_str(&b), NULL, 0, NULL, NULL) == 0 ? buf_str(&b) : doc;
}

static void anything_is_survived(void **state)
{
    (void)state;
    static const char *const requests[] = {ONE, TWO};
    static const char *const answers[] = {
        QUOTA, LAST("STOP", USAGE ","), CHUNK(CALL_F "," CALL_G "," PICTURE),
        CHUNK("{'text':'t','thought':true,'thoughtSignature':'AA=='}")};
    uint32_t seed = 1, taken = 0;
    for (int i = 0; i < 20000; i++) {
        struct str body = quoted(requests[i % 2]);
        for (uint32_t n = 1 + next_random(&seed, 3); n; n--) {
            body = mutate(body, &seed);
        }
        struct ir_call c;
        ir_call_init(&c, &arena);
        if (format_of(FORMAT_GENERATE)->read_request(&c, body) == 0) {
            ir_call_finish(&c);
            write_as(FORMAT_GENERATE, &c, "gemini-3-x", QUIRK_GEMINI_3);
            write_as(FORMAT_CHAT, &c, "m", 0);
            taken++;
        }
        struct str answer = mutate(quoted(answers[i % 4]), &seed);
        struct ir_error e = {.status = 500};
        struct output *w = new_output(i % 3 == 0);
        w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
        format_of(FORMAT_GENERATE)->read_answer(&w->in, answer);
        format_of(FORMAT_GENERATE)->read_error(&arena, answer, true, &e);
        arena_reset(&arena);
    }
    assert_true(taken > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_whole_of_a_chat_request, reset),
        cmocka_unit_test_teardown(a_tool_loop, reset),
        cmocka_unit_test_teardown(choices_of_tools, reset),
        cmocka_unit_test_teardown(results_with_images_and_errors, reset),
        cmocka_unit_test_teardown(thinking_by_model, reset),
        cmocka_unit_test_teardown(structured_output, reset),
        cmocka_unit_test_teardown(what_gemini_refuses_is_not_sent, reset),
        cmocka_unit_test_teardown(a_request_of_an_sdk, reset),
        cmocka_unit_test_teardown(both_spellings_say_the_same, reset),
        cmocka_unit_test_teardown(ids_are_made_from_places, reset),
        cmocka_unit_test_teardown(chunks_are_joined_and_marks_taken_off, reset),
        cmocka_unit_test_teardown(signatures_go_back_to_their_issuer, reset),
        cmocka_unit_test_teardown(requests_that_are_wrong, reset),
        cmocka_unit_test_teardown(paths, reset),
        cmocka_unit_test_teardown(a_stream_is_read, reset),
        cmocka_unit_test_teardown(signatures_in_answers, reset),
        cmocka_unit_test_teardown(reasons_to_stop, reset),
        cmocka_unit_test_teardown(blocked_empty_and_odd_answers, reset),
        cmocka_unit_test_teardown(errors_are_read, reset),
        cmocka_unit_test_teardown(a_stream_is_written, reset),
        cmocka_unit_test_teardown(a_whole_answer_is_written, reset),
        cmocka_unit_test_teardown(reasons_are_written, reset),
        cmocka_unit_test_teardown(an_answer_through_both_sides_stays_the_same, reset),
        cmocka_unit_test_teardown(anything_is_survived, reset),
        cmocka_unit_test_teardown(long_streams_take_no_memory, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
