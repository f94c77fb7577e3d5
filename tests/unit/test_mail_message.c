/* Mails as SMTP carries them: head, encoded words, quoted-printable parts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "notifier/mail/message.h"

#define DATE_MS INT64_C(1764229265123) /* 2025-11-27T07:41:05Z, a Thursday */

static struct buf out;

static struct message usual(void)
{
    return (struct message){.from = "shop@example.org",
                            .to = "ann@example.org",
                            .from_name = "The Shop",
                            .subject = "Hello",
                            .id = "1-2.confirmed@example.org",
                            .language = "en",
                            .date_ms = DATE_MS,
                            .text = "Hi\n",
                            .html = "<p>Hi</p>"};
}

static void set_up(void)
{
    buf_init(&out, 100000);
}

static void tear_down(void)
{
    buf_free(&out);
}

static bool has(const char *text)
{
    return strstr(buf_text(&out), text) != NULL;
}

START_TEST(a_whole_mail)
{
    const struct message m = usual();
    ck_assert_int_eq(message_build(&m, &out), 0);
    ck_assert_str_eq(buf_text(&out), "Date: Thu, 27 Nov 2025 07:41:05 +0000\r\n"
                                     "From: \"The Shop\"\r\n"
                                     " <shop@example.org>\r\n"
                                     "To: <ann@example.org>\r\n"
                                     "Subject: Hello\r\n"
                                     "Message-ID: <1-2.confirmed@example.org>\r\n"
                                     "Auto-Submitted: auto-generated\r\n"
                                     "Content-Language: en\r\n"
                                     "MIME-Version: 1.0\r\n"
                                     "Content-Type: multipart/alternative;\r\n"
                                     " boundary=\"=_checkout_\"\r\n"
                                     "\r\n"
                                     "--=_checkout_\r\n"
                                     "Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Transfer-Encoding: quoted-printable\r\n"
                                     "\r\n"
                                     "Hi\r\n"
                                     "\r\n"
                                     "--=_checkout_\r\n"
                                     "Content-Type: text/html; charset=utf-8\r\n"
                                     "Content-Transfer-Encoding: quoted-printable\r\n"
                                     "\r\n"
                                     "<p>Hi</p>\r\n"
                                     "\r\n"
                                     "--=_checkout_--\r\n");
}
END_TEST

START_TEST(a_mail_without_html_is_plain)
{
    struct message m = usual();
    m.html = NULL;
    m.from_name = "";
    ck_assert_int_eq(message_build(&m, &out), 0);
    ck_assert(has("From: <shop@example.org>\r\n"));
    ck_assert(!has("multipart"));
    ck_assert(has("Content-Type: text/plain"));
}
END_TEST

static const struct {
    const char *subject;
    const char *made;
} subjects[] = {
    {"Hello", "Subject: Hello\r\n"},
    {"", "Subject: \r\n"},
    {"Best\xc3\xa4tigt", "Subject: =?utf-8?Q?Best=C3=A4tigt?=\r\n"},
    {"a\r\nBcc: eve@example.org", "Subject: =?utf-8?Q?a__Bcc=3A_eve=40example=2Eorg?=\r\n"},
    {"=?utf-8?Q?x?=", "Subject: =?utf-8?Q?=3D=3Futf=2D8=3FQ=3Fx=3F=3D?=\r\n"},
    {"a\tb", "Subject: =?utf-8?Q?a_b?=\r\n"},
    {"\xff", "Subject: =?utf-8?Q?=FF?=\r\n"},
    /* characters stay whole, and lines have 76 bytes at most */
    {"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
     "Subject: =?utf-8?Q?=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4?=\r\n"
     " =?utf-8?Q?=C3=A4?=\r\n"},
};

START_TEST(a_subject)
{
    struct message m = usual();
    m.subject = subjects[_i].subject;
    ck_assert_int_eq(message_build(&m, &out), 0);
    ck_assert_msg(has(subjects[_i].made), "%s", buf_text(&out));
}
END_TEST

START_TEST(a_name_is_quoted_or_encoded)
{
    struct message m = usual();
    m.from_name = "A \"B\" \\ <c@d>, E";
    ck_assert_int_eq(message_build(&m, &out), 0);
    ck_assert(has("From: \"A \\\"B\\\" \\\\ <c@d>, E\"\r\n <shop@example.org>\r\n"));
    buf_reset(&out);
    m.from_name = "\xc3\x84nne\r\nBcc: x@y";
    ck_assert_int_eq(message_build(&m, &out), 0);
    ck_assert(has("From: =?utf-8?Q?=C3=84nne__Bcc=3A_x=40y?=\r\n <shop@example.org>\r\n"));
}
END_TEST

static const struct {
    const char *text;
    const char *made; /* behind the head */
} bodies[] = {
    {"", ""},
    {"a", "a\r\n"},
    {"a\n\nb\r\nc\n", "a\r\n\r\nb\r\nc\r\n"},
    {"1 = 2", "1 =3D 2\r\n"},
    {"end \nend\t\r\n ", "end=20\r\nend=09\r\n=20\r\n"},
    {"\r", "=0D\r\n"},
    {".\n..\n", ".\r\n..\r\n"},
    {"\xc3\xa4", "=C3=A4\r\n"},
    {"--=_checkout_--", "--=3D_checkout_--\r\n"},
    {"0123456789012345678901234567890123456789012345678901234567890123456789012345",
     "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5\r\n"},
    {"01234567890123456789012345678901234567890123456789012345678901234567890123\xc3\xa4",
     "01234567890123456789012345678901234567890123456789012345678901234567890123=\r\n=C3=A4\r\n"},
};

START_TEST(a_body)
{
    struct message m = usual();
    m.text = bodies[_i].text;
    m.html = NULL;
    ck_assert_int_eq(message_build(&m, &out), 0);
    const char *body = strstr(buf_text(&out), "\r\n\r\n");
    ck_assert_ptr_nonnull(body);
    ck_assert_str_eq(body + 4, bodies[_i].made);
}
END_TEST

START_TEST(what_cannot_stand_in_a_head_is_refused)
{
    struct message m = usual();
    m.to = "ann@example.org>\r\nBcc: <eve@example.org";
    ck_assert_int_eq(message_build(&m, &out), ERR_INVALID);
    m = usual();
    m.from = "a,b@example.org";
    ck_assert_int_eq(message_build(&m, &out), ERR_INVALID);
    static const char *const words[] = {"", "a b", "a\r\nb", "a>b", "a@b@c", "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        m = usual();
        m.id = words[i];
        ck_assert_int_eq(message_build(&m, &out), ERR_INVALID);
        m = usual();
        m.language = words[i];
        ck_assert_int_eq(message_build(&m, &out), ERR_INVALID);
    }
    ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(a_mail_that_is_too_long_is_refused)
{
    const struct message m = usual();
    buf_free(&out);
    buf_init(&out, 100);
    ck_assert_int_eq(message_build(&m, &out), ERR_FULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mail_message");
    TCase *tests = tcase_create("mail_message");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_whole_mail);
    tcase_add_test(tests, a_mail_without_html_is_plain);
    tcase_add_loop_test(tests, a_subject, 0, ARRAY_LEN(subjects));
    tcase_add_test(tests, a_name_is_quoted_or_encoded);
    tcase_add_loop_test(tests, a_body, 0, ARRAY_LEN(bodies));
    tcase_add_test(tests, what_cannot_stand_in_a_head_is_refused);
    tcase_add_test(tests, a_mail_that_is_too_long_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
