/*
 * The origins of web pages and apps that may call us (CHECKOUT_ORIGINS), for the API and for the
 * websockets alike. It brings both sides of a comparison to the form that browsers send: lower
 * case, without the scheme's usual port. Pure.
 */
#ifndef COMMON_SHOP_ORIGINS_H
#define COMMON_SHOP_ORIGINS_H

#include <stdbool.h>

#include "common/base/attrs.h"

struct origins;

/*
 * Reads a list, separated by commas, of scheme://host[:port] with any scheme (apps send
 * capacitor://localhost) or "*", which is every one; "": none. 0, ERR_NOMEM, or ERR_PARSE with a
 * static text in `ret_problem`.
 */
MUST_CHECK int origins_new(const char *list, struct origins **ret_origins,
                           const char **ret_problem);
void origins_free(struct origins *origins); /* NULL is allowed */

/* `origin`: the request's header; no list allows NULL (absent). */
bool origins_allow(const struct origins *origins, const char *origin);

#endif
