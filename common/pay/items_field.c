#include "common/pay/items_field.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "common/pay/currency.h"
#include "common/shop/job.h"

#define TITLE_MAX 200 /* characters */
#define CODE_SIZE 4   /* of a currency, with its NUL */

const char *const items_field_names[ITEMS_COLUMNS] = {
    "sku",  "title",    "price",     "currency",  "stock", "limit_per_user",
    "gate", "opens_at", "closes_at", "challenge",
};

size_t items_field_of(const char *name, size_t len)
{
    size_t i = 0;
    while (i < ITEMS_COLUMNS && (strlen(items_field_names[i]) != len ||
                                 strncasecmp(name, items_field_names[i], len) != 0))
        i++;
    return i;
}

static void lower(const char *text, char ret_code[CODE_SIZE])
{
    for (size_t i = 0; i < CODE_SIZE; i++)
        ret_code[i] = (char)tolower((unsigned char)text[i]);
}

static bool is_number(const char *text, int64_t low, int64_t high)
{
    int64_t number;
    return parse_int(text, low, high, &number) == 0;
}

static const char *check_title(const char *text)
{
    size_t count = utf8_count(text);
    if (!utf8_valid(text, strlen(text)))
        return "is not UTF-8";
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p < ' ' || *p == 0x7f)
            return "holds a control character";
    return count >= 1 && count <= TITLE_MAX ? NULL : "must have 1 to 200 characters";
}

static const char *check_currency(const char *text)
{
    char code[CODE_SIZE];
    if (strlen(text) != CODE_SIZE - 1)
        return "must be a currency in three letters, like usd";
    lower(text, code);
    return currency_find(code) != NULL ? NULL : "is no currency that the gateway takes";
}

static const char *check_time(const char *text)
{
    int64_t ms;
    if (clock_parse_rfc3339(text, &ms) < 0)
        return "must be a time in UTC, like 2026-01-31T18:00:00Z";
    return ms >= 0 ? NULL : "must be in the years 1970 to 9999";
}

static const char *check_gate(const char *text)
{
    bool known =
        strcmp(text, "none") == 0 || strcmp(text, "soldout") == 0 || strcmp(text, "lock") == 0;
    return known ? NULL : "must be none, soldout or lock";
}

const char *items_field_problem(enum items_column column, const char *text)
{
    switch (column) {
    case ITEMS_SKU:
        return job_sku_valid(text, strlen(text))
                   ? NULL
                   : "must be 1 to 64 of A-Z a-z 0-9 . _ -, not begin with -, and not be . or ..";
    case ITEMS_TITLE:
        return check_title(text);
    case ITEMS_PRICE:
        return is_number(text, 1, JOB_PRICE_MAX)
                   ? NULL
                   : "must be a whole number of minor units: 1999 for 19.99 usd, 1999 for 1999 jpy";
    case ITEMS_CURRENCY:
        return check_currency(text);
    case ITEMS_STOCK:
        return is_number(text, 0, INT32_MAX)
                   ? NULL
                   : "must be a whole number, 0 or more, at most 2147483647";
    case ITEMS_LIMIT_PER_USER:
        return is_number(text, 1, INT32_MAX)
                   ? NULL
                   : "must be a whole number, at least 1, at most 2147483647";
    case ITEMS_GATE:
        return check_gate(text);
    case ITEMS_OPENS_AT:
    case ITEMS_CLOSES_AT:
        return check_time(text);
    case ITEMS_CHALLENGE:
        return job_challenge_valid(text, strlen(text)) ? NULL
                                                       : "must be 1 to 64 of A-Z a-z 0-9 . _ -";
    }
    return "is of no known column";
}

char *items_field_copy(enum items_column column, const char *text)
{
    char *copy = strdup(text);
    if (copy != NULL && column == ITEMS_CURRENCY)
        lower(text, copy);
    return copy;
}

int items_field_price(const char *price, const char *currency, char ret_rule[CURRENCY_RULE_SIZE])
{
    int64_t amount;
    if (parse_int(price, 1, JOB_PRICE_MAX, &amount) == 0)
        return currency_check(currency, amount, ret_rule);
    (void)snprintf(ret_rule, CURRENCY_RULE_SIZE, "is no price");
    return ERR_INVALID;
}

bool items_field_lasts(const char *opens_at, const char *closes_at)
{
    int64_t opens, closes;
    return opens_at == NULL || closes_at == NULL || clock_parse_rfc3339(opens_at, &opens) < 0 ||
           clock_parse_rfc3339(closes_at, &closes) < 0 || opens < closes;
}
