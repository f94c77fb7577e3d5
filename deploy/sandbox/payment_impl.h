/* What the parts of payments share: payment.c executes, payment_answer.c answers. */
#ifndef DEPLOY_SANDBOX_PAYMENT_IMPL_H
#define DEPLOY_SANDBOX_PAYMENT_IMPL_H

#include "deploy/sandbox/payment.h"

/* ---- payment_life.c ---- */

/* A payment of this request; `go_on` is its next step after a delay. NULL: it has been refused. */
struct payment *payment_take(struct gateway *gateway, struct http_request *request, loop_cb go_on);
/* Goes on in `delay_ms`. */
void payment_delay(struct payment *payment, enum payment_state state, uint32_t delay_ms);
/* It is answered: forgets it. */
void payment_end(struct payment *payment);

/* ---- payment_answer.c ---- */

/* Answers with what was recorded, as its fault wants it. */
void payment_answer(struct payment *payment);
/* Answers with the first result of its key. */
void payment_answer_again(struct payment *payment);
void payment_go_silent(struct payment *payment);
/* Sends `len` raw bytes, and resets the connection. */
void payment_cut(struct payment *payment, const char *raw, size_t len);
/* Refuses it; its key may be used again, */
void payment_refuse_unkept(struct payment *payment, const struct answer_error *error,
                           const struct intent *shown);
/* … or this is the result of its key. */
void payment_refuse_kept(struct payment *payment, const struct answer_error *error,
                         const struct intent *shown);

#endif
