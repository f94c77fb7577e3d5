/* Memory runs out at each allocation of a new pool in turn. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "consumer/pool/pool.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_memory.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define SHARDS 3
#define SECRET "a secret of thirty-two bytes, or so"

static struct shard_context context;
static struct pool_options options;

static void nothing_changes(enum broker_state state, const char *reason, void *arg)
{
    (void)state;
    (void)reason;
    (void)arg;
}

static int a_pool(void)
{
    struct pool *pool = pool_new(&context, &options);
    pool_free(pool);
    MUST(fake_loop_timers() == 0);
    return pool == NULL ? ERR_NOMEM : 0;
}

START_TEST(a_pool_without_memory_is_null_and_leaves_nothing)
{
    fake_loop_reset();
    fake_broker_reset();
    struct metrics *metrics = metrics_new();
    struct stats stats;
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    struct pg *session = fake_pg_new();
    const struct broker_options broker = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    context = (struct shard_context){.loop = loop_new(),
                                     .ids = ids_new(SECRET, strlen(SECRET)),
                                     .stats = &stats,
                                     .shards = SHARDS};
    context.broker = broker_open(context.loop, &broker, nothing_changes, NULL);
    options = (struct pool_options){.name = "me",
                                    .heartbeat = session,
                                    .control = session,
                                    .outbox = session,
                                    .sessions = &session,
                                    .session_count = 1};
    ck_assert_uint_gt(fake_memory_run(a_pool), SHARDS);
    broker_close(context.broker);
    pg_close(session);
    ids_free(context.ids);
    stats_free(&stats);
    metrics_free(metrics);
    loop_free(context.loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no memory: pool");
    TCase *tests = tcase_create("no memory: pool");
    tcase_add_test(tests, a_pool_without_memory_is_null_and_leaves_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
