/* The JSON that goes out, shaped like Stripe's. Pure. */
#ifndef DEPLOY_SANDBOX_ANSWER_H
#define DEPLOY_SANDBOX_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "deploy/sandbox/record.h"

struct answer_error {
    unsigned status;
    const char *type;
    const char *code;  /* NULL: none */
    const char *param; /* NULL: none */
    const char *message;
};

/* Appends the answer to what was recorded; returns its HTTP status. */
unsigned answer_record(const struct record *record, uint32_t salt, struct buf *out);
/* Appends an error; `intent` is shown in it unless NULL. */
void answer_error(const struct answer_error *error, const struct intent *intent, uint32_t salt,
                  struct buf *out);
/* Appends the refund of a record, whatever was answered when it was made. */
void answer_refund(const struct record *record, uint32_t salt, struct buf *out);
/* Appends a payment intent. */
void answer_intent(const struct intent *intent, uint32_t salt, struct buf *out);

#endif
