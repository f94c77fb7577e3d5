/* What the two halves of payments share: payment.c executes, payment_answer.c answers. */
#ifndef DEPLOY_SANDBOX_PAYMENT_IMPL_H
#define DEPLOY_SANDBOX_PAYMENT_IMPL_H

#include "deploy/sandbox/payment.h"

/* It is answered: forgets it. */
void payment_end(struct payment *payment);
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
