/* Frames of application/vnd.amazon.eventstream, in which Amazon's services stream: binary, each with a few
 * headers and a payload, both secured by CRC32.
 *
 *     u32 length of all | u32 length of headers | u32 CRC of these 8 bytes
 *     headers: u8 n, name[n], u8 type, value (strings: u16 n, text[n]) ...
 *     payload | u32 CRC of all before
 *
 * Numbers are big-endian. Source: Smithy, "Amazon Event Stream Specification". Pure; keeps nothing. */
#ifndef HTTP_AWS_FRAME_H
#define HTTP_AWS_FRAME_H

#include "base/buf.h"

/* Longest frame that is read. */
enum { AWS_FRAME_MAX = 1024 * 1024 };

/* What stands at the front of each: enough to know its size. */
enum { AWS_FRAME_PRELUDE = 12 };
/* The length of the whole frame whose first AWS_FRAME_PRELUDE bytes stand at p; 0: they are no frame's. */
size_t aws_frame_size(const char *p);

/* More than any buffer holds: the bytes are no frame, and what follows them cannot be found. */
#define AWS_FRAME_BAD SIZE_MAX

/* The end of the first whole frame in p[0..n), with both its sums checked; 0 when there is none yet;
 * AWS_FRAME_BAD when it is damaged or too long, which is found out as soon as the first 12 bytes are there. */
size_t aws_frame_end(const char *p, size_t n);

enum aws_frame_type {
    AWS_FRAME_EVENT,     /* `name` is the event's, its payload is JSON */
    AWS_FRAME_EXCEPTION, /* `name` is the exception's, its payload is JSON */
    AWS_FRAME_ERROR,     /* `name` is a code; there is a `message`, no payload */
};

struct aws_frame {
    enum aws_frame_type type;
    struct str name;    /* :event-type, :exception-type or :error-code; may be empty */
    struct str message; /* :error-message */
    struct str payload;
};

/* Takes a frame apart, as aws_frame_end() cut it. Slices point into it. 0, or -EBADMSG when its headers do
 * not add up. */
__attribute__((warn_unused_result)) int aws_frame_read(struct str frame, struct aws_frame *ret);

/* Begins a frame in `b`, whose payload (JSON) is added behind; returns where it begins, for
 * aws_frame_finish(). */
size_t aws_frame_begin(struct buf *b, enum aws_frame_type type, struct str name);
void aws_frame_finish(struct buf *b, size_t at);

#endif
