/* Requests to Amazon are signed with a key of the day instead of carrying a secret. */
#include "gateway/sign.h"

#include <sodium.h>

#include "dialect/sigv4.h"

/* The day's key, made once per provider, day and worker; the hold keeps it. */
static const unsigned char *key_of_day(struct call *c, const struct snap_aws *aws, struct str day)
{
    struct hold_key *k = &c->hold->aws_key[c->target->provider->index];
    if (k->of != aws || memcmp(k->day, day.p, sizeof k->day) != 0) {
        if (sigv4_key(aws->secret_key, day, aws->region, STR("bedrock"), k->key) < 0) {
            sodium_memzero(k->key, sizeof k->key); /* nobody's key: Amazon will refuse it */
        }
        memcpy(k->day, day.p, sizeof k->day);
        k->of = aws;
    }
    return k->key;
}

struct str sign_request(struct call *c, struct str target, const struct iovec *body, int n)
{
    const struct snap_provider *p = c->target->provider;
    const struct snap_aws *aws = c->credential->aws;
    struct arena *a = &c->req->input;
    struct buf fields = {.arena = a}, whole = {.arena = a};
    char date[SIGV4_DATE_N], hash[SIGV4_HASH_N];
    struct str path, text = n == 1 ? str_make(body[0].iov_base, body[0].iov_len) : STR("");
    for (int i = 0; n > 1 && i < n; i++) {
        buf_add(&whole, str_make(body[i].iov_base, body[i].iov_len));
        text = buf_str(&whole);
    }
    int64_t now_s = (int64_t)(clock_wall_us() / 1000000);
    sigv4_date(now_s, date);
    sigv4_hash(text, hash);
    str_cut(&target, '?', &path);
    struct sigv4 s = {.method = STR("POST"),
                      .path = path,
                      .query = target,
                      .host = p->authority,
                      .region = aws->region,
                      .service = STR("bedrock"),
                      .access_key = aws->access_key,
                      .session_token = aws->session_token,
                      .body_hash = str_make(hash, sizeof hash),
                      .at_s = now_s};
    sigv4_add_fields(&fields, a, &s, key_of_day(c, aws, str_make(date, 8)));
    return buf_str(&fields);
}
