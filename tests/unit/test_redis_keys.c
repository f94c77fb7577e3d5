#include "common/shop/redis_keys.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"

static char page[65536];

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

START_TEST(the_page_has_a_row_for_each_name)
{
    static const struct {
        const char *prefix;
        const char *about;
        const char *life;
    } names[] = {
#define NAME_ROW(prefix, about, life) {prefix, about, life},
        REDIS_KEYS_MAP(NAME_ROW)
#undef NAME_ROW
    };
    FILE *file = fopen("schemas/redis.md", "re");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char row[128];
        (void)snprintf(row, sizeof row, "\n| `%s<%s>` | %s | ", names[i].prefix, names[i].about,
                       names[i].life);
        ck_assert_msg(count_of(page, row) == 1, "schemas/redis.md has no row%s", row);
    }
    ck_assert_uint_eq(count_of(page, "\n| `"), ARRAY_LEN(names));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_keys");
    TCase *tests = tcase_create("redis_keys");
    tcase_add_test(tests, the_page_has_a_row_for_each_name);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
