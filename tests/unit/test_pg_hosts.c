#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/pg/pg_queue.h"
#include "common/net/pg/pg_url.h"

static void expect_host(const char *names, const char *ports, unsigned turn, const char *name,
                        const char *port)
{
    struct pg_host host;
    ck_assert_int_eq(pg_hosts_pick(names, ports, turn, &host), 0);
    ck_assert_str_eq(host.name, name);
    ck_assert_str_eq(host.port, port);
}

START_TEST(hosts_take_turns)
{
    expect_host("a,b,c", "1,2,3", 0, "a", "1");
    expect_host("a,b,c", "1,2,3", 1, "b", "2");
    expect_host("a,b,c", "1,2,3", 5, "c", "3");
    expect_host("a,b", "5432", 1, "b", "5432");
    expect_host("a", "", 7, "a", "");
    expect_host("", "", 3, "", "");
}
END_TEST

START_TEST(lists_that_do_not_match_are_refused)
{
    struct pg_host host;
    char name[PG_HOSTS_NAME_SIZE + 1];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(pg_hosts_pick("a,b", "1,2,3", 0, &host), ERR_INVALID);
    ck_assert_int_eq(pg_hosts_pick(name, "", 0, &host), ERR_INVALID);
    ck_assert_int_eq(pg_hosts_pick("a", "123456789", 0, &host), ERR_INVALID);
}
END_TEST

START_TEST(directories_need_no_lookup)
{
    static const struct {
        const char *name;
        bool resolvable;
    } cases[] = {{"", false},
                 {"/run/postgresql", false},
                 {"@abstract", false},
                 {"pg", true},
                 {"127.0.0.1", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pg_host host = {.port = ""};
        (void)snprintf(host.name, sizeof host.name, "%s", cases[i].name);
        ck_assert_int_eq(pg_hosts_resolvable(&host), cases[i].resolvable);
    }
}
END_TEST

START_TEST(an_address_resolves_to_itself)
{
    struct pg_addresses addresses;
    char reason[128];
    ck_assert_int_eq(pg_hosts_resolve("127.0.0.1", 0, &addresses, reason, sizeof reason), 0);
    ck_assert_str_eq(addresses.names, "127.0.0.1");
    ck_assert_str_eq(addresses.addresses, "127.0.0.1");
    ck_assert_int_eq(pg_hosts_resolve("::1", 3, &addresses, reason, sizeof reason), 0);
    ck_assert_str_eq(addresses.addresses, "::1");
}
END_TEST

START_TEST(the_ring_keeps_its_order_while_it_grows)
{
    struct pg_ring ring = {0};
    size_t taken = 0;
    for (size_t i = 0; i < 1000; i++) {
        struct pg_sent sent = {.arg = (void *)(i + 1)};
        ck_assert_int_eq(pg_ring_push(&ring, &sent), 0);
        if (i % 3 == 0) { /* the beginning moves through the ring */
            ck_assert_uint_eq((size_t)pg_ring_head(&ring)->arg, ++taken);
            pg_ring_pop(&ring);
        }
    }
    while (pg_ring_head(&ring) != NULL) {
        ck_assert_uint_eq((size_t)pg_ring_head(&ring)->arg, ++taken);
        pg_ring_pop(&ring);
    }
    ck_assert_uint_eq(taken, 1000);
    pg_ring_free(&ring);
}
END_TEST

START_TEST(what_is_held_back_is_a_copy)
{
    static const struct pg_statement statement = {"s", "select $1, $2, $3", 3};
    char first[] = "one";
    const char *const params[] = {first, NULL, ""};
    struct pg_line line = {0};
    pg_line_push(&line, pg_held_new(&statement, params, 3, NULL, NULL));
    pg_line_push(&line, pg_held_new(NULL, params, 1, NULL, NULL));
    first[0] = 'X';
    ck_assert_uint_eq(line.count, 2);
    struct pg_held *held = pg_line_pop(&line);
    ck_assert_ptr_eq(held->statement, &statement);
    ck_assert_str_eq(held->params[0], "one");
    ck_assert_ptr_null(held->params[1]);
    ck_assert_str_eq(held->params[2], "");
    free(held);
    held = pg_line_pop(&line);
    ck_assert_ptr_null(held->statement);
    free(held);
    ck_assert_ptr_null(pg_line_pop(&line));
    ck_assert_uint_eq(line.count, 0);
}
END_TEST

START_TEST(urls)
{
    static const struct {
        const char *url;
        const char *problem; /* NULL: right */
    } cases[] = {
        {"postgresql://u:p@h:5432/d", NULL},
        {"postgres://h/d?sslmode=require", NULL},
        {"postgresql://h1:1,h2:2/d?target_session_attrs=read-write", NULL},
        {"postgresql:///d?host=/run/postgresql", NULL},
        {"postgresql://u:p%40ss@[::1]:5432/d", NULL},
        {"host=h", "postgresql://"},
        {"postgresql://h:0/d", "out of range"},
        {"postgresql://h:65536/d", "out of range"},
        {"postgresql://h1:1,h2:99999999999999999999/d", "out of range"},
        {"postgresql://h:1x/d", "not a number"},
        {"postgresql://u:p%zz@h/d", "malformed"},
        {"postgresql://h/d?nonsense=1", "malformed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *problem = NULL;
        int code = pg_url_check(cases[i].url, &problem);
        if (cases[i].problem == NULL) {
            ck_assert_msg(code == 0, "%s: %s", cases[i].url, problem);
        } else {
            ck_assert_int_eq(code, ERR_PARSE);
            ck_assert_msg(strstr(problem, cases[i].problem) != NULL, "%s: %s", cases[i].url,
                          problem);
        }
    }
}
END_TEST

START_TEST(hosts_of_a_url_one_by_one)
{
    static const char *const list = "postgresql://u@a:5433,b/d?hostaddr=192.0.2.1,192.0.2.2";
    struct pg_host host, address;
    ck_assert_uint_eq(pg_url_hosts(list), 2);
    ck_assert_int_eq(pg_url_host(list, 0, &host, &address), 0);
    ck_assert_str_eq(host.name, "a");
    ck_assert_str_eq(host.port, "5433");
    ck_assert_str_eq(address.name, "192.0.2.1");
    ck_assert_str_eq(address.port, "5433");
    ck_assert_int_eq(pg_url_host(list, 1, &host, &address), 0);
    ck_assert_str_eq(host.name, "b");
    ck_assert_str_eq(address.name, "192.0.2.2");

    static const char *const addresses = "postgresql:///d?hostaddr=192.0.2.1,192.0.2.2&port=6000";
    ck_assert_uint_eq(pg_url_hosts(addresses), 2);
    ck_assert_int_eq(pg_url_host(addresses, 1, &host, &address), 0);
    ck_assert_str_eq(host.name, "");
    ck_assert_str_eq(address.name, "192.0.2.2");
    ck_assert_str_eq(address.port, "6000");

    ck_assert_uint_eq(pg_url_hosts("postgresql:///d"), 1);
    ck_assert_int_eq(pg_url_host("postgresql://h/d", 0, &host, &address), 0);
    ck_assert_str_eq(host.name, "h");
    ck_assert_str_eq(address.name, "");
}
END_TEST

START_TEST(a_url_that_cannot_be_read_counts_as_one_host)
{
    struct pg_host host, address;
    ck_assert_uint_eq(pg_url_hosts("postgresql://u:p%zz@h/d"), 1);
    ck_assert_int_eq(pg_url_host("postgresql://u:p%zz@h/d", 0, &host, &address), ERR_PARSE);
    char url[PG_HOSTS_NAME_SIZE + 64];
    char name[PG_HOSTS_NAME_SIZE + 1];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)snprintf(url, sizeof url, "postgresql://%s/d", name);
    ck_assert_int_eq(pg_url_host(url, 0, &host, &address), ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_hosts");
    TCase *tests = tcase_create("pure parts of a session");
    tcase_add_test(tests, hosts_take_turns);
    tcase_add_test(tests, lists_that_do_not_match_are_refused);
    tcase_add_test(tests, directories_need_no_lookup);
    tcase_add_test(tests, an_address_resolves_to_itself);
    tcase_add_test(tests, the_ring_keeps_its_order_while_it_grows);
    tcase_add_test(tests, what_is_held_back_is_a_copy);
    tcase_add_test(tests, urls);
    tcase_add_test(tests, hosts_of_a_url_one_by_one);
    tcase_add_test(tests, a_url_that_cannot_be_read_counts_as_one_host);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
