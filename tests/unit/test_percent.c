#include "common/base/percent.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

START_TEST(every_byte_has_its_digit_or_none)
{
    static const char digits[] = "0123456789abcdef";
    for (int c = 1; c < 256; c++) {
        const char *upper = c >= 'A' && c <= 'F' ? strchr(digits, c - 'A' + 'a') : NULL;
        const char *found = upper != NULL ? upper : strchr(digits, c);
        ck_assert_int_eq(hex_digit((char)c), found == NULL ? -1 : (int)(found - digits));
    }
    ck_assert_int_eq(hex_digit('\0'), -1);
}
END_TEST

START_TEST(every_escape_is_its_byte_but_nul)
{
    for (int c = 0; c < 256; c++) {
        char lower[8], upper[8], out[2];
        (void)snprintf(lower, sizeof lower, "%%%02x", c);
        (void)snprintf(upper, sizeof upper, "%%%02X", c);
        int code = c == 0 ? ERR_PARSE : 0;
        ck_assert_int_eq(percent_decode(lower, 3, out, sizeof out), code);
        ck_assert_int_eq(percent_decode(upper, 3, out, sizeof out), code);
        if (c != 0)
            ck_assert_int_eq((unsigned char)out[0], c);
    }
}
END_TEST

START_TEST(a_broken_escape_is_none)
{
    static const char *const broken[] = {"%", "%4", "a%4", "%g0", "%0g", "%%41", "% 41"};
    char out[16];
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        ck_assert_int_eq(percent_decode(broken[i], strlen(broken[i]), out, sizeof out), ERR_PARSE);
    ck_assert_int_eq(percent_decode("%41", 2, out, sizeof out), ERR_PARSE);
    ck_assert_int_eq(percent_decode("a\0b", 3, out, sizeof out), ERR_PARSE);
}
END_TEST

START_TEST(it_fits_or_is_refused)
{
    char out[4];
    ck_assert_int_eq(percent_decode("%61bc", 5, out, sizeof out), 0);
    ck_assert_str_eq(out, "abc");
    ck_assert_int_eq(percent_decode("abcd", 4, out, sizeof out), ERR_FULL);
    ck_assert_int_eq(percent_decode("", 0, out, 1), 0);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(in_place)
{
    char text[] = "a%20b%2Fc";
    ck_assert_int_eq(percent_decode(text, strlen(text), text, sizeof text), 0);
    ck_assert_str_eq(text, "a b/c");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("percent");
    TCase *tcase = tcase_create("percent");
    tcase_add_test(tcase, every_byte_has_its_digit_or_none);
    tcase_add_test(tcase, every_escape_is_its_byte_but_nul);
    tcase_add_test(tcase, a_broken_escape_is_none);
    tcase_add_test(tcase, it_fits_or_is_refused);
    tcase_add_test(tcase, in_place);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
