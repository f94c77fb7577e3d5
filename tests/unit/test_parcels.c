#include "ctl/reshard/parcels.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define JOBS 40
#define FROM 2
#define TO 8
#define SKU_SIZE 16

static struct ids *ids;
static struct buf message;
static char skus[JOBS][SKU_SIZE]; /* all of shard 1 of FROM */
static struct parcels parcels;

static void encode(const char *sku, int number)
{
    char key[32];
    struct job job = {.user_id = "ann",
                      .sku = sku,
                      .quantity = 1 + number % JOB_QUANTITY_MAX,
                      .payment_method = "pm_card_visa",
                      .accepted_at = "2026-01-31T18:00:00.000Z"};
    (void)snprintf(key, sizeof key, "key-%d", number);
    ck_assert_int_eq(ids_order(ids, "ann", key, job.order_id), 0);
    ck_assert_int_eq(job_fingerprint(&job, job.fingerprint), 0);
    ck_assert_int_eq(job_encode(&message, &job), 0);
}

static void setup(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    buf_init(&message, JOB_MESSAGE_ACCEPT);
    for (int i = 0, found = 0; found < JOBS; i++) {
        (void)snprintf(skus[found], SKU_SIZE, "lamp-%d", i);
        if (shard_of(skus[found], strlen(skus[found]), FROM) == 1)
            found++;
    }
    (void)buf_str(&message, JOB_MESSAGE_HEAD);
    for (int i = 0; i < JOBS; i++) {
        (void)buf_str(&message, i == 0 ? "" : ",");
        encode(skus[i], i);
    }
}

static void teardown(void)
{
    parcels_free(&parcels);
    buf_free(&message);
    ids_free(ids);
}

static void end_message(void)
{
    ck_assert_int_eq(buf_str(&message, JOB_MESSAGE_TAIL), 0);
}

static void make(uint32_t to)
{
    ck_assert_int_eq(parcels_make(message.data, message.len, 1, FROM, to, ids, &parcels), 0);
}

/* What the consumer of a parcel's shard reads of it. */
static struct job_batch read_parcel(size_t number, uint32_t to)
{
    struct job_batch batch;
    const char *problem = "";
    const struct parcel *parcel = &parcels.list[number];
    int code = job_batch_parse(parcel->body.data, parcel->body.len, parcel->shard, to, ids, &batch,
                               &problem);
    ck_assert_msg(code == 0, "%s", problem);
    ck_assert_uint_eq(batch.count, parcel->jobs);
    return batch;
}

START_TEST(jobs_go_to_the_shards_of_their_items_in_their_order)
{
    size_t jobs = 0;
    end_message();
    make(TO);
    ck_assert_uint_eq(parcels.count, TO / FROM);
    for (size_t i = 0; i < parcels.count; i++) {
        struct job_batch batch = read_parcel(i, TO);
        int64_t before = 0;
        for (size_t k = 0; k < batch.count; k++) {
            ck_assert_int_eq(batch.entries[k].verdict, JOB_GOOD);
            ck_assert_int_gt(batch.entries[k].job.quantity, before);
            before = batch.entries[k].job.quantity;
        }
        jobs += batch.count;
        job_batch_free(&batch);
    }
    ck_assert_uint_eq(jobs, JOBS);
}
END_TEST

START_TEST(to_fewer_shards_a_message_goes_as_it_is)
{
    end_message();
    make(1);
    ck_assert_uint_eq(parcels.count, 1);
    ck_assert_uint_eq(parcels.list[0].shard, 0);
    ck_assert_uint_eq(parcels.list[0].jobs, JOBS);
    ck_assert_uint_eq(parcels.list[0].body.len, message.len);
    ck_assert_int_eq(memcmp(parcels.list[0].body.data, message.data, message.len), 0);
}
END_TEST

/* One that lacks members, and one that nobody can read: each is judged as before. */
START_TEST(bad_jobs_stay_what_they_are_and_harm_no_others)
{
    size_t good = 0, bad = 0, unreadable = 0;
    (void)buf_str(&message, ",{\"order_id\":\"");
    char id[IDS_ORDER_SIZE];
    ck_assert_int_eq(ids_order(ids, "ann", "bad", id), 0);
    (void)buf_str(&message, id);
    (void)buf_str(&message, "\",\"user_id\":\"ann\",\"sku\":\"lamp\"},{\"sku\":\"\xff\"}");
    end_message();
    make(TO);
    for (size_t i = 0; i < parcels.count; i++) {
        struct job_batch batch = read_parcel(i, TO);
        for (size_t k = 0; k < batch.count; k++) {
            good += batch.entries[k].verdict == JOB_GOOD;
            bad += batch.entries[k].verdict == JOB_BAD;
            unreadable += batch.entries[k].verdict == JOB_UNREADABLE;
        }
        job_batch_free(&batch);
    }
    ck_assert_uint_eq(good, JOBS);
    ck_assert_uint_eq(bad, 1);
    ck_assert_uint_eq(unreadable, 1);
}
END_TEST

START_TEST(what_is_no_message_goes_to_one_shard)
{
    buf_reset(&message);
    (void)buf_str(&message, "no JSON at all");
    make(TO);
    ck_assert_uint_eq(parcels.count, 1);
    ck_assert_uint_eq(parcels.list[0].shard, 1);
    ck_assert_uint_eq(parcels.list[0].body.len, message.len);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parcels");
    TCase *tc = tcase_create("parcels");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, jobs_go_to_the_shards_of_their_items_in_their_order);
    tcase_add_test(tc, to_fewer_shards_a_message_goes_as_it_is);
    tcase_add_test(tc, bad_jobs_stay_what_they_are_and_harm_no_others);
    tcase_add_test(tc, what_is_no_message_goes_to_one_shard);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
