/* bedrock.converse through its row: requests both ways, streams both ways, what Bedrock is strict about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/bedrock.h"
#include "dialect/format.h"
#include "http/aws_frame.h"
#include "json/scan.h"

#define CLAUDE "us.anthropic.claude-sonnet-4-20250514-v1:0"
#define NOVA   "amazon.nova-2-lite-v1:0"
#define LLAMA  "meta.llama3-70b-instruct-v1:0"

static const char *compact(struct arena *a, const char *text)
{
    char *to = arena_dupz(a, str_of(text)), *at = to; /* ' for " */
    for (; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return to;
}

static void text_is(const char *what, struct str got, struct str want)
{
    if (!str_eq(got, want)) {
        fail_msg("%s:\n%.*s\ninstead of\n%.*s", what, STR_ARG(got), STR_ARG(want));
    }
}

static void check_json(const char *what, struct str text)
{
    struct json_error e;
    enum json_type top;
    if (json_scan(text, NULL, 0, &top, &e) < 0 || top != JSON_OBJECT) {
        fail_msg("%s: %s at %zu of\n%.*s", what, e.why, e.at, STR_ARG(text));
    }
}

static struct str joined(struct arena *a, const struct ir_list *l)
{
    struct buf b = {.arena = a};
    for (; l; l = l->next) {
        if (b.n) {
            buf_addc(&b, ' ');
        }
        buf_add(&b, l->text);
    }
    return buf_str(&b);
}

static int read_request(struct arena *a, struct ir_call *c, enum format_id from, const char *body)
{
    struct str text = arena_dup(a, str_of(compact(a, body)));
    check_json("the test's own request", text);
    ir_call_init(c, a);
    int r = format_of(from)->read_request(c, text);
    ir_call_finish(c);
    return r;
}

static struct str write_request(struct arena *a, struct ir_call *c, enum format_id to,
                                const char *model, uint32_t quirks)
{
    struct buf b = {.arena = a};
    struct ir_target t = {
        .model = str_of(model), .quirks = quirks, .family = format_of(to)->family};
    format_of(to)->write_request(&b, c, &t);
    check_json("what was written", buf_str(&b));
    return buf_str(&b);
}

struct translation {
    const char *name, *model, *in, *out, *dropped;
    uint32_t quirks;
};

static void check_translation(enum format_id from, enum format_id to, const struct translation *t)
{
    struct arena a = {0};
    struct ir_call c;
    if (read_request(&a, &c, from, t->in) < 0) {
        fail_msg("%s: %.*s", t->name, STR_ARG(c.bad));
    }
    struct str got = write_request(&a, &c, to, t->model, t->quirks);
    text_is(t->name, got, str_of(compact(&a, t->out)));
    text_is(t->name, joined(&a, c.dropped), str_of(t->dropped));
    text_is("a second time", write_request(&a, &c, to, t->model, t->quirks), got);
    arena_reset(&a);
}

/* ---- requests to Bedrock ---- */

static const struct translation from_chat[] = {
    {"text", LLAMA,
     "{'model':'x','messages':[{'role':'system','content':'Be \\u0062rief.'},"
     "{'role':'user','content':'Hi \\ud83d\\ude00'}],'max_tokens':10,'temperature':1.5,"
     "'top_p':0.9,'stop':['a','b'],'seed':1}",
     "{'messages':[{'role':'user','content':[{'text':'Hi \\ud83d\\ude00'}]}],"
     "'system':[{'text':'Be \\u0062rief.'}],'inferenceConfig':{'maxTokens':10,'temperature':1,"
     "'topP':0.9,'stopSequences':['a','b']}}",
     "temperature>1 seed", 0},
    {"a tool loop: parallel, results first and in one message, ids that fit", CLAUDE,
     "{'messages':[{'role':'user','content':'go'},{'role':'assistant','content':'','tool_calls':["
     "{'id':'a b','type':'function','function':{'name':'f','arguments':'{\\'x\\':1}'}},"
     "{'id':'t2','type':'function','function':{'name':'g','arguments':''}}]},"
     "{'role':'tool','tool_call_id':'a b','content':'one'},"
     "{'role':'tool','tool_call_id':'t2','content':''},"
     "{'role':'user','content':'and?'}],"
     "'tools':[{'type':'function','function':{'name':'f','description':'F','parameters':"
     "{'type':'object','properties':{'x':{'type':'number'}}},'strict':true}},"
     "{'type':'function','function':{'name':'g'}}],'tool_choice':'required',"
     "'parallel_tool_calls':false}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]},"
     "{'role':'assistant','content':[{'toolUse':{'toolUseId':'toolu_@','name':'f','input':"
     "{'x':1}}},{'toolUse':{'toolUseId':'t2','name':'g','input':{}}}]},"
     "{'role':'user','content':[{'toolResult':{'toolUseId':'toolu_@','content':[{'text':'one'}]}},"
     "{'toolResult':{'toolUseId':'t2','content':[]}},{'text':'and?'}]}],"
     "'toolConfig':{'tools':[{'toolSpec':{'name':'f','description':'F','inputSchema':{'json':"
     "{'type':'object','properties':{'x':{'type':'number'}}}},'strict':true}},"
     "{'toolSpec':{'name':'g','inputSchema':{'json':{'type':'object','properties':{}}}}}],"
     "'toolChoice':{'any':{}}}}",
     "parallel_tool_calls", 0},
    {"calls in the history without tools: they are declared", CLAUDE,
     "{'messages':[{'role':'user','content':'go'},{'role':'assistant','tool_calls':["
     "{'id':'t1','type':'function','function':{'name':'f','arguments':'{}'}},"
     "{'id':'t2','type':'function','function':{'name':'f','arguments':'{}'}}]},"
     "{'role':'tool','tool_call_id':'t2','content':'two'},{'role':'user','content':'on'}]}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]},{'role':'assistant','content':["
     "{'toolUse':{'toolUseId':'t1','name':'f','input':{}}},"
     "{'toolUse':{'toolUseId':'t2','name':'f','input':{}}}]},{'role':'user','content':["
     "{'toolResult':{'toolUseId':'t2','content':[{'text':'two'}]}},"
     "{'toolResult':{'toolUseId':'t1','content':[{'text':'No result was given.'}],"
     "'status':'error'}},{'text':'on'}]}],'toolConfig':{'tools':[{'toolSpec':{'name':'f',"
     "'inputSchema':{'json':{'type':'object','properties':{}}}}}]}}",
     "messages.tool_calls[unanswered]", 0},
    {"a result whose call is not in the message before is the user's text", CLAUDE,
     "{'messages':[{'role':'user','content':'go'},{'role':'tool','tool_call_id':'t9',"
     "'content':'lost'},{'role':'assistant','content':' \\n'},{'role':'user','content':'on'}]}",
     "{'messages':[{'role':'user','content':[{'text':'go'},{'text':'lost'},{'text':'on'}]}]}",
     "messages[tool]", 0},
    {"begins with the user, an empty message has a text", CLAUDE,
     "{'messages':[{'role':'assistant','content':'Yes?'},{'role':'user','content':' '},"
     "{'role':'assistant','content':'Well'}]}",
     "{'messages':[{'role':'user','content':[{'text':'.'}]},{'role':'assistant','content':"
     "[{'text':'Yes?'}]},{'role':'user','content':[{'text':'.'}]},{'role':'assistant','content':"
     "[{'text':'Well'}]}]}",
     "messages.content[blank]", 0},
    {"media", CLAUDE,
     "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':{'url':"
     "'data:image/jpeg;base64,AAAA'}},{'type':'image_url','image_url':{'url':'https://x/y.png'}},"
     "{'type':'image_url','image_url':{'url':'data:image/tiff;base64,AAAA'}},"
     "{'type':'file','file':{'filename':'Q1 /  report\\u00e9.v2.pdf','file_data':"
     "'data:application/pdf;base64,BBBB'}},{'type':'file','file':{'filename':'a.csv','file_data':"
     "'data:text/csv;base64,CCCC'}},{'type':'file','file':{'filename':'a.csv','file_data':"
     "'data:text/csv;base64,DDDD'}},{'type':'file','file':{'file_id':'f1'}}]}]}",
     "{'messages':[{'role':'user','content':[{'image':{'format':'jpeg','source':{'bytes':'AAAA'}}},"
     "{'document':{'format':'pdf','name':'Q1 - report-v2-pdf','source':{'bytes':'BBBB'}}},"
     "{'document':{'format':'csv','name':'a-csv','source':{'bytes':'CCCC'}}},"
     "{'document':{'format':'csv','name':'a-csv-3','source':{'bytes':'DDDD'}}},{'text':'.'}]}]}",
     "messages.content[image_url] messages.content[file]", 0},
    {"a schema, an effort, a tier, an end user", CLAUDE,
     "{'messages':[{'role':'user','content':'x'}],'response_format':{'type':'json_schema',"
     "'json_schema':{'name':'n','schema':{'type':'object','title':'a \\'q\\' '}}},"
     "'reasoning_effort':'low','service_tier':'flex','user':'u-1','metadata':{'k':'v w'},"
     "'temperature':0.5}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'inferenceConfig':"
     "{'maxTokens':10240},'additionalModelRequestFields':{'thinking':{'type':'enabled',"
     "'budget_tokens':2048}},'outputConfig':{'textFormat':{'type':'json_schema','structure':"
     "{'jsonSchema':{'schema':'{\\'type\\':\\'object\\',\\'title\\':\\'a \\\\\\'q\\\\\\' \\'}',"
     "'name':'n'}}}},'requestMetadata':{'k':'v w','user_id':'u-1'},"
     "'serviceTier':{'type':'flex'}}",
     "temperature", 0},
    {"no choice: no tools", CLAUDE,
     "{'messages':[{'role':'user','content':'x'}],'tool_choice':'none','tools':[{'type':"
     "'function','function':{'name':'f','parameters':{}}}]}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}]}", "", 0},
    {"a root that says no type; other models choose themselves", LLAMA,
     "{'messages':[{'role':'user','content':'x'}],'tool_choice':{'type':'function','function':"
     "{'name':'f'}},'tools':[{'type':'function','function':{'name':'f','parameters':"
     "{ 'properties':{'type':{}}},'strict':true}},"
     "{'type':'function','function':{'name':'g','parameters':{ }}}],'metadata':{'k':'ä'},"
     "'top_k':5,'reasoning_effort':'high'}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'toolConfig':{'tools':[{'toolSpec':"
     "{'name':'f','inputSchema':{'json':{'type':'object', 'properties':{'type':{}}}}}},"
     "{'toolSpec':{'name':'g','inputSchema':{'json':{'type':'object' }}}}]}}",
     "reasoning_effort tools.function.strict tool_choice top_k metadata", 0},
    {"Nova", NOVA,
     "{'messages':[{'role':'user','content':'x'}],'top_k':5,'reasoning_effort':'xhigh'}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'additionalModelRequestFields':"
     "{'reasoningConfig':{'type':'enabled','maxReasoningEffort':'high'},"
     "'inferenceConfig':{'topK':5}}}",
     "", 0},
    {"an open model of OpenAI's", "openai.gpt-oss-120b-1:0",
     "{'messages':[{'role':'user','content':'x'}],'reasoning_effort':'medium'}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'additionalModelRequestFields':"
     "{'reasoning_effort':'medium'}}",
     "", 0},
    {"adaptive", CLAUDE,
     "{'messages':[{'role':'user','content':'x'}],'reasoning_effort':'high','top_p':0.5}",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'additionalModelRequestFields':"
     "{'thinking':{'type':'adaptive'}},'outputConfig':{'effort':'high'}}",
     "top_p", QUIRK_ADAPTIVE},
};

static const struct translation from_messages[] = {
    {"cache marks, errors, images in results, instructions in the middle", CLAUDE,
     "{'max_tokens':100,'system':[{'type':'text','text':'S','cache_control':{'type':'ephemeral',"
     "'ttl':'1h'}}],'messages':[{'role':'user','content':[{'type':'text','text':'go',"
     "'cache_control':{'type':'ephemeral'}}]},{'role':'assistant','content':[{'type':'tool_use',"
     "'id':'t1','name':'f','input':{}}]},{'role':'system','content':'Mind.'},{'role':'user',"
     "'content':[{'type':'text','text':'see'},{'type':'tool_result','tool_use_id':'t1',"
     "'is_error':true,'content':[{'type':'text','text':'bad'},{'type':'image','source':{'type':"
     "'base64','media_type':'image/png','data':'AAAA'}}]}]}],'tools':[{'name':'f','input_schema':"
     "{'type':'object'},'cache_control':{'type':'ephemeral'}}],'top_k':3}",
     "{'messages':[{'role':'user','content':[{'text':'go'},{'cachePoint':{'type':'default'}}]},"
     "{'role':'assistant','content':[{'toolUse':{'toolUseId':'t1','name':'f','input':{}}}]},"
     "{'role':'user','content':[{'toolResult':{'toolUseId':'t1','content':[{'text':'bad'},"
     "{'image':{'format':'png','source':{'bytes':'AAAA'}}}],'status':'error'}},{'text':'see'}]}],"
     "'system':[{'text':'S'},{'cachePoint':{'type':'default','ttl':'1h'}},{'text':'Mind.'}],"
     "'inferenceConfig':{'maxTokens':100},'toolConfig':{'tools':[{'toolSpec':{'name':'f',"
     "'inputSchema':{'json':{'type':'object'}}}},{'cachePoint':{'type':'default'}}]},"
     "'additionalModelRequestFields':{'top_k':3}}",
     "", 0},
    {"foreign thinking stays behind; a loop that lacks it goes on without", CLAUDE,
     "{'max_tokens':5000,'thinking':{'type':'enabled','budget_tokens':2000},'messages':[{'role':"
     "'user','content':'go'},{'role':'assistant','content':[{'type':'thinking','thinking':'hm',"
     "'signature':'c2ln'},{'type':'tool_use','id':'t1','name':'f','input':{}}]},{'role':'user',"
     "'content':[{'type':'tool_result','tool_use_id':'t1','content':'ok'}]}],'tools':[{'name':"
     "'f','input_schema':{'type':'object'}}]}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]},{'role':'assistant','content':"
     "[{'toolUse':{'toolUseId':'t1','name':'f','input':{}}}]},{'role':'user','content':"
     "[{'toolResult':{'toolUseId':'t1','content':[{'text':'ok'}]}}]}],'inferenceConfig':"
     "{'maxTokens':5000},'toolConfig':{'tools':[{'toolSpec':{'name':'f','inputSchema':{'json':"
     "{'type':'object'}}}}]}}",
     "thinking messages.content[thinking]", 0},
    {"thinking on: no forced choice, the budget below the limit", CLAUDE,
     "{'max_tokens':2000,'thinking':{'type':'enabled','budget_tokens':9000},'temperature':1,"
     "'top_k':4,'messages':[{'role':'user','content':'go'}],'tools':[{'name':'f','input_schema':"
     "{'type':'object'}}],'tool_choice':{'type':'any'}}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]}],'inferenceConfig':{'maxTokens':"
     "2000},'toolConfig':{'tools':[{'toolSpec':{'name':'f','inputSchema':{'json':{'type':"
     "'object'}}}}]},'additionalModelRequestFields':{'thinking':{'type':'enabled',"
     "'budget_tokens':1999}}}",
     "temperature tool_choice top_k", 0},
    {"no room for a budget", CLAUDE,
     "{'max_tokens':1000,'thinking':{'type':'enabled','budget_tokens':9000},"
     "'messages':[{'role':'user','content':'go'}]}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]}],'inferenceConfig':{'maxTokens':"
     "1000}}",
     "thinking", 0},
    {"models without a cache", LLAMA,
     "{'max_tokens':100,'messages':[{'role':'user','content':[{'type':'text','text':'go',"
     "'cache_control':{'type':'ephemeral'}}]}]}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]}],'inferenceConfig':{'maxTokens':"
     "100}}",
     "cache_control", 0},
};

static void check_ids(struct arena *a, struct translation *t)
{
    /* the id that is made for "a b" */
    struct buf b = {.arena = a};
    struct str made = ir_id(a, STR("a b"), IR_ID_ANTHROPIC), rest = str_of(t->out), head;
    while (str_cut(&rest, '@', &head)) {
        buf_add(&b, str_first(head, head.n - 6));
        buf_add(&b, made);
    }
    buf_add(&b, head);
    t->out = arena_dupz(a, buf_str(&b));
}

static void writes_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof from_chat / sizeof *from_chat; i++) {
        struct arena a = {0};
        struct translation t = from_chat[i];
        check_ids(&a, &t);
        check_translation(FORMAT_CHAT, FORMAT_CONVERSE, &t);
        arena_reset(&a);
    }
    for (size_t i = 0; i < sizeof from_messages / sizeof *from_messages; i++) {
        check_translation(FORMAT_MESSAGES, FORMAT_CONVERSE, &from_messages[i]);
    }
}

static void paths(void **state)
{
    (void)state;
    static const char *const all[][3] = {
        {CLAUDE, "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse",
         "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream"},
        {"arn:aws:bedrock:a:1:x/y z", "/model/arn%3Aaws%3Abedrock%3Aa%3A1%3Ax%2Fy%20z/converse",
         "/model/arn%3Aaws%3Abedrock%3Aa%3A1%3Ax%2Fy%20z/converse-stream"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (int stream = 0; stream < 2; stream++) {
            struct arena a = {0};
            struct buf b = {.arena = &a};
            struct ir_call c;
            ir_call_init(&c, &a);
            c.stream = stream;
            format_of(FORMAT_CONVERSE)
                ->path(&b, &c, &(struct ir_target){.model = str_of(all[i][0])});
            text_is("path", buf_str(&b), str_of(all[i][1 + stream]));
            arena_reset(&a);
        }
    }
}

/* ---- requests of Bedrock's callers ---- */

static const struct translation to_messages[] = {
    {"as boto3 sends it", "claude",
     "{'system':[{'text':'S'},{'cachePoint':{'type':'default'}}],'messages':[{'role':'user',"
     "'content':[{'text':'go'},{'image':{'format':'png','source':{'bytes':'AAAA'}}},{'document':"
     "{'format':'pdf','name':'d','source':{'bytes':'BBBB'}}},{'cachePoint':{'type':'default',"
     "'ttl':'1h'}}]},{'role':'assistant','content':[{'text':'ok'},{'toolUse':{'toolUseId':'t1',"
     "'name':'f','input':{'a':[1, 2]}}}]},{'role':'user','content':[{'toolResult':{'toolUseId':"
     "'t1','content':[{'json':{'r':'x\\'y'}},{'text':'z'}],'status':'error'}}]}],"
     "'inferenceConfig':{'maxTokens':10,'temperature':0.10,'topP':0.9,'stopSequences':['q']},"
     "'toolConfig':{'tools':[{'toolSpec':{'name':'f','description':'F','inputSchema':{'json':"
     "{'type':'object'}}}},{'cachePoint':{'type':'default'}}],'toolChoice':{'tool':{'name':'f'}}},"
     "'additionalModelRequestFields':{'top_k':7}}",
     "{'model':'claude','max_tokens':10,'system':[{'type':'text','text':'S','cache_control':"
     "{'type':'ephemeral'}}],'messages':[{'role':'user','content':[{'type':'text','text':'go'},"
     "{'type':'image','source':{'type':'base64','media_type':'image/png','data':'AAAA'}},"
     "{'type':'document','source':{'type':'base64','media_type':'application/pdf','data':'BBBB'},"
     "'title':'d','cache_control':{'type':'ephemeral','ttl':'1h'}}]},{'role':'assistant',"
     "'content':[{'type':'text','text':'ok'},{'type':'tool_use','id':'t1','name':'f','input':"
     "{'a':[1, 2]}}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1',"
     "'content':[{'type':'text','text':'{\\'r\\':\\'x\\\\\\'y\\'}'},{'type':'text','text':'z'}],"
     "'is_error':true}]}],'tools':[{'name':'f','description':'F','input_schema':{'type':"
     "'object'},'cache_control':{'type':'ephemeral'}}],'tool_choice':{'type':'tool','name':'f'},"
     "'temperature':0.10,'top_p':0.9,'top_k':7,'stop_sequences':['q']}",
     "", 0},
    {"what is not carried is named", "claude",
     "{'messages':[{'role':'user','content':[{'video':{'format':'mp4','source':{'bytes':'A'}}},"
     "{'guardContent':{'text':{'text':'guarded','qualifiers':['query']}}},{'document':{'format':"
     "'txt','name':'d','source':{'content':[{'text':'a'},{'text':'b'}]},'citations':{'enabled':"
     "true}}}]},{'role':'assistant','content':[{'citationsContent':{'content':[{'text':'c'}],"
     "'citations':[]}},{'toolUse':{'toolUseId':'s','name':'w','input':{},'type':"
     "'server_tool_use'}}]},{'role':'user','content':[{'text':'on'}]}],'guardrailConfig':{},"
     "'performanceConfig':{'latency':'optimized'},'additionalModelResponseFieldPaths':['/x'],"
     "'promptVariables':null,'additionalModelRequestFields':{'anthropic_beta':['b']},"
     "'toolConfig':{'tools':[{'systemTool':{'name':'nova_grounding'}}]},"
     "'requestMetadata':{'k':'v'}}",
     "{'model':'claude','max_tokens':8192,'messages':[{'role':'user','content':[{'type':'text',"
     "'text':'guarded'},{'type':'document','source':{'type':'text','media_type':'text/plain',"
     "'data':'a\\nb'},'title':'d'}]},{'role':'assistant','content':[{'type':'text','text':'c'}]},"
     "{'role':'user','content':[{'type':'text','text':'on'}]}]}",
     "messages.content[video] messages.content.guardContent messages.content.citations "
     "messages.content.citationsContent.citations messages.content[server_tool_use] "
     "guardrailConfig performanceConfig additionalModelResponseFieldPaths "
     "additionalModelRequestFields.anthropic_beta toolConfig.tools[systemTool] requestMetadata",
     0},
    {"thinking and the schema's text", "claude",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'inferenceConfig':{'maxTokens':9000},"
     "'additionalModelRequestFields':{'thinking':{'type':'enabled','budget_tokens':2000}},"
     "'outputConfig':{'textFormat':{'type':'json_schema','structure':{'jsonSchema':{'schema':"
     "'{\\'type\\':\\'object\\'}','name':'n'}}}}}",
     "{'model':'claude','max_tokens':9000,'thinking':{'type':'enabled','budget_tokens':2000},"
     "'output_config':{'format':{'type':'json_schema','schema':{'type':'object'}}},'messages':"
     "[{'role':'user','content':[{'type':'text','text':'x'}]}]}",
     "", 0},
};

static const struct translation to_chat[] = {
    {"names, tiers and words", "gpt",
     "{'messages':[{'role':'user','content':[{'text':'x'}]}],'requestMetadata':{'k':'v'},"
     "'serviceTier':{'type':'priority'},'additionalModelRequestFields':{'reasoning_effort':"
     "'high'},'toolConfig':{'tools':[{'toolSpec':{'name':'f','inputSchema':{'json':{}},"
     "'strict':true}}],'toolChoice':{'any':{}}}}",
     "{'model':'gpt','messages':[{'role':'user','content':'x'}],'tools':[{'type':'function',"
     "'function':{'name':'f','parameters':{},'strict':true}}],'tool_choice':'required',"
     "'reasoning_effort':'high','metadata':{'k':'v'},'service_tier':'priority'}",
     "", QUIRK_DEVELOPER},
};

/* To itself: what the form holds survives. */
static const struct translation to_itself[] = {
    {"its own thinking goes back", CLAUDE,
     "{'messages':[{'role':'user','content':[{'text':'go'}]},{'role':'assistant','content':["
     "{'reasoningContent':{'reasoningText':{'text':'hm','signature':'c2ln'}}},"
     "{'reasoningContent':{'redactedContent':'AAAA'}},{'toolUse':{'toolUseId':'t','name':'f',"
     "'input':{}}}]},{'role':'user','content':[{'toolResult':{'toolUseId':'t','content':"
     "[{'text':'r'}]}}]}],'inferenceConfig':{'maxTokens':9000},'toolConfig':{'tools':[{'toolSpec':"
     "{'name':'f','inputSchema':{'json':{'type':'object'}}}}]},'additionalModelRequestFields':"
     "{'thinking':{'type':'enabled','budget_tokens':2000}}}",
     "{'messages':[{'role':'user','content':[{'text':'go'}]},{'role':'assistant','content':["
     "{'reasoningContent':{'reasoningText':{'text':'hm','signature':'c2ln'}}},"
     "{'reasoningContent':{'redactedContent':'AAAA'}},{'toolUse':{'toolUseId':'t','name':'f',"
     "'input':{}}}]},{'role':'user','content':[{'toolResult':{'toolUseId':'t','content':"
     "[{'text':'r'}]}}]}],'inferenceConfig':{'maxTokens':9000},'toolConfig':{'tools':[{'toolSpec':"
     "{'name':'f','inputSchema':{'json':{'type':'object'}}}}]},'additionalModelRequestFields':"
     "{'thinking':{'type':'enabled','budget_tokens':2000}}}",
     "", 0},
    {"places and sounds", CLAUDE,
     "{'messages':[{'role':'user','content':[{'image':{'format':'gif','source':{'s3Location':"
     "{'uri':'s3://b/k','bucketOwner':'123456789012'}}}},{'audio':{'format':'opus','source':"
     "{'bytes':'AAAA'}}},{'document':{'format':'md','name':'n','source':{'text':'# t'}}},"
     "{'text':'x'}]}]}",
     "{'messages':[{'role':'user','content':[{'image':{'format':'gif','source':{'s3Location':"
     "{'uri':'s3://b/k'}}}},{'audio':{'format':'opus','source':{'bytes':'AAAA'}}},{'document':"
     "{'format':'md','name':'n','source':{'text':'# t'}}},{'text':'x'}]}]}",
     "s3Location.bucketOwner", 0},
};

static void reads_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof to_messages / sizeof *to_messages; i++) {
        check_translation(FORMAT_CONVERSE, FORMAT_MESSAGES, &to_messages[i]);
    }
    for (size_t i = 0; i < sizeof to_chat / sizeof *to_chat; i++) {
        check_translation(FORMAT_CONVERSE, FORMAT_CHAT, &to_chat[i]);
    }
    for (size_t i = 0; i < sizeof to_itself / sizeof *to_itself; i++) {
        check_translation(FORMAT_CONVERSE, FORMAT_CONVERSE, &to_itself[i]);
    }
}

static void complains(void **state)
{
    (void)state;
    static const char *const all[][3] = {
        {"{}", "messages is missing or empty", "messages"},
        {"{'messages':[]}", "messages is missing or empty", "messages"},
        {"{'messages':{}}", "messages must be an array", "messages"},
        {"{'messages':[1]}", "messages[0] must be an object", "messages[0]"},
        {"{'messages':[{'role':'tool','content':[]}]}",
         "messages[0].role must be user or assistant", "messages[0].role"},
        {"{'messages':[{'role':'user','content':'x'}]}",
         "messages[0].content must be an array of blocks", "messages[0].content"},
        {"{'messages':[{'role':'user','content':['x']}]}", "messages[0].content must hold objects",
         "messages[0].content"},
        {"{'messages':[{'role':'user','content':[{'text':1}]}]}",
         "messages[0].content.text has the wrong type", "messages[0].content.text"},
        {"{'messages':[{'role':'user','content':[{'image':'x'}]}]}",
         "messages[0].content.image has the wrong type", "messages[0].content.image"},
        {"{'messages':[{'role':'assistant','content':[{'toolUse':{'name':'f'}}]}]}",
         "messages[0].content has a toolUse without toolUseId or name", "messages[0].content"},
        {"{'messages':[{'role':'user','content':[{'toolResult':{'content':[]}}]}]}",
         "messages[0].content has a toolResult without toolUseId", "messages[0].content"},
        {"{'system':'x'}", "system must be an array of blocks with a text", "system"},
        {"{'inferenceConfig':{'maxTokens':'x'}}", "inferenceConfig.maxTokens must be a number",
         "inferenceConfig.maxTokens"},
        {"{'toolConfig':{'tools':{}}}", "toolConfig.tools must be an array", "toolConfig.tools"},
        {"{'toolConfig':{'tools':[{'toolSpec':{}}]}}",
         "toolConfig.tools[0].toolSpec.name is missing", "toolConfig.tools[0].toolSpec.name"},
        {"{'toolConfig':{'toolChoice':{'none':{}}}}",
         "toolConfig.toolChoice must be auto, any or a tool with its name",
         "toolConfig.toolChoice"},
        {"{'outputConfig':{'textFormat':{'structure':{'jsonSchema':{'schema':'x'}}}}}",
         "outputConfig.textFormat.structure.jsonSchema.schema must be the text of a JSON object",
         "outputConfig.textFormat.structure.jsonSchema.schema"},
        {"{'additionalModelRequestFields':{'thinking':{'type':'enabled'}}}",
         "additionalModelRequestFields.thinking.budget_tokens is missing",
         "additionalModelRequestFields.thinking.budget_tokens"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct arena a = {0};
        struct ir_call c;
        if (read_request(&a, &c, FORMAT_CONVERSE, all[i][0]) == 0) {
            fail_msg("%s is taken", all[i][0]);
        }
        text_is(all[i][0], c.bad, str_of(all[i][1]));
        text_is(all[i][0], c.bad_param, str_of(all[i][2]));
        arena_reset(&a);
    }
}

/* null is as absent, wherever it stands; and any member may have any type without harm. */
static void nulls_and_odd_types(void **state)
{
    (void)state;
    static const char *const odd[] = {"null", "1", "'x'", "[]", "{}", "[{}]", "[[1]]", "true"};
    static const char *const places[] = {
        "{'messages':[{'role':'user','content':[{'text':'x'},{'%s':%s}]}]}",
        "{'messages':[{'role':'user','content':[{'text':'x'}]}],'%s':%s}",
    };
    static const char *const names[] = {
        "text",         "image",           "document",         "audio",
        "toolUse",      "toolResult",      "reasoningContent", "cachePoint",
        "video",        "guardContent",    "citationsContent", "system",
        "messages",     "toolConfig",      "inferenceConfig",  "additionalModelRequestFields",
        "outputConfig", "requestMetadata", "serviceTier",      "guardrailConfig",
    };
    for (size_t p = 0; p < 2; p++) {
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            for (size_t o = 0; o < sizeof odd / sizeof *odd; o++) {
                struct arena a = {0};
                struct ir_call c;
                char body[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(body, sizeof body, places[p], names[n], odd[o]);
#pragma GCC diagnostic pop
                int r = read_request(&a, &c, FORMAT_CONVERSE, body);
                bool messages = p == 1 && !strcmp(names[n], "messages");
                if (o == 0 && !messages && (r < 0 || c.dropped)) {
                    fail_msg("%s: null is not as absent", body);
                }
                if (r == 0) {
                    write_request(&a, &c, FORMAT_CONVERSE, CLAUDE, 0);
                }
                arena_reset(&a);
            }
        }
    }
}

/* ---- answers that are read ---- */

static void put_event(void *arg, const struct ir_event *e)
{
    static const char *const kinds[] = {"text", "image",  "audio",    "document",
                                        "call", "result", "thinking", "refusal"};
    static const char *const finishes[] = {"none",  "stop",   "sequence", "length", "context",
                                           "tools", "filter", "refusal",  "pause",  "error"};
    struct buf *b = arg;
    switch (e->type) {
    case IR_START:
        buf_add(b, STR("start|"));
        break;
    case IR_BLOCK_START:
        buf_printf(b, "%u %s %.*s %.*s %.*s|", e->block, kinds[e->kind], STR_ARG(e->id),
                   STR_ARG(e->name), STR_ARG(e->media_type));
        break;
    case IR_DELTA:
        buf_printf(b, "%u+%.*s|", e->block, STR_ARG(e->text));
        break;
    case IR_SIGNATURE:
        buf_printf(b, "%u sign %.*s %d%s|", e->block, STR_ARG(e->signature), (int)e->issuer,
                   e->redacted ? " redacted" : "");
        break;
    case IR_BLOCK_STOP:
        buf_printf(b, "%u stop|", e->block);
        break;
    case IR_USAGE:
        buf_printf(b, "usage %ld %ld %ld %ld|", (long)e->usage.input, (long)e->usage.output,
                   (long)e->usage.cache_read, (long)e->usage.cache_write);
        break;
    case IR_FINISH:
        buf_printf(b, "finish %s %.*s|", finishes[e->finish], STR_ARG(e->stop_sequence));
        break;
    case IR_END:
        buf_add(b, STR("end|"));
        break;
    }
}

struct reading {
    struct arena a;
    struct buf log;
    char state[128];
    struct ir_in in;
};

static void begin_reading(struct reading *r)
{
    *r = (struct reading){0};
    r->log.arena = &r->a;
    r->in = (struct ir_in){.arena = &r->a,
                           .event = put_event,
                           .arg = &r->log,
                           .state = r->state,
                           .request_id = "req_1",
                           .usage = USAGE_NONE};
    assert_true(format_of(FORMAT_CONVERSE)->in_state <= sizeof r->state);
}

static void read_one(struct reading *r, const char *name, const char *data)
{
    struct str text = str_of(compact(&r->a, data));
    check_json("the test's own event", text);
    format_of(FORMAT_CONVERSE)->read_event(&r->in, str_of(name), text, true);
}

static void streams_are_read(void **state)
{
    (void)state;
    static const char *const events[][2] = {
        {"messageStart", "{'role':'assistant','p':'abc'}"},
        {"contentBlockDelta",
         "{'contentBlockIndex':0,'delta':{'reasoningContent':{'text':'h\\u006d'}},'p':'a'}"},
        {"contentBlockDelta",
         "{'contentBlockIndex':0,'delta':{'reasoningContent':{'signature':'c2ln'}}}"},
        {"contentBlockStop", "{'contentBlockIndex':0}"},
        {"contentBlockDelta",
         "{'contentBlockIndex':1,'delta':{'reasoningContent':{'redactedContent':'AAAA'}}}"},
        {"contentBlockStop", "{'contentBlockIndex':1}"},
        {"contentBlockDelta", "{'contentBlockIndex':2,'delta':{'text':'He'}}"},
        {"contentBlockDelta", "{'contentBlockIndex':2,'delta':{'text':'llo'}}"},
        {"contentBlockDelta", "{'contentBlockIndex':2,'delta':{'citation':{'title':'x'}}}"},
        {"contentBlockStop", "{'contentBlockIndex':2}"},
        {"contentBlockStart",
         "{'contentBlockIndex':3,'start':{'toolUse':{'toolUseId':'t1','name':'f'}}}"},
        {"contentBlockDelta", "{'contentBlockIndex':3,'delta':{'toolUse':{'input':''}}}"},
        {"contentBlockDelta", "{'contentBlockIndex':3,'delta':{'toolUse':{'input':'{\\'a'}}}"},
        {"contentBlockDelta", "{'contentBlockIndex':3,'delta':{'toolUse':{'input':'\\':1}'}}}"},
        {"contentBlockStart",
         "{'contentBlockIndex':4,'start':{'toolUse':{'toolUseId':'t2','name':'g'}}}"},
        {"contentBlockStop", "{'contentBlockIndex':4}"},
        {"contentBlockStart",
         "{'contentBlockIndex':5,'start':{'toolUse':{'toolUseId':'s','name':'w','type':"
         "'server_tool_use'}}}"},
        {"contentBlockDelta", "{'contentBlockIndex':5,'delta':{'toolUse':{'input':'{}'}}}"},
        {"contentBlockStop", "{'contentBlockIndex':5}"},
        {"contentBlockStart", "{'contentBlockIndex':6,'start':{'image':{'format':'png'}}}"},
        {"contentBlockDelta",
         "{'contentBlockIndex':6,'delta':{'image':{'source':{'bytes':'BBBB'}}}}"},
        {"contentBlockStop", "{'contentBlockIndex':6}"},
        {"somethingNew", "{'x':1}"},
        {"messageStop", "{'stopReason':'tool_use'}"},
        {"metadata",
         "{'usage':{'inputTokens':10,'outputTokens':5,'totalTokens':20,'cacheReadInputTokens':3,"
         "'cacheWriteInputTokens':2,'cacheDetails':[{'ttl':'5m','inputTokens':2}]},"
         "'metrics':{'latencyMs':7}}"},
    };
    struct reading r;
    begin_reading(&r);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        assert_false(r.in.ended);
        read_one(&r, events[i][0], events[i][1]);
    }
    text_is("events", buf_str(&r.log),
            STR("start|0 thinking   |0+h\\u006d|0 sign c2ln 5|0 stop|1 thinking   |1 sign AAAA 5 "
                "redacted|1 stop|2 text   |2+He|2+llo|2 stop|3 call t1 f |3+{\\\"a|3+\\\":1}|3 "
                "stop|4 call t2 g |4 stop|5 image   image/png|5+BBBB|5 stop|finish tools |usage 15 "
                "5 3 2|"));
    assert_true(r.in.ended && r.in.finished && !r.in.failed);
    assert_int_equal(r.in.lost, 2); /* a citation, the server's call */
    arena_reset(&r.a);
}

static void exceptions_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *data;
        bool json;
        unsigned status;
        const char *code, *message;
    } all[] = {
        {"throttlingException", "{\"message\":\"Slow \\\"down\\\"\"}", true, 429,
         "throttlingException", "Slow \"down\""},
        {"validationException", "{\"message\":\"Input is too long for requested model.\"}", true,
         400, "validationException", "Input is too long for requested model."},
        {"modelStreamErrorException",
         "{\"originalStatusCode\":500,\"originalMessage\":\"o\",\"message\":\"m\"}", true, 424,
         "modelStreamErrorException", "m"},
        {"modelStreamErrorException", "{\"originalMessage\":\"o\"}", true, 424,
         "modelStreamErrorException", "o"},
        {"serviceUnavailableException", "{}", true, 503, "serviceUnavailableException", ""},
        {"internalServerException", "{\"Message\":1}", true, 500, "internalServerException", ""},
        {"somethingNewException", "{\"message\":\"m\"}", true, 500, "somethingNewException", "m"},
        {"InternalError", "it broke", false, 500, "InternalError", "it broke"},
        {"ThrottlingException", "slow", false, 429, "ThrottlingException", "slow"},
        {"", "what", false, 500, "", "what"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct reading r;
        begin_reading(&r);
        format_of(FORMAT_CONVERSE)
            ->read_event(&r.in, str_of(all[i].name), str_of(all[i].data), all[i].json);
        assert_true(r.in.failed);
        assert_int_equal(r.in.error.status, all[i].status);
        text_is("code", r.in.error.code, str_of(all[i].code));
        text_is("message", r.in.error.message, str_of(all[i].message));
        arena_reset(&r.a);
    }
}

static void answers_are_read(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"{'metrics':{'latencyMs':9},'output':{'message':{'content':[{'reasoningContent':"
         "{'reasoningText':{'text':'hm','signature':'c2ln'}}},{'reasoningContent':"
         "{'redactedContent':'AAAA'}},{'text':'a'},{'text':'b'},{'toolUse':{'input':{'x':'\\'"
         "'},'name':'f','toolUseId':'t1'}},{'toolUse':{'input':null,'name':'g','toolUseId':'t2'}},"
         "{'citationsContent':{'content':[{'text':'c'}],'citations':[{}]}},{'image':{'format':"
         "'jpeg','source':{'bytes':'BBBB'}}}],'role':'assistant'}},'stopReason':'tool_use',"
         "'usage':{'inputTokens':1,'outputTokens':2,'totalTokens':3}}",
         "start|0 thinking   |0+hm|0 sign c2ln 5|0 stop|1 thinking   |1 sign AAAA 5 redacted|1 "
         "stop|2 text   |2+a|2 stop|3 text   |3+b|3 stop|4 call t1 f "
         "|4+{\\\"x\\\":\\\"\\\\\\\"\\\"}|4 "
         "stop|5 call t2 g |5+{}|5 stop|6 text   |6+c|6 stop|7 image   image/jpeg|7+BBBB|7 "
         "stop|finish tools |"},
        {"{'output':{'message':{'role':'assistant','content':[]}},'stopReason':'stop_sequence',"
         "'additionalModelResponseFields':{'stop_sequence':'q'}}",
         "start|finish sequence q|"},
        {"{'output':{'message':{}},'stopReason':'max_tokens'}", "start|finish length |"},
        {"{'output':{},'stopReason':'guardrail_intervened'}", "start|finish filter |"},
        {"{'output':null,'stopReason':'content_filtered'}", "start|finish filter |"},
        {"{'output':{},'stopReason':'model_context_window_exceeded'}", "start|finish context |"},
        {"{'output':{},'stopReason':'malformed_tool_use'}", "start|finish error |"},
        {"{'output':{},'stopReason':'end_turn'}", "start|finish stop |"},
        {"{'output':{},'stopReason':'something new'}", "start|finish stop |"},
        {"{'message':'no answer'}", ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct reading r;
        begin_reading(&r);
        struct str body = str_of(compact(&r.a, all[i][0]));
        check_json("the test's own answer", body);
        format_of(FORMAT_CONVERSE)->read_answer(&r.in, body);
        text_is(all[i][0], buf_str(&r.log), str_of(all[i][1]));
        assert_int_equal(r.in.finished, *all[i][1] != 0);
        if (i == 0) {
            assert_int_equal(r.in.usage.input, 1);
            assert_int_equal(r.in.usage.output, 2);
            assert_int_equal(r.in.usage.cache_read, -1);
        }
        arena_reset(&r.a);
    }
}

/* Any event with anything in it: nothing breaks. */
static void odd_events_do_no_harm(void **state)
{
    (void)state;
    static const char *const names[] = {
        "messageStart", "contentBlockStart", "contentBlockDelta",  "contentBlockStop",
        "messageStop",  "metadata",          "throttlingException"};
    static const char *const members[] = {"delta",      "start",   "usage",
                                          "stopReason", "message", "output"};
    static const char *const values[] = {
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        "[{}]",
        "{\"text\":1}",
        "{\"text\":\"x\"}",
        "{\"toolUse\":1}",
        "{\"toolUse\":{\"input\":{}}}",
        "{\"toolUse\":{\"input\":\"x\"}}",
        "{\"reasoningContent\":{\"text\":[]}}",
        "{\"reasoningContent\":{\"signature\":\"\"}}",
        "{\"image\":{\"source\":1}}",
        "{\"image\":{\"format\":1}}",
        "{\"content\":[1,{\"text\":2}]}",
        "{\"message\":{\"content\":[{\"toolUse\":[]},{\"image\":{}},{\"reasoningContent\":1}]}}",
        "{\"inputTokens\":\"x\"}"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                struct reading r;
                begin_reading(&r);
                struct str text = arena_printf(&r.a, "{\"%s\":%s}", members[m], values[v]);
                text = arena_dup(&r.a, text);
                format_of(FORMAT_CONVERSE)->read_event(&r.in, str_of(names[n]), text, true);
                format_of(FORMAT_CONVERSE)->read_answer(&r.in, text);
                arena_reset(&r.a);
            }
        }
    }
}

static void errors_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *message;
        unsigned was, status;
    } all[] = {
        {"{\"message\":\"m\"}", "", "m", 400, 400},
        {"{\"Message\":\"m\"}", "", "m", 403, 403},
        {"{\"__type\":\"com.amazon.coral.service#ThrottlingException\",\"message\":\"m\"}",
         "ThrottlingException", "m", 400, 400},
        {"{\"__type\":\"ThrottlingException\"}", "ThrottlingException", "", 500, 429},
        {"{\"message\":{}}", "", "", 400, 400},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct arena a = {0};
        struct ir_error e = {.status = all[i].was};
        format_of(FORMAT_CONVERSE)->read_error(&a, str_of(all[i].body), true, &e);
        text_is(all[i].body, e.code, str_of(all[i].code));
        text_is(all[i].body, e.message, str_of(all[i].message));
        assert_int_equal(e.status, all[i].status);
        arena_reset(&a);
    }
    struct arena a = {0};
    struct ir_error e = {.status = 502};
    format_of(FORMAT_CONVERSE)->read_error(&a, STR("<html>"), false, &e);
    assert_int_equal(e.message.n, 0);
    arena_reset(&a);
}

/* ---- answers that are written ---- */

/* All frames of a stream: "name payload|". */
static struct str frames(struct arena *a, struct str s)
{
    struct buf b = {.arena = a};
    while (s.n) {
        struct aws_frame f;
        size_t n = aws_frame_end(s.p, s.n);
        assert_true(n > 0 && n != AWS_FRAME_BAD);
        assert_int_equal(aws_frame_read(str_first(s, n), &f), 0);
        assert_int_equal(f.type, AWS_FRAME_EVENT);
        check_json("an event", f.payload);
        buf_add(&b, f.name);
        buf_addc(&b, ' ');
        buf_add(&b, f.payload);
        buf_addc(&b, '|');
        s = str_from(s, n);
    }
    return buf_str(&b);
}

static const struct ir_event answer[] = {
    {.type = IR_START, .usage = {7, -1, -1, -1, -1}},
    {.type = IR_BLOCK_START, .kind = IR_THINKING},
    {.type = IR_DELTA, .kind = IR_THINKING, .text = {"h\\\"m", 4}},
    {.type = IR_SIGNATURE, .kind = IR_THINKING, .signature = {"c2ln", 4}, .issuer = FAMILY_BEDROCK},
    {.type = IR_BLOCK_STOP, .kind = IR_THINKING},
    {.type = IR_BLOCK_START, .kind = IR_AUDIO, .block = 1},
    {.type = IR_DELTA, .kind = IR_AUDIO, .block = 1, .text = {"AAAA", 4}},
    {.type = IR_BLOCK_STOP, .kind = IR_AUDIO, .block = 1},
    {.type = IR_BLOCK_START, .kind = IR_TEXT, .block = 2},
    {.type = IR_DELTA, .kind = IR_TEXT, .block = 2, .text = {"He", 2}},
    {.type = IR_DELTA, .kind = IR_TEXT, .block = 2, .text = {"y", 1}},
    {.type = IR_BLOCK_STOP, .kind = IR_TEXT, .block = 2},
    {.type = IR_BLOCK_START, .kind = IR_TOOL_CALL, .block = 3, .id = {"t1", 2}, .name = {"f", 1}},
    {.type = IR_DELTA, .kind = IR_TOOL_CALL, .block = 3, .text = {"{\\\"a\\\":", 7}},
    {.type = IR_DELTA, .kind = IR_TOOL_CALL, .block = 3, .text = {"1}", 2}},
    {.type = IR_SIGNATURE, .kind = IR_TOOL_CALL, .block = 3, .signature = {"x", 1}},
    {.type = IR_BLOCK_STOP, .kind = IR_TOOL_CALL, .block = 3},
    {.type = IR_BLOCK_START, .kind = IR_IMAGE, .block = 4, .media_type = {"image/png", 9}},
    {.type = IR_DELTA, .kind = IR_IMAGE, .block = 4, .text = {"BBBB", 4}},
    {.type = IR_BLOCK_STOP, .kind = IR_IMAGE, .block = 4},
    {.type = IR_BLOCK_START, .kind = IR_THINKING, .block = 5},
    {.type = IR_SIGNATURE,
     .kind = IR_THINKING,
     .block = 5,
     .signature = {"CCCC", 4},
     .issuer = FAMILY_BEDROCK,
     .redacted = true},
    {.type = IR_BLOCK_STOP, .kind = IR_THINKING, .block = 5},
    {.type = IR_FINISH, .finish = IR_FINISH_TOOLS},
    {.type = IR_USAGE, .usage = {15, 5, 3, 2, -1}},
    {.type = IR_END, .usage = {15, 5, 3, 2, -1}},
};

struct writing {
    struct arena a;
    struct buf out;
    char state[64];
    struct ir_out o;
};

static void begin_writing(struct writing *w)
{
    *w = (struct writing){0};
    w->out.arena = &w->a;
    w->o = (struct ir_out){.arena = &w->a,
                           .out = &w->out,
                           .scratch = &w->a,
                           .state = w->state,
                           .model = STR("m"),
                           .id = STR("1"),
                           .caller = FAMILY_BEDROCK};
    assert_true(format_of(FORMAT_CONVERSE)->out_state <= sizeof w->state);
}

#define USAGE_TEXT                                                                                 \
    "\"usage\":{\"inputTokens\":10,\"outputTokens\":5,\"totalTokens\":20,"                         \
    "\"cacheReadInputTokens\":3,\"cacheWriteInputTokens\":2},\"metrics\":{\"latencyMs\":0}}"

static void streams_are_written(void **state)
{
    (void)state;
    struct writing w;
    begin_writing(&w);
    for (size_t i = 0; i < sizeof answer / sizeof *answer; i++) {
        format_of(FORMAT_CONVERSE)->write_event(&w.o, &answer[i]);
    }
    text_is(
        "frames", frames(&w.a, buf_str(&w.out)),
        STR("messageStart {\"role\":\"assistant\"}|"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"text\":\"h\\\"m\"}},"
            "\"contentBlockIndex\":0}|"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"signature\":\"c2ln\"}},"
            "\"contentBlockIndex\":0}|contentBlockStop {\"contentBlockIndex\":0}|"
            "contentBlockDelta {\"delta\":{\"text\":\"He\"},\"contentBlockIndex\":1}|"
            "contentBlockDelta {\"delta\":{\"text\":\"y\"},\"contentBlockIndex\":1}|"
            "contentBlockStop {\"contentBlockIndex\":1}|"
            "contentBlockStart {\"start\":{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"f\"}},"
            "\"contentBlockIndex\":2}|"
            "contentBlockDelta {\"delta\":{\"toolUse\":{\"input\":\"{\\\"a\\\":\"}},"
            "\"contentBlockIndex\":2}|"
            "contentBlockDelta {\"delta\":{\"toolUse\":{\"input\":\"1}\"}},"
            "\"contentBlockIndex\":2}|contentBlockStop {\"contentBlockIndex\":2}|"
            "contentBlockStart {\"start\":{\"image\":{\"format\":\"png\"}},"
            "\"contentBlockIndex\":3}|"
            "contentBlockDelta {\"delta\":{\"image\":{\"source\":{\"bytes\":\"BBBB\"}}},"
            "\"contentBlockIndex\":3}|contentBlockStop {\"contentBlockIndex\":3}|"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"redactedContent\":\"CCCC\"}},"
            "\"contentBlockIndex\":4}|contentBlockStop {\"contentBlockIndex\":4}|"
            "messageStop {\"stopReason\":\"tool_use\"}|metadata {" USAGE_TEXT "|"));
    assert_int_equal(w.o.lost, 2); /* the sound, the call's signature */
    arena_reset(&w.a);
}

/* The same events folded. */
static void answers_are_written(void **state)
{
    (void)state;
    struct writing w;
    begin_writing(&w);
    struct ir_fold fold = {.arena = &w.a};
    for (size_t i = 0; i < sizeof answer / sizeof *answer; i++) {
        ir_fold_event(&fold, &answer[i]);
    }
    format_of(FORMAT_CONVERSE)->write_answer(&w.o, &fold.answer);
    text_is("answer", buf_str(&w.out),
            STR("{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":["
                "{\"reasoningContent\":{\"reasoningText\":{\"text\":\"h\\\"m\","
                "\"signature\":\"c2ln\"}}},{\"text\":\"Hey\"},{\"toolUse\":{\"toolUseId\":\"t1\","
                "\"name\":\"f\",\"input\":{\"a\":1}}},{\"image\":{\"format\":\"png\",\"source\":"
                "{\"bytes\":\"BBBB\"}}},{\"reasoningContent\":{\"redactedContent\":\"CCCC\"}}]}},"
                "\"stopReason\":\"tool_use\"," USAGE_TEXT));
    assert_int_equal(w.o.lost, 1);
    arena_reset(&w.a);
}

/* Another vendor's signature comes marked, and goes back to it without. */
static void foreign_signatures(void **state)
{
    (void)state;
    static const struct ir_event thinking[] = {
        {.type = IR_BLOCK_START, .kind = IR_THINKING},
        {.type = IR_DELTA, .kind = IR_THINKING, .text = {"hm", 2}},
        {.type = IR_SIGNATURE,
         .kind = IR_THINKING,
         .signature = {"s+g", 3},
         .issuer = FAMILY_ANTHROPIC},
        {.type = IR_BLOCK_STOP, .kind = IR_THINKING},
        {.type = IR_BLOCK_START, .kind = IR_THINKING, .block = 1},
        {.type = IR_SIGNATURE,
         .kind = IR_THINKING,
         .block = 1,
         .signature = {"red", 3},
         .issuer = FAMILY_ANTHROPIC,
         .redacted = true},
        {.type = IR_BLOCK_STOP, .kind = IR_THINKING, .block = 1},
        {.type = IR_FINISH, .finish = IR_FINISH_STOP},
    };
    struct writing w;
    begin_writing(&w);
    struct ir_fold fold = {.arena = &w.a};
    for (size_t i = 0; i < sizeof thinking / sizeof *thinking; i++) {
        ir_fold_event(&fold, &thinking[i]);
    }
    format_of(FORMAT_CONVERSE)->write_answer(&w.o, &fold.answer);
    struct str got = buf_str(&w.out);
    ptrdiff_t from = str_find(got, STR("\"content\":")), to = str_find(got, STR("}},\"stopReason"));
    assert_true(from > 0 && to > from && ir_has_mark(got));
    struct str body =
        arena_printf(&w.a,
                     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]},{\"role\":"
                     "\"assistant\",%.*s},{\"role\":\"user\",\"content\":[{\"text\":\"y\"}]}],"
                     "\"inferenceConfig\":{\"maxTokens\":9}}",
                     (int)(to - from), got.p + from);
    struct ir_call c;
    ir_call_init(&c, &w.a);
    assert_int_equal(format_of(FORMAT_CONVERSE)->read_request(&c, body), 0);
    struct str back = write_request(&w.a, &c, FORMAT_MESSAGES, "claude", 0);
    assert_true(str_find(back, STR("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
                                   "\"s+g\"},{\"type\":\"redacted_thinking\",\"data\":\"red\"}")) >
                0);
    back = write_request(&w.a, &c, FORMAT_CONVERSE, CLAUDE, 0);
    assert_true(str_find(back, STR("reasoning")) < 0); /* it is not Bedrock's */
    arena_reset(&w.a);
}

/* What is decoded on the way in may not end the string that it is written into. */
static void nothing_ends_its_string(void **state)
{
    (void)state;
    static const struct translation urls[] = {
        {"a data URL with a quote", CLAUDE,
         "{'messages':[{'role':'user','content':[{'type':'text','text':'x'},{'type':'image_url',"
         "'image_url':{'url':'data:image\\/png;base64,AA\\\\\\'}]'}}]}]}",
         "{'messages':[{'role':'user','content':[{'text':'x'},{'image':{'format':'png','source':"
         "{'bytes':'AA\\\\\\'}]'}}}]}]}",
         "", 0},
    };
    check_translation(FORMAT_CHAT, FORMAT_CONVERSE, &urls[0]);
    static const struct {
        const char *text;
        bool taken;
    } marks[] = {{"c2ln", true}, {"Ig==", false}, {"XA==", false}, {"YSIsImIiOiI=", false}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        struct arena a = {0};
        enum family issuer;
        struct str mark = ir_signature_out(&a, STR("x"), FAMILY_ANTHROPIC, FAMILY_BEDROCK);
        mark = arena_printf(&a, "%.*s%s", (int)mark.n - 4, mark.p, marks[i].text);
        struct str got = ir_signature_in(&a, mark, FAMILY_BEDROCK, &issuer);
        assert_int_equal(got.n > 0, marks[i].taken);
        assert_int_equal(issuer, marks[i].taken ? FAMILY_ANTHROPIC : FAMILY_BEDROCK);
        arena_reset(&a);
    }
}

/* ---- errors of our own ---- */

static void error_frames(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *frame, *field;
    } all[] = {
        {400, "validationException", "ValidationException"},
        {401, "validationException", "AccessDeniedException"},
        {403, "validationException", "AccessDeniedException"},
        {404, "validationException", "ResourceNotFoundException"},
        {408, "modelStreamErrorException", "ModelTimeoutException"},
        {413, "validationException", "ValidationException"},
        {422, "validationException", "ValidationException"},
        {424, "modelStreamErrorException", "ModelErrorException"},
        {429, "throttlingException", "ThrottlingException"},
        {500, "internalServerException", "InternalServerException"},
        {502, "modelStreamErrorException", "InternalServerException"},
        {503, "serviceUnavailableException", "ServiceUnavailableException"},
        {504, "modelStreamErrorException", "ModelTimeoutException"},
        {529, "serviceUnavailableException", "ServiceUnavailableException"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf b = {0};
        struct aws_frame f;
        dialect_bedrock.error_event(
            &b,
            &(struct api_error){.status = all[i].status, .code = STR("c"), .message = STR("m\"")});
        assert_int_equal(aws_frame_end(b.p, b.n), b.n);
        assert_int_equal(aws_frame_read(buf_str(&b), &f), 0);
        assert_int_equal(f.type, AWS_FRAME_EXCEPTION);
        text_is("name", f.name, str_of(all[i].frame));
        text_is("payload", f.payload, STR("{\"message\":\"m\\\"\",\"code\":\"c\"}"));
        text_is("field", bedrock_exception(all[i].status), str_of(all[i].field));
        assert_true(bedrock_exception_status(f.name) > 0);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_requests),       cmocka_unit_test(paths),
        cmocka_unit_test(reads_requests),        cmocka_unit_test(complains),
        cmocka_unit_test(nulls_and_odd_types),   cmocka_unit_test(streams_are_read),
        cmocka_unit_test(exceptions_are_read),   cmocka_unit_test(answers_are_read),
        cmocka_unit_test(odd_events_do_no_harm), cmocka_unit_test(errors_are_read),
        cmocka_unit_test(streams_are_written),   cmocka_unit_test(answers_are_written),
        cmocka_unit_test(foreign_signatures),    cmocka_unit_test(nothing_ends_its_string),
        cmocka_unit_test(error_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
