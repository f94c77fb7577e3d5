#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "notifier/registry.h"

static int join(struct registry *registry, const char *user, struct registry_member *member,
                bool *ret_first)
{
    memset(member, 0, sizeof *member);
    return registry_join(registry, user, member, ret_first);
}

START_TEST(first_and_last_socket_of_a_user_are_told)
{
    struct registry *registry = registry_new(10, 3);
    struct registry_member a, b, c;
    bool first = false;
    ck_assert_int_eq(join(registry, "ann", &a, &first), 0);
    ck_assert(first);
    ck_assert_int_eq(join(registry, "ann", &b, &first), 0);
    ck_assert(!first);
    ck_assert_int_eq(join(registry, "bob", &c, &first), 0);
    ck_assert(first);
    ck_assert_uint_eq(registry_users(registry), 2);
    ck_assert_uint_eq(registry_members(registry), 3);
    ck_assert(!registry_leave(registry, &a));
    ck_assert(registry_leave(registry, &b));
    ck_assert_ptr_null(registry_find(registry, "ann", 3));
    ck_assert_ptr_nonnull(registry_find(registry, "bob", 3));
    ck_assert(registry_leave(registry, &c));
    ck_assert_uint_eq(registry_users(registry) + registry_members(registry), 0);
    registry_free(registry);
}
END_TEST

START_TEST(limits_hold_for_a_user_and_for_all)
{
    struct registry *registry = registry_new(4, 2);
    struct registry_member m[5];
    bool first = false;
    ck_assert_int_eq(join(registry, "ann", &m[0], &first), 0);
    ck_assert_int_eq(join(registry, "ann", &m[1], &first), 0);
    ck_assert_int_eq(registry_room(registry, "ann"), ERR_REFUSED);
    ck_assert_int_eq(join(registry, "ann", &m[2], &first), ERR_REFUSED);
    ck_assert_ptr_null(m[2].user);
    ck_assert_int_eq(registry_room(registry, "bob"), 0);
    ck_assert_int_eq(join(registry, "bob", &m[2], &first), 0);
    ck_assert_int_eq(join(registry, "cy", &m[3], &first), 0);
    ck_assert_int_eq(registry_room(registry, "dan"), ERR_FULL);
    ck_assert_int_eq(join(registry, "dan", &m[4], &first), ERR_FULL);
    ck_assert(!registry_leave(registry, &m[0]));
    ck_assert_int_eq(registry_room(registry, "ann"), 0);
    for (int i = 1; i < 4; i++)
        (void)registry_leave(registry, &m[i]);
    registry_free(registry);
}
END_TEST

START_TEST(names_are_compared_whole)
{
    struct registry *registry = registry_new(10, 10);
    static const char *const names[] = {"a", "ab", "abc", "b", "A", "a b", "\xc3\xa9"};
    struct registry_member m[ARRAY_LEN(names)];
    bool first = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_int_eq(join(registry, names[i], &m[i], &first), 0);
        ck_assert(first);
    }
    ck_assert_str_eq(registry_user_name(registry_find(registry, "abc", 2)), "ab");
    ck_assert_ptr_null(registry_find(registry, "abcd", 4));
    ck_assert_ptr_null(registry_find(registry, "", 0));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert(registry_leave(registry, &m[i]));
    registry_free(registry);
}
END_TEST

START_TEST(a_name_too_long_is_refused)
{
    struct registry *registry = registry_new(10, 10);
    char name[REGISTRY_USER_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct registry_member m;
    bool first = false;
    ck_assert_int_eq(join(registry, name, &m, &first), ERR_INVALID);
    name[REGISTRY_USER_MAX] = '\0';
    ck_assert_int_eq(join(registry, name, &m, &first), 0);
    ck_assert_ptr_eq(registry_find(registry, name, REGISTRY_USER_MAX), m.user);
    ck_assert(registry_leave(registry, &m));
    registry_free(registry);
}
END_TEST

struct visit {
    struct registry *registry;
    size_t count;
    bool leave;
};

static void visit_member(struct registry_member *member, void *arg)
{
    struct visit *visit = arg;
    visit->count++;
    if (visit->leave)
        (void)registry_leave(visit->registry, member);
}

START_TEST(a_visited_member_may_leave)
{
    struct registry *registry = registry_new(100, 10);
    struct registry_member m[6];
    bool first = false;
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(join(registry, i < 4 ? "ann" : "bob", &m[i], &first), 0);
    struct visit visit = {.registry = registry};
    registry_each(registry_find(registry, "ann", 3), visit_member, &visit);
    ck_assert_uint_eq(visit.count, 4);
    visit = (struct visit){.registry = registry, .leave = true};
    registry_each(registry_find(registry, "ann", 3), visit_member, &visit);
    ck_assert_uint_eq(visit.count, 4);
    ck_assert_uint_eq(registry_users(registry), 1);
    visit.count = 0;
    registry_each_all(registry, visit_member, &visit);
    ck_assert_uint_eq(visit.count, 2);
    ck_assert_uint_eq(registry_users(registry) + registry_members(registry), 0);
    registry_free(registry);
}
END_TEST

START_TEST(what_is_known_of_a_user_goes_with_the_last_socket)
{
    struct registry *registry = registry_new(100, 10);
    struct registry_member m;
    bool first = false;
    ck_assert_int_eq(join(registry, "ann", &m, &first), 0);
    ck_assert(!registry_user_heard(m.user));
    registry_user_set_heard(m.user, true);
    ck_assert(registry_leave(registry, &m));
    ck_assert_int_eq(join(registry, "ann", &m, &first), 0);
    ck_assert(first);
    ck_assert(!registry_user_heard(m.user));
    (void)registry_leave(registry, &m);
    registry_free(registry);
}
END_TEST

START_TEST(many_users_come_and_go_in_any_order)
{
    enum { COUNT = 5000 };
    struct registry *registry = registry_new(COUNT, 3);
    struct registry_member *m = calloc(COUNT, sizeof *m);
    char name[32];
    bool first = false;
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "user-%u", (i * 2654435761U) % 2500U);
        int code = registry_join(registry, name, &m[i], &first);
        ck_assert(code == 0 || code == ERR_REFUSED);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = (i * 1021U) % COUNT; /* coprime: each once */
        if (m[at].user != NULL)
            (void)registry_leave(registry, &m[at]);
    }
    ck_assert_uint_eq(registry_users(registry) + registry_members(registry), 0);
    free(m);
    registry_free(registry);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tests = tcase_create("registry");
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
