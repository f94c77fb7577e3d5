#include "common/base/json_reader.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define BODY_MAX 8192

static struct json_reader flat;
static char scratch[BODY_MAX + 1];
static const char *problem;
static size_t position;

static int read_n(const char *text, size_t len)
{
    /* a copy of exactly this length, so that a sanitizer sees a byte read too many */
    char *exact = malloc(len > 0 ? len : 1);
    static char *kept;
    free(kept);
    kept = exact;
    memcpy(exact, text, len);
    problem = NULL;
    return json_reader_read(exact, len, scratch, &flat, &problem, &position);
}

static int read_text(const char *text)
{
    return read_n(text, strlen(text));
}

START_TEST(members_of_every_kind)
{
    ck_assert_int_eq(
        read_text(" {\"a\":\"x\",\"b\":-1.5e+3 ,\"c\":true,\"d\":null,\"e\":{},\"f\":[1,"
                  "[2],{\"g\":\"}\"}]}\r\n"),
        0);
    static const enum json_reader_kind kinds[] = {JSON_READER_STRING,  JSON_READER_NUMBER,
                                                  JSON_READER_BOOLEAN, JSON_READER_NULL,
                                                  JSON_READER_OBJECT,  JSON_READER_ARRAY};
    ck_assert_uint_eq(flat.count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(flat.members[i].kind, kinds[i]);
        ck_assert_uint_eq(flat.members[i].name_len, 1);
        ck_assert_int_eq(flat.members[i].name[0], "abcdef"[i]);
        ck_assert(!flat.members[i].twice);
    }
    ck_assert_str_eq(flat.members[0].text, "x");
    ck_assert_uint_eq(flat.members[1].len, 7);
    ck_assert_int_eq(memcmp(flat.members[1].text, "-1.5e+3", 7), 0);
}
END_TEST

START_TEST(escapes_are_decoded)
{
    ck_assert_int_eq(
        read_text("{\"a\\u0062\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\u00e9\\ud83d\\ude00\"}"), 0);
    ck_assert_str_eq(flat.members[0].name, "ab");
    ck_assert_str_eq(flat.members[0].text, "\"\\/\b\f\n\r\t\xe2\x82\xac\xc3\xa9\xf0\x9f\x98\x80");
}
END_TEST

START_TEST(an_escaped_nul_is_kept_and_counted)
{
    ck_assert_int_eq(read_text("{\"a\":\"x\\u0000y\"}"), 0);
    ck_assert_uint_eq(flat.members[0].len, 3);
    ck_assert_uint_eq(strlen(flat.members[0].text), 1);
}
END_TEST

START_TEST(a_name_twice_is_marked)
{
    ck_assert_int_eq(read_text("{\"a\":1,\"b\":2,\"\\u0061\":3}"), 0);
    ck_assert(!flat.members[0].twice);
    ck_assert(!flat.members[1].twice);
    ck_assert(flat.members[2].twice);
}
END_TEST

START_TEST(depth)
{
    ck_assert_int_eq(read_text("{\"a\":[[[1]]]}"), 0);
    ck_assert_int_eq(read_text("{\"a\":[[[[1]]]]}"), ERR_PARSE);
    ck_assert_str_eq(problem, "the JSON is nested more than 4 deep");
    char deep[3000] = "{\"a\":";
    size_t n = strlen(deep);
    memset(deep + n, '[', 1000);
    memset(deep + n + 1000, ']', 1000);
    deep[n + 2000] = '}';
    ck_assert_int_eq(read_n(deep, n + 2001), ERR_PARSE);
    ck_assert_str_eq(problem, "the JSON is nested more than 4 deep");
}
END_TEST

START_TEST(too_many_members)
{
    char text[1024] = "{";
    for (int i = 0; i < JSON_READER_MEMBERS_MAX + 1; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"m%d\":1",
                       i == 0 ? "" : ",", i);
    (void)strcat(text, "}");
    ck_assert_int_eq(read_text(text), ERR_PARSE);
    ck_assert_str_eq(problem, "the object has too many members");
}
END_TEST

START_TEST(what_is_no_object)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "[]",
                                      "1",
                                      "\"a\"",
                                      "null",
                                      "{",
                                      "{}x",
                                      "{} {}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":.5}",
                                      "{\"a\":1.}",
                                      "{\"a\":1e}",
                                      "{\"a\":-}",
                                      "{\"a\":0x1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":tru}",
                                      "{\"a\":True}",
                                      "{\"a\":\"x}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\u12g4\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\udc00\"}",
                                      "{\"a\":\"\\ud800\\u0041\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\x01\"}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":{\"b\"}}",
                                      "{\"a\":1}\x0c",
                                      "{\"a\":1}/**/",
                                      "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(read_text(bad[i]) == ERR_PARSE, "%s passes", bad[i]);
    ck_assert_int_eq(read_n("{}\0", 3), ERR_PARSE);
    ck_assert_int_eq(read_n("{\"a\":\"\0\"}", 9), ERR_PARSE);
}
END_TEST

START_TEST(bad_utf8)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\xaf",
                                      "\xc1\x81",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\xaf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "\xc3",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98",
                                      "\xc3\x28",
                                      "\xe2\x28\xa1"};
    char text[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "{\"a\":\"%s\"}", bad[i]);
        ck_assert_int_eq(read_text(text), ERR_PARSE);
        (void)snprintf(text, sizeof text, "{\"%s\":1}", bad[i]);
        ck_assert_int_eq(read_text(text), ERR_PARSE);
        (void)snprintf(text, sizeof text, "{\"a\":\"%s", bad[i]);
        ck_assert_int_eq(read_text(text), ERR_PARSE);
    }
}
END_TEST

START_TEST(every_beginning_of_an_order_is_refused)
{
    static const char text[] = "{\"sku\":\"a\\u0041\\n\",\"q\":[1.5e-3,{\"x\":null}],\"ok\":false}";
    for (size_t len = 0; len < sizeof text - 1; len++)
        ck_assert_int_eq(read_n(text, len), ERR_PARSE);
    ck_assert_int_eq(read_n(text, sizeof text - 1), 0);
}
END_TEST

/* ---- against another reader ---- */

/* What json_reader_read bounds on top of the grammar. */
static bool bounded(const char *text)
{
    return strcmp(text, "the JSON is nested more than 4 deep") == 0 ||
           strcmp(text, "the object has too many members") == 0;
}

static void compare(const char *text, size_t len)
{
    if (memchr(text, '\0', len) != NULL) { /* jansson steps over these */
        ck_assert_int_eq(read_n(text, len), ERR_PARSE);
        return;
    }
    json_error_t error;
    json_t *other = json_loadb(text, len, JSON_ALLOW_NUL, &error);
    int code = read_n(text, len);
    /* numbers without limits are right by the grammar, but jansson cannot hold them */
    bool limits = other == NULL && json_error_code(&error) == json_error_numeric_overflow;
    if (!limits && (code == 0 || !bounded(problem)))
        ck_assert_msg((code == 0) == json_is_object(other), "%d (%s) but %s: %.*s", code,
                      problem == NULL ? "" : problem, error.text, (int)len, text);
    if (code == 0 && other != NULL)
        for (size_t i = 0; i < flat.count; i++) {
            const struct json_reader_member *m = &flat.members[i];
            if (m->kind != JSON_READER_STRING || m->twice || strlen(m->name) != m->name_len)
                continue;
            const json_t *value = json_object_get(other, m->name);
            if (!json_is_string(value))
                continue; /* a later one of the name */
            ck_assert_uint_eq(json_string_length(value), m->len);
            ck_assert_int_eq(memcmp(json_string_value(value), m->text, m->len), 0);
        }
    json_decref(other);
}

/* Many small damages of bodies that have a bit of everything; the same ones every time. */
START_TEST(agrees_with_jansson)
{
    static const char *const seeds[] = {
        "{\"sku\":\"dress-1920\",\"quantity\":1,\"payment_method\":\"pm_card_visa\"}",
        "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\",\"b\":[1,-2.5e3,{\"c\":null}],\"d\":true , \"e\":{}}",
        "{\"\xc3\xa9\":\"\xe2\x82\xac \xf0\x9f\x98\x80\",\"x\":[[],[\"\"]],\"y\":0.0}"};
    static const char letters[] =
        "{}[]:,\"\\ \t\n0123456789-+.eEutrfalsn\x00\x1f\x7f\x80\xc3\xe2\xf0\xff";
    unsigned long state = 1;
    for (int i = 0; i < 200000; i++) {
        const char *seed = seeds[i % 3];
        char text[256];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (int change = i % 4; change >= 0; change--) {
            state = state * 6364136223846793005UL + 1442695040888963407UL;
            size_t at = (state >> 33) % len;
            char letter = letters[(state >> 20) % (sizeof letters - 1)];
            switch ((state >> 60) % 3) {
            case 0:
                text[at] = letter;
                break;
            case 1:
                memmove(text + at + 1, text + at, len - at);
                text[at] = letter;
                len++;
                break;
            default:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;
            }
        }
        compare(text, len);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flat");
    TCase *tc = tcase_create("flat");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, members_of_every_kind);
    tcase_add_test(tc, escapes_are_decoded);
    tcase_add_test(tc, an_escaped_nul_is_kept_and_counted);
    tcase_add_test(tc, a_name_twice_is_marked);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, too_many_members);
    tcase_add_test(tc, what_is_no_object);
    tcase_add_test(tc, bad_utf8);
    tcase_add_test(tc, every_beginning_of_an_order_is_refused);
    tcase_add_test(tc, agrees_with_jansson);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
