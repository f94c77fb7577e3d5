#include "common/shop/problem.h"

#include "common/base/err.h"
#include "common/shop/problem_page.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX ((size_t)256 * 1024)

static char page[PAGE_MAX];

static const char *read_page(const char *path)
{
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    size_t len = fread(page, 1, sizeof page - 1, file);
    ck_assert_uint_lt(len, sizeof page - 1);
    page[len] = '\0';
    (void)fclose(file);
    return page;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

static json_t *encoded(const struct problem *problem)
{
    struct buf out;
    buf_init(&out, PROBLEM_BYTES_MAX);
    problem_encode(&out, problem);
    ck_assert(!out.failed);
    json_error_t error;
    json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s in %s", error.text, out.data);
    buf_free(&out);
    return json;
}

/* Counts in `ret_pages` for each type the pages that list it: in the table at the top, with its
 * status and title, and in the schema of a problem. */
static void read_types(const char *name, unsigned ret_pages[PROBLEM_COUNT])
{
    const char *text = read_page(name);
    size_t listed = 0;
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        char row[256], line[128];
        (void)snprintf(row, sizeof row, "    | %u | `/problems/%s` | %s |\n", problem_status(type),
                       problem_name(type), problem_title(type));
        (void)snprintf(line, sizeof line, "            - /problems/%s\n", problem_name(type));
        ck_assert_msg(count_of(text, row) <= 1 && count_of(text, row) == count_of(text, line),
                      "%s: %s is not both in the table and in Problem", name, problem_name(type));
        ret_pages[type] += (unsigned)count_of(text, row);
        listed += count_of(text, row);
    }
    ck_assert_uint_eq(count_of(text, "| `/problems/"), listed);
    ck_assert_uint_eq(count_of(text, "            - /problems/"), listed);
}

START_TEST(the_pages_of_the_apis_list_each_type_with_its_status_and_title)
{
    unsigned pages[PROBLEM_COUNT] = {0};
    read_types("schemas/openapi.yaml", pages);
    read_types("schemas/console.openapi.yaml", pages);
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++)
        ck_assert_msg(pages[type] > 0, "no page has %s", problem_name(type));
}
END_TEST

START_TEST(the_page_of_the_events_has_types_of_the_registry_with_their_status)
{
    const char *text = read_page("schemas/asyncapi.yaml");
    size_t known = 0;
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        char row[128];
        (void)snprintf(row, sizeof row, "| %u | `/problems/%s` |", problem_status(type),
                       problem_name(type));
        known += count_of(text, row);
    }
    ck_assert_uint_gt(known, 0);
    ck_assert_uint_eq(known, count_of(text, "`/problems/"));
}
END_TEST

START_TEST(the_page_for_shops_says_of_each_type_what_to_do)
{
    const char *text = read_page("docs/integrate.md");
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        char row[512];
        (void)snprintf(row, sizeof row, "- `%s` (%u): %s\n", problem_name(type),
                       problem_status(type), problem_advice(type));
        ck_assert_msg(count_of(text, row) == 1, "docs/integrate.md has no row %s", row);
    }
}
END_TEST

START_TEST(each_type_has_a_page_at_its_path)
{
    enum problem_type found;
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/problems/%s", problem_name(type));
        ck_assert_int_eq(problem_by_path(path, &found), 0);
        ck_assert_int_eq(found, type);
        ck_assert_uint_gt(strlen(problem_advice(type)), 10);
        struct buf out;
        buf_init(&out, PROBLEM_PAGE_MAX);
        problem_page_encode(&out, type);
        ck_assert(!out.failed);
        ck_assert_ptr_nonnull(strstr(buf_text(&out), problem_name(type)));
        buf_free(&out);
    }
    static const char *const none[] = {"/problems/", "/problems", "/problems/sold-out/",
                                       "/problems/Sold-out", ""};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        ck_assert_int_eq(problem_by_path(none[i], &found), ERR_NOT_FOUND);
}
END_TEST

START_TEST(each_type_has_a_name_and_a_title_of_its_own)
{
    for (enum problem_type a = 0; a < PROBLEM_COUNT; a++) {
        ck_assert_uint_ge(problem_status(a), 400);
        ck_assert_uint_le(problem_status(a), 599);
        for (enum problem_type b = 0; b < a; b++) {
            ck_assert_str_ne(problem_name(a), problem_name(b));
            ck_assert_str_ne(problem_title(a), problem_title(b));
        }
    }
}
END_TEST

START_TEST(a_document_says_what_its_row_says)
{
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        char name[64];
        (void)snprintf(name, sizeof name, "/problems/%s", problem_name(type));
        json_t *json = encoded(&(struct problem){.type = type});
        ck_assert_str_eq(json_string_value(json_object_get(json, "type")), name);
        ck_assert_str_eq(json_string_value(json_object_get(json, "title")), problem_title(type));
        ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), problem_status(type));
        ck_assert_uint_eq(json_object_size(json), 3);
        json_decref(json);
    }
}
END_TEST

START_TEST(every_text_is_escaped)
{
    char all[130];
    size_t len = 0;
    for (int c = 1; c < 128; c++)
        all[len++] = (char)c;
    all[len] = '\0';
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST, .detail = all};
    problem_add(&problem, (struct problem_error){.detail = all, .header = all});
    problem_add(&problem, (struct problem_error){.detail = all, .member = all, .member_len = len});
    json_t *json = encoded(&problem);
    json_t *errors = json_object_get(json, "errors");
    ck_assert_str_eq(json_string_value(json_object_get(json, "detail")), all);
    for (size_t i = 0; i < 2; i++)
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(errors, i), "detail")),
                         all);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(errors, 0), "header")), all);
    const char *pointer = json_string_value(json_object_get(json_array_get(errors, 1), "pointer"));
    ck_assert_uint_eq(strlen(pointer), 1 + len + 2); /* ~ and / are two characters each */
    json_decref(json);
}
END_TEST

START_TEST(the_largest_problem_fits_its_bound)
{
    char name[1024];
    memset(name, 1, sizeof name);
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    for (size_t i = 0; i < PROBLEM_ERRORS_MAX + 5; i++)
        problem_add(&problem, (struct problem_error){
                                  .detail = "wrong", .member = name, .member_len = sizeof name});
    json_t *json = encoded(&problem);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "errors")), PROBLEM_ERRORS_MAX);
    json_decref(json);
}
END_TEST

START_TEST(only_a_503_asks_to_come_again_by_itself)
{
    for (enum problem_type type = 0; type < PROBLEM_COUNT; type++) {
        struct problem problem = {.type = type};
        ck_assert_uint_eq(problem_retry_after(&problem), problem_status(type) == 503 ? 2 : 0);
        problem.retry_after_s = 7;
        ck_assert_uint_eq(problem_retry_after(&problem), 7);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("problem");
    TCase *tcase = tcase_create("problem");
    tcase_add_test(tcase, the_pages_of_the_apis_list_each_type_with_its_status_and_title);
    tcase_add_test(tcase, the_page_of_the_events_has_types_of_the_registry_with_their_status);
    tcase_add_test(tcase, each_type_has_a_page_at_its_path);
    tcase_add_test(tcase, the_page_for_shops_says_of_each_type_what_to_do);
    tcase_add_test(tcase, each_type_has_a_name_and_a_title_of_its_own);
    tcase_add_test(tcase, a_document_says_what_its_row_says);
    tcase_add_test(tcase, every_text_is_escaped);
    tcase_add_test(tcase, the_largest_problem_fits_its_bound);
    tcase_add_test(tcase, only_a_503_asks_to_come_again_by_itself);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
