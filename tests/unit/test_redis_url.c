#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/net/redis/redis_due.h"
#include "common/net/redis/redis_url.h"

static struct redis_url parse(const char *text)
{
    struct redis_url url;
    const char *problem = NULL;
    int code = redis_url_parse(text, &url, &problem);
    ck_assert_msg(code == 0, "%s: %s", text, problem == NULL ? "?" : problem);
    return url;
}

START_TEST(all_parts_are_read)
{
    struct redis_url url = parse("redis://ann:s%40cret%3A@redis.example:6380/3");
    ck_assert_str_eq(url.user, "ann");
    ck_assert_str_eq(url.password, "s@cret:");
    ck_assert_str_eq(url.host, "redis.example");
    ck_assert_uint_eq(url.port, 6380);
    ck_assert_uint_eq(url.database, 3);
}
END_TEST

START_TEST(parts_may_be_absent)
{
    struct redis_url url = parse("rediss://localhost");
    ck_assert(url.tls);
    url = parse("redis://localhost");
    ck_assert(!url.tls);
    ck_assert_str_eq(url.user, "");
    ck_assert_str_eq(url.password, "");
    ck_assert_uint_eq(url.port, 6379);
    ck_assert_uint_eq(url.database, 0);
    url = parse("redis://:pass@127.0.0.1/");
    ck_assert_str_eq(url.user, "");
    ck_assert_str_eq(url.password, "pass");
    url = parse("redis://[::1]:7000/15");
    ck_assert_str_eq(url.host, "::1");
    ck_assert_uint_eq(url.port, 7000);
    ck_assert_uint_eq(url.database, 15);
    url = parse("redis://[fe80::1]");
    ck_assert_str_eq(url.host, "fe80::1");
}
END_TEST

START_TEST(wrong_ones_are_refused_without_being_repeated)
{
    static const char *const wrong[] = {
        "",
        "localhost",
        "redisss://h",
        "redis://",
        "redis://:6",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h:",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/99999",
        "redis://[::1",
        "redis://ann@h",
        "redis://ann:@h",
        "redis://:p%4@h",
        "redis://:p%00@h",
        "redis://:p%zz@h",
        "redis://h/1?x=y",
        "redis://[::1]x",
        "redis://h/1/2",
        "redis://a:b@",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct redis_url url;
        const char *problem = NULL;
        ck_assert_msg(redis_url_parse(wrong[i], &url, &problem) == ERR_PARSE, "%s", wrong[i]);
        ck_assert_ptr_nonnull(problem);
    }
    char text[400] = "redis://";
    memset(text + 8, 'h', 300);
    struct redis_url url;
    const char *problem = NULL;
    ck_assert_int_eq(redis_url_parse(text, &url, &problem), ERR_PARSE);
}
END_TEST

/* Each part fits with 255 bytes, and is refused with one more. */
START_TEST(parts_have_a_longest_length)
{
    static const struct {
        const char *before, *behind;
    } forms[] = {{"redis://", ":p@h"}, {"redis://:", "@h"}, {"redis://", ""}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (int len = REDIS_URL_PART_MAX; len <= REDIS_URL_PART_MAX + 1; len++) {
            char part[REDIS_URL_PART_MAX + 2], text[400];
            struct redis_url url;
            const char *problem = NULL;
            memset(part, 'a', sizeof part);
            part[len] = '\0';
            (void)snprintf(text, sizeof text, "%s%s%s", forms[i].before, part, forms[i].behind);
            int code = redis_url_parse(text, &url, &problem);
            ck_assert_int_eq(code, len == REDIS_URL_PART_MAX ? 0 : ERR_PARSE);
            if (code < 0)
                ck_assert_ptr_nonnull(strstr(problem, "too long"));
        }
}
END_TEST

START_TEST(a_login_is_a_password_or_nothing_at_all)
{
    struct redis_url url = parse("redis://:@h");
    ck_assert_str_eq(url.user, "");
    ck_assert_str_eq(url.password, "");
    const char *problem = NULL;
    ck_assert_int_eq(redis_url_parse("redis://@h", &url, &problem), ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(problem, "without a password"));
}
END_TEST

static void answer(const struct redis_reply *reply, void *arg)
{
    (void)reply;
    (void)arg;
}

START_TEST(answers_come_off_the_ring_as_they_went_on)
{
    struct redis_due due = {0};
    static char args[100];
    size_t pushed = 0;
    size_t popped = 0;
    struct redis_due_entry entry;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 3 && pushed < ARRAY_LEN(args); i++)
            ck_assert_int_eq(redis_due_push(&due, answer, &args[pushed++]), 0);
        ck_assert(redis_due_pop(&due, &entry));
        ck_assert_ptr_eq(entry.arg, &args[popped++]);
    }
    ck_assert_int_eq(redis_due_push(&due, answer, NULL), 0);
    redis_due_unpush(&due);
    while (redis_due_pop(&due, &entry))
        ck_assert_ptr_eq(entry.arg, &args[popped++]);
    ck_assert_uint_eq(popped, pushed);
    redis_due_free(&due);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_url");
    TCase *tests = tcase_create("redis_url");
    tcase_add_test(tests, all_parts_are_read);
    tcase_add_test(tests, parts_may_be_absent);
    tcase_add_test(tests, wrong_ones_are_refused_without_being_repeated);
    tcase_add_test(tests, parts_have_a_longest_length);
    tcase_add_test(tests, a_login_is_a_password_or_nothing_at_all);
    tcase_add_test(tests, answers_come_off_the_ring_as_they_went_on);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
