#include "common/base/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LAST 0x10ffffU

static bool is_surrogate(uint32_t c)
{
    return c >= 0xd800 && c <= 0xdfff;
}

/* Every character there is: written, it is read as long as it is and valid, and no beginning of it
 * is. */
START_TEST(every_character_is_read_as_it_is_written)
{
    for (uint32_t c = 0; c <= LAST; c++) {
        char text[UTF8_MAX + 1] = {0};
        if (is_surrogate(c))
            continue;
        size_t len = utf8_put(c, text);
        size_t expected = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (len != expected || utf8_len(text, sizeof text) != len || !utf8_valid(text, len))
            ck_abort_msg("U+%04x", c);
        for (size_t part = 0; part < len; part++)
            if (utf8_len(text, part) != 0 || (part > 0 && utf8_valid(text, part)))
                ck_abort_msg("%zu bytes of U+%04x", part, c);
    }
}
END_TEST

/* What four bytes decode to by their bits alone, or a number past the last for no character. */
static uint32_t decoded(const unsigned char *b, size_t *ret_len)
{
    uint32_t c = b[0] < 0x80   ? b[0]
                 : b[0] < 0xc0 ? LAST + 1
                 : b[0] < 0xe0 ? b[0] & 0x1fU
                 : b[0] < 0xf0 ? b[0] & 0xfU
                 : b[0] < 0xf8 ? b[0] & 7U
                               : LAST + 1;
    *ret_len = b[0] < 0xc0 ? 1 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (c > LAST)
        return c;
    for (size_t i = 1; i < *ret_len; i++) {
        if (b[i] < 0x80 || b[i] > 0xbf)
            return LAST + 1;
        c = c << 6 | (b[i] & 0x3fU);
    }
    return c;
}

/* All beginnings of three bytes, the fourth from the edges. */
START_TEST(every_sequence_of_bytes_is_a_character_or_none)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    char again[UTF8_MAX];
    for (uint32_t n = 0; n < 1U << 24; n++) {
        unsigned char b[4] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n,
                              0};
        if (b[0] < 0xf0 && b[0] >= 0x80 && b[2] != 0x80 && b[0] < 0xe0)
            continue; /* two bytes decide */
        for (size_t i = 0; i < (b[0] >= 0xf0 ? sizeof edges : 1); i++) {
            size_t len = 0;
            b[3] = edges[i];
            uint32_t c = decoded(b, &len);
            bool right = c <= LAST && !is_surrogate(c) && utf8_put(c, again) == len;
            if (utf8_len((const char *)b, 4) != (right ? len : 0))
                ck_abort_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
        }
    }
}
END_TEST

START_TEST(characters_are_counted_skipped_and_never_cut)
{
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xab!";
    static const size_t ends[] = {0, 1, 3, 6, 10, 11};
    ck_assert_uint_eq(utf8_count(text), 5);
    ck_assert_uint_eq(utf8_count(""), 0);
    for (size_t n = 0; n < 6; n++)
        ck_assert_uint_eq(utf8_skip(text, n), ends[n]);
    ck_assert_uint_eq(utf8_skip(text, 99), 11);
    for (size_t len = 0, n = 0; len <= 11; len++) {
        n += n < 5 && ends[n + 1] == len;
        ck_assert_uint_eq(utf8_cut(text, len), ends[n]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    tcase_add_test(tests, every_character_is_read_as_it_is_written);
    tcase_add_test(tests, every_sequence_of_bytes_is_a_character_or_none);
    tcase_add_test(tests, characters_are_counted_skipped_and_never_cut);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
