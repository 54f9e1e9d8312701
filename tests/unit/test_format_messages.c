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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(redacted_thinking_stays_what_it_is, reset),
        cmocka_unit_test_teardown(redacted_thinking_of_bedrock_is_told_as_such, reset),
        cmocka_unit_test_teardown(redacted_thinking_goes_to_no_other_vendor, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
