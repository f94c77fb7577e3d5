/* How the sale goes, and who takes part in it: the head of `top`. */
#ifndef CTL_POOL_SALES_H
#define CTL_POOL_SALES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

/* How the sale goes. Rates are a second's. */
struct sales {
    double accepted, confirmed, refused;
    int64_t payments;
    int64_t payment_ms; /* age of the first that waits for the gateway */
    struct table *daemons;
};

/* Asks the database. Returns an exit code. Free it in any case. */
MUST_CHECK int sales_read(struct ctl *ctl, struct sales *ret_sales);
void sales_free(struct sales *sales); /* a zeroed one is allowed */
void sales_print(const struct sales *sales);
/* How many lines it prints, at most. */
size_t sales_lines(const struct sales *sales);
/* Appends the members "sales" and "daemons", with a comma before each. */
void sales_json(const struct sales *sales, struct buf *out);

#endif
