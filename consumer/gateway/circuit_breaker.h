/*
 * Whether payments may begin now. A gateway that refuses us (its key, all orders alike), or that
 * fails mostly, is left alone but for one probe now and then, until a probe is served. Pure; times
 * are monotonic.
 */
#ifndef CONSUMER_GATEWAY_CIRCUIT_BREAKER_H
#define CONSUMER_GATEWAY_CIRCUIT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define CIRCUIT_BREAKER_ALIKE 3 /* refused orders in a row that raise the alarm */

enum circuit_breaker_state {
    CIRCUIT_BREAKER_OPEN,
    CIRCUIT_BREAKER_SUSPECTED, /* the next call is a probe; nothing is stopped yet */
    CIRCUIT_BREAKER_MISCONFIGURED,
    CIRCUIT_BREAKER_FAILING,
};

/* What an answer of the gateway tells of the gateway. */
enum circuit_breaker_news {
    CIRCUIT_BREAKER_DEFINITE,      /* it serves us */
    CIRCUIT_BREAKER_ANSWERS,       /* it does not fail; whether it would serve an order is open */
    CIRCUIT_BREAKER_FAILED,        /* no answer, or none that says anything */
    CIRCUIT_BREAKER_REFUSED_US,    /* 401, 403: every payment would be refused */
    CIRCUIT_BREAKER_REFUSED_ORDER, /* this one for good; perhaps every one would be */
    CIRCUIT_BREAKER_OLD,           /* a result of earlier: nothing about now */
    CIRCUIT_BREAKER_NOTHING,       /* too many requests, or about something else */
};

/* Who was refused, and how: hashes. */
struct circuit_breaker_refusal {
    uint64_t customer;
    uint64_t method;
    uint64_t how;
};

struct circuit_breaker { /* zeroed at first: open */
    enum circuit_breaker_state state;
    bool probing;
    uint64_t probe_at_ms;
    uint32_t probe_wait_ms;
    uint64_t failing_ms; /* since when there were only failures */
    unsigned failures;   /* in a row */
    uint32_t newest;     /* of the newest answers a bit each, 1: it failed */
    struct circuit_breaker_refusal
        refusals[CIRCUIT_BREAKER_ALIKE]; /* alike, no order served between */
    unsigned refused;
};

/* Whether a payment may be called now. */
bool circuit_breaker_lets(const struct circuit_breaker *breaker, uint64_t now_ms);
/* It is called. True: it is the probe; pass that on with its answer. */
bool circuit_breaker_call(struct circuit_breaker *breaker);
/* `refusal` is of REFUSED_ORDER. */
void circuit_breaker_answer(struct circuit_breaker *breaker, enum circuit_breaker_news news,
                            const struct circuit_breaker_refusal *refusal, bool probe,
                            uint64_t now_ms);
/* Something else was refused as if our key were wrong: the next call is a probe. */
void circuit_breaker_suspect(struct circuit_breaker *breaker, uint64_t now_ms);
/* How long until the next probe; 0: now, or when the probe under way is answered. */
uint32_t circuit_breaker_wait_ms(const struct circuit_breaker *breaker, uint64_t now_ms);
/* "misconfigured", "failing"; NULL: payments go on. Static. */
const char *circuit_breaker_text(const struct circuit_breaker *breaker);

#endif
