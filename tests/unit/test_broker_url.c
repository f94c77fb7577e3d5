#include "common/net/amqp/broker_url.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static struct broker_hosts parse(const char *urls)
{
    struct broker_hosts hosts = {NULL, 0};
    const char *problem = NULL;
    ck_assert_msg(broker_url_parse(urls, &hosts, &problem) == 0, "%s: %s", urls, problem);
    return hosts;
}

START_TEST(defaults_are_those_of_rabbitmq)
{
    struct broker_hosts hosts = parse("amqp://broker");
    ck_assert_uint_eq(hosts.count, 1);
    ck_assert_str_eq(hosts.hosts[0].host, "broker");
    ck_assert_uint_eq(hosts.hosts[0].port, 5672);
    ck_assert_str_eq(hosts.hosts[0].user, "guest");
    ck_assert_str_eq(hosts.hosts[0].password, "guest");
    ck_assert_str_eq(hosts.hosts[0].vhost, "/");
    broker_url_free(&hosts);
    ck_assert_uint_eq(hosts.count, 0);
    broker_url_free(&hosts);
}
END_TEST

START_TEST(every_part_is_read)
{
    struct broker_hosts hosts = parse("amqp://shop:s3cret@10.0.0.7:35672/sales");
    ck_assert_str_eq(hosts.hosts[0].host, "10.0.0.7");
    ck_assert_uint_eq(hosts.hosts[0].port, 35672);
    ck_assert_str_eq(hosts.hosts[0].user, "shop");
    ck_assert_str_eq(hosts.hosts[0].password, "s3cret");
    ck_assert_str_eq(hosts.hosts[0].vhost, "sales");
    broker_url_free(&hosts);
}
END_TEST

START_TEST(amqps_means_tls_and_its_port)
{
    struct broker_hosts hosts = parse("amqps://a,amqp://b,amqps://c:7");
    ck_assert(hosts.hosts[0].tls && !hosts.hosts[1].tls && hosts.hosts[2].tls);
    ck_assert_uint_eq(hosts.hosts[0].port, 5671);
    ck_assert_uint_eq(hosts.hosts[1].port, 5672);
    ck_assert_uint_eq(hosts.hosts[2].port, 7);
    broker_url_free(&hosts);
}
END_TEST

START_TEST(every_part_is_percent_decoded)
{
    struct broker_hosts hosts = parse("amqp://a%40b:p%3a%2F%2c%25%C3%A9@h/%2f");
    ck_assert_str_eq(hosts.hosts[0].user, "a@b");
    ck_assert_str_eq(hosts.hosts[0].password, "p:/,%\xc3\xa9");
    ck_assert_str_eq(hosts.hosts[0].vhost, "/");
    broker_url_free(&hosts);
}
END_TEST

START_TEST(a_bare_slash_is_the_default_vhost)
{
    struct broker_hosts hosts = parse("amqp://h:1/");
    ck_assert_str_eq(hosts.hosts[0].vhost, "/");
    ck_assert_uint_eq(hosts.hosts[0].port, 1);
    broker_url_free(&hosts);
}
END_TEST

START_TEST(a_user_may_come_without_password_and_a_password_may_be_empty)
{
    struct broker_hosts hosts = parse("amqp://me@h,amqp://you:@h");
    ck_assert_str_eq(hosts.hosts[0].user, "me");
    ck_assert_str_eq(hosts.hosts[0].password, "guest");
    ck_assert_str_eq(hosts.hosts[1].user, "you");
    ck_assert_str_eq(hosts.hosts[1].password, "");
    broker_url_free(&hosts);
}
END_TEST

START_TEST(several_hosts_keep_their_order)
{
    struct broker_hosts hosts = parse("amqp://a:1/x,amqp://b:2,amqp://u:p@[::1]:65535/%2f,"
                                      "amqp://[fe80::1]/y");
    ck_assert_uint_eq(hosts.count, 4);
    ck_assert_str_eq(hosts.hosts[0].host, "a");
    ck_assert_str_eq(hosts.hosts[0].vhost, "x");
    ck_assert_str_eq(hosts.hosts[1].host, "b");
    ck_assert_str_eq(hosts.hosts[1].vhost, "/");
    ck_assert_str_eq(hosts.hosts[2].host, "::1");
    ck_assert_uint_eq(hosts.hosts[2].port, 65535);
    ck_assert_str_eq(hosts.hosts[3].host, "fe80::1");
    ck_assert_uint_eq(hosts.hosts[3].port, 5672);
    broker_url_free(&hosts);
}
END_TEST

static const char *const wrong[] = {
    "",
    "broker",
    "http://broker",
    "amqpss://broker",
    "AMQP://broker",
    "amqp:/broker",
    "amqp://",
    "amqp:///vhost",
    "amqp://:5672",
    "amqp://user:secret@",
    "amqp://@host",
    "amqp://:secret@host",
    "amqp://host:",
    "amqp://host:0",
    "amqp://host:65536",
    "amqp://host:99999999999999999999",
    "amqp://host:56a",
    "amqp://host:-1",
    "amqp://host:5672:5672",
    "amqp://[::1",
    "amqp://[::1]5672",
    "amqp://[]:5672",
    "amqp://host/a/b",
    "amqp://host/%2",
    "amqp://host/%zz",
    "amqp://host/%00",
    "amqp://us%er:secret@host",
    "amqp://user:sec%ret@host",
    "amqp://host?heartbeat=1",
    "amqp://host/#x",
    "amqp://host,",
    ",amqp://host",
    "amqp://a,,amqp://b",
    "amqp://a, amqp://b",
    "amqp://a;amqp://b:x",
};

START_TEST(a_wrong_url_is_refused_without_repeating_it)
{
    struct broker_hosts hosts = {NULL, 0};
    const char *problem = NULL;
    ck_assert_msg(broker_url_parse(wrong[_i], &hosts, &problem) == ERR_PARSE, "%s", wrong[_i]);
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_null(strstr(problem, "secret"));
    ck_assert_ptr_null(hosts.hosts);
}
END_TEST

START_TEST(long_parts_and_too_many_hosts_are_refused)
{
    char url[4096] = "amqp://";
    struct broker_hosts hosts = {NULL, 0};
    const char *problem = NULL;
    memset(url + 7, 'h', 256);
    ck_assert_int_eq(broker_url_parse(url, &hosts, &problem), ERR_PARSE);
    url[7 + 255] = '\0';
    hosts = parse(url);
    ck_assert_uint_eq(strlen(hosts.hosts[0].host), 255);
    broker_url_free(&hosts);

    size_t len = 0;
    for (int i = 0; i < BROKER_HOSTS_MAX; i++)
        len += (size_t)snprintf(url + len, sizeof url - len, "%samqp://h", i == 0 ? "" : ",");
    hosts = parse(url);
    ck_assert_uint_eq(hosts.count, BROKER_HOSTS_MAX);
    broker_url_free(&hosts);
    (void)snprintf(url + len, sizeof url - len, ",amqp://h");
    ck_assert_int_eq(broker_url_parse(url, &hosts, &problem), ERR_PARSE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_url");
    TCase *tcase = tcase_create("broker_url");
    tcase_add_test(tcase, defaults_are_those_of_rabbitmq);
    tcase_add_test(tcase, every_part_is_read);
    tcase_add_test(tcase, every_part_is_percent_decoded);
    tcase_add_test(tcase, amqps_means_tls_and_its_port);
    tcase_add_test(tcase, a_bare_slash_is_the_default_vhost);
    tcase_add_test(tcase, a_user_may_come_without_password_and_a_password_may_be_empty);
    tcase_add_test(tcase, several_hosts_keep_their_order);
    tcase_add_loop_test(tcase, a_wrong_url_is_refused_without_repeating_it, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tcase, long_parts_and_too_many_hosts_are_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
