/*
 * Failpoints: places where a test makes a consumer die by SIGKILL, to show that it may die there.
 * They exist only in builds with the CMake option CHECKOUT_SEEDED_BUGS; elsewhere they expand to
 * nothing. The process reads CHECKOUT_FAILPOINT=<name>[:<n>] from its environment and dies when it
 * reaches that place for the n-th time (default 1).
 */
#ifndef COMMON_TESTING_FAILPOINT_H
#define COMMON_TESTING_FAILPOINT_H

#ifdef CHECKOUT_SEEDED_BUGS

#include <stdbool.h>

/* A deciding transaction: not started yet, sent, answered but without effect here, done. */
#define FAILPOINT_STEPS(X, ID, name)                                                               \
    X(ID, name "-before")                                                                          \
    X(ID##_SENT, name "-sent")                                                                     \
    X(ID##_COMMITTED, name "-committed")                                                           \
    X(ID##_DONE, name "-done")

/* In the order of an order's life. */
#define FAILPOINT_MAP(X)                                                                           \
    X(TAKE_OVER_SENT, "take-over-sent")                                                            \
    X(TAKEN, "taken")             /* the new epoch is written, no sweep yet */                     \
    X(TAKEN_SWEPT, "taken-swept") /* the open work of the previous owner is known */               \
    X(DELIVERED, "delivered")                                                                      \
    FAILPOINT_STEPS(X, DECIDE, "decide") /* with promotions and intents of payments */             \
    X(ACK, "ack-before")                                                                           \
    X(ACK_SENT, "ack-sent")                                                                        \
    X(DEAD_SENT, "dead-letter-sent") /* its confirm is not there yet, nor its ack */               \
    X(DEAD_CONFIRMED, "dead-letter-confirmed")                                                     \
    X(PAY, "pay-before") /* the intent is durable */                                               \
    X(PAY_SENT, "pay-sent")                                                                        \
    X(PAY_ANSWERED, "pay-answered")                                                                \
    X(PAY_UNKNOWN, "pay-unknown") /* it will be asked again */                                     \
    X(CANCEL_SENT, "intent-cancel-sent")                                                           \
    X(CANCEL_ANSWERED, "intent-cancel-answered")                                                   \
    X(ACTION_LOOKED, "action-looked") /* its buyer must act */                                     \
    X(LOOK_UP_SENT, "look-up-sent")                                                                \
    X(LOOK_UP_ANSWERED, "look-up-answered")                                                        \
    X(PAY_ENDED, "pay-ended")            /* its settlement is only in memory */                    \
    FAILPOINT_STEPS(X, SETTLE, "settle") /* with the promotions that follow from it */             \
    FAILPOINT_STEPS(X, LINE, "line")     /* a further chunk of a sold-out waitlist */              \
    FAILPOINT_STEPS(X, COMMAND, "command")                                                         \
    FAILPOINT_STEPS(X, CLOCK, "clock") /* payments are stopped, or go on */                        \
    FAILPOINT_STEPS(X, ASIDE, "aside") /* jobs that were set aside are tried again */              \
    FAILPOINT_STEPS(X, EXPIRE, "expire")                                                           \
    X(REFUND_CALL, "refund-call-before") /* the intent is durable */                               \
    X(REFUND_CALL_SENT, "refund-call-sent")                                                        \
    X(REFUND_ANSWERED, "refund-answered")                                                          \
    FAILPOINT_STEPS(X, REFUND, "refund")                                                           \
    X(RELAY_READ, "relay-read")                                                                    \
    X(RELAY_SENT, "relay-sent")                                                                    \
    X(RELAY_PUBLISHED, "relay-published") /* the watermark is not saved */                         \
    X(RELAY_WATERMARK_SENT, "relay-watermark-sent")                                                \
    X(RELAY_WATERMARK_SAVED, "relay-watermark-saved")                                              \
    X(RELEASE, "release-before")                                                                   \
    X(RELEASE_SENT, "release-sent")                                                                \
    X(RELEASED, "released")

#define FAILPOINT_SOON_MS 20

enum failpoint {
#define FAILPOINT_ENUM(id, name) FAILPOINT_##id,
    FAILPOINT_MAP(FAILPOINT_ENUM)
#undef FAILPOINT_ENUM
        FAILPOINT_COUNT
};

const char *failpoint_name(enum failpoint point);
/* Whether it is a valid setting: "", or a failpoint with or without a number. */
bool failpoint_known(const char *text);
/* May not return. */
void failpoint_at(enum failpoint point);
/* The same, FAILPOINT_SOON_MS later, when a library has sent what it just got. */
void failpoint_soon(enum failpoint point);

#define FAILPOINT(id) failpoint_at(FAILPOINT_##id)
#define FAILPOINT_SOON(id) failpoint_soon(FAILPOINT_##id)

#else

#define FAILPOINT(id)                                                                              \
    do {                                                                                           \
    } while (0)
#define FAILPOINT_SOON(id) FAILPOINT(id)

#endif
#endif
