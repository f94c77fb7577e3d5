#include "consumer/shard/admission_heal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define PAGE "page_of_items"

static struct admission_heal heal;

static void begin(void)
{
    fake_loop_reset();
    fake_pg_reset();
    heal = (struct admission_heal){.session = fake_pg_new(), .redis = fake_redis_new()};
    fake_pg_up(heal.session);
    fake_redis_up(heal.redis);
}

static void end(void)
{
    pg_close(heal.session);
    redis_close(heal.redis);
}

static void asks_behind(const char *shard, const char *sku)
{
    admission_heal_page(&heal, "{0,2}");
    admission_heal_page(&heal, "{0,2}"); /* one at a time */
    ck_assert_uint_eq(fake_pg_waiting(heal.session, PAGE), 1);
    ck_assert_str_eq(fake_pg_param(heal.session, 0), "{0,2}");
    ck_assert_str_eq(fake_pg_param(heal.session, 1), shard);
    ck_assert_str_eq(fake_pg_param(heal.session, 2), sku);
}

static void looks_at(size_t number, const char *key)
{
    const char *command = fake_redis_command(heal.redis, number);
    ck_assert_ptr_nonnull(strstr(command, "left == -1 or left > tonumber(ARGV[1])"));
    ck_assert_ptr_nonnull(strstr(command, key));
}

/* A whole page of hats of shard 0, but for the last row. */
static void answer_page(const char *last)
{
    struct buf rows;
    buf_init(&rows, 10000);
    for (int i = 0; i < 255; i++)
        (void)buf_printf(&rows, "hat%d|0|t;", i);
    (void)buf_str(&rows, last);
    fake_pg_answer(heal.session, PAGE, buf_text(&rows));
    buf_free(&rows);
}

START_TEST(it_pages_through_the_items_of_its_own_shards)
{
    begin();
    asks_behind("-1", "");
    answer_page("dress|2|t");
    ck_assert_uint_eq(fake_redis_waiting(heal.redis), 256);
    looks_at(0, " checkout:gate:hat0 ");
    looks_at(255, " checkout:gate:dress ");
    asks_behind("2", "dress");
    answer_page("ball|1|f"); /* the page ends at a foreign one */
    ck_assert_uint_eq(fake_redis_waiting(heal.redis), 256 + 255);
    asks_behind("1", "ball");
    fake_pg_answer(heal.session, PAGE, "dress|2|t"); /* the last page */
    asks_behind("-1", "");
    end();
}
END_TEST

START_TEST(a_page_that_is_lost_is_read_again)
{
    begin();
    asks_behind("-1", "");
    answer_page("hat|0|t");
    asks_behind("0", "hat");
    fake_pg_refuse(heal.session, PAGE, "57014");
    asks_behind("0", "hat");
    fake_pg_down(heal.session);
    fake_pg_up(heal.session);
    asks_behind("0", "hat");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admission_heal");
    TCase *tcase = tcase_create("admission_heal");
    tcase_add_test(tcase, it_pages_through_the_items_of_its_own_shards);
    tcase_add_test(tcase, a_page_that_is_lost_is_read_again);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
