/* The key file beside what auth/key.h says of it: the questions of the configuration and of the
 * command line about it. */
#ifndef AUTH_KEYFILE_H
#define AUTH_KEYFILE_H

#include "auth/key.h"

enum { KEYFILE_SIZE_MAX = 64 << 20, KEYFILE_MODELS_MAX = 1000 };

/* Whether a key with this id is kept (config_overrides.key_exists). */
bool keyfile_has(struct str data_dir, struct str id);

#endif
