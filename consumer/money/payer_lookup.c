/* What the gateway knows of payments that asking again cannot clear up: one pass through its list
 * serves all of them. */
#include "consumer/money/payer_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define PASS_FIRST_MS 300 /* between two passes; so what becomes unclear meanwhile gathers */
#define PASS_MAX_MS 30000
#define SKEW_S 3600 /* the gateway's clock may differ from the database's */

static void pass_due(void *arg);

static void page_read(const struct pay_intent *intents, size_t count, void *arg);
static void list_read(int code, void *arg);

int payer_lookup_init(struct payer *payer)
{
    struct payer_lookup *lookup = &payer->lookup;
    const struct pager_options options = {.loop = payer->o.loop,
                                          .pay = payer->o.pay,
                                          .page = page_read,
                                          .end = list_read,
                                          .arg = payer};
    lookup->timer = loop_timer_new(payer->o.loop, pass_due, payer);
    lookup->pager = pager_new(&options);
    backoff_init(&lookup->backoff, PASS_FIRST_MS, PASS_MAX_MS, clock_mono_us());
    return lookup->timer == NULL || lookup->pager == NULL ? ERR_NOMEM : 0;
}

void payer_lookup_free(struct payer *payer)
{
    pager_free(payer->lookup.pager);
    loop_timer_free(payer->lookup.timer);
}

void payer_look_up(struct payment *p, const char *code)
{
    struct payer_lookup *lookup = &p->payer->lookup;
    p->state = PAYMENT_UNCLEAR;
    p->in_lookup = false;
    log_warning("asking again cannot tell what became of a payment; looking it up",
                LOG_STR("order_id", p->order_id), LOG_STR("code", code));
    payer_note(p, code);
    if (!lookup->running && !lookup->wanted)
        loop_timer_start(lookup->timer, backoff_next(&lookup->backoff), 0);
    lookup->wanted = true;
}

/* ---- what is found ---- */

static enum payment_found found_in(const struct pay_intent *intent, const struct payment *p)
{
    if (strcmp(intent->status, "canceled") == 0)
        return FOUND_CANCELLED;
    bool ours = intent->amount == p->amount && strcasecmp(intent->currency, p->currency) == 0;
    if (strcmp(intent->status, "succeeded") == 0)
        return ours ? FOUND_SUCCEEDED : FOUND_OTHER;
    return ours && strcmp(intent->status, "requires_action") == 0 ? FOUND_ACTS : FOUND_OPEN;
}

static void take_intent(struct payer *payer, const struct pay_intent *intent)
{
    if (intent->order_id == NULL)
        return;
    struct payment *p = NULL;
    while ((p = payer_next_of_order(payer, intent->order_id, p)) != NULL) {
        enum payment_found found = found_in(intent, p);
        if (!p->in_lookup || found <= p->found)
            continue;
        p->found = found;
        (void)snprintf(p->intent_id, sizeof p->intent_id, "%s", intent->id);
    }
}

/* The state that was found counts. True: it is to be looked up again. */
static bool conclude(struct payment *p)
{
    p->in_lookup = false;
    bool given_up = p->resolution == RESOLVED_NOT_CAPTURED;
    switch (p->found) {
    case FOUND_SUCCEEDED:
        payer_end(p, "captured", p->intent_id, "");
        return false;
    case FOUND_CANCELLED:
        payer_end(p, "declined", p->intent_id, "canceled");
        return false;
    case FOUND_ACTS:
    case FOUND_OPEN:
        if (p->found == FOUND_ACTS && !given_up)
            payer_find_action(p);
        else
            payer_cancel_intent(p);
        return false;
    case FOUND_OTHER:
        log_error("the gateway has charged an order for another amount; a person must look at it",
                  LOG_STR("order_id", p->order_id), LOG_STR("intent", p->intent_id));
        if (given_up)
            payer_end(p, "failed", "", "resolved");
        else
            payer_note(p, "other_amount");
        return !given_up;
    case FOUND_NONE:
        if (given_up) {
            payer_end(p, "failed", "", "resolved");
            return false;
        }
        log_info("the gateway knows of no payment for the order; another attempt may be made",
                 LOG_STR("order_id", p->order_id), LOG_INT("attempt", p->attempt));
        payer_end(p, "superseded", "", "not_found");
        return false;
    }
    return false;
}

/* ---- the pass ---- */

/* Calls `each` for the unclear ones; it may forget what it is given. */
static void for_unclear(struct payer *payer,
                        void (*each)(struct payment *p, struct payer_lookup *l))
{
    for (size_t i = 0; i < PAYER_BUCKETS; i++) {
        for (struct payment *p = payer->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (p->state == PAYMENT_UNCLEAR)
                each(p, &payer->lookup);
        }
    }
}

static void enter(struct payment *p, struct payer_lookup *lookup)
{
    int64_t age_s = (int64_t)((clock_mono_ms() - p->born_ms) / 1000);
    int64_t from_s = clock_wall_ms() / 1000 - age_s - SKEW_S;
    p->in_lookup = true;
    p->found = FOUND_NONE;
    memset(p->intent_id, 0, sizeof p->intent_id);
    if (lookup->from_s == 0 || from_s < lookup->from_s)
        lookup->from_s = from_s;
}

static void leave(struct payment *p, struct payer_lookup *lookup)
{
    if (p->in_lookup && conclude(p))
        lookup->wanted = true;
}

static void abandon(struct payment *p, struct payer_lookup *lookup)
{
    p->in_lookup = false;
    lookup->wanted = true;
}

static void end_pass(struct payer *payer)
{
    struct payer_lookup *lookup = &payer->lookup;
    lookup->running = false;
    if (lookup->wanted)
        loop_timer_start(lookup->timer, backoff_next(&lookup->backoff), 0);
}

static void fail(struct payer *payer, const char *why)
{
    log_warning("the gateway's list could not be read to its end; trying again",
                LOG_STR("problem", why));
    for_unclear(payer, abandon);
    end_pass(payer);
}

static void page_read(const struct pay_intent *intents, size_t count, void *arg)
{
    for (size_t i = 0; i < count; i++)
        take_intent(arg, &intents[i]);
    payer_pump(arg); /* a place at the gateway is free */
}

static void list_read(int code, void *arg)
{
    struct payer *payer = arg;
    if (code < 0) {
        fail(payer, err_text(code));
    } else {
        backoff_reset(&payer->lookup.backoff);
        for_unclear(payer, leave);
        end_pass(payer);
    }
    payer_pump(payer);
}

static void pass_due(void *arg)
{
    struct payer *payer = arg;
    struct payer_lookup *lookup = &payer->lookup;
    lookup->running = true;
    lookup->wanted = false;
    lookup->from_s = 0;
    for_unclear(payer, enter);
    if (lookup->from_s == 0)
        end_pass(payer); /* their shards have gone meanwhile */
    else
        pager_start(lookup->pager, lookup->from_s);
}
