/* What the parts of the gateway share. See the README beside this file for the map. */
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
#include "deploy/sandbox/limit.h"
#include "deploy/sandbox/store.h"
#include "deploy/sandbox/webhook.h"

#define PAYMENT_IDLE_MAX 512 /* ended ones kept for the next */
#define GATEWAY_ROUTES_MAX 32

struct payment;
TAILQ_HEAD(payment_list, payment);
struct change;
TAILQ_HEAD(change_list, change);
struct later;

struct gateway {
    struct loop *loop;
    struct http_server *http;
    struct ledger *ledger;
    struct store *store;
    struct webhooks *webhooks; /* NULL: the shop hears nothing */
    struct later *later;
    struct faults faults;
    const char *secret_key;
    const char *version;      /* of the API, where a request names none */
    struct payment_list open; /* begun and not answered */
    struct payment_list idle;
    size_t idle_count;
    struct change_list changes; /* begun and not durable */
    struct limit limits[GATEWAY_ROUTES_MAX];
    struct limit limit_all;
    uint64_t requests; /* for payments, since the start */
    uint64_t looks;    /* requests to read one payment */
    uint64_t limited;  /* refused by a limit */
    uint64_t answered; /* names the next answer */
    bool tls;
    const char *bank_url; /* NULL: where requests come to */
    uint64_t replays;
    struct buf out; /* the answer that is being written */
    bool draining;
    loop_cb drained; /* NULL: it was called */
    void *drained_arg;
    loop_cb broken;
    void *broken_arg;
};

/* ---- answers (respond.c) ---- */

/* Answers with JSON and the headers that each answer has; `header` may be NULL. */
void gateway_respond(struct gateway *gateway, struct http_request *request, unsigned status,
                     const struct buf *body, const struct http_header *header);
/* Answers with an error, which shows `intent` unless NULL; `kept`: it is the result of its key. */
void gateway_refuse(struct gateway *gateway, struct http_request *request,
                    const struct answer_error *error, const struct intent *intent, bool kept);
/* Answers with an error about a record of the ledger, an id, a number. */
void gateway_refuse_unreadable(struct gateway *gateway, struct http_request *request);
void gateway_refuse_missing(struct gateway *gateway, struct http_request *request,
                            const char *param);
void gateway_refuse_parameter(struct gateway *gateway, struct http_request *request,
                              const char *param);
/* The version of the API that the request names, or the account's. */
const char *gateway_version(const struct gateway *gateway, struct http_request *request);

/* ---- routes (route.c) ---- */

/* An http_handler; `arg` is the gateway. */
void gateway_handle(struct http_request *request, void *arg);

/* ---- reading (read.c); `id` is what stands in the path, NULL or "" where there is none ---- */

void read_intents(struct gateway *gateway, struct http_request *request, const char *id);
void read_intent(struct gateway *gateway, struct http_request *request, const char *id);
void read_charge(struct gateway *gateway, struct http_request *request, const char *id);
void read_refunds(struct gateway *gateway, struct http_request *request, const char *id);
void read_refund(struct gateway *gateway, struct http_request *request, const char *id);
void read_disputes(struct gateway *gateway, struct http_request *request, const char *id);
void read_dispute(struct gateway *gateway, struct http_request *request, const char *id);
void read_method(struct gateway *gateway, struct http_request *request, const char *id);
void read_customer(struct gateway *gateway, struct http_request *request, const char *id);

/* ---- changing: they answer, sooner or later ---- */

void charge_create(struct gateway *gateway, struct http_request *request, const char *id);
void charge_confirm(struct gateway *gateway, struct http_request *request, const char *id);
void intent_cancel(struct gateway *gateway, struct http_request *request, const char *id);
void intent_capture(struct gateway *gateway, struct http_request *request, const char *id);
/* The buyer's part, POST /3ds/{id} with outcome=approve or decline: as at the bank's page. */
void intent_authenticate(struct gateway *gateway, struct http_request *request, const char *id);
void refund_create(struct gateway *gateway, struct http_request *request, const char *id);
void method_create(struct gateway *gateway, struct http_request *request, const char *id);
void method_attach(struct gateway *gateway, struct http_request *request, const char *id);
void method_detach(struct gateway *gateway, struct http_request *request, const char *id);
void customer_create(struct gateway *gateway, struct http_request *request, const char *id);

/* ---- the test's side ---- */

void control_show(struct gateway *gateway, struct http_request *request);
void control_set(struct gateway *gateway, struct http_request *request);
/* The page of the test bank. */
void bank_show(struct gateway *gateway, struct http_request *request, const char *id);

/* ---- payments (payment.c, payment_life.c) ---- */

/* Those that wait for their latency are answered now. */
void payment_hurry(struct gateway *gateway);
/* Ends those that wait on purpose; gateway_tell_drained when none is open. */
void payment_drain(struct gateway *gateway);
/* Frees all, answered or not. */
void payment_free_all(struct gateway *gateway);

/* ---- draining (drain.c) ---- */

/* Calls `drained` if the gateway drains and nothing is open. */
void gateway_tell_drained(struct gateway *gateway);

#endif
