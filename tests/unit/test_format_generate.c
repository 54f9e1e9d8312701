/* gemini.generate through its row: requests both ways. */
#include "generatebench.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
