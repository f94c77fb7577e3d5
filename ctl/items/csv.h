/* Reads CSV by RFC 4180: quotes, doubled quotes, line breaks inside quotes, CRLF or LF. Pure. */
#ifndef CTL_ITEMS_CSV_H
#define CTL_ITEMS_CSV_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define CSV_FIELDS_MAX 64
#define CSV_ROW_MAX ((size_t)64 * 1024) /* bytes of the fields of one row */

struct csv {
    const char *at; /* not owned */
    const char *end;
    unsigned line; /* of `at`, from 1 */
};

struct csv_row {
    unsigned line; /* where it begins */
    size_t count;
    const char *fields[CSV_FIELDS_MAX]; /* point into `text` */
    struct buf text;
};

/* Skips a BOM at the beginning. */
void csv_open(struct csv *csv, const char *data, size_t len);
void csv_row_init(struct csv_row *row);
void csv_row_free(struct csv_row *row);

/* Reads the next row that is not empty: 1, or 0 at the end, or ERR_PARSE with a static text in
 * `ret_problem` and row->line; then the next call goes on after that line. */
MUST_CHECK int csv_next(struct csv *csv, struct csv_row *row, const char **ret_problem);

#endif
