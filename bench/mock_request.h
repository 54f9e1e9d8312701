/*
 * What the mock upstream must know of a request: where its head ends, how long its body is, what
 * the body asks for. The body is looked at in passing and never kept.
 */
#ifndef BENCH_MOCK_REQUEST_H
#define BENCH_MOCK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mock_method { MOCK_GET, MOCK_POST, MOCK_OTHER };

struct mock_request {
    enum mock_method method;
    bool keep_alive;
    bool framed;   /* a body whose length is known; chunked requests are refused */
    bool with_key; /* carries the key that only a gateway knows */
    bool messages; /* asks for /v1/messages, the Anthropic API */
    uint64_t body_len;
    int32_t chunks; /* of x-mock-chunks, x-mock-interval-ms; -1 = not given */
    int32_t interval_ms;
    char path[128];
    size_t path_len;

    /* Found in the body by mock_request_body(). */
    uint64_t body_seen;
    bool stream;
    bool include_usage;
    bool renamed; /* the upstream's name of the model, not the one that clients use */
    char carry[32];
    size_t carry_len;
};

struct mock_expectations {
    const char *key;   /* NULL = do not look */
    const char *model; /* NULL = do not look */
};

/*
 * Reads a head that starts at p. Returns its length with the empty line, 0 when more bytes are
 * needed, -1 when it is no HTTP/1.1 request.
 */
long mock_request_head(struct mock_request *r, const struct mock_expectations *expect,
                       const char *p, size_t n);

/* Looks at the next n bytes of the body. Large bodies are searched at both ends only. */
void mock_request_body(struct mock_request *r, const struct mock_expectations *expect,
                       const char *p, size_t n);

#endif
