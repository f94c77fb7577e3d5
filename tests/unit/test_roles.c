/* What each program may do at the servers, as words and hashes for them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/roles/rights.h"

static const char hash[ROLES_HASH_SIZE] =
    "0000000000000000000000000000000000000000000000000000000000000000";

START_TEST(every_word_of_each_role_reaches_redis)
{
    struct roles_acl acl;
    for (size_t i = 0; i < ROLES_COUNT; i++) {
        if (roles[i].redis == NULL)
            continue;
        ck_assert_int_eq(roles_acl(&roles[i], hash, &acl), 0);
        ck_assert_str_eq(acl.words[0], "ACL");
        ck_assert_str_eq(acl.words[1], "SETUSER");
        ck_assert_str_eq(acl.words[3], "reset"); /* nothing of before stays */
        const char *last = strrchr(roles[i].redis, ' ') + 1;
        ck_assert_str_eq(acl.words[acl.count - 1], last);
    }
}
END_TEST

/* A role of so many words, the last of them a refusal, which must not be lost. */
static int acl_of(size_t count, struct roles_acl *ret_acl)
{
    char text[ROLES_ACL_SIZE] = "";
    struct role role = {.program = "producer", .redis = text};
    for (size_t i = 1; i < count; i++)
        (void)strcat(text, "+a ");
    (void)strcat(text, "-a");
    return roles_acl(&role, hash, ret_acl);
}

START_TEST(too_many_words_are_an_error_and_not_cut)
{
    struct roles_acl acl;
    size_t most = ROLES_ACL_WORDS_MAX - 6; /* beside ACL SETUSER user reset on #hash */
    ck_assert_int_eq(acl_of(most, &acl), 0);
    ck_assert_uint_eq(acl.count, ROLES_ACL_WORDS_MAX);
    ck_assert_str_eq(acl.words[ROLES_ACL_WORDS_MAX - 1], "-a");
    ck_assert_int_eq(acl_of(most + 1, &acl), ERR_FULL);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_an_error_and_not_cut)
{
    char text[ROLES_ACL_SIZE];
    struct role role = {.program = "producer", .redis = text};
    struct roles_acl acl;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(roles_acl(&role, hash, &acl), ERR_FULL);
}
END_TEST

START_TEST(rabbitmq_hashes_are_salted)
{
    /* of RabbitMQ's own documentation */
    static const unsigned char salt[ROLES_SALT_BYTES] = {0x90, 0x8d, 0xc6, 0x0a};
    static const char documented[] = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    char text[ROLES_SALTED_SIZE];
    ck_assert_int_eq(roles_salted_hash("test12", salt, text), 0);
    ck_assert_str_eq(text, documented);
    ck_assert(roles_salted_hash_is(documented, "test12"));
    ck_assert(!roles_salted_hash_is(documented, "test13"));
    ck_assert(!roles_salted_hash_is("", "test12"));
    ck_assert(!roles_salted_hash_is("kI3GCg==", "test12"));
    ck_assert(!roles_salted_hash_is("no base64 at all", ""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roles");
    TCase *tcase = tcase_create("roles");
    tcase_add_test(tcase, every_word_of_each_role_reaches_redis);
    tcase_add_test(tcase, too_many_words_are_an_error_and_not_cut);
    tcase_add_test(tcase, a_text_that_is_too_long_is_an_error_and_not_cut);
    tcase_add_test(tcase, rabbitmq_hashes_are_salted);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
