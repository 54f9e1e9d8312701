/* cohere.chat (v2) through its row. */
#include "formatbench.h"

/* ---- requests ---- */

static void a_chat_of_everything_goes_out(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_COHERE,
            "{'model':'x','stream':true,'messages':["
            "{'role':'system','content':'t\\u00e9\\nwo'},"
            "{'role':'user','content':[{'type':'text','text':'look'},"
            "{'type':'image_url','image_url':{'url':'data:image/png;base64,AA==','detail':'low'}},"
            "{'type':'image_url','image_url':{'url':'https://x/y.png'}}]},"
            "{'role':'assistant','content':'so','reasoning_content':'hm','tool_calls':["
            "{'id':'a1','type':'function','function':{'name':'f','arguments':'{\\'x\\':1.50}'}},"
            "{'id':'a2','type':'function','function':{'name':'g','arguments':''}}]},"
            "{'role':'tool','tool_call_id':'a1','content':'one'},"
            "{'role':'tool','tool_call_id':'a2','content':[{'type':'text','text':'t'},"
            "{'type':'text','text':'wo'}]},{'role':'user','content':'go on'},"
            "{'role':'assistant','content':'done','reasoning_content':'well'},"
            "{'role':'user','content':'ok'}],"
            "'tools':[{'type':'function','function':{'name':'f','description':'does','strict':true,"
            "'parameters':{'type':'object','properties':{'x':{'type':'number'}}}}}],"
            "'tool_choice':'required','temperature':0.70,'top_p':0.9,'max_tokens':10,'seed':7,"
            "'stop':['a','b'],'presence_penalty':0.5,'frequency_penalty':1,'top_k':40,"
            "'logprobs':true,'reasoning_effort':'low'}",
            "{'model':'m','messages':[{'role':'system','content':'t\\u00e9\\nwo'},"
            "{'role':'user','content':[{'type':'text','text':'look'},"
            "{'type':'image_url','image_url':{'url':'data:image/png;base64,AA==','detail':'low'}},"
            "{'type':'image_url','image_url':{'url':'https://x/y.png'}}]},"
            "{'role':'assistant','content':[{'type':'thinking','thinking':'hm'}],'tool_plan':'so',"
            "'tool_calls':["
            "{'id':'a1','type':'function','function':{'name':'f','arguments':'{\\'x\\':1.50}'}},"
            "{'id':'a2','type':'function','function':{'name':'g','arguments':'{}'}}]},"
            "{'role':'tool','tool_call_id':'a1','content':'one'},"
            "{'role':'tool','tool_call_id':'a2','content':[{'type':'text','text':'t'},"
            "{'type':'text','text':'wo'}]},{'role':'user','content':'go on'},"
            "{'role':'assistant','content':[{'type':'thinking','thinking':'well'},"
            "{'type':'text','text':'done'}]},{'role':'user','content':'ok'}],"
            "'tools':[{'type':'function','function':{'name':'f','description':'does',"
            "'parameters':{'type':'object','properties':{'x':{'type':'number'}}}}}],"
            "'strict_tools':true,'tool_choice':'REQUIRED',"
            "'thinking':{'type':'enabled','token_budget':2048},'max_tokens':10,'temperature':0.70,"
            "'p':0.9,'k':40,'seed':7,'presence_penalty':0.5,'frequency_penalty':1,'logprobs':true,"
            "'stop_sequences':['a','b'],'stream':true}",
            "");
}

static void what_cohere_has_no_word_for_is_named(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_COHERE,
            "{'messages':[{'role':'user','content':["
            "{'type':'input_audio','input_audio':{'data':'AA','format':'wav'}},"
            "{'type':'file','file':{'filename':'a.pdf','file_data':"
            "'data:application/pdf;base64,AA'}}]}],"
            "'tools':[{'type':'function','function':{'name':'f','strict':true}},"
            "{'type':'function','function':{'name':'g'}}],'parallel_tool_calls':false,"
            "'response_format':{'type':'json_object'},'top_p':1,'top_k':1000,"
            "'presence_penalty':-1,'frequency_penalty':2,'stop':['1','2','3','4','5','6'],"
            "'n':2,'min_p':0.1,'verbosity':'low'}",
            "{'model':'m','messages':[{'role':'user','content':''}],"
            "'tools':[{'type':'function','function':{'name':'f',"
            "'parameters':{'type':'object','properties':{}}}},"
            "{'type':'function','function':{'name':'g',"
            "'parameters':{'type':'object','properties':{}}}}],'p':0.99,'k':500,"
            "'frequency_penalty':1,'stop_sequences':['1','2','3','4','5']}",
            "messages.content[input_audio], messages.content[file], parallel_tool_calls, "
            "tools.function.strict, response_format, top_p>0.99, top_k>500, presence_penalty, "
            "frequency_penalty>1, stop[5], min_p, n, verbosity");
}

/* One tool alone that must be called. */
static void a_certain_tool_is_asked_for(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_COHERE,
            "{'messages':[],'tools':[{'type':'function','function':{'name':'f'}},"
            "{'type':'function','function':{'name':'g'}}],"
            "'tool_choice':{'type':'function','function':{'name':'g'}}}",
            "{'model':'m','messages':[],'tools':[{'type':'function','function':{'name':'g',"
            "'parameters':{'type':'object','properties':{}}}}],'tool_choice':'REQUIRED'}",
            "");
    request(FORMAT_CHAT, FORMAT_COHERE,
            "{'messages':[],'tools':[{'type':'function','function':{'name':'f'}}],"
            "'tool_choice':'none'}",
            "{'model':'m','messages':[],'tools':[{'type':'function','function':{'name':'f',"
            "'parameters':{'type':'object','properties':{}}}}],'tool_choice':'NONE'}",
            "");
}

static void images_of_results_follow_in_the_users_message(void **state)
{
    (void)state;
    request(FORMAT_MESSAGES, FORMAT_COHERE,
            "{'max_tokens':5,'messages':[{'role':'assistant','content':["
            "{'type':'text','text':'a'},{'type':'text','text':'b'},"
            "{'type':'tool_use','id':'t1','name':'f','input':{}}]},{'role':'user','content':["
            "{'type':'tool_result','tool_use_id':'t1','is_error':true,'content':["
            "{'type':'text','text':'a'},{'type':'image','source':{'type':'base64',"
            "'media_type':'image/png','data':'AAAA'}}]},{'type':'text','text':'b'}]}]}",
            "{'model':'m','messages':[{'role':'assistant','tool_plan':'a\\n\\nb','tool_calls':["
            "{'id':'t1','type':'function','function':{'name':'f','arguments':'{}'}}]},"
            "{'role':'tool','tool_call_id':'t1','content':'a'},"
            "{'role':'user','content':[{'type':'image_url','image_url':{'url':"
            "'data:image/png;base64,AAAA'}},{'type':'text','text':'b'}]}],'max_tokens':5}",
            "messages.content.is_error");
}

static void formats_and_thinking(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_COHERE, "{'messages':[],'response_format':{'type':'json_object'}}",
            "{'model':'m','messages':[],'response_format':{'type':'json_object'}}", "");
    request(FORMAT_CHAT, FORMAT_COHERE,
            "{'messages':[],'response_format':{'type':'json_schema','json_schema':"
            "{'name':'n','schema':{'type':'object'}}},'reasoning_effort':'none'}",
            "{'model':'m','messages':[],'response_format':{'type':'json_object',"
            "'json_schema':{'type':'object'}},'thinking':{'type':'disabled'}}",
            "");
    request(FORMAT_OLLAMA, FORMAT_COHERE, "{'messages':[],'think':true}",
            "{'model':'m','messages':[],'thinking':{'type':'enabled'}}", "");
    request(FORMAT_COHERE, FORMAT_COHERE,
            "{'messages':[],'thinking':{'type':'enabled','token_budget':99}}",
            "{'model':'m','messages':[],'thinking':{'type':'enabled','token_budget':99}}", "");
    request(FORMAT_COHERE, FORMAT_CHAT, "{'messages':[],'thinking':{'type':'disabled'}}",
            "{'model':'m','messages':[],'reasoning_effort':'none'}", "");
}

static void a_chat_comes_in(void **state)
{
    (void)state;
    request(
        FORMAT_COHERE, FORMAT_CHAT,
        "{'model':'x','stream':false,'messages':[{'role':'system','content':["
        "{'type':'text','text':'s'}]},{'role':'user','content':[{'type':'text','text':'see'},"
        "{'type':'image_url','image_url':{'url':'data:image/png;base64,AA==','detail':'high'}}]},"
        "{'role':'assistant','tool_plan':'I will','content':[{'type':'thinking','thinking':'h'}],"
        "'citations':[{'start':0}],'tool_calls':["
        "{'id':'f_1','type':'function','function':{'name':'f','arguments':'{\\'x\\':1}'}},"
        "{'id':'g_1','type':'function','function':{'name':'g','arguments':'{}'}}]},"
        "{'role':'tool','tool_call_id':'g_1','content':'G'},"
        "{'role':'tool','tool_call_id':'f_1','content':[{'type':'text','text':'F'},"
        "{'type':'document','document':{'id':'d','data':{'a':'b'}}}]},"
        "{'role':'assistant','content':'fine'},{'role':'user','content':'bye'}],"
        "'tools':[{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}],"
        "'strict_tools':true,'tool_choice':'REQUIRED','documents':['a'],"
        "'citation_options':{'mode':'off'},'safety_mode':'NONE','priority':1,"
        "'response_format':{'type':'json_object','schema':{'type':'object'}},"
        "'max_tokens':9,'temperature':0.30,'p':0.5,'k':3,'seed':1,'stop_sequences':['z']}",
        "{'model':'m','messages':[{'role':'system','content':'s'},{'role':'user','content':["
        "{'type':'text','text':'see'},{'type':'image_url','image_url':{'url':"
        "'data:image/png;base64,AA==','detail':'high'}}]},"
        "{'role':'assistant','content':'I will','tool_calls':["
        "{'id':'f_1','type':'function','function':{'name':'f','arguments':'{\\'x\\':1}'}},"
        "{'id':'g_1','type':'function','function':{'name':'g','arguments':'{}'}}]},"
        "{'role':'tool','tool_call_id':'g_1','content':'G'},"
        "{'role':'tool','tool_call_id':'f_1','content':[{'type':'text','text':'F'},"
        "{'type':'text','text':'{\\'a\\':\\'b\\'}'}]},"
        "{'role':'assistant','content':'fine'},{'role':'user','content':'bye'}],"
        "'tools':[{'type':'function','function':{'name':'f','parameters':{'type':'object'},"
        "'strict':true}}],'tool_choice':'required','response_format':{'type':'json_schema',"
        "'json_schema':{'name':'answer','schema':{'type':'object'}}},"
        "'max_tokens':9,'temperature':0.30,'top_p':0.5,'top_k':3,'seed':1,'stop':['z']}",
        "messages.citations, messages.content.document.id, documents, citation_options, "
        "safety_mode, priority, messages.content[thinking]");
}

static void a_plan_stays_a_plan(void **state)
{
    (void)state;
    static const char body[] =
        "{'model':'m','messages':[{'role':'assistant','content':[{'type':'thinking',"
        "'thinking':'h'}],'tool_plan':'I will','tool_calls':[{'id':'f_1','type':'function',"
        "'function':{'name':'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':'f_1',"
        "'content':'F'}],'tools':[{'type':'function','function':{'name':'f','parameters':"
        "{'type':'object'}}}],'strict_tools':false,'tool_choice':'NONE','p':0.5}";
    request(FORMAT_COHERE, FORMAT_COHERE, body, body, "");
}

static void wrong_requests_name_the_member(void **state)
{
    (void)state;
    refused(FORMAT_COHERE, "{}", "messages");
    refused(FORMAT_COHERE, "{'messages':''}", "messages");
    refused(FORMAT_COHERE, "{'messages':[[]]}", "messages[0]");
    refused(FORMAT_COHERE, "{'messages':[{'role':'bot'}]}", "messages[0].role");
    refused(FORMAT_COHERE, "{'messages':[{'role':'user','content':1}]}", "messages[0].content");
    refused(FORMAT_COHERE, "{'messages':[{'role':'user','content':[{'type':'video'}]}]}",
            "messages[0].content");
    refused(FORMAT_COHERE, "{'messages':[{'role':'user'},{'role':'tool','content':'a'}]}",
            "messages[1].tool_call_id");
    refused(FORMAT_COHERE,
            "{'messages':[{'role':'assistant','tool_calls':[{'function':{'name':'f'}}]}]}",
            "messages[0].tool_calls");
    refused(FORMAT_COHERE, "{'messages':[],'tool_choice':'auto'}", "tool_choice");
    refused(FORMAT_COHERE, "{'messages':[],'thinking':{'type':'x'}}", "thinking.type");
    refused(FORMAT_COHERE, "{'messages':[],'response_format':{}}", "response_format.type");
    refused(FORMAT_COHERE, "{'messages':[],'k':'3'}", "k");
    refused(FORMAT_COHERE, "{'messages':[],'stop_sequences':3}", "stop_sequences");
}

/* ---- answers from Cohere ---- */

#define EVENT(type, rest) "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"

static const char tool_stream[] = EVENT(
    "message-start", ",'id':'c14','delta':{'message':{'role':'assistant','content':[],"
                     "'tool_plan':'','tool_calls':[],'citations':[]}}")
    EVENT("content-start",
          ",'index':0,'delta':{'message':{'content':{'type':'thinking',"
          "'thinking':''}}}") EVENT("content-delta",
                                    ",'index':0,'delta':{'message':{'content':{'thinking':'hm'}}}")
        EVENT("content-end", ",'index':0") EVENT("tool-plan-delta",
                                                 ",'delta':{'message':{'tool_plan':'I will '}}")
            EVENT("tool-plan-delta", ",'delta':{'message':{'tool_plan':'look'}}") EVENT(
                "tool-call-start", ",'index':0,'delta':{'message':{'tool_calls':{'id':'f_1',"
                                   "'type':'function','function':{'name':'f','arguments':''}}}}")
                EVENT("tool-call-delta", ",'index':0,'delta':{'message':{'tool_calls':{'function':"
                                         "{'arguments':'{\\n\\'a\\':'}}}}")
                    EVENT("tool-call-delta",
                          ",'index':0,'delta':{'message':{'tool_calls':{'function':"
                          "{'arguments':' 1}'}}}}") EVENT("tool-call-end", ",'index':0")
                        EVENT("tool-call-start",
                              ",'index':1,'delta':{'message':{'tool_calls':{'id':'g_1',"
                              "'type':'function','function':{'name':'g','arguments':''}}}}")
                            EVENT("tool-call-end", ",'index':1") EVENT(
                                "message-end",
                                ",'delta':{'finish_reason':'TOOL_CALL','usage':{'billed_units':"
                                "{'input_tokens':45,'output_tokens':29},'tokens':{'input_tokens':"
                                "981,"
                                "'output_tokens':65},'cached_tokens':320}}") "data: [DONE]\n\n";

static const char tool_answer[] =
    "{'id':'c14','finish_reason':'TOOL_CALL','message':{'role':'assistant','tool_calls':["
    "{'id':'f_1','type':'function','function':{'name':'f','arguments':'{\\n\\'a\\': 1}'}},"
    "{'id':'g_1','type':'function','function':{'name':'g','arguments':''}}],"
    "'tool_plan':'I will look','content':[{'type':'thinking','thinking':'hm'}]},"
    "'usage':{'billed_units':{'input_tokens':45,'output_tokens':29},'tokens':"
    "{'input_tokens':981,'output_tokens':65},'cached_tokens':320}}";

static void the_folded_stream_is_the_whole_answer(void **state)
{
    (void)state;
    const char *want = "K[hm] T[I will look] C[f {\n'a': 1}] C[g {}] 5 981/65";
    struct answer *a = stream(FORMAT_COHERE, FORMAT_CHAT, tool_stream);
    assert_true(a->in.ended && !a->in.failed);
    is(summary(a), want);
    assert_int_equal(a->in.usage.cache_read, 320);
    a = whole(FORMAT_COHERE, FORMAT_CHAT, tool_answer);
    is(summary(a), want);
    assert_int_equal(a->in.usage.cache_read, 320);
}

static const char text_stream[] = EVENT("message-start",
                                        ",'id':'c','delta':{'message':{'role':'assistant'}}")
    EVENT("content-start", ",'index':0,'delta':{'message':{'content':{'type':'text','text':'A'}}}")
        EVENT("content-delta", ",'index':0,'delta':{'message':{'content':{'text':' \\u00e9'}}}")
            EVENT("citation-start",
                  ",'index':0,'delta':{'message':{'citations':{'start':0,'end':1}}}")
                EVENT("citation-end", ",'index':0") EVENT("debug", ",'prompt':'x'")
                    EVENT("content-end", ",'index':0") EVENT(
                        "content-start",
                        ",'index':1,'delta':{'message':{'content':{'type':'text','text':''}}}")
                        EVENT("content-delta",
                              ",'index':1,'delta':{'message':{'content':{'text':'b'}}}")
                            EVENT("content-end", ",'index':1") EVENT(
                                "message-end",
                                ",'delta':{'finish_reason':'COMPLETE','usage':{'billed_units':"
                                "{'input_tokens':4,'output_tokens':2}}}");

/* Two contents are two blocks; what is billed stands in where nothing else is told. */
static void a_text_with_citations(void **state)
{
    (void)state;
    struct answer *a = stream(FORMAT_COHERE, FORMAT_CHAT, text_stream);
    is(summary(a), "T[A \\u00e9] T[b] 1 4/2");
    assert_true(a->in.lost > 0 && a->in.ended);
    a = whole(FORMAT_COHERE, FORMAT_CHAT,
              "{'id':'c','finish_reason':'COMPLETE','message':{'role':'assistant','content':["
              "{'type':'text','text':'A \\u00e9'},{'type':'text','text':'b'}],'citations':"
              "[{'start':0}]},'usage':{'billed_units':{'input_tokens':4,'output_tokens':2}}}");
    is(summary(a), "T[A \\u00e9] T[b] 1 4/2");
    assert_int_equal(a->in.lost, 1);
}

static void ends_as(const char *word, enum ir_finish want)
{
    char body[256];
    snprintf(body, sizeof body, "{'id':'c','message':{'content':[]},'finish_reason':'%s'}", word);
    struct answer *a = whole(FORMAT_COHERE, FORMAT_CHAT, body);
    assert_false(a->in.failed);
    assert_int_equal(a->fold.answer.finish, want);
}

static void how_answers_end(void **state)
{
    (void)state;
    ends_as("COMPLETE", IR_FINISH_STOP);
    ends_as("STOP_SEQUENCE", IR_FINISH_SEQUENCE);
    ends_as("MAX_TOKENS", IR_FINISH_LENGTH);
    ends_as("TOOL_CALL", IR_FINISH_TOOLS);
    ends_as("SOMETHING_NEW", IR_FINISH_STOP);
    struct answer *a =
        stream(FORMAT_COHERE, FORMAT_CHAT,
               EVENT("content-delta", ",'index':0,'delta':{'message':{'content':{'text':'a'}}}"));
    assert_false(a->in.finished || a->in.ended);
}

static void fails_as(const char *wire, unsigned status, const char *message)
{
    struct answer *a = stream(FORMAT_COHERE, FORMAT_CHAT, wire);
    assert_true(a->in.failed);
    assert_false(a->in.finished);
    assert_int_equal(a->in.error.status, status);
    is(a->in.error.message, message);
}

static void errors_in_streams(void **state)
{
    (void)state;
    fails_as(EVENT("message-end", ",'delta':{'finish_reason':'ERROR','error':'it \\u0062roke'}"),
             502, "it broke");
    fails_as(EVENT("message-end", ",'delta':{'error':'no'}"), 502, "no");
    fails_as(EVENT("message-end", ",'delta':{'finish_reason':'TIMEOUT'}"), 504,
             "The provider ended its answer because it took too long.");
    fails_as("data: {'message':'too many requests'}\n\n", 500, "too many requests");
    fails_as("event: error\ndata: {'message':'gone'}\n\n", 500, "gone");
    assert_true(whole(FORMAT_COHERE, FORMAT_CHAT,
                      "{'id':'c','message':{'content':[]},'finish_reason':'ERROR'}")
                    ->in.failed);
    assert_true(whole(FORMAT_COHERE, FORMAT_CHAT, "{'message':'no such model'}")->in.failed);
}

/* What is written to a caller who loses the upstream is read as an error, too. */
static void our_own_error_event(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    struct api_error e = {.status = 502, .code = STR("x"), .message = STR("cut \"off\"")};
    dialect_of(FAMILY_COHERE)->error_event(&b, &e);
    is(buf_str(&b), "event: message-end\ndata: {'type':'message-end','delta':{'finish_reason':"
                    "'ERROR','error':'cut \\'off\\''}}\n\n");
    buf_addc(&b, 0);
    fails_as(b.p, 502, "cut 'off'");
}

static void error_bodies(void **state)
{
    (void)state;
    struct ir_error e = {.status = 400};
    const struct format *f = format_of(FORMAT_COHERE);
    f->read_error(&arena, quoted("{'id':'x','message':'invalid request: \\u0061'}"), true, &e);
    is(e.message, "invalid request: a");
    assert_int_equal(e.status, 400);
    f->read_error(&arena, quoted("{'error':{'message':'m','code':'c'}}"), true, &e);
    is(e.message, "m");
    f->read_error(&arena, STR("<html>"), false, &e);
    f->read_error(&arena, STR("[]"), true, &e);
}

static void interleaved_calls_are_put_in_order(void **state)
{
    (void)state;
#define CALL(type, index, rest)                                                                    \
    EVENT(type, ",'index':" index ",'delta':{'message':{'tool_calls':{" rest "}}}")
    struct answer *a = stream(
        FORMAT_COHERE, FORMAT_CHAT,
        CALL("tool-call-start", "0", "'id':'a','function':{'name':'f','arguments':'{'}")
            CALL("tool-call-start", "1", "'id':'b','function':{'name':'g','arguments':'{\\'y\\':'}")
                CALL("tool-call-delta", "0", "'function':{'arguments':'\\'x\\':1}'}")
                    CALL("tool-call-delta", "1", "'function':{'arguments':'2}'}")
                        EVENT("message-end", ",'delta':{'finish_reason':'COMPLETE'}"));
    is(summary(a), "C[f {'x':1}] C[g {'y':2}] 5 -1/-1");
}

static void strange_answers_do_no_harm(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{'type':3,'delta':[],'index':-1,'id':[]}",
        "{'type':'content-delta','delta':{'message':{'content':[[],3,null,'a',{'text':1}]}}}",
        "{'type':'tool-call-start','index':1e9,'delta':{'message':{'tool_calls':[3,{},[]]}}}",
        "{'type':'tool-call-end','index':99999999999999}",
        ("{'type':'tool-call-delta','delta':{'message':{'tool_calls':{'function':{'arguments':{}}}}"
         "}"
         "}"),
        "{'type':'message-end','delta':{'finish_reason':[],'usage':[],'error':{}}}",
        "{'type':'message-end'}",
        "{'message':[],'finish_reason':'COMPLETE','usage':3}",
        "{'message':{'content':'a','tool_calls':3,'tool_plan':{},'citations':3}}",
        "{'finish_reason':'COMPLETE'}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        whole(FORMAT_COHERE, FORMAT_COHERE, texts[i]);
        char event[512];
        snprintf(event, sizeof event, "data: %s\n\n", texts[i]);
        stream(FORMAT_COHERE, FORMAT_COHERE, event);
    }
}

/* ---- answers to a Cohere client ---- */

#define SSE(json) "data: " json "\n\n"
#define START                                                                                      \
    EVENT("message-start", ",'id':'ABC','delta':{'message':{'role':'assistant','content':[],"      \
                           "'tool_plan':'','tool_calls':[],'citations':[]}}")

static const char chat_stream[] =
    SSE("{'choices':[{'index':0,'delta':{'role':'assistant','reasoning_content':'hm'}}]}")
        SSE("{'choices':[{'index':0,'delta':{'content':'He \\u00e9'}}]}") SSE(
            "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'t','function':"
            "{'name':'f','arguments':'{\\n'}},{'index':1,'id':'u','function':{'name':'g'}}]}}]}")
            SSE("{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'function':"
                "{'arguments':'\\'a\\':1}'}}]}}]}")
                SSE("{'choices':[{'index':0,'delta':{},'finish_reason':'tool_calls'}]}")
                    SSE("{'choices':[],'usage':{'prompt_tokens':3,'completion_tokens':4,"
                        "'prompt_tokens_details':{'cached_tokens':2}}}") SSE("[DONE]");

static void a_stream_goes_to_cohere(void **state)
{
    (void)state;
    streams(
        FORMAT_CHAT, FORMAT_COHERE, chat_stream,
        START EVENT("content-start", ",'index':0,'delta':{'message':{'content':{'type':"
                                     "'thinking','thinking':''}}}")
            EVENT("content-delta", ",'index':0,'delta':{'message':{'content':{'thinking':"
                                   "'hm'}}}") EVENT("content-end", ",'index':0")
                EVENT("content-start",
                      ",'index':1,'delta':{'message':{'content':{'type':'text',"
                      "'text':''}}}") EVENT("content-delta",
                                            ",'index':1,'delta':{'message':{'content':{'text':"
                                            "'He \\u00e9'}}}") EVENT("content-end", ",'index':1")
                    EVENT("tool-call-start",
                          ",'index':0,'delta':{'message':{'tool_calls':{'id':'t',"
                          "'type':'function','function':{'name':'f','arguments':''}}}}")
                        EVENT("tool-call-delta",
                              ",'index':0,'delta':{'message':{'tool_calls':{'function':"
                              "{'arguments':'{\\n'}}}}") EVENT("tool-call-delta",
                                                               ",'index':0,'delta':{'message':{'"
                                                               "tool_calls':{'function':"
                                                               "{'arguments':'\\'a\\':1}'}}}}")
                            EVENT("tool-call-end", ",'index':0") EVENT(
                                "tool-call-start",
                                ",'index':1,'delta':{'message':{'tool_calls':{'id':'u',"
                                "'type':'function','function':{'name':'g','arguments':''}}}}")
                                EVENT("tool-call-delta",
                                      ",'index':1,'delta':{'message':{'tool_calls':{'function':"
                                      "{'arguments':'{}'}}}}") EVENT("tool-call-end", ",'index':1")
                                    EVENT(
                                        "message-end",
                                        ",'id':'ABC','delta':{'finish_reason':'TOOL_CALL','usage':{"
                                        "'billed_units':{'input_tokens':3,'output_tokens':4},"
                                        "'tokens':{'input_tokens':3,'output_tokens':4},"
                                        "'cached_tokens':2}}"));
}

/* What this dialect writes, it reads: the same blocks, the same end. */
static void a_written_stream_reads_back(void **state)
{
    (void)state;
    struct answer *a = stream(FORMAT_CHAT, FORMAT_COHERE, chat_stream);
    buf_addc(&a->text, 0);
    struct answer *again = stream(FORMAT_COHERE, FORMAT_COHERE, a->text.p);
    assert_true(str_eq(summary(a), summary(again)));
    assert_true(again->in.ended);
}

static void a_whole_answer_goes_to_cohere(void **state)
{
    (void)state;
    wholes(FORMAT_CHAT, FORMAT_COHERE,
           "{'choices':[{'index':0,'message':{'content':'a','reasoning_content':'b',"
           "'tool_calls':[{'id':'t','function':{'name':'f','arguments':'{\\'x\\':1}'}}]},"
           "'finish_reason':'length'}],'usage':{'prompt_tokens':3,'completion_tokens':4}}",
           "{'id':'ABC','message':{'role':'assistant','content':[{'type':'thinking',"
           "'thinking':'b'},{'type':'text','text':'a'}],'tool_calls':[{'id':'t','type':"
           "'function','function':{'name':'f','arguments':'{\\'x\\':1}'}}]},"
           "'finish_reason':'MAX_TOKENS','usage':{'billed_units':{'input_tokens':3,"
           "'output_tokens':4},'tokens':{'input_tokens':3,'output_tokens':4}}}");
    wholes(FORMAT_CHAT, FORMAT_COHERE,
           "{'choices':[{'index':0,'message':{'content':null},'finish_reason':"
           "'content_filter'}]}",
           "{'id':'ABC','message':{'role':'assistant'},'finish_reason':'ERROR'}");
}

static void counts_of_an_answer(void **state)
{
    (void)state;
    struct usage u = USAGE_NONE;
    const struct dialect *d = dialect_of(FAMILY_COHERE);
    assert_false(d->event(quoted("{'type':'content-end','index':0}"), &u));
    assert_true(d->event(quoted("{'type':'message-end','delta':{'usage':{'billed_units':"
                                "{'input_tokens':1,'output_tokens':2},'tokens':{'input_tokens':3,"
                                "'output_tokens':4},'cached_tokens':2}}}"),
                         &u));
    assert_int_equal(u.input, 3);
    assert_int_equal(u.output, 4);
    assert_int_equal(u.cache_read, 2);
    u = USAGE_NONE;
    d->usage(quoted("{'billed_units':{'input_tokens':1,'output_tokens':2}}"), &u);
    assert_int_equal(u.input, 1);
    assert_int_equal(u.output, 2);
    d->usage(quoted("{'tokens':{}}"), &u);
    assert_int_equal(u.input, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_chat_of_everything_goes_out, reset),
        cmocka_unit_test_setup(what_cohere_has_no_word_for_is_named, reset),
        cmocka_unit_test_setup(a_certain_tool_is_asked_for, reset),
        cmocka_unit_test_setup(images_of_results_follow_in_the_users_message, reset),
        cmocka_unit_test_setup(formats_and_thinking, reset),
        cmocka_unit_test_setup(a_chat_comes_in, reset),
        cmocka_unit_test_setup(a_plan_stays_a_plan, reset),
        cmocka_unit_test_setup(wrong_requests_name_the_member, reset),
        cmocka_unit_test_setup(the_folded_stream_is_the_whole_answer, reset),
        cmocka_unit_test_setup(a_text_with_citations, reset),
        cmocka_unit_test_setup(how_answers_end, reset),
        cmocka_unit_test_setup(errors_in_streams, reset),
        cmocka_unit_test_setup(our_own_error_event, reset),
        cmocka_unit_test_setup(error_bodies, reset),
        cmocka_unit_test_setup(interleaved_calls_are_put_in_order, reset),
        cmocka_unit_test_setup(strange_answers_do_no_harm, reset),
        cmocka_unit_test_setup(a_stream_goes_to_cohere, reset),
        cmocka_unit_test_setup(a_written_stream_reads_back, reset),
        cmocka_unit_test_setup(a_whole_answer_goes_to_cohere, reset),
        cmocka_unit_test_setup(counts_of_an_answer, reset),
    };
    return cmocka_run_group_tests(tests, NULL, reset);
}
