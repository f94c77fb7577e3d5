#include "consumer/money/circuit_breaker.h"

#include <stddef.h>

#define PROBE_FIRST_MS 100
#define PROBE_MAX_MS 5000
/* It fails mostly: so many of the newest 32 answers, or so many in a row over so long a time. */
#define FAILURES_OF_32 26
#define FAILURES_IN_A_ROW 4
#define FAILING_MS 5000

bool circuit_breaker_lets(const struct circuit_breaker *gate, uint64_t now_ms)
{
    return gate->state == CIRCUIT_BREAKER_OPEN || (!gate->probing && now_ms >= gate->probe_at_ms);
}

bool circuit_breaker_call(struct circuit_breaker *gate)
{
    if (gate->state == CIRCUIT_BREAKER_OPEN)
        return false;
    gate->probing = true;
    return true;
}

static void stop(struct circuit_breaker *gate, enum circuit_breaker_state state, uint64_t now_ms)
{
    gate->state = state;
    gate->probing = false;
    gate->probe_wait_ms = PROBE_FIRST_MS;
    gate->probe_at_ms = now_ms + PROBE_FIRST_MS;
}

static void let_go_on(struct circuit_breaker *gate)
{
    gate->state = CIRCUIT_BREAKER_OPEN;
    gate->probing = false;
    gate->newest = 0;
}

static void probe_later(struct circuit_breaker *gate, uint64_t now_ms)
{
    gate->probing = false;
    gate->probe_wait_ms =
        gate->probe_wait_ms * 2 < PROBE_MAX_MS ? gate->probe_wait_ms * 2 : PROBE_MAX_MS;
    gate->probe_at_ms = now_ms + gate->probe_wait_ms;
}

/* Keeps count of failures. */
static void count(struct circuit_breaker *gate, enum circuit_breaker_news news, uint64_t now_ms)
{
    gate->newest = gate->newest << 1 | (news == CIRCUIT_BREAKER_FAILED ? 1U : 0U);
    if (news == CIRCUIT_BREAKER_DEFINITE)
        gate->refused = 0;
    if (news != CIRCUIT_BREAKER_FAILED)
        gate->failures = 0;
    else if (gate->failures++ == 0)
        gate->failing_ms = now_ms;
}

/* One order may be refused for its own sake, and one customer may try many times: only orders of
 * different customers and methods, refused alike, blame us. */
static void count_refusal(struct circuit_breaker *gate,
                          const struct circuit_breaker_refusal *refusal)
{
    if (gate->refused > 0 && gate->refusals[0].how != refusal->how)
        gate->refused = 0;
    for (unsigned i = 0; i < gate->refused; i++)
        if (gate->refusals[i].customer == refusal->customer ||
            gate->refusals[i].method == refusal->method)
            return;
    if (gate->refused < CIRCUIT_BREAKER_ALIKE)
        gate->refusals[gate->refused++] = *refusal;
}

static bool fails_mostly(const struct circuit_breaker *gate, uint64_t now_ms)
{
    if (gate->failures >= FAILURES_IN_A_ROW && now_ms - gate->failing_ms >= FAILING_MS)
        return true;
    return gate->failures > 0 && __builtin_popcount(gate->newest) >= FAILURES_OF_32;
}

void circuit_breaker_suspect(struct circuit_breaker *gate, uint64_t now_ms)
{
    if (gate->state == CIRCUIT_BREAKER_OPEN) {
        stop(gate, CIRCUIT_BREAKER_SUSPECTED, now_ms);
        gate->probe_at_ms = now_ms;
    }
}

static void take_probe(struct circuit_breaker *gate, enum circuit_breaker_news news,
                       bool refuses_all, uint64_t now_ms)
{
    bool suspected = gate->state == CIRCUIT_BREAKER_SUSPECTED;
    bool serves =
        news == CIRCUIT_BREAKER_DEFINITE || (news == CIRCUIT_BREAKER_REFUSED_ORDER &&
                                             (suspected || gate->state == CIRCUIT_BREAKER_FAILING));
    if (news == CIRCUIT_BREAKER_REFUSED_ORDER && gate->state == CIRCUIT_BREAKER_MISCONFIGURED)
        gate->probing = false; /* its order has ended: the next one need not wait */
    else if (refuses_all && gate->state != CIRCUIT_BREAKER_MISCONFIGURED)
        stop(gate, CIRCUIT_BREAKER_MISCONFIGURED, now_ms);
    else if (serves || (suspected && news == CIRCUIT_BREAKER_FAILED))
        let_go_on(gate);
    else
        probe_later(gate, now_ms);
}

void circuit_breaker_answer(struct circuit_breaker *gate, enum circuit_breaker_news news,
                            const struct circuit_breaker_refusal *refusal, bool probe,
                            uint64_t now_ms)
{
    if (news == CIRCUIT_BREAKER_OLD) { /* the next one may be the probe at once */
        gate->probing = gate->probing && !probe;
        return;
    }
    if (news == CIRCUIT_BREAKER_NOTHING) {
        if (probe)
            probe_later(gate, now_ms);
        return;
    }
    count(gate, news, now_ms);
    if (news == CIRCUIT_BREAKER_REFUSED_ORDER)
        count_refusal(gate, refusal);
    bool refuses_all =
        news == CIRCUIT_BREAKER_REFUSED_US ||
        (news == CIRCUIT_BREAKER_REFUSED_ORDER && gate->refused == CIRCUIT_BREAKER_ALIKE);
    if (gate->state != CIRCUIT_BREAKER_OPEN) {
        if (probe) /* else it was called before the gate was shut */
            take_probe(gate, news, refuses_all, now_ms);
    } else if (refuses_all) {
        stop(gate, CIRCUIT_BREAKER_MISCONFIGURED, now_ms);
        if (news == CIRCUIT_BREAKER_REFUSED_ORDER)
            gate->probe_at_ms = now_ms;
    } else if (fails_mostly(gate, now_ms)) {
        stop(gate, CIRCUIT_BREAKER_FAILING, now_ms);
    }
}

uint32_t circuit_breaker_wait_ms(const struct circuit_breaker *gate, uint64_t now_ms)
{
    if (gate->state == CIRCUIT_BREAKER_OPEN || gate->probing || now_ms >= gate->probe_at_ms)
        return 0;
    return (uint32_t)(gate->probe_at_ms - now_ms);
}

const char *circuit_breaker_text(const struct circuit_breaker *gate)
{
    switch (gate->state) {
    case CIRCUIT_BREAKER_OPEN:
    case CIRCUIT_BREAKER_SUSPECTED:
        return NULL;
    case CIRCUIT_BREAKER_MISCONFIGURED:
        return "misconfigured";
    case CIRCUIT_BREAKER_FAILING:
        return "failing";
    }
    return NULL;
}
