/*
 * The states of orders, payments, refunds and commands, and why an order is rejected: the words
 * that the database, the events and the API have for them, once. Tests compare the checks of
 * schemas/sql and the lists of openapi.yaml and checkout.event.v1.schema.json with these rows.
 * Pure.
 */
#ifndef COMMON_SHOP_STATUS_H
#define COMMON_SHOP_STATUS_H

#include <stdbool.h>

/* X(name, word, whether it is final). Only the API says queued: there is no row yet. */
#define ORDER_STATE_MAP(X)                                                                         \
    X(QUEUED, "queued", false)                                                                     \
    X(WAITING, "waiting", false)                                                                   \
    X(RESERVED, "reserved", false)                                                                 \
    X(CONFIRMED, "confirmed", true) /* but for refunded */                                         \
    X(REJECTED, "rejected", true)                                                                  \
    X(CANCELLED, "cancelled", true)                                                                \
    X(REFUNDED, "refunded", true)

/* X(name, word, what it means, for people) */
#define ORDER_REASON_MAP(X)                                                                        \
    X(SOLD_OUT, "sold_out", "sold out, fewer units were left than it wants")                       \
    X(PAYMENT_DECLINED, "payment_declined", "the payment was declined")                            \
    X(PAYMENT_FAILED, "payment_failed", "the payment failed")                                      \
    X(LIMIT_EXCEEDED, "limit_exceeded", "its buyer would have had more units than one user may")   \
    X(UNKNOWN_ITEM, "unknown_item", "there is no such item")                                       \
    X(NOT_ON_SALE, "not_on_sale", "the item was not on sale at that moment")                       \
    X(CHALLENGE_REQUIRED, "challenge_required",                                                    \
      "its buyer's token did not say that the item's challenge was passed")                        \
    X(PRICE_CHANGED, "price_changed", "the buyer had seen another price")                          \
    X(EXPIRED, "expired", "it had waited for the longest time allowed")                            \
    X(INVALID, "invalid", "what was ordered was not valid")

#define PAYMENT_STATE_MAP(X)                                                                       \
    X(OPEN, "open")                                                                                \
    X(CAPTURED, "captured")                                                                        \
    X(DECLINED, "declined")                                                                        \
    X(FAILED, "failed")

#define REFUND_STATE_MAP(X)                                                                        \
    X(OPEN, "open")                                                                                \
    X(SUCCEEDED, "succeeded")                                                                      \
    X(FAILED, "failed")

#define COMMAND_STATE_MAP(X)                                                                       \
    X(PENDING, "pending")                                                                          \
    X(DONE, "done")                                                                                \
    X(REFUSED, "refused")

/* In each: NONE for a word that is none of them. */
#define ORDER_STATE_ENUM(name, word, final) ORDER_STATE_##name,
enum order_state { ORDER_STATE_NONE, ORDER_STATE_MAP(ORDER_STATE_ENUM) ORDER_STATE_COUNT };
#undef ORDER_STATE_ENUM
#define ORDER_REASON_ENUM(name, word, meaning) ORDER_REASON_##name,
enum order_reason { ORDER_REASON_NONE, ORDER_REASON_MAP(ORDER_REASON_ENUM) ORDER_REASON_COUNT };
#undef ORDER_REASON_ENUM
#define PAYMENT_STATE_ENUM(name, word) PAYMENT_STATE_##name,
enum payment_state {
    PAYMENT_STATE_NONE,
    PAYMENT_STATE_MAP(PAYMENT_STATE_ENUM) PAYMENT_STATE_COUNT
};
#undef PAYMENT_STATE_ENUM
#define REFUND_STATE_ENUM(name, word) REFUND_STATE_##name,
enum refund_state { REFUND_STATE_NONE, REFUND_STATE_MAP(REFUND_STATE_ENUM) REFUND_STATE_COUNT };
#undef REFUND_STATE_ENUM
#define COMMAND_STATE_ENUM(name, word) COMMAND_STATE_##name,
enum command_state {
    COMMAND_STATE_NONE,
    COMMAND_STATE_MAP(COMMAND_STATE_ENUM) COMMAND_STATE_COUNT
};
#undef COMMAND_STATE_ENUM

/* The meaning of a word; NULL is no word. */
enum order_state order_state_of(const char *word);
enum order_reason order_reason_of(const char *word);
enum payment_state payment_state_of(const char *word);
enum refund_state refund_state_of(const char *word);
enum command_state command_state_of(const char *word);

/* The word; "" of NONE. Static storage. */
const char *order_state_word(enum order_state state);
const char *order_reason_word(enum order_reason reason);
const char *payment_state_word(enum payment_state state);
const char *refund_state_word(enum refund_state state);
const char *command_state_word(enum command_state state);

/* Whether an order in this state has its answer (a confirmed one may still be refunded). */
bool order_state_final(enum order_state state);
/* A clause for people; "" of NONE. */
const char *order_reason_meaning(enum order_reason reason);

#endif
