/* The answer to a query as a table. */
#ifndef CTL_LISTING_H
#define CTL_LISTING_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

/* Runs the query (which gives as many columns as named) and puts its rows into a table, which the
 * caller frees; CTL_FINE, or another code after printing the problem, without a table. */
MUST_CHECK int listing_query(struct ctl *ctl, const struct pg_statement *statement,
                             const char *const *params, const struct table_column *columns,
                             size_t column_count, struct table **ret_table);

/* Prints the table, or `none` ("no items") if it is empty. If as many rows as `limit` came, it says
 * which option shows more: `option`, followed by the last row's first value if `from_last`. */
void listing_print(const struct ctl *ctl, const struct table *table, int64_t limit,
                   const char *none, const char *option, bool from_last);

#endif
