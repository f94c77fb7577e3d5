/* What the fuzz targets share: assertions that stay in every build, and copies that end where they
 * should, so that the sanitizer sees a read behind them. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds, const char *what, int line)
{
    if (!holds) {
        (void)fprintf(stderr, "does not hold, line %d: %s\n", line, what);
        abort();
    }
}

#define MUST(condition) must((condition), #condition, __LINE__)

/* A copy of exactly `len` bytes; the caller frees it. */
static inline char *exact(const void *data, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

/* A copy up to its first NUL, with one behind it; the caller frees it. */
static inline char *text_of(const void *data, size_t len)
{
    char *copy = strndup(data, len);
    MUST(copy != NULL);
    return copy;
}

/* Takes the next line (without its end) off *data; "" at the end. The caller frees it. */
static inline char *next_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
    size_t len = end == NULL ? *size : (size_t)(end - *data);
    char *line = len == 0 ? text_of("", 0) : text_of(*data, len);
    size_t taken = end == NULL ? len : len + 1;
    *data += taken;
    *size -= taken;
    return line;
}

#endif
