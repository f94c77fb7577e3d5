/* The one check of an e-mail address. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/email.h"

static const char *const good[] = {
    "a@b",
    "ann@example.org",
    "ann+tag@example.org",
    "a.b-c_d@sub.example.co.uk",
    "o'hara!#$%&*/=?^`{|}~@example.org",
    "..dots...@example.org", /* not by the book, but there are such mailboxes */
    "-ann@example.org",
    "~@x",
    "j\xc3\xbcrgen@example.org",
    "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.cn",
    "\xf0\x9f\x98\x80@\xc3\xa9.org",
    "ann@192.0.2.1",
    "ann@xn--bcher-kva.example",
};

START_TEST(addresses)
{
    ck_assert_msg(email_valid(good[_i], strlen(good[_i])), "%s", good[_i]);
}
END_TEST

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct {
    const char *text;
    size_t len;
} bad[] = {
    TEXT(""),
    TEXT("ab"),
    TEXT("abc"),
    TEXT("@bc"),
    TEXT("ab@"),
    TEXT("a@b@c"),
    TEXT("a b@c"),
    TEXT(" a@b"),
    TEXT("a@b "),
    TEXT("a\t@b"),
    TEXT("a@b\x7f"),
    TEXT("a\0@b"),
    TEXT("a@b\0"),
    /* more than one line of a head or of the dialogue */
    TEXT("a@b\r\nBcc: eve@example.org"),
    TEXT("a\r@b"),
    TEXT("a\n@b"),
    TEXT("a@b\r"),
    TEXT("a@b\n"),
    TEXT("a\xc2\x85@b"),
    TEXT("a\xe2\x80\xa8@b"),
    /* more than one address, or another one than it looks like */
    TEXT("a@b,eve@example.org"),
    TEXT("a,b@c"),
    TEXT("a;b@c"),
    TEXT("a@b;c"),
    TEXT("a@b>,<eve@example.org"),
    TEXT("<a@b>"),
    TEXT("a<b@c"),
    TEXT("a@b>"),
    TEXT("Ann<a@b>"),
    TEXT("\"a\"@b"),
    TEXT("a\"@b"),
    TEXT("a(b)@c"),
    TEXT("a@b(c)"),
    TEXT("group:a@b"),
    TEXT("a\\@b"),
    TEXT("a@[192.0.2.1]"),
    TEXT("a[1]@b"),
    /* no host */
    TEXT("a@.b"),
    TEXT("a@b."),
    TEXT("a@."),
    TEXT("a@b..c"),
    TEXT("a@b_c"),
    TEXT("a@b/c"),
    TEXT("a@b?c"),
    TEXT("a@b:25"),
    TEXT("a@b%c"),
    /* invisible */
    TEXT("a\xc2\xa0@b"),
    TEXT("a\xc2\xad@b"),
    TEXT("a\xe1\x9a\x80@b"),
    TEXT("a\xe2\x80\x8b@b"),
    TEXT("a\xe2\x80\xae@b"),
    TEXT("a@\xe2\x81\xa0"
         "b"),
    TEXT("a\xe3\x80\x80@b"),
    TEXT("\xef\xbb\xbf"
         "a@b"),
    TEXT("a\xf3\xa0\x81\x81@b"),
    /* no UTF-8 */
    TEXT("a\xff@b"),
    TEXT("a@b\xc3"),
    TEXT("a\xc0\x8a@b"),
    TEXT("a\xed\xa0\x80@b"),
};

START_TEST(no_addresses)
{
    ck_assert_msg(!email_valid(bad[_i].text, bad[_i].len), "%s", bad[_i].text);
}
END_TEST

START_TEST(an_address_has_a_greatest_length)
{
    char text[300];
    memset(text, 'a', sizeof text);
    text[EMAIL_LOCAL_MAX] = '@';
    ck_assert(email_valid(text, EMAIL_MAX) && !email_valid(text, EMAIL_MAX + 1));
    text[EMAIL_LOCAL_MAX] = 'a';
    text[EMAIL_LOCAL_MAX + 1] = '@';
    ck_assert(!email_valid(text, 100));
}
END_TEST

/* The schemas have the same characters in a pattern; tests/integration/test_producer.py tries it.
 */
START_TEST(every_ascii_character)
{
    for (int c = 0; c < 0x80; c++) {
        const char local[] = {'a', (char)c, '@', 'b'};
        const char host[] = {'a', '@', 'b', (char)c, 'c'};
        bool in_local = c > ' ' && c < 0x7f && strchr("\"(),:;<>@[\\]", c) == NULL;
        bool in_host = c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                       (c >= 'a' && c <= 'z');
        ck_assert_msg(email_valid(local, sizeof local) == in_local, "%d", c);
        ck_assert_msg(email_valid(host, sizeof host) == in_host, "%d", c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("email");
    TCase *tests = tcase_create("email");
    tcase_add_loop_test(tests, addresses, 0, ARRAY_LEN(good));
    tcase_add_loop_test(tests, no_addresses, 0, ARRAY_LEN(bad));
    tcase_add_test(tests, an_address_has_a_greatest_length);
    tcase_add_test(tests, every_ascii_character);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
