#include "common/base/encode.h"

#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

START_TEST(every_byte_has_its_digit_or_none)
{
    static const char digits[] = "0123456789abcdef";
    for (int c = 1; c < 256; c++) {
        const char *upper = c >= 'A' && c <= 'F' ? strchr(digits, c - 'A' + 'a') : NULL;
        const char *found = upper != NULL ? upper : strchr(digits, c);
        ck_assert_int_eq(hex_digit((char)c), found == NULL ? -1 : (int)(found - digits));
    }
    ck_assert_int_eq(hex_digit('\0'), -1);
}
END_TEST

START_TEST(every_escape_is_its_byte_but_nul)
{
    for (int c = 0; c < 256; c++) {
        char lower[8], upper[8], out[2];
        (void)snprintf(lower, sizeof lower, "%%%02x", c);
        (void)snprintf(upper, sizeof upper, "%%%02X", c);
        int code = c == 0 ? ERR_PARSE : 0;
        ck_assert_int_eq(percent_decode(lower, 3, out, sizeof out), code);
        ck_assert_int_eq(percent_decode(upper, 3, out, sizeof out), code);
        if (c != 0)
            ck_assert_int_eq((unsigned char)out[0], c);
    }
}
END_TEST

START_TEST(a_broken_escape_is_none)
{
    static const char *const broken[] = {"%", "%4", "a%4", "%g0", "%0g", "%%41", "% 41"};
    char out[16];
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        ck_assert_int_eq(percent_decode(broken[i], strlen(broken[i]), out, sizeof out), ERR_PARSE);
    ck_assert_int_eq(percent_decode("%41", 2, out, sizeof out), ERR_PARSE);
    ck_assert_int_eq(percent_decode("a\0b", 3, out, sizeof out), ERR_PARSE);
}
END_TEST

START_TEST(it_fits_or_is_refused)
{
    char out[4];
    ck_assert_int_eq(percent_decode("%61bc", 5, out, sizeof out), 0);
    ck_assert_str_eq(out, "abc");
    ck_assert_int_eq(percent_decode("abcd", 4, out, sizeof out), ERR_FULL);
    ck_assert_int_eq(percent_decode("", 0, out, 1), 0);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(in_place)
{
    char text[] = "a%20b%2Fc";
    ck_assert_int_eq(percent_decode(text, strlen(text), text, sizeof text), 0);
    ck_assert_str_eq(text, "a b/c");
}
END_TEST

START_TEST(every_byte_has_two_digits_that_read_back)
{
    for (int byte = 0; byte < 256; byte++) {
        char digits[3] = "";
        char expected[3];
        (void)snprintf(expected, sizeof expected, "%02x", byte);
        hex_put((unsigned char)byte, digits);
        ck_assert_str_eq(digits, expected);
        ck_assert_int_eq(hex_byte(digits), byte);
        ck_assert(hex_valid(digits, 2));
        (void)snprintf(expected, sizeof expected, "%02X", byte);
        ck_assert_int_eq(hex_byte(expected), byte);
    }
    ck_assert_int_eq(hex_byte(""), -1);
    ck_assert_int_eq(hex_byte("a"), -1);
    ck_assert_int_eq(hex_byte("ag"), -1);
    ck_assert(!hex_valid("aA", 2));
    ck_assert(!hex_valid("a", 2));
    char text[HEX_SIZE(3)];
    hex_encode("\x00\xff\x10", 3, text);
    ck_assert_str_eq(text, "00ff10");
}
END_TEST

START_TEST(what_is_percent_encoded_decodes_to_itself)
{
    char all[256];
    char decoded[256];
    struct buf out;
    for (int c = 1; c < 256; c++)
        all[c - 1] = (char)c;
    all[255] = '\0';
    buf_init(&out, 1024);
    ck_assert_int_eq(percent_encode(&out, all), 0);
    ck_assert_uint_eq(out.len, 66 + 3 * (255 - 66)); /* 66 stand for themselves */
    ck_assert_int_eq(percent_decode(out.data, out.len, decoded, sizeof decoded), 0);
    ck_assert_str_eq(decoded, all);
    buf_reset(&out);
    ck_assert_int_eq(percent_encode(&out, "a b/c~"), 0);
    ck_assert_str_eq(buf_text(&out), "a%20b%2Fc~");
    buf_free(&out);
    buf_init(&out, 2);
    ck_assert_int_eq(percent_encode(&out, "a b"), ERR_FULL);
    buf_free(&out);
}
END_TEST

START_TEST(base64_is_that_of_the_rfc)
{
    static const char *const vectors[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                          "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    char text[BASE64_SIZE(6)];
    for (size_t len = 0; len <= 6; len++) {
        base64_encode("foobar", len, text);
        ck_assert_str_eq(text, vectors[len]);
        for (size_t bytes = 0; bytes <= 6; bytes++)
            ck_assert_int_eq(base64_valid(text, bytes), bytes == len);
    }
    ck_assert(!base64_valid("Zm9vYmF!", 6));
    ck_assert(!base64_valid("Zm9vYm==", 5));
    ck_assert(!base64_valid("Zm9=YmFy", 6));
}
END_TEST

/* Each group of three bytes against openssl's. */
START_TEST(base64url_is_that_of_the_rfc)
{
    static const char *const texts[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    char text[BASE64URL_SIZE(6)], bytes[6];
    size_t count;
    for (size_t len = 0; len < ARRAY_LEN(texts); len++) {
        ck_assert_uint_eq(base64url_encode("foobar", len, text), strlen(texts[len]));
        ck_assert_str_eq(text, texts[len]);
        ck_assert_int_eq(base64url_decode(text, strlen(text), bytes, sizeof bytes, &count), 0);
        ck_assert_uint_eq(count, len);
        ck_assert_mem_eq(bytes, "foobar", len);
    }
    base64url_encode("\xfb\xff\xfe", 3, text);
    ck_assert_str_eq(text, "-__-");
    /* padding, blanks, the other alphabet, a lone digit, bits of no byte */
    static const char *const bad[] = {"Zg==", "Zm8=",  "Zm 9", "Zm9v\n", "-_+/",
                                      "Z",    "Zm9vZ", "Zh",   "Zm9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_int_eq(base64url_decode(bad[i], strlen(bad[i]), bytes, sizeof bytes, &count),
                         ERR_PARSE);
    ck_assert_int_eq(base64url_decode("Zm9v", 4, bytes, 2, &count), ERR_FULL);
}
END_TEST

START_TEST(base64_of_all_bytes_at_each_place)
{
    for (int at = 0; at < 3; at++) {
        for (int byte = 0; byte < 256; byte++) {
            unsigned char bytes[3] = {0xa5, 0x5a, 0x3c};
            unsigned char expected[5];
            char text[BASE64_SIZE(3)];
            bytes[at] = (unsigned char)byte;
            (void)EVP_EncodeBlock(expected, bytes, 3);
            base64_encode(bytes, 3, text);
            ck_assert_str_eq(text, (const char *)expected);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");
    TCase *tests = tcase_create("encode");
    tcase_add_test(tests, every_byte_has_its_digit_or_none);
    tcase_add_test(tests, every_escape_is_its_byte_but_nul);
    tcase_add_test(tests, a_broken_escape_is_none);
    tcase_add_test(tests, it_fits_or_is_refused);
    tcase_add_test(tests, in_place);
    tcase_add_test(tests, every_byte_has_two_digits_that_read_back);
    tcase_add_test(tests, what_is_percent_encoded_decodes_to_itself);
    tcase_add_test(tests, base64_is_that_of_the_rfc);
    tcase_add_test(tests, base64url_is_that_of_the_rfc);
    tcase_add_test(tests, base64_of_all_bytes_at_each_place);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
