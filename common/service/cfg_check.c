#include "common/service/cfg_impl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/net/address.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis_url.h"
#include "common/net/url.h"
#include "common/shop/origins.h"

#define PAGE_URL_MAX 2000 /* that gateways take */
#define METHODS_MAX 16
#define METHOD_MAX 40
#define SHOWN_MAX 64
#define RATE_PERIOD_MAX_MS ((int64_t)24 * 3600 * 1000)
#define RATIO_PLACES 6
#define RATIO_ONE 1000000

/* Appends a value for people: quoted, short, without control characters. */
static void show(struct buf *out, const char *text)
{
    size_t len = strnlen(text, SHOWN_MAX);
    (void)buf_char(out, '"');
    for (size_t i = 0; i < len; i++)
        (void)buf_char(out, isprint((unsigned char)text[i]) ? text[i] : '?');
    (void)buf_str(out, text[len] == '\0' ? "\"" : "...\"");
}

static int wrong(struct buf *problem, const char *text, const char *why)
{
    show(problem, text);
    (void)buf_printf(problem, " %s", why);
    return ERR_CONFIG;
}

static int check_integer(const struct cfg_row *row, const char *text, struct cfg_value *value,
                         struct buf *problem)
{
    int64_t number;
    if (parse_int(text, 0, INT64_MAX, &number) < 0)
        return wrong(problem, text, "is not a whole number");
    bool power = (number & (number - 1)) == 0;
    if (number < row->low || number > row->high || (row->type == CFG_TYPE_POWER_OF_TWO && !power)) {
        show(problem, text);
        (void)buf_printf(problem, " is not %s %lld and %lld",
                         row->type == CFG_TYPE_POWER_OF_TWO ? "a power of two between" : "between",
                         (long long)row->low, (long long)row->high);
        return ERR_CONFIG;
    }
    value->number = number;
    return 0;
}

/* Milliseconds of one unit; 0 if it is none. */
static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ms;
    return 0;
}

int cfg_parse_duration(const char *text, int64_t *ret_ms)
{
    int64_t number;
    size_t digits = parse_digits(text, &number);
    int64_t unit = unit_ms(text + digits);
    if (digits == 0 || unit == 0)
        return ERR_PARSE;
    *ret_ms = number > INT64_MAX / unit ? INT64_MAX : number * unit;
    return 0;
}

static int check_duration(const struct cfg_row *row, const char *text, struct cfg_value *value,
                          struct buf *problem)
{
    int64_t ms;
    if (cfg_parse_duration(text, &ms) < 0)
        return wrong(problem, text, "is not a number with a unit of ms, s, m or h, like 30s");
    if (ms < row->low || ms > row->high) {
        show(problem, text);
        (void)buf_printf(problem, " is not between %lldms and %lldms", (long long)row->low,
                         (long long)row->high);
        return ERR_CONFIG;
    }
    value->number = ms;
    return 0;
}

/* The time has whole seconds, since HTTP says it so. */
static int check_rate(const struct cfg_row *row, const char *text, struct cfg_value *value,
                      struct buf *problem)
{
    static const char why[] = "is neither 0 nor a rate, like 60/1m: so many, in whole seconds up "
                              "to 24h";
    int64_t count;
    int64_t ms = 1000;
    size_t digits = parse_digits(text, &count);
    if (digits == 0 || count < row->low || count > row->high)
        return wrong(problem, text, why);
    if (text[digits] == '\0' && count > 0)
        return wrong(problem, text, why);
    if (text[digits] != '\0' &&
        (text[digits] != '/' || cfg_parse_duration(text + digits + 1, &ms) < 0))
        return wrong(problem, text, why);
    if (ms < 1000 || ms > RATE_PERIOD_MAX_MS || ms % 1000 != 0)
        return wrong(problem, text, why);
    value->number = count;
    value->period_s = ms / 1000;
    return 0;
}

static int check_ratio(const char *text, struct cfg_value *value, struct buf *problem)
{
    int64_t whole;
    int64_t part = 0;
    size_t digits = parse_digits(text, &whole);
    bool has_point = text[digits] == '.';
    size_t places = has_point ? parse_digits(text + digits + 1, &part) : 0;
    const char *end = text + digits + (has_point ? 1 + places : 0);
    for (size_t i = places; i < RATIO_PLACES; i++)
        part *= 10;
    if (digits != 1 || has_point != (places > 0) || places > RATIO_PLACES || *end != '\0' ||
        whole > 1 || (whole == 1 && part > 0))
        return wrong(problem, text, "is not a number from 0 to 1, like 0.01");
    value->number = whole * RATIO_ONE + part;
    return 0;
}

static int check_networks(const char *text, struct buf *problem)
{
    struct networks *networks = NULL;
    const char *why;
    int code = networks_new(text, &networks, &why);
    networks_free(networks);
    return code < 0 ? wrong(problem, text, why) : 0;
}

static int check_address(const char *text, struct cfg_value *value, struct buf *problem)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return wrong(problem, text, "is not an address and a port, like 127.0.0.1:8080");
    int64_t port;
    int code = parse_int(colon + 1, 0, UINT16_MAX, &port);
    if (code == ERR_PARSE)
        return wrong(problem, text, "ends in no port number");
    if (code < 0)
        return wrong(problem, text, "has a port out of range (0 to 65535)");
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    char host[INET6_ADDRSTRLEN + 1];
    (void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len),
                   bracketed ? text + 1 : text);
    unsigned char address[sizeof(struct in6_addr)];
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    else if (inet_pton(bracketed ? AF_INET6 : AF_INET, host, address) != 1)
        return wrong(problem, text,
                     "holds no IP address to listen on (0.0.0.0 is every one; IPv6 in brackets)");
    value->host = strdup(host);
    value->port = (uint16_t)port;
    return value->host == NULL ? ERR_NOMEM : 0;
}

static int check_level(const char *text, struct cfg_value *value, struct buf *problem)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (strcmp(text, levels[i]) == 0) {
            value->number = (int64_t)i;
            return 0;
        }
    }
    return wrong(problem, text, "is none of debug, info, warning, error");
}

/* The URL is not shown: it may hold a password. */
static int check_web_url(const struct cfg_row *row, const char *text, struct buf *problem)
{
    const char *plain = row->type == CFG_TYPE_WS_URL ? "ws" : "http";
    const char *safe = row->type == CFG_TYPE_WS_URL ? "wss" : "https";
    bool page = row->type == CFG_TYPE_PAGE_URL;
    size_t len = strlen(text);
    struct url url;
    const char *why = NULL;
    if (!url_has_scheme(text, len, plain) && !url_has_scheme(text, len, safe)) {
        (void)buf_printf(problem, "must start with %s:// or %s://", plain, safe);
        return ERR_CONFIG;
    }
    for (const char *p = text; *p != '\0' && why == NULL; p++)
        if (*p <= ' ' || *p > '~' || *p == '"')
            why = "it has a character that does not belong in a URL";
    if (why == NULL && url_parse(text, len, &url, &why) == 0 && url.has_user)
        why = "it must name a host only, without a user and password";
    else if (why == NULL && url.rest.len > 0 && !page)
        why = "it takes no ? and no #";
    else if (why == NULL && len > PAGE_URL_MAX)
        why = "it has more than 2000 characters";
    if (why == NULL)
        return 0;
    (void)buf_str(problem, why);
    return ERR_CONFIG;
}

/* Names of the gateway's: card,sepa_debit. */
static int check_methods(const char *text, struct buf *problem)
{
    const char *p = text;
    for (unsigned count = 1; count <= METHODS_MAX; count++) {
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (len == 0 || len > METHOD_MAX || (p[len] != ',' && p[len] != '\0'))
            break;
        if (p[len] == '\0')
            return 0;
        p += len + 1;
    }
    return wrong(problem, text, "is not a list of payment methods like card,link, nor automatic");
}

static int check_origins(const char *text, struct buf *problem)
{
    struct origins *origins = NULL;
    const char *why = "out of memory";
    int code = origins_new(text, &origins, &why);
    origins_free(origins);
    return code < 0 ? wrong(problem, text, why) : 0;
}

static int check_file(const char *text, struct buf *problem)
{
    FILE *file = fopen(text, "re");
    if (file == NULL) {
        (void)buf_str(problem, "cannot read ");
        show(problem, text);
        (void)buf_printf(problem, ": %s", strerror(errno));
        return ERR_CONFIG;
    }
    (void)fclose(file); /* only read */
    return 0;
}

/* Reads the file into `secret`, which takes one byte more than allowed, to notice a secret that is
 * too long. */
static int read_secret(const char *path, char *secret, size_t size, size_t *ret_len,
                       struct buf *problem)
{
    FILE *file = fopen(path, "re");
    size_t len = 0;
    bool failed = file == NULL;
    if (!failed) {
        (void)setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer */
        len = fread(secret, 1, size, file);
        failed = ferror(file) != 0;
    }
    int error = errno;
    if (file != NULL)
        (void)fclose(file);
    if (failed) {
        (void)buf_str(problem, "cannot read ");
        show(problem, path);
        (void)buf_printf(problem, ": %s", strerror(error));
        return ERR_CONFIG;
    }
    *ret_len = len;
    return 0;
}

/* A secret that people copy: white space behind it is no part of it, such as the end of a line that
 * an editor on another system has made. */
static size_t without_blanks(char *secret, size_t len)
{
    while (len > 0 && secret[len - 1] != '\0' && strchr(" \t\r\n", secret[len - 1]) != NULL)
        secret[--len] = '\0';
    return len;
}

/* The first byte that is not visible ASCII; `len`: there is none. */
static size_t find_invisible(const char *secret, size_t len)
{
    size_t i = 0;
    while (i < len && secret[i] > ' ' && secret[i] <= '~')
        i++;
    return i;
}

static int check_secret(const struct cfg_row *row, const char *path, struct cfg_value *value,
                        struct buf *problem)
{
    size_t most = (size_t)row->high;
    char *secret = calloc(1, most + 3); /* a newline, one byte too many, and NUL */
    if (secret == NULL)
        return ERR_NOMEM;
    value->secret = secret;
    value->secret_len = most + 2; /* wiped whole if it is wrong */
    size_t len;
    int code = read_secret(path, secret, most + 2, &len, problem);
    if (code < 0)
        return code;
    if (len > 0 && secret[len - 1] == '\n')
        secret[--len] = '\0';
    if (row->type == CFG_TYPE_SECRET_WORD_FILE) {
        len = without_blanks(secret, len);
        size_t wrong_at = find_invisible(secret, len);
        if (wrong_at < len) {
            (void)buf_str(problem, "the secret in ");
            show(problem, path);
            (void)buf_printf(problem, " has a byte that is not visible ASCII: number %zu",
                             wrong_at + 1);
            return ERR_CONFIG;
        }
    }
    if (len >= (size_t)row->low && len <= most) {
        value->secret_len = len;
        return row->type == CFG_TYPE_SECRET_HEADERS_FILE ? cfg_check_headers(secret, problem) : 0;
    }
    (void)buf_str(problem, "the secret in ");
    show(problem, path);
    if (len < (size_t)row->low)
        (void)buf_printf(problem, " is too short: %zu bytes, at least %lld are needed", len,
                         (long long)row->low);
    else
        (void)buf_printf(problem, " is too long: at most %lld bytes", (long long)row->high);
    return ERR_CONFIG;
}

static int check_boolean(const char *text, struct cfg_value *value, struct buf *problem)
{
    value->number = strcmp(text, "true") == 0;
    if (value->number == 0 && strcmp(text, "false") != 0)
        return wrong(problem, text, "is not true or false");
    return 0;
}

static int check_amqp(const char *text, struct buf *problem)
{
    struct broker_hosts hosts;
    const char *why = "out of memory";
    if (broker_url_parse(text, &hosts, &why) == 0) {
        broker_url_free(&hosts);
        return 0;
    }
    (void)buf_printf(problem, "%s", why);
    return ERR_CONFIG;
}

static int check_redis(const char *text, struct buf *problem)
{
    struct redis_url url;
    const char *why = "malformed";
    int code = redis_url_parse(text, &url, &why);
    explicit_bzero(&url, sizeof url);
    if (code == 0)
        return 0;
    (void)buf_printf(problem, "%s", why);
    return ERR_CONFIG;
}

static int check_database(const char *text, struct buf *problem)
{
    const char *why = "malformed";
    if (pg_url_check(text, &why) == 0)
        return 0;
    (void)buf_printf(problem, "%s", why);
    return ERR_CONFIG;
}

static int check_word(const char *text, struct buf *problem)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (text[len] != '\0' || len > SHOWN_MAX)
        return wrong(problem, text, "is not made of up to 64 letters, digits, '.', '_' and '-'");
    return 0;
}

int cfg_check(const struct cfg_row *row, const char *text, struct cfg_value *value,
              struct buf *problem)
{
    switch (row->type) {
    case CFG_TYPE_STRING:
        return 0;
    case CFG_TYPE_WORD:
        return check_word(text, problem);
    case CFG_TYPE_INTEGER:
    case CFG_TYPE_POWER_OF_TWO:
        return check_integer(row, text, value, problem);
    case CFG_TYPE_DURATION:
        return check_duration(row, text, value, problem);
    case CFG_TYPE_ADDRESS:
        return check_address(text, value, problem);
    case CFG_TYPE_LEVEL:
        return check_level(text, value, problem);
    case CFG_TYPE_ORIGINS:
        return check_origins(text, problem);
    case CFG_TYPE_METHODS:
        return check_methods(text, problem);
    case CFG_TYPE_RATE:
        return check_rate(row, text, value, problem);
    case CFG_TYPE_RATIO:
        return check_ratio(text, value, problem);
    case CFG_TYPE_NETWORKS:
        return check_networks(text, problem);
    case CFG_TYPE_FILE:
        return check_file(text, problem);
    case CFG_TYPE_BOOLEAN:
        return check_boolean(text, value, problem);
    case CFG_TYPE_SECRET_FILE:
    case CFG_TYPE_SECRET_WORD_FILE:
    case CFG_TYPE_SECRET_HEADERS_FILE:
        return check_secret(row, text, value, problem);
    case CFG_TYPE_AMQP_URLS:
        return check_amqp(text, problem);
    case CFG_TYPE_DATABASE_URL:
        return check_database(text, problem);
    case CFG_TYPE_REDIS_URL:
        return check_redis(text, problem);
    case CFG_TYPE_SMTP_URLS:
        return cfg_check_smtp(text, problem);
    case CFG_TYPE_EMAIL:
        return cfg_check_email(text, problem);
    case CFG_TYPE_LINE:
        return cfg_check_line(row, text, problem);
    case CFG_TYPE_HTTP_URL:
    case CFG_TYPE_WS_URL:
    case CFG_TYPE_PAGE_URL:
        return check_web_url(row, text, problem);
    }
    return ERR_CONFIG;
}
