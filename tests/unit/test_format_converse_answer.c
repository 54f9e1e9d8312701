/* bedrock.converse through its row: answers both ways, whole and streamed. */
#include "conversebench.h"

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
    {.type = IR_START, .usage = {7, -1, -1, -1, -1, -1, -1, -1}},
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
    {.type = IR_USAGE, .usage = {15, 5, 3, 2, -1, -1, -1, -1}},
    {.type = IR_END, .usage = {15, 5, 3, 2, -1, -1, -1, -1}},
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
        cmocka_unit_test(streams_are_read),        cmocka_unit_test(exceptions_are_read),
        cmocka_unit_test(answers_are_read),        cmocka_unit_test(odd_events_do_no_harm),
        cmocka_unit_test(errors_are_read),         cmocka_unit_test(streams_are_written),
        cmocka_unit_test(answers_are_written),     cmocka_unit_test(foreign_signatures),
        cmocka_unit_test(nothing_ends_its_string), cmocka_unit_test(error_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
