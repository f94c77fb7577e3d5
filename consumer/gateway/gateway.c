#include "consumer/gateway/gateway.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "consumer/gateway/window.h"

#define PUMP_AGAIN_MS 100
#define SLOW_MS 1000        /* a call that takes longer keeps no other one waiting */
#define REFUND_CALLS_MAX 16 /* at once, so that charges have their places */
#define LOOKS_AGAIN_MS 50   /* a look has its turn in a later slot of the window */

struct gateway {
    struct gateway_options o;
    struct fair_queue *queues[GATEWAY_KINDS];
    size_t inflight[GATEWAY_KINDS];
    TAILQ_HEAD(, gateway_call) calls; /* in flight, in the order in which they were made */
    struct gateway_call *young;       /* the first of them that is not slow; NULL: none */
    size_t slow;
    struct window window;
    struct gateway_health health;
    struct loop_timer *again;
    bool stopped; /* `pay` may be freed */
};

static void again_due(void *arg)
{
    gateway_pump(arg);
}

struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL)
        return NULL;
    gateway->o = *options;
    TAILQ_INIT(&gateway->calls);
    window_init(&gateway->window, options->inflight_first, options->inflight_max);
    gateway_health_init(&gateway->health, options->stats, options->stopped, options->stopped_arg);
    gateway->again = loop_timer_new(options->loop, again_due, gateway);
    bool complete = gateway->again != NULL;
    size_t of_one_item = options->inflight_max < 2 ? 1 : options->inflight_max / 2;
    for (int kind = 0; complete && kind < GATEWAY_KINDS; kind++) {
        gateway->queues[kind] = fair_queue_new(of_one_item);
        complete = gateway->queues[kind] != NULL;
    }
    if (complete)
        return gateway;
    gateway_free(gateway);
    return NULL;
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    for (int kind = 0; kind < GATEWAY_KINDS; kind++)
        fair_queue_free(gateway->queues[kind]);
    loop_timer_free(gateway->again);
    free(gateway);
}

struct pay *gateway_pay(const struct gateway *gateway)
{
    return gateway->o.pay;
}

const char *gateway_stopped(const struct gateway *gateway)
{
    return gateway_health_stopped(&gateway->health);
}

int gateway_queue(struct gateway *gateway, struct gateway_call *call, enum gateway_kind kind,
                  const char *sku)
{
    call->kind = kind;
    return fair_queue_push(gateway->queues[kind], &call->entry, sku, call->called_us != 0);
}

void gateway_leave(struct gateway *gateway, struct gateway_call *call)
{
    fair_queue_remove(gateway->queues[call->kind], &call->entry);
}

/* ---- calls in flight ---- */

size_t gateway_inflight(const struct gateway *gateway)
{
    return gateway->stopped ? 0 : pay_inflight(gateway->o.pay);
}

/* Calls that count: a payment that its bank takes long over delays no other one, and says nothing
 * about how many a second the gateway takes. */
static size_t in_window(const struct gateway *gateway)
{
    return gateway_inflight(gateway) - gateway->slow;
}

/* 0: it is. */
static uint64_t slow_in_ms(const struct gateway_call *call)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t slow_ms = call->called_us / 1000 + SLOW_MS;
    return slow_ms > now_ms ? slow_ms - now_ms : 0;
}

static void find_slow(struct gateway *gateway)
{
    while (gateway->young != NULL && slow_in_ms(gateway->young) == 0) {
        gateway->young->slow = true;
        gateway->slow++;
        gateway->young = TAILQ_NEXT(gateway->young, link);
    }
}

/* Calls of this kind go on beside the probes, and are none. */
static bool goes_beside(const struct gateway *gateway, enum gateway_kind kind)
{
    enum circuit_breaker_state state = gateway->health.breaker.state;
    return (kind != GATEWAY_CHARGES && state == CIRCUIT_BREAKER_SUSPECTED) ||
           (kind == GATEWAY_LOOKS && state == CIRCUIT_BREAKER_MISCONFIGURED);
}

void gateway_called(struct gateway *gateway, struct gateway_call *call)
{
    call->called_us = clock_mono_us();
    call->probe =
        !goes_beside(gateway, call->kind) && circuit_breaker_call(&gateway->health.breaker);
    window_called(&gateway->window, call->kind == GATEWAY_LOOKS, call->called_us / 1000);
    fair_queue_take(gateway->queues[call->kind]);
    gateway->inflight[call->kind]++;
    TAILQ_INSERT_TAIL(&gateway->calls, call, link);
    if (gateway->young == NULL)
        gateway->young = call;
}

static void end_call(struct gateway *gateway, struct gateway_call *call)
{
    gateway->inflight[call->kind]--;
    if (gateway->young == call)
        gateway->young = TAILQ_NEXT(call, link);
    TAILQ_REMOVE(&gateway->calls, call, link);
    gateway->slow -= call->slow ? 1 : 0;
    call->slow = false;
    fair_queue_done(gateway->queues[call->kind], &call->entry);
}

static void pace(struct gateway *gateway, const struct gateway_call *call, bool busy)
{
    struct window *window = &gateway->window;
    bool before = window->limited;
    if (busy)
        window_refused(window, call->called_us / 1000, clock_mono_ms());
    else
        window_served(window, in_window(gateway) + 1 /* with this one */, clock_mono_ms());
    if (window->limited && !before)
        log_warning("gateway answers 429 to many calls: making fewer a second",
                    LOG_INT("a_second", window->size));
    else if (before && !window->limited)
        log_info("gateway has not answered 429 for a minute: no limit any more");
}

void gateway_answered(struct gateway *gateway, struct gateway_call *call,
                      const struct pay_answer *answer, const struct circuit_breaker_refusal *who,
                      bool kept)
{
    const struct gateway_heard heard = {.answer = answer,
                                        .who = who,
                                        .refund = call->kind == GATEWAY_REFUNDS,
                                        .kept = kept,
                                        .probe = call->probe};
    end_call(gateway, call);
    call->probe = false;
    pace(gateway, call, answer->outcome == PAY_BUSY);
    gateway_health_hear(&gateway->health, &heard, clock_mono_ms());
}

/* ---- whose turn it is ---- */

static bool window_has_room(const struct gateway *gateway)
{
    return window_lets(&gateway->window, in_window(gateway), clock_mono_ms());
}

bool gateway_may_call(struct gateway *gateway)
{
    bool may = window_has_room(gateway);
    if (may)
        window_called(&gateway->window, false, clock_mono_ms());
    return may;
}

static void pump_in(struct gateway *gateway, uint64_t ms)
{
    loop_timer_start(gateway->again, ms, 0);
}

static void wait_for_window(struct gateway *gateway)
{
    if (gateway->window.limited)
        pump_in(gateway, window_wait_ms(&gateway->window, clock_mono_ms()));
    else if (gateway->young != NULL)
        pump_in(gateway, slow_in_ms(gateway->young));
}

static bool breaker_lets(struct gateway *gateway, enum gateway_kind kind)
{
    const struct circuit_breaker *breaker = &gateway->health.breaker;
    uint64_t now_ms = clock_mono_ms();
    if (goes_beside(gateway, kind) || circuit_breaker_lets(breaker, now_ms))
        return true;
    uint32_t wait_ms = circuit_breaker_wait_ms(breaker, now_ms);
    if (wait_ms > 0) /* else the answer to the probe is waited for */
        pump_in(gateway, wait_ms);
    return false;
}

static bool look_has_share(struct gateway *gateway)
{
    bool others_wait = fair_queue_first(gateway->queues[GATEWAY_CHARGES]) != NULL;
    bool may = window_lets_look(&gateway->window, gateway->inflight[GATEWAY_LOOKS], others_wait,
                                clock_mono_ms());
    if (!may && !others_wait && gateway->window.limited)
        pump_in(gateway, LOOKS_AGAIN_MS);
    return may;
}

static bool has_share(struct gateway *gateway, enum gateway_kind kind)
{
    size_t size = gateway->window.size;
    if (kind == GATEWAY_CHARGES)
        return true; /* the window alone counts */
    if (kind == GATEWAY_LOOKS)
        return look_has_share(gateway);
    size_t most = size < REFUND_CALLS_MAX ? (size + 1) / 2 : REFUND_CALLS_MAX;
    return gateway->inflight[kind] < most;
}

/* Has the first one's call made. False: no further one of this kind can be made now. */
static bool call_first(struct gateway *gateway, enum gateway_kind kind)
{
    struct gateway_call *call = (struct gateway_call *)fair_queue_first(gateway->queues[kind]);
    if (call == NULL)
        return false;
    if (!gateway->o.ready(call, gateway->o.arg))
        return true;
    if (!window_has_room(gateway)) {
        wait_for_window(gateway);
        return false;
    }
    if (!has_share(gateway, kind) || !breaker_lets(gateway, kind))
        return false;
    int code = gateway->o.make(call, gateway->o.arg);
    if (code == 0 || code == ERR_INVALID)
        return true;
    pump_in(gateway, PUMP_AGAIN_MS);
    return false;
}

void gateway_stop(struct gateway *gateway)
{
    gateway->stopped = true;
}

void gateway_pump(struct gateway *gateway)
{
    bool more = true;
    if (gateway->stopped)
        return;
    find_slow(gateway);
    while (more) {
        more = window_look_is_due(&gateway->window) && call_first(gateway, GATEWAY_LOOKS);
        for (int kind = 0; kind < GATEWAY_KINDS; kind++)
            more = call_first(gateway, (enum gateway_kind)kind) || more;
    }
    metric_set(gateway->o.stats->payments_inflight, (double)gateway_inflight(gateway));
}
