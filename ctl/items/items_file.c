#include "ctl/items/items_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "common/shop/job.h"
#include "ctl/items/csv.h"

#define TITLE_MAX 200 /* characters */
#define TEXT_SIZE 160
#define ABSENT SIZE_MAX

static const char *const column_names[ITEMS_COLUMNS] = {
    "sku", "title", "price", "currency", "stock", "limit_per_user", "gate", "opens_at", "closes_at",
};

/* ---- what was found ---- */

static int add_problem(struct items_file *file, unsigned line, const char *field, const char *text)
{
    if (file->problem_count == file->problem_cap) {
        size_t cap = file->problem_cap == 0 ? 16 : file->problem_cap * 2;
        struct items_problem *grown = realloc(file->problems, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        file->problems = grown;
        file->problem_cap = cap;
    }
    char *copy = strdup(text);
    if (copy == NULL)
        return ERR_NOMEM;
    file->problems[file->problem_count++] = (struct items_problem){line, field, copy};
    return 0;
}

static int add_item(struct items_file *file, const struct item *item)
{
    if (file->count == file->cap) {
        size_t cap = file->cap == 0 ? 64 : file->cap * 2;
        struct item *grown = realloc(file->items, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        file->items = grown;
        file->cap = cap;
    }
    file->items[file->count++] = *item;
    return 0;
}

static void item_clear(struct item *item)
{
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        free(item->fields[i]);
}

void items_file_free(struct items_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        item_clear(&file->items[i]);
    for (size_t i = 0; i < file->problem_count; i++)
        free(file->problems[i].text);
    free(file->items);
    free(file->problems);
    *file = (struct items_file){0};
}

/* ---- checks of one field: NULL, or what is wrong with it ---- */

static bool is_number(const char *text, int64_t low, int64_t high)
{
    int64_t number;
    return parse_int(text, low, high, &number) == 0;
}

static const char *check_title(const char *text)
{
    size_t count = utf8_count(text);
    if (!utf8_valid(text, strlen(text)))
        return "is not UTF-8";
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p < ' ' || *p == 0x7f)
            return "holds a control character";
    return count >= 1 && count <= TITLE_MAX ? NULL : "must have 1 to 200 characters";
}

static const char *check_currency(const char *text)
{
    bool letters = strlen(text) == 3 && strspn(text, "abcdefghijklmnopqrstuvwxyz") == 3;
    return letters ? NULL : "must be a currency in three lower-case letters, like usd";
}

static const char *check_time(const char *text)
{
    int64_t ms;
    return clock_parse_rfc3339(text, &ms) == 0 ? NULL
                                               : "must be a time in UTC, like 2026-01-31T18:00:00Z";
}

static const char *check_gate(const char *text)
{
    bool known =
        strcmp(text, "none") == 0 || strcmp(text, "soldout") == 0 || strcmp(text, "lock") == 0;
    return known ? NULL : "must be none, soldout or lock";
}

static const char *check_field(enum items_column column, const char *text)
{
    switch (column) {
    case ITEMS_SKU:
        return job_sku_valid(text, strlen(text)) ? NULL : "must be 1 to 64 of A-Z a-z 0-9 . _ -";
    case ITEMS_TITLE:
        return check_title(text);
    case ITEMS_PRICE:
        return is_number(text, 1, JOB_PRICE_MAX)
                   ? NULL
                   : "must be a whole number of minor units (1999 for 19.99), at least 1";
    case ITEMS_CURRENCY:
        return check_currency(text);
    case ITEMS_STOCK:
        return is_number(text, 0, INT32_MAX) ? NULL : "must be a whole number, 0 or more";
    case ITEMS_LIMIT_PER_USER:
        return is_number(text, 1, INT32_MAX) ? NULL : "must be a whole number, at least 1";
    case ITEMS_GATE:
        return check_gate(text);
    case ITEMS_OPENS_AT:
    case ITEMS_CLOSES_AT:
        return check_time(text);
    }
    return "is of no known column";
}

/* ---- lines ---- */

/* The position of each column in the file. */
struct header {
    size_t at[ITEMS_COLUMNS];
    size_t count;
};

static int tell_field(struct items_file *file, unsigned line, const char *field, const char *value,
                      const char *problem)
{
    char text[TEXT_SIZE];
    char shown[48];
    (void)snprintf(shown, sizeof shown, "%.40s", value);
    for (char *p = shown; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    (void)snprintf(text, sizeof text, "\"%s%s\" %s", shown, strlen(value) > 40 ? "..." : "",
                   problem);
    return add_problem(file, line, field, text);
}

static size_t column_of(const char *name)
{
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        if (strcmp(name, column_names[i]) == 0)
            return i;
    return ABSENT;
}

static int read_header(struct items_file *file, const struct csv_row *row, struct header *header)
{
    int code = 0;
    header->count = row->count;
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        header->at[i] = ABSENT;
    for (size_t i = 0; i < row->count && code == 0; i++) {
        size_t column = column_of(row->fields[i]);
        if (column == ABSENT)
            code = tell_field(file, row->line, "header", row->fields[i],
                              "is no column; there are sku, title, price, currency, stock, "
                              "limit_per_user, gate, opens_at, closes_at");
        else if (header->at[column] != ABSENT)
            code = tell_field(file, row->line, "header", row->fields[i], "is there twice");
        else
            header->at[column] = i;
    }
    for (size_t i = 0; i < ITEMS_REQUIRED && code == 0; i++)
        if (header->at[i] == ABSENT)
            code = tell_field(file, row->line, "header", column_names[i], "is missing");
    return code;
}

static int check_period(struct items_file *file, const struct item *item)
{
    int64_t opens, closes;
    const char *from = item->fields[ITEMS_OPENS_AT];
    const char *to = item->fields[ITEMS_CLOSES_AT];
    if (from == NULL || to == NULL || clock_parse_rfc3339(from, &opens) < 0 ||
        clock_parse_rfc3339(to, &closes) < 0 || opens < closes)
        return 0;
    return tell_field(file, item->line, "closes_at", to, "is not after opens_at");
}

/* Fills `item`; errors go to the file's problems. */
static int read_fields(struct items_file *file, const struct header *header,
                       const struct csv_row *row, struct item *item)
{
    int code = 0;
    for (size_t i = 0; i < ITEMS_COLUMNS && code == 0; i++) {
        const char *text = header->at[i] == ABSENT ? "" : row->fields[header->at[i]];
        if (text[0] == '\0' && i >= ITEMS_REQUIRED)
            continue; /* left out */
        const char *problem = check_field((enum items_column)i, text);
        if (problem != NULL) {
            code = tell_field(file, row->line, column_names[i], text, problem);
        } else {
            item->fields[i] = strdup(text);
            code = item->fields[i] == NULL ? ERR_NOMEM : 0;
        }
    }
    return code == 0 ? check_period(file, item) : code;
}

static int read_row(struct items_file *file, const struct header *header, const struct csv_row *row)
{
    if (row->count != header->count) {
        char text[TEXT_SIZE];
        (void)snprintf(text, sizeof text, "has %zu fields, the header has %zu", row->count,
                       header->count);
        return add_problem(file, row->line, "", text);
    }
    if (file->count == ITEMS_MAX)
        return add_problem(file, row->line, "", "is one item too many; split the file");
    struct item item = {.line = row->line};
    size_t before = file->problem_count;
    int code = read_fields(file, header, row, &item);
    bool good = code == 0 && file->problem_count == before;
    if (good)
        code = add_item(file, &item);
    if (!good || code < 0)
        item_clear(&item);
    return code;
}

/* ---- one SKU, one line ---- */

/* An item's SKU and its place. */
struct place {
    const char *sku;
    unsigned line;
    size_t index;
};

static int by_sku(const void *a, const void *b)
{
    const struct place *left = a;
    const struct place *right = b;
    int order = strcmp(left->sku, right->sku);
    return order != 0 ? order : left->line < right->line ? -1 : 1;
}

static int by_line(const void *a, const void *b)
{
    const struct items_problem *left = a;
    const struct items_problem *right = b;
    return left->line < right->line ? -1 : left->line > right->line ? 1 : 0;
}

static int tell_double(struct items_file *file, const struct place *first,
                       const struct place *second)
{
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof text, "is already in line %u", first->line);
    return tell_field(file, second->line, "sku", second->sku, text);
}

/* Removes the items whose line is 0. */
static void drop_marked(struct items_file *file)
{
    size_t kept = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (file->items[i].line == 0)
            item_clear(&file->items[i]);
        else
            file->items[kept++] = file->items[i];
    }
    file->count = kept;
}

/* A line with the SKU of an earlier one is a problem, not an item. */
static int find_doubles(struct items_file *file)
{
    int code = 0;
    size_t first = 0;
    struct place *places = calloc(file->count + 1, sizeof *places);
    if (places == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < file->count; i++)
        places[i] = (struct place){file->items[i].fields[ITEMS_SKU], file->items[i].line, i};
    qsort(places, file->count, sizeof *places, by_sku);
    for (size_t i = 1; i < file->count && code == 0; i++) {
        if (strcmp(places[first].sku, places[i].sku) != 0) {
            first = i;
            continue;
        }
        code = tell_double(file, &places[first], &places[i]);
        file->items[places[i].index].line = 0;
    }
    drop_marked(file);
    free(places);
    return code;
}

static int parse_rows(struct csv *csv, struct csv_row *row, struct items_file *file)
{
    struct header header = {.count = 0};
    const char *problem = NULL;
    int got = csv_next(csv, row, &problem);
    if (got == 0)
        return add_problem(file, 1, "header", "the file is empty");
    if (got < 0)
        return add_problem(file, row->line, "header", problem);
    int code = read_header(file, row, &header);
    if (code < 0 || file->problem_count > 0)
        return code; /* without a header no line can be read */
    while (code == 0 && (got = csv_next(csv, row, &problem)) != 0)
        code = got < 0 ? add_problem(file, row->line, "", problem) : read_row(file, &header, row);
    return code;
}

int items_file_parse(const char *data, size_t len, struct items_file *ret_file)
{
    struct items_file file = {0};
    struct csv csv;
    struct csv_row row;
    csv_open(&csv, data, len);
    csv_row_init(&row);
    int code = parse_rows(&csv, &row, &file);
    csv_row_free(&row);
    if (code == 0)
        code = find_doubles(&file);
    if (code < 0) {
        items_file_free(&file);
        return code;
    }
    if (file.problem_count > 0)
        qsort(file.problems, file.problem_count, sizeof *file.problems, by_line);
    *ret_file = file;
    return 0;
}
