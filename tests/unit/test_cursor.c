#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/shop/cursor.h"

static void expect_text(const struct cursor *cursor, const char *expected)
{
    struct buf text;
    buf_init(&text, 65536);
    cursor_write(cursor, &text);
    ck_assert_str_eq(buf_text(&text), expected);
    buf_free(&text);
}

START_TEST(what_is_written_is_read)
{
    struct cursor cursor = {.shards = 4, .positions = {0, 35, 36, INT64_MAX}};
    struct cursor read;
    expect_text(&cursor, "4:.z.10.1y2p0ij32e8e7");
    ck_assert_int_eq(cursor_parse("4:.z.10.1y2p0ij32e8e7", &read), 0);
    ck_assert_uint_eq(read.shards, 4);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_int_eq(read.positions[i], cursor.positions[i]);
}
END_TEST

START_TEST(the_beginning)
{
    struct cursor read;
    ck_assert_int_eq(cursor_parse("1:", &read), 0);
    ck_assert_int_eq(read.positions[0], 0);
    expect_text(&read, "1:");
    ck_assert_int_eq(cursor_parse("2:0.0", &read), 0);
    expect_text(&read, "2:.");
}
END_TEST

START_TEST(all_shards_there_are)
{
    struct cursor cursor = {.shards = CURSOR_SHARDS_MAX};
    struct cursor read;
    struct buf text;
    for (uint32_t i = 0; i < cursor.shards; i++)
        cursor.positions[i] = (int64_t)i * i * i;
    buf_init(&text, 65536);
    cursor_write(&cursor, &text);
    ck_assert_int_eq(cursor_parse(buf_text(&text), &read), 0);
    for (uint32_t i = 0; i < cursor.shards; i++)
        ck_assert_int_eq(read.positions[i], cursor.positions[i]);
    buf_free(&text);
}
END_TEST

START_TEST(what_is_no_cursor)
{
    static const char *const texts[] = {
        "",
        ":",
        "0:",
        "2:1",
        "2:1.2.3",
        "2:1.2 ",
        "2:1.-2",
        "2:1,2",
        "x:1",
        "1025:",
        "-1:1",
        " 1:1",
        "1:zzzzzzzzzzzzzzzzzzzz",
        "2:1.+2",
        "1",
        "now",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct cursor read;
        ck_assert_msg(cursor_parse(texts[i], &read) == ERR_PARSE, "\"%s\" is taken", texts[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cursor");
    TCase *tests = tcase_create("cursor");
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, the_beginning);
    tcase_add_test(tests, all_shards_there_are);
    tcase_add_test(tests, what_is_no_cursor);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
