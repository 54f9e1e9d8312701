/* Stage 2: whose key is it. The secret is looked at here and nowhere else. */
#include <sodium.h>

#include "base/same.h"
#include "dialect/sigv4.h"
#include "gateway/limits.h"

struct found {
    struct str secret;
    bool doubled; /* two different ones */
    bool malformed;
};

static void found_key(struct found *f, struct str secret)
{
    if (secret.n == 0) {
        return;
    }
    if (secret.n > KEY_SECRET_MAX) {
        f->malformed = true;
    } else if (f->secret.n && !str_eq(f->secret, secret)) {
        f->doubled = true;
    } else {
        f->secret = secret;
    }
}

/* `key=` in the query (Gemini's clients). */
static void look_in_query(struct call *c, struct found *f)
{
    const struct h1_head *h = c->req->head;
    struct str query = h1_slice(h, h->query, h->query_n), pair;
    while (query.n) {
        str_cut(&query, '&', &pair);
        if (str_starts(pair, STR("key="))) {
            struct str raw = str_from(pair, 4);
            char *text = arena_alloc(&c->req->arena, raw.n + 1);
            ptrdiff_t n = percent_decode(raw, text);
            c->key_in_query = true;
            if (n < 0) {
                f->malformed = true;
            } else {
                found_key(f, str_make(text, (size_t)n));
            }
        }
    }
}

static void look_in_fields(struct call *c, struct found *f)
{
    const struct h1_head *h = c->req->head;
    for (uint32_t i = 0; i < h->n_fields; i++) {
        if (!(header_flags[h->fields[i].id] & HF_KEY)) {
            continue;
        }
        struct str value = h1_value(h, &h->fields[i]);
        if (h->fields[i].id == H_AUTHORIZATION) {
            bool given = value.n > 0, bearer = str_istarts(value, STR("bearer "));
            /* SDKs of Amazon's sign; the key is their access key id */
            value = bearer ? str_trim(str_from(value, 7)) : sigv4_access_key(value);
            f->malformed = f->malformed || (given && !value.n);
        }
        found_key(f, value);
    }
}

static const struct snap_key *find(struct worker *w, struct str secret)
{
    uint64_t mac[2];
    crypto_shorthash_siphashx24((unsigned char *)mac, (const unsigned char *)secret.p, secret.n,
                                w->seen_secret);
    struct seen_key *seen = &w->seen[mac[0] % SEEN_KEYS];
    if (seen->key && ((seen->mac[0] ^ mac[0]) | (seen->mac[1] ^ mac[1])) == 0) {
        return seen->key;
    }
    const struct snap_key *key = snapshot_key(w->hold->snap, secret);
    if (key) {
        *seen = (struct seen_key){{mac[0], mac[1]}, key};
    }
    return key;
}

static const struct snap_key *look_up(struct worker *w, struct str secret)
{
    struct last_key *last = &w->last;
    if (last->key && last->n == secret.n && same_bytes(last->secret, secret.p, secret.n)) {
        return last->key;
    }
    const struct snap_key *key = find(w, secret);
    if (key && secret.n >= LAST_KEY_MIN && secret.n <= LAST_KEY_MAX) {
        last->key = key;
        last->n = secret.n;
        memcpy(last->secret, secret.p, secret.n);
    }
    return key;
}

enum next stage_authenticate(struct call *c)
{
    struct found f = {0};
    struct call_error e = {.status = 401, .outcome = OUTCOME_REFUSED};
    look_in_fields(c, &f);
    if (c->req->head->query_n) {
        look_in_query(c, &f);
    }
    if (f.doubled) {
        e.status = 400;
        e.code = "ambiguous_key";
        return call_fail(c, &e,
                         "The request carries two different keys. Send one, in one place: "
                         "Authorization: Bearer, x-api-key, x-goog-api-key, api-key or ?key=.");
    }
    c->key = f.secret.n && !f.malformed ? look_up(c->w, f.secret) : NULL;
    if (c->key && c->key->expires_us &&
        loop_now_us(c->w->loop) + c->w->wall_offset_us >= c->key->expires_us) {
        c->key = NULL;
    }
    if (c->key) {
        return c->ep.endpoint->kind == ENDPOINT_MODELS    ? page_models(c)
               : c->ep.endpoint->kind == ENDPOINT_KEPT    ? page_kept(c)
               : c->ep.endpoint->kind == ENDPOINT_VERSION ? page_version(c)
                                                          : NEXT;
    }
    c->w->metrics.unauthenticated++;
    if (c->hold->snap->of_addresses && limits_stranger(c) == DONE) {
        return DONE;
    }
    if (f.malformed) {
        e.code = "invalid_key";
        return call_fail(c, &e,
                         "The Authorization header or key is malformed; expected "
                         "\"Authorization: Bearer <key>\".");
    }
    if (f.secret.n == 0) {
        e.code = "missing_key";
        return call_fail(c, &e,
                         "No key was sent. Send it as \"Authorization: Bearer <key>\", or in "
                         "x-api-key, x-goog-api-key or api-key.");
    }
    e.code = "invalid_key";
    return call_fail(c, &e,
                     "This key is not known here; it may have been revoked. Make one with "
                     "\"accord key create\".");
}
