/* The small fields of requests: lists of entity tags, dates, Idempotency-Key, Prefer, structured
 * fields, cookies, queries. Whatever comes, the answer is within the bytes; what is printed is read as the same. */
#include "base/must.h"
#include "conflict/etag.h"
#include "conflict/http_date.h"
#include "conflict/request_fields.h"
#include "conflict/structured.h"
#include "http/negotiate.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void within(struct str part, struct str whole)
{
    must(!part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void tags(struct str s)
{
    const struct etag ours = {.opaque = STR("\"1-00000000\"")};
    const struct etag_list list = {&s, 1};
    struct etag one;
    enum etag_match strong = etag_match(&list, ours, true), weak = etag_match(&list, ours, false);
    must((strong == ETAG_MALFORMED) == (weak == ETAG_MALFORMED));
    must(strong != ETAG_FOUND || weak == ETAG_FOUND);
    if (etag_parse(s, &one) == 0) {
        within(one.opaque, s);
        must(etag_match(&list, one, false) == ETAG_FOUND);
    }
}

static void dates(struct arena *a, struct str s)
{
    int64_t t, again;
    if (http_date_parse(s, 1790000000, &t) == 0) {
        must(http_date_parse(http_date_print(a, t), 1790000000, &again) == 0 && again == t);
    }
    if (time_parse(s, &t) == 0) {
        must(time_parse(time_print(a, t), &again) == 0 && again == t);
    }
}

/* What can be read can be written, and that is written as itself. */
static void structured(struct arena *a, struct str s)
{
    struct sf_member *all, *again;
    size_t n, n_again;
    struct buf first = {.arena = a}, second = {.arena = a};
    if (sf_read_dictionary(a, &s, 1, &all, &n) == 0) {
        must(sf_write_dictionary(&first, all, n) == 0);
        struct str text = buf_str(&first);
        must(sf_read_dictionary(a, &text, 1, &again, &n_again) == 0 && n == n_again);
        must(sf_write_dictionary(&second, again, n_again) == 0);
        must(str_eq(text, buf_str(&second)));
    }
    first = second = (struct buf){.arena = a};
    if (sf_read_list(a, &s, 1, &all, &n) == 0) {
        must(sf_write_list(&first, all, n) == 0);
        struct str text = buf_str(&first);
        must(sf_read_list(a, &text, 1, &again, &n_again) == 0 && n == n_again);
        must(sf_write_list(&second, again, n_again) == 0);
        must(str_eq(text, buf_str(&second)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = {0};
    struct str s = str_make((const char *)data, n), key;
    struct prefer p = PREFER_NONE;
    struct query q;
    tags(s);
    dates(&a, s);
    structured(&a, s);
    must(idempotency_key(&a, s, &key) < 0 || (key.n > 0 && key.n <= 255));
    prefer_line(&p, s);
    must(p.wait_s >= -1);
    within(cookie_get(s, STR("accord_session")), s);
    if (query_parse(&a, s, &q) == 0) {
        must(q.n <= QUERY_PARAMETERS_MAX);
    }
    arena_reset(&a);
    return 0;
}
