/* Tokens. The first byte says what the rest is: a token of somebody's making, or the header and
 * payload (a line each) of one that is signed with our secret, so that its claims are reached. */
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/identity/jwt.h"
#include "common/shop/job.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_S 1700000000
#define TOKEN_MAX 8192

/* Base64url without padding, of our own. */
static size_t base64url(const unsigned char *data, size_t len, char *out)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    while (n > 0 && out[n - 1] == '=')
        n--;
    return n;
}

static size_t sign(const char *text, size_t len, char *out)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    (void)HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (const unsigned char *)text, len, mac,
               &mac_len);
    return base64url(mac, mac_len, out);
}

/* Whether the last part is our signature of what stands before it. */
static bool is_signed(const char *token, size_t len)
{
    char wanted[128];
    const char *dot = memrchr(token, '.', len);
    if (dot == NULL)
        return false;
    size_t n = sign(token, (size_t)(dot - token), wanted);
    return (size_t)(token + len - dot - 1) == n && memcmp(dot + 1, wanted, n) == 0;
}

static size_t make_token(const uint8_t *data, size_t size, char *token)
{
    char *header = next_line(&data, &size);
    size_t len = base64url((unsigned char *)header, strlen(header), token);
    free(header);
    token[len++] = '.';
    len += base64url(data, size, token + len);
    size_t signed_len = len;
    token[len++] = '.';
    return len + sign(token, signed_len, token + len);
}

static void check(struct jwt *jwt, const char *token, size_t len)
{
    struct jwt_claims claims;
    const char *problem = NULL;
    memset(&claims, 0x5a, sizeof claims);
    char *copy = exact(token, len);
    for (int again = 0; again < 2; again++) { /* the second time it may come from the cache */
        if (jwt_verify(jwt, copy, len, "checkout", NOW_S, &claims, &problem) < 0) {
            MUST(problem != NULL);
            continue;
        }
        MUST(is_signed(token, len));
        MUST(job_user_valid(claims.user, strlen(claims.user)));
        MUST(claims.expires_s > NOW_S - 120 && claims.stay_s >= 0);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwt *jwt;
    static char token[TOKEN_MAX];
    if (jwt == NULL)
        jwt = jwt_new(&(struct jwt_options){.secret = SECRET, .secret_len = strlen(SECRET)});
    if (size < 2 || size > TOKEN_MAX / 2)
        return 0;
    if (data[0] % 2 == 0) {
        check(jwt, (const char *)data + 1, size - 1);
    } else {
        size_t len = make_token(data + 1, size - 1, token);
        check(jwt, token, len);
    }
    return 0;
}
