/* What goes wrong on purpose: how late answers are, and which payments meet which fault. Pure. */
#ifndef DEPLOY_SANDBOX_FAULT_H
#define DEPLOY_SANDBOX_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "deploy/sandbox/setting.h"

/* X(name, text, charged): whether the payment is executed, and its result stored, all the same. */
#define FAULT_MAP(X)                                                                               \
    X(NONE, "none", true)                                                                          \
    X(SLOW, "slow", true)                                                                          \
    X(NEVER, "never", false)                                                                       \
    X(CHARGE_THEN_NEVER, "charge-then-never", true)                                                \
    X(RESET, "reset", false)                                                                       \
    X(CHARGE_THEN_RESET, "charge-then-reset", true)                                                \
    X(500, "500", true) /* executed and failed: no intent, but its key is used up */               \
    X(500_CONSUMED, "500-consumed", true) /* the same, and its payment method is used, too */      \
    X(500_AFTER_CHARGE, "500-after-charge", true)                                                  \
    X(400, "400", false)          /* refused without code and param, nothing is kept */            \
    X(400_KEPT, "400-kept", true) /* the same as the result of its key */                          \
    X(429, "429", false)                                                                           \
    X(409, "409", false)                                                                           \
    X(GARBAGE, "garbage", true)                                                                    \
    X(WRONG_AMOUNT, "wrong-amount", true)                                                          \
    X(PARTIAL, "partial", true)

enum fault {
#define FAULT_ENUM(name, text, charged) FAULT_##name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_COUNT
};

/* X(NAME, text): when webhooks are sent. */
#define FAULT_WEBHOOKS_MAP(X)                                                                      \
    X(ONCE, "once")                                                                                \
    X(NEVER, "never")                                                                              \
    X(EARLY, "early") /* before what they tell has happened */                                     \
    X(LATE, "late")                                                                                \
    X(TWICE, "twice")                                                                              \
    X(SHUFFLED, "shuffled") /* out of order */

enum fault_webhooks {
#define FAULT_WEBHOOKS_ENUM(name, text) WEBHOOKS_##name,
    FAULT_WEBHOOKS_MAP(FAULT_WEBHOOKS_ENUM)
#undef FAULT_WEBHOOKS_ENUM
};

struct faults {
    uint32_t latency_ms; /* of every answer about a payment */
    uint32_t jitter_ms;  /* up to so much more */
    uint32_t slow_ms;    /* of "slow" */
    enum fault mode;
    uint32_t times; /* payments that are still to meet `mode` */
    bool forever;   /* all of them */
    enum fault_webhooks webhooks;
    double chances[FAULT_COUNT];
    double reads;    /* chance of a fault for what reads or cancels */
    uint64_t random; /* state of the dice (splitmix64) */
    struct settings settings;
};

void faults_init(struct faults *faults, uint64_t seed);
/* The fault of the next payment. */
enum fault faults_pick(struct faults *faults);
/* The fault of the next request that reads or cancels: FAULT_NONE, _RESET, _429, _500, _GARBAGE. */
enum fault faults_pick_read(struct faults *faults);
/* Whether what has this chance happens now. */
bool faults_roll(struct faults *faults, double chance);
/* How late its answer shall be. */
uint32_t faults_delay_ms(struct faults *faults);
/*
 * Changes what `json` names (see control.c for all of it, and setting.h):
 * {"latency_ms":N,"jitter_ms":N,"slow_ms":N,"seed":N,
 * "mode":"500","times":N,"modes":{"reset":0.01,…}}. "mode":"none" ends every fault and trouble;
 * without "times" a mode holds until then; "modes" gives a chance to each of several (others: 0).
 * "reads":0.1 lets so many of the requests that list, look up or cancel fail, in one way or the
 * other. Nothing changes on ERR_PARSE, with a line in `ret_problem`.
 */
MUST_CHECK int faults_read(struct faults *faults, const char *json, size_t len,
                           struct buf *ret_problem);
/* Appends members of a JSON object, without its braces. */
void faults_write(const struct faults *faults, struct buf *out);

bool fault_find(const char *text, enum fault *ret_fault);
const char *fault_text(enum fault fault);
bool fault_charges(enum fault fault);

#endif
