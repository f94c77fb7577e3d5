/* The fields of an item, as people write them. Pure. */
#ifndef COMMON_PAY_ITEMS_FIELD_H
#define COMMON_PAY_ITEMS_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/currency.h"

#define ITEMS_COLUMNS 10

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
    ITEMS_CHALLENGE,
};
#define ITEMS_REQUIRED 5

extern const char *const items_field_names[ITEMS_COLUMNS];

/* The column of that name, in capitals or not; ITEMS_COLUMNS: there is none. */
size_t items_field_of(const char *name, size_t len);
/* NULL, or what is wrong with the text: a static text that continues a sentence about it. */
const char *items_field_problem(enum items_column column, const char *text);
/* A valid field as it is kept: a currency in lower case. Returns a copy, or NULL: no memory. */
char *items_field_copy(enum items_column column, const char *text);
/* Whether the gateway takes a valid price in that currency: 0, or ERR_INVALID with the rule. */
MUST_CHECK int items_field_price(const char *price, const char *currency,
                                 char ret_rule[CURRENCY_RULE_SIZE]);
/* Whether a sale that opens and closes at valid times (NULL: no bound) lasts at all. */
bool items_field_lasts(const char *opens_at, const char *closes_at);

#endif
