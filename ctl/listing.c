#include "ctl/listing.h"

#include <stdio.h>

#include "common/base/err.h"

struct listing {
    struct table *table;
    int code;
};

static void read_rows(const struct pg_result *result, void *arg)
{
    struct listing *listing = arg;
    listing->code = table_add_result(listing->table, result);
}

int listing_query(struct ctl *ctl, const struct pg_statement *statement, const char *const *params,
                  const struct table_column *columns, size_t column_count, struct table **ret_table)
{
    struct listing listing = {table_new(columns, column_count), ERR_NOMEM};
    int exit_code = CTL_FINE;
    if (listing.table != NULL)
        exit_code = ctl_query(ctl, statement, params, read_rows, &listing);
    if (exit_code == CTL_FINE && listing.code < 0)
        exit_code = ctl_complain(CTL_FAILED, "%s", err_text(listing.code));
    if (exit_code == CTL_FINE)
        *ret_table = listing.table;
    else
        table_free(listing.table);
    return exit_code;
}

void listing_print(const struct ctl *ctl, const struct table *table, int64_t limit,
                   const char *none, const char *option, bool from_last)
{
    if (ctl->json) {
        table_print_json_lines(table);
        return;
    }
    size_t rows = table_rows(table);
    if (rows == 0)
        (void)puts(none);
    else
        table_print(table);
    if (rows == (size_t)limit)
        (void)fprintf(stderr, "there may be more: --%s%s%s\n", option, from_last ? " " : "",
                      from_last ? table_value(table, rows - 1, 0) : "");
}
