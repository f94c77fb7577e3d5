/* Files of items. Each row, written out again with every field quoted, reads the same. */
#include "tests/fuzz/fuzz.h"

#include "common/base/buf.h"
#include "common/base/utf8.h"
#include "common/shop/job.h"
#include "ctl/items/csv.h"
#include "ctl/items/items_file.h"

static void quote(struct buf *out, const struct csv_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        (void)buf_str(out, i == 0 ? "\"" : ",\"");
        for (const char *p = row->fields[i]; *p != '\0'; p++)
            (void)buf_str(out, *p == '"' ? "\"\"" : (const char[]){*p, '\0'});
        (void)buf_char(out, '"');
    }
    (void)buf_str(out, "\r\n");
}

static void check_again(const struct csv_row *row)
{
    struct buf text;
    struct csv csv;
    struct csv_row again;
    const char *problem = NULL;
    buf_init(&text, CSV_ROW_MAX * 3);
    quote(&text, row);
    csv_open(&csv, text.data, text.len);
    csv_row_init(&again);
    MUST(csv_next(&csv, &again, &problem) == 1 && again.count == row->count);
    for (size_t i = 0; i < row->count; i++)
        MUST(strcmp(again.fields[i], row->fields[i]) == 0);
    csv_row_free(&again);
    buf_free(&text);
}

static void check_rows(const char *data, size_t size)
{
    struct csv csv;
    struct csv_row row;
    const char *problem = NULL;
    unsigned line = 0;
    int code;
    csv_open(&csv, data, size);
    csv_row_init(&row);
    while ((code = csv_next(&csv, &row, &problem)) != 0) {
        MUST(row.line > line);
        line = row.line;
        if (code < 0)
            MUST(problem != NULL);
        else {
            MUST(row.count >= 1 && row.count <= CSV_FIELDS_MAX);
            check_again(&row);
        }
    }
    csv_row_free(&row);
}

static void check_items(const char *data, size_t size)
{
    struct items_file file = {0};
    MUST(items_file_parse(data, size, INT64_C(1767225600000), &file) == 0);
    for (size_t i = 0; i < file.count; i++) {
        for (size_t field = 0; field < ITEMS_REQUIRED; field++)
            MUST(file.items[i].fields[field] != NULL);
        const char *sku = file.items[i].fields[ITEMS_SKU];
        const char *title = file.items[i].fields[ITEMS_TITLE];
        MUST(job_sku_valid(sku, strlen(sku)) && utf8_valid(title, strlen(title)));
        MUST(strspn(file.items[i].fields[ITEMS_PRICE], "0123456789") ==
             strlen(file.items[i].fields[ITEMS_PRICE]));
    }
    for (size_t i = 0; i < file.problems.count; i++)
        MUST(file.problems.list[i].text != NULL && file.problems.list[i].field != NULL);
    items_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = exact(data, size);
    check_rows(copy, size);
    check_items(copy, size);
    free(copy);
    return 0;
}
