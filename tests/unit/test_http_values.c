#include "common/net/http/http_values.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"

START_TEST(a_key_is_bare_or_quoted)
{
    char key[HTTP_KEY_MAX + 1];
    char text[HTTP_KEY_MAX + 8];
    ck_assert_ptr_null(http_value_key("abc", 1, key));
    ck_assert_str_eq(key, "abc");
    ck_assert_ptr_null(http_value_key("\"abc\"", 1, key));
    ck_assert_str_eq(key, "abc");
    ck_assert_ptr_null(http_value_key("\"a\\\"b\\\\\"", 1, key));
    ck_assert_str_eq(key, "a\"b\\");
    ck_assert_ptr_null(http_value_key("a\"b", 1, key));
    ck_assert_str_eq(key, "a\"b");
    ck_assert_ptr_null(http_value_key("!~", 1, key));
    static const char *const bad[] = {"",        "\"\"", "\"",       "\"a",   "\"a\"b", "a b",
                                      "\"a b\"", "a\tb", "\xc3\xa9", "a\x7f", "\"\\",   "a\x01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(http_value_key(bad[i], 1, key) != NULL, "%s passes", bad[i]);
    for (int len = 254; len <= 257; len++) {
        (void)snprintf(text, sizeof text, "%0*d", len, 0);
        ck_assert((http_value_key(text, 1, key) == NULL) == (len <= 255));
        (void)snprintf(text, sizeof text, "\"%0*d\"", len, 0);
        ck_assert((http_value_key(text, 1, key) == NULL) == (len <= 255));
    }
}
END_TEST

START_TEST(a_key_is_there_once)
{
    char key[HTTP_KEY_MAX + 1];
    ck_assert_ptr_nonnull(http_value_key(NULL, 0, key));
    ck_assert_ptr_nonnull(http_value_key("a", 2, key));
}
END_TEST

START_TEST(a_preferred_wait_is_bounded)
{
    ck_assert_uint_eq(http_value_wait(NULL, 30), 0);
    ck_assert_uint_eq(http_value_wait("respond-async", 30), 0);
    ck_assert_uint_eq(http_value_wait("respond-async, wait=5", 30), 5);
    ck_assert_uint_eq(http_value_wait("Wait=99999999999999999999", 30), 30);
    ck_assert_uint_eq(http_value_wait("wait=", 30), 0);
}
END_TEST

static const char *not_json(const char *type, const char *encoding)
{
    return http_value_not_json(
        &(struct http_body_kind){type, type == NULL ? 0 : 1, encoding, encoding == NULL ? 0 : 1});
}

START_TEST(a_body_is_json_by_its_content_type)
{
    static const char *const good[] = {"application/json",
                                       "Application/JSON",
                                       "application/json; charset=utf-8",
                                       "application/json;charset=\"UTF-8\"",
                                       "application/json;",
                                       "application/json ; ",
                                       "application/json;; charset=utf-8"};
    static const char *const bad[] = {"",
                                      "text/plain",
                                      "application/jsonx",
                                      "application/json5",
                                      "application/json; charset=latin-1",
                                      "application/json, text/plain",
                                      "application/json; v",
                                      "application/xml",
                                      "application/x-www-form-urlencoded"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_ptr_null(not_json(good[i], NULL));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_ptr_nonnull(not_json(bad[i], NULL));
    ck_assert_ptr_nonnull(not_json(NULL, NULL));
    ck_assert_ptr_nonnull(http_value_not_json(
        &(struct http_body_kind){.content_type = "application/json", .content_types = 2}));
}
END_TEST

START_TEST(a_compressed_body_is_none)
{
    static const char json[] = "application/json";
    ck_assert_ptr_null(not_json(json, "Identity"));
    ck_assert_ptr_nonnull(strstr(not_json(json, "gzip"), "Content-Encoding"));
    ck_assert_ptr_nonnull(not_json(json, "identity, gzip"));
    ck_assert_ptr_nonnull(not_json(json, ""));
    ck_assert_ptr_nonnull(http_value_not_json(&(struct http_body_kind){json, 1, "identity", 2}));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_values");
    TCase *tc = tcase_create("http_values");
    tcase_add_test(tc, a_key_is_bare_or_quoted);
    tcase_add_test(tc, a_key_is_there_once);
    tcase_add_test(tc, a_body_is_json_by_its_content_type);
    tcase_add_test(tc, a_compressed_body_is_none);
    tcase_add_test(tc, a_preferred_wait_is_bounded);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
