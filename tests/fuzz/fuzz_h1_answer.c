/* Heads of answers, as fuzz_h1_request.c does it. The first byte chooses the request's method and the limit. */
#include <errno.h>

#include "h1_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct h1_field fields[H1_FIELDS_MAX], again_fields[H1_FIELDS_MAX];
static struct h1_memo memo; /* of whatever was parsed before */

static int parse(struct h1_head *h, const char *p, size_t n, size_t max, enum h1_method method)
{
    const char *why = NULL;
    *h = (struct h1_head){.fields = fields};
    int r = h1_answer(h, p, n, max, method, &why);
    must((r < 0) == (why != NULL));
    static struct h1_head again = {.fields = again_fields, .memo = &memo};
    must(h1_answer(&again, p, n, max, method, &why) == r);
    if (r > 0) {
        check_same(h, &again);
    }
    must(r >= 0 || r == -EBADMSG || r == -EMSGSIZE);
    return r;
}

static void check_accepted(const struct h1_head *h, enum h1_method method)
{
    check_fields(h);
    must(h->status >= 100 && h->status <= 599 && h->minor <= 1);
    bool bodiless = method == M_HEAD || h->status < 200 || h->status == 204 || h->status == 304;
    must(!bodiless || h->body == BODY_NONE);
    must(bodiless || (h->body == BODY_CHUNKED) == (h->at[H_TRANSFER_ENCODING] > 0));
    must(h->body != BODY_LENGTH || (h->length > 0 && h->length <= INT64_MAX));
    must(h->body != BODY_TO_CLOSE || !h->keep_alive);
    must(bodiless || h->body != BODY_NONE || h->at[H_CONTENT_LENGTH]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_head h;
    if (size == 0) {
        return 0;
    }
    enum h1_method method = data[0] & 1 ? M_HEAD : M_POST;
    size_t n = size - 1, max = data[0] < 128 ? 65536 : (size_t)(data[0] - 127) * 8;
    char *whole = own_copy(data + 1, n);
    int r = parse(&h, whole, n, max, method);
    if (r > 0) {
        must((size_t)r <= n && (size_t)r <= max && h.n == (uint32_t)r);
        check_accepted(&h, method);
    }
    bool before = false;
    for (size_t part = 0; part <= n; part = next_part(part, n)) {
        char *p = own_copy(data + 1, part);
        int s = parse(&h, p, part, max, method);
        must(s == r || (s == 0 && !before && (r <= 0 || part < (size_t)r)));
        before = s != 0;
        free(p);
    }
    free(whole);
    return 0;
}
