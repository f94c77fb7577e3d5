/*
 * Templates of mails: text with {{name}} where a value goes, and {{#name}} … {{/name}} around what
 * is left out where the value is empty. What a value may not say is escaped by where it stands.
 * Pure.
 */
#ifndef NOTIFIER_MAIL_TEMPLATE_H
#define NOTIFIER_MAIL_TEMPLATE_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

enum template_context {
    TEMPLATE_LINES, /* plain text: a value is one line */
    TEMPLATE_HTML,  /* between tags, or in an attribute in quotes */
};

struct template_value {
    const char *name; /* NULL ends a list of them */
    const char *text; /* NULL: empty */
};

#define TEMPLATE_PROBLEM_SIZE 160

/* 0, or ERR_PARSE: a field is not closed, a name is none of `values`, an end has no beginning. */
MUST_CHECK int template_check(const char *text, const struct template_value *values,
                              char ret_problem[TEMPLATE_PROBLEM_SIZE]);
/* Appends the text with the values. It must have passed template_check with the same names. */
int template_render(const char *text, enum template_context context,
                    const struct template_value *values, struct buf *out);

#endif
