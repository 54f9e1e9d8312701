/* anthropic.messages through its row: what its vendor refuses, and thinking that nobody may see. */
#include "formatbench.h"

/* ---- redacted thinking ---- */

#define REDACTED_ANSWER                                                                            \
    "{'id':'msg_1','type':'message','role':'assistant','model':'claude','content':["               \
    "{'type':'redacted_thinking','data':'EmwK'},{'type':'text','text':'Hi'}],"                     \
    "'stop_reason':'end_turn','stop_sequence':null,"                                               \
    "'usage':{'input_tokens':3,'output_tokens':2}}"

static void redacted_thinking_stays_what_it_is(void **state)
{
    (void)state;
    struct answer *a = whole(FORMAT_MESSAGES, FORMAT_MESSAGES, REDACTED_ANSWER);
    struct str text = buf_str(&a->text);
    assert_true(
        str_find(text, quoted("'content':[{'type':'redacted_thinking','data':'EmwK'},{'type':"
                              "'text','text':'Hi'}]")) > 0);
    struct answer *s =
        stream(FORMAT_MESSAGES, FORMAT_MESSAGES,
               "data: {'type':'message_start','message':{'id':'m','model':'c','content':[],'usage':"
               "{'input_tokens':3,'output_tokens':1}}}\n\n"
               "data: {'type':'content_block_start','index':0,'content_block':{'type':"
               "'redacted_thinking','data':'EmwK'}}\n\n"
               "data: {'type':'content_block_stop','index':0}\n\n"
               "data: {'type':'content_block_start','index':1,'content_block':{'type':'text',"
               "'text':''}}\n\n"
               "data: {'type':'content_block_delta','index':1,'delta':{'type':'text_delta',"
               "'text':'Hi'}}\n\n"
               "data: {'type':'content_block_stop','index':1}\n\n"
               "data: {'type':'message_delta','delta':{'stop_reason':'end_turn'},'usage':"
               "{'output_tokens':2}}\n\ndata: {'type':'message_stop'}\n\n");
    struct str wire = buf_str(&s->text);
    assert_true(str_find(wire, quoted("data: {'type':'content_block_start','index':0,"
                                      "'content_block':{'type':'redacted_thinking','data':'EmwK'}}"
                                      "\n\nevent: content_block_stop")) > 0);
    assert_true(str_find(wire, STR("signature")) < 0);
}

/* The content of a whole answer as Messages has it, sent back in a request. */
static struct ir_call *sent_back(enum format_id from, const char *answer)
{
    struct answer *a = whole(from, FORMAT_MESSAGES, answer);
    struct str text = buf_str(&a->text), content;
    assert_int_equal(json_member(text, STR("content"), &content), JSON_ARRAY);
    return read_as(FORMAT_MESSAGES,
                   arena_dupz(&arena, arena_printf(&arena,
                                                   "{'max_tokens':9,'messages':[{'role':'user',"
                                                   "'content':'a'},{'role':'assistant','content':"
                                                   "%.*s},{'role':'user','content':'b'}]}",
                                                   STR_ARG(content))),
                   0);
}

static bool holds(enum format_id to, struct ir_call *c, const char *text)
{
    return str_find(write_as(to, c, "m"), quoted(text)) >= 0;
}

static void redacted_thinking_of_bedrock_is_told_as_such(void **state)
{
    (void)state;
    const char *answer = "{'output':{'message':{'role':'assistant','content':["
                         "{'reasoningContent':{'redactedContent':'QUJD'}},{'text':'Hi'}]}},"
                         "'stopReason':'end_turn','usage':{'inputTokens':1,'outputTokens':1}}";
    struct answer *a = whole(FORMAT_CONVERSE, FORMAT_MESSAGES, answer);
    assert_true(str_find(buf_str(&a->text), quoted("{'type':'redacted_thinking','data':'")) > 0);
    struct ir_call *c = sent_back(FORMAT_CONVERSE, answer);
    assert_true(holds(FORMAT_CONVERSE, c, "{'reasoningContent':{'redactedContent':'QUJD'}}"));
    c = sent_back(FORMAT_CONVERSE, answer);
    assert_false(holds(FORMAT_MESSAGES, c, "redacted_thinking"));
    assert_false(holds(FORMAT_MESSAGES, c, "QUJD"));
}

static void redacted_thinking_goes_to_no_other_vendor(void **state)
{
    (void)state;
    static const enum format_id others[] = {FORMAT_CHAT,   FORMAT_RESPONSES, FORMAT_GENERATE,
                                            FORMAT_OLLAMA, FORMAT_COHERE,    FORMAT_CONVERSE};
    struct ir_call *c = sent_back(FORMAT_MESSAGES, REDACTED_ANSWER);
    assert_true(holds(FORMAT_MESSAGES, c, "{'type':'redacted_thinking','data':'EmwK'}"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        c = sent_back(FORMAT_MESSAGES, REDACTED_ANSWER);
        assert_false(holds(others[i], c, "EmwK"));
        assert_non_null(c->dropped);
    }
}

/* ---- what Anthropic refuses in a conversation ---- */

#define ASKED                                                                                      \
    "{'role':'user','content':'go'},{'role':'assistant','tool_calls':["                            \
    "{'id':'t1','type':'function','function':{'name':'f','arguments':'{}'}},"                      \
    "{'id':'t2','type':'function','function':{'name':'g','arguments':'{}'}}]}"
#define CALLS                                                                                      \
    "{'type':'tool_use','id':'t1','name':'f','input':{}},"                                         \
    "{'type':'tool_use','id':'t2','name':'g','input':{}}]}"
#define NO_RESULT(id)                                                                              \
    "{'type':'tool_result','tool_use_id':'" id "','content':'No result was "                       \
    "given.','is_error':true}"

static void to_anthropic(const char *messages, const char *want, const char *lost)
{
    const char *body = arena_dupz(&arena, arena_printf(&arena, "{'messages':[%s]}", messages));
    const char *all = arena_dupz(
        &arena, arena_printf(&arena,
                             "{'model':'m','max_tokens':8192,'messages':[{'role':'user','content':"
                             "[{'type':'text','text':'go'}]},{'role':'assistant','content':[%s}",
                             want));
    request(FORMAT_CHAT, FORMAT_MESSAGES, body, all, lost);
}

static void calls_without_results_get_one(void **state)
{
    (void)state;
    to_anthropic(ASKED ",{'role':'tool','tool_call_id':'t2','content':'two'},"
                       "{'role':'user','content':'on'}",
                 CALLS ",{'role':'user','content':[{'type':'tool_result','tool_use_id':'t2',"
                       "'content':'two'}," NO_RESULT("t1") ",{'type':'text','text':'on'}]}]",
                 "messages.tool_calls[unanswered]");
    to_anthropic(ASKED ",{'role':'user','content':'never mind'}",
                 CALLS ",{'role':'user','content':[" NO_RESULT("t1") "," NO_RESULT(
                     "t2") ",{'type':'text','text':'never mind'}]}]",
                 "messages.tool_calls[unanswered]");
    to_anthropic(ASKED,
                 CALLS ",{'role':'user','content':[" NO_RESULT("t1") "," NO_RESULT("t2") "]}]",
                 "messages.tool_calls[unanswered]");
    to_anthropic(ASKED ",{'role':'tool','tool_call_id':'t1','content':'one'},"
                       "{'role':'tool','tool_call_id':'t2','content':''}",
                 CALLS ",{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1',"
                       "'content':'one'},{'type':'tool_result','tool_use_id':'t2','content':''}]}]",
                 "");
}

static void results_without_calls_are_the_users_text(void **state)
{
    (void)state;
    to_anthropic("{'role':'user','content':'go'},{'role':'assistant','content':'well'},"
                 "{'role':'tool','tool_call_id':'t9','content':'nine'}",
                 "{'type':'text','text':'well'}]},{'role':'user','content':[{'type':'text',"
                 "'text':'nine'}]}]",
                 "messages[tool]");
    to_anthropic(ASKED ",{'role':'tool','tool_call_id':'t1','content':'one'},"
                       "{'role':'tool','tool_call_id':'t1','content':'again'},"
                       "{'role':'tool','tool_call_id':'t2','content':'two'}",
                 CALLS ",{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1',"
                       "'content':'one'},{'type':'tool_result','tool_use_id':'t2','content':'two'},"
                       "{'type':'text','text':'again'}]}]",
                 "messages[tool]");
}

static void blank_texts_are_left_out(void **state)
{
    (void)state;
    request(FORMAT_CHAT, FORMAT_MESSAGES,
            "{'messages':[{'role':'system','content':'\\n'},{'role':'user','content':["
            "{'type':'text','text':' \\t'},{'type':'text','text':'a'}]},"
            "{'role':'assistant','content':' \\n '},{'role':'user','content':'b'}]}",
            "{'model':'m','max_tokens':8192,'messages':[{'role':'user','content':["
            "{'type':'text','text':'a'},{'type':'text','text':'b'}]}]}",
            "messages.content[blank]");
    request(FORMAT_CHAT, FORMAT_MESSAGES,
            "{'messages':[{'role':'user','content':''},{'role':'assistant','content':''},"
            "{'role':'user','content':'b'}]}",
            "{'model':'m','max_tokens':8192,'messages':[{'role':'user','content':["
            "{'type':'text','text':'b'}]}]}",
            ""); /* nothing is no loss */
    request(FORMAT_CHAT, FORMAT_CONVERSE,
            "{'messages':[{'role':'user','content':["
            "{'type':'text','text':' \\t'},{'type':'text','text':'a'}]}]}",
            "{'messages':[{'role':'user','content':[{'text':'a'}]}]}", "messages.content[blank]");
}

static void calls_at_the_end_are_answered_at_bedrock_too(void **state)
{
    (void)state;
    struct ir_call *c = read_as(FORMAT_CHAT, "{'messages':[" ASKED "]}", 0);
    struct str got = write_as(FORMAT_CONVERSE, c, "us.anthropic.claude-3-haiku-20240307-v1:0");
    assert_true(str_find(got, quoted("{'role':'user','content':[{'toolResult':{'toolUseId':'t1',"
                                     "'content':[{'text':'No result was given.'}],'status':"
                                     "'error'}},{'toolResult':{'toolUseId':'t2',")) > 0);
    lost_is(c, "messages.tool_calls[unanswered]");
}

/* ---- losses in the caller's words ---- */

static void losses_are_told_in_the_callers_words(void **state)
{
    (void)state;
    static const struct {
        enum format_id from, to;
        const char *body, *lost;
    } rows[] = {
        {FORMAT_MESSAGES, FORMAT_RESPONSES,
         "{'max_tokens':20,'stop_sequences':['x'],'top_k':4,'messages':[{'role':'user','content':"
         "'a'}]}",
         "stop_sequences, top_k"},
        {FORMAT_MESSAGES, FORMAT_GENERATE,
         "{'max_tokens':20,'metadata':{'user_id':'u'},'tools':[{'name':'f','strict':true}],"
         "'tool_choice':{'type':'auto','disable_parallel_tool_use':true},'messages':[{'role':"
         "'user','content':'a'},{'role':'assistant','content':[{'type':'thinking','thinking':'t',"
         "'signature':'s'}]}]}",
         "messages.content[thinking], tools.strict, tool_choice.disable_parallel_tool_use, "
         "metadata.user_id"},
        {FORMAT_GENERATE, FORMAT_RESPONSES,
         "{'contents':[{'role':'user','parts':[{'text':'a'}]}],'generationConfig':{"
         "'stopSequences':['x'],'topK':3,'seed':1}}",
         "stopSequences, topK, seed"},
        {FORMAT_GENERATE, FORMAT_CHAT,
         "{'contents':[{'role':'user','parts':[{'text':'a'}]}],'generationConfig':{"
         "'stopSequences':['a','b','c','d','e']}}",
         "stopSequences[4]"},
        {FORMAT_GENERATE, FORMAT_MESSAGES,
         "{'contents':[{'role':'user','parts':[{'inlineData':{'mimeType':'audio/wav','data':"
         "'AAAA'}},{'text':'a'}]}],'generationConfig':{'temperature':1.5}}",
         "contents.parts[inlineData], temperature>1"},
        {FORMAT_RESPONSES, FORMAT_MESSAGES,
         "{'input':[{'role':'user','content':[{'type':'input_audio','input_audio':{'data':'AAAA',"
         "'format':'wav'}},{'type':'input_text','text':'a'}]},{'type':'function_call','call_id':"
         "'c','name':'f','arguments':'{}'}],'text':{'format':{'type':'json_object'}}}",
         "text.format[json_object], input.content[input_audio], input[function_call][unanswered]"},
        {FORMAT_COHERE, FORMAT_MESSAGES,
         "{'messages':[{'role':'user','content':'a'}],'p':0.5,'thinking':{'type':'enabled',"
         "'token_budget':2000},'max_tokens':100,'response_format':{'type':'json_object'}}",
         "thinking, response_format.json_object"},
        {FORMAT_OLLAMA, FORMAT_MESSAGES,
         "{'messages':[{'role':'user','content':'a'}],'think':'high','format':'json','options':{"
         "'num_predict':100,'min_p':0.1}}",
         "think, format, min_p"},
        {FORMAT_CONVERSE, FORMAT_RESPONSES,
         "{'messages':[{'role':'user','content':[{'text':'a'},{'cachePoint':{'type':'default'}}]}"
         "],'inferenceConfig':{'stopSequences':['x']}}",
         "cachePoint, inferenceConfig.stopSequences"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ir_call *c = read_as(rows[i].from, rows[i].body, 0);
        write_as(rows[i].to, c, "m");
        lost_is(c, rows[i].lost);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(redacted_thinking_stays_what_it_is, reset),
        cmocka_unit_test_teardown(redacted_thinking_of_bedrock_is_told_as_such, reset),
        cmocka_unit_test_teardown(redacted_thinking_goes_to_no_other_vendor, reset),
        cmocka_unit_test_teardown(calls_without_results_get_one, reset),
        cmocka_unit_test_teardown(results_without_calls_are_the_users_text, reset),
        cmocka_unit_test_teardown(blank_texts_are_left_out, reset),
        cmocka_unit_test_teardown(calls_at_the_end_are_answered_at_bedrock_too, reset),
        cmocka_unit_test_teardown(losses_are_told_in_the_callers_words, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
