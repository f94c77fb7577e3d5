#include "common/base/buf.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/err.h"

#define ROOM 32

static struct buf out;

static void setup(void)
{
    buf_init(&out, ROOM);
}

static void teardown(void)
{
    buf_free(&out);
}

static void expect(const char *text)
{
    ck_assert_str_eq(buf_text(&out), text);
}

START_TEST(what_does_not_fit_leaves_it_as_before)
{
    ck_assert_int_eq(buf_str(&out, "twenty-nine bytes of the room"), 0);
    ck_assert_int_eq(buf_str(&out, "more"), ERR_FULL);
    ck_assert_int_eq(buf_printf(&out, "%d", 1000), ERR_FULL);
    ck_assert_int_eq(buf_json_str(&out, "no"), ERR_FULL);
    ck_assert_int_eq(buf_json_member(&out, "", ""), ERR_FULL);
    expect("twenty-nine bytes of the room");
    ck_assert(out.failed);
    buf_reset(&out);
    expect("");
    ck_assert(!out.failed);
}
END_TEST

START_TEST(all_of_the_room_may_be_used)
{
    for (int i = 0; i < ROOM; i++)
        ck_assert_int_eq(buf_char(&out, 'x'), 0);
    ck_assert_int_eq(buf_char(&out, 'x'), ERR_FULL);
    ck_assert_uint_eq(out.len, ROOM);
}
END_TEST

START_TEST(numbers_have_no_limits)
{
    ck_assert_int_eq(buf_int(&out, INT64_MIN), 0);
    ck_assert_int_eq(buf_char(&out, ' '), 0);
    ck_assert_int_eq(buf_int(&out, 0), 0);
    expect("-9223372036854775808 0");
}
END_TEST

START_TEST(a_json_string_has_its_escapes)
{
    ck_assert_int_eq(buf_json_str(&out, "a\"\\\n\t\x1b\xc3\xa9"), 0);
    expect("\"a\\\"\\\\\\n\\t\\u001b\xc3\xa9\"");
}
END_TEST

START_TEST(a_member_of_no_text_is_none)
{
    ck_assert_int_eq(buf_str(&out, "{\"a\":1"), 0);
    ck_assert_int_eq(buf_json_member(&out, "b", "\""), 0);
    ck_assert_int_eq(buf_json_member(&out, "c", NULL), 0);
    ck_assert_int_eq(buf_json_member(&out, "d", ""), 0);
    expect("{\"a\":1,\"b\":\"\\\"\",\"d\":\"\"");
    ck_assert_int_eq(buf_json_member(&out, "e", "it ends in its middle"), ERR_FULL);
    expect("{\"a\":1,\"b\":\"\\\"\",\"d\":\"\"");
}
END_TEST

START_TEST(bytes_leave_at_the_front)
{
    ck_assert_int_eq(buf_str(&out, "first second"), 0);
    buf_consume(&out, 6);
    expect("second");
    buf_consume(&out, 6);
    expect("");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buf");
    TCase *tests = tcase_create("appends");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_does_not_fit_leaves_it_as_before);
    tcase_add_test(tests, all_of_the_room_may_be_used);
    tcase_add_test(tests, numbers_have_no_limits);
    tcase_add_test(tests, a_json_string_has_its_escapes);
    tcase_add_test(tests, a_member_of_no_text_is_none);
    tcase_add_test(tests, bytes_leave_at_the_front);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
