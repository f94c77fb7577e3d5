/* How members of the JSON are written. Pure. */
#ifndef DEPLOY_SANDBOX_ANSWER_MEMBER_H
#define DEPLOY_SANDBOX_ANSWER_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/record.h"

/* `name` with its comma and colon; a text or null. */
void answer_member(struct buf *out, const char *name, const char *text);
void answer_number(struct buf *out, const char *name, int64_t value);
/* A text that needs no escaping. */
void answer_plain(struct buf *out, const char *name, const char *text);
/* An id, or null for RECORD_NONE. */
void answer_id(struct buf *out, const char *name, const char *prefix, uint32_t salt,
               uint64_t number);
void answer_flag(struct buf *out, const char *name, bool set);
/* "{" and the members of a decline, without the closing brace. */
void answer_decline_members(const struct card *card, struct buf *out);
/* Whether the intent's payment method was refused; then `ret_card` tells why. */
bool answer_is_declined(const struct intent *intent, struct card *ret_card);

#endif
