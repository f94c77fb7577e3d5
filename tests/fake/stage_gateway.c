#include "tests/fake/stage_gateway.h"

#include <check.h>
#include <stddef.h>

struct stage stage;

void stage_begin(uint32_t shards)
{
    fake_loop_reset();
    fake_gateway_reset();
    stage.loop = loop_new();
    stage.metrics = metrics_new();
    stage.stopped = NULL;
    ck_assert_int_eq(stats_init(&stage.stats, stage.metrics, shards), 0);
}

void stage_end(void)
{
    stats_free(&stage.stats);
    metrics_free(stage.metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(stage.loop);
}

void stage_on_stopped(const char *why, void *arg)
{
    (void)arg;
    stage.stopped = why;
}
