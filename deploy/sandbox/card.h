/* The test payment methods and what becomes of a charge to each. Pure. */
#ifndef DEPLOY_SANDBOX_CARD_H
#define DEPLOY_SANDBOX_CARD_H

#include <stdbool.h>

#include "deploy/sandbox/fault.h"

enum card_result {
    CARD_PAYS,
    CARD_DECLINES,
    CARD_ASKS,      /* the buyer is asked by the bank */
    CARD_PROCESSES, /* it is known later whether it pays: see `pays_late` */
    CARD_CAPTURES,  /* it waits to be captured */
    CARD_CONFIRMS,  /* it waits to be confirmed once more */
    CARD_PAYS_LESS, /* one less than was asked for is received */
};

/* What happens by itself after it has paid, or after a refund of it. */
enum card_after { AFTER_NOTHING, AFTER_DISPUTE, AFTER_REFUND_PENDS, AFTER_REFUND_FAILS };

struct card {
    const char *name; /* pm_card_visa */
    const char *type; /* card, us_bank_account */
    enum card_result result;
    enum fault fault; /* at the first request for an order; FAULT_NONE: none */
    enum card_after after;
    bool pays_late;
    /* Of a decline, now or later: */
    const char *error; /* its type: card_error, or invalid_request_error */
    const char *code;
    const char *decline_code; /* NULL: none */
    const char *message;
};

/* False: there is no such test payment method. pm_sandbox_MODE is a card that pays, and that meets
 * the fault MODE once. */
bool card_find(const char *name, struct card *ret_card);
/* The test payment method that a test token (tok_visa) stands for. */
bool card_find_token(const char *token, struct card *ret_card);

#endif
