/* URLs of mail servers. */
#include "common/net/smtp/smtp_url.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

static int parse(const char *urls, struct smtp_url ret_urls[SMTP_URL_HOSTS_MAX])
{
    const char *problem = NULL;
    int count = smtp_url_parse(urls, ret_urls, &problem);
    ck_assert_msg(count > 0, "%s: %s", urls, problem == NULL ? "?" : problem);
    return count;
}

START_TEST(all_parts_are_read)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    ck_assert_int_eq(parse("smtp://shop%40x:p%3Aw%2F%40@mail.example:2525", urls), 1);
    ck_assert(!urls[0].tls);
    ck_assert_str_eq(urls[0].user, "shop@x");
    ck_assert_str_eq(urls[0].password, "p:w/@");
    ck_assert_str_eq(urls[0].host, "mail.example");
    ck_assert_uint_eq(urls[0].port, 2525);
}
END_TEST

START_TEST(parts_may_be_absent)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    ck_assert_int_eq(parse("smtp://mail.example/", urls), 1);
    ck_assert_uint_eq(urls[0].port, 587);
    ck_assert_str_eq(urls[0].user, "");
    ck_assert_str_eq(urls[0].password, "");
    ck_assert_int_eq(parse("smtps://[2001:db8::1]", urls), 1);
    ck_assert(urls[0].tls);
    ck_assert_uint_eq(urls[0].port, 465);
    ck_assert_str_eq(urls[0].host, "2001:db8::1");
}
END_TEST

START_TEST(several_keep_their_order)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    ck_assert_int_eq(parse("smtp://a,smtps://u:p@b:1,smtp://c", urls), 3);
    ck_assert_str_eq(urls[0].host, "a");
    ck_assert_str_eq(urls[1].host, "b");
    ck_assert_str_eq(urls[1].user, "u");
    ck_assert_str_eq(urls[2].host, "c");
    ck_assert_str_eq(urls[2].user, "");
}
END_TEST

static const char *const wrong[] = {
    "",
    "mail.example",
    "http://mail.example",
    "SMTP://mail.example",
    "smtp:/mail.example",
    "smtp://",
    "smtp://:25",
    "smtp://host:0",
    "smtp://host:65536",
    "smtp://host:25a",
    "smtp://host/name",
    "smtp://host?x=secret",
    "smtp://host#x",
    "smtp://user@host", /* without a password */
    "smtp://user:@host",
    "smtp://:secret@host",
    "smtp://us%er:secret@host",
    "smtp://user:sec%ret@host",
    "smtp://user:se@cret@host",
    "smtp://ho st",
    "smtp://ho%0d%0ast",
    "smtp://[::1",
    "smtp://host,",
    ",smtp://host",
    "smtp://a, smtp://b",
    "smtp://a;smtp://b:x",
};

START_TEST(a_wrong_one_is_refused_without_being_repeated)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    const char *problem = NULL;
    ck_assert_msg(smtp_url_parse(wrong[_i], urls, &problem) == ERR_PARSE, "%s", wrong[_i]);
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_null(strstr(problem, "secret"));
}
END_TEST

START_TEST(logins_of_urls_that_are_refused_are_wiped)
{
    static const struct smtp_url none[SMTP_URL_HOSTS_MAX];
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    const char *problem = NULL;
    memset(urls, 'x', sizeof urls);
    ck_assert_int_eq(smtp_url_parse("smtp://u:secret@a,smtp://", urls, &problem), ERR_PARSE);
    ck_assert_mem_eq(urls, none, sizeof urls);
}
END_TEST

START_TEST(eight_are_enough)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    const char *problem = NULL;
    char text[256] = "";
    size_t len = 0;
    for (int i = 0; i < SMTP_URL_HOSTS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%ssmtp://h", i == 0 ? "" : ",");
    ck_assert_int_eq(parse(text, urls), SMTP_URL_HOSTS_MAX);
    (void)snprintf(text + len, sizeof text - len, ",smtp://h");
    ck_assert_int_eq(smtp_url_parse(text, urls, &problem), ERR_PARSE);
}
END_TEST

START_TEST(long_parts_are_refused)
{
    struct smtp_url urls[SMTP_URL_HOSTS_MAX];
    const char *problem = NULL;
    char text[600];
    char part[SMTP_URL_PART_SIZE + 1];
    memset(part, 'a', sizeof part);
    part[SMTP_URL_PART_SIZE] = '\0';
    (void)snprintf(text, sizeof text, "smtp://%s", part);
    ck_assert_int_eq(smtp_url_parse(text, urls, &problem), ERR_PARSE);
    (void)snprintf(text, sizeof text, "smtp://%s:p@h", part);
    ck_assert_int_eq(smtp_url_parse(text, urls, &problem), ERR_PARSE);
    (void)snprintf(text, sizeof text, "smtp://u:%s@h", part);
    ck_assert_int_eq(smtp_url_parse(text, urls, &problem), ERR_PARSE);
    (void)snprintf(text, sizeof text, "smtp://u:%s@h", part + 1);
    ck_assert_int_eq(parse(text, urls), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_url");
    TCase *tests = tcase_create("smtp_url");
    tcase_add_test(tests, all_parts_are_read);
    tcase_add_test(tests, parts_may_be_absent);
    tcase_add_test(tests, several_keep_their_order);
    tcase_add_loop_test(tests, a_wrong_one_is_refused_without_being_repeated, 0, ARRAY_LEN(wrong));
    tcase_add_test(tests, logins_of_urls_that_are_refused_are_wiped);
    tcase_add_test(tests, eight_are_enough);
    tcase_add_test(tests, long_parts_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
