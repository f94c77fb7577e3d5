#include "common/net/http/http_bearer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

START_TEST(one_header_with_one_token_is_taken)
{
    static const struct {
        const char *header;
        size_t count;
        int code;
        const char *token;
    } cases[] = {
        {NULL, 0, ERR_NOT_FOUND, NULL},    {"Bearer abc.def.ghi", 1, 0, "abc.def.ghi"},
        {"bearer abc", 1, 0, "abc"},       {"BEARER   abc", 1, 0, "abc"},
        {"Bearer abc", 2, ERR_AUTH, NULL}, {"Bearer", 1, ERR_AUTH, NULL},
        {"Bearer ", 1, ERR_AUTH, NULL},    {"Basic abc", 1, ERR_AUTH, NULL},
        {"Bearerabc", 1, ERR_AUTH, NULL},  {"abc", 1, ERR_AUTH, NULL},
        {"", 1, ERR_AUTH, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *token = NULL;
        const char *problem = NULL;
        ck_assert_int_eq(http_bearer_read(cases[i].header, cases[i].count, &token, &problem),
                         cases[i].code);
        if (cases[i].code == 0)
            ck_assert_str_eq(token, cases[i].token);
        else
            ck_assert(token == NULL && problem != NULL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_bearer");
    TCase *tests = tcase_create("http_bearer");
    tcase_add_test(tests, one_header_with_one_token_is_taken);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
