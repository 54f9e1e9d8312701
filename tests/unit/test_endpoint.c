/* Every path that real clients use: which call it is, where the model stands, and what is asked of the
 * upstream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect/endpoint.h"

/* In memory that ends where the path ends; slices of the answer are moved to the path itself. */
static struct endpoint_match find(const char *method, const char *path)
{
    size_t n = strlen(path);
    char *own = malloc(n ? n : 1);
    memcpy(own, path, n);
    struct endpoint_match m = endpoint_find(str_of(method), str_make(own, n));
    if (m.model.n) {
        m.model.p = path + (m.model.p - own);
    }
    if (m.rest.n) {
        assert_true(m.rest.p >= own && m.rest.p + m.rest.n <= own + n);
        m.rest.p = path + (m.rest.p - own);
    }
    free(own);
    return m;
}

static void same(struct str got, const char *want, const char *path, const char *what)
{
    if (!str_eq(got, str_of(want))) {
        fail_msg("%s: %s is \"%.*s\" instead of \"%s\"", path, what, STR_ARG(got), want);
    }
}

static void upstream_is(const struct endpoint_match *m, const char *base, const char *model,
                        const char *want, const char *path)
{
    size_t room = endpoint_path_room(m, str_of(base), str_of(model));
    char *to = malloc(room);
    assert_non_null(to);
    size_t n = endpoint_upstream_path(to, m, str_of(base), str_of(model));
    assert_true(n <= room);
    same(str_make(to, n), want, path, "the upstream's path");
    free(to);
}

/* ---- calls under all the prefixes ---- */

struct call {
    const char *rest, *route;
    const char *base, *upstream; /* at the family's usual base URL */
};

static void check_call(const char *prefix, const struct call *c, enum family family,
                       const char *model)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", prefix, c->rest);
    struct endpoint_match m = find("POST", path);
    if (!m.endpoint) {
        fail_msg("%s is not known", path);
    }
    same(m.endpoint->route, c->route, path, "the route");
    assert_int_equal(m.endpoint->kind, ENDPOINT_CALL);
    assert_int_equal(m.endpoint->family, family);
    assert_false(m.wrong_method);
    same(m.model, model, path, "the model");
    upstream_is(&m, c->base, "up", c->upstream, path);
    static const char *const other[] = {"GET", "PUT", "DELETE", "PATCH", "HEAD"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        m = find(other[i], path);
        /* Below /images/, /audio/ and the like nothing else stands, either. */
        if (m.endpoint || !m.wrong_method) {
            fail_msg("%s %s is not refused as a wrong method", other[i], path);
        }
    }
}

static const struct call openai_calls[] = {
    {"/chat/completions", "openai.chat", "/v1", "/v1/chat/completions"},
    {"/responses", "openai.responses", "/v1", "/v1/responses"},
    {"/embeddings", "openai.embeddings", "/v1", "/v1/embeddings"},
    {"/completions", "openai.completions", "/v1", "/v1/completions"},
    {"/moderations", "openai.moderations", "/v1", "/v1/moderations"},
    {"/images/generations", "openai.images", "/v1", "/v1/images/generations"},
    {"/images/edits", "openai.images", "/v1", "/v1/images/edits"},
    {"/audio/speech", "openai.speech", "/v1", "/v1/audio/speech"},
    {"/audio/transcriptions", "openai.audio", "/v1", "/v1/audio/transcriptions"},
    {"/chat/completions", "openai.chat", "/openai/v1", "/openai/v1/chat/completions"},
    {"/chat/completions", "openai.chat", "",
     "/chat/completions"}, /* the base names what it wants */
};

static void openai_paths(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"/v1",        "",        "/v1/v1",
                                           "/openai/v1", "/openai", "/openai/v1/v1"};
    for (size_t i = 0; i < sizeof openai_calls / sizeof *openai_calls; i++) {
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
            check_call(prefixes[k], &openai_calls[i], FAMILY_OPENAI, "");
        }
        check_call("/openai/deployments/my-gpt", &openai_calls[i], FAMILY_OPENAI, "my-gpt");
        check_call("/openai/deployments/a%2Fb", &openai_calls[i], FAMILY_OPENAI, "a%2Fb");
    }
}

static void anthropic_paths(void **state)
{
    (void)state;
    static const struct call calls[] = {
        {"/messages", "anthropic.messages", "", "/v1/messages"},
        {"/messages", "anthropic.messages", "/v1", "/v1/messages"},
        {"/messages", "anthropic.messages", "/anthropic", "/anthropic/v1/messages"},
        {"/messages/count_tokens", "anthropic.count_tokens", "", "/v1/messages/count_tokens"},
    };
    static const char *const prefixes[] = {"/v1", "", "/v1/v1", "/anthropic/v1", "/anthropic"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
            check_call(prefixes[k], &calls[i], FAMILY_ANTHROPIC, "");
        }
    }
}

static void gemini_paths(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *route;
        enum stream_by stream;
    } verbs[] = {
        {"generateContent", "gemini.generate", STREAM_NEVER},
        {"streamGenerateContent", "gemini.generate", STREAM_ALWAYS},
        {"countTokens", "gemini.count_tokens", STREAM_NEVER},
        {"embedContent", "gemini.embed", STREAM_NEVER},
        {"batchEmbedContents", "gemini.embed", STREAM_NEVER},
    };
    static const struct {
        const char *prefix, *version; /* version at an upstream whose base names none */
    } prefixes[] = {{"/v1beta", "/v1beta"},    {"/v1", "/v1"},
                    {"", "/v1beta"},           {"/gemini/v1beta", "/v1beta"},
                    {"/gemini", "/v1beta"},    {"/gemini/v1", "/v1"},
                    {"/v1/v1beta", "/v1beta"}, {"/v1beta/v1beta", "/v1beta"}};
    static const char *const models[] = {"gemini-2.5-flash", "a:b", "sim%2Fecho", "sim/echo"};
    for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++) {
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
            for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
                char rest[64], upstream[64];
                snprintf(rest, sizeof rest, "/models/%s:%s", models[i], verbs[v].verb);
                snprintf(upstream, sizeof upstream, "%s/models/up:%s", prefixes[k].version,
                         verbs[v].verb);
                struct call c = {rest, verbs[v].route, "", upstream};
                check_call(prefixes[k].prefix, &c, FAMILY_GEMINI, models[i]);
                snprintf(upstream, sizeof upstream, "/v1beta/models/up:%s", verbs[v].verb);
                c = (struct call){rest, verbs[v].route, "/v1beta", upstream};
                check_call(prefixes[k].prefix, &c, FAMILY_GEMINI, models[i]);
            }
            char path[96];
            snprintf(path, sizeof path, "%s/models/m:%s", prefixes[k].prefix, verbs[v].verb);
            struct endpoint_match m = find("POST", path);
            assert_int_equal(m.endpoint->stream, verbs[v].stream);
            assert_int_equal(m.endpoint->model_in, MODEL_IN_PATH);
        }
    }
}

/* ---- the rest of the table, row by row ---- */

static const struct {
    const char *method, *path;
    const char *route; /* NULL: not there */
    enum endpoint_kind kind;
    enum family family;
    bool wrong_method;
    const char *model;
} rows[] = {
    {"GET", "/v1/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/v1/v1/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/v1beta/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/openai/v1/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/anthropic/v1/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/gemini/v1beta/models", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, ""},
    {"GET", "/v1/models/gpt-5", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, "gpt-5"},
    {"GET", "/v1/models/sim/echo", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, "sim/echo"},
    {"GET", "/v1beta/models/a:b", "models", ENDPOINT_MODELS, FAMILY_OPENAI, false, "a:b"},
    {"POST", "/v1/models", NULL, 0, 0, true, ""},
    {"DELETE", "/v1/models/x", NULL, 0, 0, true, ""},
    {"GET", "/v1/models/x:generateContent", NULL, 0, 0, true, ""},
    {"GET", "/v1/models/", NULL, 0, 0, false, ""},
    {"POST", "/v1/models/:generateContent", NULL, 0, 0, true, ""},
    /* A model's name with a slash, without "models/" ahead: only where a version says what it is. */
    {"POST", "/v1beta/sim/echo:generateContent", "gemini.generate", ENDPOINT_CALL, FAMILY_GEMINI,
     false, "sim/echo"},
    {"POST", "/v1/a/b/c:streamGenerateContent", "gemini.generate", ENDPOINT_CALL, FAMILY_GEMINI,
     false, "a/b/c"},
    {"POST", "/gemini/v1beta/sim/echo:countTokens", "gemini.count_tokens", ENDPOINT_CALL,
     FAMILY_GEMINI, false, "sim/echo"},
    {"POST", "/sim/echo:generateContent", NULL, 0, 0, false, ""},
    {"POST", "/v1beta/echo:generateContent", NULL, 0, 0, false, ""},
    {"POST", "/v1beta/sim/echo:other", NULL, 0, 0, false, ""},
    {"GET", "/v1beta/sim/echo:generateContent", NULL, 0, 0, true, ""},
    {"POST", "/v2/chat", "cohere.chat", ENDPOINT_CALL, FAMILY_COHERE, false, ""},
    {"POST", "/v2/embed", "cohere.embed", ENDPOINT_CALL, FAMILY_COHERE, false, ""},
    {"POST", "/v2/rerank", "cohere.rerank", ENDPOINT_CALL, FAMILY_COHERE, false, ""},
    {"GET", "/v2/chat", NULL, 0, 0, true, ""},
    {"POST", "/v2/other", NULL, 0, 0, false, ""},
    {"POST", "/api/chat", "ollama.chat", ENDPOINT_CALL, FAMILY_OLLAMA, false, ""},
    {"POST", "/api/generate", "ollama.generate", ENDPOINT_CALL, FAMILY_OLLAMA, false, ""},
    {"POST", "/api/embed", "ollama.embed", ENDPOINT_CALL, FAMILY_OLLAMA, false, ""},
    {"GET", "/api/tags", "models", ENDPOINT_MODELS, FAMILY_OLLAMA, false, ""},
    {"GET", "/api/version", "ollama.version", ENDPOINT_VERSION, FAMILY_OLLAMA, false, ""},
    {"POST", "/api/show", "ollama.show", ENDPOINT_SHOW, FAMILY_OLLAMA, false, ""},
    {"POST", "/model/m/converse", "bedrock.converse", ENDPOINT_CALL, FAMILY_BEDROCK, false, "m"},
    {"POST", "/model/a/b%3A0/converse-stream", "bedrock.converse", ENDPOINT_CALL, FAMILY_BEDROCK,
     false, "a/b%3A0"},
    {"GET", "/model/m/converse", NULL, 0, 0, true, ""},
    {"POST", "/model/m", NULL, 0, 0, false, ""},
    {"POST", "/model//converse", NULL, 0, 0, false, ""},
    {"POST", "/model/m/invoke", "bedrock.invoke", ENDPOINT_CALL, FAMILY_BEDROCK, false, "m"},
    {"POST", "/model/a%3A0/invoke-with-response-stream", "bedrock.invoke", ENDPOINT_CALL,
     FAMILY_BEDROCK, false, "a%3A0"},
    {"POST", "/model/m/count-tokens", "bedrock.count_tokens", ENDPOINT_CALL, FAMILY_BEDROCK, false,
     "m"},
    {"POST", "/model/m/nothing", NULL, 0, 0, false, ""},
    {"POST", "/v1/responses/input_tokens", "openai.count_tokens", ENDPOINT_CALL, FAMILY_OPENAI,
     false, ""},
    {"POST", "/api/embeddings", "ollama.embed", ENDPOINT_CALL, FAMILY_OLLAMA, false, ""},
    {"POST", "/api/tags", NULL, 0, 0, true, ""},
    {"POST", "/mcp", "mcp", ENDPOINT_LATER, FAMILY_OPENAI, false, ""},
    {"GET", "/v1/responses/resp_1", "openai.responses", ENDPOINT_KEPT, FAMILY_OPENAI, false, ""},
    {"DELETE", "/v1/responses/resp_1", "openai.responses", ENDPOINT_KEPT, FAMILY_OPENAI, false, ""},
    {"POST", "/v1/responses/resp_1/cancel", "openai.responses", ENDPOINT_KEPT, FAMILY_OPENAI, false,
     ""},
    {"POST", "/v1/files", "openai.files", ENDPOINT_LATER, FAMILY_OPENAI, false, ""},
    {"GET", "/v1/files/file-1/content", "openai.files", ENDPOINT_LATER, FAMILY_OPENAI, false, ""},
    {"POST", "/v1/batches/b/cancel", "openai.batches", ENDPOINT_LATER, FAMILY_OPENAI, false, ""},
    {"POST", "/v1/rerank", "openai.rerank", ENDPOINT_CALL, FAMILY_OPENAI, false, ""},
    /* not there */
    {"GET", "/", NULL, 0, 0, false, ""},
    {"HEAD", "/", NULL, 0, 0, false, ""},
    {"HEAD", "/api/hello", NULL, 0, 0, false, ""},
    {"GET", "", NULL, 0, 0, false, ""},
    {"OPTIONS", "*", NULL, 0, 0, false, ""},
    {"POST", "/v1", NULL, 0, 0, false, ""},
    {"POST", "/v1/", NULL, 0, 0, false, ""},
    {"POST", "/v1/v1/v1/chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/v1/chat/completions/", NULL, 0, 0, false, ""},
    {"POST", "/v1/Chat/Completions", NULL, 0, 0, false, ""},
    {"POST", "//v1/chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/v1//chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/v1/../v1/chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/v12/chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/v1betax/models/a:generateContent", NULL, 0, 0, false, ""},
    {"POST", "/openaix/v1/chat/completions", NULL, 0, 0, false, ""},
    {"POST", "/openai", NULL, 0, 0, false, ""},
    {"POST", "/openai/deployments", NULL, 0, 0, false, ""},
    {"POST", "/openai/deployments/", NULL, 0, 0, false, ""},
    {"POST", "/openai/deployments/d", NULL, 0, 0, false, "d"},
    {"POST", "/openai/deployments/d/", NULL, 0, 0, false, "d"},
    {"POST", "/openai/deployments/d/other", NULL, 0, 0, false, "d"},
    {"POST", "/v1/images/", NULL, 0, 0, false, ""},
    {"post", "/v1/chat/completions", NULL, 0, 0, true, ""},
};

static void row_by_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint_match m = find(rows[i].method, rows[i].path);
        same(m.endpoint ? m.endpoint->route : STR("-"), rows[i].route ? rows[i].route : "-",
             rows[i].path, "the route");
        if (m.wrong_method != rows[i].wrong_method) {
            fail_msg("%s %s: wrong_method is %d", rows[i].method, rows[i].path, m.wrong_method);
        }
        same(m.model, rows[i].model, rows[i].path, "the model");
        if (m.wrong_method) { /* the one that is allowed is */
            assert_non_null(endpoint_find(m.allow, str_of(rows[i].path)).endpoint);
        }
        if (m.endpoint) {
            assert_int_equal(m.endpoint->kind, rows[i].kind);
            assert_int_equal(m.endpoint->family, rows[i].family);
        }
    }
}

/* What the shaping of a call needs to know of its endpoint. */
static void properties(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum model_in model_in;
        enum stream_by stream;
        bool usage_option;
    } want[] = {
        {"/v1/chat/completions", MODEL_IN_BODY, STREAM_BY_MEMBER, true},
        {"/v1/completions", MODEL_IN_BODY, STREAM_BY_MEMBER, true},
        {"/v1/responses", MODEL_IN_BODY, STREAM_BY_MEMBER, false},
        {"/v1/messages", MODEL_IN_BODY, STREAM_BY_MEMBER, false},
        {"/v1/messages/count_tokens", MODEL_IN_BODY, STREAM_NEVER, false},
        {"/v1/embeddings", MODEL_IN_BODY, STREAM_NEVER, false},
        {"/v1/images/generations", MODEL_IN_BODY, STREAM_BY_MEMBER, false},
        {"/v1/images/edits", MODEL_IN_FORM, STREAM_NEVER, false},
        {"/v1/audio/speech", MODEL_IN_BODY, STREAM_NEVER, false},
        {"/v1/audio/transcriptions", MODEL_IN_FORM, STREAM_NEVER, false},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct endpoint *e = find("POST", want[i].path).endpoint;
        assert_non_null(e);
        assert_int_equal(e->model_in, want[i].model_in);
        assert_int_equal(e->stream, want[i].stream);
        assert_int_equal(e->usage_option, want[i].usage_option);
    }
}

/* A version in the base URL stands for all paths; what only looks like one does not. */
static void versions_of_bases(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path;
    } want[] = {
        {"", "/v1/messages"},           {"/v1", "/v1/messages"},
        {"/v2", "/v2/messages"},        {"/a/v1beta", "/a/v1beta/messages"},
        {"/v", "/v/v1/messages"},       {"/vertex", "/vertex/v1/messages"},
        {"/v1/x", "/v1/x/v1/messages"}, {"/xv1", "/xv1/v1/messages"},
    };
    struct endpoint_match m = find("POST", "/messages");
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        upstream_is(&m, want[i].base, "", want[i].path, want[i].base);
    }
}

/* ---- percent-encoding (RFC 3986, 2.1) ---- */

static void percent(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: malformed */
    } cases[] = {
        {"", ""},
        {"abc", "abc"},
        {"a%2Fb", "a/b"},
        {"%41%6a", "Aj"},
        {"%C3%A9", "\xc3\xa9"},
        {"a+b", "a+b"},
        {"%25%32%35", "%25"},
        {"%2fX", "/X"},
        {"%", NULL},
        {"a%4", NULL},
        {"%zz", NULL},
        {"%4z", NULL},
        {"%z4", NULL},
        {"%%41", NULL},
        {"%-1", NULL},
        {"%+1", NULL},
        {"% 1", NULL},
        {"abc%4", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text);
        char *from = malloc(n ? n : 1), *to = malloc(n ? n : 1);
        memcpy(from, cases[i].text, n);
        ptrdiff_t r = percent_decode(str_make(from, n), to);
        if (!cases[i].want) {
            assert_int_equal(r, -1);
        } else {
            assert_int_equal(r, strlen(cases[i].want));
            assert_memory_equal(to, cases[i].want, strlen(cases[i].want));
        }
        free(from);
        free(to);
    }
    char zero[3];
    assert_int_equal(percent_decode(STR("%00"), zero), 1);
    assert_int_equal(zero[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai_paths), cmocka_unit_test(anthropic_paths),
        cmocka_unit_test(gemini_paths), cmocka_unit_test(row_by_row),
        cmocka_unit_test(properties),   cmocka_unit_test(versions_of_bases),
        cmocka_unit_test(percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
