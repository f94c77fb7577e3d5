#include "producer/webhook/webhook_signature.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/base/parse.h"

#define STAMP_DIGITS_MAX 15
#define HEX_LEN ((size_t)HMAC_HEX_SIZE - 1)

/* An element of the header, without the white space around it, which proxies add (RFC 9110). */
struct part {
    const char *text;
    size_t len;
};

/* False: there is no more. */
static bool next_part(const char **header, struct part *ret_part)
{
    const char *text = *header;
    if (*text == '\0')
        return false;
    size_t all = strcspn(text, ",");
    *header = text + all + (text[all] == ',');
    size_t blanks = strspn(text, " \t");
    size_t len = all;
    if (blanks > all)
        blanks = all;
    while (len > blanks && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    *ret_part = (struct part){text + blanks, len - blanks};
    return true;
}

/* The digits of the first t= of the header; 0 digits: there is none. */
static size_t find_stamp(const char *header, const char **ret_stamp)
{
    struct part part;
    while (next_part(&header, &part)) {
        size_t digits = strncmp(part.text, "t=", 2) == 0 ? strspn(part.text + 2, "0123456789") : 0;
        if (digits > 0 && digits <= STAMP_DIGITS_MAX && digits + 2 == part.len) {
            *ret_stamp = part.text + 2;
            return digits;
        }
    }
    return 0;
}

/* `expected` is in lower case; the header may be in either. */
static bool any_matches(const char *header, const char expected[HMAC_HEX_SIZE])
{
    bool found = false;
    struct part part;
    while (next_part(&header, &part)) {
        char hex[HMAC_HEX_SIZE];
        if (part.len != 3 + HEX_LEN || strncmp(part.text, "v1=", 3) != 0)
            continue;
        for (size_t i = 0; i < HEX_LEN; i++)
            hex[i] = (char)tolower((unsigned char)part.text[3 + i]);
        found = hmac_equal(hex, expected, HEX_LEN) || found;
    }
    return found;
}

int webhook_verify(const char *secret, size_t secret_len, const char *header, const char *body,
                   size_t body_len, int64_t now_s)
{
    const char *stamp = "";
    size_t digits = header == NULL ? 0 : find_stamp(header, &stamp);
    if (digits == 0)
        return ERR_AUTH;
    int64_t signed_s;
    (void)parse_digits(stamp, &signed_s);
    if (signed_s < now_s - WEBHOOK_TOLERANCE_S || signed_s > now_s + WEBHOOK_TOLERANCE_S)
        return ERR_TIMEOUT;
    unsigned char mac[HMAC_BYTES];
    char expected[HMAC_HEX_SIZE];
    const struct hmac_part parts[] = {{stamp, digits}, {".", 1}, {body, body_len}};
    struct hmac *hmac = hmac_new(secret, secret_len);
    int code = hmac == NULL ? ERR_NOMEM : hmac_of(hmac, parts, ARRAY_LEN(parts), mac);
    hmac_free(hmac);
    if (code < 0)
        return code;
    hex_encode(mac, sizeof mac, expected);
    return any_matches(header, expected) ? 0 : ERR_AUTH;
}
