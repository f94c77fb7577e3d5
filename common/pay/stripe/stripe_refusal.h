/* What any call may be answered instead of its object; and how an answer is filled in. Pure. */
#ifndef COMMON_PAY_STRIPE_STRIPE_REFUSAL_H
#define COMMON_PAY_STRIPE_STRIPE_REFUSAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/pay/pay.h"

/* Begins an answer. The body's object, or NULL; json_decref frees it. */
json_t *stripe_parse(unsigned status, const char *body, size_t len, struct pay_answer *answer);

/* The code is for people: shown only if it looks like one. NULL: none. */
void stripe_set(struct pay_answer *answer, enum pay_outcome outcome, const char *code);
/* The object's id, if it is one. */
void stripe_set_id(struct pay_answer *answer, const json_t *object);
/* The object is not the one that was asked for; `wrong` is the code. */
void stripe_set_foreign(struct pay_answer *answer, const char *wrong);
/* Refused for `error`, which says what the buyer can do. */
void stripe_set_refused(struct pay_answer *answer, enum pay_outcome outcome, const json_t *error,
                        unsigned status);

/* The most exact code of an error; NULL: none. */
const char *stripe_error_code(const json_t *error);
/* False: the API itself refuses this very request, and why is still to be read. */
bool stripe_read_status(unsigned status, const json_t *error, struct pay_answer *answer);

#endif
