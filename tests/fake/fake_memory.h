/*
 * Memory that runs out at a chosen allocation. Allocations of our own code are counted (the
 * linker's
 * --wrap, see tests/unit/CMakeLists.txt), those of jansson too after fake_memory_open.
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

#endif
