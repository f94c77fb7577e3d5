/*
 * A loop and a clock of the test's own, in place of common/base/loop.c and clock.c: time stands
 * still until the test moves it, and timers fire in the order in which they are due.
 */
#ifndef TESTS_FAKE_LOOP_H
#define TESTS_FAKE_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"

/* Sets the clock to its first instant, of both kinds. Call it first in a test's setup. */
void fake_loop_reset(void);
/* Moves the clock on by `ms`, and fires what falls due on the way, each at its own instant; then
 * runs the hooks once. 0: only what is due now. */
void fake_loop_run(uint64_t ms);
/* Moves the clock without firing anything: the process stood still. */
void fake_loop_freeze(uint64_t ms);
/* Timers that are running, and all that were made and not freed. */
size_t fake_loop_running(void);
size_t fake_loop_timers(void);

#endif
