#include "common/net/http/curl_date.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static unsigned reads;

/* The number behind the first space; below 0: none. */
static time_t number_behind_space(const char *text, const time_t *unused)
{
    (void)unused;
    reads++;
    const char *space = strchr(text, ' ');
    return space == NULL ? -1 : (time_t)strtol(space + 1, NULL, 10);
}

static int64_t date_of(struct curl_date *last, const char *text)
{
    return curl_date_of(last, text, number_behind_space);
}

START_TEST(the_same_text_is_read_once)
{
    struct curl_date last = {0};
    reads = 0;
    ck_assert_int_eq(date_of(&last, "Sun, 101"), 101);
    ck_assert_int_eq(date_of(&last, "Sun, 101"), 101);
    ck_assert_uint_eq(reads, 1);
    ck_assert_int_eq(date_of(&last, "Sun, 102"), 102);
    ck_assert_int_eq(date_of(&last, "Sun, 101"), 101);
    ck_assert_uint_eq(reads, 3);
}
END_TEST

START_TEST(no_date_is_none_and_is_not_remembered)
{
    struct curl_date last = {0};
    reads = 0;
    ck_assert_int_eq(date_of(&last, NULL), 0);
    ck_assert_int_eq(date_of(&last, ""), 0);
    ck_assert_uint_eq(reads, 0);
    ck_assert_int_eq(date_of(&last, "yesterday"), 0);
    ck_assert_int_eq(date_of(&last, "Sun, 101"), 101);
    ck_assert_int_eq(date_of(&last, "yesterday"), 0);
    ck_assert_int_eq(date_of(&last, "Sun, 101"), 101);
    ck_assert_uint_eq(reads, 3);
}
END_TEST

START_TEST(a_text_that_was_cut_is_no_other)
{
    struct curl_date last = {0};
    char text[CURL_DATE_SIZE + 1];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + sizeof text - 4, " 77", 3); /* the last digit is behind what is remembered */
    ck_assert_int_eq(date_of(&last, text), 77);
    text[sizeof text - 2] = '\0';
    ck_assert_int_eq(date_of(&last, text), 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curl date");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, the_same_text_is_read_once);
    tcase_add_test(tests, no_date_is_none_and_is_not_remembered);
    tcase_add_test(tests, a_text_that_was_cut_is_no_other);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
