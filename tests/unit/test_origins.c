#include "common/shop/origins.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static bool allows(const char *list, const char *origin)
{
    struct origins *origins = NULL;
    const char *problem = NULL;
    int code = origins_new(list, &origins, &problem);
    ck_assert_msg(code == 0, "%s: %s", list, problem == NULL ? "?" : problem);
    bool allowed = origins_allow(origins, origin);
    origins_free(origins);
    return allowed;
}

/* Each written form of one origin allows what a browser sends for it, and any other form of it. */
START_TEST(all_forms_of_an_origin_are_one)
{
    static const char *const forms[][4] = {
        {"https://shop.example", "https://Shop.Example", "HTTPS://shop.example:443",
         "https://shop.example:443"},
        {"http://127.0.0.1:8000", "http://127.0.0.1:8000", "HTTP://127.0.0.1:8000",
         "http://127.0.0.1:08000"},
        {"http://[::1]", "http://[::1]:80", "http://[::1]", "HTTP://[::1]:80"},
        {"http://[fe80::a]:1", "http://[FE80::A]:1", "http://[fe80::A]:1", "http://[fe80::a]:01"},
        {"capacitor://localhost", "capacitor://localhost", "Capacitor://LOCALHOST",
         "capacitor://localhost"},
        {"wss://shop.example", "wss://shop.example:443", "WSS://shop.example",
         "wss://Shop.example"},
        {"moz-extension://5f1e", "moz-extension://5F1E", "Moz-Extension://5f1e",
         "moz-extension://5f1e"},
    };
    for (size_t one = 0; one < ARRAY_LEN(forms); one++)
        for (size_t written = 0; written < 4; written++)
            for (size_t other = 0; other < ARRAY_LEN(forms); other++)
                for (size_t sent = 0; sent < 4; sent++)
                    ck_assert_msg(allows(forms[one][written], forms[other][sent]) == (one == other),
                                  "%s and %s", forms[one][written], forms[other][sent]);
}
END_TEST

START_TEST(another_scheme_host_or_port_is_another_origin)
{
    static const char *const others[] = {"http://shop.example",
                                         "https://shop.example:444",
                                         "https://shop.example:80",
                                         "https://shop.exampl",
                                         "https://shop.example.evil.example",
                                         "https://evil.example",
                                         "https://shop.example/",
                                         "https://shop.example?",
                                         "https://u@shop.example",
                                         "shop.example",
                                         "null",
                                         "NULL",
                                         "*",
                                         "",
                                         " https://shop.example",
                                         "https://shop.example,https://shop.example"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!allows("https://shop.example", others[i]), "%s", others[i]);
    ck_assert(!allows("https://shop.example", NULL));
}
END_TEST

START_TEST(a_list_may_have_blanks_and_a_star)
{
    const char *list = " https://a.example ,\thttp://b.example:8080, capacitor://localhost";
    ck_assert(allows(list, "https://a.example"));
    ck_assert(allows(list, "http://b.example:8080"));
    ck_assert(allows(list, "capacitor://localhost"));
    ck_assert(!allows(list, "https://c.example"));
    ck_assert(allows("*", "https://evil.example"));
    ck_assert(allows("https://a.example, *", "null"));
    ck_assert(!allows("*", NULL));
    ck_assert(!allows("", "https://a.example"));
    ck_assert(!allows("  ", "https://a.example"));
}
END_TEST

START_TEST(what_is_no_origin_is_refused)
{
    static const char *const wrong[] = {"https://shop.example/",
                                        "shop.example",
                                        "https://a.example,,https://b.example",
                                        "https://a.example,",
                                        ",https://a.example",
                                        "https://",
                                        "://shop.example",
                                        "1a://shop.example",
                                        "https:shop.example",
                                        "https://u:p@a.example",
                                        "https://a.example?",
                                        "https://a.example#x",
                                        "https://a.example:0",
                                        "https://a.example:x",
                                        "https://a b.example",
                                        "null",
                                        "https://sh\xc3\xb6p.example",
                                        "**"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct origins *origins = NULL;
        const char *problem = NULL;
        ck_assert_msg(origins_new(wrong[i], &origins, &problem) == ERR_PARSE, "%s", wrong[i]);
        ck_assert_ptr_nonnull(problem);
        ck_assert_ptr_null(origins);
    }
    char longest[1024] = "https://";
    struct origins *origins = NULL;
    const char *problem = NULL;
    memset(longest + 8, 'a', sizeof longest - 9);
    ck_assert_int_eq(origins_new(longest, &origins, &problem), ERR_PARSE);
    ck_assert(!allows("https://a.example", longest));
    origins_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("origins");
    TCase *tests = tcase_create("origins");
    tcase_add_test(tests, all_forms_of_an_origin_are_one);
    tcase_add_test(tests, another_scheme_host_or_port_is_another_origin);
    tcase_add_test(tests, a_list_may_have_blanks_and_a_star);
    tcase_add_test(tests, what_is_no_origin_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
