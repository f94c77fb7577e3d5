#include "consumer/gateway/circuit_breaker.h"

#include <stddef.h>

#define PROBE_FIRST_MS 100
#define PROBE_MAX_MS 5000
/* It fails mostly: so many of the newest 32 answers, or so many in a row over so long a time. */
#define FAILURES_OF_32 26
#define FAILURES_IN_A_ROW 4
#define FAILING_MS 5000

bool circuit_breaker_lets(const struct circuit_breaker *breaker, uint64_t now_ms)
{
    return breaker->state == CIRCUIT_BREAKER_OPEN ||
           (!breaker->probing && now_ms >= breaker->probe_at_ms);
}

bool circuit_breaker_call(struct circuit_breaker *breaker)
{
    if (breaker->state == CIRCUIT_BREAKER_OPEN)
        return false;
    breaker->probing = true;
    return true;
}

static void stop(struct circuit_breaker *breaker, enum circuit_breaker_state state, uint64_t now_ms)
{
    breaker->state = state;
    breaker->probing = false;
    breaker->probe_wait_ms = PROBE_FIRST_MS;
    breaker->probe_at_ms = now_ms + PROBE_FIRST_MS;
}

static void let_go_on(struct circuit_breaker *breaker)
{
    breaker->state = CIRCUIT_BREAKER_OPEN;
    breaker->probing = false;
    breaker->newest = 0;
}

static void probe_later(struct circuit_breaker *breaker, uint64_t now_ms)
{
    breaker->probing = false;
    breaker->probe_wait_ms =
        breaker->probe_wait_ms * 2 < PROBE_MAX_MS ? breaker->probe_wait_ms * 2 : PROBE_MAX_MS;
    breaker->probe_at_ms = now_ms + breaker->probe_wait_ms;
}

/* Keeps count of failures. */
static void count(struct circuit_breaker *breaker, enum circuit_breaker_news news, uint64_t now_ms)
{
    breaker->newest = breaker->newest << 1 | (news == CIRCUIT_BREAKER_FAILED ? 1U : 0U);
    if (news == CIRCUIT_BREAKER_DEFINITE)
        breaker->refused = 0;
    if (news != CIRCUIT_BREAKER_FAILED)
        breaker->failures = 0;
    else if (breaker->failures++ == 0)
        breaker->failing_ms = now_ms;
}

/* One order may be refused for its own sake, and one customer may try many times: only orders of
 * different customers and methods, refused alike, blame us. */
static void count_refusal(struct circuit_breaker *breaker,
                          const struct circuit_breaker_refusal *refusal)
{
    if (breaker->refused > 0 && breaker->refusals[0].how != refusal->how)
        breaker->refused = 0;
    for (unsigned i = 0; i < breaker->refused; i++)
        if (breaker->refusals[i].customer == refusal->customer ||
            breaker->refusals[i].method == refusal->method)
            return;
    if (breaker->refused < CIRCUIT_BREAKER_ALIKE)
        breaker->refusals[breaker->refused++] = *refusal;
}

static bool fails_mostly(const struct circuit_breaker *breaker, uint64_t now_ms)
{
    if (breaker->failures >= FAILURES_IN_A_ROW && now_ms - breaker->failing_ms >= FAILING_MS)
        return true;
    return breaker->failures > 0 && __builtin_popcount(breaker->newest) >= FAILURES_OF_32;
}

void circuit_breaker_suspect(struct circuit_breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == CIRCUIT_BREAKER_OPEN) {
        stop(breaker, CIRCUIT_BREAKER_SUSPECTED, now_ms);
        breaker->probe_at_ms = now_ms;
    }
}

static void take_probe(struct circuit_breaker *breaker, enum circuit_breaker_news news,
                       bool refuses_all, uint64_t now_ms)
{
    bool suspected = breaker->state == CIRCUIT_BREAKER_SUSPECTED;
    bool serves = news == CIRCUIT_BREAKER_DEFINITE || news == CIRCUIT_BREAKER_ANSWERS ||
                  (news == CIRCUIT_BREAKER_REFUSED_ORDER &&
                   (suspected || breaker->state == CIRCUIT_BREAKER_FAILING));
    bool answers = news == CIRCUIT_BREAKER_ANSWERS;
    if ((news == CIRCUIT_BREAKER_REFUSED_ORDER &&
         breaker->state == CIRCUIT_BREAKER_MISCONFIGURED) ||
        (answers && breaker->state != CIRCUIT_BREAKER_FAILING))
        breaker->probing = false; /* nothing is to be waited for: the next one is a probe at once */
    else if (refuses_all && breaker->state != CIRCUIT_BREAKER_MISCONFIGURED)
        stop(breaker, CIRCUIT_BREAKER_MISCONFIGURED, now_ms);
    else if (serves || (suspected && news == CIRCUIT_BREAKER_FAILED))
        let_go_on(breaker);
    else
        probe_later(breaker, now_ms);
}

void circuit_breaker_answer(struct circuit_breaker *breaker, enum circuit_breaker_news news,
                            const struct circuit_breaker_refusal *refusal, bool probe,
                            uint64_t now_ms)
{
    if (news == CIRCUIT_BREAKER_OLD) { /* the next one may be the probe at once */
        breaker->probing = breaker->probing && !probe;
        return;
    }
    if (news == CIRCUIT_BREAKER_NOTHING) {
        if (probe)
            probe_later(breaker, now_ms);
        return;
    }
    count(breaker, news, now_ms);
    if (news == CIRCUIT_BREAKER_REFUSED_ORDER)
        count_refusal(breaker, refusal);
    bool refuses_all =
        news == CIRCUIT_BREAKER_REFUSED_US ||
        (news == CIRCUIT_BREAKER_REFUSED_ORDER && breaker->refused == CIRCUIT_BREAKER_ALIKE);
    if (breaker->state != CIRCUIT_BREAKER_OPEN) {
        if (probe) /* else it was called before the breaker opened */
            take_probe(breaker, news, refuses_all, now_ms);
    } else if (refuses_all) {
        stop(breaker, CIRCUIT_BREAKER_MISCONFIGURED, now_ms);
        if (news == CIRCUIT_BREAKER_REFUSED_ORDER)
            breaker->probe_at_ms = now_ms;
    } else if (fails_mostly(breaker, now_ms)) {
        stop(breaker, CIRCUIT_BREAKER_FAILING, now_ms);
    }
}

uint32_t circuit_breaker_wait_ms(const struct circuit_breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == CIRCUIT_BREAKER_OPEN || breaker->probing ||
        now_ms >= breaker->probe_at_ms)
        return 0;
    return (uint32_t)(breaker->probe_at_ms - now_ms);
}

const char *circuit_breaker_text(const struct circuit_breaker *breaker)
{
    switch (breaker->state) {
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
