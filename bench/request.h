/*
 * The requests that the load generator sends: valid chat completions of an exact size, in one
 * piece with their head.
 */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct request_options {
    const char *host; /* of the Host header, with the port */
    const char *key;
    const char *model;
    size_t body_len; /* exact; up to 64 KiB prose in many messages, above one image in base64 */
    bool stream;
    bool include_usage;
};

struct request {
    char *bytes; /* head and body; lives as long as the process */
    size_t len;
};

struct request request_build(const struct request_options *options);

#endif
