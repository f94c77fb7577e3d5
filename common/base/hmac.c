#include "common/base/hmac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "common/base/encode.h"
#include "common/base/err.h"

struct hmac {
    EVP_MAC *algorithm;
    EVP_MAC_CTX *context; /* keyed; starting it again keeps the key */
};

static bool set_key(struct hmac *hmac, const void *key, size_t key_len)
{
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, sizeof name - 1),
        OSSL_PARAM_construct_end()};
    return EVP_MAC_init(hmac->context, key, key_len, params) == 1;
}

struct hmac *hmac_new(const void *key, size_t key_len)
{
    struct hmac *hmac = calloc(1, sizeof *hmac);
    if (hmac == NULL)
        return NULL;
    hmac->algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (hmac->algorithm != NULL)
        hmac->context = EVP_MAC_CTX_new(hmac->algorithm);
    if (hmac->context == NULL || !set_key(hmac, key, key_len)) {
        hmac_free(hmac);
        return NULL;
    }
    return hmac;
}

void hmac_free(struct hmac *hmac)
{
    if (hmac == NULL)
        return;
    EVP_MAC_CTX_free(hmac->context);
    EVP_MAC_free(hmac->algorithm);
    free(hmac);
}

int hmac_of(struct hmac *hmac, const struct hmac_part *parts, size_t count,
            unsigned char ret_mac[HMAC_BYTES])
{
    size_t len = 0;
    if (EVP_MAC_init(hmac->context, NULL, 0, NULL) != 1)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (EVP_MAC_update(hmac->context, parts[i].data, parts[i].len) != 1)
            return ERR_NOMEM;
    return EVP_MAC_final(hmac->context, ret_mac, &len, HMAC_BYTES) == 1 ? 0 : ERR_NOMEM;
}

int hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                    char ret_hex[HMAC_HEX_SIZE])
{
    unsigned char mac[HMAC_BYTES];
    struct hmac *hmac = hmac_new(key, key_len);
    int code = hmac == NULL ? ERR_NOMEM : hmac_of(hmac, &(struct hmac_part){data, len}, 1, mac);
    if (code == 0)
        hex_encode(mac, sizeof mac, ret_hex);
    hmac_free(hmac);
    return code;
}

bool hmac_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
