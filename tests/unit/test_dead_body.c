#include "ctl/dead/dead_body.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "tests/fake/fake_memory.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define SHARDS 16

static struct ids *ids;
static struct buf out;
static char lamp[1024]; /* a job that every consumer can read */
static char lamp_id[IDS_ORDER_SIZE];

static void setup(void)
{
    struct buf text;
    struct job job = {.user_id = "ann",
                      .sku = "lamp",
                      .quantity = 1,
                      .payment_method = "pm_card_visa",
                      .accepted_at = "2026-01-31T18:00:00.000Z"};
    ids = ids_new(SECRET, strlen(SECRET));
    buf_init(&out, 65536);
    buf_init(&text, sizeof lamp);
    ck_assert_int_eq(ids_order(ids, "ann", "key", job.order_id), 0);
    ck_assert_int_eq(job_fingerprint(&job, job.fingerprint), 0);
    ck_assert_int_eq(job_encode(&text, &job), 0);
    memcpy(lamp, buf_text(&text), text.len + 1);
    memcpy(lamp_id, job.order_id, sizeof lamp_id);
    buf_free(&text);
}

static void teardown(void)
{
    ids_free(ids);
    buf_free(&out);
}

static struct dead_body *made(const char *text)
{
    struct dead_body *body = dead_body_new(text, strlen(text));
    ck_assert_ptr_nonnull(body);
    return body;
}

/* ---- which jobs it has ---- */

START_TEST(jobs_are_those_of_a_message_or_a_single_one)
{
    static const struct {
        const char *text;
        bool is_json;
        size_t jobs;
    } cases[] = {
        {"{\"version\":1,\"jobs\":[{\"sku\":\"a\"},7]}", true, 2},
        {"{\"jobs\":[]}", true, 0},
        {"{\"jobs\":7}", true, 0},
        {"{\"jobs\":7,\"sku\":\"a\"}", true, 1},
        {"{\"jobs\":[{}],\"sku\":\"a\"}", true, 1},
        {"{\"sku\":\"a\"}", true, 1},
        {"{\"title\":\"a\"}", true, 0},
        {"[{\"sku\":\"a\"}]", true, 0},
        {"\"sku\"", true, 0},
        {"7", true, 0},
        {"{\"sku\":", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dead_body *body = made(cases[i].text);
        ck_assert_msg(dead_body_is_json(body) == cases[i].is_json, "%s", cases[i].text);
        ck_assert_msg(dead_body_jobs(body) == cases[i].jobs, "%s", cases[i].text);
        dead_body_free(body);
    }
}
END_TEST

START_TEST(an_order_is_what_looks_like_an_id)
{
    struct dead_body *body =
        made("{\"jobs\":[{\"order_id\":\"pm_card_visa\"},{\"order_id\":7},{},[],"
             "{\"order_id\":\"0F0E0D0C-0b0a-8908-8706-050403020100\"}]}");
    for (size_t i = 0; i < 6; i++)
        if (i != 4)
            ck_assert_ptr_null(dead_body_order(body, i));
    ck_assert_str_eq(dead_body_order(body, 4), "0F0E0D0C-0b0a-8908-8706-050403020100");
    dead_body_free(body);
    body = made(lamp);
    ck_assert_str_eq(dead_body_order(body, 0), lamp_id);
    dead_body_free(body);
}
END_TEST

/* ---- what is shown of it ---- */

static void expect_shown(const char *text, size_t len, const char *shown)
{
    struct dead_body *body = dead_body_new(text, len);
    buf_reset(&out);
    dead_body_mask(body, &out);
    ck_assert_str_eq(buf_text(&out), shown);
    dead_body_free(body);
}

START_TEST(json_is_shown_indented_with_its_secrets_masked)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"{\"sku\":\"lamp\",\"quantity\":2,\"payment_method\":\"x\"}",
         "{\n  \"sku\": \"lamp\",\n  \"quantity\": 2,\n  \"payment_method\": \"***\"\n}"},
        {"{\"jobs\":[null,true,false,{}]}",
         "{\n  \"jobs\": [\n    null,\n    true,\n    false,\n    {\n    }\n  ]\n}"},
        {"{\"quantity\":1.5,\"version\":-3}", "{\n  \"quantity\": 1.5,\n  \"version\": -3\n}"},
        {"{\"title\":null,\"x\":true}", "{\n  \"title\": null,\n  \"x\": true\n}"},
        {"{\"title\":1,\"x\":1.5}", "{\n  \"title\": \"***\",\n  \"x\": \"***\"\n}"},
        {"{\"pm_1\":null}", "{\n  \"***\": null\n}"},
        {"null", "null"},
        {"\"sku\"", "\"***\""},
        {"[]", "[\n]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_shown(cases[i].text, strlen(cases[i].text), cases[i].shown);
}
END_TEST

/* A member whose value may be shown, with a value that is something else. */
START_TEST(a_secret_in_the_wrong_place_is_masked)
{
    static const char *const secret[] = {
        "\"pm_card_visa\"",   "\"xtok_1\"",           "\"card_1\"",           "\"src_1\"",
        "\"pi_1\"",           "\"ann@shop.example\"", "\"4242424242424242\"", "\"4242 4242 4242\"",
        "\"4242-4242-4242\"", "\"a 424242424242\"",   "1000000000000",        "-4242424242424242",
    };
    static const char *const plain[] = {
        "\"lamp\"",          "\"42424242424\"", "\"424242 x 424242\"",
        "\"424242x424242\"", "999999999999",    "\"01020304-0506-8708-8910-111213141516\"",
    };
    char text[128], shown[128];
    for (size_t i = 0; i < ARRAY_LEN(secret); i++) {
        (void)snprintf(text, sizeof text, "{\"user_id\":%s}", secret[i]);
        expect_shown(text, strlen(text), "{\n  \"user_id\": \"***\"\n}");
    }
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        (void)snprintf(text, sizeof text, "{\"user_id\":%s}", plain[i]);
        (void)snprintf(shown, sizeof shown, "{\n  \"user_id\": %s\n}", plain[i]);
        expect_shown(text, strlen(text), shown);
    }
}
END_TEST

START_TEST(long_texts_are_cut_between_letters)
{
    static const char text[] = "{\"sku\":\""
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                               "\xc3\xa9z\"}"; /* the 64th byte is the first half of a letter */
    expect_shown(text, sizeof text - 1,
                 "{\n  \"sku\": "
                 "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n}");
}
END_TEST

START_TEST(of_other_bodies_only_harmless_words_are_shown)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"{\"sku\":\"lamp", "{\"sku\":\"***"},
        {"quantity 123456 1234567 x1", "quantity 123456 *** ***"},
        {"order_id=01020304-0506-8708-8910-111213141516;",
         "order_id=01020304-0506-8708-8910-111213141516;"},
        {"ann.b-c_d+e@shop.example", "***"},
        {"caf\xc3\xa9 \x01\x7f", "*** ??"},
        {"123456789012345678901234567890123456789012345678901234567890123 {", "*** {"},
        {"1234567890123456789012345678901234567890123456789012345678901234 {", "*** {"},
        {"jobs", "jobs"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_shown(cases[i].text, strlen(cases[i].text), cases[i].shown);
    expect_shown("sku\0sku", 7, "sku?sku");
}
END_TEST

/* Only its beginning is shown: 512 bytes. */
START_TEST(a_long_body_is_cut)
{
    char text[600], shown[600] = {0};
    memset(text, '/', sizeof text);
    memset(shown, '/', 512);
    expect_shown(text, 512, shown);
    memcpy(shown + 512, " ...", 4);
    expect_shown(text, 513, shown);
    memcpy(text + 509, "123456789", 9); /* of it, 123 is in the first 512 bytes */
    memcpy(shown + 509, "123 ...", 8);
    expect_shown(text, sizeof text, shown);
}
END_TEST

/* ---- what goes back to the queue ---- */

static int replay(const char *text, uint32_t *ret_shard, size_t *ret_jobs, const char **ret_problem)
{
    struct dead_body *body = made(text);
    buf_reset(&out);
    int code = dead_body_message(body, SHARDS, ids, &out, ret_shard, ret_jobs, ret_problem);
    dead_body_free(body);
    return code;
}

START_TEST(a_single_job_becomes_a_message_of_its_shard)
{
    uint32_t shard = SHARDS;
    size_t jobs = 0;
    const char *problem = NULL;
    char message[sizeof lamp + 64];
    ck_assert_int_eq(replay(lamp, &shard, &jobs, &problem), 0);
    (void)snprintf(message, sizeof message, "{\"version\":1,\"jobs\":[%s]}", lamp);
    ck_assert_str_eq(buf_text(&out), message);
    ck_assert_uint_eq(shard, shard_of("lamp", 4, SHARDS));
    ck_assert_uint_eq(jobs, 1);
    ck_assert_int_eq(replay(message, &shard, &jobs, &problem), 0);
    ck_assert_str_eq(buf_text(&out), message); /* as it is */
    ck_assert_uint_eq(jobs, 1);
}
END_TEST

/* The consumer puts the others back among the dead letters. */
START_TEST(a_message_goes_back_if_one_job_can_be_read)
{
    uint32_t shard = SHARDS;
    size_t jobs = 0;
    const char *problem = NULL;
    char message[sizeof lamp + 128];
    (void)snprintf(message, sizeof message,
                   "{\"version\":1,\"jobs\":[7,{\"sku\":8},{\"sku\":\"..\"},%s]}", lamp);
    ck_assert_int_eq(replay(message, &shard, &jobs, &problem), 0);
    ck_assert_uint_eq(shard, shard_of("lamp", 4, SHARDS));
    ck_assert_uint_eq(jobs, 1);
}
END_TEST

START_TEST(what_no_consumer_can_read_stays)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "no job in it can be read"},
        {"{\"sku\":", "no job in it can be read"},
        {"{\"sku\":7}", "no job in it can be read"},
        {"{\"jobs\":[]}", "no job in it can be read"},
        {"{\"jobs\":[{\"sku\":\"lamp\"}]}", NULL},               /* no version */
        {"{\"version\":1,\"jobs\":[{\"sku\":\"lamp\"}]}", NULL}, /* no id */
        {"{\"sku\":\"lamp\"}", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t shard = SHARDS;
        size_t jobs = 0;
        const char *problem = NULL;
        ck_assert_int_eq(replay(cases[i].text, &shard, &jobs, &problem), ERR_PARSE);
        ck_assert_ptr_nonnull(problem);
        ck_assert_uint_eq(jobs, 0);
        if (cases[i].problem != NULL)
            ck_assert_str_eq(problem, cases[i].problem);
    }
}
END_TEST

static int replay_lamp(void)
{
    struct buf message;
    uint32_t shard;
    size_t jobs = 0;
    const char *problem = NULL;
    struct dead_body *body = dead_body_new(lamp, strlen(lamp));
    if (body == NULL)
        return ERR_NOMEM;
    buf_init(&message, 65536);
    int code = dead_body_message(body, SHARDS, ids, &message, &shard, &jobs, &problem);
    MUST(code < 0 || jobs == 1);
    MUST(code != ERR_PARSE || problem != NULL);
    buf_free(&message);
    dead_body_free(body);
    return code == ERR_PARSE && fake_memory_failed() ? ERR_NOMEM : code; /* jansson has no reason */
}

START_TEST(without_memory_nothing_goes_back)
{
    fake_memory_open();
    ck_assert_uint_gt(fake_memory_run(replay_lamp), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead_body");
    TCase *tests = tcase_create("dead_body");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, jobs_are_those_of_a_message_or_a_single_one);
    tcase_add_test(tests, an_order_is_what_looks_like_an_id);
    tcase_add_test(tests, json_is_shown_indented_with_its_secrets_masked);
    tcase_add_test(tests, a_secret_in_the_wrong_place_is_masked);
    tcase_add_test(tests, long_texts_are_cut_between_letters);
    tcase_add_test(tests, of_other_bodies_only_harmless_words_are_shown);
    tcase_add_test(tests, a_long_body_is_cut);
    tcase_add_test(tests, a_single_job_becomes_a_message_of_its_shard);
    tcase_add_test(tests, a_message_goes_back_if_one_job_can_be_read);
    tcase_add_test(tests, what_no_consumer_can_read_stays);
    tcase_add_test(tests, without_memory_nothing_goes_back);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
