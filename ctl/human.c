#include "ctl/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/pay/currency.h"

void human_age(int64_t ms, char ret_text[HUMAN_SIZE])
{
    int64_t s = ms / 1000;
    if (ms < 0)
        (void)snprintf(ret_text, HUMAN_SIZE, "-");
    else if (ms < 1000)
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 "ms", ms);
    else if (ms < 10000)
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
    else if (s < 60)
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 "s", s);
    else if (s < 3600)
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64 "d%02" PRId64 "h", s / 86400,
                       s / 3600 % 24);
}

void human_rate(double per_s, char ret_text[HUMAN_SIZE])
{
    if (per_s <= 0)
        (void)snprintf(ret_text, HUMAN_SIZE, "0");
    else
        (void)snprintf(ret_text, HUMAN_SIZE, per_s < 9.95 ? "%.1f" : "%.0f", per_s);
}

void human_count(int64_t count, char ret_text[HUMAN_SIZE])
{
    if (count < 0)
        (void)snprintf(ret_text, HUMAN_SIZE, "-");
    else
        (void)snprintf(ret_text, HUMAN_SIZE, "%" PRId64, count);
}

void human_money(const char *amount, const char *currency, char ret_text[HUMAN_MONEY_SIZE])
{
    int64_t number;
    const struct currency *known = currency == NULL ? NULL : currency_find(currency);
    if (amount == NULL)
        (void)snprintf(ret_text, HUMAN_MONEY_SIZE, "-");
    else if (known != NULL && parse_int(amount, 0, INT64_MAX, &number) == 0)
        currency_amount(known, number, ret_text);
    else
        (void)snprintf(ret_text, HUMAN_MONEY_SIZE, "%.20s %.3s (minor units)", amount,
                       currency == NULL ? "" : currency);
}

void human_short(const char *text, size_t width, char *ret_text, size_t size)
{
    size_t len = strlen(text);
    size_t head = (width - 1) / 2;
    size_t tail = width - 1 - head;
    if (len <= width)
        (void)snprintf(ret_text, size, "%s", text);
    else
        (void)snprintf(ret_text, size, "%.*s~%s", (int)head, text, text + len - tail);
}
