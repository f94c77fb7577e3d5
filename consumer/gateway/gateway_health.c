#include "consumer/gateway/gateway_health.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/strmap.h"

void gateway_health_init(struct gateway_health *health, const struct stats *stats,
                         gateway_stopped_cb stopped, void *arg)
{
    *health = (struct gateway_health){.stats = stats, .stopped = stopped, .arg = arg};
}

const char *gateway_health_stopped(const struct gateway_health *health)
{
    return health->why[0] == '\0' ? NULL : health->why;
}

/* ---- what an answer tells ---- */

static enum circuit_breaker_news news_of_charge(const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_REFUSED:
        return answer->replayed ? CIRCUIT_BREAKER_OLD : CIRCUIT_BREAKER_REFUSED_ORDER;
    case PAY_UNAUTHORIZED:
    case PAY_FORBIDDEN:
        return answer->replayed ? CIRCUIT_BREAKER_OLD : CIRCUIT_BREAKER_REFUSED_US;
    case PAY_KEY_USED:
        return CIRCUIT_BREAKER_OLD;
    case PAY_BUSY:
        return CIRCUIT_BREAKER_NOTHING;
    case PAY_ERROR:
    case PAY_UNKNOWN:
        return CIRCUIT_BREAKER_FAILED;
    case PAY_SUCCEEDED:
    case PAY_DECLINED:
    case PAY_CANCELLED:
    case PAY_ACTION:
    case PAY_PENDING:
    case PAY_OTHER_SUM:
    case PAY_REFUSED_NOW:
    case PAY_FAILED:
    case PAY_ALREADY:
    case PAY_NOT_FOUND:
    case PAY_OUTCOMES:
        break;
    }
    return CIRCUIT_BREAKER_DEFINITE;
}

/* A look or a cancel is about a payment of long ago. */
static enum circuit_breaker_news news_of_look(const struct pay_answer *answer)
{
    if (answer->outcome == PAY_UNAUTHORIZED || answer->outcome == PAY_FORBIDDEN ||
        answer->outcome == PAY_REFUSED)
        return CIRCUIT_BREAKER_NOTHING;
    enum circuit_breaker_news news = news_of_charge(answer);
    return news == CIRCUIT_BREAKER_DEFINITE ? CIRCUIT_BREAKER_ANSWERS : news;
}

/* Nothing that a refund is answered stops charges. As a probe it shows that the gateway answers,
 * but not that it would charge an order. */
static enum circuit_breaker_news news_of_refund(const struct circuit_breaker *breaker,
                                                const struct pay_answer *answer)
{
    bool answers = answer->outcome != PAY_UNAUTHORIZED && answer->outcome != PAY_FORBIDDEN &&
                   answer->outcome != PAY_BUSY && answer->outcome != PAY_ERROR &&
                   answer->outcome != PAY_UNKNOWN;
    bool orders_refused = breaker->refused == CIRCUIT_BREAKER_ALIKE;
    return answers && !orders_refused && breaker->state != CIRCUIT_BREAKER_OPEN
               ? CIRCUIT_BREAKER_DEFINITE
               : CIRCUIT_BREAKER_NOTHING;
}

static uint64_t how_refused(const struct pay_answer *answer)
{
    uint64_t code = strmap_hash(answer->code, strlen(answer->code));
    uint64_t param = strmap_hash(answer->param, strlen(answer->param));
    return code * 31 + param * 37 + answer->http_status;
}

/* ---- who hears of it ---- */

/* "failing: connection_refused". Returns whether that is another text than it was. */
static bool name_stop(struct gateway_health *health, const struct pay_answer *answer)
{
    char why[sizeof health->why] = "";
    const char *word = circuit_breaker_text(&health->breaker);
    if (word != NULL)
        (void)snprintf(why, sizeof why, "%s: %s", word,
                       answer->code[0] == '\0' ? pay_outcome_text(answer->outcome) : answer->code);
    if (strcmp(why, health->why) == 0)
        return false;
    memcpy(health->why, why, sizeof why);
    return true;
}

static void report(const struct gateway_health *health, const struct pay_answer *answer)
{
    const char *why = gateway_health_stopped(health);
    bool misconfigured = health->breaker.state == CIRCUIT_BREAKER_MISCONFIGURED;
    metric_set(health->stats->payments_stopped, why != NULL);
    metric_set(health->stats->payments_misconfigured, misconfigured);
    if (misconfigured && answer->http_status != 401 && answer->http_status != 403)
        log_error(
            "payments are stopped: gateway refuses orders of different customers alike; sending "
            "one at a time; check items and CHECKOUT_GATEWAY_*",
            LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code),
            LOG_STR("param", answer->param));
    else if (misconfigured)
        log_error("payments are stopped: gateway refuses our key; check CHECKOUT_GATEWAY_*; orders "
                  "wait and are not rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else if (why != NULL)
        log_error("payments are stopped: gateway fails mostly; orders wait and are not rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else
        log_info("payments go on: gateway serves us again");
    health->stopped(why, health->arg);
}

void gateway_health_hear(struct gateway_health *health, const struct gateway_heard *heard,
                         uint64_t now_ms)
{
    struct circuit_breaker *breaker = &health->breaker;
    const struct pay_answer *answer = heard->answer;
    const char *before = circuit_breaker_text(breaker);
    enum circuit_breaker_news news = heard->refund        ? news_of_refund(breaker, answer)
                                     : heard->who == NULL ? news_of_look(answer)
                                                          : news_of_charge(answer);
    if (heard->kept)
        news = CIRCUIT_BREAKER_OLD;
    struct circuit_breaker_refusal refusal = {0};
    if (heard->who != NULL)
        refusal = *heard->who;
    refusal.how = how_refused(answer);
    if ((heard->refund || heard->who == NULL) && answer->outcome == PAY_UNAUTHORIZED)
        circuit_breaker_suspect(breaker, now_ms);
    circuit_breaker_answer(breaker, news, &refusal, heard->probe, now_ms);
    bool changed = before != circuit_breaker_text(breaker);
    bool probed = heard->probe && news != CIRCUIT_BREAKER_NOTHING && news != CIRCUIT_BREAKER_OLD;
    if ((changed || (probed && before != NULL)) && name_stop(health, answer))
        report(health, answer);
}
