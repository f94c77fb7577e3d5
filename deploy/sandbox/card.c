#include "deploy/sandbox/card.h"

#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"

#define NAME_MAX_LEN 80
#define FAULT_PREFIX "pm_sandbox_"
#define TOKEN_PREFIX "tok_"
#define CARD(...)                                                                                  \
    {                                                                                              \
        .type = "card", __VA_ARGS__                                                                \
    }
#define PAYS(text) CARD(.name = (text), .result = CARD_PAYS)
#define PAYS_AND(text, then) CARD(.name = (text), .result = CARD_PAYS, .after = (then))
#define DECLINE(text, why, decline, said)                                                          \
    CARD(.name = (text), .result = CARD_DECLINES, .error = "card_error", .code = (why),            \
         .decline_code = (decline), .message = (said))
#define DECLINED(text, decline) DECLINE(text, "card_declined", decline, "Your card was declined.")
#define ASKS(text)                                                                                 \
    CARD(.name = (text), .result = CARD_ASKS, .error = "card_error",                               \
         .code = "payment_intent_authentication_failure",                                          \
         .message = "The provided payment method has failed authentication.")
/* Declines of what is no card are errors of another type, also where a card is behind it. */
#define REFUSES(text, why)                                                                         \
    CARD(.name = (text), .result = CARD_DECLINES, .error = "invalid_request_error", .code = (why), \
         .message = "The payment was not accepted by the provider.")
#define DEBIT_FAILS(text, why)                                                                     \
    {                                                                                              \
        .name = (text), .type = "us_bank_account", .result = CARD_PROCESSES,                       \
        .error = "invalid_request_error", .code = (why), .message = "The bank refused the debit."  \
    }

/* The names of the cards that meet a fault, so that every name is a text that stays. */
static const char *const fault_names[] = {
#define FAULT_NAME(name, text, charged) FAULT_PREFIX text,
    FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
};

static const struct card cards[] = {
    PAYS("pm_card_visa"),
    PAYS("pm_card_mastercard"),
    PAYS("pm_card_visa_debit"),
    PAYS("pm_card_amex"),
    PAYS("pm_card_discover"),
    PAYS("pm_card_jcb"),
    PAYS("pm_card_unionpay"),
    DECLINED("pm_card_chargeDeclined", "generic_decline"),
    DECLINED("pm_card_visa_chargeDeclined", "generic_decline"),
    DECLINE("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds",
            "Your card has insufficient funds."),
    DECLINE("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds",
            "Your card has insufficient funds."),
    DECLINED("pm_card_chargeDeclinedLostCard", "lost_card"),
    DECLINED("pm_card_chargeDeclinedStolenCard", "stolen_card"),
    DECLINED("pm_card_chargeDeclinedFraudulent", "fraudulent"),
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
    PAYS_AND("pm_card_createDispute", AFTER_DISPUTE),
    PAYS_AND("pm_card_pendingRefund", AFTER_REFUND_PENDS),
    PAYS_AND("pm_card_refundFail", AFTER_REFUND_FAILS),
    {.name = "pm_usBankAccount_success",
     .type = "us_bank_account",
     .result = CARD_PROCESSES,
     .pays_late = true},
    DEBIT_FAILS("pm_usBankAccount_insufficientFunds", "insufficient_funds"),
    DEBIT_FAILS("pm_usBankAccount_accountClosed", "account_closed"),
    DEBIT_FAILS("pm_usBankAccount_noAccount", "no_account"),
    DEBIT_FAILS("pm_usBankAccount_debitNotAuthorized", "debit_not_authorized"),
    CARD(.name = "pm_sandbox_processing", .result = CARD_PROCESSES, .pays_late = true),
    CARD(.name = "pm_sandbox_processing_failed", .result = CARD_PROCESSES, .error = "card_error",
         .code = "card_declined", .decline_code = "generic_decline",
         .message = "Your card was declined."),
    CARD(.name = "pm_sandbox_requires_capture", .result = CARD_CAPTURES),
    CARD(.name = "pm_sandbox_requires_confirmation", .result = CARD_CONFIRMS),
    CARD(.name = "pm_sandbox_pays_less", .result = CARD_PAYS_LESS),
    REFUSES("pm_sandbox_provider_decline", "payment_method_provider_decline"),
    REFUSES("pm_sandbox_attempt_failed", "payment_intent_payment_attempt_failed"),
};

bool card_find(const char *name, struct card *ret_card)
{
    for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
        if (strcmp(name, cards[i].name) == 0) {
            *ret_card = cards[i];
            return true;
        }
    }
    enum fault fault;
    if (strncmp(name, FAULT_PREFIX, strlen(FAULT_PREFIX)) != 0 ||
        !fault_find(name + strlen(FAULT_PREFIX), &fault))
        return false;
    *ret_card = (struct card){
        .name = fault_names[fault], .type = "card", .result = CARD_PAYS, .fault = fault};
    return true;
}

bool card_find_token(const char *token, struct card *ret_card)
{
    static const char *const prefixes[] = {"pm_card_", "pm_"};
    char name[NAME_MAX_LEN];
    if (strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        int len = snprintf(name, sizeof name, "%s%s", prefixes[i], token + strlen(TOKEN_PREFIX));
        if (len > 0 && (size_t)len < sizeof name && card_find(name, ret_card))
            return true;
    }
    return false;
}
