#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/email.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define SECRET "a secret of thirty-two bytes, or so"

static struct ids *ids;
static struct buf text;
static struct job job;
static struct job_batch batch;
static const char *problem;

static void setup(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    buf_init(&text, 1 << 20);
    job = (struct job){.user_id = "alice",
                       .sku = "dress-1920s",
                       .quantity = 1,
                       .payment_method = "pm_card_visa",
                       .accepted_at = "2026-01-31T10:00:00.123Z",
                       .fingerprint = "0123456789abcdef0123456789abcdef"};
    ck_assert_int_eq(ids_order(ids, "alice", "key-1", job.order_id), 0);
    batch = (struct job_batch){0};
    problem = NULL;
}

static void teardown(void)
{
    job_batch_free(&batch);
    buf_free(&text);
    ids_free(ids);
}

static int parse_text(const char *body)
{
    job_batch_free(&batch);
    return job_batch_parse(body, strlen(body), 0, 1, ids, &batch, &problem);
}

/* A message of `count` jobs with `extra` put before the last brace of the first. */
static int parse_with(const char *extra, int count)
{
    char id[IDS_ORDER_SIZE];
    memcpy(id, job.order_id, sizeof id);
    buf_reset(&text);
    (void)buf_str(&text, JOB_MESSAGE_HEAD);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            (void)buf_char(&text, ',');
        ck_assert_int_eq(job_encode(&text, &job), 0);
        if (i == 0 && extra != NULL) {
            text.len--;
            (void)buf_str(&text, extra);
            (void)buf_char(&text, '}');
        }
    }
    (void)buf_str(&text, JOB_MESSAGE_TAIL);
    return parse_text(buf_text(&text));
}

/* The same with one member's value replaced in the first job. */
static int parse_replaced(const char *member, const char *value)
{
    ck_assert_int_eq(parse_with(NULL, 3), 0);
    char *name = strstr(text.data, member);
    ck_assert_ptr_nonnull(name);
    char *from = name + strlen(member) + 2;
    char *to = from + strcspn(from, ",}");
    struct buf changed;
    buf_init(&changed, 1 << 20);
    (void)buf_append(&changed, text.data, (size_t)(from - text.data));
    (void)buf_str(&changed, value);
    (void)buf_str(&changed, to);
    int code = parse_text(buf_text(&changed));
    buf_free(&changed);
    return code;
}

START_TEST(what_is_written_is_read)
{
    job.receipt_email = "a@example.com";
    job.has_unit_price = true;
    job.unit_price = 12900;
    job.reference = "cart-7";
    job.gateway_customer = "cus_1";
    job.mail_to = "ann@example.org";
    job.locale = "de-AT";
    job.human = "drop-7 drop.8";
    job.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ck_assert_int_eq(parse_with(NULL, 2), 0);
    ck_assert_uint_eq(batch.count, 2);
    const struct job_entry *entry = &batch.entries[1];
    ck_assert_int_eq(entry->verdict, JOB_GOOD);
    ck_assert_str_eq(entry->job.order_id, job.order_id);
    ck_assert_str_eq(entry->job.user_id, "alice");
    ck_assert_str_eq(entry->job.sku, "dress-1920s");
    ck_assert_int_eq(entry->job.quantity, 1);
    ck_assert_str_eq(entry->job.payment_method, "pm_card_visa");
    ck_assert_str_eq(entry->job.receipt_email, "a@example.com");
    ck_assert(entry->job.has_unit_price);
    ck_assert_int_eq(entry->job.unit_price, 12900);
    ck_assert_str_eq(entry->job.reference, "cart-7");
    ck_assert_str_eq(entry->job.accepted_at, job.accepted_at);
    ck_assert_str_eq(entry->job.fingerprint, job.fingerprint);
    ck_assert_str_eq(entry->job.traceparent, job.traceparent);
    ck_assert_str_eq(entry->job.gateway_customer, "cus_1");
    ck_assert_str_eq(entry->job.mail_to, "ann@example.org");
    ck_assert_str_eq(entry->job.locale, "de-AT");
    ck_assert_str_eq(entry->job.human, "drop-7 drop.8");
}
END_TEST

START_TEST(a_message_that_is_none_is_refused_as_a_whole)
{
    static const char *const bodies[] = {"",
                                         "{",
                                         "null",
                                         "[]",
                                         "{}",
                                         "not json",
                                         "{\"version\":1}",
                                         "{\"version\":1,\"jobs\":{}}",
                                         "{\"version\":1,\"jobs\":[]}",
                                         "{\"version\":2,\"jobs\":[{}]}",
                                         "{\"version\":\"1\",\"jobs\":[{}]}",
                                         "{\"version\":1,\"jobs\":[{}],\"more\":1}",
                                         "{\"version\":1,\"jobs\":[{]}",
                                         "{\"version\":1,\"jobs\":[{}]}x",
                                         "{\"version\":1,\"version\":1,\"jobs\":[{}]}",
                                         "\xff\xfe",
                                         "{\"version\":1,\"jobs\":[{\"",
                                         "{\"version\":1,\"jobs\":[}{]}",
                                         "]]]",
                                         "{\"a\":[{}],\"version\":1,\"jobs\":[{\"\xff\":1}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        ck_assert_msg(parse_text(bodies[i]) < 0, "%s", bodies[i]);
        ck_assert_ptr_nonnull(problem);
    }
}
END_TEST

START_TEST(a_message_has_at_most_256_jobs)
{
    ck_assert_int_eq(parse_with(NULL, 256), 0);
    ck_assert_uint_eq(batch.count, 256);
    ck_assert_int_lt(parse_with(NULL, 257), 0);
    ck_assert_int_lt(parse_with(",\"quantity\":1e999", 257), 0);
}
END_TEST

START_TEST(a_bad_field_harms_only_its_job)
{
    static const struct {
        const char *member, *value;
    } bad[] = {{"quantity", "-5"},
               {"quantity", "0"},
               {"quantity", "101"},
               {"quantity", "1.5"},
               {"quantity", "\"1\""},
               {"quantity", "1e400"},
               {"quantity", "9223372036854775808"},
               {"quantity", "true"},
               {"quantity", "null"},
               {"sku", "\"\""},
               {"sku", "\"a/b\""},
               {"sku", "\"a\\u0000b\""},
               {"payment_method", "\"\""},
               {"payment_method", "7"},
               {"payment_method", "\"with space\""},
               {"accepted_at", "\"now\""},
               {"accepted_at", "\"2026-02-30T10:00:00.000Z\""},
               {"fingerprint", "\"xyz\""},
               {"quantity", "1,\"quantity\":1"},
               {"quantity", "1,\"unit_price\":-1"},
               {"quantity", "1,\"unit_price\":1e400"},
               {"quantity", "1,\"unit_price\":99999999999999999999"},
               {"quantity", "1,\"receipt_email\":\"nobody\""},
               {"quantity", "1,\"mail_to\":\"a,b@c\""},
               {"quantity", "1,\"locale\":\"de_AT\""},
               {"quantity", "1,\"reference\":\"\""},
               {"quantity", "1,\"traceparent\":\"00-x\""}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(parse_replaced(bad[i].member, bad[i].value) == 0, "%s %s: %s", bad[i].member,
                      bad[i].value, problem);
        ck_assert_uint_eq(batch.count, 3);
        ck_assert_msg(batch.entries[0].verdict == JOB_BAD, "%s %s", bad[i].member, bad[i].value);
        ck_assert_str_eq(batch.entries[0].job.order_id, job.order_id);
        ck_assert_str_eq(batch.entries[0].job.user_id, "alice");
        ck_assert_ptr_nonnull(batch.entries[0].problem);
        ck_assert_int_eq(batch.entries[1].verdict, JOB_GOOD);
        ck_assert_int_eq(batch.entries[2].verdict, JOB_GOOD);
    }
}
END_TEST

START_TEST(members_of_a_later_version_are_ignored)
{
    static const char *const later[] = {"1,\"gift\":true", "1,\"\":null",
                                        "1,\"options\":{\"sku\":7,\"colours\":[\"red\",{}]}",
                                        "1,\"Quantity\":-5"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        ck_assert_msg(parse_replaced("quantity", later[i]) == 0, "%s: %s", later[i], problem);
        ck_assert_uint_eq(batch.count, 3);
        for (size_t j = 0; j < 3; j++)
            ck_assert_msg(batch.entries[j].verdict == JOB_GOOD, "%s", later[i]);
        ck_assert_int_eq(batch.entries[0].job.quantity, 1);
    }
}
END_TEST

START_TEST(a_job_without_a_verifiable_id_is_unreadable)
{
    static const struct {
        const char *member, *value;
    } bad[] = {{"order_id", "\"00000000-0000-8000-8000-000000000000\""},
               {"order_id", "7"},
               {"order_id", "\"\""},
               {"user_id", "\"mallory\""},
               {"user_id", "\"\""},
               {"user_id", "null"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(parse_replaced(bad[i].member, bad[i].value), 0);
        ck_assert_int_eq(batch.entries[0].verdict, JOB_UNREADABLE);
        ck_assert_ptr_nonnull(batch.entries[0].raw);
        ck_assert_int_eq(batch.entries[1].verdict, JOB_GOOD);
    }
    ck_assert_int_eq(parse_text("{\"version\":1,\"jobs\":[7,\"x\",null,[]]}"), 0);
    ck_assert_uint_eq(batch.count, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(batch.entries[i].verdict, JOB_UNREADABLE);
}
END_TEST

START_TEST(a_text_that_is_none_makes_a_job_invalid_and_spares_its_neighbours)
{
    static const char *const broken[] = {
        "\"\xff\xfe\"",       "\"caf\xe9\"",        "\"\xc3\"",    "\"\\ud800\"", "\"\\udfff!\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\\ud800\"", "\"\x01\\n\"", "\"\\x\"",     "\"\\u12\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        ck_assert_int_eq(parse_replaced("payment_method", broken[i]), 0);
        ck_assert_int_eq(batch.entries[0].verdict, JOB_BAD);
        ck_assert_str_eq(batch.entries[0].job.order_id, job.order_id);
        ck_assert_int_eq(batch.entries[1].verdict, JOB_GOOD);
        ck_assert_int_eq(parse_replaced("user_id", broken[i]), 0); /* then no id verifies */
        ck_assert_int_eq(batch.entries[0].verdict, JOB_UNREADABLE);
        ck_assert_int_eq(batch.entries[1].verdict, JOB_GOOD);
    }
}
END_TEST

START_TEST(what_is_fine_in_a_flawed_job_stays_as_it_is)
{
    ck_assert_int_eq(
        parse_replaced("payment_method", "\"pm\",\"reference\":\"r\",\"quantity\":1e999"), 0);
    ck_assert_int_eq(batch.entries[0].verdict, JOB_BAD);
    ck_assert_str_eq(batch.entries[0].job.payment_method, "pm");
    ck_assert_str_eq(batch.entries[0].job.reference, "r");
    job.receipt_email = "a@b";
    ck_assert_int_eq(parse_replaced("receipt_email", "\"\\ud83d\\ude00\xff@\\u00e9\""), 0);
    ck_assert_int_eq(batch.entries[0].verdict, JOB_BAD);
    ck_assert_str_eq(batch.entries[0].job.receipt_email, "\xf0\x9f\x98\x80?@\xc3\xa9");
}
END_TEST

START_TEST(a_job_of_another_shard_is_invalid_here)
{
    ck_assert_int_eq(parse_with(NULL, 1), 0);
    uint32_t shard = shard_of(job.sku, strlen(job.sku), 16);
    for (uint32_t i = 0; i < 16; i++) {
        job_batch_free(&batch);
        ck_assert_int_eq(job_batch_parse(text.data, text.len, i, 16, ids, &batch, &problem), 0);
        ck_assert_int_eq(batch.entries[0].verdict, i == shard ? JOB_GOOD : JOB_BAD);
        ck_assert(i == shard || batch.entries[0].job.sku == NULL);
    }
}
END_TEST

START_TEST(every_truncation_is_survived)
{
    ck_assert_int_eq(parse_with(",\"quantity\":1", 2), 0);
    size_t whole = text.len;
    for (size_t len = 0; len < whole; len++) {
        char *cut = malloc(len + 1); /* exact size, so that a sanitizer sees a read behind it */
        memcpy(cut, text.data, len);
        job_batch_free(&batch);
        ck_assert_int_lt(job_batch_parse(cut, len, 0, 1, ids, &batch, &problem), 0);
        free(cut);
    }
}
END_TEST

START_TEST(every_changed_byte_is_survived)
{
    ck_assert_int_eq(parse_with(",\"unit_price\":1e5", 2), 0);
    size_t len = text.len;
    char *copy = malloc(len);
    static const char changes[] = "\"{}[],:\\0-e\xff\n";
    for (size_t i = 0; i < len; i++) {
        for (size_t c = 0; c < sizeof changes; c++) {
            memcpy(copy, text.data, len);
            copy[i] = changes[c];
            job_batch_free(&batch);
            (void)!job_batch_parse(copy, len, 0, 1, ids, &batch, &problem);
        }
    }
    free(copy);
}
END_TEST

START_TEST(fingerprints_tell_orders_apart)
{
    char first[IDS_FINGERPRINT_SIZE], again[IDS_FINGERPRINT_SIZE], other[IDS_FINGERPRINT_SIZE];
    ck_assert_int_eq(job_fingerprint(&job, first), 0);
    ck_assert_int_eq(job_fingerprint(&job, again), 0);
    ck_assert_str_eq(first, again);
    job.quantity = 2;
    ck_assert_int_eq(job_fingerprint(&job, other), 0);
    ck_assert_str_ne(first, other);
    job.quantity = 1;
    job.has_unit_price = true;
    ck_assert_int_eq(job_fingerprint(&job, other), 0);
    ck_assert_str_ne(first, other);
    job.has_unit_price = false;
    job.reference = "r";
    ck_assert_int_eq(job_fingerprint(&job, other), 0);
    ck_assert_str_ne(first, other);
}
END_TEST

/* schemas/order-vectors.json, which other publishers are checked by, too. */
START_TEST(published_fingerprints)
{
    json_t *file = json_load_file("schemas/order-vectors.json", JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(file);
    const json_t *vectors = json_object_get(file, "fingerprints");
    ck_assert_uint_ge(json_array_size(vectors), 6);
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        const json_t *order = json_object_get(vector, "order");
        const json_t *price = json_object_get(order, "unit_price");
        const struct job published = {
            .sku = json_string_value(json_object_get(order, "sku")),
            .quantity = json_integer_value(json_object_get(order, "quantity")),
            .payment_method = json_string_value(json_object_get(order, "payment_method")),
            .receipt_email = json_string_value(json_object_get(order, "receipt_email")),
            .reference = json_string_value(json_object_get(order, "reference")),
            .has_unit_price = price != NULL,
            .unit_price = json_integer_value(price)};
        char fingerprint[IDS_FINGERPRINT_SIZE];
        ck_assert_int_eq(job_fingerprint(&published, fingerprint), 0);
        ck_assert_str_eq(fingerprint, json_string_value(json_object_get(vector, "fingerprint")));
    }
    json_decref(file);
}
END_TEST

START_TEST(challenges_are_words_with_one_blank_between_two)
{
    static const char *const bad[] = {"",   " ",    "a ",     " a",  "a  b",
                                      "a/", "a\tb", "drop\n", "a,b", "caf\xc3\xa9"};
    char longest[JOB_HUMAN_MAX + 2];
    memset(longest, 'x', sizeof longest);
    for (size_t i = JOB_CHALLENGE_MAX; i < sizeof longest; i += JOB_CHALLENGE_MAX + 1)
        longest[i] = ' ';
    ck_assert(job_human_valid(longest, JOB_HUMAN_MAX));
    ck_assert(!job_human_valid(longest, JOB_HUMAN_MAX + 1));
    longest[JOB_CHALLENGE_MAX] = 'x';
    ck_assert(!job_human_valid(longest, JOB_HUMAN_MAX));
    ck_assert(job_human_valid(".-_", 3));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!job_human_valid(bad[i], strlen(bad[i])), "\"%s\"", bad[i]);
    ck_assert_int_eq(parse_with(",\"human\":\"a  b\"", 1), 0);
    ck_assert_int_eq(batch.entries[0].verdict, JOB_BAD);
}
END_TEST

START_TEST(a_challenge_is_passed_if_it_is_named_as_a_whole)
{
    static const char *const named[] = {"drop-7", "drop-7 b", "a drop-7", "a drop-7 b"};
    static const char *const others[] = {NULL,      "",       "drop",     "drop-77",
                                         "xdrop-7", "Drop-7", "a drop-70"};
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        ck_assert_msg(job_passed(named[i], "drop-7"), "\"%s\"", named[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!job_passed(others[i], "drop-7"), "%zu", i);
    ck_assert(!job_passed("drop-7", "drop-7 b"));
}
END_TEST

/* Every text of the longest length, of characters that JSON must escape. */
START_TEST(a_message_of_256_of_the_longest_jobs_is_taken)
{
    char quotes[JOB_METHOD_MAX + 1];
    char email[EMAIL_MAX + 1];
    char sku[JOB_SKU_MAX + 1];
    memset(quotes, '"', JOB_METHOD_MAX);
    quotes[JOB_METHOD_MAX] = '\0';
    memset(email, 'x', EMAIL_MAX);
    email[1] = '@';
    email[EMAIL_MAX] = '\0';
    memset(sku, 'x', JOB_SKU_MAX);
    sku[JOB_SKU_MAX] = '\0';
    job.user_id = job.payment_method = quotes;
    job.reference = quotes + JOB_METHOD_MAX - JOB_REFERENCE_MAX;
    job.receipt_email = job.mail_to = email;
    job.sku = job.gateway_customer = sku;
    char human[JOB_HUMAN_MAX + 1];
    memset(human, 'x', JOB_HUMAN_MAX);
    for (size_t i = JOB_CHALLENGE_MAX; i < JOB_HUMAN_MAX; i += JOB_CHALLENGE_MAX + 1)
        human[i] = ' ';
    human[JOB_HUMAN_MAX] = '\0';
    job.human = human;
    job.quantity = JOB_QUANTITY_MAX;
    job.has_unit_price = true;
    job.unit_price = JOB_PRICE_MAX;
    job.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    ck_assert_int_eq(ids_order(ids, job.user_id, "key", job.order_id), 0);
    ck_assert_int_eq(parse_with(NULL, JOB_BATCH_MAX), 0);
    ck_assert_uint_eq(batch.count, JOB_BATCH_MAX);
    for (size_t i = 0; i < batch.count; i++)
        ck_assert_msg(batch.entries[i].verdict == JOB_GOOD, "%s", batch.entries[i].problem);
    ck_assert_uint_le(text.len, JOB_MESSAGE_ACCEPT);
    ck_assert_uint_gt(text.len, 520000); /* as docs/publishing.md says */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job");
    TCase *tests = tcase_create("job");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, challenges_are_words_with_one_blank_between_two);
    tcase_add_test(tests, a_challenge_is_passed_if_it_is_named_as_a_whole);
    tcase_add_test(tests, a_message_that_is_none_is_refused_as_a_whole);
    tcase_add_test(tests, a_message_has_at_most_256_jobs);
    tcase_add_test(tests, a_bad_field_harms_only_its_job);
    tcase_add_test(tests, members_of_a_later_version_are_ignored);
    tcase_add_test(tests, a_job_without_a_verifiable_id_is_unreadable);
    tcase_add_test(tests, a_text_that_is_none_makes_a_job_invalid_and_spares_its_neighbours);
    tcase_add_test(tests, what_is_fine_in_a_flawed_job_stays_as_it_is);
    tcase_add_test(tests, a_job_of_another_shard_is_invalid_here);
    tcase_add_test(tests, every_truncation_is_survived);
    tcase_add_test(tests, every_changed_byte_is_survived);
    tcase_add_test(tests, fingerprints_tell_orders_apart);
    tcase_add_test(tests, published_fingerprints);
    tcase_add_test(tests, a_message_of_256_of_the_longest_jobs_is_taken);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
