/* Memory runs out at each allocation of checkoutctl's pure cores in turn. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ctl/audit/audit_captures.h"
#include "ctl/dead/dead_body.h"
#include "ctl/items/items_file.h"
#include "tests/fake/fake_memory.h"

#define NOW_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

static int captures(void)
{
    struct audit_captures set = {0};
    int code = audit_captures_add(&set, "pi_1");
    MUST(audit_captures_has(&set, "pi_1") == (code == 0));
    audit_captures_free(&set);
    return code;
}

static int good_file(void)
{
    static const char text[] = "sku,title,price,currency,stock,gate,opens_at,closes_at\n"
                               "a,\"A \"\"b\"\"\",100,usd,1,lock,,\n"
                               "b,B,200,usd,2,,2026-01-31T18:00:00Z,2026-02-01T18:00:00Z\n";
    struct items_file file;
    int code = items_file_parse(text, sizeof text - 1, NOW_MS, &file);
    if (code == 0) {
        /* a row without memory is one that does not fit: nothing is imported either way */
        MUST((file.count == 2 && file.problems.count == 0) || fake_memory_failed());
        items_file_free(&file);
    }
    return code;
}

static int bad_file(void)
{
    static const char text[] =
        "sku,title,price,currency,stock,opens_at,closes_at\n"
        "a,A,x,USD,-1,2026-01-31T18:00:00Z,2026-01-31T18:00:00Z\n"
        "a,A,100,usd,1,,\na,A,100,usd,1,,\nb,\x01,1,usd,1\nc,\"open,1,usd,1\n";
    struct items_file file;
    int code = items_file_parse(text, sizeof text - 1, NOW_MS, &file);
    if (code == 0) {
        MUST(file.problems.count >= 6 || fake_memory_failed());
        items_file_free(&file);
    }
    return code;
}

static int masked(void)
{
    static const char text[] =
        "{\"version\":1,\"jobs\":[{\"sku\":\"a\",\"receipt_email\":\"a@b.c\","
        "\"quantity\":4111111111111111,\"x\":[null,true,1.5,-7]}]}";
    struct buf out;
    struct dead_body *body = dead_body_new(text, sizeof text - 1);
    if (body == NULL)
        return ERR_NOMEM;
    buf_init(&out, 65536);
    dead_body_mask(body, &out);
    int code = out.failed ? ERR_NOMEM : 0;
    MUST(strstr(buf_text(&out), "a@b.c") == NULL && strstr(buf_text(&out), "4111") == NULL);
    buf_free(&out);
    dead_body_free(body);
    return code;
}

START_TEST(captures_files_and_dead_letters)
{
    ck_assert_uint_gt(fake_memory_run(captures), 0);
    ck_assert_uint_gt(fake_memory_run(good_file), 8);
    ck_assert_uint_gt(fake_memory_run(bad_file), 8);
    ck_assert_uint_gt(fake_memory_run(masked), 2);
}
END_TEST

/* Whatever a dead letter holds, nothing that may be a card or an address is shown. */
START_TEST(what_a_dead_letter_shows)
{
    static const struct {
        const char *body;
        const char *shown; /* a part of it */
        const char *hidden;
    } cases[] = {
        {"[1,{\"a@b.c\":1}]", "\"***\"", "a@b.c"},
        {"{\"jobs\":[{\"user_id\":\"4242 4242 4242 4242\"}]}", "***", "4242"},
        {"{\"jobs\":7}", "7", "@"},
        {"{\"sku\":\"lamp\",\"quantity\":1}", "\"lamp\"", "@"},
        {"{\"sku\":true,\"quantity\":null,\"version\":false}", "null", "@"},
        {"\"4111111111111111\"", "***", "4111"},
        {"[[[[[[[[[[[[[[[[[[[[[[\"deep\"]]]]]]]]]]]]]]]]]]]]]]", "***", "deep"},
        {"not json 4111-1111-1111-1111 a@b.c \x01 {\"sku\":", "sku", "a@b.c"},
        {"", "", "@"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        struct dead_body *body = dead_body_new(cases[i].body, strlen(cases[i].body));
        buf_init(&out, 65536);
        dead_body_mask(body, &out);
        ck_assert_msg(strstr(buf_text(&out), cases[i].shown) != NULL, "%s: %s", cases[i].body,
                      buf_text(&out));
        ck_assert_msg(strstr(buf_text(&out), cases[i].hidden) == NULL, "%s: %s", cases[i].body,
                      buf_text(&out));
        ck_assert_ptr_null(dead_body_order(body, 7));
        buf_free(&out);
        dead_body_free(body);
    }
    dead_body_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no memory: ctl");
    TCase *tests = tcase_create("no memory: ctl");
    tcase_add_test(tests, captures_files_and_dead_letters);
    tcase_add_test(tests, what_a_dead_letter_shows);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
