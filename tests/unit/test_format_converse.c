/* bedrock.converse through its row: requests both ways, what Bedrock is strict about. */
#include "conversebench.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_requests),     cmocka_unit_test(paths),
        cmocka_unit_test(reads_requests),      cmocka_unit_test(complains),
        cmocka_unit_test(nulls_and_odd_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
