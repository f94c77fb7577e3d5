#include "producer/publish/batcher.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define SHARDS 16
#define INFLIGHT 8
#define JOBS 1000

static struct batcher *batcher;
static size_t fates[BATCH_OVERLOADED + 1];
static enum batch_fate last_fate[20000];
static size_t told[20000]; /* how often each waiter was told */
static uint64_t sequence;

static void fate_of(void *waiter, enum batch_fate fate, void *arg)
{
    (void)arg;
    size_t i = (size_t)(uintptr_t)waiter;
    fates[fate]++;
    last_fate[i] = fate;
    told[i]++;
}

static void setup(void)
{
    batcher = batcher_new(SHARDS, INFLIGHT, JOBS, fate_of, NULL);
    ck_assert_ptr_nonnull(batcher);
    memset(fates, 0, sizeof fates);
    memset(told, 0, sizeof told);
    sequence = 0;
}

static void teardown(void)
{
    batcher_free(batcher);
}

static struct job job(const char *user)
{
    return (struct job){.order_id = "fe26c749-3126-8d97-b674-1cc3fa175761",
                        .user_id = user,
                        .sku = "dress",
                        .quantity = 1,
                        .payment_method = "pm_card_visa",
                        .accepted_at = "2027-01-15T08:00:00.123Z",
                        .fingerprint = "00112233445566778899aabbccddeeff"};
}

static int add(uint32_t shard, size_t waiter, uint64_t now_ms)
{
    struct job one = job("ann");
    return batcher_add(batcher, shard, &one, (void *)(uintptr_t)waiter, now_ms);
}

/* Sends the next message if one may leave; its number of jobs, or 0. */
static size_t send_next(uint64_t now_ms)
{
    struct batch *batch = batcher_next(batcher, now_ms);
    if (batch == NULL)
        return 0;
    size_t count = batch->count;
    batcher_sent(batcher, batch, ++sequence, now_ms);
    return count;
}

/* Sends all that may leave; how many messages. */
static size_t send_wave(uint64_t now_ms)
{
    size_t messages = 0;
    while (send_next(now_ms) > 0)
        messages++;
    return messages;
}

START_TEST(one_job_leaves_at_once)
{
    ck_assert_ptr_null(batcher_next(batcher, 0));
    ck_assert_int_eq(add(3, 1, 0), 0);
    struct batch *batch = batcher_next(batcher, 0);
    ck_assert_ptr_nonnull(batch);
    ck_assert_uint_eq(batch->shard, 3);
    ck_assert_uint_eq(batch->count, 1);
    ck_assert_ptr_eq(batcher_next(batcher, 0), batch); /* asked again, nothing changes */
    json_t *message = json_loadb(batch->body.data, batch->body.len, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_int_eq(json_integer_value(json_object_get(message, "version")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(message, "jobs")), 1);
    json_decref(message);
    batcher_sent(batcher, batch, 1, 0);
    ck_assert_uint_eq(batcher_inflight(batcher), 1);
    ck_assert_uint_eq(batcher_jobs(batcher), 1);
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 1);
    ck_assert_uint_eq(batcher_inflight(batcher), 0);
    ck_assert_uint_eq(batcher_jobs(batcher), 0);
}
END_TEST

START_TEST(jobs_gather_behind_their_shards_message)
{
    ck_assert_int_eq(add(3, 1, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
    for (size_t i = 2; i < 12; i++)
        ck_assert_int_eq(add(3, i, 0), 0);
    ck_assert_uint_eq(send_next(0), 0); /* one message per shard at a time */
    ck_assert_int_eq(add(4, 12, 0), 0);
    ck_assert_uint_eq(send_next(0), 1); /* another shard goes on */
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_next(0), 10);
    batcher_settle(batcher, 3, BATCH_CONFIRMED);
    batcher_settle(batcher, 2, BATCH_CONFIRMED);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 12);
}
END_TEST

START_TEST(a_job_that_comes_after_sealing_waits_for_the_next_message)
{
    ck_assert_int_eq(add(3, 1, 0), 0);
    struct batch *batch = batcher_next(batcher, 0); /* sealed, but the socket is full */
    ck_assert_int_eq(add(3, 2, 0), 0);
    ck_assert_uint_eq(batch->count, 1);
    ck_assert_ptr_eq(batcher_next(batcher, 0), batch);
    ck_assert_uint_eq(send_next(0), 1);
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_next(0), 1);
}
END_TEST

START_TEST(at_most_inflight_messages)
{
    for (uint32_t shard = 0; shard < SHARDS; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    size_t sent = 0;
    while (send_next(0) > 0)
        sent++;
    ck_assert_uint_eq(sent, INFLIGHT);
    for (uint64_t i = 1; i <= 6; i++)
        batcher_settle(batcher, i, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_wave(0), 6);
}
END_TEST

START_TEST(the_next_wave_leaves_together_when_four_are_left)
{
    for (uint32_t shard = 0; shard < INFLIGHT; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    ck_assert_uint_eq(send_wave(0), INFLIGHT);
    for (uint32_t shard = INFLIGHT; shard < 12; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        batcher_settle(batcher, i, BATCH_CONFIRMED);
        ck_assert_uint_eq(send_next(0), 0);
    }
    batcher_settle(batcher, 4, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_wave(0), 4);
    ck_assert_int_eq(add(12, 12, 0), 0);
    for (uint64_t i = 5; i <= 7; i++) {
        batcher_settle(batcher, i, BATCH_CONFIRMED);
        ck_assert_uint_eq(send_next(0), 0);
    }
    batcher_settle(batcher, 8, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_wave(0), 1);
}
END_TEST

START_TEST(a_job_waits_for_no_four_messages)
{
    for (uint32_t shard = 0; shard < 5; shard++) {
        ck_assert_int_eq(add(shard, shard, 0), 0);
        ck_assert_uint_eq(send_wave(0), 1);
    }
    ck_assert_int_eq(add(5, 5, 0), 0);
    ck_assert_uint_eq(send_wave(0), 0); /* five make a wave */
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(send_wave(0), 1);
}
END_TEST

START_TEST(a_wave_that_the_socket_interrupts_goes_on)
{
    for (uint32_t shard = 0; shard < 6; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(send_next(0), 1); /* then it is full */
    ck_assert_int_eq(add(7, 7, 0), 0);
    ck_assert_uint_eq(send_wave(5), 3);
    ck_assert_int_eq(add(8, 8, 5), 0);
    ck_assert_uint_eq(send_next(5), 0);
}
END_TEST

START_TEST(lost_confirms_hold_a_wave_up_for_its_time_at_most)
{
    for (uint32_t shard = 0; shard < INFLIGHT; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    ck_assert_uint_eq(send_wave(0), INFLIGHT);
    for (uint64_t i = 1; i <= 3; i++)
        batcher_settle(batcher, i, BATCH_CONFIRMED); /* of the others nothing is heard any more */
    for (uint32_t shard = 0; shard < 3; shard++)
        ck_assert_int_eq(add(shard, 20 + shard, 1), 0);
    ck_assert_uint_eq(send_wave(BATCHER_WAVE_MS - 1), 0);
    ck_assert_uint_eq(send_wave(BATCHER_WAVE_MS), 3);
    for (uint64_t i = 9; i <= 11; i++)
        batcher_settle(batcher, i, BATCH_CONFIRMED);
    batcher_tick(batcher, BATCHER_OVERDUE_MS);
    ck_assert_uint_eq(batcher_inflight(batcher), 0);
    for (uint32_t shard = 0; shard < 3; shard++) { /* overdue ones hold nobody up any more */
        ck_assert_int_eq(add(shard, 30 + shard, BATCHER_OVERDUE_MS), 0);
        ck_assert_uint_eq(send_wave(BATCHER_OVERDUE_MS), 1);
        batcher_settle(batcher, sequence, BATCH_CONFIRMED);
    }
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 9);
    ck_assert_uint_eq(batcher_overdue(batcher), 5);
}
END_TEST

START_TEST(shards_leave_in_the_order_they_came)
{
    static const uint32_t order[] = {7, 2, 9, 0};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(add(order[i], i, 0), 0);
    for (size_t i = 0; i < 4; i++) {
        struct batch *batch = batcher_next(batcher, 0);
        ck_assert_uint_eq(batch->shard, order[i]);
        batcher_sent(batcher, batch, i + 1, 0);
    }
}
END_TEST

START_TEST(a_message_has_256_jobs_at_most)
{
    for (size_t i = 0; i < 600; i++)
        ck_assert_int_eq(add(1, i, 0), 0);
    size_t sizes[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        struct batch *batch = batcher_next(batcher, 0);
        if (batch == NULL)
            break;
        sizes[i] = batch->count;
        ck_assert_uint_le(batch->body.len, JOB_MESSAGE_MAX);
        /* in the order they came, without a gap */
        for (size_t j = 0; j < batch->count; j++)
            ck_assert_uint_eq((size_t)(uintptr_t)batch->waiters[j], (i > 0 ? sizes[0] : 0) +
                                                                        (i > 1 ? sizes[1] : 0) +
                                                                        (i > 2 ? sizes[2] : 0) + j);
        batcher_sent(batcher, batch, i + 1, 0);
        batcher_settle(batcher, i + 1, BATCH_CONFIRMED);
    }
    ck_assert_uint_eq(sizes[0], 256);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 600);
}
END_TEST

START_TEST(a_message_has_a_bound_in_bytes)
{
    char user[256];
    memset(user, '"', 255); /* each needs two bytes */
    user[255] = '\0';
    struct job one = job(user);
    for (size_t i = 0; i < 200; i++)
        ck_assert_int_eq(batcher_add(batcher, 1, &one, (void *)(uintptr_t)i, 0), 0);
    size_t jobs = 0;
    while (jobs < 200) {
        struct batch *batch = batcher_next(batcher, 0);
        ck_assert_ptr_nonnull(batch);
        ck_assert_uint_le(batch->body.len, JOB_MESSAGE_MAX);
        json_t *message =
            json_loadb(batch->body.data, batch->body.len, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_uint_eq(json_array_size(json_object_get(message, "jobs")), batch->count);
        json_decref(message);
        jobs += batch->count;
        batcher_sent(batcher, batch, ++sequence, 0);
        batcher_settle(batcher, sequence, BATCH_CONFIRMED);
    }
    ck_assert_uint_ge(sequence, 2);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 200);
}
END_TEST

START_TEST(jobs_are_bounded)
{
    for (size_t i = 0; i < JOBS; i++)
        ck_assert_int_eq(add((uint32_t)(i % SHARDS), i, 0), 0);
    ck_assert_int_eq(add(0, JOBS, 0), ERR_FULL);
    ck_assert_uint_gt(send_next(0), 0);
    ck_assert_int_eq(add(0, JOBS, 0), ERR_FULL); /* what is on its way counts as well */
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_int_eq(add(0, JOBS, 0), 0);
}
END_TEST

START_TEST(a_refused_message)
{
    ck_assert_int_eq(add(3, 1, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
    ck_assert_int_eq(add(3, 2, 0), 0);
    batcher_settle(batcher, 1, BATCH_REFUSED);
    ck_assert_uint_eq(fates[BATCH_REFUSED], 1);
    ck_assert_uint_eq(send_next(0), 1); /* the next one tries for itself */
}
END_TEST

START_TEST(an_unknown_sequence_settles_nothing)
{
    ck_assert_int_eq(add(3, 1, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
    batcher_settle(batcher, 99, BATCH_CONFIRMED);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 0);
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 1);
}
END_TEST

START_TEST(an_overdue_message_stops_only_its_shard)
{
    for (uint32_t shard = 0; shard < INFLIGHT; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    ck_assert_uint_eq(send_wave(0), INFLIGHT);
    ck_assert_int_eq(add(0, 20, 0), 0);
    ck_assert_int_eq(add(9, 21, 0), 0);
    batcher_tick(batcher, BATCHER_OVERDUE_MS - 1);
    ck_assert_uint_eq(send_next(0), 0);
    for (uint32_t shard = 1; shard < INFLIGHT; shard++)
        batcher_settle(batcher, shard + 1, BATCH_CONFIRMED);
    ck_assert_int_eq(add(9, 22, BATCHER_OVERDUE_MS - 1), 0);
    batcher_tick(batcher, BATCHER_OVERDUE_MS);
    ck_assert_uint_eq(batcher_inflight(batcher), 0);
    ck_assert_int_eq(last_fate[20], BATCH_OVERLOADED); /* it was gathered behind */
    ck_assert_int_eq(add(0, 23, BATCHER_OVERDUE_MS), ERR_UNAVAILABLE);
    ck_assert_uint_eq(send_next(BATCHER_OVERDUE_MS), 2);
    ck_assert_uint_eq(told[0], 0);
    batcher_settle(batcher, 1, BATCH_CONFIRMED); /* late, but before 5 s: still a 202 */
    ck_assert_int_eq(last_fate[0], BATCH_CONFIRMED);
    ck_assert_uint_eq(told[0], 1);
    ck_assert_int_eq(add(0, 23, BATCHER_OVERDUE_MS), 0);
}
END_TEST

START_TEST(no_confirm_in_time_is_unknown_once)
{
    ck_assert_int_eq(add(0, 1, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
    batcher_tick(batcher, BATCHER_OVERDUE_MS);
    batcher_tick(batcher, BATCHER_UNKNOWN_MS - 1);
    ck_assert_uint_eq(told[1], 0);
    batcher_tick(batcher, BATCHER_UNKNOWN_MS);
    ck_assert_int_eq(last_fate[1], BATCH_UNKNOWN);
    ck_assert_int_eq(add(0, 2, BATCHER_UNKNOWN_MS), ERR_UNAVAILABLE);
    batcher_tick(batcher, 2 * BATCHER_UNKNOWN_MS);
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(told[1], 1);
    ck_assert_int_eq(add(0, 2, 2 * BATCHER_UNKNOWN_MS), 0);
    ck_assert_uint_eq(batcher_jobs(batcher), 1);
}
END_TEST

START_TEST(a_turn_that_does_not_come)
{
    for (uint32_t shard = 0; shard < SHARDS; shard++)
        ck_assert_int_eq(add(shard, shard, 500), 0);
    while (send_next(2499) > 0)
        ;
    batcher_tick(batcher, 500 + BATCHER_GATHER_MS);
    ck_assert_uint_eq(fates[BATCH_OVERLOADED], SHARDS - INFLIGHT);
    ck_assert_uint_eq(batcher_jobs(batcher), INFLIGHT);
    for (uint64_t i = 1; i <= INFLIGHT; i++)
        batcher_settle(batcher, i, BATCH_CONFIRMED);
    ck_assert_ptr_null(batcher_next(batcher, 0));
}
END_TEST

START_TEST(a_lost_channel)
{
    for (uint32_t shard = 0; shard < SHARDS; shard++)
        ck_assert_int_eq(add(shard, shard, 0), 0);
    while (send_next(0) > 0)
        ;
    ck_assert_int_eq(add(0, 20, 0), 0);
    batcher_tick(batcher, BATCHER_OVERDUE_MS);
    batcher_lost(batcher);
    ck_assert_uint_eq(fates[BATCH_UNKNOWN], INFLIGHT);
    ck_assert_uint_eq(fates[BATCH_UNAVAILABLE] + fates[BATCH_OVERLOADED], SHARDS - INFLIGHT + 1);
    ck_assert_uint_eq(batcher_jobs(batcher), 0);
    ck_assert_uint_eq(batcher_inflight(batcher), 0);
    ck_assert_ptr_null(batcher_next(batcher, 0));
    ck_assert_int_eq(add(0, 21, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
}
END_TEST

START_TEST(a_blocked_broker)
{
    ck_assert_int_eq(add(0, 1, 0), 0);
    ck_assert_uint_eq(send_next(0), 1);
    ck_assert_int_eq(add(0, 2, 0), 0);
    ck_assert_int_eq(add(1, 3, 0), 0);
    batcher_refuse(batcher);
    ck_assert_uint_eq(fates[BATCH_UNAVAILABLE], 2);
    ck_assert_uint_eq(told[1], 0); /* its confirm may still come */
    batcher_settle(batcher, 1, BATCH_CONFIRMED);
    ck_assert_uint_eq(fates[BATCH_CONFIRMED], 1);
}
END_TEST

/* Any mixture of what can happen: each job has exactly one fate, and the bounds hold throughout. */
START_TEST(every_job_has_one_fate)
{
    unsigned long state = 42;
    uint64_t now_ms = 0;
    size_t waiter = 0;
    uint64_t open_from = 1;
    while (waiter < 20000) {
        state = state * 6364136223846793005UL + 1442695040888963407UL;
        unsigned what = (unsigned)(state >> 40) % 100;
        uint32_t shard = (uint32_t)(state >> 33) % SHARDS;
        if (what < 70)
            waiter += add(shard, waiter, now_ms) == 0;
        else if (what < 85)
            (void)send_next(now_ms);
        else if (what < 97 && sequence >= open_from)
            batcher_settle(batcher, open_from + (state >> 20) % (sequence - open_from + 1),
                           what < 96 ? BATCH_CONFIRMED : BATCH_REFUSED);
        else if (what == 97)
            batcher_tick(batcher, now_ms += (state >> 45) % 300);
        else if (what == 98 && (state >> 50) % 50 == 0) {
            batcher_lost(batcher);
            open_from = sequence + 1;
        } else if (what == 99 && (state >> 50) % 50 == 0)
            batcher_refuse(batcher);
        ck_assert_uint_le(batcher_inflight(batcher), INFLIGHT);
        ck_assert_uint_le(batcher_jobs(batcher), JOBS);
    }
    batcher_lost(batcher);
    ck_assert_uint_eq(batcher_jobs(batcher), 0);
    for (size_t i = 0; i < waiter; i++)
        ck_assert_uint_eq(told[i], 1);
}
END_TEST

/* ---- whether it is crowded ---- */

/* Adds so many jobs, to some shards in turn, and sends what may leave. */
static void crowd(size_t count, uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        (void)batcher_crowded(batcher, now_ms);
        ck_assert_int_eq(add((uint32_t)(i % INFLIGHT), i, now_ms), 0);
    }
    (void)send_wave(now_ms);
}

/* The broker confirms all that was sent since `first`; the next ones leave. */
static void confirm_all(uint64_t first, uint64_t now_ms)
{
    for (uint64_t last = sequence; first <= last; first++)
        batcher_settle(batcher, first, BATCH_CONFIRMED);
    (void)send_wave(now_ms);
}

/* So many jobs come each `step_ms` from 1000 on, and the broker confirms those before. Returns the
 * first message that it has not confirmed. */
static uint64_t steadily(size_t jobs, int times, uint64_t step_ms, uint64_t *ret_now_ms)
{
    uint64_t now_ms = 1000;
    uint64_t first = 1;
    crowd(jobs, now_ms);
    for (int i = 0; i < times; i++) {
        now_ms += step_ms;
        uint64_t sent = sequence;
        confirm_all(first, now_ms);
        first = sent + 1;
        crowd(jobs, now_ms);
        ck_assert(!batcher_crowded(batcher, now_ms));
    }
    *ret_now_ms = now_ms;
    return first;
}

START_TEST(a_crowd_at_once_is_not_too_much)
{
    crowd(JOBS, 1000);
    ck_assert(!batcher_crowded(batcher, 1000));
    ck_assert(!batcher_crowded(batcher, 1000 + BATCHER_SLOW_MS - 1));
    ck_assert(batcher_crowded(batcher, 1000 + BATCHER_SLOW_MS)); /* nothing was confirmed */
}
END_TEST

/* Four jobs a millisecond are confirmed: with so many before it, the next one waits as long. */
START_TEST(it_is_crowded_if_the_next_job_would_wait_too_long)
{
    uint64_t now_ms;
    uint64_t first = steadily(400, 10, 100, &now_ms);
    now_ms += 80;
    ck_assert(!batcher_crowded(batcher, now_ms));
    crowd(300, now_ms);
    ck_assert(batcher_crowded(batcher, now_ms));
    confirm_all(first, now_ms + 20);
    ck_assert(!batcher_crowded(batcher, now_ms + 99)); /* the 300 are left */
}
END_TEST

/* Two jobs a millisecond are confirmed. Once too many came, the young queue is not filled up anew.
 */
START_TEST(it_stays_crowded_for_as_long_as_too_many_wait)
{
    uint64_t now_ms;
    uint64_t first = steadily(200, 6, 100, &now_ms);
    crowd(250, now_ms);
    ck_assert(batcher_crowded(batcher, now_ms + BATCHER_SLOW_MS));
    uint64_t sent = sequence;
    confirm_all(first, now_ms + 100);
    first = sent + 1;
    crowd(200, now_ms + 100); /* all but these are confirmed */
    confirm_all(first, now_ms + 101);
    crowd(100, now_ms + 101);
    ck_assert(!batcher_crowded(batcher, now_ms + 101));
    crowd(300, now_ms + 101); /* none of them is old */
    ck_assert(batcher_crowded(batcher, now_ms + 102));
}
END_TEST

START_TEST(a_short_stop_of_a_quick_broker_is_waited_for)
{
    uint64_t now_ms;
    (void)steadily(400, 40, 10, &now_ms); /* 40 jobs a millisecond */
    ck_assert(!batcher_crowded(batcher, now_ms + 100));
    int ms = 100;
    while (ms < 1000 && !batcher_crowded(batcher, now_ms + (uint64_t)ms))
        ms += 100;
    ck_assert_int_le(ms, 600);
}
END_TEST

START_TEST(a_silent_broker_gets_few_jobs_more)
{
    crowd(BATCHER_FEW_JOBS - 1, 1000);
    ck_assert(!batcher_crowded(batcher, 1900));
    ck_assert_int_eq(add(0, 1, 1900), 0);
    ck_assert(batcher_crowded(batcher, 1900));
}
END_TEST

START_TEST(one_shard_that_stands_still_crowds_nobody)
{
    uint64_t now_ms = 1000;
    ck_assert(!batcher_crowded(batcher, now_ms));
    for (size_t i = 0; i < BATCHER_FEW_JOBS; i++) /* they fill its message */
        ck_assert_int_eq(add(0, i, now_ms), 0);
    ck_assert_uint_gt(send_next(now_ms), 0); /* never confirmed */
    for (int i = 0; i < 300; i++) {
        now_ms += 10;
        size_t each = now_ms < 2000 ? 40 : 1; /* fewer come once it is overdue */
        batcher_tick(batcher, now_ms);
        for (size_t n = 0; n < each; n++)
            ck_assert_int_eq(add(1, n, now_ms), 0);
        ck_assert_uint_gt(send_next(now_ms), 0);
        batcher_settle(batcher, sequence, BATCH_CONFIRMED);
        ck_assert(!batcher_crowded(batcher, now_ms));
    }
}
END_TEST

START_TEST(what_was_confirmed_at_leisure_says_nothing)
{
    for (uint64_t now_ms = 1000; now_ms < 2000; now_ms += 50) { /* 20 a second */
        crowd(1, now_ms);
        batcher_settle(batcher, sequence, BATCH_CONFIRMED);
        ck_assert(!batcher_crowded(batcher, now_ms));
    }
    crowd(300, 2000);
    ck_assert_uint_eq(sequence, 20 + INFLIGHT);
    for (uint64_t n = 1; n <= INFLIGHT - 1; n++) /* most of them, after 70 ms */
        batcher_settle(batcher, 20 + n, BATCH_CONFIRMED);
    crowd(250, 2071);
    ck_assert(!batcher_crowded(batcher, 2080)); /* the rest takes 70 ms, too */
}
END_TEST

START_TEST(a_message_without_a_word_for_ten_seconds_is_named_and_can_be_forgotten)
{
    uint32_t shard = 99;
    ck_assert_int_eq(add(3, 1, 0), 0);
    ck_assert_uint_eq(send_next(500), 1);
    batcher_tick(batcher, 500 + BATCHER_UNKNOWN_MS);
    ck_assert_uint_eq(fates[BATCH_UNKNOWN], 1);
    ck_assert_int_eq(add(3, 2, 6000), ERR_UNAVAILABLE);
    ck_assert(!batcher_silent(batcher, 500 + BATCHER_SILENT_MS - 1, &shard));
    ck_assert(batcher_silent(batcher, 500 + BATCHER_SILENT_MS, &shard));
    ck_assert_uint_eq(shard, 3);
    batcher_forget(batcher, shard);
    ck_assert(!batcher_silent(batcher, 60000, &shard));
    ck_assert_uint_eq(told[1], 1);
    ck_assert_int_eq(add(3, 2, 11000), 0); /* the shard goes on */
    ck_assert_uint_eq(send_next(11000), 1);
    batcher_settle(batcher, 1, BATCH_CONFIRMED); /* late: it is of nothing any more */
    ck_assert_uint_eq(told[2], 0);
    batcher_settle(batcher, 2, BATCH_CONFIRMED);
    ck_assert_int_eq(last_fate[2], BATCH_CONFIRMED);
    ck_assert_uint_eq(batcher_inflight(batcher), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batcher");
    TCase *tc = tcase_create("batcher");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, one_job_leaves_at_once);
    tcase_add_test(tc, jobs_gather_behind_their_shards_message);
    tcase_add_test(tc, a_job_that_comes_after_sealing_waits_for_the_next_message);
    tcase_add_test(tc, at_most_inflight_messages);
    tcase_add_test(tc, the_next_wave_leaves_together_when_four_are_left);
    tcase_add_test(tc, a_job_waits_for_no_four_messages);
    tcase_add_test(tc, a_wave_that_the_socket_interrupts_goes_on);
    tcase_add_test(tc, lost_confirms_hold_a_wave_up_for_its_time_at_most);
    tcase_add_test(tc, shards_leave_in_the_order_they_came);
    tcase_add_test(tc, a_message_has_256_jobs_at_most);
    tcase_add_test(tc, a_message_has_a_bound_in_bytes);
    tcase_add_test(tc, jobs_are_bounded);
    tcase_add_test(tc, a_refused_message);
    tcase_add_test(tc, an_unknown_sequence_settles_nothing);
    tcase_add_test(tc, an_overdue_message_stops_only_its_shard);
    tcase_add_test(tc, no_confirm_in_time_is_unknown_once);
    tcase_add_test(tc, a_turn_that_does_not_come);
    tcase_add_test(tc, a_lost_channel);
    tcase_add_test(tc, a_blocked_broker);
    tcase_add_test(tc, every_job_has_one_fate);
    tcase_add_test(tc, a_crowd_at_once_is_not_too_much);
    tcase_add_test(tc, it_is_crowded_if_the_next_job_would_wait_too_long);
    tcase_add_test(tc, it_stays_crowded_for_as_long_as_too_many_wait);
    tcase_add_test(tc, a_short_stop_of_a_quick_broker_is_waited_for);
    tcase_add_test(tc, a_silent_broker_gets_few_jobs_more);
    tcase_add_test(tc, one_shard_that_stands_still_crowds_nobody);
    tcase_add_test(tc, what_was_confirmed_at_leisure_says_nothing);
    tcase_add_test(tc, a_message_without_a_word_for_ten_seconds_is_named_and_can_be_forgotten);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
