/* Rows for people (aligned columns) and for programs (JSON). */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/pg/pg.h"

enum table_type {
    TABLE_TEXT,
    TABLE_NUMBER, /* to the right; in JSON a number */
    TABLE_AGE,    /* seconds, to the right; for people 2h05m, in JSON a number */
    TABLE_BOOL,   /* PostgreSQL's t and f */
    TABLE_MONEY,  /* minor units of the currency in the next column: for people 19.99, in JSON 1999
                   */
};

struct table_column {
    const char *heading; /* for people */
    const char *name;    /* in JSON */
    enum table_type type;
};

#define TABLE_COLUMNS_MAX 24

struct table;

/* `columns` must outlive it. NULL: no memory. */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);
/* Adds a row of `count` texts (NULL: absent, "-" for people and null in JSON), which are copied. */
MUST_CHECK int table_add(struct table *table, const char *const *values);
/* Adds all rows of a result whose first columns are the table's. */
MUST_CHECK int table_add_result(struct table *table, const struct pg_result *result);
size_t table_rows(const struct table *table);
const char *table_value(const struct table *table, size_t row, size_t column); /* may be NULL */
/* The whole number of a cell; 0 where there is none. */
int64_t table_int(const struct table *table, size_t row, size_t column);

/* Aligned, with headings, two spaces apart. At a terminal no line is longer than it is wide: texts
 * are cut, but for ids, SKUs, codes, states and times, then columns from the right left out, which
 * stderr says. */
void table_print(const struct table *table);
/* One object a line. */
void table_print_json_lines(const struct table *table);
/* Appends an array of objects. */
void table_json(const struct table *table, struct buf *out);
/* Appends one row as an object without its closing brace, so that more can follow. */
void table_json_open_row(const struct table *table, size_t row, struct buf *out);
/* Appends one row as an object without absent cells. */
void table_json_known(const struct table *table, size_t row, struct buf *out);
/* One row as "heading: value" lines, aligned. */
void table_print_record(const struct table *table, size_t row);

#endif
