/* Heads of requests: what is accepted is well-formed in all its parts, and the outcome does not depend on
 * how much of the head has come so far. The first byte chooses the limit. */
#include "h1_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct h1_field fields[H1_FIELDS_MAX], again_fields[H1_FIELDS_MAX];
static struct h1_memo memo; /* of whatever was parsed before */

static int parse(struct h1_head *h, const char *p, size_t n, size_t max)
{
    const char *why = NULL;
    *h = (struct h1_head){.fields = fields};
    int r = h1_request(h, p, n, max, &why);
    must((r < 0) == (why != NULL));
    static struct h1_head again = {.fields = again_fields, .memo = &memo};
    must(h1_request(&again, p, n, max, &why) == r);
    if (r > 0) {
        check_same(h, &again);
    }
    return r;
}

static void check_accepted(const struct h1_head *h)
{
    struct str target = h1_slice(h, h->target, h->target_n);
    check_fields(h);
    check_name(h1_slice(h, h->method_at, h->method_n));
    must(target.n > 0 && h->target + h->target_n < h->n);
    for (size_t i = 0; i < target.n; i++) {
        must(target.p[i] > 0x20 && target.p[i] < 0x7f);
    }
    must(h->path >= h->target && h->path + h->path_n <= h->target + h->target_n);
    must(h->path_n == 0 || h->base[h->path] == '/' || h->base[h->path] == '*');
    must(h->query + h->query_n == h->target + h->target_n);
    must(h->minor <= 1 && h->body != BODY_TO_CLOSE);
    must(h->minor == 0 || h->at[H_HOST]);
    must((h->body == BODY_CHUNKED) == (h->at[H_TRANSFER_ENCODING] > 0));
    must((h->body == BODY_LENGTH) == (h->length > 0) && h->length <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_head h;
    if (size == 0) {
        return 0;
    }
    size_t n = size - 1, max = data[0] < 128 ? 65536 : (size_t)(data[0] - 127) * 8;
    char *whole = own_copy(data + 1, n);
    int r = parse(&h, whole, n, max);
    if (r > 0) {
        must((size_t)r <= n && (size_t)r <= max && h.n == (uint32_t)r);
        check_accepted(&h);
    }
    must(r != 0 || n < max);
    bool before = false;
    for (size_t part = 0; part <= n; part = next_part(part, n)) {
        char *p = own_copy(data + 1, part);
        int s = parse(&h, p, part, max);
        must(s == r || (s == 0 && !before && (r <= 0 || part < (size_t)r)));
        before = s != 0;
        free(p);
    }
    free(whole);
    return 0;
}
