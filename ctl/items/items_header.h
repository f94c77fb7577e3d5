/* The header of a file of items: which column stands where. Pure. */
#ifndef CTL_ITEMS_ITEMS_HEADER_H
#define CTL_ITEMS_ITEMS_HEADER_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/pay/items_field.h"
#include "ctl/items/csv.h"

#define ITEMS_HEADER_ABSENT SIZE_MAX

struct items_header {
    size_t at[ITEMS_COLUMNS]; /* ITEMS_HEADER_ABSENT: the file has no such column */
    size_t count;             /* columns up to the last one that has a name */
};

/* 0, or ERR_INVALID with one line in `problem`. */
MUST_CHECK int items_header_read(const struct csv_row *row, struct items_header *ret_header,
                                 struct buf *problem);

#endif
