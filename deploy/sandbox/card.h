/* The test payment methods and what becomes of a charge to each. Pure. */
#ifndef DEPLOY_SANDBOX_CARD_H
#define DEPLOY_SANDBOX_CARD_H

#include "deploy/sandbox/fault.h"

enum card_result { CARD_PAYS, CARD_DECLINES, CARD_ASKS };

struct card {
    const char *method;       /* pm_card_visa */
    const char *code;         /* of a decline */
    const char *decline_code; /* of a decline; NULL: none */
    const char *message;      /* of a decline */
    enum card_result result;
    enum fault fault; /* at the first request for an order; FAULT_NONE: none */
};

/* False: there is no such payment method. pm_sandbox_MODE is a card that pays, and that meets the
 * fault MODE once. */
bool card_find(const char *method, struct card *ret_card);

#endif
