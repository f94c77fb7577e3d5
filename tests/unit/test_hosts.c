/* Which host and address comes next; and a real connect that a mute address does not stop. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/net/hosts.h"
#include "common/net/tcp_connect.h"

#define HOSTS 3
#define SEEDS 300
#define REASON_SIZE 200

START_TEST(every_host_has_its_turn)
{
    struct host_walk walk;
    host_walk_init(&walk, HOSTS, (uint64_t)_i);
    unsigned seen[HOSTS] = {0};
    for (unsigned i = 0; i < 2 * HOSTS; i++) {
        ck_assert_uint_eq(walk.round, i / HOSTS);
        seen[walk.host]++;
        host_walk_failed(&walk);
    }
    for (size_t i = 0; i < HOSTS; i++)
        ck_assert_uint_eq(seen[i], 2);
}
END_TEST

START_TEST(the_first_one_is_chosen_at_random)
{
    unsigned first[HOSTS] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct host_walk walk;
        host_walk_init(&walk, HOSTS, seed);
        first[walk.host]++;
    }
    for (size_t i = 0; i < HOSTS; i++)
        ck_assert_uint_gt(first[i], SEEDS / HOSTS / 2);
}
END_TEST

START_TEST(after_a_loss_processes_spread_over_the_others)
{
    unsigned next[HOSTS] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct host_walk walk;
        host_walk_init(&walk, HOSTS, seed);
        while (walk.host != 1)
            host_walk_failed(&walk);
        host_walk_lost(&walk);
        next[walk.host]++;
    }
    ck_assert_uint_eq(next[1], 0);
    ck_assert_uint_gt(next[0], SEEDS / 3);
    ck_assert_uint_gt(next[2], SEEDS / 3);
}
END_TEST

/* It may still be what was lost. */
START_TEST(after_two_losses_the_first_one_is_not_the_next)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct host_walk walk;
        host_walk_init(&walk, HOSTS, seed);
        size_t first = walk.host;
        host_walk_lost(&walk);
        size_t second = walk.host;
        host_walk_lost(&walk);
        ck_assert_uint_eq(walk.host, HOSTS - first - second);
        host_walk_lost(&walk);
        ck_assert_uint_eq(walk.host, first);
    }
}
END_TEST

START_TEST(of_two_hosts_a_loss_leads_to_the_other)
{
    struct host_walk walk;
    host_walk_init(&walk, 2, 7);
    for (size_t i = 0; i < 4; i++) {
        size_t lost = walk.host;
        host_walk_lost(&walk);
        ck_assert_uint_eq(walk.host, 1 - lost);
    }
}
END_TEST

START_TEST(one_host_stays)
{
    struct host_walk walk;
    host_walk_init(&walk, 1, 7);
    host_walk_lost(&walk);
    ck_assert_uint_eq(walk.host, 0);
    host_walk_failed(&walk);
    ck_assert_uint_eq(walk.host, 0);
    ck_assert_uint_eq(walk.round, 1); /* the next try begins at another of its addresses */
}
END_TEST

START_TEST(numbers_resolve_to_themselves)
{
    struct host_addresses addresses;
    char reason[REASON_SIZE] = "";
    char text[HOST_ADDRESS_SIZE];
    ck_assert_int_eq(host_resolve("127.0.0.1", 5672, 3, &addresses, reason, sizeof reason), 0);
    ck_assert_uint_eq(addresses.count, 1);
    host_address_text(&addresses, 0, text);
    ck_assert_str_eq(text, "127.0.0.1");
    ck_assert_int_eq(host_resolve("::1", 5672, 0, &addresses, reason, sizeof reason), 0);
    host_address_text(&addresses, 0, text);
    ck_assert_str_eq(text, "::1");
}
END_TEST

START_TEST(what_is_no_name_is_not_found)
{
    struct host_addresses addresses;
    char reason[REASON_SIZE] = "";
    ck_assert_int_eq(host_resolve("no..name", 1, 0, &addresses, reason, sizeof reason),
                     ERR_NOT_FOUND);
    ck_assert_str_eq(reason, "no..name: the host cannot be resolved: Name or service not known");
}
END_TEST

START_TEST(a_refused_connect_says_who)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int bound = socket(AF_INET, SOCK_STREAM, 0); /* does not listen */
    ck_assert_int_eq(bind(bound, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(getsockname(bound, (struct sockaddr *)&at, &size), 0);
    char reason[REASON_SIZE] = "";
    int fd = -1;
    ck_assert_int_eq(
        tcp_connect("127.0.0.1", ntohs(at.sin_port), 0, 1000, &fd, reason, sizeof reason),
        ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(reason, "127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(reason, "Connection refused"));
    (void)close(bound);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hosts");
    TCase *tests = tcase_create("walk, resolve, connect");
    tcase_add_loop_test(tests, every_host_has_its_turn, 0, 8);
    tcase_add_test(tests, the_first_one_is_chosen_at_random);
    tcase_add_test(tests, after_a_loss_processes_spread_over_the_others);
    tcase_add_test(tests, after_two_losses_the_first_one_is_not_the_next);
    tcase_add_test(tests, of_two_hosts_a_loss_leads_to_the_other);
    tcase_add_test(tests, one_host_stays);
    tcase_add_test(tests, numbers_resolve_to_themselves);
    tcase_add_test(tests, what_is_no_name_is_not_found);
    tcase_add_test(tests, a_refused_connect_says_who);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
