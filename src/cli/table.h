/* Tables: what is printed between table_begin() and table_end() has its columns side by side when a person looks at
 * it, at a terminal. Elsewhere it stays as it is printed: a line for each row, a tab between two cells. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/str.h"

/* From here on stdout is kept back. Not within another table. */
void table_begin(void);
/* Prints it. Lines that have as many cells as the one before are a table; one that goes on in a later call is no
 * narrower than it was. */
void table_end(void);

/* A text that others have chosen, or a part of one: what a terminal would act on, and what ends a cell, is a space. */
void table_put(struct str s);

#endif
