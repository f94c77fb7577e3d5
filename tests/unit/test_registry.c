#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "notifier/registry.h"

static int join(struct hub *hub, const char *user, struct hub_member *member, bool *ret_first)
{
    memset(member, 0, sizeof *member);
    return hub_join(hub, user, member, ret_first);
}

START_TEST(first_and_last_socket_of_a_user_are_told)
{
    struct hub *hub = hub_new(10, 3);
    struct hub_member a, b, c;
    bool first = false;
    ck_assert_int_eq(join(hub, "ann", &a, &first), 0);
    ck_assert(first);
    ck_assert_int_eq(join(hub, "ann", &b, &first), 0);
    ck_assert(!first);
    ck_assert_int_eq(join(hub, "bob", &c, &first), 0);
    ck_assert(first);
    ck_assert_uint_eq(hub_users(hub), 2);
    ck_assert_uint_eq(hub_members(hub), 3);
    ck_assert(!hub_leave(hub, &a));
    ck_assert(hub_leave(hub, &b));
    ck_assert_ptr_null(hub_find(hub, "ann", 3));
    ck_assert_ptr_nonnull(hub_find(hub, "bob", 3));
    ck_assert(hub_leave(hub, &c));
    ck_assert_uint_eq(hub_users(hub) + hub_members(hub), 0);
    hub_free(hub);
}
END_TEST

START_TEST(limits_hold_for_a_user_and_for_all)
{
    struct hub *hub = hub_new(4, 2);
    struct hub_member m[5];
    bool first = false;
    ck_assert_int_eq(join(hub, "ann", &m[0], &first), 0);
    ck_assert_int_eq(join(hub, "ann", &m[1], &first), 0);
    ck_assert_int_eq(hub_room(hub, "ann"), ERR_REFUSED);
    ck_assert_int_eq(join(hub, "ann", &m[2], &first), ERR_REFUSED);
    ck_assert_ptr_null(m[2].user);
    ck_assert_int_eq(hub_room(hub, "bob"), 0);
    ck_assert_int_eq(join(hub, "bob", &m[2], &first), 0);
    ck_assert_int_eq(join(hub, "cy", &m[3], &first), 0);
    ck_assert_int_eq(hub_room(hub, "dan"), ERR_FULL);
    ck_assert_int_eq(join(hub, "dan", &m[4], &first), ERR_FULL);
    ck_assert(!hub_leave(hub, &m[0]));
    ck_assert_int_eq(hub_room(hub, "ann"), 0);
    for (int i = 1; i < 4; i++)
        (void)hub_leave(hub, &m[i]);
    hub_free(hub);
}
END_TEST

START_TEST(names_are_compared_whole)
{
    struct hub *hub = hub_new(10, 10);
    static const char *const names[] = {"a", "ab", "abc", "b", "A", "a b", "\xc3\xa9"};
    struct hub_member m[ARRAY_LEN(names)];
    bool first = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_int_eq(join(hub, names[i], &m[i], &first), 0);
        ck_assert(first);
    }
    ck_assert_str_eq(hub_user_name(hub_find(hub, "abc", 2)), "ab");
    ck_assert_ptr_null(hub_find(hub, "abcd", 4));
    ck_assert_ptr_null(hub_find(hub, "", 0));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert(hub_leave(hub, &m[i]));
    hub_free(hub);
}
END_TEST

START_TEST(a_name_too_long_is_refused)
{
    struct hub *hub = hub_new(10, 10);
    char name[HUB_USER_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct hub_member m;
    bool first = false;
    ck_assert_int_eq(join(hub, name, &m, &first), ERR_INVALID);
    name[HUB_USER_MAX] = '\0';
    ck_assert_int_eq(join(hub, name, &m, &first), 0);
    ck_assert_ptr_eq(hub_find(hub, name, HUB_USER_MAX), m.user);
    ck_assert(hub_leave(hub, &m));
    hub_free(hub);
}
END_TEST

struct visit {
    struct hub *hub;
    size_t count;
    bool leave;
};

static void visit_member(struct hub_member *member, void *arg)
{
    struct visit *visit = arg;
    visit->count++;
    if (visit->leave)
        (void)hub_leave(visit->hub, member);
}

START_TEST(a_visited_member_may_leave)
{
    struct hub *hub = hub_new(100, 10);
    struct hub_member m[6];
    bool first = false;
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(join(hub, i < 4 ? "ann" : "bob", &m[i], &first), 0);
    struct visit visit = {.hub = hub};
    hub_each(hub_find(hub, "ann", 3), visit_member, &visit);
    ck_assert_uint_eq(visit.count, 4);
    visit = (struct visit){.hub = hub, .leave = true};
    hub_each(hub_find(hub, "ann", 3), visit_member, &visit);
    ck_assert_uint_eq(visit.count, 4);
    ck_assert_uint_eq(hub_users(hub), 1);
    visit.count = 0;
    hub_each_all(hub, visit_member, &visit);
    ck_assert_uint_eq(visit.count, 2);
    ck_assert_uint_eq(hub_users(hub) + hub_members(hub), 0);
    hub_free(hub);
}
END_TEST

START_TEST(what_is_known_of_a_user_goes_with_the_last_socket)
{
    struct hub *hub = hub_new(100, 10);
    struct hub_member m;
    bool first = false;
    ck_assert_int_eq(join(hub, "ann", &m, &first), 0);
    ck_assert(!hub_user_heard(m.user));
    hub_user_set_heard(m.user, true);
    ck_assert(hub_leave(hub, &m));
    ck_assert_int_eq(join(hub, "ann", &m, &first), 0);
    ck_assert(first);
    ck_assert(!hub_user_heard(m.user));
    (void)hub_leave(hub, &m);
    hub_free(hub);
}
END_TEST

START_TEST(many_users_come_and_go_in_any_order)
{
    enum { COUNT = 5000 };
    struct hub *hub = hub_new(COUNT, 3);
    struct hub_member *m = calloc(COUNT, sizeof *m);
    char name[32];
    bool first = false;
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "user-%u", (i * 2654435761U) % 2500U);
        int code = hub_join(hub, name, &m[i], &first);
        ck_assert(code == 0 || code == ERR_REFUSED);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = (i * 1021U) % COUNT; /* coprime: each once */
        if (m[at].user != NULL)
            (void)hub_leave(hub, &m[at]);
    }
    ck_assert_uint_eq(hub_users(hub) + hub_members(hub), 0);
    free(m);
    hub_free(hub);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hub");
    TCase *tests = tcase_create("hub");
    tcase_add_test(tests, first_and_last_socket_of_a_user_are_told);
    tcase_add_test(tests, limits_hold_for_a_user_and_for_all);
    tcase_add_test(tests, names_are_compared_whole);
    tcase_add_test(tests, a_name_too_long_is_refused);
    tcase_add_test(tests, a_visited_member_may_leave);
    tcase_add_test(tests, what_is_known_of_a_user_goes_with_the_last_socket);
    tcase_add_test(tests, many_users_come_and_go_in_any_order);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
