#include "common/shop/hook_keys.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"

#define SECRET_LEAST 24
#define SECRET_MOST 64
#define SECRET_NEW 32
#define SEED_BYTES 32
#define PAIR_BYTES 64
#define SIGNATURE_BYTES 64
#define SIGNED_MAX ((size_t)256 * 1024)

struct hook_key {
    struct hmac *hmac; /* of a whsec_ */
    EVP_PKEY *ed25519; /* of a whsk_ */
};

struct hook_keys {
    size_t count;
    struct hook_key list[HOOK_KEYS_MAX];
};

/* ---- reading ---- */

static const char *read_pair(const unsigned char *bytes, size_t count, struct hook_key *key)
{
    unsigned char derived[SEED_BYTES];
    size_t len = sizeof derived;
    if (count != SEED_BYTES && count != PAIR_BYTES)
        return "a whsk_ key has neither 32 nor 64 bytes";
    key->ed25519 = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, SEED_BYTES);
    if (key->ed25519 == NULL || EVP_PKEY_get_raw_public_key(key->ed25519, derived, &len) != 1)
        return "a whsk_ key is no Ed25519 key";
    if (count == PAIR_BYTES && memcmp(derived, bytes + SEED_BYTES, SEED_BYTES) != 0)
        return "the two halves of a whsk_ key are not of one pair";
    return NULL;
}

static const char *read_key(const char *text, size_t len, struct hook_key *key)
{
    unsigned char bytes[SECRET_MOST];
    size_t count = 0;
    bool secret = len > 6 && strncmp(text, "whsec_", 6) == 0;
    size_t prefix = secret ? 6 : 5;
    const char *problem = NULL;
    if (!secret && (len <= prefix || strncmp(text, "whsk_", prefix) != 0))
        return "a key begins with neither whsec_ nor whsk_";
    if (base64_decode(text + prefix, len - prefix, bytes, sizeof bytes, &count) < 0)
        problem = "a key is not the base64 of up to 64 bytes";
    else if (!secret)
        problem = read_pair(bytes, count, key);
    else if (count < SECRET_LEAST)
        problem = "a whsec_ secret has less than 24 bytes";
    else if ((key->hmac = hmac_new(bytes, count)) == NULL)
        problem = "out of memory";
    OPENSSL_cleanse(bytes, sizeof bytes);
    return problem;
}

static const char *read_line(const char *line, size_t len, struct hook_keys *keys)
{
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
        len--;
    if (len == 0 || line[0] == '#')
        return NULL;
    if (keys->count == HOOK_KEYS_MAX)
        return "there are more than 4 keys";
    return read_key(line, len, &keys->list[keys->count++]);
}

int hook_keys_parse(const char *text, size_t len, struct hook_keys **ret_keys,
                    const char **ret_problem)
{
    struct hook_keys *keys = calloc(1, sizeof *keys);
    const char *problem = memchr(text, '\0', len) == NULL ? NULL : "there is a NUL among the keys";
    if (keys == NULL)
        return ERR_NOMEM;
    for (size_t at = 0; at < len && problem == NULL;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end == NULL ? len - at : (size_t)(end - text) - at;
        problem = read_line(text + at, line, keys);
        at += line + 1;
    }
    if (problem == NULL && keys->count == 0)
        problem = "there is no key";
    if (problem != NULL) {
        hook_keys_free(keys);
        *ret_problem = problem;
        return ERR_PARSE;
    }
    *ret_keys = keys;
    return 0;
}

void hook_keys_free(struct hook_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        hmac_free(keys->list[i].hmac);
        EVP_PKEY_free(keys->list[i].ed25519);
    }
    free(keys);
}

/* ---- signing ---- */

static int append(struct buf *out, const char *name, const unsigned char *bytes, size_t count)
{
    char text[BASE64_SIZE(SIGNATURE_BYTES)];
    base64_encode(bytes, count, text);
    return buf_printf(out, "%s%s%s", out->len == 0 ? "" : " ", name, text);
}

static int sign_ed25519(EVP_PKEY *key, const struct buf *message, struct buf *out)
{
    unsigned char signature[SIGNATURE_BYTES];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &len, (const unsigned char *)buf_text(message),
                               message->len) == 1;
    EVP_MD_CTX_free(context);
    return done ? append(out, "v1a,", signature, len) : ERR_NOMEM;
}

static int sign(const struct hook_key *key, const struct buf *message, struct buf *out)
{
    unsigned char mac[HMAC_BYTES];
    const struct hmac_part part = {buf_text(message), message->len};
    if (key->hmac == NULL)
        return sign_ed25519(key->ed25519, message, out);
    int code = hmac_of(key->hmac, &part, 1, mac);
    return code == 0 ? append(out, "v1,", mac, sizeof mac) : code;
}

int hook_keys_sign(const struct hook_keys *keys, const char *id, int64_t timestamp_s,
                   const char *body, size_t len, struct buf *out)
{
    struct buf message;
    buf_init(&message, SIGNED_MAX);
    int code = buf_printf(&message, "%s.%" PRId64 ".", id, timestamp_s);
    if (code == 0)
        code = buf_append(&message, body, len);
    for (size_t i = 0; i < keys->count && code == 0; i++)
        code = sign(&keys->list[i], &message, out);
    buf_free(&message);
    return code;
}

/* ---- for people ---- */

int hook_keys_show(const struct hook_keys *keys, struct buf *out)
{
    unsigned char bytes[SEED_BYTES];
    char text[BASE64_SIZE(SEED_BYTES)];
    int code = 0;
    for (size_t i = 0; i < keys->count && code == 0; i++) {
        size_t len = sizeof bytes;
        if (keys->list[i].ed25519 == NULL) {
            code = buf_str(out, "a secret (whsec_), which its receiver must have\n");
        } else if (EVP_PKEY_get_raw_public_key(keys->list[i].ed25519, bytes, &len) == 1) {
            base64_encode(bytes, len, text);
            code = buf_printf(out, "whpk_%s\n", text);
        }
    }
    return code;
}

int hook_secret_new(char ret_secret[HOOK_SECRET_SIZE])
{
    unsigned char bytes[SECRET_NEW];
    char text[BASE64_SIZE(SECRET_NEW)];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return ERR_NOMEM;
    base64_encode(bytes, sizeof bytes, text);
    (void)snprintf(ret_secret, HOOK_SECRET_SIZE, "whsec_%s", text);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(text, sizeof text);
    return 0;
}
