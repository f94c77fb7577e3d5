#include "deploy/sandbox/currency.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"

#define DIGITS_8 99999999
#define DIGITS_9 999999999
#define DIGITS_10 INT64_C(9999999999)
#define DIGITS_12 INT64_C(999999999999)

#define LEAST(code, least)                                                                         \
    {                                                                                              \
        code, 1, (least), DIGITS_8                                                                 \
    }
#define PLAIN(code) LEAST(code, 1)
/* Three decimals, of which the last is 0. */
#define THREE(code)                                                                                \
    {                                                                                              \
        code, 10, 10, DIGITS_8                                                                     \
    }
/* Without decimals, but written with two. */
#define HUNDREDS(code)                                                                             \
    {                                                                                              \
        code, 100, 100, DIGITS_8                                                                   \
    }

/* In alphabetical order. */
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
    PLAIN("bif"),
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
    PLAIN("clp"),
    PLAIN("cny"),
    {"cop", 1, 1, DIGITS_10},
    PLAIN("crc"),
    PLAIN("cve"),
    LEAST("czk", 1500),
    PLAIN("djf"),
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
    PLAIN("gnf"),
    PLAIN("gtq"),
    PLAIN("gyd"),
    LEAST("hkd", 400),
    PLAIN("hnl"),
    PLAIN("htg"),
    {"huf", 1, 17500, DIGITS_10},
    {"idr", 1, 1, DIGITS_12},
    PLAIN("ils"),
    {"inr", 1, 50, DIGITS_9},
    HUNDREDS("isk"),
    PLAIN("jmd"),
    THREE("jod"),
    {"jpy", 1, 50, DIGITS_10},
    PLAIN("kes"),
    PLAIN("kgs"),
    PLAIN("khr"),
    PLAIN("kmf"),
    PLAIN("krw"),
    THREE("kwd"),
    PLAIN("kyd"),
    PLAIN("kzt"),
    PLAIN("lak"),
    {"lbp", 1, 1, DIGITS_12},
    PLAIN("lkr"),
    PLAIN("lrd"),
    PLAIN("lsl"),
    PLAIN("mad"),
    PLAIN("mdl"),
    PLAIN("mga"),
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
    PLAIN("pyg"),
    PLAIN("qar"),
    LEAST("ron", 200),
    PLAIN("rsd"),
    PLAIN("rub"),
    PLAIN("rwf"),
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
    PLAIN("vnd"),
    PLAIN("vuv"),
    PLAIN("wst"),
    PLAIN("xaf"),
    PLAIN("xcd"),
    PLAIN("xcg"),
    PLAIN("xof"),
    PLAIN("xpf"),
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
