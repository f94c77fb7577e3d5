/* The text of one job of a message that is not JSON as a whole, or not strict JSON. */
#ifndef COMMON_SHOP_JOB_TEXT_H
#define COMMON_SHOP_JOB_TEXT_H

#include <jansson.h>
#include <stddef.h>

#define JOB_TEXT_STRICT (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/*
 * Reads a job however flawed its text is, so that an order whose id verifies can be rejected under
 * it: a member that is there twice counts once, a number that no parser can hold is -1, and what no
 * string may hold is '?'. The caller owns the value. `ret_flaw`: a static text, NULL if there is no
 * flaw. NULL: no JSON even so.
 */
json_t *job_text_load(const char *text, size_t len, const char **ret_flaw);

#endif
