#include "common/identity/jwt.h"

#include <check.h>
#include <jansson.h>
#include <jose/jose.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/err.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1800000000

static struct jwt *jwt;

static void setup(void)
{
    jwt = jwt_new(&(struct jwt_options){.secret = SECRET, .secret_len = strlen(SECRET)});
    ck_assert_ptr_nonnull(jwt);
}

static void teardown(void)
{
    jwt_free(jwt);
}

/* base64url(header).base64url(claims).HMAC, made by hand so that any header and claims can be
 * tried. */
static const char *made(const char *header, const char *claims, const char *secret)
{
    static char token[16384];
    json_t *key = json_pack("{s:s, s:s, s:o}", "kty", "oct", "alg", "HS256", "k",
                            jose_b64_enc(secret, strlen(secret)));
    json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(claims, strlen(claims)));
    json_t *head = json_pack("{s:o}", "protected", jose_b64_enc(header, strlen(header)));
    bool signed_by_jose = jose_jws_sig(NULL, jws, head, key);
    (void)snprintf(token, sizeof token, "%s.%s.%s",
                   json_string_value(json_object_get(head, "protected")),
                   json_string_value(json_object_get(jws, "payload")),
                   signed_by_jose ? json_string_value(json_object_get(jws, "signature")) : "");
    json_decref(key);
    json_decref(jws);
    json_decref(head);
    return token;
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":1800000100}"

static int verify_at(const char *token, int64_t now_s, struct jwt_claims *claims)
{
    const char *problem = NULL;
    int code = jwt_verify(jwt, token, strlen(token), JWT_AUD_API, now_s, claims, &problem);
    ck_assert(code == 0 || (problem != NULL && problem[0] != '\0'));
    return code;
}

static int verify(const char *token)
{
    struct jwt_claims claims;
    return verify_at(token, NOW, &claims);
}

static int verify_claims(const char *claims)
{
    return verify(made(HS256, claims, SECRET));
}

/* The example of RFC 7515, appendix A.1: its signature must verify, although its claims are none of
 * ours. */
START_TEST(the_example_of_the_standard)
{
    static const char token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                                "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcG"
                                "xlLmNvbS9pc19yb290Ijp0cnV"
                                "lfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    static const char key[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    char secret[64];
    size_t len = jose_b64_dec_buf(key, strlen(key), secret, sizeof secret);
    ck_assert_uint_eq(len, 64);
    struct jwt *standard = jwt_new(&(struct jwt_options){.secret = secret, .secret_len = len});
    struct jwt_claims claims;
    const char *problem = NULL;
    ck_assert_int_eq(
        jwt_verify(standard, token, strlen(token), JWT_AUD_API, 1300000000, &claims, &problem),
        ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(problem, "sub"));
    jwt_free(standard);
}
END_TEST

START_TEST(what_we_sign_verifies)
{
    char *token;
    ck_assert_int_eq(jwt_sign(jwt, "ann", JWT_AUD_EVENTS, NOW, NOW + 60, 3600, &token), 0);
    struct jwt_claims claims;
    const char *problem = NULL;
    ck_assert_int_eq(jwt_verify(jwt, token, strlen(token), JWT_AUD_EVENTS, NOW, &claims, &problem),
                     0);
    ck_assert_str_eq(claims.user, "ann");
    ck_assert_int_eq(claims.expires_s, NOW + 60);
    ck_assert_int_eq(claims.stay_s, 3600);
    ck_assert_int_eq(verify(token), ERR_AUTH); /* a ticket is no key to the API */
    free(token);
}
END_TEST

START_TEST(the_gateways_customer_is_read_and_kept)
{
    struct jwt_claims claims = {0};
    const char *token =
        made("{\"alg\":\"HS256\"}",
             "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":1800000060,\"gateway_customer\":"
             "\"cus_1\"}",
             SECRET);
    for (int n = 0; n < 2; n++) { /* the second time from the cache */
        ck_assert_int_eq(verify_at(token, NOW, &claims), 0);
        ck_assert_str_eq(claims.gateway_customer, "cus_1");
        ck_assert_str_eq(claims.user, "ann");
    }
    token = made("{\"alg\":\"HS256\"}", "{\"sub\":\"bob\",\"aud\":\"checkout\",\"exp\":1800000060}",
                 SECRET);
    ck_assert_int_eq(verify_at(token, NOW, &claims), 0);
    ck_assert_str_eq(claims.gateway_customer, "");
    token = made("{\"alg\":\"HS256\"}",
                 "{\"sub\":\"bob\",\"aud\":\"checkout\",\"exp\":1800000060,"
                 "\"gateway_customer\":\"cus 1\"}",
                 SECRET);
    ck_assert_int_eq(verify_at(token, NOW, &claims), ERR_AUTH);
}
END_TEST

static const char *human_of(const char *claim)
{
    static struct jwt_claims claims;
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":1800000060,\"human\":%s}", claim);
    for (int n = 0; n < 2; n++) { /* the second time from the cache */
        claims = (struct jwt_claims){.human = "stale"};
        ck_assert_int_eq(verify_at(made("{\"alg\":\"HS256\"}", body, SECRET), NOW, &claims), 0);
    }
    ck_assert_str_eq(claims.user, "ann");
    ck_assert_str_eq(claims.gateway_customer, "");
    return claims.human;
}

START_TEST(the_challenges_that_were_passed_are_read_and_kept)
{
    static const char *const others[] = {"true", "1",    "[\"drop-7\"]", "{}",
                                         "null", "\"\"", "\" \"",        "\"a  b\""};
    ck_assert_str_eq(human_of("\"drop-7\""), "drop-7");
    ck_assert_str_eq(human_of("\"drop-7 drop-8\""), "drop-7 drop-8");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(human_of(others[i])[0] == '\0', "%s", others[i]);
}
END_TEST

START_TEST(a_name_of_any_letters_can_be_signed)
{
    char user[JWT_USER_SIZE];
    memset(user, '"', sizeof user - 1);
    user[sizeof user - 1] = '\0';
    char *token;
    ck_assert_int_eq(jwt_sign(jwt, user, JWT_AUD_API, NOW, NOW + 60, 0, &token), 0);
    struct jwt_claims claims;
    ck_assert_int_eq(verify_at(token, NOW, &claims), 0);
    ck_assert_str_eq(claims.user, user);
    ck_assert_int_eq(claims.stay_s, 0);
    free(token);
}
END_TEST

START_TEST(a_good_token_of_another_maker)
{
    struct jwt_claims claims;
    ck_assert_int_eq(verify_at(made(HS256, GOOD, SECRET), NOW, &claims), 0);
    ck_assert_str_eq(claims.user, "ann");
    ck_assert_int_eq(verify_claims("{\"sub\":\"J\\u00fcrgen\",\"aud\":[\"x\",\"checkout\"],"
                                   "\"exp\":1800000100.5,\"nbf\":1799999999,\"iat\":1}"),
                     0);
}
END_TEST

START_TEST(wrong_key)
{
    ck_assert_int_eq(verify(made(HS256, GOOD, "another key of at least 32 bytes....")), ERR_AUTH);
}
END_TEST

START_TEST(alg_none)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",   "{\"alg\":\"None\"}",  "{}",
        "{\"alg\":null}",       "{\"alg\":\"HS512\"}", "{\"alg\":\"RS256\"}",
        "{\"alg\":[\"HS256\"]}"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char token[512];
        char header[128];
        size_t n = jose_b64_enc_buf(headers[i], strlen(headers[i]), header, sizeof header - 1);
        header[n] = '\0';
        /* without a signature, and with that of the same claims under HS256 */
        const char *good = made(HS256, GOOD, SECRET);
        (void)snprintf(token, sizeof token, "%s%s", header, strchr(good, '.'));
        ck_assert_int_eq(verify(token), ERR_AUTH);
        *(strrchr(token, '.') + 1) = '\0';
        ck_assert_int_eq(verify(token), ERR_AUTH);
    }
}
END_TEST

START_TEST(critical_extensions_are_not_ignored)
{
    ck_assert_int_eq(
        verify(made("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", GOOD, SECRET)),
        ERR_AUTH);
}
END_TEST

START_TEST(audience)
{
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"exp\":1800000100}"), ERR_AUTH);
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"aud\":\"shop\",\"exp\":1800000100}"),
                     ERR_AUTH);
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"aud\":[],\"exp\":1800000100}"), ERR_AUTH);
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"aud\":{\"checkout\":1},\"exp\":1800000100}"),
                     ERR_AUTH);
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"aud\":\"checkout-events\",\"exp\":1800000100}"), ERR_AUTH);
}
END_TEST

/* What a token with these members allows at the console; twice, the second time from the cache. */
static int console_scopes(const char *members, unsigned *ret_scopes)
{
    struct jwt_claims claims = {.scopes = 255};
    const char *problem;
    char body[256];
    int code = 0;
    (void)snprintf(body, sizeof body, "{\"sub\":\"ann\",\"exp\":1800000060,%s}", members);
    const char *token = made("{\"alg\":\"HS256\"}", body, SECRET);
    for (int n = 0; n < 2; n++)
        code = jwt_verify(jwt, token, strlen(token), JWT_AUD_CONSOLE, NOW, &claims, &problem);
    *ret_scopes = claims.scopes;
    return code;
}

START_TEST(a_scope_counts_as_a_whole_word_at_the_console_alone)
{
    static const struct {
        const char *scope;
        unsigned scopes;
    } known[] = {
        {"\"shop.read\"", JWT_SCOPE_SHOP_READ},
        {"\"shop\"", JWT_SCOPE_SHOP | JWT_SCOPE_SHOP_READ},
        {"\"openid  shop.read operator.read\"", JWT_SCOPE_SHOP_READ | JWT_SCOPE_OPERATOR_READ},
        {"\"operator\"", JWT_SCOPE_OPERATOR | JWT_SCOPE_OPERATOR_READ},
        {"\"\"", 0},
        {"\"shops shop. sho SHOP shop\\tx\"", 0},
        {"[\"shop\"]", 0},
        {"null", 0}};
    char members[128];
    unsigned scopes;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        (void)snprintf(members, sizeof members, "\"aud\":\"checkout-console\",\"scope\":%s",
                       known[i].scope);
        ck_assert_int_eq(console_scopes(members, &scopes), 0);
        ck_assert_msg(scopes == known[i].scopes, "%s: %u", known[i].scope, scopes);
    }
    ck_assert_int_eq(console_scopes("\"aud\":\"checkout\",\"scope\":\"shop\"", &scopes), ERR_AUTH);
    ck_assert_int_eq(console_scopes("\"aud\":[\"checkout-console\",\"checkout\"]", &scopes),
                     ERR_AUTH);
    ck_assert_int_eq(console_scopes("\"aud\":[\"checkout-console\",\"checkout-events\"]", &scopes),
                     ERR_AUTH);
    ck_assert_int_eq(console_scopes("\"aud\":[\"checkout-console\",\"other\"]", &scopes), 0);
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"aud\":\"checkout-console\",\"exp\":1800000100}"), ERR_AUTH);
}
END_TEST

START_TEST(expiry)
{
    struct jwt_claims claims;
    const char *token = made(HS256, GOOD, SECRET);
    ck_assert_int_eq(verify_at(token, 1800000099, &claims), 0);
    ck_assert_int_eq(verify_at(token, 1800000100, &claims), ERR_EXPIRED); /* from the cache too */
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":1700000000}"),
                     ERR_EXPIRED);
    ck_assert_int_eq(verify_claims("{\"sub\":\"a\",\"aud\":\"checkout\"}"), ERR_AUTH);
    static const char *const bad[] = {"\"1800000100\"", "null", "-1", "true", "1e300", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":%s}",
                       bad[i]);
        ck_assert_int_eq(verify_claims(text), ERR_AUTH);
    }
}
END_TEST

START_TEST(not_before)
{
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":1900000000,\"nbf\":1800000061}"),
        ERR_AUTH);
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":1900000000,\"iat\":1800000061}"),
        ERR_AUTH);
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":1900000000,\"nbf\":1800000060}"),
        0);
}
END_TEST

START_TEST(every_date_is_checked)
{
    static const char *const dates[] = {"exp", "nbf", "iat", "stay"};
    static const char *const bad[] = {"\"1\"", "null", "-1", "-0.5", "true", "1e300", "[1]"};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++)
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
            char text[160];
            struct jwt_claims claims;
            const char *problem = NULL;
            (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"aud\":\"checkout\"%s,\"%s\":%s}",
                           i == 0 ? "" : ",\"exp\":1800000100", dates[i], bad[j]);
            const char *token = made(HS256, text, SECRET);
            ck_assert_int_eq(
                jwt_verify(jwt, token, strlen(token), JWT_AUD_API, NOW, &claims, &problem),
                ERR_AUTH);
            ck_assert_str_eq(problem, "a date in the token is malformed");
        }
    struct jwt_claims claims;
    ck_assert_int_eq(verify_at(made(HS256,
                                    "{\"sub\":\"a\",\"aud\":\"checkout\",\"exp\":999999999999,"
                                    "\"stay\":60.9}",
                                    SECRET),
                               NOW, &claims),
                     0);
    ck_assert_int_eq(claims.expires_s, 999999999999);
    ck_assert_int_eq(claims.stay_s, 60);
}
END_TEST

/* Both parts of a token are objects, even if it is signed well. */
START_TEST(other_json_is_no_token)
{
    ck_assert_int_eq(verify_claims("[\"checkout\"]"), ERR_AUTH);
    ck_assert_int_eq(verify_claims("7"), ERR_AUTH);
    const char *good = made(HS256, GOOD, SECRET);
    char token[512], header[64];
    size_t len = jose_b64_enc_buf("[1]", 3, header, sizeof header - 1);
    header[len] = '\0';
    (void)snprintf(token, sizeof token, "%s%s", header, strchr(good, '.'));
    ck_assert_int_eq(verify(token), ERR_AUTH);
}
END_TEST

/* A token that is too long for the cache is verified each time. */
START_TEST(a_long_token_is_good_each_time)
{
    char text[2000];
    struct jwt_claims claims;
    (void)snprintf(text, sizeof text,
                   "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":1800000100,\"x\":\"%01500d\"}",
                   0);
    const char *token = made(HS256, text, SECRET);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(verify_at(token, NOW, &claims), 0);
        ck_assert_str_eq(claims.user, "ann");
    }
    ck_assert_int_eq(verify_at(token, 1800000100, &claims), ERR_EXPIRED);
}
END_TEST

START_TEST(claims_that_are_too_long_are_not_signed)
{
    char user[2100];
    char *token = NULL;
    memset(user, 'a', sizeof user - 1);
    user[sizeof user - 1] = '\0';
    ck_assert_int_eq(jwt_sign(jwt, user, JWT_AUD_API, NOW, NOW + 60, 0, &token), ERR_INVALID);
    ck_assert_ptr_null(token);
}
END_TEST

START_TEST(subject)
{
    static const char *const bad[] = {"\"\"", "null", "7", "\"a\\nb\"", "\"\\u007f\"", "{\"a\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "{\"sub\":%s,\"aud\":\"checkout\",\"exp\":1900000000}",
                       bad[i]);
        ck_assert_int_eq(verify_claims(text), ERR_AUTH);
        struct jwt_claims claims;
        const char *problem = NULL;
        const char *token = made(HS256, text, SECRET);
        ck_assert_int_eq(jwt_verify(jwt, token, strlen(token), JWT_AUD_API, NOW, &claims, &problem),
                         ERR_AUTH);
        ck_assert_ptr_nonnull(strstr(problem, "sub is missing, no string"));
    }
    char text[512];
    for (int len = 255; len <= 256; len++) {
        (void)snprintf(text, sizeof text,
                       "{\"sub\":\"%0*d\",\"aud\":\"checkout\",\"exp\":1900000000}", len, 0);
        ck_assert_int_eq(verify_claims(text), len == 255 ? 0 : ERR_AUTH);
    }
    ck_assert_int_eq(
        verify_claims("{\"sub\":\"a\",\"sub\":\"b\",\"aud\":\"checkout\",\"exp\":1900000000}"),
        ERR_AUTH);
}
END_TEST

START_TEST(garbage)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "..",
                                      "...",
                                      "a.b.c",
                                      "a.b",
                                      "eyJhbGciOiJIUzI1NiJ9..",
                                      "eyJhbGciOiJIUzI1NiJ9.e30.",
                                      "\xff\xfe.\x01.\x02",
                                      "e30.e30.e30"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(verify(bad[i]), ERR_AUTH);
    char *good = strdup(made(HS256, GOOD, SECRET));
    for (size_t i = 0; i < strlen(good) - 1; i++) { /* the last letter has unused bits */
        char kept = good[i];
        good[i] = kept == 'A' ? 'B' : 'A';
        ck_assert_int_eq(verify(good), ERR_AUTH);
        good[i] = kept;
    }
    ck_assert_int_eq(verify(good), 0);
    for (size_t len = 0; len < strlen(good); len++) {
        struct jwt_claims claims;
        const char *problem;
        if (len < strlen(good) - 1)
            ck_assert_int_ne(jwt_verify(jwt, good, len, JWT_AUD_API, NOW, &claims, &problem), 0);
    }
    free(good);
}
END_TEST

START_TEST(a_token_that_is_too_long)
{
    char *token = malloc(JWT_TOKEN_MAX + 2);
    memset(token, 'a', JWT_TOKEN_MAX + 1);
    token[100] = token[200] = '.';
    token[JWT_TOKEN_MAX + 1] = '\0';
    ck_assert_int_eq(verify(token), ERR_AUTH);
    struct jwt_claims claims;
    const char *problem = NULL;
    ck_assert_int_eq(jwt_verify(jwt, token, strlen(token), JWT_AUD_API, NOW, &claims, &problem),
                     ERR_AUTH);
    ck_assert_str_eq(problem, "the token has more than 4096 bytes");
    free(token);
}
END_TEST

/* More tokens than the cache holds: each is still told apart from the others. */
START_TEST(many_users)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 10000; i++) {
            char user[16];
            char *token;
            struct jwt_claims claims;
            (void)snprintf(user, sizeof user, "user-%d", i);
            ck_assert_int_eq(jwt_sign(jwt, user, JWT_AUD_API, NOW, NOW + 60, 0, &token), 0);
            ck_assert_int_eq(verify_at(token, NOW, &claims), 0);
            ck_assert_str_eq(claims.user, user);
            ck_assert_int_eq(verify_at(token, NOW + 1, &claims), 0);
            ck_assert_str_eq(claims.user, user);
            free(token);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jwt");
    TCase *tc = tcase_create("jwt");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_example_of_the_standard);
    tcase_add_test(tc, what_we_sign_verifies);
    tcase_add_test(tc, the_gateways_customer_is_read_and_kept);
    tcase_add_test(tc, the_challenges_that_were_passed_are_read_and_kept);
    tcase_add_test(tc, a_name_of_any_letters_can_be_signed);
    tcase_add_test(tc, a_good_token_of_another_maker);
    tcase_add_test(tc, wrong_key);
    tcase_add_test(tc, alg_none);
    tcase_add_test(tc, critical_extensions_are_not_ignored);
    tcase_add_test(tc, audience);
    tcase_add_test(tc, a_scope_counts_as_a_whole_word_at_the_console_alone);
    tcase_add_test(tc, expiry);
    tcase_add_test(tc, not_before);
    tcase_add_test(tc, every_date_is_checked);
    tcase_add_test(tc, other_json_is_no_token);
    tcase_add_test(tc, a_long_token_is_good_each_time);
    tcase_add_test(tc, claims_that_are_too_long_are_not_signed);
    tcase_add_test(tc, subject);
    tcase_add_test(tc, garbage);
    tcase_add_test(tc, a_token_that_is_too_long);
    tcase_add_test(tc, many_users);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
