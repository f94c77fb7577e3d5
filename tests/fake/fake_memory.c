#include "tests/fake/fake_memory.h"

#include <check.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define FAILURES_MAX 10000

const char *fake_memory_broken;

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

/* OpenSSL's calls that may find no memory. */
#define WRAP(type, name, without, parameters, arguments)                                           \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? (without) : __real_##name arguments;                                      \
    }

WRAP(EVP_MAC *, EVP_MAC_fetch, NULL, (OSSL_LIB_CTX * c, const char *n, const char *p), (c, n, p))
WRAP(EVP_MAC_CTX *, EVP_MAC_CTX_new, NULL, (EVP_MAC * m), (m))
WRAP(int, EVP_MAC_init, 0,
     (EVP_MAC_CTX * c, const unsigned char *k, size_t n, const OSSL_PARAM p[]), (c, k, n, p))
WRAP(int, EVP_MAC_update, 0, (EVP_MAC_CTX * c, const unsigned char *d, size_t n), (c, d, n))
WRAP(int, EVP_MAC_final, 0, (EVP_MAC_CTX * c, unsigned char *o, size_t *l, size_t n), (c, o, l, n))
WRAP(EVP_MD *, EVP_MD_fetch, NULL, (OSSL_LIB_CTX * c, const char *n, const char *p), (c, n, p))
WRAP(EVP_MD_CTX *, EVP_MD_CTX_new, NULL, (void), ())
WRAP(int, EVP_DigestInit_ex2, 0, (EVP_MD_CTX * c, const EVP_MD *m, const OSSL_PARAM p[]), (c, m, p))
WRAP(int, EVP_DigestUpdate, 0, (EVP_MD_CTX * c, const void *d, size_t n), (c, d, n))
WRAP(int, EVP_DigestFinal_ex, 0, (EVP_MD_CTX * c, unsigned char *o, unsigned *l), (c, o, l))
WRAP(int, EVP_Q_digest, 0,
     (OSSL_LIB_CTX * c, const char *n, const char *p, const void *d, size_t len, unsigned char *o,
      size_t *l),
     (c, n, p, d, len, o, l))
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

size_t fake_memory_run(fake_memory_scenario scenario)
{
    size_t nth = 0;
    bool ran_out;
    do {
        ck_assert_uint_lt(++nth, FAILURES_MAX);
        fake_memory_fail(nth);
        int code = scenario();
        ran_out = failed;
        fake_memory_fail(0);
        ck_assert_msg(fake_memory_broken == NULL, "allocation %zu: not %s", nth,
                      fake_memory_broken);
        ck_assert_msg(code == 0 || (ran_out && code == ERR_NOMEM), "allocation %zu: %d", nth, code);
    } while (ran_out);
    ck_assert_int_eq(scenario(), 0); /* and afterwards it works */
    return nth - 1;
}
