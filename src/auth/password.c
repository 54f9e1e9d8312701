#include "auth/password.h"

#include <sodium.h>

#include "base/must.h"

enum { PASSES = 2, MEMORY = 19 * 1024 * 1024 };

struct str password_hash(struct arena *a, struct secret password)
{
    struct str text = secret_reveal(password);
    char *to = arena_zalloc(a, crypto_pwhash_STRBYTES);
    must(crypto_pwhash_str_alg(to, text.p ? text.p : "", text.n, PASSES, MEMORY,
                               crypto_pwhash_ALG_ARGON2ID13) == 0);
    return str_of(to);
}

bool password_verify(struct str hash, struct secret password)
{
    char z[crypto_pwhash_STRBYTES] = {0};
    struct str text = secret_reveal(password);
    if (hash.n == 0 || hash.n >= sizeof z) {
        return false;
    }
    memcpy(z, hash.p, hash.n);
    return crypto_pwhash_str_verify(z, text.p ? text.p : "", text.n) == 0;
}

void password_verify_none(struct secret password)
{
    static const unsigned char salt[crypto_pwhash_SALTBYTES];
    unsigned char key[32];
    struct str text = secret_reveal(password);
    (void)!crypto_pwhash(key, sizeof key, text.p ? text.p : "", text.n, salt, PASSES, MEMORY,
                         crypto_pwhash_ALG_ARGON2ID13);
}

/* Of the lists of leaked passwords, those that are long enough to be allowed otherwise. */
static const char *const common[] = {
    "123456789012",   "1234567890123",    "123123123123",  "qwertyuiop12",     "qwertyuiop123",
    "password1234",   "passwordpassword", "administrator", "changemechangeme", "welcome12345",
    "letmeinletmein", "iloveyou1234",     "qwerty123456",  "abcdefghijkl",     "111111111111",
    "000000000000",   "adminadminadmin",  "accordaccord",  "1q2w3e4r5t6y",     "unitedstates",
};

static bool all_the_same(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] != s.p[0]) {
            return false;
        }
    }
    return true;
}

const char *password_weakness(struct secret password, const struct str *about, size_t n_about)
{
    struct str text = secret_reveal(password);
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        if (str_ieq(text, str_of(common[i]))) {
            return "it is one of the most used passwords; choose another";
        }
    }
    for (size_t i = 0; i < n_about; i++) {
        if (about[i].n && str_ieq(text, about[i])) {
            return "it is the user's name or e-mail address; choose another";
        }
    }
    return all_the_same(text) ? "it is one character over and over; choose another" : NULL;
}
