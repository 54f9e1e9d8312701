/* gemini.generate through its row: answers both ways, whole and streamed. */
#include "generatebench.h"

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
        buf_printf(b, "start(%.*s,%.*s,%d) ", STR_ARG(e->id), STR_ARG(e->model),
                   (int)e->usage.input);
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
        buf_printf(b, "finish%d(%d,%d)", (int)e->finish, (int)e->usage.input, (int)e->usage.output);
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
                           .state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state),
                           .usage = USAGE_NONE,
                           .request_id = "req_7"};
    return t;
}

/* Chunks of a stream, up to a NULL. */
static struct trace *read_stream(const char *const *chunks)
{
    struct trace *t = new_trace();
    for (; *chunks; chunks++) {
        struct str data = quoted(*chunks);
        is_json(data);
        /* its own memory, to be sure that nothing looks at it later */
        char *copy = test_malloc(data.n);
        memcpy(copy, data.p, data.n);
        format_of(FORMAT_GENERATE)->read_event(&t->in, STR(""), str_make(copy, data.n), true);
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
    format_of(FORMAT_GENERATE)->read_answer(&t->in, data);
    return t;
}

#define PARTS(parts) "{'candidates':[{'content':{'parts':[" parts "],'role':'model'},'index':0}]}"

static void a_stream_is_read(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true}],'role':'model'}}],"
        "'usageMetadata':{'promptTokenCount':10,'cachedContentTokenCount':4},'modelVersion':'m',"
        "'responseId':'r'}",
        PARTS("{'text':' so','thought':true}"), PARTS("{'text':'Hel\\u006c'}"),
        PARTS("{'text':'o'}"),
        PARTS("{'functionCall':{'name':'f','args':{'a':'x'}},'thoughtSignature':'AA=='}"),
        PARTS("{'functionCall':{'id':'i','name':'g'}}"),
        "{'candidates':[{'content':{'parts':[{'text':''}]},'finishReason':'STOP','index':0}],"
        "'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':5,'thoughtsTokenCount':3,"
        "'toolUsePromptTokenCount':2,'cachedContentTokenCount':4}}",
        NULL});
    is_quoted(
        buf_str(&t->b),
        "start(r,m,10) think0[<hm>< so>] text1[<Hel\\u006c><o>] think2[!AA==] "
        "call3[call_73 f:<{\\'a\\':\\'x\\'}>~AA==] call4[i g:<{}>] u(12,8,4,3) finish5(12,8)");
    assert_false(t->in.failed);
    assert_true(t->in.finished);
    assert_int_equal(t->in.lost, 0);
}

static void signatures_in_answers(void **state)
{
    (void)state;
    struct trace *t = read_stream((const char *const[]){
        PARTS("{'text':'t','thought':true},{'text':'','thought':true,'thoughtSignature':'A'}"),
        PARTS(
            "{'text':'x','thoughtSignature':'B'},{'text':'y'},{'text':'','thoughtSignature':'C'}"),
        NULL});
    is_quoted(buf_str(&t->b),
              "start(,,-1) think0[<t>~A] text1[<x>] think2[!B] text3[<y>] think4[!C] ");
}

static void reasons_to_stop(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum ir_finish want;
    } rows[] = {
        {"STOP", IR_FINISH_STOP},
        {"MAX_TOKENS", IR_FINISH_LENGTH},
        {"SAFETY", IR_FINISH_FILTER},
        {"RECITATION", IR_FINISH_FILTER},
        {"LANGUAGE", IR_FINISH_FILTER},
        {"BLOCKLIST", IR_FINISH_FILTER},
        {"PROHIBITED_CONTENT", IR_FINISH_FILTER},
        {"SPII", IR_FINISH_FILTER},
        {"IMAGE_SAFETY", IR_FINISH_FILTER},
        {"MALFORMED_FUNCTION_CALL", IR_FINISH_ERROR},
        {"UNEXPECTED_TOOL_CALL", IR_FINISH_ERROR},
        {"TOO_MANY_TOOL_CALLS", IR_FINISH_ERROR},
        {"OTHER", IR_FINISH_ERROR},
        {"SOMETHING_NEW", IR_FINISH_STOP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ir_fold f = {.arena = &arena};
        struct trace *t = new_trace();
        t->in.event = ir_fold_event;
        t->in.arg = &f;
        struct str body = quoted(arena_printf(&arena,
                                              "{'candidates':[{'content':{'parts':[{'text':'x'}]},"
                                              "'finishReason':'%s'}]}",
                                              rows[i].word)
                                     .p);
        format_of(FORMAT_GENERATE)->read_answer(&t->in, body);
        assert_int_equal(f.answer.finish, rows[i].want);
        is(f.answer.parts->text, "x");
    }
}

static void blocked_empty_and_odd_answers(void **state)
{
    (void)state;
    struct trace *t = read_whole(
        "{'promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':3}}");
    is_quoted(buf_str(&t->b), "start(,,3) finish6(3,-1)");
    t = read_stream((const char *const[]){"{'promptFeedback':{'blockReason':'OTHER'}}", NULL});
    assert_true(t->in.finished);
    t = read_stream((const char *const[]){"{'promptFeedback':{'safetyRatings':[]}}", NULL});
    assert_false(t->in.finished);
    t = read_whole("{'usageMetadata':{'promptTokenCount':3}}");
    assert_true(t->in.failed);
    assert_int_equal(t->in.error.status, 502);
    /* the array of a stream; other candidates; a repeated end; what no event has a place for */
    t = read_whole(
        "[" PARTS("{'text':'a'}") ",{'candidates':[{'index':1,'content':{'parts':[{'text':'no'}]}},"
                                  "{'content':{'parts':[{'text':'b'},{'executableCode':{'code':'x'}"
                                  "}]},'finishReason':"
                                  "'STOP','groundingMetadata':{'a':1}}]},{'candidates':[{'"
                                  "finishReason':'STOP'}]}]");
    is_quoted(buf_str(&t->b), "start(,,-1) text0[<a><b>] finish1(-1,-1)");
    assert_int_equal(t->in.lost, 2);
    /* a picture; no reason at all */
    t = read_whole(PARTS("{'text':'see'},{'inlineData':{'mimeType':'image/png','data':'A-_B'}}"));
    is_quoted(buf_str(&t->b), "start(,,-1) text0[<see>] image1[image/png<A+/B>] finish1(-1,-1)");
    /* any JSON at all */
    static const char *const odd[] = {
        "[]",
        "1",
        "'x'",
        "null",
        "[[]]",
        "{'candidates':7}",
        "{'candidates':[7,[],{}]}",
        "{'candidates':[{'content':[]}]}",
        "{'candidates':[{'content':{'parts':{'text':'x'}}}]}",
        "{'candidates':[{'content':{'parts':[1,'x',null,[],{}]},'finishReason':{}}],'usageMetadata'"
        ":[]}",
        "{'candidates':[{'content':{'parts':[{'functionCall':7,'text':[],'inlineData':[],"
        "'thoughtSignature':1,'thought':'x'}]},'index':'0'}],'promptFeedback':1,'error':1}",
        "{'candidates':[{'content':{'parts':[{'functionCall':{'name':1,'args':[],'id':{}}}]}}]}",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        read_whole(odd[i]);
        read_stream((const char *const[]){odd[i], odd[i], NULL});
    }
}

static void errors_are_read(void **state)
{
    (void)state;
#define QUOTA                                                                                      \
    "{'error':{'code':429,'message':'slow \\u0064own','status':'RESOURCE_EXHAUSTED','details':[{"  \
    "'@type':'type.googleapis.com/google.rpc.QuotaFailure','violations':[]},{'@type':"             \
    "'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'17.25s'}]}}"
    for (int array = 0; array < 2; array++) {
        struct ir_error e = {.status = 429};
        struct str body = quoted(array ? "[" QUOTA "]" : QUOTA);
        format_of(FORMAT_GENERATE)->read_error(&arena, body, true, &e);
        is(e.message, "slow down");
        is(e.code, "RESOURCE_EXHAUSTED");
        assert_int_equal(e.retry_after_ms, 17250);
        assert_int_equal(e.status, 429);
    }
    struct trace *t = read_stream((const char *const[]){PARTS("{'text':'a'}"), QUOTA, NULL});
    assert_true(t->in.failed);
    assert_int_equal(t->in.error.status, 429);
    assert_int_equal(t->in.error.retry_after_ms, 17250);
    struct ir_error e = {.status = 400};
    format_of(FORMAT_GENERATE)
        ->read_error(
            &arena,
            quoted("{'error':{'code':400,'message':'m','status':'INVALID_ARGUMENT','details':[{"
                   "'reason':'API_KEY_INVALID'}]}}"),
            true, &e);
    is(e.code, "API_KEY_INVALID");
    static const char *const odd[] = {"[]",
                                      "{}",
                                      "7",
                                      "{'error':7}",
                                      "{'error':'text'}",
                                      "{'error':{'details':{},'code':'x','message':1}}",
                                      ("{'error':{'details':[1,{'retryDelay':'x'},{'retryDelay':"
                                       "'99999999999999999999s'}]}}")};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        format_of(FORMAT_GENERATE)->read_error(&arena, quoted(odd[i]), true, &e);
    }
    format_of(FORMAT_GENERATE)->read_error(&arena, STR("<html>"), false, &e);
}

/* ---- answers, written ---- */

struct output {
    struct buf out;
    struct arena scratch;
    struct ir_out o;
    struct ir_in in; /* makes the events */
};

static void write_one(void *arg, const struct ir_event *e)
{
    struct output *w = arg;
    format_of(FORMAT_GENERATE)->write_event(&w->o, e);
    arena_reset(&w->scratch);
}

static struct output *new_output(bool array)
{
    struct output *w = arena_zalloc(&arena, sizeof *w);
    w->out.arena = &arena;
    w->o = (struct ir_out){.arena = &arena,
                           .out = &w->out,
                           .scratch = &w->scratch,
                           .state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->out_state),
                           .model = STR("m"),
                           .id = STR("ID"),
                           .array = array,
                           .stream = true,
                           .sequence = -1,
                           .caller = FAMILY_GEMINI};
    w->in = (struct ir_in){
        .arena = &arena, .event = write_one, .arg = w, .usage = USAGE_NONE, .request_id = "req_7"};
    return w;
}

static void some_answer(struct ir_in *in)
{
    in->usage.input = 10;
    ir_start(in, STR("up"), STR("upstream"));
    ir_text(in, IR_THINKING, STR("hm"));
    ir_signature(in, STR("c2ln"), FAMILY_ANTHROPIC, false);
    ir_text(in, IR_TEXT, STR("Hel\\u006c"));
    ir_text(in, IR_TEXT, STR("o"));
    ir_open_call(in, STR("c1"), STR("f"));
    ir_delta(in, STR("{\\\"a\\\":\\\"\\ud83d"));
    ir_delta(in, STR("\\ude00\\\"}"));
    ir_signature(in, STR("AA=="), FAMILY_GEMINI, false);
    ir_open_call(in, STR("c2"), STR("g"));
    ir_media(in, IR_IMAGE, STR("image/png"), STR("QUJD"));
    in->usage = (struct usage){
        .input = 10, .output = 8, .cache_read = 4, .cache_write = -1, .reasoning = 3};
    ir_finish(in, IR_FINISH_TOOLS, STR(""));
}

#define CHUNK(part)                                                                                \
    "{'candidates':[{'content':{'parts':[" part                                                    \
    "],'role':'model'},'index':0}],'modelVersion':'m',"                                            \
    "'responseId':'ID'}"
#define MARKED "YWNjb3Jkc2lnAAABYzJsbg=="
#define CALL_F                                                                                     \
    "{'functionCall':{'id':'c1','name':'f','args':{'a':'\xf0\x9f\x98\x80'}},'thoughtSignature':'"  \
    "AA=='}"
#define CALL_G  "{'functionCall':{'id':'c2','name':'g','args':{}}}"
#define PICTURE "{'inlineData':{'mimeType':'image/png','data':'QUJD'}}"
#define USAGE                                                                                      \
    "'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':5,'totalTokenCount':18,"        \
    "'cachedContentTokenCount':4,'thoughtsTokenCount':3}"
#define LAST(reason, usage)                                                                        \
    "{'candidates':[{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'" reason     \
    "',"                                                                                           \
    "'index':0}]," usage "'modelVersion':'m','responseId':'ID'}"

static void a_stream_is_written(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    some_answer(&w->in);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
#define EVENT(data) "data: " data "\r\n\r\n"
    is_quoted(buf_str(&w->out),
              EVENT(CHUNK("{'text':'hm','thought':true}"))
                  EVENT(CHUNK("{'text':'','thought':true,'thoughtSignature':'" MARKED "'}"))
                      EVENT(CHUNK("{'text':'Hel\\u006c'}")) EVENT(CHUNK("{'text':'o'}"))
                          EVENT(CHUNK(CALL_F)) EVENT(CHUNK(CALL_G)) EVENT(CHUNK(PICTURE))
                              EVENT(LAST("STOP", USAGE ",")));
    w = new_output(true);
    some_answer(&w->in);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
    is_json(buf_str(&w->out));
    assert_true(str_starts(buf_str(&w->out), STR("[{")));
    assert_true(str_ends(buf_str(&w->out), STR("}]")));
    assert_true(str_find(buf_str(&w->out), STR("},\r\n{")) > 0);
    /* nothing was said at all */
    w = new_output(true);
    ir_finish(&w->in, IR_FINISH_FILTER, STR(""));
    write_one(w, &(struct ir_event){.type = IR_END, .usage = USAGE_NONE});
    is_quoted(buf_str(&w->out), "[" LAST("SAFETY", "") "]");
}

static void a_whole_answer_is_written(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    struct ir_fold f = {.arena = &arena};
    w->in.event = ir_fold_event;
    w->in.arg = &f;
    some_answer(&w->in);
    format_of(FORMAT_GENERATE)->write_answer(&w->o, &f.answer);
    arena_reset(&w->scratch);
    is_quoted(buf_str(&w->out),
              "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true,'thoughtSignature':"
              "'" MARKED "'},{'text':'Hel\\u006co'}," CALL_F "," CALL_G "," PICTURE
              "],'role':'model'},'finishReason':'STOP','index':0}]," USAGE
              ",'modelVersion':'m','responseId':'ID'}");
}

static void reasons_are_written(void **state)
{
    (void)state;
    static const char *const words[] = {
        [IR_FINISH_NONE] = "STOP",          [IR_FINISH_STOP] = "STOP",
        [IR_FINISH_SEQUENCE] = "STOP",      [IR_FINISH_LENGTH] = "MAX_TOKENS",
        [IR_FINISH_CONTEXT] = "MAX_TOKENS", [IR_FINISH_TOOLS] = "STOP",
        [IR_FINISH_FILTER] = "SAFETY",      [IR_FINISH_REFUSAL] = "SAFETY",
        [IR_FINISH_PAUSE] = "STOP",         [IR_FINISH_ERROR] = "OTHER",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct output *w = new_output(false);
        struct ir_answer a = {.finish = (enum ir_finish)i, .usage = USAGE_NONE};
        format_of(FORMAT_GENERATE)->write_answer(&w->o, &a);
        is_json(buf_str(&w->out));
        struct str want = arena_printf(&arena, "\"finishReason\":\"%s\"", words[i]);
        assert_true(str_find(buf_str(&w->out), want) > 0);
    }
}

/* Our own vendor's answer, written again for its own caller (it held another's mark): nothing twice. */
static void an_answer_through_both_sides_stays_the_same(void **state)
{
    (void)state;
    struct output *w = new_output(false);
    w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
    static const char *const parts[] = {
        CHUNK("{'text':'t','thought':true}"),
        CHUNK("{'functionCall':{'id':'a','name':'f','args':{'x':[1,'\\n']}},'thoughtSignature':'AA="
              "='}"),
        CHUNK("{'text':'z'}"),
        CHUNK("{'text':'','thoughtSignature':'BB=='}"),
    };
    struct buf want = {.arena = &arena};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_printf(&want, "data: %s\r\n\r\n", parts[i]);
        format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), quoted(parts[i]), true);
    }
    struct str last = quoted(LAST("STOP", USAGE ","));
    format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), last, true);
    write_one(w, &(struct ir_event){.type = IR_END, .usage = w->in.usage});
    buf_printf(&want, "data: %.*s\r\n\r\n", STR_ARG(last));
    buf_addc(&want, 0);
    is_quoted(buf_str(&w->out), want.p);
}

/* A stream of many events takes no memory that lasts. */
static void long_streams_take_no_memory(void **state)
{
    (void)state;
    struct pool pool = {0};
    struct arena call = {.pool = &pool};
    struct output *w = new_output(false);
    w->o.arena = &call;
    w->in.arena = &call;
    w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
    struct str text = quoted(CHUNK("{'text':'word'}"));
    for (int i = 0; i < 20000; i++) {
        format_of(FORMAT_GENERATE)->read_event(&w->in, STR(""), text, true);
        w->out.n = 0;
    }
    assert_true(pool.lent <= 4096);
    arena_reset(&call);
    pool_trim(&pool, 0);
}

/* ---- anything ---- */

static uint32_t next_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

/* One value of the document replaced by one that does not belong there. */
static struct str mutate(struct str doc, uint32_t *seed)
{
    static const char *const values[] = {"null", "7",      "\"x\"",          "[]",
                                         "{}",   "[{}]",   "true",           "\"\"",
                                         "-1",   "[null]", "\"A-_\\u0041\"", "1e999"};
    size_t at = next_random(seed, (uint32_t)doc.n);
    ptrdiff_t colon = str_chr(str_from(doc, at), ':');
    if (colon < 0) {
        return doc;
    }
    at += (size_t)colon + 1;
    struct walk w = walk_at(str_from(doc, at));
    if (w.p >= doc.p + doc.n || json_type_of(*w.p) == JSON_NONE) {
        return doc; /* in a string */
    }
    struct str other = str_of(values[next_random(seed, sizeof values / sizeof *values)]);
    struct buf b = {.arena = &arena};
    buf_add(&b, str_first(doc, at));
    buf_add(&b, other);
    struct str value = walk_value(&w);
    buf_add(&b, str_from(doc, (size_t)(value.p + value.n - doc.p)));
    return json_scan(buf_str(&b), NULL, 0, NULL, NULL) == 0 ? buf_str(&b) : doc;
}

static void anything_is_survived(void **state)
{
    (void)state;
    static const char *const requests[] = {ONE, TWO};
    static const char *const answers[] = {
        QUOTA, LAST("STOP", USAGE ","), CHUNK(CALL_F "," CALL_G "," PICTURE),
        CHUNK("{'text':'t','thought':true,'thoughtSignature':'AA=='}")};
    uint32_t seed = 1, taken = 0;
    for (int i = 0; i < 20000; i++) {
        struct str body = quoted(requests[i % 2]);
        for (uint32_t n = 1 + next_random(&seed, 3); n; n--) {
            body = mutate(body, &seed);
        }
        struct ir_call c;
        ir_call_init(&c, &arena);
        if (format_of(FORMAT_GENERATE)->read_request(&c, body) == 0) {
            ir_call_finish(&c);
            write_as(FORMAT_GENERATE, &c, "gemini-3-x", QUIRK_GEMINI_3);
            write_as(FORMAT_CHAT, &c, "m", 0);
            taken++;
        }
        struct str answer = mutate(quoted(answers[i % 4]), &seed);
        struct ir_error e = {.status = 500};
        struct output *w = new_output(i % 3 == 0);
        w->in.state = arena_zalloc(&arena, format_of(FORMAT_GENERATE)->in_state);
        format_of(FORMAT_GENERATE)->read_answer(&w->in, answer);
        format_of(FORMAT_GENERATE)->read_error(&arena, answer, true, &e);
        arena_reset(&arena);
    }
    assert_true(taken > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_stream_is_read, reset),
        cmocka_unit_test_teardown(signatures_in_answers, reset),
        cmocka_unit_test_teardown(reasons_to_stop, reset),
        cmocka_unit_test_teardown(blocked_empty_and_odd_answers, reset),
        cmocka_unit_test_teardown(errors_are_read, reset),
        cmocka_unit_test_teardown(a_stream_is_written, reset),
        cmocka_unit_test_teardown(a_whole_answer_is_written, reset),
        cmocka_unit_test_teardown(reasons_are_written, reset),
        cmocka_unit_test_teardown(an_answer_through_both_sides_stays_the_same, reset),
        cmocka_unit_test_teardown(anything_is_survived, reset),
        cmocka_unit_test_teardown(long_streams_take_no_memory, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
