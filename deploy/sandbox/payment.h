/*
 * A request that changes something, from its form to its durable record and its answer:
 *
 *   key and form checked -> (half the delay) -> executed: objects checked, recorded -> durable ->
 *   (the rest of the delay) -> answered
 *
 * What is refused before it is executed leaves its key unused; what is refused in its execution may
 * be kept as the result of the key, by setting.
 */
#ifndef DEPLOY_SANDBOX_PAYMENT_H
#define DEPLOY_SANDBOX_PAYMENT_H

#include "deploy/sandbox/card.h"
#include "deploy/sandbox/form.h"
#include "deploy/sandbox/gateway_impl.h"
#include "deploy/sandbox/request.h"

enum payment_state {
    PAYMENT_DELAYED,   /* not executed yet */
    PAYMENT_RECORDING, /* until the ledger is synced */
    PAYMENT_HELD,      /* executed; its answer comes later */
    PAYMENT_REPLAYED,  /* was executed before; its answer comes later */
    PAYMENT_SILENT,    /* never to be answered */
};

/* Checks objects, fills in `record` and calls payment_append, or one of the refusals. */
typedef void (*payment_execute)(struct payment *payment);

struct payment {
    struct gateway *gateway;
    TAILQ_ENTRY(payment) link;
    struct http_request *request;
    enum payment_state state;
    payment_execute execute;
    struct buf text; /* the decoded form */
    struct form form;
    struct buf metadata;
    struct buf bank;
    char id[2 * RECORD_ID_SIZE]; /* in the path */
    struct request_charge charge;
    struct record record;   /* its texts are in the request, `text`, `metadata` and `base` */
    struct record base;     /* the last record of what is changed */
    struct card card;       /* of a charge; name NULL: none */
    int64_t method_created; /* when its payment method was */
    struct ledger_place place;
    struct ledger_wait wait;
    enum fault fault;
    uint32_t delay_ms;
    struct loop_timer *timer;
    loop_cb go_on; /* the next step, when the timer is due */
};

/* Takes a request for /…/{id}/…, reads its form and looks its key up. NULL: it is answered, or
 * will be. */
struct payment *payment_begin(struct gateway *gateway, struct http_request *request, const char *id,
                              payment_execute execute);
/* Executes it, after half of its delay and as `fault` wants it. */
void payment_run(struct payment *payment, enum fault fault);
/* Records it, and answers when that is durable. ERR_FULL: too much waits already; undo what memory
 * holds of it, and refuse it. */
MUST_CHECK int payment_append(struct payment *payment);

/* Answers with an error; its key may be used again. The form alone is wrong: */
void payment_refuse_form(struct payment *payment, const struct answer_error *error);
/* … or what it asks for, which may be kept as the result of its key. `shown` may be NULL. */
void payment_refuse(struct payment *payment, const struct answer_error *error,
                    const struct intent *shown);
/* … by status 400 or `status`. */
void payment_refuse_because(struct payment *payment, unsigned status, const char *code,
                            const char *param, const char *message);
void payment_refuse_busy(struct payment *payment);
void payment_refuse_unavailable(struct payment *payment);
void payment_refuse_unreadable(struct payment *payment);

/* Reads the last record of the intent with this id into `base` and what it says into `record`; its
 * method and customer stay. NULL: it has been refused, with `missing_status` if there is none. */
struct store_intent *payment_read_intent(struct payment *payment, const char *id, const char *param,
                                         unsigned missing_status);

#endif
