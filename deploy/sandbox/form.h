/* Reads application/x-www-form-urlencoded bodies. Pure. */
#ifndef DEPLOY_SANDBOX_FORM_H
#define DEPLOY_SANDBOX_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define FORM_FIELDS_MAX 64

struct form_field {
    const char *name;
    const char *value;
};

struct form {
    struct form_field fields[FORM_FIELDS_MAX];
    size_t count;
};

/*
 * Decodes `text` (NUL behind its `len` bytes) in place; the fields point into it. ERR_PARSE: a
 * broken escape, a NUL, no UTF-8, an empty name, or a repeated one that is no list (name[]);
 * ERR_FULL: too many fields.
 */
MUST_CHECK int form_parse(char *text, size_t len, struct form *ret_form);
/* The first of this name; NULL: absent. */
const char *form_get(const struct form *form, const char *name);
/* If `field` is `prefix`[X], X with its length; else NULL. */
const char *form_member(const struct form_field *field, const char *prefix, size_t *ret_len);
/* The same for the same fields in any order sent to the same `target`; differs otherwise. */
uint64_t form_fingerprint(const struct form *form, const char *target);

#endif
