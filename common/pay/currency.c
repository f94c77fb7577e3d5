#include "common/pay/currency.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

#define DIGITS_8 99999999
#define DIGITS_9 999999999
#define DIGITS_10 INT64_C(9999999999)
#define DIGITS_12 INT64_C(999999999999)

#define LEAST(code, least)                                                                         \
    {                                                                                              \
        code, 2, 1, (least), DIGITS_8                                                              \
    }
#define PLAIN(code) LEAST(code, 1)
/* Without decimals. */
#define WHOLE(code)                                                                                \
    {                                                                                              \
        code, 0, 1, 1, DIGITS_8                                                                    \
    }
/* Three decimals, of which the last is 0. */
#define THREE(code)                                                                                \
    {                                                                                              \
        code, 3, 10, 10, DIGITS_8                                                                  \
    }
/* Without decimals, but written with two. */
#define HUNDREDS(code)                                                                             \
    {                                                                                              \
        code, 2, 100, 100, DIGITS_8                                                                \
    }

/* In alphabetical order. Source: https://docs.stripe.com/currencies (minor units, minimum and
 * maximum charge amounts, special cases). A least charge that depends on an exchange rate is 1. */
static const struct currency currencies[] = {
    LEAST("aed", 200),
    PLAIN("afn"),
    PLAIN("all"),
    PLAIN("amd"),
    PLAIN("ang"),
    PLAIN("aoa"),
    PLAIN("ars"),
    LEAST("aud", 50),
    PLAIN("awg"),
    PLAIN("azn"),
    PLAIN("bam"),
    PLAIN("bbd"),
    PLAIN("bdt"),
    LEAST("bgn", 100),
    THREE("bhd"),
    WHOLE("bif"),
    PLAIN("bmd"),
    PLAIN("bnd"),
    PLAIN("bob"),
    LEAST("brl", 50),
    PLAIN("bsd"),
    PLAIN("bwp"),
    PLAIN("byn"),
    PLAIN("bzd"),
    LEAST("cad", 50),
    PLAIN("cdf"),
    LEAST("chf", 50),
    WHOLE("clp"),
    PLAIN("cny"),
    {"cop", 2, 1, 1, DIGITS_10},
    PLAIN("crc"),
    PLAIN("cve"),
    LEAST("czk", 1500),
    WHOLE("djf"),
    LEAST("dkk", 250),
    PLAIN("dop"),
    PLAIN("dzd"),
    PLAIN("egp"),
    PLAIN("etb"),
    LEAST("eur", 50),
    PLAIN("fjd"),
    PLAIN("fkp"),
    LEAST("gbp", 30),
    PLAIN("gel"),
    PLAIN("gip"),
    PLAIN("gmd"),
    WHOLE("gnf"),
    PLAIN("gtq"),
    PLAIN("gyd"),
    LEAST("hkd", 400),
    PLAIN("hnl"),
    PLAIN("htg"),
    {"huf", 2, 1, 17500, DIGITS_10},
    {"idr", 2, 1, 1, DIGITS_12},
    PLAIN("ils"),
    {"inr", 2, 1, 50, DIGITS_9},
    HUNDREDS("isk"),
    PLAIN("jmd"),
    THREE("jod"),
    {"jpy", 0, 1, 50, DIGITS_10},
    PLAIN("kes"),
    PLAIN("kgs"),
    PLAIN("khr"),
    WHOLE("kmf"),
    WHOLE("krw"),
    THREE("kwd"),
    PLAIN("kyd"),
    PLAIN("kzt"),
    PLAIN("lak"),
    {"lbp", 2, 1, 1, DIGITS_12},
    PLAIN("lkr"),
    PLAIN("lrd"),
    PLAIN("lsl"),
    PLAIN("mad"),
    PLAIN("mdl"),
    WHOLE("mga"),
    PLAIN("mkd"),
    PLAIN("mmk"),
    PLAIN("mnt"),
    PLAIN("mop"),
    PLAIN("mur"),
    PLAIN("mvr"),
    PLAIN("mwk"),
    LEAST("mxn", 1000),
    LEAST("myr", 200),
    PLAIN("mzn"),
    PLAIN("nad"),
    PLAIN("ngn"),
    PLAIN("nio"),
    LEAST("nok", 300),
    PLAIN("npr"),
    LEAST("nzd", 50),
    THREE("omr"),
    PLAIN("pab"),
    PLAIN("pen"),
    PLAIN("pgk"),
    PLAIN("php"),
    PLAIN("pkr"),
    LEAST("pln", 200),
    WHOLE("pyg"),
    PLAIN("qar"),
    LEAST("ron", 200),
    PLAIN("rsd"),
    PLAIN("rub"),
    WHOLE("rwf"),
    PLAIN("sar"),
    PLAIN("sbd"),
    PLAIN("scr"),
    LEAST("sek", 300),
    LEAST("sgd", 50),
    PLAIN("shp"),
    PLAIN("sle"),
    PLAIN("sos"),
    PLAIN("srd"),
    PLAIN("std"),
    PLAIN("szl"),
    LEAST("thb", 1000),
    PLAIN("tjs"),
    THREE("tnd"),
    PLAIN("top"),
    PLAIN("try"),
    PLAIN("ttd"),
    PLAIN("twd"),
    PLAIN("tzs"),
    PLAIN("uah"),
    HUNDREDS("ugx"),
    LEAST("usd", 50),
    PLAIN("uyu"),
    PLAIN("uzs"),
    WHOLE("vnd"),
    WHOLE("vuv"),
    PLAIN("wst"),
    WHOLE("xaf"),
    PLAIN("xcd"),
    PLAIN("xcg"),
    WHOLE("xof"),
    WHOLE("xpf"),
    PLAIN("yer"),
    PLAIN("zar"),
    PLAIN("zmw"),
};

static int compare(const void *code, const void *currency)
{
    return strcmp(code, ((const struct currency *)currency)->code);
}

const struct currency *currency_find(const char *code)
{
    return bsearch(code, currencies, ARRAY_LEN(currencies), sizeof currencies[0], compare);
}

/* Minor units in a whole one. */
static int64_t unit_of(const struct currency *currency)
{
    int64_t unit = 1;
    for (int i = 0; i < currency->decimals; i++)
        unit *= 10;
    return unit;
}

double currency_units(const struct currency *currency, int64_t amount)
{
    return (double)amount / (double)unit_of(currency);
}

void currency_amount(const struct currency *currency, int64_t amount,
                     char ret_text[CURRENCY_TEXT_SIZE])
{
    int64_t unit = unit_of(currency);
    if (currency->decimals == 0)
        (void)snprintf(ret_text, CURRENCY_TEXT_SIZE, "%" PRId64 " %s", amount, currency->code);
    else
        (void)snprintf(ret_text, CURRENCY_TEXT_SIZE, "%" PRId64 ".%0*" PRId64 " %s", amount / unit,
                       currency->decimals, amount % unit, currency->code);
}

/* What the last digits of an amount must be, for people. */
static const char *step_rule(const struct currency *currency)
{
    return currency->decimals == 3
               ? "the last of its three decimals must be 0"
               : "it has no decimals, but is written with two, which must be 00";
}

int currency_check(const char *code, int64_t amount, char ret_rule[CURRENCY_RULE_SIZE])
{
    const struct currency *currency = currency_find(code);
    char shown[CURRENCY_TEXT_SIZE], bound[CURRENCY_TEXT_SIZE];
    if (currency == NULL) {
        (void)snprintf(ret_rule, CURRENCY_RULE_SIZE, "the gateway takes no currency \"%.3s\"",
                       code);
        return ERR_INVALID;
    }
    bool little = amount < currency->least;
    currency_amount(currency, amount, shown);
    if (little || amount > currency->most) {
        currency_amount(currency, little ? currency->least : currency->most, bound);
        (void)snprintf(ret_rule, CURRENCY_RULE_SIZE,
                       "is %s; the %s that the gateway takes is %s (%" PRId64 ")", shown,
                       little ? "least" : "most", bound, little ? currency->least : currency->most);
        return ERR_INVALID;
    }
    if (amount % currency->step == 0)
        return 0;
    int64_t below = amount - amount % currency->step;
    (void)snprintf(ret_rule, CURRENCY_RULE_SIZE, "is %s; %s: %" PRId64 " or %" PRId64, shown,
                   step_rule(currency), below == 0 ? currency->step : below,
                   below + currency->step);
    return ERR_INVALID;
}
