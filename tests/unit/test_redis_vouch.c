#include "producer/admission/redis_vouch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "producer/admission/redis_info.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_redis.h"

#define AFTER_S 600
#define SECOND_MS 1000
#define NOBODY "0000000000000000000000000000000000000000"

static struct loop *loop;
static struct redis *redis;
static struct redis_vouch *vouch;

/* What a process says of itself. */
struct said {
    const char *run_id;
    int64_t up_s;
    const char *role;
    const char *followed;
    int evicted;
    const char *commands; /* lines of # Commandstats */
};

static const struct said well = {"a", AFTER_S, "master", NOBODY, 0, ""};

static void write_info(char text[2000], const struct said *said)
{
    (void)snprintf(text, 2000,
                   "# Server\r\nredis_version:7.0.15\r\nrun_id:%s\r\nuptime_in_seconds:%lld\r\n"
                   "uptime_in_days:1\r\n\r\n# Stats\r\nexpired_keys:7\r\nevicted_keys:%d\r\n\r\n"
                   "# Replication\r\nrole:%s\r\nmaster_replid:%040d\r\nmaster_replid2:%s\r\n"
                   "second_repl_offset:-1\r\n\r\n# Commandstats\r\n"
                   "cmdstat_info:calls=9,usec=9,usec_per_call=1.00\r\n%s",
                   said->run_id, (long long)said->up_s, said->evicted, said->role, 5,
                   said->followed, said->commands);
}

static void answer(const char *text)
{
    const struct redis_reply reply = {.type = REDIS_STRING, .str = text, .len = strlen(text)};
    ck_assert_uint_eq(fake_redis_waiting(redis), 1);
    ck_assert_str_eq(fake_redis_command(redis, 0), "INFO ALL");
    fake_redis_answer(redis, 0, &reply);
}

static void say(const struct said *said)
{
    char text[2000];
    write_info(text, said);
    answer(text);
}

static void connect(void)
{
    fake_redis_up(redis);
    redis_vouch_connected(vouch, true);
}

static void lose(void)
{
    fake_redis_down(redis);
    redis_vouch_connected(vouch, false);
    ck_assert(!redis_vouches(vouch));
}

static void begin(void)
{
    fake_loop_reset();
    loop = loop_new();
    redis = fake_redis_new();
    vouch = redis_vouch_new(loop, redis, (uint64_t)AFTER_S * SECOND_MS, NULL);
    ck_assert_ptr_nonnull(vouch);
    connect();
    ck_assert(!redis_vouches(vouch));
}

static void end(void)
{
    redis_vouch_free(vouch);
    redis_close(redis);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* A second later, its answer. */
static void later(const struct said *said)
{
    fake_loop_run(SECOND_MS);
    say(said);
}

START_TEST(it_vouches_once_it_is_old_enough)
{
    struct said said = well;
    begin();
    said.up_s = AFTER_S - 2;
    say(&said);
    ck_assert(!redis_vouches(vouch));
    said.up_s = AFTER_S - 1;
    later(&said);
    fake_loop_run(SECOND_MS - 1);
    ck_assert(!redis_vouches(vouch));
    fake_loop_run(1);
    ck_assert(redis_vouches(vouch));
    end();
}
END_TEST

START_TEST(it_vouches_for_as_long_as_nothing_is_lost)
{
    struct said said = well;
    said.commands = "cmdstat_set:calls=1,usec=1,usec_per_call=1.00\r\n";
    begin();
    say(&well);
    for (int i = 0; i < 10; i++) {
        ck_assert(redis_vouches(vouch));
        said.up_s++;
        later(&said);
    }
    lose(); /* the connection, and not what it knows */
    fake_loop_run(100000);
    connect();
    ck_assert(!redis_vouches(vouch)); /* it has not said who it is */
    say(&said);
    ck_assert(redis_vouches(vouch));
    end();
}
END_TEST

/* What a process says that has lost something. */
static const struct said losses[] = {
    {"b", AFTER_S, "master", NOBODY, 0, ""},
    {"a", AFTER_S, "slave", NOBODY, 0, ""},
    {"a", AFTER_S, "master", "cccccccccccccccccccccccccccccccccccccccc", 0, ""},
    {"a", AFTER_S, "master", NOBODY, 1, ""},
    {"a", AFTER_S, "master", NOBODY, 0, "cmdstat_flushall:calls=1,usec=1,usec_per_call=1.00\r\n"},
    {"a", AFTER_S, "master", NOBODY, 0, "cmdstat_flushdb:calls=1,usec=1,usec_per_call=1.00\r\n"},
    {"a", AFTER_S, "master", NOBODY, 0, "cmdstat_swapdb:calls=1,usec=1,usec_per_call=1.00\r\n"},
    {"a", AFTER_S, "master", NOBODY, 0, "cmdstat_debug:calls=1,usec=1,usec_per_call=1.00\r\n"},
    {"a", AFTER_S, "master", NOBODY, 0,
     "cmdstat_config|resetstat:calls=1,usec=1,usec_per_call=1.00\r\n"},
};

/* ... and the same process, which now loses nothing more. */
static struct said after(const struct said *lost)
{
    struct said said = *lost;
    said.up_s = (int64_t)AFTER_S * 2;
    said.role = "master";
    return said;
}

static void vouches_later(const struct said *lost)
{
    struct said said = after(lost);
    ck_assert(!redis_vouches(vouch));
    later(&said);
    ck_assert(!redis_vouches(vouch));
    fake_loop_run((uint64_t)(AFTER_S - 2) * SECOND_MS);
    say(&said);
    ck_assert(!redis_vouches(vouch));
    later(&said);
    ck_assert(redis_vouches(vouch));
}

START_TEST(one_that_is_seen_to_lose_keys_does_not_vouch_for_a_while)
{
    begin();
    say(&well);
    ck_assert(redis_vouches(vouch));
    later(&losses[_i]);
    vouches_later(&losses[_i]);
    end();
}
END_TEST

START_TEST(nor_one_that_has_lost_them_before_it_was_seen)
{
    begin();
    if (_i == 0)
        say(&well);
    later(&losses[_i]);
    vouches_later(&losses[_i]);
    end();
}
END_TEST

START_TEST(nor_one_that_lost_them_while_it_was_away)
{
    begin();
    say(&well);
    lose();
    connect();
    say(&losses[_i]);
    vouches_later(&losses[_i]);
    end();
}
END_TEST

START_TEST(a_second_loss_begins_the_time_again)
{
    struct said said = well;
    begin();
    said.evicted = 3;
    say(&said);
    fake_loop_run((uint64_t)(AFTER_S - 10) * SECOND_MS);
    said.evicted = 4;
    say(&said);
    vouches_later(&said);
    said.up_s = (int64_t)AFTER_S * 3;
    said.evicted = 0; /* the numbers began anew: what was lost in between is not known */
    later(&said);
    ck_assert(!redis_vouches(vouch));
    end();
}
END_TEST

START_TEST(one_that_comes_and_goes_with_another_is_not_the_one_before)
{
    struct said other = well;
    begin();
    say(&well);
    other.run_id = "b";
    later(&other);
    later(&well);
    vouches_later(&well);
    end();
}
END_TEST

START_TEST(one_that_no_longer_answers_does_not_vouch)
{
    begin();
    say(&well);
    fake_loop_run(2999);
    ck_assert(redis_vouches(vouch));
    fake_loop_run(1);
    ck_assert(!redis_vouches(vouch));
    say(&well);
    ck_assert(redis_vouches(vouch));
    fake_loop_run(SECOND_MS);
    fake_redis_refuse(redis, 0);
    ck_assert(!redis_vouches(vouch));
    end();
}
END_TEST

START_TEST(an_answer_of_the_connection_before_is_not_heard)
{
    begin();
    lose();
    connect();
    struct said said = well;
    said.up_s = 1;
    say(&said);
    ck_assert(!redis_vouches(vouch));
    end();
}
END_TEST

static const char *const needed[] = {
    "run_id:", "uptime_in_seconds:", "role:", "master_replid2", "evicted_keys:", "# Commandstats",
};

START_TEST(without_something_that_is_needed_it_does_not_vouch)
{
    char text[2000];
    struct redis_info info;
    begin();
    write_info(text, &well);
    ck_assert_int_eq(redis_info_read(text, strlen(text), &info), 0);
    char *at = strstr(text, needed[_i]);
    ck_assert_ptr_nonnull(at);
    *at = 'X';
    ck_assert_int_eq(redis_info_read(text, strlen(text), &info), ERR_PARSE);
    answer(text);
    ck_assert(!redis_vouches(vouch));
    end();
}
END_TEST

static const char *const unclear[] = {
    "cmdstat_flushall:calls=\r\n",
    "cmdstat_flushall:calls=many,usec=1\r\n",
    "cmdstat_flushall:calls=-1,usec=1\r\n",
    "cmdstat_debug:calls=99999999999999999999999,usec=1\r\n",
};

START_TEST(a_number_that_is_none_does_not_vouch)
{
    struct said said = well;
    char text[2000];
    struct redis_info info;
    said.commands = unclear[_i];
    write_info(text, &said);
    ck_assert_int_eq(redis_info_read(text, strlen(text), &info), ERR_PARSE);
    said = well;
    write_info(text, &said);
    size_t whole = (size_t)(strstr(text, "# Commandstats") - text);
    for (size_t len = 0; len < whole; len++)
        ck_assert_int_eq(redis_info_read(text, len, &info), ERR_PARSE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_vouch");
    TCase *tcase = tcase_create("redis_vouch");
    int all = (int)ARRAY_LEN(losses);
    tcase_add_test(tcase, it_vouches_once_it_is_old_enough);
    tcase_add_test(tcase, it_vouches_for_as_long_as_nothing_is_lost);
    tcase_add_loop_test(tcase, one_that_is_seen_to_lose_keys_does_not_vouch_for_a_while, 0, all);
    tcase_add_loop_test(tcase, nor_one_that_has_lost_them_before_it_was_seen, 0, all);
    tcase_add_loop_test(tcase, nor_one_that_lost_them_while_it_was_away, 0, all);
    tcase_add_test(tcase, a_second_loss_begins_the_time_again);
    tcase_add_test(tcase, one_that_comes_and_goes_with_another_is_not_the_one_before);
    tcase_add_test(tcase, one_that_no_longer_answers_does_not_vouch);
    tcase_add_test(tcase, an_answer_of_the_connection_before_is_not_heard);
    tcase_add_loop_test(tcase, without_something_that_is_needed_it_does_not_vouch, 0,
                        (int)ARRAY_LEN(needed));
    tcase_add_loop_test(tcase, a_number_that_is_none_does_not_vouch, 0, (int)ARRAY_LEN(unclear));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
