/* openai.responses through its row: answers both ways, whole and streamed. */
#include "responsesbench.h"

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
    in->usage = (struct usage){10, 7, 4, -1, 3, -1, -1, -1};
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
