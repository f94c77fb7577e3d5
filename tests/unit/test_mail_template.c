/* Templates of mails: values, sections, escaping by context, and mistakes found at the start. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "notifier/mail/template.h"

static const struct template_value values[] = {
    {"title", "a <b>&\"'\r\nBcc: x@y {{link}}\x7f\t\xc3\xa9"},
    {"empty", ""},
    {"absent", NULL},
    {"link", "https://shop.example/?a=1&b=2"},
    {NULL, NULL},
};

static const struct {
    const char *text;
    enum template_context context;
    const char *made;
} good[] = {
    {"", TEMPLATE_LINES, ""},
    {"plain } { text", TEMPLATE_LINES, "plain } { text"},
    {"[{{title}}]", TEMPLATE_LINES, "[a <b>&\"'  Bcc: x@y {{link}}  \xc3\xa9]"},
    {"[{{title}}]", TEMPLATE_HTML, "[a &lt;b&gt;&amp;&quot;&#39;  Bcc: x@y {{link}}  \xc3\xa9]"},
    {"<a href=\"{{link}}\">", TEMPLATE_HTML, "<a href=\"https://shop.example/?a=1&amp;b=2\">"},
    {"[{{empty}}{{absent}}]", TEMPLATE_HTML, "[]"},
    {"{{#empty}}x{{link}}{{/empty}}y", TEMPLATE_LINES, "y"},
    {"{{#absent}}x{{/absent}}y", TEMPLATE_LINES, "y"},
    {"{{#link}}<{{link}}>{{/link}}y", TEMPLATE_LINES, "<https://shop.example/?a=1&b=2>y"},
    {"{{#empty}}1{{/empty}}{{#link}}2{{/link}}{{#absent}}3{{/absent}}4", TEMPLATE_LINES, "24"},
};

START_TEST(a_template_is_filled)
{
    char problem[TEMPLATE_PROBLEM_SIZE];
    struct buf out;
    buf_init(&out, 1000);
    ck_assert_int_eq(template_check(good[_i].text, values, problem), 0);
    ck_assert_int_eq(template_render(good[_i].text, good[_i].context, values, &out), 0);
    ck_assert_str_eq(buf_text(&out), good[_i].made);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *text;
    const char *problem;
} bad[] = {
    {"{{", "is no field"},
    {"{{title", "is no field"},
    {"{{title}", "is no field"},
    {"{{ title }}", "is no field"},
    {"{{Title}}", "is no field"},
    {"{{other}}", "names no value"},
    {"{{titl}}", "names no value"},
    {"{{titles}}", "names no value"},
    {"{{}}", "names no value"},
    {"{{#link}}", "has no end"},
    {"{{#link}}{{/title}}", "has no end"},
    {"{{#link}}{{title{{/link}}", "has no end"},
    {"{{/link}}", "ends nothing"},
    {"{{#link}}{{/title}}{{/link}}", "ends nothing"},
    {"{{#link}}{{#title}}{{/title}}{{/link}}", "inside of another"},
    {"{{#link}}{{/link}}{{/link}}", "ends nothing"},
};

START_TEST(a_mistake_is_found_at_the_start)
{
    char problem[TEMPLATE_PROBLEM_SIZE] = "";
    struct buf out;
    ck_assert_int_eq(template_check(bad[_i].text, values, problem), ERR_PARSE);
    ck_assert_msg(strstr(problem, bad[_i].problem) != NULL, "%s: %s", bad[_i].text, problem);
    buf_init(&out, 1000); /* whatever it does with one that was not checked, it ends */
    (void)template_render(bad[_i].text, TEMPLATE_LINES, values, &out);
    buf_free(&out);
}
END_TEST

START_TEST(a_full_buffer_is_said)
{
    struct buf out;
    buf_init(&out, 10);
    ck_assert_int_eq(template_render("{{link}}", TEMPLATE_LINES, values, &out), ERR_FULL);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mail_template");
    TCase *tests = tcase_create("mail_template");
    tcase_add_loop_test(tests, a_template_is_filled, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tests, a_mistake_is_found_at_the_start, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tests, a_full_buffer_is_said);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
