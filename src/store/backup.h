/* The whole state as one file, and back. SQLite's own online backup: both work while a server runs;
 * what it commits meanwhile is in the copy or not, as a whole. The master key is not in it. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/buf.h"

/* Copies the state at `from` into the file `to`, which must not be there. 0, or -EINVAL, -EEXIST,
 * -EIO with a line in `errors`. */
__attribute__((warn_unused_result)) int backup_save(const char *from, const char *to,
                                                    struct buf *errors);
/* Puts the state of the file `from` in place of the one at `to` (made when it is not there). A file
 * that is no state, is damaged, or is of a newer program is refused. */
__attribute__((warn_unused_result)) int backup_load(const char *from, const char *to,
                                                    struct buf *errors);

#endif
