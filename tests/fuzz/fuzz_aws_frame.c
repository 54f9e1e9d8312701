/* Amazon's event stream frames: ends do not depend on what follows or on a cut, what is read lies inside the
 * frame, and what is written is read again. Sums are put right first, or nothing would get past them. */
#include <stdlib.h>

#include "base/must.h"
#include "http/aws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str frame)
{
    must(part.n == 0 || (part.p >= frame.p && part.p + part.n <= frame.p + frame.n));
}

static void check_again(const struct aws_frame *f)
{
    struct buf b = {0};
    struct aws_frame got;
    size_t at = aws_frame_begin(&b, f->type, f->name);
    buf_add(&b, f->payload);
    aws_frame_finish(&b, at);
    if (f->payload.n + f->name.n + 128 < AWS_FRAME_MAX) {
        must(aws_frame_end(b.p, b.n) == b.n);
        must(aws_frame_read(buf_str(&b), &got) == 0);
        must(got.type == f->type && str_eq(got.name, str_first(f->name, 255)));
        must(str_eq(got.payload, f->payload));
    }
    buf_free(&b);
}

static void check_frame(const char *p, size_t n)
{
    struct aws_frame f;
    char *own = malloc(n); /* ends where the frame ends */
    must(own);
    memcpy(own, p, n);
    must(aws_frame_end(own, n) == n);
    if (aws_frame_read(str_make(own, n), &f) == 0) {
        struct str frame = str_make(own, n);
        inside(f.name, frame);
        inside(f.message, frame);
        inside(f.payload, frame);
        check_again(&f);
    }
    free(own);
    for (size_t cut = 0; cut < n && cut < 300; cut++) {
        must(aws_frame_end(p, cut) == 0);
    }
}

/* The input as headers and payload of a frame whose sums are right: the first byte says where to cut. */
static void check_framed(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    size_t headers = size > 1 ? data[0] % size : 0;
    size_t at = aws_frame_begin(&b, AWS_FRAME_EVENT, STR(""));
    b.n = at + 12;
    buf_add(&b, str_make((const char *)data + 1, size - 1));
    b.p[at + 6] = 0;
    b.p[at + 7] = (char)headers;
    aws_frame_finish(&b, at);
    check_frame(b.p, b.n);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4000) {
        return 0;
    }
    const char *p = (const char *)data;
    size_t left = size;
    for (size_t end; left && (end = aws_frame_end(p, left)) != 0 && end != AWS_FRAME_BAD;) {
        must(end <= left);
        check_frame(p, end);
        p += end;
        left -= end;
    }
    check_framed(data, size);
    return 0;
}
