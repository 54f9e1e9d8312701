/* openai.responses through its row: requests both ways. */
#include "responsesbench.h"

static void the_shortest_request(void **state)
{
    (void)state;
    from_responses("{'model':'x','input':'Say \\u00fc','stream':true}",
                   "{'model':'m','messages':[{'role':'user','content':'Say \\u00fc'}]}", "");
}

static void items_become_turns(void **state)
{
    (void)state;
    from_responses(
        "{'input':[{'role':'developer','content':'one'},"
        "{'type':'message','id':'msg_1','role':'user','content':[{'type':'input_text','text':'q'},"
        "{'type':'input_image','image_url':'data:image/png;base64,AAAA','detail':'low'}]},"
        "{'type':'reasoning','id':'rs_1','summary':[]},"
        "{'type':'message','role':'assistant','status':'completed','content':[{'type':"
        "'output_text','text':'a','annotations':[],'logprobs':[]}]},"
        "{'type':'function_call','id':'fc_1','call_id':'c1','name':'f','arguments':'{\\'a\\':1.0}'}"
        ",{'type':'function_call','call_id':'c2','name':'g','arguments':''},"
        "{'type':'function_call_output','call_id':'c1','output':'r1'},"
        "{'type':'function_call_output','call_id':'c2','output':[{'type':'input_text','text':"
        "'r2'}]},{'role':'user','content':'on'},{'type':'item_reference','id':'msg_9'},"
        "{'type':'web_search_call','id':'ws_1'},{'id':'msg_8'}],"
        "'instructions':'first','max_output_tokens':50,'temperature':0.70,'store':false,"
        "'include':['reasoning.encrypted_content','web_search_call.action.sources'],"
        "'truncation':'disabled','conversation':'conv_1','background':false,'max_tool_calls':null,"
        "'previous_response_id':null,'client_metadata':{'a':'b'},'text':{'format':{'type':'text'}},"
        "'stream_options':{'include_obfuscation':false}}",
        "{'model':'m','messages':[{'role':'system','content':[{'type':'text','text':'first'},"
        "{'type':'text','text':'one'}]},{'role':'user','content':[{'type':'text','text':'q'},{"
        "'type':'image_url','image_url':{'url':'data:image/png;base64,AAAA','detail':'low'}}]},"
        "{'role':'assistant','content':'a','tool_calls':[{'id':'c1','type':'function','function':{"
        "'name':'f','arguments':'{\\'a\\':1.0}'}},{'id':'c2','type':'function','function':{'name':"
        "'g','arguments':'{}'}}]},{'role':'tool','tool_call_id':'c1','content':'r1'},{'role':"
        "'tool','tool_call_id':'c2','content':'r2'},{'role':'user','content':'on'}],"
        "'max_tokens':50,'temperature':0.70}",
        "input[reasoning] input[item_reference] input[web_search_call] "
        "include[web_search_call.action.sources] conversation client_metadata");
}

static void what_cannot_be_carried_is_named(void **state)
{
    (void)state;
    from_responses(
        "{'input':[{'role':'user','content':[{'type':'input_text','text':'q',"
        "'prompt_cache_breakpoint':{'mode':'explicit'}},{'type':'computer_screenshot'}],'phase':"
        "'x','caller':null}],'truncation':'auto','background':true,'moderation':{'model':'m'},"
        "'prompt_cache_retention':'24h','reasoning':{'effort':'low','context':'all_turns','mode':"
        "null},'tools':[{'type':'function','name':'f','parameters':{'type':'object'},'strict':null,"
        "'defer_loading':true,'async':false},{'type':'custom','name':'c','format':{'type':"
        "'grammar'}},{'type':'web_search','search_context_size':'low'}],"
        "'tool_choice':{'type':'mcp','server_label':'s','name':'t'}}",
        "{'model':'m','messages':[{'role':'user','content':'q'}],'tools':[{'type':'function',"
        "'function':{'name':'f','parameters':{'type':'object'}}},{'type':'function','function':{"
        "'name':'c','parameters':{'type':'object','properties':{'input':{'type':'string'}},"
        "'required':['input']}}}],'reasoning_effort':'low'}",
        "input.phase input.content[computer_screenshot] truncation background moderation "
        "prompt_cache_retention reasoning.context tools.defer_loading tools.custom.format "
        "tools[web_search] tool_choice[mcp] prompt_cache_breakpoint");
}

/* Codex: tools in namespaces, in the request or as an item; calls in the history name theirs. */
static void namespaces_are_flattened(void **state)
{
    (void)state;
    struct ir_call *c = read_as(
        FORMAT_RESPONSES,
        "{'input':[{'type':'additional_tools','id':'at_1','role':'developer','tools':[{'type':"
        "'namespace','name':'functions','description':'','tools':[{'type':'custom','name':'exec'},"
        "{'type':'function','name':'wait','parameters':{'type':'object'}}]},{'type':'namespace',"
        "'name':'mcp__s','description':'','tools':[{'type':'function','name':'look'}]}]},"
        "{'role':'user','content':'q'},"
        "{'type':'custom_tool_call','call_id':'c1','name':'exec','input':'a\\n\\'b\\''},"
        "{'type':'custom_tool_call_output','call_id':'c1','output':'r'},"
        "{'type':'function_call','call_id':'c2','name':'look','namespace':'mcp__s','arguments':"
        "{'a':1}},{'type':'function_call_output','call_id':'c2','output':'r'}],"
        "'tools':[{'type':'namespace','name':'old__','description':'d','tools':[{'type':"
        "'function','name':'t'}]}],'tool_choice':{'type':'allowed_tools','mode':'required',"
        "'tools':[{'type':'function','name':'look','namespace':'mcp__s'},{'type':'mcp',"
        "'server_label':'x'}]}}");
    is_quoted(
        write_as(FORMAT_RESPONSES, c, QUIRK_DEVELOPER),
        "{'model':'m','input':[{'type':'message','role':'user','content':[{'type':'input_text',"
        "'text':'q'}]},{'type':'custom_tool_call','call_id':'c1','name':'exec','input':"
        "'a\\n\\'b\\''},{'type':'custom_tool_call_output','call_id':'c1','output':'r'},{'type':"
        "'function_call','call_id':'c2','name':'mcp__s__look','arguments':'{\\'a\\':1}'},{'type':"
        "'function_call_output','call_id':'c2','output':'r'}],'tools':[{'type':'custom','name':"
        "'exec'},{'type':'function','name':'wait','parameters':{'type':'object'},'strict':false},"
        "{'type':'function','name':'mcp__s__look','parameters':{'type':'object','properties':{}},"
        "'strict':false},{'type':'function','name':'old__t','parameters':{'type':'object',"
        "'properties':{}},'strict':false}],'tool_choice':{'type':'allowed_tools','mode':"
        "'required','tools':[{'type':'function','name':'mcp__s__look'}]},'store':false}");
    is(losses(c), "tools.namespace.description tool_choice.tools[mcp]");
    /* servers that are like OpenAI's are offered what is allowed, and nothing else */
    c->dropped = NULL;
    struct str other = write_as(FORMAT_RESPONSES, c, 0);
    has(other, quoted("'tools':[{'type':'function','name':'mcp__s__look',"));
    has(other, quoted("}],'tool_choice':'required'"));
}

static void the_whole_of_a_chat_request(void **state)
{
    (void)state;
    to_responses(
        FORMAT_CHAT, QUIRK_DEVELOPER,
        "{'messages':[{'role':'system','content':'s'},{'role':'user','content':[{'type':'text',"
        "'text':'q'},{'type':'image_url','image_url':{'url':'https://a.b/c.png'}},{'type':'file',"
        "'file':{'file_data':'data:application/pdf;base64,QUJD','filename':'a.pdf'}},{'type':"
        "'input_audio','input_audio':{'data':'AA','format':'wav'}}]},{'role':'assistant',"
        "'content':'a','refusal':'no'},{'role':'system','content':'mid'},{'role':'user','content':"
        "'b'}],'tools':[{'type':'function','function':{'name':'f','description':'d','strict':true,"
        "'parameters':{'type':'object','properties':{}}}}],'tool_choice':{'type':'function',"
        "'function':{'name':'f'}},'parallel_tool_calls':false,'response_format':{'type':"
        "'json_schema','json_schema':{'name':'n','schema':{'type':'object'}}},'verbosity':'low',"
        "'reasoning_effort':'high','max_tokens':1,'temperature':0.5,'top_p':1,'stop':['x'],'n':2,"
        "'seed':7,'user':'u','metadata':{'k':'v'},'service_tier':'flex','prompt_cache_key':'p',"
        "'store':true,'logprobs':true,'top_logprobs':3}",
        "{'model':'m','instructions':'s','input':[{'type':'message','role':'user','content':[{"
        "'type':'input_text','text':'q'},{'type':'input_image','image_url':'https://a.b/c.png',"
        "'detail':'auto'},{'type':'input_file','filename':'a.pdf','file_data':"
        "'data:application/pdf;base64,QUJD'}]},{'type':'message','role':'assistant','content':[{"
        "'type':'output_text','text':'a','annotations':[]},{'type':'refusal','refusal':'no'}]},{"
        "'type':'message','role':'developer','content':[{'type':'input_text','text':'mid'}]},{"
        "'type':'message','role':'user','content':[{'type':'input_text','text':'b'}]}],'tools':[{"
        "'type':'function','name':'f','description':'d','parameters':{'type':'object',"
        "'properties':{}},'strict':true}],'tool_choice':{'type':'function','name':'f'},"
        "'parallel_tool_calls':false,'text':{'format':{'type':'json_schema','name':'n','schema':{"
        "'type':'object'},'strict':false},'verbosity':'low'},'reasoning':{'effort':'high'},"
        "'include':['reasoning.encrypted_content'],'max_output_tokens':16,'temperature':0.5,"
        "'top_p':1,'service_tier':'flex','metadata':{'k':'v'},'prompt_cache_key':'p',"
        "'safety_identifier':'u','store':true}",
        "messages.content[input_audio] max_completion_tokens<16 stop seed n logprobs top_logprobs");
}

/* Signatures go to who made them, beside the call they led to, and without a made-up id. */
static void reasoning_goes_back_to_its_issuer(void **state)
{
    (void)state;
    struct str mark = ir_signature_out(&arena, STR("sig+A="), FAMILY_ANTHROPIC, FAMILY_OPENAI);
    struct str body = arena_printf(
        &arena,
        "{'input':[{'role':'user','content':'q'},{'type':'reasoning','id':'rs_1','summary':[{"
        "'type':'summary_text','text':'t1'},{'type':'summary_text','text':'t2'}],"
        "'encrypted_content':'gAAA'},{'type':'function_call','call_id':'c','name':'f','arguments':"
        "'{}'},{'type':'function_call_output','call_id':'c','output':'r'},{'type':'reasoning',"
        "'summary':[{'type':'summary_text','text':'seen'}],'encrypted_content':'%.*s'},{'type':"
        "'reasoning','summary':[],'encrypted_content':'%.*s'},{'role':'assistant','content':'a'}],"
        "'max_output_tokens':99}",
        STR_ARG(mark), STR_ARG(mark));
    struct ir_call *c = read_as(FORMAT_RESPONSES, body.p);
    is_quoted(write_as(FORMAT_RESPONSES, c, QUIRK_DEVELOPER),
              "{'model':'m','input':[{'type':'message','role':'user','content':[{'type':"
              "'input_text','text':'q'}]},{'type':'reasoning','summary':[{'type':'summary_text',"
              "'text':'t1\\n\\nt2'}],'encrypted_content':'gAAA'},{'type':'function_call','call_id':"
              "'c','name':'f','arguments':'{}'},{'type':'function_call_output','call_id':'c',"
              "'output':'r'},{'type':'message','role':'assistant','content':[{'type':"
              "'output_text','text':'a','annotations':[]}]}],'include':["
              "'reasoning.encrypted_content'],'max_output_tokens':99,'store':false}");
    is(losses(c), "input[reasoning]");
    struct str anthropic = write_as(FORMAT_MESSAGES, c, 0);
    has(anthropic, quoted("{'type':'thinking','thinking':'seen','signature':'sig+A='}"));
    has(anthropic, quoted("{'type':'redacted_thinking','data':'sig+A='}"));
    assert_true(str_find(anthropic, STR("gAAA")) < 0);
}

static void results_with_images(void **state)
{
    (void)state;
    to_responses(
        FORMAT_MESSAGES, 0,
        "{'max_tokens':9,'system':[{'type':'text','text':'a'},{'type':'text','text':'b'}],"
        "'thinking':{'type':'enabled','budget_tokens':1024},'metadata':{'user_id':'u'},'messages':"
        "[{'role':'user','content':'q'},{'role':'assistant','content':[{'type':'thinking',"
        "'thinking':'t','signature':'s'},{'type':'tool_use','id':'t:1','name':'f','input':{}}]},{"
        "'role':'user','content':[{'type':'tool_result','tool_use_id':'t:1','is_error':true,"
        "'content':[{'type':'text','text':'r'},{'type':'image','source':{'type':'base64',"
        "'media_type':'image/png','data':'QUJD'}}]},{'type':'text','text':'on'}]}]}",
        "{'model':'m','instructions':'a\\n\\nb','input':[{'type':'message','role':'user',"
        "'content':[{'type':'input_text','text':'q'}]},{'type':'function_call','call_id':"
        "'toolu_TsUl8Ou3Lfz2djs7E1py','name':'f','arguments':'{}'},{'type':'function_call_output',"
        "'call_id':'toolu_TsUl8Ou3Lfz2djs7E1py','output':[{'type':'input_text','text':'r'},{"
        "'type':'input_image','image_url':'data:image/png;base64,QUJD','detail':'auto'}]},{'type':"
        "'message','role':'user','content':[{'type':'input_text','text':'on'}]}],'reasoning':{"
        "'effort':'low','summary':'auto'},'include':['reasoning.encrypted_content'],"
        "'max_output_tokens':9,'user':'u','store':false}",
        "messages.content[thinking] messages.content.is_error");
}

static void requests_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
    } wrong[] = {
        {"{}", "input"},
        {"{'input':7}", "input"},
        {"{'input':['x']}", "input[0]"},
        {"{'input':[{'role':'tool','content':'x'}]}", "input[0].role"},
        {"{'input':[{'role':'user','content':7}]}", "input[0].content"},
        {"{'input':[{'role':'user','content':['x']}]}", "input[0].content"},
        {"{'input':[{'type':'function_call','name':'f'}]}", "input[0]"},
        {"{'input':[{'type':'function_call_output','output':'x'}]}", "input[0].call_id"},
        {"{'input':'x','instructions':7}", "instructions"},
        {"{'input':'x','tools':7}", "tools"},
        {"{'input':'x','tools':[{'type':'function'}]}", "tools"},
        {"{'input':'x','tool_choice':'some'}", "tool_choice"},
        {"{'input':'x','temperature':'hot'}", "temperature"},
        {"{'input':'x','reasoning':{'effort':'much'}}", "reasoning.effort"},
        {"{'input':'x','text':{'format':{'type':'xml'}}}", "text.format.type"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ir_call c;
        ir_call_init(&c, &arena);
        if (format_of(FORMAT_RESPONSES)->read_request(&c, quoted(wrong[i].body)) == 0) {
            fail_msg("taken: %s", wrong[i].body);
        }
        is(c.bad_param, wrong[i].param);
    }
    /* nulls are as absent everywhere */
    struct ir_call *c = read_as(
        FORMAT_RESPONSES,
        "{'input':[{'role':'user','content':null}],'instructions':null,'tools':null,'tool_choice':"
        "null,'text':null,'reasoning':null,'include':null,'truncation':null,'store':null,"
        "'metadata':null,'prompt':null,'conversation':null,'temperature':null}");
    is(losses(c), "");
}

static void the_path(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    format_of(FORMAT_RESPONSES)->path(&b, &(struct ir_call){0}, &(struct ir_target){0});
    is(buf_str(&b), "/responses");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_shortest_request, reset),
        cmocka_unit_test_teardown(items_become_turns, reset),
        cmocka_unit_test_teardown(what_cannot_be_carried_is_named, reset),
        cmocka_unit_test_teardown(namespaces_are_flattened, reset),
        cmocka_unit_test_teardown(the_whole_of_a_chat_request, reset),
        cmocka_unit_test_teardown(reasoning_goes_back_to_its_issuer, reset),
        cmocka_unit_test_teardown(results_with_images, reset),
        cmocka_unit_test_teardown(requests_that_are_wrong, reset),
        cmocka_unit_test_teardown(the_path, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
