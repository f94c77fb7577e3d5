/* An item as the database has it, for commands that check before they ask its owner. */
#ifndef CTL_ITEMS_ITEM_ROW_H
#define CTL_ITEMS_ITEM_ROW_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/clock.h"
#include "ctl/ctl.h"

#define ITEM_ROW_TEXT_SIZE 24

struct item_row {
    bool found;
    bool ordered;                   /* some order of it exists; see item_row_read */
    char price[ITEM_ROW_TEXT_SIZE]; /* minor units */
    char currency[ITEM_ROW_TEXT_SIZE];
    char opens_at[CLOCK_RFC3339_SIZE]; /* "": no bound */
    char closes_at[CLOCK_RFC3339_SIZE];
};

/* Connects if necessary. With `orders` it looks through all orders, which takes its time. Returns
 * an exit code; an item that does not exist is no failure. */
MUST_CHECK int item_row_read(struct ctl *ctl, const char *sku, bool orders,
                             struct item_row *ret_row);

#endif
