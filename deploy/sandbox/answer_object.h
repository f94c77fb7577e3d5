/* The objects of the API as JSON. Pure. */
#ifndef DEPLOY_SANDBOX_ANSWER_OBJECT_H
#define DEPLOY_SANDBOX_ANSWER_OBJECT_H

#include <stdint.h>

#include "common/base/buf.h"
#include "deploy/sandbox/record.h"

/* Each appends an object as it is after the record, whatever was answered then. */
void answer_intent(const struct intent *intent, uint32_t salt, struct buf *out);
/* The same with its charge in place of the charge's id. */
void answer_intent_expanded(const struct intent *intent, uint32_t salt, struct buf *out);
void answer_charge(const struct intent *intent, uint32_t salt, struct buf *out);
void answer_refund(const struct record *record, uint32_t salt, struct buf *out);
void answer_dispute(const struct record *record, uint32_t salt, struct buf *out);
void answer_method(const struct record *record, uint32_t salt, struct buf *out);
void answer_customer(const struct record *record, uint32_t salt, struct buf *out);

#endif
