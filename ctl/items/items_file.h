/* The items of a CSV file, checked field by field. Pure. */
#ifndef CTL_ITEMS_ITEMS_FILE_H
#define CTL_ITEMS_ITEMS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/items_field.h"

#define ITEMS_FILE_MAX ((size_t)64 * 1024 * 1024) /* bytes */
#define ITEMS_MAX 200000

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

struct items_problems {
    struct items_problem *list;
    size_t count;
    size_t cap;
};

struct items_file {
    struct item *items;
    size_t count;
    size_t cap;
    struct items_problems problems; /* their lines are no items */
    struct items_problems warnings; /* of items that are right, and probably not meant so */
};

/* Reads everything: errors to `problems`, valid lines to `items`. `now_ms`: wall clock. 0 or
 * ERR_NOMEM. */
MUST_CHECK int items_file_parse(const char *data, size_t len, int64_t now_ms,
                                struct items_file *ret_file);
void items_file_free(struct items_file *file);

#endif
