/* Files of items as spreadsheets and other shops write them. */
#include "ctl/items/items_file.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define HEADER "sku,title,price,currency,stock\n"

static struct items_file file;

static void read_bytes(const char *data, size_t len)
{
    items_file_free(&file);
    ck_assert_int_eq(items_file_parse(data, len, NOW_MS, &file), 0);
}

static void read_text(const char *text)
{
    read_bytes(text, strlen(text));
}

static void tear_down(void)
{
    items_file_free(&file);
}

/* The only thing that is wrong. */
static void expect_one(unsigned line, const char *field, const char *text)
{
    ck_assert_uint_eq(file.problems.count, 1);
    ck_assert_str_eq(file.problems.list[0].text, text);
    ck_assert_str_eq(file.problems.list[0].field, field);
    ck_assert_uint_eq(file.problems.list[0].line, line);
}

static void expect_items(size_t count)
{
    ck_assert_uint_eq(file.problems.count, 0);
    ck_assert_uint_eq(file.count, count);
}

/* What is wrong with one item's fields. */
static void expect_item(const char *fields, const char *field, const char *text)
{
    char data[512];
    (void)snprintf(data, sizeof data, HEADER "%s\n", fields);
    read_text(data);
    expect_one(2, field, text);
}

START_TEST(empty_rows_and_columns_at_the_right_do_not_count)
{
    read_text("sku,title,price,currency,stock,,\n,,,,,,\na,A,100,usd,1,,\nb,B,100,usd,1\n,,,,,,\n");
    expect_items(2);
    read_text("sku,title,price,currency,stock,,\na,A,100,usd,1,,x\n");
    expect_one(2, "", "has 7 fields, the header has 5");
    read_text(HEADER "a,A,100,usd,1,note\n");
    expect_one(2, "", "has 6 fields, the header has 5");
    read_text(HEADER "a,A,100,usd\n");
    expect_one(2, "", "has 4 fields, the header has 5");
}
END_TEST

START_TEST(names_of_columns_and_currencies_in_capitals)
{
    read_text("SKU,Title, PRICE ,Currency,Stock\nDress,Dress,24000,USD,1\n");
    expect_items(1);
    ck_assert_str_eq(file.items[0].fields[ITEMS_SKU], "Dress");
    ck_assert_str_eq(file.items[0].fields[ITEMS_CURRENCY], "usd");
}
END_TEST

START_TEST(what_is_no_text_with_commas)
{
    static const char utf16[] = "\xff\xfes\0k\0u\0,\0";
    read_bytes(utf16, sizeof utf16 - 1);
    expect_one(1, "", "this is UTF-16; save it as CSV UTF-8");
    read_bytes("\0s\0k\0u", 6);
    expect_one(1, "", "this is UTF-16; save it as CSV UTF-8");
    read_text("sku;title;price;currency;stock\na;A;100;usd;1\n");
    expect_one(1, "", "the fields are separated by semicolons; commas are needed");
    read_text("sku\ttitle\tprice\tcurrency\tstock\na\tA\t100\tusd\t1\n");
    expect_one(1, "", "the fields are separated by tabs; commas are needed");
    read_text("sku,title,price,currency,stock\ra,A,100,usd,1\r");
    expect_one(1, "", "the lines end in CR; save it with LF or CRLF at the ends of lines");
    read_text("PK\x03\x04 and so on");
    expect_one(1, "", "this is a spreadsheet and no CSV file; save it as CSV UTF-8");
}
END_TEST

START_TEST(a_header_that_is_not_ours_is_one_line)
{
    read_text(
        "ID,Type,SKU,Name,Published,Regular price,Stock,Tax status,Weight,Tags\n1,,a,A,1,2,3,,,\n");
    expect_one(
        1, "header",
        "\"ID\", \"Type\", \"Name\", \"Published\", \"Regular price\", \"Tax status\", "
        "\"Weight\", \"Tags\" are no columns; \"title\", \"price\", \"currency\" are missing; the "
        "columns are sku, title, price, currency, stock, limit_per_user, gate, opens_at, "
        "closes_at, challenge");
    read_text("a,b,c,d,e,f,g,h,i,j\n");
    ck_assert_uint_eq(file.problems.count, 1);
    ck_assert_ptr_nonnull(strstr(file.problems.list[0].text, "\"h\" and 2 more are no columns; "));
    read_text("sku,sku,title,price,currency,stock\n");
    ck_assert_ptr_nonnull(strstr(file.problems.list[0].text, "\"sku\" is there twice; "));
}
END_TEST

START_TEST(numbers_and_times_out_of_range)
{
    expect_item("a,A,100,usd,2147483648", "stock",
                "\"2147483648\" must be a whole number, 0 or more, at most 2147483647");
    expect_item(
        "a,A,19.99,usd,1", "price",
        "\"19.99\" must be a whole number of minor units: 1999 for 19.99 usd, 1999 for 1999 jpy");
    read_text("sku,title,price,currency,stock,opens_at\na,A,100,usd,1,0000-01-01T00:00:00Z\n");
    expect_one(2, "opens_at", "\"0000-01-01T00:00:00Z\" must be in the years 1970 to 9999");
    read_text("sku,title,price,currency,stock,challenge\na,A,100,usd,1,drop 7\n");
    expect_one(2, "challenge", "\"drop 7\" must be 1 to 64 of A-Z a-z 0-9 . _ -");
}
END_TEST

START_TEST(prices_that_no_gateway_takes)
{
    expect_item("a,A,25,usd,1", "price",
                "\"25\" is 0.25 usd; the least that the gateway takes is 0.50 usd (50)");
    expect_item(
        "a,A,12345,KWD,1", "price",
        "\"12345\" is 12.345 kwd; the last of its three decimals must be 0: 12340 or 12350");
    expect_item(
        "a,A,1999,isk,1", "price",
        "\"1999\" is 19.99 isk; it has no decimals, but is written with two, which must be 00: "
        "1900 or 2000");
    expect_item("a,A,100,xyz,1", "currency", "\"xyz\" is no currency that the gateway takes");
    expect_item("a,A,100,dollar,1", "currency",
                "\"dollar\" must be a currency in three letters, like usd");
}
END_TEST

START_TEST(skus_that_no_url_or_command_line_takes)
{
    static const char *const bad[] = {".", "..", "-", "-a"};
    static const char *const good[] = {"...", ".a", "a-", "_", "a.b"};
    char data[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(data, sizeof data, HEADER "%s,A,100,usd,1\n", bad[i]);
        read_text(data);
        ck_assert_uint_eq(file.problems.count, 1);
        ck_assert_ptr_nonnull(
            strstr(file.problems.list[0].text, "not begin with -, and not be . or .."));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        (void)snprintf(data, sizeof data, HEADER "%s,A,100,usd,1\n", good[i]);
        read_text(data);
        expect_items(1);
    }
}
END_TEST

START_TEST(a_sale_that_is_over_is_a_warning)
{
    read_text("sku,title,price,currency,stock,closes_at\na,A,100,usd,1,2025-12-31T23:59:59Z\n"
              "b,B,100,usd,1,2026-01-02T00:00:00Z\n");
    expect_items(2);
    ck_assert_uint_eq(file.warnings.count, 1);
    ck_assert_uint_eq(file.warnings.list[0].line, 2);
    ck_assert_str_eq(file.warnings.list[0].text,
                     "\"2025-12-31T23:59:59Z\" has passed: nothing of it can be bought");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("items_file");
    TCase *tests = tcase_create("files");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, empty_rows_and_columns_at_the_right_do_not_count);
    tcase_add_test(tests, names_of_columns_and_currencies_in_capitals);
    tcase_add_test(tests, what_is_no_text_with_commas);
    tcase_add_test(tests, a_header_that_is_not_ours_is_one_line);
    tcase_add_test(tests, numbers_and_times_out_of_range);
    tcase_add_test(tests, prices_that_no_gateway_takes);
    tcase_add_test(tests, skus_that_no_url_or_command_line_takes);
    tcase_add_test(tests, a_sale_that_is_over_is_a_warning);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
