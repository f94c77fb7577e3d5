#include "common/identity/token.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "common/base/encode.h"
#include "common/base/err.h"

/* Decodes one part of a token as a JSON object; NULL if it is none. */
static json_t *load_part(const char *text, size_t len)
{
    char plain[TOKEN_MAX];
    size_t size;
    if (base64url_decode(text, len, plain, sizeof plain, &size) < 0)
        return NULL;
    json_t *value = json_loadb(plain, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

static const char *next_dot(const char *from, const char *end)
{
    return memchr(from, '.', (size_t)(end - from));
}

/* An access token, or a plain JWT: no logout token, no proof of possession. */
static bool type_good(const json_t *type)
{
    static const char *const known[] = {"JWT", "at+jwt", "application/at+jwt"};
    const char *text = json_string_value(type);
    for (size_t i = 0; text != NULL && i < ARRAY_LEN(known); i++)
        if (strcasecmp(text, known[i]) == 0)
            return true;
    return type == NULL;
}

static bool read_id(const json_t *id, struct token *token)
{
    const char *text = json_string_value(id);
    token->has_id = id != NULL;
    if (id == NULL)
        return true;
    if (text == NULL || strlen(text) != json_string_length(id) || strlen(text) > KEY_ID_MAX)
        return false;
    memcpy(token->id, text, strlen(text) + 1);
    return true;
}

static int read_header(const json_t *header, struct token *token, const char **ret_problem)
{
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    *ret_problem = "the token is malformed";
    if (algorithm == NULL || !read_id(json_object_get(header, "kid"), token))
        return ERR_AUTH;
    *ret_problem = "the token is not signed with HS256, RS256, ES256 or EdDSA";
    if (key_algorithm_named(algorithm, &token->algorithm) < 0)
        return ERR_AUTH;
    *ret_problem = "the token needs an extension that is not known here";
    if (json_object_get(header, "crit") != NULL)
        return ERR_AUTH;
    *ret_problem = "the token's typ is that of another kind of token";
    return type_good(json_object_get(header, "typ")) ? 0 : ERR_AUTH;
}

int token_read(const char *text, size_t len, struct token *ret_token, const char **ret_problem)
{
    const char *end = text + len;
    const char *first = next_dot(text, end);
    const char *second = first == NULL ? NULL : next_dot(first + 1, end);
    *ret_problem = "the token has more than 4096 bytes";
    if (len > TOKEN_MAX)
        return ERR_AUTH;
    *ret_problem = "the token is malformed";
    if (second == NULL || next_dot(second + 1, end) != NULL)
        return ERR_AUTH;
    ret_token->text = text;
    ret_token->signed_len = (size_t)(second - text);
    ret_token->payload = first + 1;
    ret_token->payload_len = (size_t)(second - first - 1);
    if (base64url_decode(second + 1, (size_t)(end - second - 1), ret_token->signature,
                         sizeof ret_token->signature, &ret_token->signature_len) < 0)
        return ERR_AUTH;
    json_t *header = load_part(text, (size_t)(first - text));
    int code = header == NULL ? ERR_AUTH : read_header(header, ret_token, ret_problem);
    json_decref(header);
    return code;
}

struct json_t *token_claims(const struct token *token)
{
    return load_part(token->payload, token->payload_len);
}
