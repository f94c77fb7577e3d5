/* Where webhooks may go: the first and the last address of each block that they may not, and their
 * neighbours. */
#include "common/net/address_public.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"

static bool is_public(const char *text)
{
    struct address address;
    ck_assert_msg(address_parse(text, strlen(text), &address) == 0, "%s", text);
    return address_is_public(&address);
}

/* The block, and its neighbours that are public; "": that side is not. */
static const struct {
    const char *before;
    const char *first;
    const char *last;
    const char *behind;
} blocks[] = {
    {"", "0.0.0.0", "0.255.255.255", "1.0.0.0"},
    {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
    {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
    {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
    {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
    {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
    {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
    {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
    {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
    {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
    {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
    {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
    {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
    {"223.255.255.255", "224.0.0.0", "239.255.255.255", ""},
    {"", "240.0.0.0", "255.255.255.255", ""},
    {"", "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
    {"2000:ffff::", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
    {"2001:db7:ffff::", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
    {"2001:ffff::1", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"},
    {"3ffe:ffff::", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
    {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     ""},
};

START_TEST(a_block_is_refused_to_its_edges)
{
    ck_assert(!is_public(blocks[_i].first));
    ck_assert(!is_public(blocks[_i].last));
    if (blocks[_i].before[0] != '\0')
        ck_assert_msg(is_public(blocks[_i].before), "%s", blocks[_i].before);
    if (blocks[_i].behind[0] != '\0')
        ck_assert_msg(is_public(blocks[_i].behind), "%s", blocks[_i].behind);
}
END_TEST

static const struct {
    const char *text;
    bool is_public;
} written[] = {
    {"8.8.8.8", true},
    {"2606:4700:4700::1111", true},
    {"::1", false},
    {"::ffff:8.8.8.8", true}, /* mapped: judged as what it is */
    {"::ffff:127.0.0.1", false},
    {"::ffff:10.1.2.3", false},
    {"::ffff:a9fe:a9fe", false},    /* 169.254.169.254 */
    {"::8.8.8.8", false},           /* compatible, of old */
    {"::ffff:0:8.8.8.8", false},    /* translated */
    {"64:ff9b::8.8.8.8", false},    /* NAT64 */
    {"64:ff9b:1::8.8.8.8", false},  /* NAT64 of one network */
    {"100::1", false},              /* discarded */
    {"2001:0:4136:e378::1", false}, /* Teredo */
    {"2002:7f00:1::", false},       /* 6to4 of 127.0.0.1 */
    {"5f00::1", false},             /* segment routing */
    {"fc00::1", false},
    {"fd12:3456::1", false},
    {"fe80::1", false},
    {"fec0::1", false},
    {"ff02::1", false},
};

START_TEST(an_address_is_public_or_not)
{
    ck_assert_msg(is_public(written[_i].text) == written[_i].is_public, "%s", written[_i].text);
}
END_TEST

/* Every IPv4 network of 24 bits, by an oracle that knows the blocks by their octets. */
static bool oracle(unsigned a, unsigned b, unsigned c)
{
    if (a == 0 || a == 10 || a == 127 || a >= 224)
        return false;
    if (a == 100)
        return b < 64 || b > 127;
    if (a == 169)
        return b != 254;
    if (a == 172)
        return b < 16 || b > 31;
    if (a == 192)
        return !(b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99));
    if (a == 198)
        return !(b == 18 || b == 19 || (b == 51 && c == 100));
    return !(a == 203 && b == 0 && c == 113);
}

START_TEST(every_network_of_ipv4)
{
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    for (unsigned n = 0; n < 1u << 24; n++) {
        address.bytes[12] = (unsigned char)(n >> 16);
        address.bytes[13] = (unsigned char)(n >> 8);
        address.bytes[14] = (unsigned char)n;
        if (address_is_public(&address) != oracle(n >> 16, n >> 8 & 255, n & 255))
            ck_abort_msg("%u.%u.%u.0", n >> 16, n >> 8 & 255, n & 255);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address_public");
    TCase *tests = tcase_create("address_public");
    tcase_add_loop_test(tests, a_block_is_refused_to_its_edges, 0, ARRAY_LEN(blocks));
    tcase_add_loop_test(tests, an_address_is_public_or_not, 0, ARRAY_LEN(written));
    tcase_add_test(tests, every_network_of_ipv4);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
