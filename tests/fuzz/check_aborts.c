/* Check's assertions, which the fakes make, for a program that is no test of Check: they abort. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void _mark_point(const char *file, int line)
{
    (void)file;
    (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s %s\n", file, line, expr,
                  msg == NULL ? "" : msg);
    abort();
}
