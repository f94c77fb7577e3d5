/* Values at the edges of what is accepted: fields of jobs, times, parts of a request's head. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/trace.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct {
    bool (*valid)(const char *text, size_t len);
    const char *text;
    bool good;
} fields[] = {
    {job_sku_valid, "a.B_9-", true},
    {job_sku_valid, "", false},
    {job_sku_valid, "a b", false},
    {job_user_valid, "ann \xc3\xa9", true},
    {job_user_valid, "", false},
    {job_user_valid, "a\x1f", false},
    {job_user_valid, "a\x7f", false},
    {job_reference_valid, "r-1", true},
    {job_reference_valid, "a b", false},
    {job_reference_valid, "a\x7f", false},
    {job_reference_valid, "\xc3\xa9", false},
    {job_method_valid, "pm_1", true},
    {job_method_valid, "", false},
    {job_locale_valid, "de", true},
    {job_locale_valid, "zh-Hant-TW", true},
    {job_locale_valid, "de-1996", true},
    {job_locale_valid, "x", false},
    {job_locale_valid, "", false},
    {job_locale_valid, "d-AT", false},
    {job_locale_valid, "1e", false},
    {job_locale_valid, "de-", false},
    {job_locale_valid, "-de", false},
    {job_locale_valid, "de--AT", false},
    {job_locale_valid, "de_AT", false},
    {job_locale_valid, "de\r\n", false},
    {job_locale_valid, "abcdefghi", false},
    {job_locale_valid, "de-abcdefghi", false},
    {job_locale_valid, "aa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa", false},
    {job_traceparent_valid, TRACE, true},
    {job_traceparent_valid, "00", false},
    {job_traceparent_valid, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {job_traceparent_valid, "00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01", false},
    {job_traceparent_valid, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331x01", false},
    {job_traceparent_valid, "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {job_traceparent_valid, "00-0af7651916cd43dd8448eb211c80319c-/7ad6b7169203331-01", false},
    {job_traceparent_valid, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
    {job_traceparent_valid, "00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
    {job_traceparent_valid, "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
};

START_TEST(fields_of_jobs)
{
    const char *text = fields[_i].text;
    ck_assert_msg(fields[_i].valid(text, strlen(text)) == fields[_i].good, "%s", text);
}
END_TEST

START_TEST(fields_have_a_greatest_length)
{
    char text[300];
    memset(text, 'a', sizeof text);
    ck_assert(job_sku_valid(text, 64) && !job_sku_valid(text, 65));
    ck_assert(job_user_valid(text, 255) && !job_user_valid(text, 256));
    ck_assert(job_reference_valid(text, 64) && !job_reference_valid(text, 65));
    ck_assert(job_method_valid(text, 255) && !job_method_valid(text, 256));
}
END_TEST

#define IDS "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

static const struct {
    const char *header;
    const char *trace; /* NULL: malformed */
} traces[] = {
    {"00" IDS "01", "00" IDS "01"},
    {"00" IDS "ff", "00" IDS "ff"},
    {"00" IDS "01-", NULL},
    {"00" IDS "01-more", NULL},
    {"01" IDS "03", "00" IDS "01"},
    {"cc" IDS "02-what-the-future-will-be-like", "00" IDS "00"},
    {"fe" IDS "01-", "00" IDS "01"},
    {"cc" IDS "01.what", NULL},
    {"cc" IDS "0", NULL},
    {"cc" IDS "0X", NULL},
    {"CC" IDS "01", NULL},
    {"ff" IDS "01", NULL},
    {"0x" IDS "01", NULL},
    {"cc-00000000000000000000000000000000-b7ad6b7169203331-01", NULL},
    {"cc-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", NULL},
    {"", NULL},
};

START_TEST(traces_of_requests)
{
    char trace[TRACE_SIZE] = "untouched";
    ck_assert_msg(trace_read(traces[_i].header, trace) == (traces[_i].trace != NULL), "%s",
                  traces[_i].header);
    ck_assert_str_eq(trace, traces[_i].trace == NULL ? "untouched" : traces[_i].trace);
}
END_TEST

START_TEST(a_new_trace_is_valid_and_like_no_other)
{
    char one[TRACE_SIZE], other[TRACE_SIZE];
    ck_assert(trace_new(one) && trace_new(other));
    ck_assert(job_traceparent_valid(one, strlen(one)));
    ck_assert_str_eq(one + 52, "-00");
    ck_assert_str_ne(one, other);
}
END_TEST

static const struct {
    const char *text;
    bool good;
} times[] = {
    {"2026-01-31T18:00:00Z", true},
    {"2026-01-31T18:00:00.1Z", true},
    {"2026-01-31T18:00:00.123456Z", true},
    {"2024-02-29T00:00:00Z", true},
    {"2026-01-31T18:00:00.1234567Z", false},
    {"2026-01-31T18:00:00.Z", false},
    {"2026-01-31T18:00:00.1", false},
    {"2026-01-31T18:00:00", false},
    {"2026-01-31T18:00:00.1a", false},
    {"2026-02-30T18:00:00Z", false},
    {"2026-13-01T18:00:00Z", false},
    {"2026-01-31T24:00:00Z", false},
    {"2026-01-31T18:60:00Z", false},
    {"2026-01-31T18:00:61Z", false},
    {"2026-01-31 18:00:00Z", false},
    {"2026-00-31T18:00:00Z", false},
    {"", false},
};

START_TEST(times_of_rfc_3339)
{
    int64_t ms = 0;
    ck_assert_msg((clock_parse_rfc3339(times[_i].text, &ms) == 0) == times[_i].good, "%s",
                  times[_i].text);
}
END_TEST

START_TEST(a_time_before_1970_is_written_and_read)
{
    char text[CLOCK_RFC3339_SIZE];
    int64_t ms = 0;
    clock_rfc3339(-1, text);
    ck_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
    ck_assert_int_eq(clock_parse_rfc3339(text, &ms), 0);
    ck_assert_int_eq(ms, -1);
}
END_TEST

START_TEST(a_buffer_at_its_bound)
{
    struct buf b;
    buf_init(&b, 4);
    ck_assert_str_eq(buf_text(&b), "");
    buf_consume(&b, 0);
    ck_assert_int_eq(buf_str(&b, ""), 0);
    ck_assert_int_eq(buf_printf(&b, "%s", "12345"), ERR_FULL);
    ck_assert(b.failed);
    buf_reset(&b);
    ck_assert_int_eq(buf_str(&b, "1234"), 0);
    ck_assert_int_eq(buf_json_str(&b, "x"), ERR_FULL);
    ck_assert_str_eq(buf_text(&b), "1234");
    buf_consume(&b, 4);
    ck_assert_str_eq(buf_text(&b), "");
    ck_assert_int_eq(buf_json_str(&b, "\x01"), ERR_FULL);
    buf_free(&b);
}
END_TEST

START_TEST(formatted_texts_at_the_edge_of_the_room)
{
    for (size_t before = 0; before < 600; before++) {
        struct buf b;
        buf_init(&b, 600);
        for (size_t i = 0; i < before; i++)
            ck_assert_int_eq(buf_char(&b, 'x'), 0);
        bool fits = before + 5 <= 600;
        ck_assert_int_eq(buf_printf(&b, "%s%d", "ab", 123), fits ? 0 : ERR_FULL);
        ck_assert_uint_eq(b.len, fits ? before + 5 : before);
        ck_assert_uint_eq(strlen(buf_text(&b)), b.len);
        ck_assert_str_eq(buf_text(&b) + before, fits ? "ab123" : "");
        buf_free(&b);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("values");
    TCase *tests = tcase_create("values");
    tcase_add_loop_test(tests, fields_of_jobs, 0, ARRAY_LEN(fields));
    tcase_add_test(tests, fields_have_a_greatest_length);
    tcase_add_loop_test(tests, traces_of_requests, 0, ARRAY_LEN(traces));
    tcase_add_test(tests, a_new_trace_is_valid_and_like_no_other);
    tcase_add_loop_test(tests, times_of_rfc_3339, 0, ARRAY_LEN(times));
    tcase_add_test(tests, a_time_before_1970_is_written_and_read);
    tcase_add_test(tests, a_buffer_at_its_bound);
    tcase_add_test(tests, formatted_texts_at_the_edge_of_the_room);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
