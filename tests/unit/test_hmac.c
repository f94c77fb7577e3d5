#include "common/base/hmac.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/encode.h"

/* RFC 4231, cases 1, 2, 6 and 7. */
static const struct {
    unsigned char key_byte; /* repeated, or 0: `key` */
    size_t key_len;
    const char *key;
    const char *data;
    const char *mac;
} vectors[] = {
    {0x0b, 20, NULL, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL,
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

START_TEST(the_vectors_of_the_rfc_whole_and_in_parts)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        char key[131];
        char hex[HMAC_HEX_SIZE];
        unsigned char mac[HMAC_BYTES];
        memset(key, vectors[i].key_byte, sizeof key);
        if (vectors[i].key != NULL)
            memcpy(key, vectors[i].key, vectors[i].key_len);
        size_t len = strlen(vectors[i].data);
        ck_assert_int_eq(hmac_sha256_hex(key, vectors[i].key_len, vectors[i].data, len, hex), 0);
        ck_assert_str_eq(hex, vectors[i].mac);
        struct hmac *hmac = hmac_new(key, vectors[i].key_len);
        ck_assert_ptr_nonnull(hmac);
        for (size_t cut = 0; cut <= len; cut++) { /* one key, many messages */
            const struct hmac_part parts[] = {{vectors[i].data, cut},
                                              {vectors[i].data + cut, len - cut}};
            ck_assert_int_eq(hmac_of(hmac, parts, 2, mac), 0);
            hex_encode(mac, sizeof mac, hex);
            ck_assert_str_eq(hex, vectors[i].mac);
        }
        hmac_free(hmac);
    }
    hmac_free(NULL);
}
END_TEST

START_TEST(one_bit_is_a_difference)
{
    unsigned char a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    unsigned char b[8];
    for (size_t bit = 0; bit < 64; bit++) {
        memcpy(b, a, sizeof b);
        ck_assert(hmac_equal(a, b, sizeof b));
        b[bit / 8] = (unsigned char)(b[bit / 8] ^ 1U << bit % 8);
        ck_assert(!hmac_equal(a, b, sizeof b));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hmac");
    TCase *tests = tcase_create("hmac");
    tcase_add_test(tests, the_vectors_of_the_rfc_whole_and_in_parts);
    tcase_add_test(tests, one_bit_is_a_difference);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
