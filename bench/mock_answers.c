#include "mock_answers.h"

#include "sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text completion;
static struct text error_answer;
static struct text stream_head;
static size_t completion_body_len;

/* A chunk as a template: the digits of the stamp and of the index are patched in place. */
static char chunk[MOCK_CHUNK_MAX];
static size_t chunk_len;
static char *chunk_stamp; /* STAMP_DIGITS digits */
static char *chunk_index; /* INDEX_DIGITS digits */
static char model_name[128];

enum { STAMP_DIGITS = 19, INDEX_DIGITS = 5 };

static const char PROSE[] =
    "A gateway stands between applications and the models they call. It takes one key from each "
    "application, finds the model that was asked for, passes the request on to where that model "
    "lives, and brings the answer back while counting what it cost.";

static struct text build(const char *status, const char *body)
{
    size_t max = strlen(body) + 512;
    struct text t = {.p = malloc(max)};
    if (!t.p) {
        sock_die("malloc");
    }
    int n = snprintf(t.p, max,
                     "HTTP/1.1 %s\r\n"
                     "Content-Type: application/json\r\n"
                     "Content-Length: %zu\r\n"
                     "x-request-id: req_0123456789abcdef\r\n"
                     "openai-processing-ms: 1\r\n"
                     "\r\n%s",
                     status, strlen(body), body);
    t.n = (size_t)n;
    return t;
}

static void put_digits(char *at, int digits, uint64_t value)
{
    while (digits > 0) {
        digits--;
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void init_chunk(void)
{
    char event[MOCK_CHUNK_MAX];
    int n = snprintf(event, sizeof(event),
                     "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
                     "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
                     "\"system_fingerprint\":\"fp_0000000000000000000\",\"choices\":[{\"index\":0,"
                     "\"delta\":{\"content\":\" t00000\"},\"logprobs\":null,"
                     "\"finish_reason\":null}]}\n\n",
                     model_name);
    chunk_len = (size_t)snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, event);
    chunk_stamp = strstr(chunk, "fp_") + 3;
    chunk_index = strstr(chunk, " t00000") + 2;
}

void mock_answers_init(const char *model)
{
    snprintf(model_name, sizeof(model_name), "%s", model);
    char body[2048];
    int n =
        snprintf(body, sizeof(body),
                 "{\"id\":\"chatcmpl-bench0000000000000000001\",\"object\":\"chat.completion\","
                 "\"created\":1760000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":"
                 "{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,"
                 "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,"
                 "\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":"
                 "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
                 "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}",
                 model_name, PROSE, MOCK_PROMPT_TOKENS, MOCK_COMPLETION_TOKENS,
                 MOCK_PROMPT_TOKENS + MOCK_COMPLETION_TOKENS);
    completion_body_len = (size_t)n;
    completion = build("200 OK", body);
    error_answer = build("500 Internal Server Error",
                         "{\"error\":{\"message\":\"The bench asked for this failure.\","
                         "\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    static char head[] = "HTTP/1.1 200 OK\r\n"
                         "Content-Type: text/event-stream; charset=utf-8\r\n"
                         "Cache-Control: no-cache\r\n"
                         "Transfer-Encoding: chunked\r\n"
                         "x-request-id: req_0123456789abcdef\r\n"
                         "\r\n";
    stream_head = (struct text){.p = head, .n = sizeof(head) - 1};
    init_chunk();
}

struct text mock_answer_completion(void)
{
    return completion;
}

struct text mock_answer_error(void)
{
    return error_answer;
}

struct text mock_answer_stream_head(void)
{
    return stream_head;
}

size_t mock_answer_completion_body_len(void)
{
    return completion_body_len;
}

size_t mock_answer_chunk(uint32_t index, uint64_t stamp_ns, char *out)
{
    put_digits(chunk_stamp, STAMP_DIGITS, stamp_ns);
    put_digits(chunk_index, INDEX_DIGITS, index);
    memcpy(out, chunk, chunk_len);
    return chunk_len;
}

static size_t add_event(char *out, size_t max, const char *event)
{
    return (size_t)snprintf(out, max, "%zx\r\n%s\r\n", strlen(event), event);
}

size_t mock_answer_stream_end(uint32_t chunks, bool usage, char *out)
{
    char event[MOCK_CHUNK_MAX];
    snprintf(event, sizeof(event),
             "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
             "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
             "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
             "\"finish_reason\":\"stop\"}]}\n\n",
             model_name);
    size_t n = add_event(out, MOCK_END_MAX, event);
    if (usage) {
        snprintf(event, sizeof(event),
                 "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
                 "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
                 "\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%u,"
                 "\"total_tokens\":%u}}\n\n",
                 model_name, MOCK_PROMPT_TOKENS, chunks, chunks + MOCK_PROMPT_TOKENS);
        n += add_event(out + n, MOCK_END_MAX - n, event);
    }
    n += add_event(out + n, MOCK_END_MAX - n, "data: [DONE]\n\n");
    n += (size_t)snprintf(out + n, MOCK_END_MAX - n, "0\r\n\r\n");
    return n;
}
