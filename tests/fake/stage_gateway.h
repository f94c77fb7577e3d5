/*
 * A scripted gateway on a loop of its own, with figures: what tests of the money's parts begin
 * with.
 */
#ifndef TESTS_FAKE_STAGE_GATEWAY_H
#define TESTS_FAKE_STAGE_GATEWAY_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/service/metrics.h"
#include "consumer/stats.h"
#include "tests/fake/fake_gateway.h"
#include "tests/fake/fake_loop.h"

extern struct stage {
    struct loop *loop;
    struct metrics *metrics;
    struct stats stats;
    const char *stopped; /* why payments are stopped; NULL: they are not */
} stage;

void stage_begin(uint32_t shards);
/* After what was made on the stage is freed: no timer may be left. */
void stage_end(void);
/* For the option `stopped`. */
void stage_on_stopped(const char *why, void *arg);

#endif
