#include "common/shop/ids.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"

#define NAME_BITS 74
#define NAME_BYTES 10 /* 74 bits, zero-padded */
#define MAC_BITS 48
#define MAC_BYTES (MAC_BITS / 8)
#define DIGEST_BYTES 32
#define ID_BYTES 16
#define FINGERPRINT_BYTES 16

struct ids {
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    struct hmac *mac;
    char secret_fingerprint[IDS_FINGERPRINT_SIZE];
};

struct ids *ids_new(const char *secret, size_t len)
{
    struct ids *ids = calloc(1, sizeof *ids);
    if (ids == NULL)
        return NULL;
    ids->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    ids->digest = EVP_MD_CTX_new();
    ids->mac = hmac_new(secret, len);
    if (ids->sha256 == NULL || ids->digest == NULL || ids->mac == NULL ||
        ids_fingerprint(secret, len, ids->secret_fingerprint) < 0) {
        ids_free(ids);
        return NULL;
    }
    return ids;
}

void ids_free(struct ids *ids)
{
    if (ids == NULL)
        return;
    hmac_free(ids->mac);
    EVP_MD_CTX_free(ids->digest);
    EVP_MD_free(ids->sha256);
    free(ids);
}

/* The first 74 bits of the digest over user and key. */
static int name_of(struct ids *ids, const char *user, const char *key, unsigned char *ret_name)
{
    static const char domain[] = "checkout-order"; /* with its NUL */
    unsigned char digest[DIGEST_BYTES];
    unsigned len = 0;
    if (EVP_DigestInit_ex2(ids->digest, ids->sha256, NULL) != 1 ||
        EVP_DigestUpdate(ids->digest, domain, sizeof domain) != 1 ||
        EVP_DigestUpdate(ids->digest, user, strlen(user) + 1) != 1 ||
        EVP_DigestUpdate(ids->digest, key, strlen(key)) != 1 ||
        EVP_DigestFinal_ex(ids->digest, digest, &len) != 1)
        return ERR_NOMEM;
    memcpy(ret_name, digest, NAME_BYTES);
    ret_name[NAME_BYTES - 1] &= 0xc0; /* 74 = 9 * 8 + 2 */
    return 0;
}

static int mac_of(struct ids *ids, const unsigned char *name, const char *user,
                  unsigned char *ret_mac)
{
    static const char domain[] = "checkout-id"; /* with its NUL */
    const struct hmac_part parts[] = {
        {domain, sizeof domain}, {name, NAME_BYTES}, {user, strlen(user)}};
    unsigned char whole[HMAC_BYTES];
    int code = hmac_of(ids->mac, parts, ARRAY_LEN(parts), whole);
    if (code == 0)
        memcpy(ret_mac, whole, MAC_BYTES);
    return code;
}

/* An id's 122 free bits lie around its version (bits 48-51) and variant (64-65): the name's first
 * 48 bits, its next 12, its last 14, then the 48 of the MAC. */
static void pack(const unsigned char *name, const unsigned char *mac, unsigned char *ret_id)
{
    memcpy(ret_id, name, 6);
    unsigned tail = (unsigned)name[6] << 24 | (unsigned)name[7] << 16 | (unsigned)name[8] << 8 |
                    (unsigned)name[9]; /* 26 bits and 6 zeros */
    unsigned middle = tail >> 20;
    unsigned last = (tail >> 6) & 0x3fff;
    ret_id[6] = (unsigned char)(0x80 | (middle >> 8));
    ret_id[7] = (unsigned char)(middle & 0xff);
    ret_id[8] = (unsigned char)(0x80 | (last >> 8));
    ret_id[9] = (unsigned char)(last & 0xff);
    memcpy(ret_id + 10, mac, MAC_BYTES);
}

static void unpack_name(const unsigned char *id, unsigned char *ret_name)
{
    memcpy(ret_name, id, 6);
    unsigned middle = ((unsigned)id[6] & 0x0f) << 8 | id[7];
    unsigned last = ((unsigned)id[8] & 0x3f) << 8 | id[9];
    unsigned tail = middle << 20 | last << 6;
    ret_name[6] = (unsigned char)(tail >> 24);
    ret_name[7] = (unsigned char)(tail >> 16 & 0xff);
    ret_name[8] = (unsigned char)(tail >> 8 & 0xff);
    ret_name[9] = (unsigned char)(tail & 0xff);
}

/* Position of each byte's first hex digit in the 36 characters. */
static const unsigned char hex_at[ID_BYTES] = {0,  2,  4,  6,  9,  11, 14, 16,
                                               19, 21, 24, 26, 28, 30, 32, 34};

static void write_id(const unsigned char *id, char *ret_text)
{
    memset(ret_text, '-', IDS_ORDER_SIZE - 1);
    for (size_t i = 0; i < ID_BYTES; i++)
        hex_put(id[i], ret_text + hex_at[i]);
    ret_text[IDS_ORDER_SIZE - 1] = '\0';
}

int ids_order(struct ids *ids, const char *user, const char *key, char ret_id[IDS_ORDER_SIZE])
{
    unsigned char name[NAME_BYTES];
    unsigned char mac[MAC_BYTES];
    unsigned char id[ID_BYTES];
    int code = name_of(ids, user, key, name);
    if (code == 0)
        code = mac_of(ids, name, user, mac);
    if (code < 0)
        return code;
    pack(name, mac, id);
    write_id(id, ret_id);
    return 0;
}

/* false: not of the form of an order id */
static bool read_id(const char *text, unsigned char *ret_id)
{
    if (strlen(text) != IDS_ORDER_SIZE - 1 || text[8] != '-' || text[13] != '-' ||
        text[18] != '-' || text[23] != '-')
        return false;
    for (size_t i = 0; i < ID_BYTES; i++) {
        const char *digits = text + hex_at[i];
        if (!hex_valid(digits, 2)) /* lower case only: an id has one form */
            return false;
        ret_id[i] = (unsigned char)hex_byte(digits);
    }
    return (ret_id[6] & 0xf0) == 0x80 && (ret_id[8] & 0xc0) == 0x80;
}

bool ids_well_formed(const char *id)
{
    unsigned char bytes[ID_BYTES];
    return read_id(id, bytes);
}

bool ids_verify(struct ids *ids, const char *user, const char *id)
{
    unsigned char bytes[ID_BYTES];
    unsigned char name[NAME_BYTES];
    unsigned char mac[MAC_BYTES];
    if (!read_id(id, bytes))
        return false;
    unpack_name(bytes, name);
    return mac_of(ids, name, user, mac) == 0 && hmac_equal(mac, bytes + 10, MAC_BYTES);
}

int ids_fingerprint(const void *data, size_t len, char ret_hex[IDS_FINGERPRINT_SIZE])
{
    unsigned char digest[DIGEST_BYTES];
    size_t digest_len = 0;
    if (EVP_Q_digest(NULL, "SHA256", NULL, data, len, digest, &digest_len) != 1)
        return ERR_NOMEM;
    hex_encode(digest, FINGERPRINT_BYTES, ret_hex);
    return 0;
}

int ids_secret_fingerprint(struct ids *ids, char ret_hex[IDS_FINGERPRINT_SIZE])
{
    memcpy(ret_hex, ids->secret_fingerprint, IDS_FINGERPRINT_SIZE);
    return 0;
}
