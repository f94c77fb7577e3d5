/*
 * Memory that runs out at a chosen allocation. It counts allocations of our own code and its calls
 * of OpenSSL (by the linker's --wrap, see tests/unit/CMakeLists.txt), and those of jansson after
 * fake_memory_open.
 */
#ifndef TESTS_FAKE_FAKE_MEMORY_H
#define TESTS_FAKE_FAKE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void fake_memory_open(void);
/* The allocation number `nth` from now on fails, once; 0: none does. */
void fake_memory_fail(size_t nth);
/* Whether it has failed since. */
bool fake_memory_failed(void);

/* Does its work and returns 0, or the error that it met. It frees all in any case. */
typedef int (*fake_memory_scenario)(void);
/* Runs it with memory that fails at its first allocation, its second, and so on until none fails;
 * an error other than ERR_NOMEM, or one without a failure, fails the test. Returns the allocations.
 */
size_t fake_memory_run(fake_memory_scenario scenario);
/* As ck_assert in a scenario: Check itself needs memory. */
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            fake_memory_broken = #what;                                                            \
    } while (0)
extern const char *fake_memory_broken;

#endif
