#include "ctl/pool/hot.h"

#include <stdio.h>
#include <string.h>

#include "ctl/human.h"
#include "ctl/listing.h"

#define LINE_COLUMNS 80
#define LINE_SIZE 160
#define SKU_COLUMNS 32
#define SPAN_S 10 /* of checkout.hot_items() */

static const struct pg_statement hot_items = {
    "ctl_hot_items", "select rank, sku, orders, waiting from checkout.hot_items(5)", 0};
enum { HOT_RANK, HOT_SKU, HOT_ORDERS, HOT_WAITING };
static const struct table_column hot_columns[] = {
    {"", "rank", TABLE_NUMBER},
    {"", "sku", TABLE_TEXT},
    {"", "orders", TABLE_NUMBER},
    {"", "waiting", TABLE_NUMBER},
};

int hot_read(struct ctl *ctl, struct table **ret_hot)
{
    return listing_query(ctl, &hot_items, NULL, hot_columns, ARRAY_LEN(hot_columns), ret_hot);
}

void hot_print(const struct table *hot)
{
    char line[LINE_SIZE] = "hot:";
    size_t len = strlen(line);
    for (size_t row = 0; row < table_rows(hot); row++) {
        char sku[SKU_COLUMNS + 1], rate[HUMAN_SIZE];
        human_short(table_value(hot, row, HOT_SKU), SKU_COLUMNS, sku, sizeof sku);
        human_rate((double)table_int(hot, row, HOT_ORDERS) / SPAN_S, rate);
        int more =
            snprintf(line + len, sizeof line - len, "%s %s %s/s", row == 0 ? "" : ",", sku, rate);
        if (more < 0 || len + (size_t)more > LINE_COLUMNS) {
            line[len] = '\0';
            break;
        }
        len += (size_t)more;
    }
    if (table_rows(hot) > 0)
        (void)puts(line);
}

void hot_json(const struct table *hot, struct buf *out)
{
    (void)buf_str(out, ",\"hot_items\":");
    table_json(hot, out);
}
