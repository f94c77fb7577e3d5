#include "common/identity/claims.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/identity/names.h"
#include "common/shop/job.h"

_Static_assert(JWT_CUSTOMER_SIZE == JOB_CUSTOMER_MAX + 1, "an order carries the claim");
_Static_assert(JWT_HUMAN_SIZE == JOB_HUMAN_MAX + 1, "an order carries this one too");
_Static_assert(JWT_EMAIL_SIZE == EMAIL_MAX + 1, "so does an order's address");

#define CLOCKS_DIFFER_S 60 /* between our clock and the issuer's, at least: for nbf and iat */

static bool is_text(const json_t *value, const char *wanted)
{
    return json_is_string(value) && strcmp(json_string_value(value), wanted) == 0;
}

/* `aud` is one text or a list of them. */
static bool in_audience(const json_t *audience, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(audience); i++)
        if (is_text(json_array_get(audience, i), wanted))
            return true;
    return is_text(audience, wanted);
}

/* Seconds of a NumericDate, which may have a fraction; `absent` if there is none. */
static bool read_date(const json_t *claims, const char *name, int64_t absent, int64_t *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    double number = json_number_value(value);
    *ret_s = absent;
    if (!json_is_number(value))
        return value == NULL;
    if (number < 0 || number >= 1e12)
        return false;
    *ret_s = (int64_t)floor(number); /* a double holds each of these integers */
    return true;
}

/* It may be absent. */
static bool read_customer(const json_t *claim, const char **ret_customer)
{
    const char *text = json_string_value(claim);
    if (claim == NULL)
        return true;
    if (text == NULL || strlen(text) != json_string_length(claim) ||
        !job_customer_valid(text, strlen(text)))
        return false;
    *ret_customer = text;
    return true;
}

/* Another claim of this name, of another meaning, says that no challenge was passed. */
static const char *read_human(const json_t *claim)
{
    const char *text = json_string_value(claim);
    bool readable = text != NULL && strlen(text) == json_string_length(claim) &&
                    job_human_valid(text, strlen(text));
    return readable ? text : "";
}

/* Words with single blanks between them (RFC 8693, 4.2); those that are unknown say nothing. */
static unsigned read_scopes(const json_t *claim)
{
    static const struct {
        const char *word;
        unsigned scopes;
    } known[] = {{"shop.read", JWT_SCOPE_SHOP_READ},
                 {"shop", JWT_SCOPE_SHOP | JWT_SCOPE_SHOP_READ},
                 {"operator.read", JWT_SCOPE_OPERATOR_READ},
                 {"operator", JWT_SCOPE_OPERATOR | JWT_SCOPE_OPERATOR_READ}};
    const char *at = json_string_value(claim);
    unsigned scopes = 0;
    if (at == NULL || strlen(at) != json_string_length(claim))
        return 0;
    while (*at != '\0') {
        size_t len = strcspn(at, " ");
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (strlen(known[i].word) == len && memcmp(known[i].word, at, len) == 0)
                scopes |= known[i].scopes;
        at += len + strspn(at + len, " ");
    }
    return scopes;
}

/* OpenID Connect's claims. One that is no address of ours, or not verified, is as good as none. */
static const char *read_email(const json_t *claims)
{
    const json_t *claim = json_object_get(claims, "email");
    const char *text = json_string_value(claim);
    bool good = text != NULL && json_is_true(json_object_get(claims, "email_verified")) &&
                email_valid(text, json_string_length(claim));
    return good ? text : "";
}

static int read_dates(const json_t *json, struct claims *c, const char **ret_problem)
{
    int64_t issued_s;
    *ret_problem = "a date in the token is malformed";
    if (!read_date(json, "exp", -1, &c->expires_s) ||
        !read_date(json, "nbf", 0, &c->not_before_s) || !read_date(json, "iat", 0, &issued_s) ||
        !read_date(json, "stay", 0, &c->stay_s))
        return ERR_AUTH;
    if (issued_s > c->not_before_s)
        c->not_before_s = issued_s;
    *ret_problem = "the token has no exp";
    return c->expires_s < 0 ? ERR_AUTH : 0;
}

int claims_read(const struct json_t *json, const char *issuer, struct claims *ret_claims,
                const char **ret_problem)
{
    int code = read_dates(json, ret_claims, ret_problem);
    if (code < 0)
        return code;
    ret_claims->user = json_string_value(json_object_get(json, "sub"));
    *ret_problem = "the token's sub is missing, no string, too long, or has control characters";
    if (ret_claims->user == NULL || !job_user_valid(ret_claims->user, strlen(ret_claims->user)))
        return ERR_AUTH;
    ret_claims->customer = "";
    *ret_problem = "the token's gateway_customer is no customer's id";
    if (!read_customer(json_object_get(json, "gateway_customer"), &ret_claims->customer))
        return ERR_AUTH;
    ret_claims->human = read_human(json_object_get(json, "human"));
    ret_claims->email = read_email(json);
    *ret_problem = "the token's iss is not the issuer whose tokens are taken here";
    if (issuer[0] != '\0' && !is_text(json_object_get(json, "iss"), issuer))
        return ERR_AUTH;
    const json_t *audience = json_object_get(json, "aud");
    ret_claims->for_api = in_audience(audience, JWT_AUD_API);
    ret_claims->for_events = in_audience(audience, JWT_AUD_EVENTS);
    ret_claims->for_console = in_audience(audience, JWT_AUD_CONSOLE);
    ret_claims->scopes = read_scopes(json_object_get(json, "scope"));
    return 0;
}

/* A buyer's token is none for the console, whatever else it says. */
static bool is_for(const struct claims *claims, const char *audience)
{
    if (strcmp(audience, JWT_AUD_CONSOLE) == 0)
        return claims->for_console && !claims->for_api && !claims->for_events;
    return strcmp(audience, JWT_AUD_EVENTS) == 0 ? claims->for_events : claims->for_api;
}

int claims_judge(const struct claims *claims, const char *audience, int64_t now_s, int64_t leeway_s,
                 const char **ret_problem)
{
    *ret_problem = "the token's aud is not this service";
    if (!is_for(claims, audience))
        return ERR_AUTH;
    *ret_problem = "the token has expired";
    if (now_s >= claims->expires_s + leeway_s)
        return ERR_EXPIRED;
    int64_t early_s = leeway_s > CLOCKS_DIFFER_S ? leeway_s : CLOCKS_DIFFER_S;
    *ret_problem = "the token is not valid yet";
    return claims->not_before_s > now_s + early_s ? ERR_AUTH : 0;
}
