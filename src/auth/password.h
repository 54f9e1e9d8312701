/* Passwords: Argon2id (RFC 9106) by libsodium, with 19 MiB and two passes, what OWASP's Password
 * Storage Cheat Sheet names as its first choice. Slow on purpose (tens of milliseconds): for store
 * threads and commands, never for a worker. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/arena.h"
#include "base/secret.h"

/* The hash with its parameters and salt as text, to be kept. */
struct str password_hash(struct arena *a, struct secret password);
bool password_verify(struct str hash, struct secret password);
/* Takes as long as a verification: for users that do not exist. */
void password_verify_none(struct secret password);

/* Why the password is not good enough, or NULL. `about`: the user's names, which it must not be. */
const char *password_weakness(struct secret password, const struct str *about, size_t n_about);

#endif
