#include "consumer/pool/plan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SELF 1
#define OTHER 2
#define DEAD 3

static struct liveness liveness;
static struct plan_view view;
static struct plan_shard shard;
static struct plan_history history;
static uint64_t paused_ms; /* at the newest yield */

/* We and OTHER live and are ready; the shard is OTHER's, and so is its assignment. */
static void setup(void)
{
    const struct member_row rows[] = {
        {.id = SELF, .heartbeat = 1, .ready = true, .locked = true},
        {.id = OTHER, .heartbeat = 1, .ready = true, .locked = true},
    };
    liveness_init(&liveness, SELF);
    liveness_observe(&liveness, rows, 2, 1000);
    history = (struct plan_history){0};
    view = (struct plan_view){.self = SELF, .now_ms = 1000000, .liveness = &liveness};
    shard = (struct plan_shard){.place = {.owner = OTHER}, .owner = OTHER, .epoch = 5};
}

static void not_ready(int64_t id)
{
    const struct member_row rows[] = {
        {.id = SELF, .heartbeat = 2, .ready = id != SELF, .locked = true},
        {.id = OTHER, .heartbeat = 2, .ready = id != OTHER, .locked = true},
    };
    liveness_observe(&liveness, rows, 2, 2000);
}

static struct plan plan(void)
{
    return plan_shard(&view, &shard, &history);
}

/* For a minute, and nothing was to be said against it. */
static void we_serve_it(void)
{
    int64_t owner = shard.place.owner;
    shard.owner = SELF;
    shard.held = true;
    shard.taken_ms = view.now_ms;
    shard.place.owner = SELF;
    (void)plan();
    shard.place.owner = owner;
    view.now_ms += 60000;
}

/* The broker feeds it to us, OTHER being assigned and ready; nothing is yielded at once. */
static void it_comes_to_us(void)
{
    shard.owner = SELF;
    shard.held = true;
    shard.taken_ms = view.now_ms;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
}

/* How long it is kept from OTHER, in seconds; it is released then. */
static unsigned kept_s(void)
{
    unsigned seconds = 0;
    for (; plan().step == PLAN_KEEP && seconds < 1000; seconds++)
        view.now_ms += 1000;
    paused_ms = plan().pause_ms;
    shard.held = false;
    shard.owner = 0;
    (void)plan();
    return seconds;
}

START_TEST(a_shard_of_others_is_left_alone)
{
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    ck_assert(!plan().wanted);
    ck_assert_int_eq(plan().assigned, OTHER);
    ck_assert_ptr_null(plan().why);
}
END_TEST

START_TEST(owner_and_standby_keep_a_channel)
{
    shard.place.standby = SELF;
    ck_assert(plan().wanted);
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    shard.place = (struct assignment_place){.owner = SELF, .standby = OTHER};
    ck_assert(plan().wanted);
    ck_assert_int_eq(plan().step, PLAN_KEEP); /* its owner lives, and yields it */
}
END_TEST

START_TEST(the_assigned_owner_takes_what_is_released_by_what_it_saw)
{
    shard.place.owner = SELF;
    shard.owner = 0;
    ck_assert_int_eq(plan().step, PLAN_TAKE);
    ck_assert_int_eq(plan().epoch, 5);
    ck_assert_str_eq(plan().why, "it was released");
    shard.held = true;
    ck_assert_int_eq(plan().step, PLAN_KEEP); /* under way */
}
END_TEST

START_TEST(the_assigned_owner_takes_over_from_the_dead)
{
    shard.place.owner = SELF;
    shard.owner = DEAD;
    ck_assert_int_eq(plan().step, PLAN_TAKE);
    ck_assert_int_eq(plan().epoch, 5);
    ck_assert_str_eq(plan().why, "its owner is dead");
}
END_TEST

START_TEST(others_take_neither_the_released_nor_the_dead_ones)
{
    shard.place.standby = SELF;
    shard.owner = 0;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    shard.owner = DEAD;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
}
END_TEST

START_TEST(our_name_on_a_shard_that_we_do_not_hold_is_taken_back_whoever_is_assigned)
{
    shard.owner = SELF;
    ck_assert_int_eq(plan().step, PLAN_TAKE_BACK);
    ck_assert_str_eq(plan().why, "it was ours");
    shard.held = true;
    shard.taken_ms = view.now_ms;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
}
END_TEST

START_TEST(we_yield_to_the_assigned_owner_that_is_ready)
{
    we_serve_it();
    ck_assert_int_eq(plan().step, PLAN_YIELD);
    ck_assert_uint_eq(plan().pause_ms, 0);
    ck_assert_str_eq(plan().why, "another member is its assigned owner");
    not_ready(OTHER);
    ck_assert_int_eq(plan().step, PLAN_KEEP);
}
END_TEST

START_TEST(we_yield_not_before_the_others_have_seen_the_assignment)
{
    we_serve_it();
    view.reassigned = true;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
}
END_TEST

START_TEST(a_young_ownership_is_kept)
{
    we_serve_it();
    view.now_ms = shard.taken_ms + PLAN_YIELD_AGE_MS - 1;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    view.now_ms++;
    ck_assert_int_eq(plan().step, PLAN_YIELD);
}
END_TEST

START_TEST(a_shard_that_comes_back_from_its_assigned_owner_is_kept_longer_each_time)
{
    static const unsigned ages_s[] = {6, 12, 24, 48, 60, 60};
    for (size_t i = 0; i < sizeof ages_s / sizeof ages_s[0]; i++) {
        it_comes_to_us();
        ck_assert_uint_eq(kept_s(), ages_s[i]);
        ck_assert_uint_eq(paused_ms, PLAN_BOUNCED_PAUSE_MS);
    }
    view.now_ms += 120000; /* the owner keeps it at last */
    it_comes_to_us();
    ck_assert_uint_eq(kept_s(), 6);
}
END_TEST

START_TEST(what_came_from_another_owner_is_not_held_against_this_one)
{
    it_comes_to_us();
    ck_assert_uint_eq(kept_s(), 6);
    it_comes_to_us();
    history.bounced_by = DEAD;
    ck_assert_uint_eq(kept_s(), 2);
    it_comes_to_us();
    ck_assert_uint_eq(kept_s(), 6);
}
END_TEST

START_TEST(what_comes_to_us_from_an_owner_that_is_not_ready_is_no_bounce)
{
    not_ready(OTHER);
    it_comes_to_us();
    view.now_ms += 100000;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    setup();
    it_comes_to_us();
    ck_assert_uint_eq(history.age_ms, PLAN_BOUNCED_AGE_MS);
}
END_TEST

START_TEST(what_is_ours_and_assigned_to_us_is_kept)
{
    we_serve_it();
    shard.place.owner = SELF;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    ck_assert(plan().wanted);
}
END_TEST

START_TEST(without_an_assignment_we_keep_what_we_hold_and_take_nothing)
{
    shard.place = (struct assignment_place){0};
    shard.owner = 0;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    ck_assert(!plan().wanted);
    we_serve_it();
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    ck_assert(plan().wanted);
}
END_TEST

START_TEST(who_leaves_yields_all_and_takes_nothing)
{
    view.leaving = true;
    shard.place.owner = SELF;
    shard.owner = 0;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    ck_assert(!plan().wanted);
    shard.owner = SELF;
    ck_assert_int_eq(plan().step, PLAN_KEEP);
    shard.held = true;
    shard.taken_ms = view.now_ms;
    ck_assert_int_eq(plan().step, PLAN_YIELD);
    ck_assert_str_eq(plan().why, "leaving");
    ck_assert(!plan().wanted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_shard_of_others_is_left_alone);
    tcase_add_test(tcase, owner_and_standby_keep_a_channel);
    tcase_add_test(tcase, the_assigned_owner_takes_what_is_released_by_what_it_saw);
    tcase_add_test(tcase, the_assigned_owner_takes_over_from_the_dead);
    tcase_add_test(tcase, others_take_neither_the_released_nor_the_dead_ones);
    tcase_add_test(tcase,
                   our_name_on_a_shard_that_we_do_not_hold_is_taken_back_whoever_is_assigned);
    tcase_add_test(tcase, we_yield_to_the_assigned_owner_that_is_ready);
    tcase_add_test(tcase, we_yield_not_before_the_others_have_seen_the_assignment);
    tcase_add_test(tcase, a_young_ownership_is_kept);
    tcase_add_test(tcase, a_shard_that_comes_back_from_its_assigned_owner_is_kept_longer_each_time);
    tcase_add_test(tcase, what_came_from_another_owner_is_not_held_against_this_one);
    tcase_add_test(tcase, what_comes_to_us_from_an_owner_that_is_not_ready_is_no_bounce);
    tcase_add_test(tcase, what_is_ours_and_assigned_to_us_is_kept);
    tcase_add_test(tcase, without_an_assignment_we_keep_what_we_hold_and_take_nothing);
    tcase_add_test(tcase, who_leaves_yields_all_and_takes_nothing);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
