/* What the parts of the gateway share: gateway.c routes and reads, payment.c writes. */
#ifndef DEPLOY_SANDBOX_GATEWAY_IMPL_H
#define DEPLOY_SANDBOX_GATEWAY_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/net/http/http.h"
#include "deploy/sandbox/answer.h"
#include "deploy/sandbox/fault.h"
#include "deploy/sandbox/gateway.h"
#include "deploy/sandbox/ledger.h"
#include "deploy/sandbox/store.h"
#include "deploy/sandbox/webhook.h"

#define PAYMENT_IDLE_MAX 512 /* ended ones kept for the next */

struct payment;
TAILQ_HEAD(payment_list, payment);

struct gateway {
    struct loop *loop;
    struct http_server *http;
    struct ledger *ledger;
    struct store *store;
    struct webhooks *webhooks; /* NULL: nobody is told */
    struct faults faults;
    const char *secret_key;
    struct payment_list open; /* begun and not answered */
    struct payment_list idle;
    size_t idle_count;
    uint64_t requests; /* for payments, since the start */
    bool tls;
    uint64_t replays;
    struct buf out; /* the answer that is being written */
    bool draining;
    loop_cb drained; /* NULL: it was called */
    void *drained_arg;
    loop_cb broken;
    void *broken_arg;
};

/* Answers with JSON; `header` may be NULL. */
void gateway_respond(struct http_request *request, unsigned status, const struct buf *body,
                     const struct http_header *header);
/* Answers with an error, which shows `intent` unless NULL. */
void gateway_refuse(struct gateway *gateway, struct http_request *request,
                    const struct answer_error *error, const struct intent *intent);

/* Answers with an error about a record of the ledger, an id, a number. */
void gateway_refuse_unreadable(struct gateway *gateway, struct http_request *request);
void gateway_refuse_missing(struct gateway *gateway, struct http_request *request,
                            const char *param);
void gateway_refuse_parameter(struct gateway *gateway, struct http_request *request,
                              const char *param);
/* A query argument; `fallback` if it is absent; -1 if it is no number. */
int64_t gateway_query_number(struct http_request *request, const char *name, int64_t fallback);

/* POST /v1/payment_intents, …/{id}/cancel, /v1/refunds. They answer, sooner or later. */
void payment_charge(struct gateway *gateway, struct http_request *request);
void payment_cancel(struct gateway *gateway, struct http_request *request, const char *id);
/* The buyer's part, POST /3ds/{id} with outcome=approve or decline: as at the bank's page. */
void payment_authenticate(struct gateway *gateway, struct http_request *request, const char *id);
void payment_refund(struct gateway *gateway, struct http_request *request);
/* Ends those that wait on purpose; calls `drained` when none is open. */
void payment_drain(struct gateway *gateway);
/* Frees all, answered or not. */
void payment_free_all(struct gateway *gateway);

#endif
