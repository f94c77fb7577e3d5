#include "common/base/json_tree.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 512

/* A copy of exactly this length, so that a sanitizer sees a byte read too many. */
static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    return copy;
}

/* As jansson reads it: the same values in the same order, or nothing at all. */
static void compare(const char *text, size_t len, size_t flags)
{
    char *copy = exact(text, len);
    json_t *ours = json_tree_load(copy, len, flags);
    json_t *theirs = json_loadb(copy, len, flags, NULL);
    ck_assert_msg((ours == NULL) == (theirs == NULL), "%.*s", (int)len, text);
    if (ours != NULL) {
        ck_assert_msg(json_equal(ours, theirs), "%.*s", (int)len, text);
        char *our_text = json_dumps(ours, JSON_COMPACT);
        char *their_text = json_dumps(theirs, JSON_COMPACT);
        ck_assert_str_eq(our_text, their_text);
        free(our_text);
        free(their_text);
    }
    json_decref(ours);
    json_decref(theirs);
    free(copy);
}

static void compare_text(const char *text)
{
    compare(text, strlen(text), JSON_REJECT_DUPLICATES);
    compare(text, strlen(text), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
    compare(text, strlen(text), 0);
}

START_TEST(values_of_every_kind)
{
    static const char text[] =
        " {\"a\" : \"x\",\n\"b\":-15, \"c\":true,\"d\":null,\"e\":{},\"f\":[1,[ ],{\"g\":\"}\"}],"
        "\"h\":false,\"\":\"\xc3\xa9\"}\r\n";
    json_t *root = json_tree_load(text, sizeof text - 1, JSON_REJECT_DUPLICATES);
    ck_assert_uint_eq(json_object_size(root), 8);
    ck_assert_str_eq(json_string_value(json_object_get(root, "a")), "x");
    ck_assert_int_eq(json_integer_value(json_object_get(root, "b")), -15);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "f")), 3);
    json_decref(root);
    compare_text(text);
}
END_TEST

START_TEST(what_jansson_reads_alone)
{
    static const char *const texts[] = {
        "{\"a\":\"\\u00e9\\n\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":1.5}",
        "{\"a\":1e3}",
        "{\"a\":-0}",
        "{\"a\":9223372036854775807}",
        "{\"a\":-9223372036854775808}",
        "{\"a\":9223372036854775808}",
        "{\"a\":999999999999999999}",
        "{\"a\":1000000000000000000}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1,\"a\":2}",
        "{\"a\\u0062\":1,\"ab\":2}",
        "{\"0123456789012345678901234567890123456789012345678901234567890123\":1}",
        "{\"012345678901234567890123456789012345678901234567890123456789012\":1}",
        "[]",
        "[1,2]",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{a:1}",
        "1",
        "\"a\"",
        "true",
        "",
        "  ",
        "{} {}",
        "{}x",
        "{\"a\":truely}",
        "{\"a\":tru}",
        "{\"a\":\"\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\x1f\"}",
        "{\"a\":\"\x7f\"}",
        "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        compare_text(texts[i]);
}
END_TEST

START_TEST(depth)
{
    for (size_t deep = 1; deep < BODY_MAX / 2; deep++) {
        char text[BODY_MAX];
        memset(text, '[', deep);
        memset(text + deep, ']', deep);
        compare(text, 2 * deep, JSON_REJECT_DUPLICATES);
        compare(text, 2 * deep - 1, JSON_REJECT_DUPLICATES);
    }
}
END_TEST

static const char *const seeds[] = {
    "{\"id\":\"pi_1\",\"amount\":1999,\"livemode\":false,\"next_action\":null,\"metadata\":{\"a\":"
    "\"b\",\"c\":\"d\"},\"list\":[\"card\",{\"x\":[]}]}",
    "{\"version\":1,\"jobs\":[{\"sku\":\"a\xc3\xa9\",\"quantity\":2},{\"sku\":\"b\"}]}",
    "{\"a\":\"\\u00e9\",\"b\":-1.5e+3,\"c\":[true,false,null],\"aa\":10}"};

START_TEST(every_beginning)
{
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        for (size_t len = 0; len <= strlen(seeds[i]); len++)
            compare(seeds[i], len, JSON_REJECT_DUPLICATES);
}
END_TEST

/* Many small damages of texts that have a bit of everything; the same ones every time. */
START_TEST(agrees_with_jansson)
{
    static const char letters[] =
        "{}[]:,\"\\ \t\n0123456789-+.eEutrfalsn\x00\x1f\x7f\x80\xc3\xe2\xf0\xff";
    unsigned long state = 1;
    for (int i = 0; i < 100000; i++) {
        char text[BODY_MAX];
        const char *seed = seeds[i % 3];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (int change = i % 4; change >= 0; change--) {
            state = state * 6364136223846793005UL + 1442695040888963407UL;
            size_t at = (state >> 33) % len;
            char letter = letters[(state >> 20) % (sizeof letters - 1)];
            bool grows = (state >> 62) % 2 == 1;
            if (grows)
                memmove(text + at + 1, text + at, len - at);
            len += grows;
            text[at] = letter;
        }
        compare(text, len, i % 2 == 0 ? JSON_REJECT_DUPLICATES : JSON_ALLOW_NUL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_tree");
    TCase *tc = tcase_create("json_tree");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, values_of_every_kind);
    tcase_add_test(tc, what_jansson_reads_alone);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, every_beginning);
    tcase_add_test(tc, agrees_with_jansson);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
