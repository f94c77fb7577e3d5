#include "common/shop/ids.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static struct ids *ids;

static void setup(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    ck_assert_ptr_nonnull(ids);
}

static void teardown(void)
{
    ids_free(ids);
}

static const char *order(const char *user, const char *key)
{
    static char id[IDS_ORDER_SIZE];
    ck_assert_int_eq(ids_order(ids, user, key, id), 0);
    return id;
}

/* Run from the top of the tree, as CTest does. */
#define VECTORS "schemas/order-vectors.json"

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

START_TEST(published_vectors)
{
    json_error_t error;
    json_t *file = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(file != NULL, "%s: %s", VECTORS, error.text);
    const char *secret = text_of(file, "secret");
    struct ids *theirs = ids_new(secret, strlen(secret));
    const json_t *vectors = json_object_get(file, "ids");
    ck_assert_uint_ge(json_array_size(vectors), 7);
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        char id[IDS_ORDER_SIZE];
        ck_assert_int_eq(ids_order(theirs, text_of(vector, "user"), text_of(vector, "key"), id), 0);
        ck_assert_str_eq(id, text_of(vector, "order_id"));
        ck_assert(ids_verify(theirs, text_of(vector, "user"), id));
    }
    ids_free(theirs);
    json_decref(file);
}
END_TEST

/* Made with Python's hashlib and hmac from the description in ids.h. */
START_TEST(known_vectors)
{
    static const struct {
        const char *user, *key, *id;
    } vectors[] = {
        {"ann", "key", "62a93525-52f5-82fb-9ec4-4d3e7a217c3b"},
        {"bob", "0b9f5c6e-4e0a-4b6e-9d52-2f1f6f0f4a11", "d16774a9-1b7b-8384-ab01-3df36ccf7440"},
        {"u", "!", "cc619f51-d173-8d7c-b11a-77a61881ca3b"},
        {"J\xc3\xbc"
         "rgen",
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         "2be32ce6-aa51-84d5-9a58-7502d2a69d7a"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        ck_assert_str_eq(order(vectors[i].user, vectors[i].key), vectors[i].id);
}
END_TEST

START_TEST(same_user_and_key_give_the_same_id_in_every_process)
{
    char first[IDS_ORDER_SIZE];
    memcpy(first, order("ann", "key"), sizeof first);
    struct ids *other = ids_new(SECRET, strlen(SECRET));
    char second[IDS_ORDER_SIZE];
    ck_assert_int_eq(ids_order(other, "ann", "key", second), 0);
    ck_assert_str_eq(first, second);
    ids_free(other);
}
END_TEST

START_TEST(user_and_key_do_not_run_into_each_other)
{
    char first[IDS_ORDER_SIZE];
    memcpy(first, order("ann", "akey"), sizeof first);
    ck_assert_str_ne(first, order("anna", "key"));
}
END_TEST

START_TEST(verifies_only_for_its_own_user)
{
    char id[IDS_ORDER_SIZE];
    memcpy(id, order("ann", "key"), sizeof id);
    ck_assert(ids_well_formed(id));
    ck_assert(ids_verify(ids, "ann", id));
    ck_assert(!ids_verify(ids, "bob", id));
    ck_assert(!ids_verify(ids, "an", id));
    ck_assert(!ids_verify(ids, "", id));
}
END_TEST

START_TEST(verifies_only_under_its_own_secret)
{
    char id[IDS_ORDER_SIZE];
    memcpy(id, order("ann", "key"), sizeof id);
    struct ids *other = ids_new("another secret of at least 32 bytes!", 36);
    ck_assert(!ids_verify(other, "ann", id));
    ids_free(other);
}
END_TEST

/* Every single changed digit is noticed. */
START_TEST(a_forged_id_does_not_verify)
{
    char id[IDS_ORDER_SIZE];
    memcpy(id, order("ann", "key"), sizeof id);
    for (size_t i = 0; i < sizeof id - 1; i++) {
        char kept = id[i];
        for (const char *c = "0123456789abcdef-AFxg"; *c != '\0'; c++) {
            if (*c == kept)
                continue;
            id[i] = *c;
            ck_assert_msg(!ids_verify(ids, "ann", id), "%s verifies", id);
        }
        id[i] = kept;
    }
    ck_assert(ids_verify(ids, "ann", id));
}
END_TEST

START_TEST(form)
{
    ck_assert(ids_well_formed("00000000-0000-8000-8000-000000000000"));
    ck_assert(ids_well_formed("ffffffff-ffff-8fff-bfff-ffffffffffff"));
    static const char *const bad[] = {"",
                                      "0",
                                      "00000000-0000-4000-8000-000000000000",
                                      "00000000-0000-8000-c000-000000000000",
                                      "00000000-0000-8000-0000-000000000000",
                                      "00000000-0000-8000-8000-00000000000",
                                      "00000000-0000-8000-8000-0000000000000",
                                      "0000000000000-8000-8000-000000000000",
                                      "00000000-0000-8000-8000-00000000000G",
                                      "0000000A-0000-8000-8000-000000000000",
                                      "{0000000-0000-8000-8000-000000000000",
                                      "00000000-0000-8000-8000-000000000000 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!ids_well_formed(bad[i]), "%s passes", bad[i]);
}
END_TEST

START_TEST(ids_of_many_keys_differ)
{
    enum { COUNT = 20000 };
    char(*all)[IDS_ORDER_SIZE] = calloc(COUNT, sizeof *all);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        memcpy(all[i], order("ann", key), IDS_ORDER_SIZE);
    }
    qsort(all, COUNT, sizeof *all, (int (*)(const void *, const void *))strcmp);
    for (int i = 1; i < COUNT; i++)
        ck_assert_str_ne(all[i - 1], all[i]);
    free(all);
}
END_TEST

START_TEST(fingerprints)
{
    char hex[IDS_FINGERPRINT_SIZE];
    ck_assert_int_eq(ids_fingerprint("abc", 3, hex), 0);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223"); /* SHA-256 of FIPS 180-4 */
    ck_assert_int_eq(ids_fingerprint(NULL, 0, hex), 0);
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb924");
    ck_assert_int_eq(ids_secret_fingerprint(ids, hex), 0);
    char same[IDS_FINGERPRINT_SIZE];
    ck_assert_int_eq(ids_fingerprint(SECRET, strlen(SECRET), same), 0);
    ck_assert_str_eq(hex, same);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ids");
    TCase *tc = tcase_create("ids");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, known_vectors);
    tcase_add_test(tc, published_vectors);
    tcase_add_test(tc, same_user_and_key_give_the_same_id_in_every_process);
    tcase_add_test(tc, user_and_key_do_not_run_into_each_other);
    tcase_add_test(tc, verifies_only_for_its_own_user);
    tcase_add_test(tc, verifies_only_under_its_own_secret);
    tcase_add_test(tc, a_forged_id_does_not_verify);
    tcase_add_test(tc, form);
    tcase_add_test(tc, ids_of_many_keys_differ);
    tcase_add_test(tc, fingerprints);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
