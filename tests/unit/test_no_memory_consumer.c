/* Memory runs out at each allocation of the consumer's pure cores in turn. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/service/metrics.h"
#include "common/shop/job.h"
#include "consumer/pool/readiness.h"
#include "consumer/pool/roster.h"
#include "consumer/shard/intake.h"
#include "consumer/stats.h"
#include "tests/fake/fake_memory.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define JOBS 3

static struct ids *ids;
static struct buf message;

/* Decides JOBS jobs of which the database refuses all, and one message that is no JSON. */
static int intake_of_bad_jobs(void)
{
    struct intake intake;
    intake_init(&intake, 0, 1, ids);
    int code = intake_push(&intake, 1, message.data, message.len, message.len);
    if (code == 0)
        code = intake_push(&intake, 2, "nonsense", 8, 8);
    if (code == 0)
        code = intake_push(&intake, 3, "cut", 3, 1000000);
    if (code == 0)
        code = intake_open_batch(&intake);
    if (code == 0)
        code = intake_open_batch(&intake); /* it is open: nothing happens */
    size_t refused = 0;
    while (code == 0 && !intake_decided_all(&intake) && refused++ < 100)
        code = intake_part_refused(&intake);
    if (code == 0) {
        MUST(intake.batch.dead_count == JOBS + 4); /* two jobs of no use, two messages */
        MUST(intake_close_batch(&intake) == 3);
        MUST(!intake_has_work(&intake));
    }
    intake_forget(&intake); /* as the shard does on an error: the broker delivers it again */
    MUST(!intake_has_work(&intake));
    return code;
}

START_TEST(jobs_that_the_database_refuses)
{
    ck_assert_uint_gt(fake_memory_run(intake_of_bad_jobs), 8);
}
END_TEST

static int pool_of_two(void)
{
    static const struct member_row rows[] = {{1, 5, true, true}, {2, 7, true, true}};
    struct roster roster;
    int code = roster_init(&roster, 8);
    if (code == 0) {
        roster_join(&roster, 1);
        roster_read(&roster, -1, 2, 1); /* no such shards: passed over */
        roster_read(&roster, 8, 2, 1);
        roster_read(&roster, 7, 2, 1);
        MUST(roster_observe(&roster, rows, ARRAY_LEN(rows), 1000));
        code = roster_assign(&roster);
        MUST(code < 0 || roster_elsewhere(&roster, 7));
        MUST(!roster_elsewhere(&roster, 0));
    }
    roster_free(&roster);
    return code;
}

static int readiness_of_one(void)
{
    struct readiness readiness;
    int code = readiness_init(&readiness, 8);
    readiness_free(&readiness);
    return code;
}

static int figures(void)
{
    struct stats stats = {0};
    struct metrics *metrics = metrics_new();
    int code = metrics == NULL ? ERR_NOMEM : stats_init(&stats, metrics, 4);
    if (code == 0) {
        stats_transition(&stats, "rejected", "sold_out", 2);
        stats_transition(&stats, "confirmed", NULL, 1);
        stats_command(&stats, "done");
        stats_payment(&stats, "succeeded");
        stats_refund(&stats, "succeeded");
    }
    stats_free(&stats);
    metrics_free(metrics);
    return code;
}

START_TEST(pool_and_figures)
{
    ck_assert_uint_gt(fake_memory_run(pool_of_two), 4);
    ck_assert_uint_gt(fake_memory_run(readiness_of_one), 0);
    ck_assert_uint_gt(fake_memory_run(figures), 4);
}
END_TEST

static void write_message(void)
{
    buf_init(&message, 65536);
    (void)buf_str(&message, "{\"version\":1,\"jobs\":[");
    for (int i = 0; i < JOBS; i++) {
        char key[8];
        struct job job = {.user_id = "ann",
                          .sku = "lamp",
                          .quantity = 1,
                          .payment_method = "pm_card_visa",
                          .accepted_at = "2026-01-31T18:00:00.000Z"};
        (void)snprintf(key, sizeof key, "k%d", i);
        if (ids_order(ids, "ann", key, job.order_id) < 0 ||
            job_fingerprint(&job, job.fingerprint) < 0)
            abort();
        (void)buf_str(&message, i == 0 ? "" : ",");
        (void)job_encode(&message, &job);
    }
    char bad[IDS_ORDER_SIZE]; /* an id that verifies, and nothing else that is needed */
    if (ids_order(ids, "ann", "bad", bad) < 0)
        abort();
    (void)buf_printf(&message, ",{\"order_id\":\"%s\",\"user_id\":\"ann\"},{\"order_id\":7}]}",
                     bad);
}

int main(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    write_message();
    Suite *suite = suite_create("no memory: consumer");
    TCase *tests = tcase_create("no memory: consumer");
    tcase_add_test(tests, jobs_that_the_database_refuses);
    tcase_add_test(tests, pool_and_figures);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buf_free(&message);
    ids_free(ids);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
