#include "common/net/http/http_head.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct http_head head;

static void setup(void)
{
    head = (struct http_head){0};
}

static void add(const char *name, const char *value)
{
    http_head_add(&head, name, strlen(name), value, strlen(value));
}

static void refused(const char *why)
{
    const char *told = http_head_ambiguity(&head, "HTTP/1.1");
    ck_assert_ptr_nonnull(told);
    ck_assert_ptr_nonnull(strstr(told, why));
}

START_TEST(a_plain_head)
{
    add("Host", "x");
    add("content-length", "5000");
    add("Cookie", "a");
    add("Te", "trailers");
    ck_assert_ptr_null(http_head_ambiguity(&head, "HTTP/1.1"));
    ck_assert_uint_eq(head.length, 5000);
}
END_TEST

START_TEST(chunked)
{
    add("host", "x");
    add("transfer-encoding", "Chunked");
    ck_assert_ptr_null(http_head_ambiguity(&head, "HTTP/1.1"));
}
END_TEST

/* A header without a value, and names that begin like those that count. */
START_TEST(other_headers_mean_nothing)
{
    add("Host", "x");
    add("Hos", "y");
    add("Xost", "y");
    http_head_add(&head, "Cookie", 6, NULL, 0);
    http_head_add(&head, "Content-Length", 14, NULL, 0);
    ck_assert_ptr_null(http_head_ambiguity(&head, "HTTP/1.1"));
    ck_assert_uint_eq(head.length, 0);
}
END_TEST

START_TEST(nul_in_a_name)
{
    add("Host", "x");
    http_head_add(&head, "A\0B", 3, "b", 1);
    refused("NUL");
}
END_TEST

/* RFC 9112, 5.1. */
START_TEST(white_space_before_the_colon)
{
    static const char *const names[] = {"Foo ", "Transfer-Encoding ", "Foo\t", "", "a b", "(x)"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setup();
        add("Host", "x");
        add(names[i], "y");
        refused("white space");
    }
}
END_TEST

START_TEST(the_path_of_a_whole_url)
{
    ck_assert_str_eq(http_target_path("/v1/items"), "/v1/items");
    ck_assert_str_eq(http_target_path("http://shop.example/v1/items"), "/v1/items");
    ck_assert_str_eq(http_target_path("HTTPS://shop.example:8443/"), "/");
    ck_assert_str_eq(http_target_path("http://shop.example"), "/");
    ck_assert_str_eq(http_target_path("/http://shop.example/x"), "/http://shop.example/x");
    ck_assert_str_eq(http_target_path("*"), "*");
}
END_TEST

START_TEST(two_lengths)
{
    add("Host", "x");
    add("Content-Length", "5");
    add("Content-Length", "5");
    refused("more than one Content-Length");
}
END_TEST

START_TEST(length_and_encoding)
{
    add("Host", "x");
    add("Content-Length", "5");
    add("Transfer-Encoding", "chunked");
    refused("both Content-Length and Transfer-Encoding");
}
END_TEST

START_TEST(two_encodings)
{
    add("Host", "x");
    add("Transfer-Encoding", "chunked");
    add("TRANSFER-ENCODING", "identity");
    refused("more than one Transfer-Encoding");
}
END_TEST

START_TEST(another_encoding)
{
    add("Host", "x");
    add("Transfer-Encoding", "gzip, chunked");
    refused("chunked");
}
END_TEST

START_TEST(hosts)
{
    refused("no Host");
    ck_assert_ptr_null(http_head_ambiguity(&head, "HTTP/1.0"));
    add("Host", "a");
    add("hOST", "a");
    refused("more than one Host");
}
END_TEST

START_TEST(nul)
{
    add("Host", "x");
    http_head_add(&head, "X", 1, "a\0b", 3);
    refused("NUL");
}
END_TEST

START_TEST(a_length_that_is_huge)
{
    add("Host", "x");
    add("Content-Length", "99999999999999999999999999");
    ck_assert_uint_gt(head.length, 1000000000000000000);
}
END_TEST

START_TEST(unescape)
{
    static const char *const pairs[][2] = {
        {"", ""},       {"abc", "abc"},     {"%41%62", "Ab"}, {"a%2Fb", "a/b"},
        {"%00", "%00"}, {"a%00b", "a%00b"}, {"%", "%"},       {"%4", "%4"},
        {"%zz", "%zz"}, {"%4g", "%4g"},     {"%%41", "%A"},   {"%e2%82%ac", "\xe2\x82\xac"},
        {"a%", "a%"},   {"%2500", "%00"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *text = strdup(pairs[i][0]);
        ck_assert_uint_eq(http_unescape(text), strlen(pairs[i][1]));
        ck_assert_str_eq(text, pairs[i][1]);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_head");
    TCase *tc = tcase_create("http_head");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, other_headers_mean_nothing);
    tcase_add_test(tc, nul_in_a_name);
    tcase_add_test(tc, a_plain_head);
    tcase_add_test(tc, chunked);
    tcase_add_test(tc, two_lengths);
    tcase_add_test(tc, white_space_before_the_colon);
    tcase_add_test(tc, the_path_of_a_whole_url);
    tcase_add_test(tc, length_and_encoding);
    tcase_add_test(tc, two_encodings);
    tcase_add_test(tc, another_encoding);
    tcase_add_test(tc, hosts);
    tcase_add_test(tc, nul);
    tcase_add_test(tc, a_length_that_is_huge);
    tcase_add_test(tc, unescape);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
