#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "consumer/shard/intake.h"

#define SECRET "a secret of thirty-two bytes, or so"

static struct ids *ids;
static struct intake intake;
static uint64_t next_tag;
static int next_key;

static void setup(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    intake_init(&intake, 0, 1, ids);
    next_tag = 1;
    next_key = 0;
}

static void teardown(void)
{
    intake_forget(&intake);
    ids_free(ids);
}

static void push_text(const char *body)
{
    ck_assert_int_eq(intake_push(&intake, next_tag++, body, strlen(body), strlen(body)), 0);
}

/* A message with a job of each of these items. */
static void push_items(const char *skus)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    (void)buf_str(&text, JOB_MESSAGE_HEAD);
    for (size_t i = 0; i < strlen(skus); i++) {
        const char sku[2] = {skus[i], '\0'};
        struct job job = {.user_id = "u",
                          .sku = sku,
                          .quantity = 1,
                          .payment_method = "pm",
                          .accepted_at = "2026-01-31T10:00:00.123Z",
                          .fingerprint = "0123456789abcdef0123456789abcdef"};
        char key[16];
        (void)snprintf(key, sizeof key, "%d", next_key++);
        ck_assert_int_eq(ids_order(ids, "u", key, job.order_id), 0);
        if (i > 0)
            (void)buf_char(&text, ',');
        (void)job_encode(&text, &job);
    }
    (void)buf_str(&text, JOB_MESSAGE_TAIL);
    push_text(buf_text(&text));
    buf_free(&text);
}

/* A message of `count` good jobs. */
static void push_jobs(int count)
{
    char skus[JOB_BATCH_MAX + 1] = {0};
    memset(skus, 's', (size_t)count);
    push_items(skus);
}

START_TEST(nothing_waits_at_first)
{
    ck_assert(!intake_has_work(&intake));
    ck_assert_int_eq(intake_open_batch(&intake), ERR_NOT_FOUND);
}
END_TEST

START_TEST(several_messages_make_one_batch_and_one_acknowledgement)
{
    push_jobs(3);
    push_jobs(1);
    push_jobs(2);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_uint_eq(intake.batch.count, 6);
    ck_assert_uint_eq(intake.batch.to, 6);
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
    ck_assert_uint_eq(intake_close_batch(&intake), 3);
    ck_assert(!intake_has_work(&intake));
}
END_TEST

START_TEST(a_batch_has_at_most_512_jobs)
{
    for (int i = 0; i < 4; i++)
        push_jobs(200);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_uint_eq(intake.batch.count, 400);
    intake_part_decided(&intake);
    ck_assert_uint_eq(intake_close_batch(&intake), 2);
    ck_assert(intake_has_work(&intake));
}
END_TEST

START_TEST(what_cannot_be_read_is_buried_and_its_neighbours_go_on)
{
    push_text("not json");
    push_jobs(2);
    push_text("{\"version\":1,\"jobs\":[7]}");
    push_text("");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_uint_eq(intake.batch.count, 2);
    ck_assert_uint_eq(intake.batch.dead_count, 3);
    ck_assert_str_eq(intake.batch.dead[0].body, "not json");
    ck_assert_str_eq(intake.batch.dead[1].body, "7");
    intake_part_decided(&intake);
    ck_assert_uint_eq(intake_close_batch(&intake), 4);
}
END_TEST

START_TEST(a_cut_message_is_buried)
{
    ck_assert_int_eq(intake_push(&intake, next_tag++, "{", 1, JOB_MESSAGE_ACCEPT + 1), 0);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_uint_eq(intake.batch.dead_count, 1);
    ck_assert(intake_decided_all(&intake));
}
END_TEST

/* PostgreSQL refuses every part that holds the job at `poison`, unless it stands there as invalid.
 */
static void decide_with_poison(size_t count, size_t poison, bool even_as_invalid)
{
    push_jobs((int)count);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    size_t decided = 0;
    int calls = 0;
    while (!intake_decided_all(&intake)) {
        struct intake_batch *batch = &intake.batch;
        ck_assert_uint_eq(batch->from, decided);
        ck_assert_int_lt(calls++, 64);
        bool has_poison = poison >= batch->from && poison < batch->to;
        bool alone = batch->to - batch->from == 1;
        bool invalid = batch->jobs[poison]->verdict == JOB_BAD;
        if (has_poison && (even_as_invalid || !(alone && invalid))) {
            ck_assert_int_eq(intake_part_refused(&intake), 0);
            decided = batch->from;
        } else {
            decided = batch->to;
            intake_part_decided(&intake);
        }
    }
    ck_assert_uint_eq(intake.batch.dead_count, even_as_invalid ? 1 : 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(intake.batch.jobs[i]->verdict, i == poison ? JOB_BAD : JOB_GOOD);
    (void)intake_close_batch(&intake);
}

START_TEST(halving_finds_the_bad_job_wherever_it_is)
{
    for (size_t poison = 0; poison < 256; poison++)
        decide_with_poison(256, poison, false);
    decide_with_poison(1, 0, false);
    decide_with_poison(2, 1, true);
    decide_with_poison(255, 100, true);
}
END_TEST

/* The next part, by its items; one that is to be set aside after a '!'. */
static const char *part(void)
{
    static char text[INTAKE_JOBS_MAX + 2];
    const struct intake_batch *batch = &intake.batch;
    size_t len = 0;
    if (batch->aside)
        text[len++] = '!';
    for (size_t i = batch->from; i < batch->to; i++)
        text[len++] = batch->jobs[i]->job.sku[0];
    text[len] = '\0';
    return text;
}

/* Decides all of it, in a database where `stuck` cannot be decided; returns how many refusals. */
static int decide_around(char stuck, char *decided)
{
    int refusals = 0;
    while (!intake_decided_all(&intake)) {
        const char *now = part();
        ck_assert_int_lt(refusals, 50);
        if (now[0] != '!' && strchr(now, stuck) != NULL) {
            intake_part_busy(&intake);
            refusals++;
            continue;
        }
        strcat(decided, now);
        intake_part_decided(&intake);
    }
    return refusals;
}

START_TEST(a_lock_is_cut_down_to_one_item_which_is_set_aside)
{
    char decided[64] = "";
    push_items("abcdxefg");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_int_le(decide_around('x', decided), 8);
    ck_assert_str_eq(decided, "abcd!xefg");
}
END_TEST

START_TEST(jobs_of_one_item_are_not_cut_further)
{
    push_items("xxxx");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    intake_part_busy(&intake);
    ck_assert_str_eq(part(), "!xxxx");
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
}
END_TEST

START_TEST(an_item_that_fails_is_set_aside_only_after_another_was_decided)
{
    push_items("xaxb");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert(intake_part_failed(&intake)); /* xaxb */
    ck_assert_str_eq(part(), "x");
    ck_assert(intake_part_failed(&intake));
    ck_assert_str_eq(part(), "ab");
    intake_part_decided(&intake);
    ck_assert_str_eq(part(), "xx");
    ck_assert(intake_part_failed(&intake));
    ck_assert_str_eq(part(), "!xx");
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
}
END_TEST

START_TEST(if_two_items_fail_alike_nothing_is_set_aside)
{
    push_items("ab");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert(intake_part_failed(&intake)); /* ab: cut */
    ck_assert(intake_part_failed(&intake)); /* a goes behind */
    ck_assert_str_eq(part(), "b");
    for (int i = 0; i < 20; i++) {
        while (intake_part_failed(&intake)) {
        }
        ck_assert(!intake.batch.aside);
    }
    ck_assert(!intake_decided_all(&intake)); /* and nothing is lost */
    ck_assert_uint_eq(intake.batch.from, 0);
}
END_TEST

START_TEST(an_item_that_fails_alone_waits)
{
    push_items("xx");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert(!intake_part_failed(&intake));
    ck_assert(!intake_part_failed(&intake));
    ck_assert(!intake.batch.aside);
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
}
END_TEST

/* What hangs may hang only three times until it is found, and the parts beside it pass once. */
START_TEST(an_item_that_hangs_in_a_full_batch_is_found_in_three_tries)
{
    for (size_t at = 0; at < INTAKE_JOBS_MAX; at += 37) {
        char skus[JOB_BATCH_MAX + 1] = {0};
        int hung = 0, passed = 0;
        for (size_t half = 0; half < INTAKE_JOBS_MAX; half += JOB_BATCH_MAX) {
            for (size_t i = 0; i < JOB_BATCH_MAX; i++)
                skus[i] = half + i == at ? 'x' : (char)('a' + i % 20);
            push_items(skus);
        }
        ck_assert_int_eq(intake_open_batch(&intake), 0);
        ck_assert_uint_eq(intake.batch.count, INTAKE_JOBS_MAX);
        while (!intake_decided_all(&intake)) {
            const char *now = part();
            bool hangs = now[0] != '!' && strchr(now, 'x') != NULL;
            hung += hangs;
            passed += !hangs;
            if (hangs)
                ck_assert(intake_part_failed(&intake));
            else
                intake_part_decided(&intake);
        }
        ck_assert_int_eq(hung, 5); /* all, 64, 8, it alone, and again after the others */
        ck_assert_int_le(passed, 3 * 7 + 2);
        (void)intake_close_batch(&intake);
    }
}
END_TEST

START_TEST(an_item_that_fails_alone_lets_those_behind_it_pass)
{
    push_items("xx");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_int_eq(intake_widen(&intake), 0);
    ck_assert(!intake_part_failed(&intake));
    push_items("xa"); /* delivered meanwhile */
    push_items("bx");
    ck_assert_int_eq(intake_widen(&intake), 0);
    ck_assert_str_eq(part(), "xx");
    ck_assert(intake_part_failed(&intake));
    ck_assert_str_eq(part(), "ab");
    intake_part_decided(&intake);
    ck_assert_str_eq(part(), "xxxx");
    ck_assert(intake_part_failed(&intake));
    ck_assert_str_eq(part(), "!xxxx");
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
    ck_assert_uint_eq(intake_close_batch(&intake), 3);
}
END_TEST

/* Fails twice, the batch being full of it. */
static void fill_with(char sku)
{
    char skus[JOB_BATCH_MAX + 1] = {0};
    memset(skus, sku, JOB_BATCH_MAX);
    push_items(skus);
    push_items(skus);
    push_items("a");
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(intake_widen(&intake), 0);
        if (!intake.batch.aside)
            ck_assert(!intake_part_failed(&intake));
    }
}

START_TEST(one_that_fills_its_batch_is_set_aside_but_no_second_one)
{
    fill_with('x');
    ck_assert(intake.batch.aside);
    ck_assert_uint_eq(intake.batch.to, INTAKE_JOBS_MAX);
    intake_part_decided(&intake);
    ck_assert(intake_decided_all(&intake));
    (void)intake_close_batch(&intake);
    ck_assert_int_eq(intake_open_batch(&intake), 0); /* the a, which fails too */
    ck_assert_str_eq(part(), "a");
    ck_assert(!intake_part_failed(&intake));
    (void)intake_close_batch(&intake);
    fill_with('y');
    ck_assert(!intake.batch.aside);
    (void)intake_close_batch(&intake);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    intake_part_decided(&intake);
    (void)intake_close_batch(&intake);
    fill_with('z');
    ck_assert(intake.batch.aside);
}
END_TEST

START_TEST(forgetting_leaves_nothing)
{
    push_jobs(3);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    push_jobs(3);
    intake_forget(&intake);
    ck_assert(!intake_has_work(&intake));
    push_jobs(1);
    ck_assert_int_eq(intake_open_batch(&intake), 0);
    ck_assert_uint_eq(intake.batch.count, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intake");
    TCase *tests = tcase_create("intake");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_waits_at_first);
    tcase_add_test(tests, several_messages_make_one_batch_and_one_acknowledgement);
    tcase_add_test(tests, a_batch_has_at_most_512_jobs);
    tcase_add_test(tests, what_cannot_be_read_is_buried_and_its_neighbours_go_on);
    tcase_add_test(tests, a_cut_message_is_buried);
    tcase_add_test(tests, halving_finds_the_bad_job_wherever_it_is);
    tcase_add_test(tests, a_lock_is_cut_down_to_one_item_which_is_set_aside);
    tcase_add_test(tests, jobs_of_one_item_are_not_cut_further);
    tcase_add_test(tests, an_item_that_fails_is_set_aside_only_after_another_was_decided);
    tcase_add_test(tests, if_two_items_fail_alike_nothing_is_set_aside);
    tcase_add_test(tests, an_item_that_fails_alone_waits);
    tcase_add_test(tests, an_item_that_hangs_in_a_full_batch_is_found_in_three_tries);
    tcase_add_test(tests, an_item_that_fails_alone_lets_those_behind_it_pass);
    tcase_add_test(tests, one_that_fills_its_batch_is_set_aside_but_no_second_one);
    tcase_add_test(tests, forgetting_leaves_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
