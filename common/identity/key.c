#include "common/identity/key.h"

#include <jansson.h>
#include <jose/jose.h>
#include <jose/openssl.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"

#define COORDINATE_BYTES 32 /* of P-256; an ES256 signature is two of them */
#define ED25519_BYTES 32
#define RSA_EXPONENT_MIN 65537
#define RSA_EXPONENT_BITS_MAX 64
#define DER_MAX 80 /* bytes of an ES256 signature in DER: 72 at most */

struct key {
    enum key_algorithm algorithm;
    struct hmac *secret; /* of HS256, else NULL */
    EVP_PKEY *public;    /* of the others, else NULL */
    char id[KEY_ID_MAX + 1];
};

int key_algorithm_named(const char *name, enum key_algorithm *ret_algorithm)
{
    static const struct {
        const char *name;
        enum key_algorithm algorithm;
    } names[] = {{"HS256", KEY_HS256},
                 {"RS256", KEY_RS256},
                 {"ES256", KEY_ES256},
                 {"EdDSA", KEY_EDDSA},
                 {"Ed25519", KEY_EDDSA}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i].name) == 0) {
            *ret_algorithm = names[i].algorithm;
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

struct key *key_new_secret(const void *secret, size_t len)
{
    struct key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->algorithm = KEY_HS256;
    key->secret = hmac_new(secret, len);
    if (key->secret == NULL) {
        free(key);
        return NULL;
    }
    return key;
}

void key_free(struct key *key)
{
    if (key == NULL)
        return;
    hmac_free(key->secret);
    EVP_PKEY_free(key->public);
    free(key);
}

enum key_algorithm key_algorithm(const struct key *key)
{
    return key->algorithm;
}

const char *key_id(const struct key *key)
{
    return key->id;
}

/* ---- reading a JSON Web Key ---- */

static const char *text_of(const json_t *jwk, const char *name)
{
    const char *text = json_string_value(json_object_get(jwk, name));
    return text == NULL ? "" : text;
}

/* `use` and `key_ops` are about the public key: to verify. Both may be absent. */
static bool for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use");
    const json_t *operations = json_object_get(jwk, "key_ops");
    bool verifies = operations == NULL;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        verifies = verifies || (operation != NULL && strcmp(operation, "verify") == 0);
    }
    return verifies && (use == NULL || strcmp(text_of(jwk, "use"), "sig") == 0);
}

/* By the key's type; its `alg`, if there is one, must be the same. */
static int find_algorithm(const json_t *jwk, enum key_algorithm *ret_algorithm,
                          const char **ret_problem)
{
    static const struct {
        const char *type;
        const char *curve;
        enum key_algorithm algorithm;
    } kinds[] = {{"RSA", "", KEY_RS256}, {"EC", "P-256", KEY_ES256}, {"OKP", "Ed25519", KEY_EDDSA}};
    const char *type = text_of(jwk, "kty");
    *ret_problem = strcmp(type, "oct") == 0 ? "it is symmetric: who can verify could sign"
                                            : "its kty is none of RSA, EC, OKP";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(type, kinds[i].type) != 0)
            continue;
        *ret_problem = "its crv is not P-256 (EC) or Ed25519 (OKP)";
        if (kinds[i].curve[0] != '\0' && strcmp(text_of(jwk, "crv"), kinds[i].curve) != 0)
            return ERR_INVALID;
        *ret_problem = "its alg is not RS256, ES256 or EdDSA, as its kty needs";
        enum key_algorithm named = kinds[i].algorithm;
        if (json_object_get(jwk, "alg") != NULL &&
            (key_algorithm_named(text_of(jwk, "alg"), &named) < 0 || named != kinds[i].algorithm))
            return ERR_INVALID;
        *ret_algorithm = named;
        return 0;
    }
    return ERR_INVALID;
}

/* Whether a member is base64url of `bytes` bytes. */
static bool holds_bytes(const json_t *jwk, const char *name, void *ret_bytes, size_t bytes)
{
    const char *text = text_of(jwk, name);
    size_t count = 0;
    return base64url_decode(text, strlen(text), ret_bytes, bytes, &count) == 0 && count == bytes;
}

static EVP_PKEY *read_ed25519(const json_t *jwk)
{
    unsigned char x[ED25519_BYTES];
    if (!holds_bytes(jwk, "x", x, sizeof x))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof x);
}

/* The public members alone come to libjose. */
static EVP_PKEY *read_by_jose(const json_t *jwk, const char *const *members)
{
    json_t *part = json_object();
    EVP_PKEY *public = NULL;
    bool whole = part != NULL;
    for (; *members != NULL && whole; members++)
        whole = json_object_set(part, *members, json_object_get(jwk, *members)) == 0;
    if (whole)
    public = jose_openssl_jwk_to_EVP_PKEY(NULL, part);
    json_decref(part);
    return public;
}

static EVP_PKEY *read_ec(const json_t *jwk)
{
    static const char *const members[] = {"kty", "crv", "x", "y", NULL};
    unsigned char coordinate[COORDINATE_BYTES];
    if (!holds_bytes(jwk, "x", coordinate, sizeof coordinate) ||
        !holds_bytes(jwk, "y", coordinate, sizeof coordinate))
        return NULL;
    return read_by_jose(jwk, members);
}

static EVP_PKEY *read_public(const json_t *jwk, enum key_algorithm algorithm)
{
    static const char *const members[] = {"kty", "n", "e", NULL};
    if (algorithm == KEY_EDDSA)
        return read_ed25519(jwk);
    return algorithm == KEY_ES256 ? read_ec(jwk) : read_by_jose(jwk, members);
}

static bool exponent_good(EVP_PKEY *public)
{
    BIGNUM *exponent = NULL;
    if (EVP_PKEY_get_bn_param(public, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
        return false;
    bool good = BN_is_odd(exponent) && BN_num_bits(exponent) <= RSA_EXPONENT_BITS_MAX &&
                BN_get_word(exponent) >= RSA_EXPONENT_MIN;
    BN_free(exponent);
    return good;
}

/* A small key can be broken; a huge one takes much time to check with. */
static int check_public(EVP_PKEY *public, enum key_algorithm algorithm, const char **ret_problem)
{
    int bits = EVP_PKEY_get_bits(public);
    *ret_problem = "its RSA key has fewer than 2048 or more than 8192 bits";
    if (algorithm == KEY_RS256 && (bits < KEY_RSA_BITS_MIN || bits > KEY_RSA_BITS_MAX))
        return ERR_INVALID;
    *ret_problem = "its RSA exponent is below 65537, even, or beyond 64 bits";
    if (algorithm == KEY_RS256 && !exponent_good(public))
        return ERR_INVALID;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(public, NULL);
    *ret_problem = "its public key is no valid one";
    int code = context == NULL ? ERR_NOMEM : EVP_PKEY_public_check(context) == 1 ? 0 : ERR_INVALID;
    EVP_PKEY_CTX_free(context);
    return code;
}

static int check_id(const json_t *jwk, const char **ret_problem)
{
    const json_t *id = json_object_get(jwk, "kid");
    *ret_problem = "its kid is no text of up to 256 bytes";
    return id == NULL || (json_is_string(id) && json_string_length(id) <= KEY_ID_MAX &&
                          strlen(json_string_value(id)) == json_string_length(id))
               ? 0
               : ERR_INVALID;
}

int key_new_jwk(const struct json_t *jwk, struct key **ret_key, const char **ret_problem)
{
    enum key_algorithm algorithm;
    int code = find_algorithm(jwk, &algorithm, ret_problem);
    if (code == 0)
        code = check_id(jwk, ret_problem);
    if (code < 0)
        return code;
    *ret_problem = "its use or key_ops is not to verify signatures";
    if (!for_signatures(jwk))
        return ERR_INVALID;
    *ret_problem = "it holds a private key";
    if (json_object_get(jwk, "d") != NULL)
        return ERR_INVALID;
    struct key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return ERR_NOMEM;
    key->algorithm = algorithm;
    memcpy(key->id, text_of(jwk, "kid"), strlen(text_of(jwk, "kid")) + 1);
    key->public = read_public(jwk, algorithm);
    *ret_problem = "its public key cannot be read";
    code = key->public == NULL ? ERR_INVALID : check_public(key->public, algorithm, ret_problem);
    if (code < 0) {
        key_free(key);
        return code;
    }
    *ret_key = key;
    return 0;
}

/* ---- signatures ---- */

static bool verifies_hmac(const struct key *key, const char *text, size_t len,
                          const unsigned char *signature, size_t signature_len)
{
    unsigned char wanted[HMAC_BYTES];
    const struct hmac_part part = {text, len};
    return signature_len == sizeof wanted && hmac_of(key->secret, &part, 1, wanted) == 0 &&
           hmac_equal(signature, wanted, sizeof wanted);
}

/* A JWS holds R and S side by side, OpenSSL takes DER. Returns its length; 0: no memory. */
static size_t put_der(const unsigned char *signature, unsigned char der[DER_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    int len = 0;
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair's now */
        len = i2d_ECDSA_SIG(pair, NULL);
        len = len > 0 && len <= DER_MAX ? i2d_ECDSA_SIG(pair, &der) : 0;
    }
    ECDSA_SIG_free(pair);
    BN_free(r);
    BN_free(s);
    return len > 0 ? (size_t)len : 0;
}

static bool verifies_public(const struct key *key, const char *text, size_t len,
                            const unsigned char *signature, size_t signature_len)
{
    const EVP_MD *digest = key->algorithm == KEY_EDDSA ? NULL : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context != NULL && EVP_DigestVerifyInit(context, NULL, digest, NULL, key->public) == 1 &&
        EVP_DigestVerify(context, signature, signature_len, (const unsigned char *)text, len) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

bool key_verifies(const struct key *key, const char *text, size_t len,
                  const unsigned char *signature, size_t signature_len)
{
    unsigned char der[DER_MAX];
    if (key->algorithm == KEY_HS256)
        return verifies_hmac(key, text, len, signature, signature_len);
    if (key->algorithm == KEY_ES256) {
        if (signature_len != 2 * (size_t)COORDINATE_BYTES)
            return false;
        signature_len = put_der(signature, der);
        return signature_len > 0 && verifies_public(key, text, len, der, signature_len);
    }
    return verifies_public(key, text, len, signature, signature_len);
}
