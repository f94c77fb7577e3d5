#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/shop/event.h"
#include "notifier/envelope.h"
#include "notifier/progress.h"

static struct envelope event(unsigned order, int64_t sequence, bool final)
{
    struct envelope envelope = {.sequence = sequence, .final = final};
    memcpy(envelope.order, &order, sizeof order);
    return envelope;
}

static bool tell(struct progress *progress, unsigned order, int64_t sequence, bool final,
                 uint64_t now_ms)
{
    struct envelope envelope = event(order, sequence, final);
    return progress_advance(progress, &envelope, now_ms);
}

START_TEST(each_order_only_goes_forward)
{
    struct progress p = {0};
    ck_assert(tell(&p, 1, 1, false, 0));
    ck_assert(!tell(&p, 1, 1, false, 0));
    ck_assert(tell(&p, 1, 3, false, 0));
    ck_assert(!tell(&p, 1, 2, false, 0));
    ck_assert(tell(&p, 2, 1, false, 0));
    ck_assert(tell(&p, 1, 4, true, 0));
    ck_assert(!tell(&p, 1, 4, true, 0));
    ck_assert(tell(&p, 1, 5, true, 0)); /* confirmed, then refunded */
    progress_free(&p);
}
END_TEST

START_TEST(ended_orders_are_forgotten_before_open_ones)
{
    struct progress p = {0};
    for (unsigned i = 0; i < PROGRESS_MAX; i++)
        ck_assert(tell(&p, i, 5, i % 2 == 0, i));
    ck_assert(tell(&p, PROGRESS_MAX, 1, false, PROGRESS_FINAL_KEPT_MS + PROGRESS_MAX));
    ck_assert_uint_eq(p.count, PROGRESS_MAX / 2 + 1);
    for (unsigned i = 1; i < PROGRESS_MAX; i += 2)
        ck_assert(!tell(&p, i, 5, false, PROGRESS_FINAL_KEPT_MS + PROGRESS_MAX));
    progress_free(&p);
}
END_TEST

START_TEST(beyond_the_bound_the_oldest_goes)
{
    struct progress p = {0};
    for (unsigned i = 0; i < PROGRESS_MAX + 10; i++)
        ck_assert(tell(&p, i, 5, false, i));
    ck_assert_uint_eq(p.count, PROGRESS_MAX);
    ck_assert(!tell(&p, PROGRESS_MAX + 9, 5, false, 5000));
    ck_assert(!tell(&p, 10, 5, false, 5000));
    ck_assert(tell(&p, 0, 5, false, 5000));
    progress_free(&p);
}
END_TEST

START_TEST(our_own_events_are_read)
{
    struct buf text;
    buf_init(&text, ENVELOPE_TEXT_MAX);
    const struct event made = {.id = 77,
                               .sequence = 3,
                               .order_id = "01234567-89ab-8def-8123-456789abcdef",
                               .sku = "dress",
                               .quantity = 1,
                               .status = "confirmed",
                               .reference = "a \"quoted\" \\ one"};
    ck_assert_int_eq(event_encode(&text, &made), 0);
    struct envelope read;
    ck_assert_int_eq(envelope_parse(buf_text(&text), text.len, &read), 0);
    ck_assert_int_eq(read.sequence, 3);
    ck_assert(read.final);
    ck_assert_uint_eq(read.order[0], 0x01);
    ck_assert_uint_eq(read.order[15], 0xef);
    for (size_t len = 0; len < text.len; len++)
        ck_assert_int_eq(envelope_parse(buf_text(&text), len, &read), ERR_PARSE);
    buf_free(&text);
}
END_TEST

#define ORDER "01234567-89ab-8def-8123-456789abcdef"

START_TEST(what_is_no_event_is_refused)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER "\",\"sequence\":1}",
        "{\"specversion\":\"0.3\",\"id\":\"1\",\"subject\":\"" ORDER
        "\",\"sequence\":1,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"\",\"subject\":\"" ORDER
        "\",\"sequence\":1,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER
        "\",\"sequence\":0,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER
        "\",\"sequence\":\"1\",\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER
        "x\",\"sequence\":1,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"01234567x89ab-8def-8123-456789abcdef"
        "\",\"sequence\":1,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"0123456g-89ab-8def-8123-456789abcdef"
        "\",\"sequence\":1,\"data\":{\"status\":\"waiting\"}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER
        "\",\"sequence\":1,\"data\":{\"status\":7}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"subject\":\"" ORDER
        "\",\"sequence\":1,\"sequence\":2,\"data\":{\"status\":\"waiting\"}}",
    };
    struct envelope read;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_msg(envelope_parse(texts[i], strlen(texts[i]), &read) == ERR_PARSE, "%s",
                      texts[i]);
    size_t len = ENVELOPE_TEXT_MAX + 1;
    char *long_text = malloc(len);
    memset(long_text, ' ', len);
    ck_assert_int_eq(envelope_parse(long_text, len, &read), ERR_PARSE);
    free(long_text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *tests = tcase_create("progress");
    tcase_add_test(tests, each_order_only_goes_forward);
    tcase_add_test(tests, ended_orders_are_forgotten_before_open_ones);
    tcase_add_test(tests, beyond_the_bound_the_oldest_goes);
    tcase_add_test(tests, our_own_events_are_read);
    tcase_add_test(tests, what_is_no_event_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
