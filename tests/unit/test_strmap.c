#include "common/base/strmap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"

#define MANY 5000

struct thing {
    char name[16];
    bool in;
    unsigned seen;
    struct strmap_entry entry;
};

static struct thing things[MANY];
static struct strmap map;

static struct thing *find(const char *name)
{
    return STRMAP_OF(strmap_find(&map, name, strlen(name)), struct thing, entry);
}

static void setup(void)
{
    map = (struct strmap){0};
    memset(things, 0, sizeof things);
    for (size_t i = 0; i < MANY; i++)
        (void)snprintf(things[i].name, sizeof things[i].name, "thing-%zu", i);
}

static void teardown(void)
{
    strmap_free(&map);
}

static void add(struct thing *thing)
{
    ck_assert_int_eq(strmap_add(&map, &thing->entry, thing->name, strlen(thing->name)), 0);
    thing->in = true;
}

static void take_out(struct thing *thing)
{
    strmap_remove(&map, &thing->entry);
    thing->in = false;
}

/* The map holds what it should and nothing else, by name and in a walk. */
static void check_all(void)
{
    size_t count = 0;
    for (size_t i = 0; i < MANY; i++) {
        if (find(things[i].name) != (things[i].in ? &things[i] : NULL))
            ck_abort_msg("%s", things[i].name);
        count += things[i].in;
        things[i].seen = 0;
    }
    ck_assert_uint_eq(map.count, count);
    for (struct strmap_entry *e = strmap_next(&map, NULL); e != NULL; e = strmap_next(&map, e)) {
        STRMAP_OF(e, struct thing, entry)->seen++;
        count--;
    }
    ck_assert_uint_eq(count, 0);
    for (size_t i = 0; i < MANY; i++)
        ck_assert_uint_eq(things[i].seen, things[i].in);
}

START_TEST(an_empty_map_has_nothing)
{
    check_all();
    ck_assert_ptr_null(strmap_next(&map, NULL));
    strmap_free(&map);
}
END_TEST

START_TEST(it_holds_what_was_added_and_not_taken_out)
{
    unsigned random = 1;
    for (size_t i = 0; i < MANY; i++)
        add(&things[i]);
    check_all();
    for (size_t step = 0; step < 4UL * MANY; step++) {
        random = random * 1103515245 + 12345;
        struct thing *thing = &things[random / 65536 % MANY];
        if (thing->in)
            take_out(thing);
        else
            add(thing);
    }
    check_all();
}
END_TEST

START_TEST(an_entry_may_be_taken_out_in_a_walk)
{
    for (size_t i = 0; i < MANY; i++)
        add(&things[i]);
    for (struct strmap_entry *e = strmap_next(&map, NULL), *next; e != NULL; e = next) {
        next = strmap_next(&map, e);
        struct thing *thing = STRMAP_OF(e, struct thing, entry);
        if ((size_t)(thing - things) % 3 != 0)
            take_out(thing);
    }
    check_all();
}
END_TEST

START_TEST(names_differ_by_length_and_by_every_byte)
{
    static struct thing odd[] = {{"", false, 0, {0}}, {"a", false, 0, {0}}, {"ab", false, 0, {0}}};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        ck_assert_int_eq(strmap_add(&map, &odd[i].entry, odd[i].name, i), 0);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        ck_assert_ptr_eq(strmap_find(&map, "abc", i), &odd[i].entry);
    ck_assert_ptr_null(strmap_find(&map, "abc", 3));
    ck_assert_ptr_null(strmap_find(&map, "b", 1));
    ck_assert_ptr_null(strmap_find(&map, "a\0", 2));
}
END_TEST

/* What a good hash makes of names in a row: no chain is long. */
START_TEST(names_in_a_row_are_spread)
{
    for (size_t i = 0; i < MANY; i++)
        add(&things[i]);
    ck_assert_uint_ge(map.bucket_count, MANY);
    for (size_t bucket = 0; bucket < map.bucket_count; bucket++) {
        size_t chain = 0;
        for (const struct strmap_entry *e = map.buckets[bucket]; e != NULL; e = e->next)
            chain++;
        ck_assert_uint_le(chain, 12);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("strmap");
    TCase *tests = tcase_create("strmap");
    tcase_add_test(tests, an_empty_map_has_nothing);
    tcase_add_test(tests, it_holds_what_was_added_and_not_taken_out);
    tcase_add_test(tests, an_entry_may_be_taken_out_in_a_walk);
    tcase_add_test(tests, names_differ_by_length_and_by_every_byte);
    tcase_add_test(tests, names_in_a_row_are_spread);
    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
