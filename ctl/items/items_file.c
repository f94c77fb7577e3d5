#include "ctl/items/items_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/items/csv.h"
#include "ctl/items/items_header.h"
#include "ctl/items/items_shape.h"

#define TEXT_SIZE 320

/* ---- what was found ---- */

static int add_problem(struct items_problems *problems, unsigned line, const char *field,
                       const char *text)
{
    if (problems->count == problems->cap) {
        size_t cap = problems->cap == 0 ? 16 : problems->cap * 2;
        struct items_problem *grown = realloc(problems->list, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        problems->list = grown;
        problems->cap = cap;
    }
    char *copy = strdup(text);
    if (copy == NULL)
        return ERR_NOMEM;
    problems->list[problems->count++] = (struct items_problem){line, field, copy};
    return 0;
}

static void free_problems(struct items_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->list[i].text);
    free(problems->list);
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
    free_problems(&file->problems);
    free_problems(&file->warnings);
    free(file->items);
    *file = (struct items_file){0};
}

/* ---- lines ---- */

struct reading {
    struct items_file *file;
    struct items_header header;
    struct csv_row row;
    int64_t now_ms;
};

static int tell_field(struct items_problems *problems, unsigned line, const char *field,
                      const char *value, const char *problem)
{
    char text[TEXT_SIZE];
    char shown[48];
    (void)snprintf(shown, sizeof shown, "%.40s", value);
    for (char *p = shown; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    (void)snprintf(text, sizeof text, "\"%s%s\" %s", shown, strlen(value) > 40 ? "..." : "",
                   problem);
    return add_problem(problems, line, field, text);
}

/* Checks the fields against each other. `item` has those that are valid alone. */
static int check_together(struct items_file *file, const struct item *item, int64_t now_ms)
{
    int code = 0;
    int64_t closes_ms;
    char rule[CURRENCY_RULE_SIZE];
    const char *price = item->fields[ITEMS_PRICE];
    const char *currency = item->fields[ITEMS_CURRENCY];
    const char *closes = item->fields[ITEMS_CLOSES_AT];
    if (price != NULL && currency != NULL && items_field_price(price, currency, rule) < 0)
        code = tell_field(&file->problems, item->line, "price", price, rule);
    if (code == 0 && !items_field_lasts(item->fields[ITEMS_OPENS_AT], closes))
        return tell_field(&file->problems, item->line, "closes_at", closes,
                          "is not after opens_at");
    if (code == 0 && closes != NULL && clock_parse_rfc3339(closes, &closes_ms) == 0 &&
        closes_ms <= now_ms)
        code = tell_field(&file->warnings, item->line, "closes_at", closes,
                          "has passed: nothing of it can be bought");
    return code;
}

/* Fills `item`; errors go to the file's problems. */
static int read_fields(struct reading *r, struct item *item)
{
    int code = 0;
    for (size_t i = 0; i < ITEMS_COLUMNS && code == 0; i++) {
        size_t at = r->header.at[i];
        const char *text = at == ITEMS_HEADER_ABSENT ? "" : r->row.fields[at];
        if (text[0] == '\0' && i >= ITEMS_REQUIRED)
            continue; /* left out */
        const char *problem = items_field_problem((enum items_column)i, text);
        if (problem != NULL) {
            code = tell_field(&r->file->problems, r->row.line, items_field_names[i], text, problem);
        } else {
            item->fields[i] = items_field_copy((enum items_column)i, text);
            code = item->fields[i] == NULL ? ERR_NOMEM : 0;
        }
    }
    return code == 0 ? check_together(r->file, item, r->now_ms) : code;
}

/* How many fields the row has but for empty ones at its end. */
static size_t filled(const struct csv_row *row)
{
    size_t count = row->count;
    while (count > 0 && row->fields[count - 1][0] == '\0')
        count--;
    return count;
}

static int read_row(struct reading *r)
{
    struct items_file *file = r->file;
    size_t used = filled(&r->row);
    if (used == 0)
        return 0; /* spreadsheets write such rows */
    if (r->row.count < r->header.count || used > r->header.count) {
        char text[TEXT_SIZE];
        (void)snprintf(text, sizeof text, "has %zu fields, the header has %zu",
                       used > r->header.count ? used : r->row.count, r->header.count);
        return add_problem(&file->problems, r->row.line, "", text);
    }
    if (file->count == ITEMS_MAX)
        return add_problem(&file->problems, r->row.line, "",
                           "is one item too many; split the file");
    struct item item = {.line = r->row.line};
    size_t before = file->problems.count;
    int code = read_fields(r, &item);
    bool good = code == 0 && file->problems.count == before;
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
    return tell_field(&file->problems, second->line, "sku", second->sku, text);
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

static int read_header(struct reading *r)
{
    struct buf problem;
    buf_init(&problem, CSV_ROW_MAX);
    int code = 0;
    if (items_header_read(&r->row, &r->header, &problem) < 0)
        code = problem.failed
                   ? ERR_NOMEM
                   : add_problem(&r->file->problems, r->row.line, "header", buf_text(&problem));
    buf_free(&problem);
    return code;
}

static int parse_rows(struct csv *csv, struct reading *r)
{
    struct items_problems *problems = &r->file->problems;
    const char *problem = NULL;
    int got = csv_next(csv, &r->row, &problem);
    if (got == 0)
        return add_problem(problems, 1, "header", "the file is empty");
    if (got < 0)
        return add_problem(problems, r->row.line, "header", problem);
    int code = read_header(r);
    if (code < 0 || problems->count > 0)
        return code; /* without a header no line can be read */
    while (code == 0 && (got = csv_next(csv, &r->row, &problem)) != 0)
        code = got < 0 ? add_problem(problems, r->row.line, "", problem) : read_row(r);
    return code;
}

static void sort_problems(struct items_problems *problems)
{
    if (problems->count > 0)
        qsort(problems->list, problems->count, sizeof problems->list[0], by_line);
}

int items_file_parse(const char *data, size_t len, int64_t now_ms, struct items_file *ret_file)
{
    struct items_file file = {0};
    struct reading reading = {.file = &file, .now_ms = now_ms};
    struct csv csv;
    const char *shape = items_shape_problem(data, len);
    csv_open(&csv, data, len);
    csv_row_init(&reading.row);
    int code =
        shape != NULL ? add_problem(&file.problems, 1, "", shape) : parse_rows(&csv, &reading);
    csv_row_free(&reading.row);
    if (code == 0)
        code = find_doubles(&file);
    if (code < 0) {
        items_file_free(&file);
        return code;
    }
    sort_problems(&file.problems);
    sort_problems(&file.warnings);
    *ret_file = file;
    return 0;
}
