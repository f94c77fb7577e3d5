#include "common/net/url.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis_url.h"

static struct url parse(const char *text)
{
    struct url url;
    const char *problem = NULL;
    int code = url_parse(text, strlen(text), &url, &problem);
    ck_assert_msg(code == 0, "%s: %s", text, problem == NULL ? "?" : problem);
    return url;
}

static void expect(struct url_part part, const char *text)
{
    ck_assert_msg(part.len == strlen(text) && strncmp(part.text, text, part.len) == 0,
                  "%.*s is not %s", (int)part.len, part.text, text);
}

START_TEST(every_part_is_found)
{
    struct url url = parse("x://us%40er:pa:ss@ho-st_1.example:99/a/b?c#d");
    ck_assert(url.has_user && url.has_password);
    expect(url.user, "us%40er");
    expect(url.password, "pa:ss");
    expect(url.host, "ho-st_1.example");
    ck_assert_uint_eq(url.port, 99);
    expect(url.path, "/a/b");
    expect(url.rest, "?c#d");
    url = parse("h");
    ck_assert(!url.has_user && !url.has_password);
    expect(url.host, "h");
    ck_assert_uint_eq(url.port, 0);
    expect(url.path, "");
    expect(url.rest, "");
    url = parse("x://me@[fe80::1%25eth0]:1");
    ck_assert(url.has_user && !url.has_password);
    expect(url.user, "me");
    expect(url.host, "fe80::1%25eth0");
    url = parse("x://h?q");
    expect(url.rest, "?q");
    url = parse("x://:@h#f");
    ck_assert(url.has_user && url.has_password);
    expect(url.rest, "#f");
}
END_TEST

START_TEST(the_port_is_any_number_of_its_range)
{
    for (unsigned port = 0; port <= 70000; port++) {
        char text[32];
        struct url url;
        const char *problem = NULL;
        (void)snprintf(text, sizeof text, "x://h:%u", port);
        int code = url_parse(text, strlen(text), &url, &problem);
        bool right = port >= 1 && port <= 65535;
        ck_assert_int_eq(code, right ? 0 : ERR_PARSE);
        if (right)
            ck_assert_uint_eq(url.port, port);
    }
}
END_TEST

START_TEST(a_host_has_the_characters_of_hosts)
{
    for (int c = 1; c < 256; c++) {
        char text[8];
        struct url url;
        const char *problem = NULL;
        (void)snprintf(text, sizeof text, "x://h%c", c);
        bool host = c < 128 && (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789.-_",
                                       c) != NULL);
        bool ends = strchr("/?#", c) != NULL;
        ck_assert_msg((url_parse(text, strlen(text), &url, &problem) == 0) == (host || ends), "%s",
                      text);
    }
    static const char *const wrong[] = {
        "",        "x://",       "x://:1",     "x:///p",      "x://[::1",     "x://[]",
        "x://[h]", "x://[::1]1", "x://[::1]x", "x://[::g]",   "x://[::1%25]", "x://h%00",
        "x://::1", "x://h:",     "x://h:1x",   "x://h:-1",    "x://h: 1",     "x://h:1:1",
        "x://u@",  "x://@",      "x://a@b@c",  "x://u@h/a@b", "x://h?a@b",    "x://h#a@b"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct url url;
        const char *problem = NULL;
        ck_assert_msg(url_parse(wrong[i], strlen(wrong[i]), &url, &problem) == ERR_PARSE, "%s",
                      wrong[i]);
        ck_assert_ptr_nonnull(problem);
    }
}
END_TEST

START_TEST(the_host_of_a_url)
{
    char host[16];
    url_host_of("https://api.stripe.com/v1", host, sizeof host);
    ck_assert_str_eq(host, "api.stripe.com");
    url_host_of("http://[::1]:8090", host, sizeof host);
    ck_assert_str_eq(host, "::1");
    url_host_of("nonsense/", host, sizeof host);
    ck_assert_str_eq(host, "nonsense");
    url_host_of("http://a.host.that.is.long", host, sizeof host);
    ck_assert_str_eq(host, "");
    url_host_of("http://", host, sizeof host);
    ck_assert_str_eq(host, "");
}
END_TEST

/* What one of the settings says of a URL; NULL: it takes it. */
static const char *amqp_problem(const char *text)
{
    struct broker_hosts hosts;
    const char *problem = NULL;
    if (broker_url_parse(text, &hosts, &problem) == 0)
        broker_url_free(&hosts);
    return problem;
}

static const char *redis_problem(const char *text)
{
    struct redis_url url;
    const char *problem = NULL;
    return redis_url_parse(text, &url, &problem) == 0 ? NULL : problem;
}

static const char *pg_problem(const char *text)
{
    const char *problem = NULL;
    return pg_url_check(text, &problem) == 0 ? NULL : problem;
}

static const struct {
    const char *scheme;
    const char *path;
    const char *(*problem_of)(const char *text);
} kinds[] = {{"amqp", "/vhost", amqp_problem},
             {"redis", "/0", redis_problem},
             {"postgresql", "/db", pg_problem}};

/* Every character at every place of a password: it is taken as it is, or refused with the hint, and
 * encoded it is taken always. */
START_TEST(a_password_is_never_shown_and_the_hint_is_one)
{
    static const char *const shapes[][2] = {
        {"s3cr", "Tpart"}, {"", "12"}, {"12", "34"}, {"s3cr", ""}, {"", ""}};
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        for (int c = 33; c < 127; c++) {
            for (size_t shape = 0; shape < ARRAY_LEN(shapes); shape++) {
                char raw[2] = {(char)c, '\0'}, encoded[4], password[32], url[128];
                (void)snprintf(encoded, sizeof encoded, "%%%02x", c);
                (void)snprintf(password, sizeof password, "%s%s%s", shapes[shape][0], raw,
                               shapes[shape][1]);
                (void)snprintf(url, sizeof url, "%s://bob:%s@127.0.0.1%s", kinds[kind].scheme,
                               password, kinds[kind].path);
                const char *problem = kinds[kind].problem_of(url);
                if (problem != NULL && strstr(problem, URL_HINT) == NULL)
                    ck_abort_msg("%s: %s", url, problem);
                if (problem != NULL && strlen(password) > 2 && strstr(problem, password) != NULL)
                    ck_abort_msg("%s is shown: %s", url, problem);
                if (problem == NULL && strchr("@/", c) != NULL)
                    ck_abort_msg("%s is taken", url);
                (void)snprintf(password, sizeof password, "%s%s%s", shapes[shape][0], encoded,
                               shapes[shape][1]);
                (void)snprintf(url, sizeof url, "%s://bob:%s@127.0.0.1%s", kinds[kind].scheme,
                               password, kinds[kind].path);
                problem = kinds[kind].problem_of(url);
                if (problem != NULL)
                    ck_abort_msg("%s: %s", url, problem);
            }
        }
    }
}
END_TEST

START_TEST(what_is_shown_has_no_password)
{
    static const struct {
        const char *url;
        const char *shown;
    } cases[] = {
        {"amqp://u:hush@h:1/v", "amqp://u:***@h:1/v"},
        {"amqp://u:@h", "amqp://u:***@h"},
        {"amqp://u@h/v", "amqp://u@h/v"},
        {"redis://h:1/0", "redis://h:1/0"},
        {"redis://:hush@[::1]", "redis://:***@[::1]"},
        {"postgresql://u:hu?sh#@h1:1,h2/d?password=hush", "postgresql://u:***@h1:1,h2/d"},
        {"postgresql://u:hush@h?password=hush", "postgresql://u:***@h"},
        {"postgresql://h?host=/hush&password=hush", "postgresql://h"},
        {"postgresql:///d?password=hush", "postgresql:///d"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 256);
        ck_assert_int_eq(url_hide_password(cases[i].url, strlen(cases[i].url), &out), 0);
        ck_assert_str_eq(buf_text(&out), cases[i].shown);
        buf_free(&out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("url");
    TCase *tests = tcase_create("url");
    tcase_add_test(tests, every_part_is_found);
    tcase_add_test(tests, the_port_is_any_number_of_its_range);
    tcase_add_test(tests, a_host_has_the_characters_of_hosts);
    tcase_add_test(tests, the_host_of_a_url);
    tcase_add_test(tests, a_password_is_never_shown_and_the_hint_is_one);
    tcase_add_test(tests, what_is_shown_has_no_password);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
