/* Compiler attributes used throughout. */
#ifndef COMMON_BASE_ATTRS_H
#define COMMON_BASE_ATTRS_H

/* Ignoring the result is a warning. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* Format string at argument F, its values from argument A on. */
#define PRINTF_LIKE(F, A) __attribute__((format(printf, F, A)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
