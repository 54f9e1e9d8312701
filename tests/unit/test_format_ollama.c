/* ollama.chat and ollama.generate through their rows. */
#include "formatbench.h"

#define LINE(content)                                                                              \
    "{'model':'asked','created_at':'2026-09-10T00:26:40Z','message':{'role':'assistant'," content

/* ---- requests ---- */

static void a_chat_of_everything_goes_out(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_OLLAMA,
            "{'model':'x','stream':true,'messages':["
            "{'role':'system','content':'one'},{'role':'system','content':'t\\u00e9\\nwo'},"
            "{'role':'user','content':[{'type':'text','text':'look'},"
            "{'type':'image_url','image_url':{'url':'data:image/png;base64,iVBORw0KGgoAAA=='}},"
            "{'type':'text','text':'here'}]},"
            "{'role':'assistant','content':'so','reasoning_content':'hm','tool_calls':["
            "{'id':'a1','type':'function','function':{'name':'f','arguments':'{\\'x\\':1.50}'}},"
            "{'id':'a2','type':'function','function':{'name':'g','arguments':''}}]},"
            "{'role':'tool','tool_call_id':'a2','content':'two'},"
            "{'role':'tool','tool_call_id':'a1','content':'one'},"
            "{'role':'user','content':'go on'}],"
            "'tools':[{'type':'function','function':{'name':'f','description':'does',"
            "'parameters':{'type':'object','properties':{'x':{'type':'number'}}}}},"
            "{'type':'function','function':{'name':'g'}}],"
            "'temperature':0.70,'top_p':0.9,'max_tokens':10,'seed':7,'stop':['a','b'],"
            "'presence_penalty':-0.5,'frequency_penalty':1,'top_k':40,'min_p':0.05}",
            "{'model':'m','messages':[{'role':'system','content':'one\\n\\nt\\u00e9\\nwo'},"
            "{'role':'user','content':'look\\n\\nhere','images':['iVBORw0KGgoAAA==']},"
            "{'role':'assistant','content':'so','thinking':'hm','tool_calls':["
            "{'id':'a1','function':{'index':0,'name':'f','arguments':{'x':1.50}}},"
            "{'id':'a2','function':{'index':1,'name':'g','arguments':{}}}]},"
            "{'role':'tool','content':'two','tool_name':'g','tool_call_id':'a2'},"
            "{'role':'tool','content':'one','tool_name':'f','tool_call_id':'a1'},"
            "{'role':'user','content':'go on'}],'stream':true,"
            "'tools':[{'type':'function','function':{'name':'f','description':'does',"
            "'parameters':{'type':'object','properties':{'x':{'type':'number'}}}}},"
            "{'type':'function','function':{'name':'g',"
            "'parameters':{'type':'object','properties':{}}}}],"
            "'options':{'num_predict':10,'temperature':0.70,'top_p':0.9,'top_k':40,'min_p':0.05,"
            "'seed':7,'presence_penalty':-0.5,'frequency_penalty':1,'stop':['a','b']}}",
            "");
}

/* Ollama streams unless it is told not to. */
static void stream_is_always_said(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_OLLAMA, "{'messages':[{'role':'user','content':'hi'}]}",
            "{'model':'m','messages':[{'role':'user','content':'hi'}],'stream':false}", "");
}

static void what_ollama_has_no_word_for_is_named(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_OLLAMA,
            "{'messages':[{'role':'user','content':[{'type':'text','text':'a'},"
            "{'type':'image_url','image_url':{'url':'https://x/y.png'}},"
            "{'type':'input_audio','input_audio':{'data':'AA','format':'wav'}},"
            "{'type':'file','file':{'filename':'a.pdf','file_data':"
            "'data:application/pdf;base64,AA'}}]}],"
            "'tools':[{'type':'function','function':{'name':'f','strict':true}},"
            "{'type':'function','function':{'name':'g'}}],"
            "'tool_choice':{'type':'function','function':{'name':'f'}},"
            "'parallel_tool_calls':false,'n':2,'user':'u','store':true}",
            "{'model':'m','messages':[{'role':'user','content':'a'}],'stream':false,"
            "'tools':[{'type':'function','function':{'name':'f',"
            "'parameters':{'type':'object','properties':{}}}}]}",
            "messages.content.image_url, messages.content[input_audio], messages.content[file], "
            "tools.function.strict, "
            "tool_choice, parallel_tool_calls, n, user, store");
}

static void no_tool_is_offered_when_none_may_be_called(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_OLLAMA,
            "{'messages':[{'role':'user','content':'a'}],"
            "'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'none'}",
            "{'model':'m','messages':[{'role':'user','content':'a'}],'stream':false}", "");
}

static void images_of_results_follow_in_the_users_message(void **state)
{
    (void)state;
    request(FORMAT_MESSAGES, FORMAT_OLLAMA,
            "{'max_tokens':5,'messages':[{'role':'assistant','content':["
            "{'type':'tool_use','id':'t1','name':'f','input':{}}]},{'role':'user','content':["
            "{'type':'tool_result','tool_use_id':'t1','is_error':true,'content':["
            "{'type':'text','text':'a'},{'type':'image','source':{'type':'base64',"
            "'media_type':'image/png','data':'AAAA'}}]},{'type':'text','text':'b'}]}]}",
            "{'model':'m','messages':[{'role':'assistant','content':'','tool_calls':["
            "{'id':'t1','function':{'index':0,'name':'f','arguments':{}}}]},"
            "{'role':'tool','content':'a','tool_name':'f','tool_call_id':'t1'},"
            "{'role':'user','content':'b','images':['AAAA']}],'stream':false,"
            "'options':{'num_predict':5}}",
            "messages.content.is_error");
}

static void thinking(const char *model, const char *ask, const char *want)
{
    const char *body = arena_dupz(&arena, arena_printf(&arena, "{'messages':[]%s}", ask));
    struct ir_call *c = read_as(FORMAT_CHAT, body, 0);
    is(write_as(FORMAT_OLLAMA, c, model),
       arena_dupz(&arena, arena_printf(&arena, "{'model':'%s','messages':[],'stream':false%s}",
                                       model, want)));
}

/* Only gpt-oss has levels; a model that has none refuses them. */
static void how_much_to_think(void **state)
{
    (void)state;
    thinking("qwen3", "", "");
    thinking("qwen3", ",'reasoning_effort':'none'", ",'think':false");
    thinking("qwen3", ",'reasoning_effort':'high'", ",'think':true");
    thinking("gpt-oss:20b", ",'reasoning_effort':'none'", ",'think':false");
    thinking("gpt-oss:20b", ",'reasoning_effort':'minimal'", ",'think':'low'");
    thinking("gpt-oss:20b", ",'reasoning_effort':'medium'", ",'think':'medium'");
    thinking("gpt-oss:20b", ",'reasoning_effort':'xhigh'", ",'think':'high'");
    thinking("gpt-oss:20b", ",'reasoning':{'max_tokens':1024}", ",'think':'low'");
}

static void formats(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_OLLAMA, "{'messages':[],'response_format':{'type':'json_object'}}",
            "{'model':'m','messages':[],'stream':false,'format':'json'}", "");
    request(FORMAT_CHAT, FORMAT_OLLAMA,
            "{'messages':[],'response_format':{'type':'json_schema','json_schema':"
            "{'name':'n','schema':{'type':'object'}}}}",
            "{'model':'m','messages':[],'stream':false,'format':{'type':'object'}}", "");
}

static void a_chat_comes_in(void **state)
{
    (void)state;
    request(FORMAT_OLLAMA, FORMAT_CHAT,
            "{'model':'x','stream':false,'keep_alive':'5m','format':{'type':'object'},"
            "'think':'high','options':{'num_predict':9,'temperature':0.1,'top_k':3,'num_ctx':4096,"
            "'repeat_penalty':1.1,'stop':['z']},'messages':[{'role':'system','content':'s'},"
            "{'role':'user','content':'see','images':['\\/9j\\/AA','iVBORw0KGgoB']},"
            "{'role':'assistant','content':'','thinking':'hm','tool_calls':["
            "{'function':{'name':'f','arguments':{'x':[1, 2]}}},"
            "{'function':{'name':'g','arguments':{}}},{'function':{'name':'f','arguments':{}}}]},"
            "{'role':'tool','tool_name':'f','content':'f1'},"
            "{'role':'tool','tool_name':'f','content':'f2'},"
            "{'role':'tool','tool_name':'g','content':'g1'}],"
            "'tools':[{'type':'function','function':{'name':'f','description':'d',"
            "'parameters':{'type':'object'}}}]}",
            "{'model':'m','messages':[{'role':'system','content':'s'},{'role':'user','content':["
            "{'type':'image_url','image_url':{'url':'data:image/jpeg;base64,\\/9j\\/AA'}},"
            "{'type':'image_url','image_url':{'url':'data:image/png;base64,iVBORw0KGgoB'}},"
            "{'type':'text','text':'see'}]},{'role':'assistant','content':null,'tool_calls':["
            "{'id':'call_2_0','type':'function','function':{'name':'f','arguments':"
            "'{\\'x\\':[1, 2]}'}},"
            "{'id':'call_2_1','type':'function','function':{'name':'g','arguments':'{}'}},"
            "{'id':'call_2_2','type':'function','function':{'name':'f','arguments':'{}'}}]},"
            "{'role':'tool','tool_call_id':'call_2_0','content':'f1'},"
            "{'role':'tool','tool_call_id':'call_2_2','content':'f2'},"
            "{'role':'tool','tool_call_id':'call_2_1','content':'g1'}],"
            "'tools':[{'type':'function','function':{'name':'f','description':'d',"
            "'parameters':{'type':'object'}}}],'response_format':{'type':'json_schema',"
            "'json_schema':{'name':'answer','schema':{'type':'object'}}},'reasoning_effort':'high',"
            "'max_tokens':9,'temperature':0.1,'top_k':3,'stop':['z']}",
            "keep_alive, options.num_ctx, options.repeat_penalty, messages.thinking");
}

/* Ids are kept where there are some; without a name or an id, the order counts. */
static void results_find_their_calls(void **state)
{
    (void)state;
    request(FORMAT_OLLAMA, FORMAT_OLLAMA,
            "{'messages':[{'role':'assistant','tool_calls':["
            "{'id':'q','function':{'index':0,'name':'f','arguments':{}}},"
            "{'function':{'index':1,'name':'f','arguments':{}}},"
            "{'function':{'index':2,'name':'g','arguments':{}}}]},"
            "{'role':'tool','tool_call_id':'q','content':'1'},{'role':'tool','content':'2'},"
            "{'role':'tool','content':'3'},{'role':'tool','tool_name':'h','content':'4'}]}",
            "{'model':'m','messages':[{'role':'assistant','content':'','tool_calls':["
            "{'id':'q','function':{'index':0,'name':'f','arguments':{}}},"
            "{'id':'call_0_1','function':{'index':1,'name':'f','arguments':{}}},"
            "{'id':'call_0_2','function':{'index':2,'name':'g','arguments':{}}}]},"
            "{'role':'tool','content':'1','tool_name':'f','tool_call_id':'q'},"
            "{'role':'tool','content':'2','tool_name':'f','tool_call_id':'call_0_1'},"
            "{'role':'tool','content':'3','tool_name':'g','tool_call_id':'call_0_2'},"
            "{'role':'tool','content':'4','tool_name':'h','tool_call_id':'h'}],'stream':false}",
            "");
}

static void think_is_a_flag_or_a_word(void **state)
{
    (void)state;
    request(FORMAT_OLLAMA, FORMAT_OLLAMA, "{'messages':[],'think':true}",
            "{'model':'m','messages':[],'stream':false,'think':true}", "");
    request(FORMAT_OLLAMA, FORMAT_OLLAMA, "{'messages':[],'think':false,'format':'json'}",
            "{'model':'m','messages':[],'stream':false,'format':'json','think':false}", "");
    request(FORMAT_OLLAMA, FORMAT_CHAT, "{'messages':[],'think':true,'format':''}",
            "{'model':'m','messages':[],'reasoning_effort':'medium'}", "");
    request(FORMAT_OLLAMA, FORMAT_CHAT, "{'messages':[],'options':{'num_predict':-1,'seed':null}}",
            "{'model':'m','messages':[]}", "");
}

static void a_prompt_comes_in(void **state)
{
    (void)state;
    request(FORMAT_OLLAMA_GENERATE, FORMAT_CHAT,
            "{'model':'x','prompt':'say \\u00e9','system':'s','images':['iVBORw0KGgoB'],"
            "'suffix':'z','template':'','context':[1,2],'raw':true,'format':'json',"
            "'options':{'num_predict':3},'think':'low','keep_alive':0}",
            "{'model':'m','messages':[{'role':'system','content':'s'},{'role':'user','content':["
            "{'type':'image_url','image_url':{'url':'data:image/png;base64,iVBORw0KGgoB'}},"
            "{'type':'text','text':'say \\u00e9'}]}],"
            "'response_format':{'type':'json_object'},'reasoning_effort':'low','max_tokens':3}",
            "suffix, context, raw, keep_alive");
    request(FORMAT_OLLAMA_GENERATE, FORMAT_OLLAMA,
            "{'prompt':'a','raw':false,'suffix':null,'context':[]}",
            "{'model':'m','messages':[{'role':'user','content':'a'}],'stream':false}", "");
}

static void wrong_requests_name_the_member(void **state)
{
    (void)state;
    refused(FORMAT_OLLAMA, "{}", "messages");
    refused(FORMAT_OLLAMA, "{'messages':{}}", "messages");
    refused(FORMAT_OLLAMA, "{'messages':[1]}", "messages[0]");
    refused(FORMAT_OLLAMA, "{'messages':[{'role':'user','content':[]}]}", "messages[0].content");
    refused(FORMAT_OLLAMA, "{'messages':[{'role':'bot'}]}", "messages[0].role");
    refused(FORMAT_OLLAMA, "{'messages':[{'role':'tool','content':'a'}]}", "messages[0].tool_name");
    refused(FORMAT_OLLAMA, "{'messages':[{'role':'user','images':'a'}]}", "messages.images");
    refused(FORMAT_OLLAMA, "{'messages':[{'role':'assistant','tool_calls':[{}]}]}",
            "messages[0].tool_calls");
    refused(FORMAT_OLLAMA, "{'messages':[],'options':[]}", "options");
    refused(FORMAT_OLLAMA, "{'messages':[],'options':{'seed':'x'}}", "options.seed");
    refused(FORMAT_OLLAMA, "{'messages':[],'options':{'stop':[1]}}", "options.stop");
    refused(FORMAT_OLLAMA, "{'messages':[],'format':'xml'}", "format");
    refused(FORMAT_OLLAMA, "{'messages':[],'format':3}", "format");
    refused(FORMAT_OLLAMA, "{'messages':[],'think':'loud'}", "think");
    refused(FORMAT_OLLAMA_GENERATE, "{'prompt':''}", "prompt");
    refused(FORMAT_OLLAMA_GENERATE, "{'prompt':['a']}", "prompt");
}

/* ---- answers from an Ollama ---- */

#define FROM "{'model':'llama3.2','created_at':'2026-01-01T00:00:00.123456Z',"

static const char stream_in[] =
    FROM "'message':{'role':'assistant','content':'','thinking':'h'},'done':false}\n" FROM
         "'message':{'role':'assistant','content':'','thinking':'m'},'done':false}\n" FROM
         "'message':{'role':'assistant','content':'Hel'},'done':false}\n"
         "\n" FROM "'message':{'role':'assistant','content':'lo \\u00e9'},'done':false}\n" FROM
         "'message':{'role':'assistant','content':'','tool_calls':["
         "{'function':{'index':0,'name':'f','arguments':{'a':'x\\'y'}}},"
         "{'id':'call_z','function':{'index':1,'name':'g','arguments':{}}}]},'done':false}\n" FROM
         "'message':{'role':'assistant','content':''},'done_reason':'stop','done':true,"
         "'total_duration':5,'load_duration':1,'prompt_eval_count':26,'prompt_eval_duration':1,"
         "'eval_count':298,'eval_duration':2}\n";

static const char whole_in[] =
    FROM "'message':{'tool_calls':["
         "{'function':{'index':0,'name':'f','arguments':{'a':'x\\'y'}}},"
         "{'id':'call_z','function':{'index':1,'name':'g','arguments':{}}}],"
         "'role':'assistant','content':'Hello \\u00e9','thinking':'hm'},'done_reason':'stop',"
         "'done':true,'total_duration':5,'prompt_eval_count':26,'eval_count':298}";

/* The reason is "stop" also when tools were called. */
static void the_folded_stream_is_the_whole_answer(void **state)
{
    (void)state;
    const char *want = "K[hm] T[Hello \\u00e9] C[f {'a':'x\\'y'}] C[g {}] 5 26/298";
    struct answer *a = stream(FORMAT_OLLAMA, FORMAT_CHAT, stream_in);
    assert_true(a->in.ended && a->in.finished && !a->in.failed);
    is(summary(a), want);
    a = whole(FORMAT_OLLAMA, FORMAT_CHAT, whole_in);
    is(summary(a), want);
}

static void an_answer_goes_to_openai(void **state)
{
    (void)state;
    wholes(FORMAT_OLLAMA, FORMAT_CHAT, whole_in,
           "{'id':'chatcmpl-ABC','object':'chat.completion','created':1789000000,'model':'asked',"
           "'choices':[{'index':0,'message':{'role':'assistant','content':'Hello \\u00e9',"
           "'refusal':null,'reasoning_content':'hm','tool_calls':[{'id':'call_ABC2',"
           "'type':'function','function':{'name':'f','arguments':'{\\'a\\':\\'x\\\\\\'y\\'}'}},"
           "{'id':'call_z','type':'function','function':{'name':'g','arguments':'{}'}}]},"
           "'logprobs':null,'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':26,"
           "'completion_tokens':298,'total_tokens':324,'prompt_tokens_details':"
           "{'cached_tokens':0,'cache_write_tokens':0},'completion_tokens_details':{'reasoning_"
           "tokens':0}}}");
}

static void how_answers_end(void **state)
{
    (void)state;
    is(summary(whole(FORMAT_OLLAMA, FORMAT_CHAT,
                     FROM "'message':{'content':'a'},'done':true,'done_reason':'length'}")),
       "T[a] 3 -1/-1");
    /* asked for a whole answer, a server need not say that it is done */
    is(summary(whole(FORMAT_OLLAMA, FORMAT_CHAT, FROM "'message':{'content':'a'}}")),
       "T[a] 1 -1/-1");
    struct answer *a =
        stream(FORMAT_OLLAMA, FORMAT_CHAT, FROM "'message':{'content':'a'},'done':false}\n");
    assert_false(a->in.finished || a->in.ended);
    is(summary(stream(FORMAT_OLLAMA, FORMAT_CHAT, FROM "'done':true,'done_reason':'load'}\n")),
       "1 -1/-1");
    /* what comes behind the end has no place */
    is(summary(stream(FORMAT_OLLAMA, FORMAT_CHAT,
                      FROM "'message':{'content':'a'},'done':true}\n" FROM
                           "'message':{'content':'b'},'done':true,'eval_count':9}\n")),
       "T[a] 1 -1/-1");
}

static void a_line_may_be_an_error(void **state)
{
    (void)state;
    struct answer *a = stream(FORMAT_OLLAMA, FORMAT_CHAT,
                              FROM "'message':{'content':'a'},'done':false}\n"
                                   "{'error':'an error was \\'met\\''}\n");
    assert_true(a->in.failed);
    is(a->in.error.message, "an error was 'met'");
    assert_int_equal(a->in.error.status, 500);
    a = whole(FORMAT_OLLAMA, FORMAT_CHAT, "{'error':'busy','status':503}");
    assert_true(a->in.failed);
    assert_int_equal(a->in.error.status, 503);
    assert_false(stream(FORMAT_OLLAMA, FORMAT_CHAT, "{'error':null,'done':true}\n")->in.failed);
    assert_false(stream(FORMAT_OLLAMA, FORMAT_CHAT, "{'error':'','done':true}\n")->in.failed);
}

static void error_bodies(void **state)
{
    (void)state;
    struct ir_error e = {.status = 404};
    format_of(FORMAT_OLLAMA)
        ->read_error(&arena, quoted("{'error':'model \\'x\\' not found'}"), true, &e);
    is(e.message, "model 'x' not found");
    assert_int_equal(e.status, 404);
    e = (struct ir_error){.status = 500};
    format_of(FORMAT_OLLAMA)
        ->read_error(&arena, quoted("{'error':{'message':'m','code':'c','type':'t'}}"), true, &e);
    is(e.message, "m");
    is(e.code, "c");
    format_of(FORMAT_OLLAMA)->read_error(&arena, STR("<html>"), false, &e);
    format_of(FORMAT_OLLAMA)->read_error(&arena, STR("[1]"), true, &e);
}

static void strange_answers_do_no_harm(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{'message':[],'done':1,'model':3}",
        "{'message':{'content':{},'thinking':[],'tool_calls':{},'images':3},'done':true}",
        ("{'message':{'tool_calls':[1,[],{},{'function':3},{'function':{'arguments':'{'}}]},"
         "'done':true}"),
        "{'done':true,'eval_count':'x','prompt_eval_count':-4,'done_reason':{}}",
        "{'message':{'images':['',3,'AA']},'done':true,'logprobs':[]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        whole(FORMAT_OLLAMA, FORMAT_OLLAMA, texts[i]);
        stream(FORMAT_OLLAMA, FORMAT_OLLAMA_GENERATE, texts[i]);
    }
}

/* ---- answers to an Ollama client ---- */

#define SSE(json) "data: " json "\n\n"

static void a_stream_goes_to_ollama(void **state)
{
    (void)state;
    streams(FORMAT_CHAT, FORMAT_OLLAMA,
            SSE("{'choices':[{'index':0,'delta':{'role':'assistant','reasoning_content':'hm'}}]}")
                SSE("{'choices':[{'index':0,'delta':{'content':'He \\u00e9'}}]}")
                    SSE("{'choices':[{'index':0,'delta':{'content':'llo'}}]}")
                        SSE("{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'t',"
                            "'function':{'name':'f','arguments':'{\\n'}}]}}]}")
                            SSE("{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,"
                                "'function':{'arguments':'\\'a\\':\\'x\\\\ny\\'}'}}]}}]}")
                                SSE("{'choices':[{'index':0,'delta':{'tool_calls':[{'index':1,"
                                    "'id':'u','function':{'name':'g','arguments':''}}]}}]}")
                                    SSE("{'choices':[{'index':0,'delta':{},"
                                        "'finish_reason':'tool_calls'}]}")
                                        SSE("{'choices':[],'usage':{'prompt_tokens':3,"
                                            "'completion_tokens':4}}") SSE("[DONE]"),
            LINE("'content':'','thinking':'hm'},'done':false}\n") LINE(
                "'content':'He \\u00e9'},'done':false}\n") LINE("'content':'llo'},'done':false}\n")
                LINE("'content':'','tool_calls':[{'id':'t','function':{'index':0,'name':'f',"
                     "'arguments':{ 'a':'x\\ny'}}}]},'done':false}\n")
                    LINE("'content':'','tool_calls':[{'id':'u','function':{'index':1,'name':'g',"
                         "'arguments':{}}}]},'done':false}\n")
                        LINE("'content':''},'done':true,'done_reason':'stop','prompt_eval_count':3,"
                             "'eval_count':4}\n"));
}

static void a_whole_answer_goes_to_ollama(void **state)
{
    (void)state;
    wholes(FORMAT_CHAT, FORMAT_OLLAMA,
           "{'choices':[{'index':0,'message':{'content':'a','reasoning_content':'b',"
           "'tool_calls':[{'id':'t','function':{'name':'f','arguments':'{\\n\\'x\\':1}'}}]},"
           "'finish_reason':'length'}],'usage':{'prompt_tokens':3,'completion_tokens':4}}",
           LINE("'content':'a','thinking':'b','tool_calls':[{'id':'t','function':{'index':0,"
                "'name':'f','arguments':{ 'x':1}}}]},'done':true,'done_reason':'length',"
                "'prompt_eval_count':3,'eval_count':4}"));
}

static void answers_to_a_prompt(void **state)
{
    (void)state;
    static const char front[] = "{'model':'asked','created_at':'2026-09-10T00:26:40Z',";
    char want[1024];
    snprintf(want, sizeof want,
             "%s'response':'','thinking':'hm','done':false}\n%s'response':'Hi','done':false}\n"
             "%s'response':'','done':true,'done_reason':'length','prompt_eval_count':3,"
             "'eval_count':4}\n",
             front, front, front);
    streams(FORMAT_CHAT, FORMAT_OLLAMA_GENERATE,
            SSE("{'choices':[{'index':0,'delta':{'reasoning_content':'hm'}}]}")
                SSE("{'choices':[{'index':0,'delta':{'content':'Hi'},'finish_reason':'length'}],"
                    "'usage':{'prompt_tokens':3,'completion_tokens':4}}") SSE("[DONE]"),
            want);
    snprintf(want, sizeof want,
             "%s'response':'Hi','thinking':'hm','done':true,'done_reason':'stop'}", front);
    wholes(FORMAT_CHAT, FORMAT_OLLAMA_GENERATE,
           "{'choices':[{'index':0,'message':{'content':'Hi','reasoning_content':'hm'},"
           "'finish_reason':'stop'}]}",
           want);
}

static void signatures_and_images_are_counted_as_lost(void **state)
{
    (void)state;
    struct answer *a =
        whole(FORMAT_MESSAGES, FORMAT_OLLAMA,
              "{'id':'m','type':'message','content':[{'type':'thinking','thinking':'t',"
              "'signature':'sig'},{'type':'text','text':'a'}],'stop_reason':'end_turn'}");
    assert_int_equal(a->out.lost, 1);
    is(buf_str(&a->text), LINE("'content':'a','thinking':'t'},'done':true,'done_reason':'stop'}"));
}

static void counts_of_an_answer(void **state)
{
    (void)state;
    struct usage u = USAGE_NONE;
    const struct dialect *d = dialect_of(FAMILY_OLLAMA);
    assert_false(d->event(quoted("{'message':{'content':'a'},'done':false}"), &u));
    assert_int_equal(u.input, -1);
    assert_true(d->event(quoted("{'done':true,'prompt_eval_count':3,'eval_count':4}"), &u));
    assert_int_equal(u.input, 3);
    assert_int_equal(u.output, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_chat_of_everything_goes_out, reset),
        cmocka_unit_test_setup(stream_is_always_said, reset),
        cmocka_unit_test_setup(what_ollama_has_no_word_for_is_named, reset),
        cmocka_unit_test_setup(no_tool_is_offered_when_none_may_be_called, reset),
        cmocka_unit_test_setup(images_of_results_follow_in_the_users_message, reset),
        cmocka_unit_test_setup(how_much_to_think, reset),
        cmocka_unit_test_setup(formats, reset),
        cmocka_unit_test_setup(a_chat_comes_in, reset),
        cmocka_unit_test_setup(results_find_their_calls, reset),
        cmocka_unit_test_setup(think_is_a_flag_or_a_word, reset),
        cmocka_unit_test_setup(a_prompt_comes_in, reset),
        cmocka_unit_test_setup(wrong_requests_name_the_member, reset),
        cmocka_unit_test_setup(the_folded_stream_is_the_whole_answer, reset),
        cmocka_unit_test_setup(an_answer_goes_to_openai, reset),
        cmocka_unit_test_setup(how_answers_end, reset),
        cmocka_unit_test_setup(a_line_may_be_an_error, reset),
        cmocka_unit_test_setup(error_bodies, reset),
        cmocka_unit_test_setup(strange_answers_do_no_harm, reset),
        cmocka_unit_test_setup(a_stream_goes_to_ollama, reset),
        cmocka_unit_test_setup(a_whole_answer_goes_to_ollama, reset),
        cmocka_unit_test_setup(answers_to_a_prompt, reset),
        cmocka_unit_test_setup(signatures_and_images_are_counted_as_lost, reset),
        cmocka_unit_test_setup(counts_of_an_answer, reset),
    };
    return cmocka_run_group_tests(tests, NULL, reset);
}
