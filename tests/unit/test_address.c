#include "common/net/address.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

static struct address parsed(const char *text)
{
    struct address address;
    ck_assert_msg(address_parse(text, strlen(text), &address) == 0, "%s", text);
    return address;
}

static const struct {
    const char *text;
    const char *name;
} good[] = {
    {"192.0.2.7", "192.0.2.7"},
    {"192.0.2.7:8080", "192.0.2.7"},
    {"::ffff:192.0.2.7", "192.0.2.7"},
    {"[::ffff:192.0.2.7]:1", "192.0.2.7"},
    {"0.0.0.0", "0.0.0.0"},
    {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
    {"[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"},
    {"[2001:DB8:1:2::6]:443", "2001:db8:1:2::"},
    {"2001:db8:1:3::", "2001:db8:1:3::"},
    {"::1", "::"},
    {"64:ff9b::1.2.3.4", "64:ff9b::"},
};

START_TEST(an_address_has_one_name_however_it_is_written)
{
    char name[ADDRESS_NAME_SIZE];
    struct address address = parsed(good[_i].text);
    address_name(&address, name);
    ck_assert_str_eq(name, good[_i].name);
}
END_TEST

static const char *const bad[] = {
    "",
    " ",
    "unknown",
    "_hidden",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4x",
    "1.2.3.4:",
    "1.2.3.4:x",
    "1.2.3.4:65536",
    "1.2.3.4:-1",
    "[::1",
    "::1]",
    "[]",
    "[::1]x",
    "[::1]:",
    "[::1]:99999",
    "[1.2.3.4",
    "g::1",
    ":::1",
    "1.2.3.4 ",
    "1.2.3.4/8",
    "fe80::1%eth0",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd",
};

START_TEST(all_else_is_no_address)
{
    struct address address;
    ck_assert_msg(address_parse(bad[_i], strlen(bad[_i]), &address) == ERR_PARSE, "%s", bad[_i]);
}
END_TEST

START_TEST(a_nul_is_no_end)
{
    struct address address;
    ck_assert_int_eq(address_parse("1.2.3.4\0", 8, &address), ERR_PARSE);
}
END_TEST

START_TEST(the_other_side_of_a_socket)
{
    char name[ADDRESS_NAME_SIZE];
    struct address address;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::9", &ipv6.sin6_addr), 1);
    ck_assert_int_eq(address_of_socket((const struct sockaddr *)(const void *)&ipv4, &address), 0);
    address_name(&address, name);
    ck_assert_str_eq(name, "127.0.0.1");
    ck_assert_int_eq(address_of_socket((const struct sockaddr *)(const void *)&ipv6, &address), 0);
    address_name(&address, name);
    ck_assert_str_eq(name, "2001:db8::");
    ck_assert_int_eq(address_of_socket((const struct sockaddr *)(const void *)&local, &address),
                     ERR_INVALID);
}
END_TEST

/* ---- networks ---- */

static struct networks *list(const char *text)
{
    struct networks *networks;
    const char *why = NULL;
    ck_assert_msg(networks_new(text, &networks, &why) == 0, "%s: %s", text, why);
    return networks;
}

static bool held(const char *text, const char *address)
{
    struct networks *networks = list(text);
    struct address asked = parsed(address);
    bool held = networks_hold(networks, &asked);
    networks_free(networks);
    return held;
}

static const struct {
    const char *networks, *address;
    bool held;
} members[] = {
    {"", "1.2.3.4", false},
    {" ", "1.2.3.4", false},
    {"1.2.3.4", "1.2.3.4", true},
    {"1.2.3.4", "1.2.3.5", false},
    {"1.2.3.4/32", "::ffff:1.2.3.4", true},
    {"::ffff:1.2.3.4", "1.2.3.4", true},
    {"::ffff:10.0.0.0/104", "10.9.9.9", true},
    {"::ffff:10.0.0.0/104", "11.9.9.9", false},
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.9/8", "10.1.0.1", true},
    {"10.0.0.0/9", "10.127.0.1", true},
    {"10.0.0.0/9", "10.128.0.1", false},
    {"192.0.2.0/31, 127.0.0.1 ,fd00::/8", "192.0.2.1", true},
    {"192.0.2.0/31, 127.0.0.1 ,fd00::/8", "192.0.2.2", false},
    {"192.0.2.0/31, 127.0.0.1 ,fd00::/8", "127.0.0.1", true},
    {"192.0.2.0/31, 127.0.0.1 ,fd00::/8", "fdff::1", true},
    {"192.0.2.0/31, 127.0.0.1 ,fd00::/8", "fe00::1", false},
    {"0.0.0.0/0", "9.9.9.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "9.9.9.9", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
};

START_TEST(a_network_holds_its_addresses)
{
    ck_assert_int_eq(held(members[_i].networks, members[_i].address), members[_i].held);
}
END_TEST

/* Each length of an IPv4 network, beside its edge. */
START_TEST(every_length)
{
    for (unsigned bits = 1; bits <= 32; bits++) {
        char text[40];
        struct address inside = parsed("85.170.85.170");
        struct address outside = inside;
        (void)snprintf(text, sizeof text, "85.170.85.170/%u", bits);
        struct networks *networks = list(text);
        ck_assert(networks_hold(networks, &inside));
        outside.bytes[12 + (bits - 1) / 8] ^= (unsigned char)(0x80u >> (bits - 1) % 8);
        ck_assert(!networks_hold(networks, &outside));
        if (bits < 32) {
            inside.bytes[12 + bits / 8] ^= (unsigned char)(0x80u >> bits % 8);
            ck_assert(networks_hold(networks, &inside));
        }
        networks_free(networks);
    }
}
END_TEST

static const char *const no_networks[] = {
    ",",          "1.2.3.4,",   ",1.2.3.4",        "1.2.3.4,,::1", "proxy.example",
    "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/",        "1.2.3.4/x",    "::/129",
    "1.2.3.4:80", "[::1]",      "1.2.3.4 5.6.7.8", "/8",           "10.0.0.0/8/8",
};

START_TEST(a_bad_list_is_refused_whole)
{
    struct networks *networks;
    const char *why;
    ck_assert_msg(networks_new(no_networks[_i], &networks, &why) == ERR_PARSE, "%s",
                  no_networks[_i]);
}
END_TEST

START_TEST(a_list_is_bounded)
{
    char text[257 * 8 + 1] = "";
    struct networks *networks;
    const char *why;
    for (int n = 0; n < 257; n++)
        memcpy(text + (size_t)n * 8, "1.2.3.4,", 8);
    text[256 * 8 - 1] = '\0';
    networks_free(list(text));
    text[256 * 8 - 1] = ',';
    text[257 * 8 - 1] = '\0';
    ck_assert_int_eq(networks_new(text, &networks, &why), ERR_PARSE);
}
END_TEST

/* ---- forwarded ---- */

static const struct {
    const char *trusted, *peer, *forwarded, *client;
} ways[] = {
    {"", "9.9.9.9", NULL, "9.9.9.9"},
    {"", "9.9.9.9", "1.1.1.1", "9.9.9.9"}, /* anybody may write that */
    {"10.0.0.0/8", "9.9.9.9", "1.1.1.1", "9.9.9.9"},
    {"10.0.0.0/8", "10.0.0.1", NULL, "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", "1.1.1.1", "1.1.1.1"},
    {"10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.1.1.1",
     "1.1.1.1"}, /* 6.6.6.6 is what the client wrote */
    {"10.0.0.0/8", "10.0.0.1", "6.6.6.6, 10.6.6.6, 1.1.1.1 , 10.0.0.2", "1.1.1.1"},
    {"10.0.0.0/8", "10.0.0.1", "10.6.6.6,10.0.0.2", "10.6.6.6"}, /* all are ours */
    {"10.0.0.0/8", "10.0.0.1", "1.1.1.1,unknown", "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", "1.1.1.1, unknown, 10.0.0.3", "10.0.0.3"},
    {"10.0.0.0/8", "10.0.0.1", "1.1.1.1,", "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", ",,,", "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", "  ", "10.0.0.1"},
    {"10.0.0.0/8", "10.0.0.1", "1.1.1.1:9000", "1.1.1.1"},
    {"::/0", "10.0.0.1", "[2001:db8:1:2::3]:9000", "2001:db8:1:2::"},
    {"fd00::/8,10.0.0.0/8", "fd00::1", "2001:db8::1,10.0.0.9", "2001:db8::"},
};

START_TEST(only_trusted_proxies_say_who_asked_them)
{
    char name[ADDRESS_NAME_SIZE];
    struct networks *trusted = list(ways[_i].trusted);
    struct address peer = parsed(ways[_i].peer);
    struct address client = address_of_client(trusted, &peer, ways[_i].forwarded);
    address_name(&client, name);
    ck_assert_str_eq(name, ways[_i].client);
    networks_free(trusted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tests = tcase_create("address");
    tcase_add_loop_test(tests, an_address_has_one_name_however_it_is_written, 0, ARRAY_LEN(good));
    tcase_add_loop_test(tests, all_else_is_no_address, 0, ARRAY_LEN(bad));
    tcase_add_test(tests, a_nul_is_no_end);
    tcase_add_test(tests, the_other_side_of_a_socket);
    tcase_add_loop_test(tests, a_network_holds_its_addresses, 0, ARRAY_LEN(members));
    tcase_add_test(tests, every_length);
    tcase_add_loop_test(tests, a_bad_list_is_refused_whole, 0, ARRAY_LEN(no_networks));
    tcase_add_test(tests, a_list_is_bounded);
    tcase_add_loop_test(tests, only_trusted_proxies_say_who_asked_them, 0, ARRAY_LEN(ways));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
