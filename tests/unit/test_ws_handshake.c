#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/origins.h"
#include "notifier/handshake.h"

static struct handshake good(void)
{
    return (struct handshake){
        .method = "GET",
        .path = "/v1/events",
        .upgrade = "websocket",
        .connection = "keep-alive, Upgrade",
        .version = "13",
        .key = "dGhlIHNhbXBsZSBub25jZQ==",
        .protocols = "cloudevents.json",
    };
}

static unsigned check(const struct handshake *handshake, const char *list)
{
    struct origins *origins = NULL;
    const char *problem = NULL;
    ck_assert_int_eq(origins_new(list, &origins, &problem), 0);
    struct handshake_refusal refusal = {0};
    int64_t after_id = 0;
    int code = handshake_check(handshake, origins, &after_id, &refusal);
    origins_free(origins);
    if (code == 0)
        return 101;
    ck_assert_int_eq(code, ERR_REFUSED);
    ck_assert_ptr_nonnull(refusal.detail);
    return problem_status(refusal.type);
}

START_TEST(the_example_of_the_rfc_is_accepted)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    ck_assert_int_eq(handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    struct handshake h = good();
    ck_assert_uint_eq(check(&h, ""), 101);
    h.upgrade = "WebSocket";
    h.connection = "UPGRADE";
    h.protocols = "other, cloudevents.json ,third";
    ck_assert_uint_eq(check(&h, ""), 101);
}
END_TEST

#define REFUSED(member, value, status)                                                             \
    do {                                                                                           \
        struct handshake spoilt = good();                                                          \
        spoilt.member = (value);                                                                   \
        ck_assert_uint_eq(check(&spoilt, ""), (status));                                           \
    } while (0)

START_TEST(each_wrong_part_has_its_answer)
{
    REFUSED(path, "/v1/event", 404);
    REFUSED(path, "/v1/events/", 404);
    REFUSED(method, "POST", 405);
    REFUSED(upgrade, NULL, 400);
    REFUSED(upgrade, "h2c", 400);
    REFUSED(connection, NULL, 400);
    REFUSED(connection, "keep-alive", 400);
    REFUSED(connection, "upgraded", 400);
    REFUSED(version, NULL, 426);
    REFUSED(version, "8", 426);
    REFUSED(version, "13, 8", 426);
    REFUSED(key, NULL, 400);
    REFUSED(key, "", 400);
    REFUSED(key, "dGhlIHNhbXBsZSBub25jZQ=", 400);
    REFUSED(key, "dGhlIHNhbXBsZSBub25jZ===", 400);
    REFUSED(key, "dGhlIHNhbXBsZSBub25j!Q==", 400);
    REFUSED(key, "dGhlIHNhbXBsZSBub25jZQAA", 400);
    REFUSED(protocols, NULL, 400);
    REFUSED(protocols, "", 400);
    REFUSED(protocols, "cloudevents", 400);
    REFUSED(origin, "https://evil.example", 403);
    REFUSED(last_event_id, "", 400);
    REFUSED(last_event_id, "-1", 400);
    REFUSED(last_event_id, "1x", 400);
    REFUSED(last_event_id, "9223372036854775808", 400);
}
END_TEST

START_TEST(only_listed_origins_may)
{
    struct handshake h = good();
    const char *origins = "https://shop.example, http://127.0.0.1:8000";
    ck_assert_uint_eq(check(&h, origins), 101); /* no browser: no Origin */
    h.origin = "https://shop.example";
    ck_assert_uint_eq(check(&h, origins), 101);
    h.origin = "http://127.0.0.1:8000";
    ck_assert_uint_eq(check(&h, origins), 101);
    h.origin = "http://shop.example";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "https://shop.example.evil.example";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "https://shop.exampl";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "null";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "*";
    ck_assert_uint_eq(check(&h, origins), 403);
    h.origin = "https://evil.example";
    ck_assert_uint_eq(check(&h, "*"), 101);
}
END_TEST

START_TEST(the_last_event_is_read)
{
    struct handshake h = good();
    struct handshake_refusal refusal;
    int64_t after_id = 0;
    ck_assert_int_eq(handshake_check(&h, NULL, &after_id, &refusal), 0);
    ck_assert_int_eq(after_id, -1);
    h.last_event_id = "0";
    ck_assert_int_eq(handshake_check(&h, NULL, &after_id, &refusal), 0);
    ck_assert_int_eq(after_id, 0);
    h.last_event_id = "9223372036854775807";
    ck_assert_int_eq(handshake_check(&h, NULL, &after_id, &refusal), 0);
    ck_assert(after_id == INT64_MAX);
}
END_TEST

START_TEST(lists_of_tokens_are_read)
{
    ck_assert(handshake_lists("a", "a"));
    ck_assert(handshake_lists(" ,, a\t,b", "A"));
    ck_assert(handshake_lists("x,b ", "b"));
    ck_assert(!handshake_lists("ab", "a"));
    ck_assert(!handshake_lists("a b", "a"));
    ck_assert(!handshake_lists("", "a"));
    ck_assert(!handshake_lists(NULL, "a"));
    ck_assert(!handshake_lists(" , ,", ""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ws_handshake");
    TCase *tests = tcase_create("ws_handshake");
    tcase_add_test(tests, the_example_of_the_rfc_is_accepted);
    tcase_add_test(tests, each_wrong_part_has_its_answer);
    tcase_add_test(tests, only_listed_origins_may);
    tcase_add_test(tests, the_last_event_is_read);
    tcase_add_test(tests, lists_of_tokens_are_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
