/*
 * Whether payments may begin now. A gateway that refuses us (its key, its requests), or that fails
 * mostly, is left alone but for one probe now and then, until a probe gets a definite answer. Pure;
 * times are monotonic.
 */
#ifndef CONSUMER_MONEY_CIRCUIT_BREAKER_H
#define CONSUMER_MONEY_CIRCUIT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

enum payer_gate_state {
    PAYER_GATE_OPEN,
    PAYER_GATE_MISCONFIGURED,
    PAYER_GATE_FAILING,
};

/* What an answer of the gateway tells of the gateway. */
enum payer_gate_news {
    PAYER_GATE_DEFINITE,        /* it serves us */
    PAYER_GATE_FAILED,          /* no answer, or none that says anything */
    PAYER_GATE_REFUSED_US,      /* 401, 403: every payment would be refused */
    PAYER_GATE_OLD,             /* a result of earlier: nothing about now */
    PAYER_GATE_REFUSED_REQUEST, /* perhaps every one would, perhaps only this one */
};

struct payer_gate { /* zeroed at first: open */
    enum payer_gate_state state;
    bool probing;
    uint64_t probe_at_ms;
    uint32_t probe_wait_ms;
    uint64_t definite_ms; /* of the newest definite answer; 0: none yet */
    uint64_t failing_ms;  /* since when there were only failures */
    unsigned failures;    /* in a row */
    uint32_t newest;      /* of the newest answers a bit each, 1: it failed */
};

/* Whether a payment may be called now. */
bool payer_gate_lets(const struct payer_gate *gate, uint64_t now_ms);
/* It is called. True: it is the probe, which its answer is to be told with. */
bool payer_gate_call(struct payer_gate *gate);
void payer_gate_answer(struct payer_gate *gate, enum payer_gate_news news, bool probe,
                       uint64_t now_ms);
/* How long until the next probe; 0: now, or when the probe under way is answered. */
uint32_t payer_gate_wait_ms(const struct payer_gate *gate, uint64_t now_ms);
/* "misconfigured", "failing"; NULL: open. Static. */
const char *payer_gate_text(const struct payer_gate *gate);

#endif
