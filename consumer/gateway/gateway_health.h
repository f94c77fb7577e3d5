/*
 * What answers tell of the gateway itself: the circuit breaker hears them, and whether payments are
 * stopped, and why, is logged, counted and reported.
 */
#ifndef CONSUMER_GATEWAY_GATEWAY_HEALTH_H
#define CONSUMER_GATEWAY_GATEWAY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pay/pay.h"
#include "consumer/gateway/circuit_breaker.h"
#include "consumer/stats.h"

/* Payments have been stopped, or stay so for another reason, or (NULL) go on; `why` as
 * gateway_health_stopped. */
typedef void (*gateway_stopped_cb)(const char *why, void *arg);

struct gateway_health {
    struct circuit_breaker breaker;
    char why[PAY_CODE_MAX + 32]; /* "": payments go on */
    const struct stats *stats;
    gateway_stopped_cb stopped;
    void *arg;
};

struct gateway_heard {
    const struct pay_answer *answer;
    const struct circuit_breaker_refusal *who; /* of a charge: whose order; NULL: it is none */
    bool refund;
    bool kept; /* a stored result: it says nothing about now */
    bool probe;
};

void gateway_health_init(struct gateway_health *health, const struct stats *stats,
                         gateway_stopped_cb stopped, void *arg);
void gateway_health_hear(struct gateway_health *health, const struct gateway_heard *heard,
                         uint64_t now_ms);
/* Why only probes are sent: "misconfigured" (the gateway refuses our key, or all orders alike) or
 * "failing", a colon, and the newest answer ("failing: connection_refused"); NULL: payments go on.
 * Valid until the next answer. */
const char *gateway_health_stopped(const struct gateway_health *health);

#endif
