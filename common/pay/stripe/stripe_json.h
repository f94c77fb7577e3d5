/* What all answers of Stripe's API are made of: objects with members, and pages of a list. Pure. */
#ifndef COMMON_PAY_STRIPE_STRIPE_JSON_H
#define COMMON_PAY_STRIPE_STRIPE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

/* Whether this may stand in a URL as the id of an object. */
bool stripe_id_valid(const char *id);
/* The member, if it is a string; else NULL. Valid as long as the object. */
const char *stripe_string(const json_t *object, const char *name);
bool stripe_string_is(const json_t *object, const char *name, const char *text);

/* 0 for 200; ERR_AUTH (401, 403), ERR_UNAVAILABLE (429, 5xx), ERR_REFUSED (all others). */
MUST_CHECK int stripe_page_status(unsigned status);
/* The items of a page, in `root`; NULL: it is none, or has more of them than `limit`. */
json_t *stripe_page_items(const json_t *root, size_t limit, bool *ret_has_more);

#endif
