/* Public keys and the tokens that they sign, good ones and hostile ones. */
#include <check.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/identity/jwt.h"
#include "common/identity/key_set.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1800000000
#define GOOD "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":1800000100}"
#define KEY_TEXT 4096
#define TOKEN_TEXT 8192

/* ---- keys and tokens, made by OpenSSL alone ---- */

static EVP_PKEY *rsa, *ec, *ed, *other_rsa;

static const char *member(EVP_PKEY *key, const char *parameter)
{
    static char text[4][KEY_TEXT];
    static unsigned turn;
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    turn = (turn + 1) % 4;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, parameter, &number), 1);
    int len = strcmp(parameter, OSSL_PKEY_PARAM_RSA_N) == 0 || parameter[0] == 'e'
                  ? BN_bn2bin(number, bytes)
                  : BN_bn2binpad(number, bytes, 32);
    base64url_encode(bytes, (size_t)len, text[turn]);
    BN_free(number);
    return text[turn];
}

/* The public key as a JSON Web Key; `more`: further members. */
static const char *jwk_of(EVP_PKEY *key, const char *more)
{
    static char text[4][KEY_TEXT];
    static unsigned turn;
    unsigned char raw[64];
    char x[BASE64URL_SIZE(sizeof raw)];
    size_t len = sizeof raw;
    char *out = text[turn = (turn + 1) % 4];
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        (void)snprintf(out, KEY_TEXT, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}",
                       member(key, OSSL_PKEY_PARAM_RSA_N), member(key, OSSL_PKEY_PARAM_RSA_E),
                       more);
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        (void)snprintf(
            out, KEY_TEXT, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s}",
            member(key, OSSL_PKEY_PARAM_EC_PUB_X), member(key, OSSL_PKEY_PARAM_EC_PUB_Y), more);
    } else {
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
        base64url_encode(raw, len, x);
        (void)snprintf(out, KEY_TEXT, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"%s}", x,
                       more);
    }
    return out;
}

static const char *set_of(const char *first, const char *second)
{
    static char text[4 * KEY_TEXT];
    (void)snprintf(text, sizeof text, "{\"keys\":[%s%s%s]}", first, second[0] == '\0' ? "" : ",",
                   second);
    return text;
}

static size_t sign_raw(EVP_PKEY *key, const char *text, size_t len, unsigned char *out)
{
    unsigned char made[1024];
    size_t size = sizeof made;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    ck_assert_int_eq(EVP_DigestSignInit(context, NULL, digest, NULL, key), 1);
    ck_assert_int_eq(EVP_DigestSign(context, made, &size, (const unsigned char *)text, len), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
        memcpy(out, made, size);
        return size;
    }
    const unsigned char *at = made;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
    ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32), 32);
    ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32), 32);
    ECDSA_SIG_free(pair);
    return 64;
}

static size_t begin(const char *header, const char *claims, char *token)
{
    size_t len = base64url_encode(header, strlen(header), token);
    token[len++] = '.';
    return len + base64url_encode(claims, strlen(claims), token + len);
}

static const char *token_by(EVP_PKEY *key, const char *header, const char *claims)
{
    static char token[TOKEN_TEXT];
    unsigned char signature[1024];
    size_t len = begin(header, claims, token);
    size_t size = sign_raw(key, token, len, signature);
    token[len++] = '.';
    base64url_encode(signature, size, token + len);
    return token;
}

/* HS256 with any bytes as the secret. */
static const char *token_by_secret(const void *secret, size_t secret_len, const char *header)
{
    static char token[TOKEN_TEXT];
    unsigned char mac[HMAC_BYTES];
    size_t len = begin(header, GOOD, token);
    struct hmac *hmac = hmac_new(secret, secret_len);
    ck_assert_int_eq(hmac_of(hmac, &(struct hmac_part){token, len}, 1, mac), 0);
    hmac_free(hmac);
    token[len++] = '.';
    base64url_encode(mac, sizeof mac, token + len);
    return token;
}

static EVP_PKEY *ed25519_new(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static void make_keys(void)
{
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    ed = ed25519_new();
}

static void free_keys(void)
{
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed);
}

/* ---- what is looked at ---- */

static struct jwt *jwt;

static void setup(void)
{
    jwt = jwt_new(&(struct jwt_options){.secret = NULL});
    ck_assert_ptr_nonnull(jwt);
}

static void teardown(void)
{
    jwt_free(jwt);
}

static struct key_set *parsed(const char *text)
{
    struct key_set *set = NULL;
    const char *problem = "";
    ck_assert_msg(key_set_parse(text, strlen(text), &set, &problem) == 0, "%s", problem);
    return set;
}

static const char *refused(const char *text)
{
    struct key_set *set = NULL;
    const char *problem = NULL;
    ck_assert_int_eq(key_set_parse(text, strlen(text), &set, &problem), ERR_PARSE);
    ck_assert_ptr_null(set);
    return problem;
}

/* Why a key is left out of a set with a good one. */
static const char *ignored(const char *jwk)
{
    struct key_set *set = parsed(set_of(jwk, jwk_of(ed, "")));
    ck_assert_uint_eq(key_set_count(set), 1);
    ck_assert_uint_eq(key_set_ignored(set), 1);
    const char *reason = key_set_ignored_reason(set);
    key_set_free(set);
    return reason;
}

static void use(const char *text)
{
    jwt_use_keys(jwt, parsed(text));
}

static const char *problem;

static int verify(const char *token)
{
    struct jwt_claims claims;
    int code = jwt_verify(jwt, token, strlen(token), JWT_AUD_API, NOW, &claims, &problem);
    if (code == 0)
        ck_assert_str_eq(claims.user, "ann");
    return code;
}

/* ---- the algorithms ---- */

START_TEST(the_examples_of_the_standards)
{
    static const struct {
        const char *jwk;
        const char *token;
    } examples[] = {
        /* RFC 7515, appendix A.3 */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
         "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
         "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
         "F4GawxaepmXFCgfTjDxw5djxLa8ISlS"
         "ApmWQxfKTUJqPP3-Kg6NU1Q"},
        /* RFC 8037, appendix A.4 */
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
         "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
         "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"}};
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        json_t *jwk = json_loads(examples[i].jwk, 0, NULL);
        struct key *key = NULL;
        unsigned char signature[64];
        size_t count;
        const char *token = examples[i].token;
        const char *dot = strrchr(token, '.');
        ck_assert_int_eq(key_new_jwk(jwk, &key, &problem), 0);
        ck_assert_int_eq(
            base64url_decode(dot + 1, strlen(dot + 1), signature, sizeof signature, &count), 0);
        ck_assert(key_verifies(key, token, (size_t)(dot - token), signature, count));
        signature[10] ^= 1;
        ck_assert(!key_verifies(key, token, (size_t)(dot - token), signature, count));
        ck_assert(!key_verifies(key, token, (size_t)(dot - token), signature, count - 1));
        ck_assert(!key_verifies(key, token, (size_t)(dot - token), signature, 0));
        key_free(key);
        json_decref(jwk);
    }
}
END_TEST

START_TEST(each_algorithm_with_its_key)
{
    use(set_of(jwk_of(rsa, ",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\""),
               jwk_of(ec, ",\"kid\":\"e\",\"key_ops\":[\"verify\"]")));
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD)), 0);
    ck_assert_int_eq(verify(token_by(ec, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD)), 0);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\"}", GOOD)), 0);
    use(set_of(jwk_of(ed, ",\"kid\":\"d\",\"alg\":\"EdDSA\""), ""));
    ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", GOOD)), 0);
    ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"Ed25519\",\"typ\":\"at+JWT\"}", GOOD)), 0);
}
END_TEST

START_TEST(the_tokens_of_a_removed_key_are_refused_at_once)
{
    use(set_of(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(other_rsa, ",\"kid\":\"b\"")));
    char *token = strdup(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD));
    ck_assert_int_eq(verify(token), 0);
    ck_assert_int_eq(verify(token), 0); /* from the cache */
    use(set_of(jwk_of(other_rsa, ",\"kid\":\"b\""), ""));
    ck_assert_int_eq(verify(token), ERR_AUTH);
    use(set_of(jwk_of(rsa, ",\"kid\":\"a\""), ""));
    ck_assert_int_eq(verify(token), 0);
    free(token);
}
END_TEST

START_TEST(the_secret_before_is_taken_too)
{
    jwt_free(jwt);
    jwt = jwt_new(&(struct jwt_options){
        .secret = "new-new-new-new-new-new-new-new-new-new-",
        .secret_len = 40,
        .previous = SECRET,
        .previous_len = strlen(SECRET),
    });
    char *token = NULL;
    ck_assert_int_eq(jwt_sign(jwt, "ann", JWT_AUD_API, NOW, NOW + 60, 0, &token), 0);
    ck_assert_int_eq(verify(token), 0);
    ck_assert_int_eq(verify(token_by_secret(SECRET, strlen(SECRET), "{\"alg\":\"HS256\"}")), 0);
    ck_assert_int_eq(verify(token_by_secret("x", 1, "{\"alg\":\"HS256\"}")), ERR_AUTH);
    free(token);
}
END_TEST

/* ---- hostile tokens ---- */

/* Who knows the public key knows this "secret". */
START_TEST(a_public_key_is_no_secret)
{
    unsigned char *der = NULL;
    char *pem = NULL;
    use(set_of(jwk_of(rsa, ",\"kid\":\"r\""), ""));
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, rsa), 1);
    long pem_len = BIO_get_mem_data(bio, &pem);
    int der_len = i2d_PUBKEY(rsa, &der);
    const char *jwk = jwk_of(rsa, ",\"kid\":\"r\"");
    static const char header[] = "{\"alg\":\"HS256\",\"kid\":\"r\"}";
    ck_assert_int_eq(verify(token_by_secret(pem, (size_t)pem_len, header)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by_secret(der, (size_t)der_len, header)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by_secret(jwk, strlen(jwk), header)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by_secret("", 0, header)), ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(problem, "HS256"));
    BIO_free(bio);
    OPENSSL_free(der);
}
END_TEST

START_TEST(a_token_brings_no_key_of_its_own)
{
    char header[KEY_TEXT * 2];
    use(set_of(jwk_of(rsa, ",\"kid\":\"r\""), ""));
    (void)snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"r\",\"jwk\":%s}",
                   jwk_of(other_rsa, ""));
    ck_assert_int_eq(verify(token_by(other_rsa, header, GOOD)), ERR_AUTH);
    static const char *const offers[] = {"jku", "x5u", "x5c"};
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        (void)snprintf(header, sizeof header,
                       "{\"alg\":\"RS256\",\"kid\":\"r\",\"%s\":\"http://127.0.0.1:1/keys\"}",
                       offers[i]);
        ck_assert_int_eq(verify(token_by(other_rsa, header, GOOD)), ERR_AUTH);
        ck_assert_int_eq(verify(token_by(rsa, header, GOOD)), 0); /* it is not looked at */
    }
}
END_TEST

START_TEST(none_and_other_algorithms)
{
    use(set_of(jwk_of(rsa, ""), jwk_of(ec, "")));
    static const char *const names[] = {"none",  "None",  "",      "RS512", "PS256",
                                        "rs256", "ES384", "HS512", "RS256 "};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char header[64];
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        ck_assert_int_eq(verify(token_by(rsa, header, GOOD)), ERR_AUTH);
    }
    /* an RSA signature under the name of another algorithm that is known here */
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"ES256\"}", GOOD)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"EdDSA\"}", GOOD)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by(ec, "{\"alg\":\"RS256\"}", GOOD)), ERR_AUTH);
}
END_TEST

START_TEST(a_kid_names_one_key)
{
    use(set_of(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(other_rsa, ",\"kid\":\"b\"")));
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"b\"}", GOOD)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"c\"}", GOOD)), ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(problem, "kid"));
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":7}", GOOD)), ERR_AUTH);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"a\\u0000\"}", GOOD)),
                     ERR_AUTH);
    ck_assert_int_eq(verify(token_by(rsa, "{\"alg\":\"RS256\"}", GOOD)), ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(problem, "no kid"));
    /* two keys of one name, as RFC 7517 allows them: each may have signed */
    use(set_of(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(other_rsa, ",\"kid\":\"a\"")));
    ck_assert_int_eq(verify(token_by(other_rsa, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD)), 0);
}
END_TEST

START_TEST(tokens_of_another_kind)
{
    use(set_of(jwk_of(ed, ""), ""));
    static const char *const types[] = {"logout+jwt", "dpop+jwt", "JWE", "secevent+jwt", ""};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char header[64];
        (void)snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"typ\":\"%s\"}", types[i]);
        ck_assert_int_eq(verify(token_by(ed, header, GOOD)), ERR_AUTH);
    }
    ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"EdDSA\",\"typ\":[\"JWT\"]}", GOOD)), ERR_AUTH);
}
END_TEST

START_TEST(the_issuer_must_be_ours)
{
    jwt_free(jwt);
    jwt = jwt_new(&(struct jwt_options){.issuer = "https://id.shop.example"});
    use(set_of(jwk_of(ed, ""), ""));
    static const char *const bad[] = {"", ",\"iss\":\"https://id.shop.example/\"",
                                      ",\"iss\":\"https://evil.example\"",
                                      ",\"iss\":[\"https://id.shop.example\"]"};
    char claims[256];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        (void)snprintf(claims, sizeof claims, "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":%d%s}",
                       NOW + 9, bad[i]);
        ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"EdDSA\"}", claims)), ERR_AUTH);
        ck_assert_ptr_nonnull(strstr(problem, "iss"));
    }
    (void)snprintf(claims, sizeof claims, "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":%d,%s}",
                   NOW + 9, "\"iss\":\"https://id.shop.example\"");
    ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"EdDSA\"}", claims)), 0);
}
END_TEST

START_TEST(clocks_may_differ_by_the_leeway)
{
    static const struct {
        int64_t leeway_s;
        int expires;
        int not_before;
        int code;
    } cases[] = {{0, 1, 60, 0},          {0, 0, 0, ERR_EXPIRED},    {0, 9, 61, ERR_AUTH},
                 {30, -29, 0, 0},        {30, -30, 0, ERR_EXPIRED}, {120, 9, 120, 0},
                 {120, 9, 121, ERR_AUTH}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char claims[128];
        jwt_free(jwt);
        jwt = jwt_new(&(struct jwt_options){.leeway_s = cases[i].leeway_s});
        use(set_of(jwk_of(ed, ""), ""));
        (void)snprintf(claims, sizeof claims,
                       "{\"sub\":\"ann\",\"aud\":\"checkout\",\"exp\":%d,\"nbf\":%d}",
                       NOW + cases[i].expires, NOW + cases[i].not_before);
        ck_assert_int_eq(verify(token_by(ed, "{\"alg\":\"EdDSA\"}", claims)), cases[i].code);
    }
}
END_TEST

/* ---- hostile key sets ---- */

START_TEST(keys_that_are_left_out)
{
    ck_assert_ptr_nonnull(
        strstr(ignored("{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"d\"}"), "symm"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"use\":\"enc\"")), "use"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"key_ops\":[\"encrypt\"]")), "use"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"use\":7")), "use"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"alg\":\"RS512\"")), "alg"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"alg\":\"HS256\"")), "alg"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(ec, ",\"alg\":\"RS256\"")), "alg"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"d\":\"AQAB\"")), "private"));
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(rsa, ",\"kid\":7")), "kid"));
    ck_assert_ptr_nonnull(strstr(ignored("{}"), "kty"));
    ck_assert_ptr_nonnull(strstr(ignored("[]"), "object"));
}
END_TEST

START_TEST(keys_of_another_size_or_curve)
{
    EVP_PKEY *small = EVP_RSA_gen(1024);
    ck_assert_ptr_nonnull(strstr(ignored(jwk_of(small, "")), "2048"));
    EVP_PKEY_free(small);
    char text[KEY_TEXT];
    (void)snprintf(text, sizeof text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"Aw\"}",
                   member(rsa, OSSL_PKEY_PARAM_RSA_N));
    ck_assert_ptr_nonnull(strstr(ignored(text), "exponent"));
    (void)snprintf(text, sizeof text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAA\"}",
                   member(rsa, OSSL_PKEY_PARAM_RSA_N));
    ck_assert_ptr_nonnull(strstr(ignored(text), "exponent"));
    static const char *const curves[] = {"P-384", "P-521", "secp256k1", "X25519", ""};
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        (void)snprintf(text, sizeof text,
                       "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", curves[i],
                       member(ec, OSSL_PKEY_PARAM_EC_PUB_X), member(ec, OSSL_PKEY_PARAM_EC_PUB_Y));
        ck_assert_ptr_nonnull(strstr(ignored(text), "crv"));
    }
    /* x twice: no point of the curve */
    (void)snprintf(text, sizeof text,
                   "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                   member(ec, OSSL_PKEY_PARAM_EC_PUB_X), member(ec, OSSL_PKEY_PARAM_EC_PUB_X));
    ck_assert_ptr_nonnull(ignored(text));
    ck_assert_ptr_nonnull(
        strstr(ignored("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"), "read"));
    ck_assert_ptr_nonnull(strstr(ignored("{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), "read"));
    ck_assert_ptr_nonnull(strstr(ignored("{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}"), "read"));
}
END_TEST

START_TEST(texts_that_are_no_set)
{
    char *whole = strdup(set_of(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(ec, "")));
    for (size_t len = 0; len < strlen(whole); len++) { /* half written, wherever it broke */
        struct key_set *set = NULL;
        ck_assert_int_eq(key_set_parse(whole, len, &set, &problem), ERR_PARSE);
    }
    free(whole);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"keys\":{}}",
                                      "{\"keys\":[]}",
                                      "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
                                      "{\"keys\":[],\"keys\":[]}",
                                      "<html>502 Bad Gateway</html>"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_ptr_nonnull(refused(bad[i]));
    char many[65 * 3 + 16] = "{\"keys\":[";
    for (int i = 0; i < 65; i++)
        (void)strcat(many, i == 0 ? "{}" : ",{}");
    (void)strcat(many, "]}");
    ck_assert_ptr_nonnull(strstr(refused(many), "64"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *tc = tcase_create("identity");
    tcase_add_unchecked_fixture(tc, make_keys, free_keys);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_examples_of_the_standards);
    tcase_add_test(tc, each_algorithm_with_its_key);
    tcase_add_test(tc, the_tokens_of_a_removed_key_are_refused_at_once);
    tcase_add_test(tc, the_secret_before_is_taken_too);
    tcase_add_test(tc, a_public_key_is_no_secret);
    tcase_add_test(tc, a_token_brings_no_key_of_its_own);
    tcase_add_test(tc, none_and_other_algorithms);
    tcase_add_test(tc, a_kid_names_one_key);
    tcase_add_test(tc, tokens_of_another_kind);
    tcase_add_test(tc, the_issuer_must_be_ours);
    tcase_add_test(tc, clocks_may_differ_by_the_leeway);
    tcase_add_test(tc, keys_that_are_left_out);
    tcase_add_test(tc, keys_of_another_size_or_curve);
    tcase_add_test(tc, texts_that_are_no_set);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
