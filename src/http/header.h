/* The header fields that Accord acts on, as small numbers: one row here is all it takes to know a
 * field. */
#ifndef HTTP_HEADER_H
#define HTTP_HEADER_H

#include "base/str.h"

/* HOP: never forwarded (RFC 9110, 7.6.1). KEY: carries the caller's secret, never forwarded.
 * ASK: not forwarded with a request (we say our own, or it is none of the upstream's business).
 * ANSWER: not forwarded with an answer. */
enum { HF_HOP = 1, HF_KEY = 2, HF_ASK = 4, HF_ANSWER = 8 };

#define HEADER_TABLE(X)                                                                            \
    X(HOST, "host", HF_ASK)                                                                        \
    X(CONTENT_LENGTH, "content-length", HF_ASK | HF_ANSWER)                                        \
    X(TRANSFER_ENCODING, "transfer-encoding", HF_HOP)                                              \
    X(CONNECTION, "connection", HF_HOP)                                                            \
    X(KEEP_ALIVE, "keep-alive", HF_HOP)                                                            \
    X(TE, "te", HF_HOP)                                                                            \
    X(TRAILER, "trailer", HF_HOP)                                                                  \
    X(UPGRADE, "upgrade", HF_HOP)                                                                  \
    X(PROXY_CONNECTION, "proxy-connection", HF_HOP)                                                \
    X(PROXY_AUTHORIZATION, "proxy-authorization", HF_HOP)                                          \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", HF_HOP)                                            \
    X(EXPECT, "expect", HF_ASK)                                                                    \
    X(AUTHORIZATION, "authorization", HF_KEY)                                                      \
    X(X_API_KEY, "x-api-key", HF_KEY)                                                              \
    X(X_GOOG_API_KEY, "x-goog-api-key", HF_KEY)                                                    \
    X(API_KEY, "api-key", HF_KEY)                                                                  \
    X(COOKIE, "cookie", HF_ASK)                                                                    \
    X(SET_COOKIE, "set-cookie", HF_ANSWER)                                                         \
    X(ACCEPT_ENCODING, "accept-encoding", HF_ASK)                                                  \
    X(CONTENT_TYPE, "content-type", 0)                                                             \
    X(CONTENT_ENCODING, "content-encoding", 0)                                                     \
    X(X_REQUEST_ID, "x-request-id", HF_ASK | HF_ANSWER)                                            \
    X(REQUEST_ID, "request-id", HF_ASK | HF_ANSWER)                                                \
    X(SERVER_TIMING, "server-timing", HF_ANSWER)                                                   \
    X(SERVER, "server", HF_ANSWER)                                                                 \
    X(ALT_SVC, "alt-svc", HF_ANSWER)                                                               \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", HF_ANSWER)                           \
    X(OPENAI_ORGANIZATION, "openai-organization", HF_ASK | HF_ANSWER)                              \
    X(OPENAI_PROJECT, "openai-project", HF_ASK | HF_ANSWER)                                        \
    X(ANTHROPIC_ORGANIZATION_ID, "anthropic-organization-id", HF_ANSWER)                           \
    X(FORWARDED, "forwarded", HF_ASK)                                                              \
    X(X_FORWARDED_FOR, "x-forwarded-for", HF_ASK)                                                  \
    X(X_FORWARDED_HOST, "x-forwarded-host", HF_ASK)                                                \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", HF_ASK)                                              \
    X(X_REAL_IP, "x-real-ip", HF_ASK)                                                              \
    X(ANTHROPIC_VERSION, "anthropic-version", 0)                                                   \
    X(RETRY_AFTER, "retry-after", 0)                                                               \
    X(X_SHOULD_RETRY, "x-should-retry", 0)                                                         \
    X(DATE, "date", 0)                                                                             \
    X(USER_AGENT, "user-agent", 0)                                                                 \
    X(TRACEPARENT, "traceparent", 0)                                                               \
    X(TRACESTATE, "tracestate", 0)                                                                 \
    X(BAGGAGE, "baggage", 0)                                                                       \
    X(CACHE_CONTROL, "cache-control", 0)                                                           \
    X(IDEMPOTENCY_KEY, "idempotency-key", HF_ASK)

enum header_id {
    H_OTHER,
#define HEADER_ENUM(id, name, flags) H_##id,
    HEADER_TABLE(HEADER_ENUM)
#undef HEADER_ENUM
        H_COUNT
};

extern const struct str header_name[H_COUNT];
extern const uint8_t header_flags[H_COUNT];

/* The number of a field name in any case; H_OTHER for those that are not in the table. */
enum header_id header_id(struct str name);

#endif
