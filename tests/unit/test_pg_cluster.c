#include "common/net/pg/pg_cluster.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static struct pg_cluster cluster;
static struct pg_cluster_member member, other;
static bool asks; /* what `ask` returns */
static unsigned known;
static char ended[256]; /* why `other` was ended; "": it was not */
static char reason[256];

static bool ask(struct pg_peers *peers)
{
    (void)peers;
    return asks;
}

static void is_known(void *arg)
{
    (void)arg;
    known++;
}

static void outdated(const char *why, void *arg)
{
    if (arg == &other)
        (void)snprintf(ended, sizeof ended, "%s", why);
}

static void set_up(void)
{
    cluster = (struct pg_cluster){.ask = ask, .host_count = 2};
    TAILQ_INIT(&cluster.all);
    TAILQ_INIT(&cluster.waiting);
    member = (struct pg_cluster_member){.known = is_known, .outdated = outdated, .arg = &member};
    other = (struct pg_cluster_member){.outdated = outdated, .arg = &other};
    pg_cluster_join(&cluster, &member);
    pg_cluster_join(&cluster, &other);
    asks = false;
    known = 0;
    ended[0] = '\0';
    reason[0] = '\0';
}

static struct pg_identity identity(const char *system, int64_t timeline)
{
    struct pg_identity made = {.known = true, .timeline = timeline};
    (void)snprintf(made.system, sizeof made.system, "%s", system);
    return made;
}

/* A session of `of` at this server ends its login. */
static int login(struct pg_cluster_member *of, const char *place, const char *system,
                 int64_t timeline)
{
    pg_cluster_forget(&cluster, of);
    (void)snprintf(of->place, sizeof of->place, "%s", place);
    of->identity = identity(system, timeline);
    return pg_cluster_judge(&cluster, of, reason, sizeof reason);
}

static void found(size_t host, const char *place, const char *system, int64_t timeline)
{
    struct pg_identity of = identity(system, timeline);
    pg_cluster_found(&cluster, host, place, &of);
}

START_TEST(the_first_server_is_taken)
{
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
    ck_assert(member.up);
    ck_assert(!member.moved);
}
END_TEST

START_TEST(one_below_another_host_is_refused_by_name)
{
    pg_cluster_asking(&cluster);
    found(1, "b:2", "7", 2);
    found(0, "a:1", "7", 1);
    ck_assert_int_eq(login(&member, "a:1", "7", 1), ERR_UNAVAILABLE);
    ck_assert_str_eq(reason, "a:1 is an old primary, or has not caught up: it is at timeline 1, "
                             "and b:2 at 2");
    ck_assert(!member.up);
    ck_assert_int_eq(login(&member, "b:2", "7", 2), 0);
}
END_TEST

START_TEST(what_the_hosts_said_earlier_counts_no_more)
{
    found(1, "b:2", "7", 2);
    pg_cluster_asking(&cluster); /* and now b is dead */
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
}
END_TEST

START_TEST(a_host_of_another_cluster_says_nothing)
{
    found(1, "b:2", "8", 2);
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
}
END_TEST

START_TEST(one_below_what_the_process_has_seen_is_refused)
{
    ck_assert_int_eq(login(&member, "b:2", "7", 2), 0);
    ck_assert_int_eq(login(&other, "a:1", "7", 1), ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(reason, "and b:2 at 2"));
    ck_assert_int_eq(login(&other, "b:2", "7", 2), 0);
    ck_assert_int_eq(login(&other, "a:1", "7", 3), 0);
}
END_TEST

START_TEST(sessions_at_the_old_one_end)
{
    ck_assert_int_eq(login(&other, "a:1", "7", 1), 0);
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
    ck_assert_str_eq(ended, "");
    ck_assert_int_eq(login(&member, "b:2", "7", 2), 0);
    ck_assert_ptr_nonnull(strstr(ended, "a:1 is an old primary"));
    ck_assert(!other.up);
}
END_TEST

START_TEST(another_cluster_is_refused_while_we_run)
{
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
    ck_assert_int_eq(login(&member, "a:1", "8", 5), ERR_UNAVAILABLE);
    ck_assert_str_eq(reason, "a:1 is another cluster (8, not 7): if that is meant, restart the "
                             "programs");
}
END_TEST

START_TEST(a_server_that_hides_its_timeline_is_taken)
{
    (void)snprintf(member.place, sizeof member.place, "a:1");
    ck_assert_int_eq(pg_cluster_judge(&cluster, &member, reason, sizeof reason), 0);
    ck_assert(cluster.hidden_logged);
    ck_assert(!cluster.seen.known);
    struct pg_identity nothing = {.known = false};
    pg_cluster_found(&cluster, 1, "b:2", &nothing);
    ck_assert_int_eq(login(&other, "a:1", "7", 1), 0);
}
END_TEST

START_TEST(it_shows_whether_the_session_moved)
{
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
    ck_assert(!member.moved);
    ck_assert_int_eq(login(&member, "b:2", "7", 1), 0);
    ck_assert(member.moved);
    ck_assert_int_eq(login(&member, "b:2", "7", 1), 0);
    ck_assert(!member.moved);
    ck_assert_int_eq(login(&member, "b:2", "7", 2), 0);
    ck_assert(member.moved);
}
END_TEST

START_TEST(a_session_waits_while_the_hosts_are_asked)
{
    ck_assert(pg_cluster_asked(&cluster, &member));
    asks = true;
    ck_assert(!pg_cluster_asked(&cluster, &member));
    ck_assert(!pg_cluster_asked(&cluster, &other));
    pg_cluster_forget(&cluster, &other); /* its connection is lost meanwhile */
    pg_cluster_all_asked(&cluster);
    ck_assert_uint_eq(known, 1);
    ck_assert(!member.waits);
}
END_TEST

START_TEST(a_host_that_does_not_answer_says_nothing)
{
    found(1, "b:2", "7", 2);
    pg_cluster_found(&cluster, 1, "b:2", NULL);
    ck_assert(!cluster.hosts[1].answered);
    ck_assert_str_eq(cluster.hosts[1].place, "b:2");
    ck_assert_int_eq(login(&member, "a:1", "7", 1), 0);
}
END_TEST

START_TEST(a_session_leaves_its_cluster_or_has_none)
{
    pg_cluster_leave(&cluster, &member);
    pg_cluster_leave(NULL, &member);
    pg_cluster_forget(NULL, &member);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_cluster");
    TCase *tests = tcase_create("pg_cluster");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, the_first_server_is_taken);
    tcase_add_test(tests, one_below_another_host_is_refused_by_name);
    tcase_add_test(tests, what_the_hosts_said_earlier_counts_no_more);
    tcase_add_test(tests, a_host_of_another_cluster_says_nothing);
    tcase_add_test(tests, one_below_what_the_process_has_seen_is_refused);
    tcase_add_test(tests, sessions_at_the_old_one_end);
    tcase_add_test(tests, another_cluster_is_refused_while_we_run);
    tcase_add_test(tests, a_server_that_hides_its_timeline_is_taken);
    tcase_add_test(tests, it_shows_whether_the_session_moved);
    tcase_add_test(tests, a_session_waits_while_the_hosts_are_asked);
    tcase_add_test(tests, a_host_that_does_not_answer_says_nothing);
    tcase_add_test(tests, a_session_leaves_its_cluster_or_has_none);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
