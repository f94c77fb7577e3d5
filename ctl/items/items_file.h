/* The items of a CSV file, checked field by field. Pure. */
#ifndef CTL_ITEMS_ITEMS_FILE_H
#define CTL_ITEMS_ITEMS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define ITEMS_FILE_MAX ((size_t)64 * 1024 * 1024) /* bytes */
#define ITEMS_MAX 200000
#define ITEMS_COLUMNS 9

/* The columns by name, in the order of `enum items_column`; the first ITEMS_REQUIRED must be there.
 */
enum items_column {
    ITEMS_SKU,
    ITEMS_TITLE,
    ITEMS_PRICE,
    ITEMS_CURRENCY,
    ITEMS_STOCK,
    ITEMS_LIMIT_PER_USER,
    ITEMS_GATE,
    ITEMS_OPENS_AT,
    ITEMS_CLOSES_AT,
};
#define ITEMS_REQUIRED 5

/* The texts of one line, valid; NULL: left out. */
struct item {
    unsigned line;
    char *fields[ITEMS_COLUMNS]; /* owned */
};

struct items_problem {
    unsigned line;
    const char *field; /* static; "" when it concerns the line */
    char *text;        /* owned */
};

struct items_file {
    struct item *items;
    size_t count;
    size_t cap;
    struct items_problem *problems;
    size_t problem_count;
    size_t problem_cap;
};

/* Reads everything: errors to `problems`, valid lines to `items`. 0 or ERR_NOMEM. */
MUST_CHECK int items_file_parse(const char *data, size_t len, struct items_file *ret_file);
void items_file_free(struct items_file *file);

#endif
