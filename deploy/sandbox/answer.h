/* The JSON that goes out, shaped like Stripe's. Pure. */
#ifndef DEPLOY_SANDBOX_ANSWER_H
#define DEPLOY_SANDBOX_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "deploy/sandbox/record.h"

/* Appends the answer to what was recorded; returns its HTTP status. */
unsigned answer_record(const struct record *record, uint32_t salt, struct buf *out);
/* Appends an error; `intent` is shown in it unless NULL. */
void answer_refusal(const struct answer_error *error, const struct intent *intent, uint32_t salt,
                    struct buf *out);

#endif
