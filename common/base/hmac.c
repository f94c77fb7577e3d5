#include "common/base/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/err.h"

#define MAC_BYTES 32

int hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                    char ret_hex[HMAC_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[MAC_BYTES];
    size_t mac_len = 0;
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len, data, len, mac, sizeof mac,
                  &mac_len) == NULL ||
        mac_len != sizeof mac)
        return ERR_NOMEM;
    for (size_t i = 0; i < sizeof mac; i++) {
        ret_hex[2 * i] = digits[mac[i] >> 4];
        ret_hex[2 * i + 1] = digits[mac[i] & 15];
    }
    ret_hex[HMAC_HEX_SIZE - 1] = '\0';
    return 0;
}

bool hmac_equal(const char *a, const char *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
