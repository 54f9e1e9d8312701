#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COLUMNS_MAX = 32, WIDTH_MAX = 60 };

static struct {
    FILE *terminal; /* stdout, while `kept` is in its place */
    FILE *kept;
    char *text;
    size_t n;
    size_t columns; /* of the table that was printed last, and how wide they were */
    size_t width[COLUMNS_MAX];
} table;

void table_begin(void)
{
    if (isatty(STDOUT_FILENO) && (table.kept = open_memstream(&table.text, &table.n))) {
        table.terminal = stdout;
        stdout = table.kept; /* which the GNU C library allows (manual, 12.2) */
    }
}

/* How wide it is: characters, of which UTF-8 has one byte that is no continuation. */
static size_t width_of(struct str cell)
{
    size_t n = 0;
    for (size_t i = 0; i < cell.n; i++) {
        n += ((unsigned char)cell.p[i] & 0xC0) != 0x80;
    }
    return n;
}

static size_t columns_of(struct str line)
{
    size_t n = 1;
    for (size_t i = 0; i < line.n; i++) {
        n += line.p[i] == '\t';
    }
    return n < COLUMNS_MAX ? n : COLUMNS_MAX;
}

static void widen(struct str line, size_t columns)
{
    struct str cell;
    for (size_t i = 0; i + 1 < columns; i++) {
        str_cut(&line, '\t', &cell);
        size_t w = width_of(cell);
        w = w < WIDTH_MAX ? w : WIDTH_MAX;
        table.width[i] = w > table.width[i] ? w : table.width[i];
    }
}

static void print(struct str line, size_t columns)
{
    struct str cell;
    for (size_t i = 0; i + 1 < columns; i++) {
        str_cut(&line, '\t', &cell);
        size_t w = width_of(cell);
        int fill = w < table.width[i] ? (int)(table.width[i] - w) : 0;
        printf("%.*s%*s  ", STR_ARG(cell), fill, "");
    }
    printf("%.*s\n", STR_ARG(line));
}

/* The lines at the front of `text` that have as many cells as the first. */
static void print_block(struct str *text)
{
    struct str line, rest = *text, first;
    str_cut(&rest, '\n', &first);
    size_t columns = columns_of(first);
    if (columns != table.columns) {
        memset(table.width, 0, sizeof table.width);
        table.columns = columns;
    }
    rest = *text;
    while (rest.n && (str_cut(&rest, '\n', &line), columns_of(line) == columns)) {
        widen(line, columns);
    }
    while (text->n &&
           columns_of(line = str_first(*text, (size_t)str_chr(*text, '\n'))) == columns) {
        print(line, columns);
        *text = str_from(*text, line.n + 1);
    }
}

void table_end(void)
{
    if (!table.terminal) {
        return;
    }
    fflush(stdout);
    if (table.n == 0 || table.text[table.n - 1] != '\n') {
        putchar('\n');
    }
    fclose(table.kept);
    stdout = table.terminal;
    table.terminal = NULL;
    struct str text = str_make(table.text, table.n);
    while (text.n) {
        print_block(&text);
    }
    free(table.text);
}

void table_put(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        putchar((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i]);
    }
}
