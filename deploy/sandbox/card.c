#include "deploy/sandbox/card.h"

#include <string.h>

#include "common/base/attrs.h"

#define FAULT_PREFIX "pm_sandbox_"
#define DECLINE(method, code, decline_code, message)                                               \
    {                                                                                              \
        (method), (code), (decline_code), (message), CARD_DECLINES, FAULT_NONE                     \
    }
#define PAYS(method)                                                                               \
    {                                                                                              \
        (method), NULL, NULL, NULL, CARD_PAYS, FAULT_NONE                                          \
    }
#define ASKS(method)                                                                               \
    {                                                                                              \
        (method), NULL, NULL, NULL, CARD_ASKS, FAULT_NONE                                          \
    }

static const struct card cards[] = {
    PAYS("pm_card_visa"),
    PAYS("pm_card_mastercard"),
    PAYS("pm_card_visa_debit"),
    PAYS("pm_card_amex"),
    PAYS("pm_card_discover"),
    PAYS("pm_card_jcb"),
    PAYS("pm_card_unionpay"),
    DECLINE("pm_card_chargeDeclined", "card_declined", "generic_decline",
            "Your card was declined."),
    DECLINE("pm_card_visa_chargeDeclined", "card_declined", "generic_decline",
            "Your card was declined."),
    DECLINE("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds",
            "Your card has insufficient funds."),
    DECLINE("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card",
            "Your card was declined."),
    DECLINE("pm_card_chargeDeclinedStolenCard", "card_declined", "stolen_card",
            "Your card was declined."),
    DECLINE("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent",
            "Your card was declined."),
    DECLINE("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card",
            "Your card has expired."),
    DECLINE("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc",
            "Your card's security code is incorrect."),
    DECLINE("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error",
            "An error occurred while processing your card. Try again in a little bit."),
    DECLINE("pm_card_velocityLimitExceeded", "card_declined", "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently."),
    ASKS("pm_card_authenticationRequired"),
    ASKS("pm_card_threeDSecure2Required"),
    ASKS("pm_card_threeDSecureRequired"),
};

bool card_find(const char *method, struct card *ret_card)
{
    for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
        if (strcmp(method, cards[i].method) == 0) {
            *ret_card = cards[i];
            return true;
        }
    }
    enum fault fault;
    if (strncmp(method, FAULT_PREFIX, strlen(FAULT_PREFIX)) != 0 ||
        !fault_find(method + strlen(FAULT_PREFIX), &fault))
        return false;
    *ret_card = (struct card){method, NULL, NULL, NULL, CARD_PAYS, fault};
    return true;
}
