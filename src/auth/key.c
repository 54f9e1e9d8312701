#include "auth/key.h"

#include <sodium.h>

#include "base/must.h"

enum { RANDOM_SIZE = 32, BASE64_SIZE = 43 };

void key_digest(struct str secret, uint8_t ret[KEY_DIGEST_SIZE])
{
    static const unsigned char nothing[1];
    const unsigned char *p = secret.n ? (const unsigned char *)secret.p : nothing;
    must(crypto_generichash(ret, KEY_DIGEST_SIZE, p, secret.n, NULL, 0) == 0);
}

struct secret key_make_as(struct arena *a, struct str prefix)
{
    unsigned char random[RANDOM_SIZE];
    size_t size = prefix.n + BASE64_SIZE + 1;
    char *p = arena_alloc(a, size);
    must(sodium_init() >= 0);
    randombytes_buf(random, sizeof random);
    memcpy(p, prefix.p, prefix.n);
    must(sodium_bin2base64(p + prefix.n, BASE64_SIZE + 1, random, sizeof random,
                           sodium_base64_VARIANT_URLSAFE_NO_PADDING) != NULL);
    sodium_memzero(random, sizeof random);
    return secret_of(str_make(p, size - 1));
}

struct secret key_make(struct arena *a)
{
    return key_make_as(a, STR("sk-accord-"));
}
