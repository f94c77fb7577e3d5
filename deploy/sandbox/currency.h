/*
 * What Stripe documents of currencies: which it takes, the least and the most that a charge may be,
 * and which amounts must end in zeros. Pure.
 */
#ifndef DEPLOY_SANDBOX_CURRENCY_H
#define DEPLOY_SANDBOX_CURRENCY_H

#include <stdint.h>

struct currency {
    char code[4];  /* lower case */
    int64_t step;  /* amounts are multiples of it */
    int64_t least; /* of a charge, in the smallest unit */
    int64_t most;
};

/* NULL: it is not supported. `code` is in lower case. */
const struct currency *currency_find(const char *code);

#endif
