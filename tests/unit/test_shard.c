#include "common/shop/shard.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Run from the top of the tree, as CTest does. */
#define VECTORS "schemas/shard-vectors.json"

static json_t *vectors;

static void set_up(void)
{
    json_error_t error;
    json_t *file = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(file != NULL, "%s: %s", VECTORS, error.text);
    vectors = json_incref(json_object_get(file, "vectors"));
    json_decref(file);
    ck_assert_msg(json_array_size(vectors) >= 30, "%s holds too few vectors", VECTORS);
}

static void tear_down(void)
{
    json_decref(vectors);
}

START_TEST(every_vector_holds)
{
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        const char *sku = json_string_value(json_object_get(vector, "sku"));
        const char *count;
        json_t *expected;
        json_object_foreach(json_object_get(vector, "shards"), count, expected)
        {
            uint32_t shards = (uint32_t)strtoul(count, NULL, 10);
            ck_assert_msg(shard_of(sku, strlen(sku), shards) == json_integer_value(expected),
                          "%s of %s shards", sku, count);
        }
    }
}
END_TEST

START_TEST(a_shard_is_the_hash_modulo_the_number_of_shards)
{
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        const char *sku = json_string_value(json_object_get(vector, "sku"));
        uint64_t hash = strtoull(json_string_value(json_object_get(vector, "hash")), NULL, 10);
        for (uint32_t shards = 1; shards <= 1024; shards *= 2)
            ck_assert_uint_eq(shard_of(sku, strlen(sku), shards), hash % shards);
    }
}
END_TEST

START_TEST(only_the_given_bytes_count)
{
    ck_assert_uint_eq(shard_of("VIP-and-more", 3, 1024), shard_of("VIP", 3, 1024));
}
END_TEST

START_TEST(names_carry_the_number_of_shards)
{
    char name[SHARD_NAME_SIZE];
    shard_exchange(16, name);
    ck_assert_str_eq(name, "checkout.jobs.16");
    shard_queue(1024, 1023, name);
    ck_assert_str_eq(name, "checkout.jobs.1024.1023");
    shard_routing_key(7, name);
    ck_assert_str_eq(name, "7");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard");
    TCase *tcase = tcase_create("shard");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, every_vector_holds);
    tcase_add_test(tcase, a_shard_is_the_hash_modulo_the_number_of_shards);
    tcase_add_test(tcase, only_the_given_bytes_count);
    tcase_add_test(tcase, names_carry_the_number_of_shards);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
