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
    unsigned vary_keys;   /* above 0: the last six characters of the key are a number below this */
    unsigned vary_models; /* the same of the last five of the model's name */
};

struct request {
    char *bytes; /* head and body; lives as long as the process */
    size_t len;
    unsigned keys, models; /* as above */
    char *key_end, *model_end;
};

struct request request_build(const struct request_options *options);

/* Makes it the n-th of those that differ; nearby ones are far apart in the tables of who reads them. */
void request_vary(struct request *r, unsigned long n);

#endif
