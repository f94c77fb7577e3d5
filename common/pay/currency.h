/*
 * What Stripe documents of currencies: which it takes, how many decimals the minor unit has, the
 * least and the most that a charge may be, and which amounts must end in zeros. Pure.
 */
#ifndef COMMON_PAY_CURRENCY_H
#define COMMON_PAY_CURRENCY_H

#include <stdint.h>

#include "common/base/attrs.h"

#define CURRENCY_TEXT_SIZE 32
#define CURRENCY_RULE_SIZE 160

/* Amounts are in minor units. */
struct currency {
    char code[4];  /* lower case */
    int decimals;  /* of the minor unit: 1999 is 19.99 with 2 */
    int64_t step;  /* amounts are multiples of it */
    int64_t least; /* of a charge */
    int64_t most;
};

/* NULL: it is not supported. `code` is in lower case. */
const struct currency *currency_find(const char *code);
/* "19.99 usd". `amount` is not negative. */
void currency_amount(const struct currency *currency, int64_t amount,
                     char ret_text[CURRENCY_TEXT_SIZE]);
/* The amount in whole units of the currency: 19.99. */
double currency_units(const struct currency *currency, int64_t amount);
/* Whether a charge of `amount` can succeed: 0, or ERR_INVALID with the rule for people, which
 * continues a sentence that begins with the amount ("is 0.25 usd; the least …"). */
MUST_CHECK int currency_check(const char *code, int64_t amount, char ret_rule[CURRENCY_RULE_SIZE]);

#endif
