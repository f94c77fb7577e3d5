#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/shop/assignment.h"

#define SHARDS_MAX 1024

static struct assignment_place places[SHARDS_MAX];
static struct assignment_place others[SHARDS_MAX];

static uint32_t owned_by(const struct assignment_place *list, uint32_t shards, int64_t member)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shards; i++)
        count += list[i].owner == member;
    return count;
}

static uint32_t moved(const struct assignment_place *a, const struct assignment_place *b,
                      uint32_t shards)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shards; i++)
        count += a[i].owner != b[i].owner;
    return count;
}

static void assert_balanced(const int64_t *members, size_t count, uint32_t shards)
{
    ck_assert_int_eq(assignment_assign(members, count, shards, places), 0);
    uint32_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t owned = owned_by(places, shards, members[i]);
        ck_assert_uint_le(owned, assignment_capacity(count, shards));
        total += owned;
    }
    ck_assert_uint_eq(total, shards);
}

/* Whoever leaves, each of its shards goes to the standby that was named for it. */
static void assert_standbys(const int64_t *members, size_t count, uint32_t shards)
{
    for (size_t gone = 0; gone < count; gone++) {
        int64_t rest[ASSIGNMENT_MEMBERS_MAX];
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (i != gone)
                rest[kept++] = members[i];
        ck_assert_int_eq(assignment_assign(rest, kept, shards, others), 0);
        for (uint32_t i = 0; i < shards; i++) {
            if (places[i].owner != members[gone])
                continue;
            ck_assert_int_eq(places[i].standby, others[i].owner);
            ck_assert(kept == 0 || places[i].standby != places[i].owner);
        }
    }
}

START_TEST(capacity_is_fifteen_percent_above_the_mean_rounded_up)
{
    ck_assert_uint_eq(assignment_capacity(1, 16), 19);
    ck_assert_uint_eq(assignment_capacity(2, 16), 10);
    ck_assert_uint_eq(assignment_capacity(3, 16), 7);
    ck_assert_uint_eq(assignment_capacity(16, 16), 2);
    ck_assert_uint_eq(assignment_capacity(23, 20), 1);
    ck_assert_uint_eq(assignment_capacity(24, 1024), 50);
}
END_TEST

START_TEST(without_members_nobody_owns)
{
    ck_assert_int_eq(assignment_assign(NULL, 0, 16, places), 0);
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(places[i].owner, ASSIGNMENT_NONE);
        ck_assert_int_eq(places[i].standby, ASSIGNMENT_NONE);
    }
}
END_TEST

START_TEST(one_member_owns_all_without_standby)
{
    int64_t member = 7;
    ck_assert_int_eq(assignment_assign(&member, 1, 16, places), 0);
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(places[i].owner, 7);
        ck_assert_int_eq(places[i].standby, ASSIGNMENT_NONE);
    }
}
END_TEST

START_TEST(every_set_of_up_to_eight_is_balanced_with_true_standbys)
{
    for (unsigned set = 1; set < 256; set++) {
        int64_t members[8];
        size_t count = 0;
        for (int bit = 0; bit < 8; bit++)
            if ((set >> bit & 1) != 0)
                members[count++] = bit + 1;
        for (uint32_t shards = 1; shards <= 64; shards *= 4) {
            assert_balanced(members, count, shards);
            assert_standbys(members, count, shards);
        }
    }
}
END_TEST

START_TEST(the_order_of_members_does_not_matter)
{
    const int64_t up[] = {3, 8, 20, 21, 99};
    const int64_t down[] = {99, 21, 20, 8, 3};
    ck_assert_int_eq(assignment_assign(up, 5, 64, places), 0);
    ck_assert_int_eq(assignment_assign(down, 5, 64, others), 0);
    for (int i = 0; i < 64; i++) {
        ck_assert_int_eq(places[i].owner, others[i].owner);
        ck_assert_int_eq(places[i].standby, others[i].standby);
    }
}
END_TEST

/* A join must give the newcomer its share; a leave must give its shards away. With capacities some
 * others move too: at most half as many again, and never fewer than four are counted as "must". */
START_TEST(a_join_or_leave_moves_little)
{
    srand(1);
    uint64_t must_all = 0;
    uint64_t moved_all = 0;
    for (int trial = 0; trial < 2000; trial++) {
        uint32_t shards = 16U << (rand() % 3);
        size_t count = 1 + (size_t)rand() % 8;
        int64_t members[9];
        for (size_t i = 0; i <= count; i++)
            members[i] = (int64_t)i * 1000 + 1 + rand() % 1000;
        ck_assert_int_eq(assignment_assign(members, count, shards, places), 0);
        ck_assert_int_eq(assignment_assign(members, count + 1, shards, others), 0);
        uint32_t must = owned_by(others, shards, members[count]);
        must_all += must;
        moved_all += moved(places, others, shards);
    }
    ck_assert_msg(moved_all * 2 <= must_all * 3, "moved %lu, must %lu", (unsigned long)moved_all,
                  (unsigned long)must_all);
}
END_TEST

/* All pairs of a set of up to eight and the same without one of them: read forwards one has left,
 * backwards one has joined. */
START_TEST(every_change_of_up_to_eight_members_moves_little)
{
    for (uint32_t shards = 16; shards <= 256; shards *= 4) {
        uint64_t must_all = 0;
        uint64_t moved_all = 0;
        for (unsigned set = 1; set < 256; set++) {
            for (int gone = 0; gone < 8; gone++) {
                int64_t members[8];
                int64_t rest[8];
                size_t count = 0;
                size_t kept = 0;
                for (int bit = 0; bit < 8; bit++) {
                    if ((set >> bit & 1) == 0)
                        continue;
                    members[count++] = bit + 1;
                    if (bit != gone)
                        rest[kept++] = bit + 1;
                }
                if (kept == count || kept == 0)
                    continue;
                ck_assert_int_eq(assignment_assign(members, count, shards, places), 0);
                ck_assert_int_eq(assignment_assign(rest, kept, shards, others), 0);
                uint32_t must = owned_by(places, shards, gone + 1);
                uint32_t did = moved(places, others, shards);
                must_all += must;
                moved_all += did;
                ck_assert_uint_le(did * 2, must * 3 + 6); /* each by itself: but for 3 shards */
            }
        }
        ck_assert_msg(moved_all * 2 <= must_all * 3, "%u shards: moved %lu, must %lu", shards,
                      (unsigned long)moved_all, (unsigned long)must_all);
    }
}
END_TEST

START_TEST(thousands_of_random_sets_are_balanced)
{
    srand(2);
    for (int trial = 0; trial < 3000; trial++) {
        size_t count = 1 + (size_t)rand() % 20;
        int64_t members[20];
        int64_t id = 0;
        for (size_t i = 0; i < count; i++)
            members[i] = id += 1 + rand() % 50;
        assert_balanced(members, count, 1U << (rand() % 9));
    }
}
END_TEST

START_TEST(the_largest_topology_is_ranked)
{
    int64_t members[64];
    for (int i = 0; i < 64; i++)
        members[i] = i * 3 + 1;
    assert_balanced(members, 64, 1024);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rank");
    TCase *tests = tcase_create("rank");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, capacity_is_fifteen_percent_above_the_mean_rounded_up);
    tcase_add_test(tests, without_members_nobody_owns);
    tcase_add_test(tests, one_member_owns_all_without_standby);
    tcase_add_test(tests, every_set_of_up_to_eight_is_balanced_with_true_standbys);
    tcase_add_test(tests, the_order_of_members_does_not_matter);
    tcase_add_test(tests, a_join_or_leave_moves_little);
    tcase_add_test(tests, every_change_of_up_to_eight_members_moves_little);
    tcase_add_test(tests, thousands_of_random_sets_are_balanced);
    tcase_add_test(tests, the_largest_topology_is_ranked);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
