/* openai.responses through its row: requests both ways, answers both ways, whole and streamed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "http/sse.h"
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

static void has(struct str text, struct str part)
{
    if (str_find(text, part) < 0) {
        fail_msg("\n  no   %.*s\n  in   %.*s", STR_ARG(part), STR_ARG(text));
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
    return b.p ? buf_str(&b) : STR("");
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

static struct str write_as(enum format_id to, struct ir_call *c, uint32_t quirks)
{
    const struct format *f = format_of(to);
    struct ir_target t = {.model = STR("m"), .family = f->family, .quirks = quirks};
    struct buf b = {.arena = &arena};
    f->write_request(&b, c, &t);
    is_json(buf_str(&b));
    return buf_str(&b);
}

static void from_responses(const char *body, const char *want, const char *lost)
{
    struct ir_call *c = read_as(FORMAT_RESPONSES, body);
    is_quoted(write_as(FORMAT_CHAT, c, 0), want);
    is(losses(c), lost);
}

static void to_responses(enum format_id from, uint32_t quirks, const char *body, const char *want,
                         const char *lost)
{
    struct ir_call *c = read_as(from, body);
    is_quoted(write_as(FORMAT_RESPONSES, c, quirks), want);
    is(losses(c), lost);
}

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
        buf_printf(b, "start(%.*s,%.*s) ", STR_ARG(e->id), STR_ARG(e->model));
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
        buf_printf(b, "finish%d", (int)e->finish);
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
                           .state = arena_zalloc(&arena, format_of(FORMAT_RESPONSES)->in_state),
                           .usage = USAGE_NONE,
                           .request_id = "req_7"};
    return t;
}

/* Data of events, up to a NULL. */
static struct trace *read_stream(const char *const *events)
{
    struct trace *t = new_trace();
    for (; *events; events++) {
        struct str data = quoted(*events);
        bool json = data.p[0] == '{';
        if (json) {
            is_json(data);
        }
        /* its own memory, to be sure that nothing looks at it later */
        char *copy = test_malloc(data.n);
        memcpy(copy, data.p, data.n);
        format_of(FORMAT_RESPONSES)->read_event(&t->in, STR(""), str_make(copy, data.n), json);
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
    format_of(FORMAT_RESPONSES)->read_answer(&t->in, data);
    return t;
}

#define CREATED "{'type':'response.created','response':{'id':'resp_1','model':'gpt','output':[]}}"
#define ITEM(when, index, item)                                                                    \
    "{'type':'response.output_item." when "','output_index':" index ",'item':" item "}"
#define DELTA(what, index, text)                                                                   \
    "{'type':'response." what ".delta','item_id':'x" text "','output_index':" index                \
    ",'content_index':0,'summary_index':0,'delta':'" text "','logprobs':[]}"
#define COMPLETED                                                                                  \
    "{'type':'response.completed','response':{'id':'resp_1','status':'completed','output':[{"      \
    "'type':'message','content':[{'type':'output_text','text':'again'}]}],'usage':{"               \
    "'input_tokens':10,'input_tokens_details':{'cached_tokens':4},'output_tokens':7,"              \
    "'output_tokens_details':{'reasoning_tokens':3}}}}"

/* As OpenAI sends it; the ids change with each event, as Copilot's do. */
static void a_stream_is_read(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        CREATED,
        "{'type':'response.in_progress','response':{'id':'resp_1'}}",
        ITEM("added", "0", "{'type':'reasoning','id':'rs','summary':[],'encrypted_content':'no'}"),
        "{'type':'response.reasoning_summary_part.added','output_index':0,'summary_index':0}",
        DELTA("reasoning_summary_text", "0", "hm"),
        "{'type':'response.reasoning_summary_text.done','output_index':0,'text':'hm'}",
        "{'type':'response.reasoning_summary_part.added','output_index':0,'summary_index':1}",
        DELTA("reasoning_summary_text", "0", "so"),
        ITEM("done", "0",
             "{'type':'reasoning','summary':[{'text':'hm'}],'encrypted_content':'gA=='}"),
        ITEM("added", "1", "{'type':'message','content':[]}"),
        "{'type':'response.content_part.added','output_index':1,'part':{'text':''}}",
        DELTA("output_text", "1", "H\\u00e9"),
        DELTA("output_text", "1", "llo"),
        "{'type':'response.output_text.annotation.added','annotation':{}}",
        "{'type':'response.output_text.done','text':'H\\u00e9llo'}",
        ITEM("done", "1", "{'type':'message','content':[{'type':'output_text','text':'Hello'}]}"),
        ITEM("added", "2", "{'type':'function_call','call_id':'c1','name':'f','arguments':''}"),
        DELTA("function_call_arguments", "2", "{\\'a\\':"),
        DELTA("function_call_arguments", "2", "1}"),
        "{'type':'response.function_call_arguments.done','output_index':2,'arguments':'{\\'a\\':"
        "1}'}",
        ITEM("done", "2",
             "{'type':'function_call','call_id':'c1','name':'f','arguments':'{\\'a\\':1}'}"),
        COMPLETED,
        NULL});
    is_quoted(buf_str(&t->b), "start(resp_1,gpt) think0[<hm><\\n\\n><so>~gA==] "
                              "text1[<H\\u00e9><llo>] call2[c1 f:<{\\'a\\':><1}>u(10,7,4,3) ] "
                              "finish5");
    assert_true(t->in.ended && t->in.finished && !t->in.failed);
    assert_int_equal(t->in.lost, 1);
}

/* Servers that are like OpenAI's: all in the items' last events, no type in the data, no end but [DONE]. */
static void items_that_come_whole(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        ITEM("done", "0",
             "{'type':'reasoning','content':[{'type':'reasoning_text','text':'raw'}],'summary':[{"
             "'text':'brief'}]}"),
        ITEM("done", "1",
             "{'type':'message','content':[{'type':'output_text','text':'a'},{'type':'refusal',"
             "'refusal':'no'}]}"),
        ITEM("done", "2", "{'type':'function_call','call_id':'c','name':'f','arguments':''}"),
        ITEM("done", "3",
             "{'type':'custom_tool_call','call_id':'d','name':'g','input':'x\\n\\'y\\''}"),
        ITEM("done", "4",
             "{'type':'image_generation_call','result':'QUJD','output_format':'webp'}"),
        ITEM("done", "5", "{'type':'reasoning','summary':[],'encrypted_content':'gA=='}"),
        ITEM("done", "6", "{'type':'web_search_call'}"), COMPLETED, NULL});
    is_quoted(buf_str(&t->b),
              "start(,) think0[<raw>] text1[<a>] refusal2[<no>] call3[c f:<{}>] "
              "call4[d g:<{\\'input\\':\\'x\\\\n\\\\\\'y\\\\\\'\\'}>] image5[image/webp<QUJD>] "
              "think6[!gA==] u(10,7,4,3) finish5");
    assert_int_equal(t->in.lost, 1);
    /* nothing but the end */
    t = read_stream((const char *const[]){COMPLETED, NULL});
    is(buf_str(&t->b), "u(10,7,4,3) start(resp_1,) text0[<again>] finish1");
    /* the type only in the event's name */
    t = new_trace();
    format_of(FORMAT_RESPONSES)
        ->read_event(&t->in, STR("response.output_text.delta"), STR("{\"delta\":\"x\"}"), true);
    is(buf_str(&t->b), "start(,) text0[<x>");
    /* thinking in full and as a summary: the first way counts */
    t = read_stream((const char *const[]){DELTA("reasoning_text", "0", "raw"),
                                          DELTA("reasoning_summary_text", "0", "brief"),
                                          DELTA("output_text", "1", "a"), NULL});
    is(buf_str(&t->b), "start(,) think0[<raw>] text1[<a>");
}

static void parallel_calls_are_kept_apart(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        CREATED, ITEM("added", "0", "{'type':'function_call','call_id':'a','name':'f'}"),
        ITEM("added", "1", "{'type':'function_call','call_id':'b','name':'g'}"),
        DELTA("function_call_arguments", "0", "{\\'x\\'"),
        DELTA("function_call_arguments", "1", "{\\'y\\'"),
        DELTA("function_call_arguments", "0", ":1}"), DELTA("function_call_arguments", "1", ":2}"),
        "{'type':'response.completed','response':{'status':'completed'}}", NULL});
    is_quoted(buf_str(&t->b), "start(resp_1,gpt) call0[a f:<{\\'x\\'><:1}>] "
                              "call1[b g:<{\\'y\\'><:2}>] finish5");
}

static void how_streams_end(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        CREATED, DELTA("output_text", "0", "a"),
        "{'type':'response.incomplete','response':{'status':'incomplete','incomplete_details':{"
        "'reason':'max_output_tokens'}}}",
        DELTA("output_text", "0", "late"), NULL});
    is(buf_str(&t->b), "start(resp_1,gpt) text0[<a>] finish3");
    t = read_stream((const char *const[]){
        "{'type':'response.incomplete','response':{'status':'incomplete','incomplete_details':{"
        "'reason':'content_filter'}}}",
        NULL});
    is(buf_str(&t->b), "start(,) finish6");
    static const struct {
        const char *event, *code, *message;
        unsigned status;
    } errors[] = {
        {"{'type':'response.failed','response':{'status':'failed','error':{'code':"
         "'rate_limit_exceeded','message':'slow \\'down\\''}}}",
         "rate_limit_exceeded", "slow \"down\"", 429},
        {"{'type':'response.failed','response':{}}", "",
         "The provider says that the response failed.", 500},
        {"{'type':'error','code':null,'message':'m','param':null,'sequence_number':3}", "", "m",
         500},
        {"{'type':'error','error':{'type':'invalid_request_error','code':"
         "'context_length_exceeded','message':'long'}}",
         "context_length_exceeded", "long", 400},
        {"{'error':{'message':'m','type':'server_error'}}", "server_error", "m", 500},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        t = read_stream((const char *const[]){CREATED, errors[i].event, NULL});
        assert_true(t->in.failed && !t->in.finished);
        is(t->in.error.code, errors[i].code);
        is(t->in.error.message, errors[i].message);
        assert_int_equal(t->in.error.status, errors[i].status);
    }
    t = read_stream((const char *const[]){CREATED, "[DONE]", NULL});
    assert_true(t->in.ended && !t->in.finished);
}

static void whole_answers_are_read(void **state)
{
    (void)state;
    struct trace *t = read_whole(
        "{'id':'resp_1','object':'response','status':'completed','error':null,'model':'gpt',"
        "'output':[{'type':'reasoning','id':'rs','summary':[{'type':'summary_text','text':'a'},{"
        "'type':'summary_text','text':'b'}],'encrypted_content':'gA=='},{'type':'reasoning',"
        "'summary':[],'content':null,'encrypted_content':'gB=='},{'type':'message','content':[{"
        "'type':'output_text','text':'t'}]},{'type':'message','content':[{'type':'refusal',"
        "'refusal':'r'}]},{'type':'function_call','call_id':'c','name':'f','arguments':'{}'},{"
        "'type':'mcp_call'}],'usage':{'input_tokens':3,'output_tokens':2}}");
    is(buf_str(&t->b), "u(3,2,-1,-1) start(resp_1,gpt) think0[<a><\\n\\n><b>~gA==] think1[!gB==] "
                       "text2[<t>] refusal3[<r>] call4[c f:<{}>] finish5");
    assert_int_equal(t->in.lost, 1);
    t = read_whole("{'status':'failed','error':{'code':'server_error','message':'oh'}}");
    assert_true(t->in.failed);
    is(t->in.error.message, "oh");
    static const char *const odd[] = {
        "{}", "{'output':{}}",
        ("{'output':[1,[],{},{'type':7},{'type':'message','content':[1]},{'type':'reasoning',"
         "'summary':'x','content':{}},{'type':'function_call','arguments':[]}]}"),
        "{'usage':7,'incomplete_details':[],'error':'x','status':{}}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_true(read_whole(odd[i])->in.finished);
    }
}

/* ---- answers, written ---- */

struct written {
    struct buf text;
    struct ir_out out;
    struct ir_in in;
};

static struct written *new_written(const struct ir_call *c, bool stream)
{
    const struct format *f = format_of(FORMAT_RESPONSES);
    struct written *w = arena_zalloc(&arena, sizeof *w);
    w->text.arena = &arena;
    w->out = (struct ir_out){.arena = &arena,
                             .out = &w->text,
                             .scratch = &arena,
                             .state = arena_zalloc(&arena, f->out_state),
                             .call = c,
                             .model = STR("m"),
                             .id = STR("ID"),
                             .created_s = 7,
                             .stream = stream,
                             .caller = FAMILY_OPENAI};
    w->in = (struct ir_in){.arena = &arena, .usage = USAGE_NONE, .request_id = "req_7"};
    return w;
}

static void to_writer(void *arg, const struct ir_event *e)
{
    struct written *w = arg;
    format_of(FORMAT_RESPONSES)->write_event(&w->out, e);
}

/* An answer with one of everything. */
static void answer(struct ir_in *in, enum ir_finish finish)
{
    ir_start(in, STR("x"), STR("y"));
    ir_text(in, IR_THINKING, STR("hm"));
    ir_signature(in, STR("sig"), FAMILY_OPENAI, false);
    ir_close(in);
    ir_open(in, IR_THINKING);
    ir_signature(in, STR("omitted"), FAMILY_OPENAI, false);
    ir_close(in);
    ir_open(in, IR_THINKING);
    ir_signature(in, STR("hidden"), FAMILY_OPENAI, true);
    ir_open_call(in, STR("c1"), STR("f"));
    ir_open_call(in, STR("c2"), STR("s__g"));
    ir_delta(in, STR("{\\\"a\\\":"));
    ir_delta(in, STR("1}"));
    ir_open_call(in, STR("c3"), STR("exec"));
    ir_delta(in, STR("{\\\"input\\\":\\\"l1\\\\nl2\\\"}"));
    ir_media(in, IR_IMAGE, STR("image/webp"), STR("QUJD"));
    ir_media(in, IR_AUDIO, STR("audio/wav"), STR("QUJD"));
    ir_text(in, IR_REFUSAL, STR("no"));
    ir_text(in, IR_TEXT, STR("He"));
    ir_text(in, IR_TEXT, STR("llo"));
    in->usage = (struct usage){10, 7, 4, -1, 3};
    ir_finish(in, finish, (struct str){0});
}

static const char asked[] =
    "{'input':'q','instructions':'be \\u00e9','tools':[{'type':'function','name':'f'},{'type':"
    "'namespace','name':'s','description':'','tools':[{'type':'function','name':'g'}]},{'type':"
    "'custom','name':'exec'}],'tool_choice':null,'temperature':0.30,'top_p':null,"
    "'parallel_tool_calls':null,'max_output_tokens':9,'text':{'verbosity':'low'}}";

#define OUTPUT(status)                                                                             \
    "{'type':'reasoning','id':'rs_ID0','summary':[{'type':'summary_text','text':'hm'}],"           \
    "'encrypted_content':'sig'},{'type':'reasoning','id':'rs_ID1','summary':[{'type':"             \
    "'summary_text','text':''}],'encrypted_content':'omitted'},{'type':'reasoning','id':'rs_ID2'," \
    "'summary':[],'encrypted_content':'hidden'},{'type':'function_call','id':'fc_ID3','call_id':"  \
    "'c1','name':'f','arguments':'{}','status':'completed'},{'type':'function_call','id':"         \
    "'fc_ID4','call_id':'c2','name':'g','namespace':'s','arguments':'{\\'a\\':1}','status':"       \
    "'completed'},{'type':'custom_tool_call','id':'ctc_ID5','call_id':'c3','name':'exec','input':" \
    "'l1\\nl2','status':'completed'},{'type':'image_generation_call','id':'ig_ID6','status':"      \
    "'completed','output_format':'webp','result':'QUJD'},{'type':'message','id':'msg_ID7',"        \
    "'status':'completed','role':'assistant','content':[{'type':'refusal','refusal':'no'}]},{"     \
    "'type':'message','id':'msg_ID8','status':'" status "','role':'assistant','content':[{"        \
    "'type':'output_text','annotations':[],'logprobs':[],'text':'Hello'}]}"
#define ECHO(usage)                                                                                \
    "'frequency_penalty':0.0,'instructions':'be \\u00e9','max_output_tokens':9,"                   \
    "'max_tool_calls':null,'metadata':{},'parallel_tool_calls':true,'presence_penalty':0.0,"       \
    "'previous_response_id':null,'prompt_cache_key':null,'reasoning':{'effort':null,'summary':"    \
    "null},'safety_identifier':null,'service_tier':'default','store':true,'temperature':0.30,"     \
    "'text':{'verbosity':'low'},'tool_choice':'auto','tools':[{'type':'function','name':'f'},{"    \
    "'type':'namespace','name':'s','description':'','tools':[{'type':'function','name':'g'}]},{"   \
    "'type':'custom','name':'exec'}],'top_logprobs':0,'top_p':1.0,'truncation':'disabled',"        \
    "'user':null,'usage':" usage "}"
#define USAGE                                                                                      \
    "{'input_tokens':10,'output_tokens':7,'total_tokens':17,'input_tokens_details':{"              \
    "'cached_tokens':4,'cache_write_tokens':0},'output_tokens_details':{'reasoning_tokens':3}}"
#define HEAD(status, error, details)                                                               \
    "{'id':'resp_ID','object':'response','created_at':7,'status':'" status                         \
    "','background':false,'completed_at':null,'error':" error ",'incomplete_details':" details     \
    ",'model':'m','output':["

static void a_stream_is_written(void **state)
{
    (void)state;
    static const char *const want[] = {
        "response.created',#,'response':" HEAD("in_progress", "null", "null") "]," ECHO("null"),
        "response.in_progress',#,'response':" HEAD("in_progress", "null", "null") "]," ECHO("null"),
        "response.output_item.added',#,'output_index':0,'item':{'type':'reasoning','id':'rs_ID0',"
        "'summary':[]}",
        "response.reasoning_summary_part.added',#,'item_id':'rs_ID0','output_index':0,"
        "'summary_index':0,'part':{'type':'summary_text','text':''}",
        "response.reasoning_summary_text.delta',#,'item_id':'rs_ID0','output_index':0,"
        "'summary_index':0,'delta':'hm'",
        "response.reasoning_summary_text.done',#,'item_id':'rs_ID0','output_index':0,"
        "'summary_index':0,'text':'hm'",
        "response.reasoning_summary_part.done',#,'item_id':'rs_ID0','output_index':0,"
        "'summary_index':0,'part':{'type':'summary_text','text':'hm'}",
        "response.output_item.done',#,'output_index':0,'item':{'type':'reasoning','id':'rs_ID0',"
        "'summary':[{'type':'summary_text','text':'hm'}],'encrypted_content':'sig'}",
        "response.output_item.added',#,'output_index':1",
        "response.output_item.done',#,'output_index':1",
        "response.output_item.added',#,'output_index':2",
        "response.output_item.done',#,'output_index':2",
        "response.output_item.added',#,'output_index':3,'item':{'type':'function_call','id':"
        "'fc_ID3','call_id':'c1','name':'f','arguments':'','status':'in_progress'}",
        "response.function_call_arguments.delta',#,'item_id':'fc_ID3','output_index':3,'delta':"
        "'{}'",
        "response.function_call_arguments.done',#,'item_id':'fc_ID3','output_index':3,'name':'f',"
        "'arguments':'{}'",
        "response.output_item.done',#,'output_index':3,'item':{'type':'function_call',",
        "response.output_item.added',#,'output_index':4,'item':{'type':'function_call','id':"
        "'fc_ID4','call_id':'c2','name':'g','namespace':'s','arguments':''",
        "response.function_call_arguments.delta',#,'item_id':'fc_ID4','output_index':4,'delta':"
        "'{\\'a\\':'",
        "response.function_call_arguments.delta',#,'item_id':'fc_ID4','output_index':4,'delta':"
        "'1}'",
        "response.function_call_arguments.done',#,'item_id':'fc_ID4','output_index':4,'name':'g',"
        "'arguments':'{\\'a\\':1}'",
        "response.output_item.done',#,'output_index':4",
        "response.output_item.added',#,'output_index':5,'item':{'type':'custom_tool_call','id':"
        "'ctc_ID5','call_id':'c3','name':'exec','input':'','status':'in_progress'}",
        "response.custom_tool_call_input.delta',#,'item_id':'ctc_ID5','output_index':5,'delta':"
        "'l1\\nl2'",
        "response.custom_tool_call_input.done',#,'item_id':'ctc_ID5','output_index':5,'input':"
        "'l1\\nl2'",
        "response.output_item.done',#,'output_index':5",
        "response.output_item.added',#,'output_index':6,'item':{'type':'image_generation_call',"
        "'id':'ig_ID6','status':'in_progress','output_format':'webp','result':null}",
        "response.image_generation_call.completed',#,'item_id':'ig_ID6','output_index':6}",
        "response.output_item.done',#,'output_index':6",
        "response.output_item.added',#,'output_index':7,'item':{'type':'message','id':'msg_ID7',"
        "'status':'in_progress','role':'assistant','content':[]}",
        "response.content_part.added',#,'item_id':'msg_ID7','output_index':7,'content_index':0,"
        "'part':{'type':'refusal','refusal':''}",
        "response.refusal.delta',#,'item_id':'msg_ID7','output_index':7,'content_index':0,'delta':"
        "'no'",
        "response.refusal.done',#,'item_id':'msg_ID7','output_index':7,'content_index':0,"
        "'refusal':'no'",
        "response.content_part.done',#,'item_id':'msg_ID7','output_index':7,'content_index':0",
        "response.output_item.done',#,'output_index':7",
        "response.output_item.added',#,'output_index':8",
        "response.content_part.added',#,'item_id':'msg_ID8','output_index':8,'content_index':0,"
        "'part':{'type':'output_text','annotations':[],'logprobs':[],'text':''}",
        "response.output_text.delta',#,'item_id':'msg_ID8','output_index':8,'content_index':0,"
        "'logprobs':[],'delta':'He'",
        "response.output_text.delta',#,'item_id':'msg_ID8','output_index':8,'content_index':0,"
        "'logprobs':[],'delta':'llo'",
        "response.output_text.done',#,'item_id':'msg_ID8','output_index':8,'content_index':0,"
        "'logprobs':[],'text':'Hello'",
        "response.content_part.done',#,'item_id':'msg_ID8','output_index':8,'content_index':0,"
        "'part':{'type':'output_text','annotations':[],'logprobs':[],'text':'Hello'}",
        "response.output_item.done',#,'output_index':8,'item':{'type':'message','id':'msg_ID8',"
        "'status':'incomplete','role':'assistant','content':[{'type':'output_text','annotations':"
        "[],'logprobs':[],'text':'Hello'}]}",
        "response.incomplete',#,'response':" HEAD("incomplete", "null",
                                                  "{'reason':'max_output_tokens'}")
            OUTPUT("incomplete") "]," ECHO(USAGE) "}\n\n",
    };
    struct written *w = new_written(read_as(FORMAT_RESPONSES, asked), true);
    w->in.event = to_writer;
    w->in.arg = w;
    answer(&w->in, IR_FINISH_LENGTH);
    to_writer(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
    struct str rest = buf_str(&w->text);
    size_t n = 0;
    for (; rest.n; n++) {
        size_t end = sse_event_end(rest.p, rest.n, 0);
        assert_true(end > 0 && n < sizeof want / sizeof *want);
        struct str name, data = sse_data(&arena, str_first(rest, end), &name);
        is_json(str_trim(data));
        /* # is the event's number; the name stands ahead of the data as well */
        struct str text = quoted(want[n]), type;
        str_cut(&text, '"', &type);
        is(name, arena_dupz(&arena, type));
        str_cut(&text, '#', &type);
        has(str_first(rest, end),
            arena_printf(&arena, "data: {\"type\":\"%.*s\",\"sequence_number\":%zu%.*s",
                         STR_ARG(name), n, STR_ARG(text)));
        rest = str_from(rest, end);
    }
    assert_int_equal(n, sizeof want / sizeof *want);
    assert_int_equal(w->out.sequence, n);
    assert_int_equal(w->out.lost, 1); /* the sound */
}

static void whole_answers_are_written(void **state)
{
    (void)state;
    static const struct {
        enum ir_finish finish;
        const char *want;
    } rows[] = {
        {IR_FINISH_TOOLS, HEAD("completed", "null", "null") OUTPUT("completed") "]," ECHO(USAGE)},
        {IR_FINISH_SEQUENCE,
         HEAD("completed", "null", "null") OUTPUT("completed") "]," ECHO(USAGE)},
        {IR_FINISH_CONTEXT, HEAD("incomplete", "null", "{'reason':'max_output_tokens'}")
                                OUTPUT("incomplete") "]," ECHO(USAGE)},
        {IR_FINISH_FILTER, HEAD("incomplete", "null", "{'reason':'content_filter'}")
                               OUTPUT("incomplete") "]," ECHO(USAGE)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct written *w = new_written(read_as(FORMAT_RESPONSES, asked), false);
        struct ir_fold fold = {.arena = &arena};
        w->in.event = ir_fold_event;
        w->in.arg = &fold;
        answer(&w->in, rows[i].finish);
        format_of(FORMAT_RESPONSES)->write_answer(&w->out, &fold.answer);
        is_json(buf_str(&w->text));
        is_quoted(buf_str(&w->text), rows[i].want);
        assert_int_equal(w->out.lost, 1);
    }
    /* nothing asked, nothing told: all members that SDKs insist on are there */
    struct written *w = new_written(NULL, false);
    format_of(FORMAT_RESPONSES)->write_answer(&w->out, &(struct ir_answer){.usage = USAGE_NONE});
    has(buf_str(&w->text), quoted("'status':'completed'"));
    has(buf_str(&w->text), quoted("'output':[]"));
    has(buf_str(&w->text), quoted("'tools':[]"));
    has(buf_str(&w->text), quoted("'usage':{'input_tokens':0,'output_tokens':0,'total_tokens':0,"));
}

/* What the gateway did with the response is told in place of what was asked, and is not the upstream's. */
static void what_is_kept_is_told(void **state)
{
    (void)state;
    struct ir_call c;
    ir_call_init(&c, &arena);
    c.kept = IR_NO;
    c.follows = STR("\"resp_0\"");
    struct str body = quoted("{'input':'q','store':true,'previous_response_id':null}");
    assert_int_equal(format_of(FORMAT_RESPONSES)->read_request(&c, body), 0);
    has(write_as(FORMAT_RESPONSES, &c, 0), quoted("'store':false"));
    struct written *w = new_written(&c, false);
    format_of(FORMAT_RESPONSES)->write_answer(&w->out, &(struct ir_answer){.usage = USAGE_NONE});
    has(buf_str(&w->text), quoted("'previous_response_id':'resp_0'"));
    has(buf_str(&w->text), quoted("'store':false"));
}

/* A freeform tool's text, whatever the model made of its arguments. */
static void freeform_tools_get_a_text(void **state)
{
    (void)state;
    static const struct {
        const char *args, *want;
    } rows[] = {
        {"{\\\"input\\\":\\\"a\\\\u00e9\\\\\\\"\\\"}", "'input':'a\\u00e9\\''"},
        {"{\\\"patch\\\":\\\"p\\\"}", "'input':'p'"},
        {"{\\\"a\\\":\\\"p\\\",\\\"b\\\":2}", "'input':'{\\'a\\':\\'p\\',\\'b\\':2}'"},
        {"plain text", "'input':'plain text'"},
        {"", "'input':''"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct written *w = new_written(read_as(FORMAT_RESPONSES, asked), true);
        w->in.event = to_writer;
        w->in.arg = w;
        ir_open_call(&w->in, STR("c"), STR("exec"));
        ir_delta(&w->in, str_of(rows[i].args));
        ir_finish(&w->in, IR_FINISH_TOOLS, (struct str){0});
        struct str text = buf_str(&w->text);
        ptrdiff_t done = str_find(text, STR("event: response.output_item.done"));
        assert_true(done > 0);
        has(str_from(text, (size_t)done), quoted(rows[i].want));
    }
}

/* What is said again at the end is bounded, and stays JSON. */
static void long_answers_end_whole(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20, PIECES = 15 };
    char *piece = arena_alloc(&arena, PIECE);
    memset(piece, 'x', PIECE);
    struct written *w = new_written(NULL, true);
    struct ir_event last = {.type = IR_END};
    w->in.event = to_writer;
    w->in.arg = w;
    for (int item = 0; item < 3; item++) {
        for (int i = 0; i < PIECES; i++) {
            ir_text(&w->in, IR_TEXT, str_make(piece, PIECE));
            w->text.n = 0;
        }
        ir_close(&w->in);
    }
    ir_text(&w->in, IR_TEXT, STR("short"));
    ir_finish(&w->in, IR_FINISH_STOP, (struct str){0});
    w->text.n = 0;
    to_writer(w, &last);
    struct str data = sse_data(&arena, buf_str(&w->text), NULL);
    is_json(data);
    has(data, STR("\"text\":\"short\""));
    assert_int_equal(w->out.lost, 1);
}

/* What a caller sends back is what was told: thinking of others finds its way home. */
static void foreign_thinking_survives_the_loop(void **state)
{
    (void)state;
    struct written *w = new_written(NULL, false);
    struct ir_fold fold = {.arena = &arena};
    w->in.event = ir_fold_event;
    w->in.arg = &fold;
    ir_text(&w->in, IR_THINKING, STR("t"));
    ir_signature(&w->in, STR("s1"), FAMILY_ANTHROPIC, false);
    ir_close(&w->in);
    ir_open(&w->in, IR_THINKING);
    ir_signature(&w->in, STR("s2"), FAMILY_ANTHROPIC, true);
    ir_close(&w->in);
    ir_open(&w->in, IR_THINKING);
    ir_signature(&w->in, STR("s3"), FAMILY_ANTHROPIC, false);
    ir_whole_call(&w->in, STR("c"), STR("f"), STR("{}"));
    ir_finish(&w->in, IR_FINISH_TOOLS, (struct str){0});
    format_of(FORMAT_RESPONSES)->write_answer(&w->out, &fold.answer);
    struct str text = buf_str(&w->text), output;
    assert_int_equal(json_member(text, STR("output"), &output), JSON_ARRAY);
    struct str body = arena_printf(&arena, "{\"input\":%.*s}", STR_ARG(output));
    struct ir_call *c = read_as(FORMAT_RESPONSES, body.p);
    const struct ir_part *p = c->turns->first;
    is(p->text, "t");
    is(p->signature, "s1");
    assert_true(p->issuer == FAMILY_ANTHROPIC && !p->redacted);
    is(p->next->signature, "s2");
    assert_true(p->next->redacted);
    is(p->next->next->signature, "s3");
    assert_false(p->next->next->redacted);
    assert_int_equal(p->next->next->next->kind, IR_TOOL_CALL);
    is(losses(c), "");
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
        cmocka_unit_test_teardown(a_stream_is_read, reset),
        cmocka_unit_test_teardown(items_that_come_whole, reset),
        cmocka_unit_test_teardown(parallel_calls_are_kept_apart, reset),
        cmocka_unit_test_teardown(how_streams_end, reset),
        cmocka_unit_test_teardown(whole_answers_are_read, reset),
        cmocka_unit_test_teardown(a_stream_is_written, reset),
        cmocka_unit_test_teardown(whole_answers_are_written, reset),
        cmocka_unit_test_teardown(what_is_kept_is_told, reset),
        cmocka_unit_test_teardown(freeform_tools_get_a_text, reset),
        cmocka_unit_test_teardown(long_answers_end_whole, reset),
        cmocka_unit_test_teardown(foreign_thinking_survives_the_loop, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
