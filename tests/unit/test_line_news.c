#include "common/shop/line_news.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

static void assert_same(const struct line_news *news, const char *text)
{
    struct buf out;
    struct line_news again;
    buf_init(&out, LINE_NEWS_MAX);
    ck_assert_int_eq(line_news_encode(&out, news), 0);
    ck_assert_str_eq(buf_text(&out), text);
    ck_assert_int_eq(line_news_parse(buf_text(&out), out.len, &again), 0);
    ck_assert_mem_eq(&again, news, sizeof again);
    buf_free(&out);
}

START_TEST(it_comes_as_it_was_sent)
{
    const struct line_news moving = {5, 21, 12, 0, 350};
    const struct line_news standing = {1, 2, 1, LINE_CLOCK_STANDS, 0};
    assert_same(&moving, "{\"version\":1,\"head\":5,\"next\":21,\"waiting\":12,\"behind_ms\":0,"
                         "\"pace_ms\":350}");
    assert_same(&standing, "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":1}");
    ck_assert_int_eq(line_news_left(&moving), 8);
}
END_TEST

START_TEST(what_cannot_be_true_is_refused)
{
    static const char *const wrong[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"version\":2,\"head\":1,\"next\":2,\"waiting\":1}",
        "{\"version\":1,\"head\":0,\"next\":2,\"waiting\":1}",
        "{\"version\":1,\"head\":3,\"next\":2,\"waiting\":0}",
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":2}",
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":-1}",
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":1,\"pace_ms\":-1}",
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":1,\"behind_ms\":-2}",
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":1,\"behind_ms\":\"x\"}",
        "{\"version\":1,\"head\":1,\"head\":1,\"next\":2,\"waiting\":1}",
    };
    struct line_news news;
    char large[LINE_NEWS_MAX + 2];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(line_news_parse(wrong[i], strlen(wrong[i]), &news) == ERR_PARSE, "%s",
                      wrong[i]);
    memset(large, ' ', sizeof large);
    ck_assert_int_eq(line_news_parse(large, sizeof large, &news), ERR_PARSE);
}
END_TEST

START_TEST(members_of_a_later_version_are_ignored)
{
    static const char text[] =
        "{\"version\":1,\"head\":1,\"next\":2,\"waiting\":1,\"behind_ms\":7,\"more\":{}}";
    struct line_news news;
    ck_assert_int_eq(line_news_parse(text, sizeof text - 1, &news), 0);
    ck_assert_int_eq(news.behind_ms, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("line_news");
    TCase *tests = tcase_create("line_news");
    tcase_add_test(tests, it_comes_as_it_was_sent);
    tcase_add_test(tests, what_cannot_be_true_is_refused);
    tcase_add_test(tests, members_of_a_later_version_are_ignored);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
