#include "tests/fake/fake_memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static size_t left; /* allocations until the one that fails, which counts; 0: none does */
static bool failed;

/* Names that the linker gives. NOLINTBEGIN(bugprone-reserved-identifier,cert-*) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static bool fails(void)
{
    if (left == 0 || --left > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails() ? NULL : __real_strndup(text, len);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

void fake_memory_open(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
}

void fake_memory_fail(size_t nth)
{
    left = nth;
    failed = false;
}

bool fake_memory_failed(void)
{
    return failed;
}
