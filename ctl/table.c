#include "ctl/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "ctl/human.h"
#include "ctl/terminal.h"

#define GAP 2
#define CUT_LEAST 6 /* no column is cut to fewer characters */
#define LINE_MAX_BYTES ((size_t)256 * 1024)

struct table {
    const struct table_column *columns;
    size_t column_count;
    char **cells; /* row by row; NULL: absent */
    size_t row_count;
    size_t row_cap;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->columns = columns;
    table->column_count = count;
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->row_count * table->column_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

static int make_room(struct table *table)
{
    if (table->row_count < table->row_cap)
        return 0;
    assert(table->column_count > 0);
    size_t cap = table->row_cap == 0 ? 16 : table->row_cap * 2;
    char **cells = realloc(table->cells, cap * table->column_count * sizeof *cells);
    if (cells == NULL)
        return ERR_NOMEM;
    table->cells = cells;
    table->row_cap = cap;
    return 0;
}

int table_add(struct table *table, const char *const *values)
{
    int code = make_room(table);
    if (code < 0)
        return code;
    char **row = table->cells + table->row_count * table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        row[i] = values[i] == NULL ? NULL : strdup(values[i]);
        if (values[i] != NULL && row[i] == NULL)
            code = ERR_NOMEM;
    }
    table->row_count++;
    return code;
}

int table_add_result(struct table *table, const struct pg_result *result)
{
    int code = 0;
    for (int row = 0; row < pg_rows(result) && code == 0; row++) {
        const char *values[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < table->column_count; i++)
            values[i] = pg_text_or_null(result, row, (int)i);
        code = table_add(table, values);
    }
    return code;
}

size_t table_rows(const struct table *table)
{
    return table->row_count;
}

const char *table_value(const struct table *table, size_t row, size_t column)
{
    return table->cells[row * table->column_count + column];
}

int64_t table_int(const struct table *table, size_t row, size_t column)
{
    int64_t number = 0;
    return parse_int(table_value(table, row, column), INT64_MIN, INT64_MAX, &number) < 0 ? 0
                                                                                         : number;
}

/* Without its currency, which has a column of its own. */
static const char *shown_money(const char *amount, const char *currency)
{
    static char text[HUMAN_MONEY_SIZE];
    human_money(amount, currency, text);
    text[strcspn(text, " ")] = '\0';
    return text;
}

static const char *shown_age(int64_t seconds)
{
    static char text[HUMAN_SIZE];
    human_age(seconds * 1000, text);
    return text;
}

/* A cell's text for people; valid until the next one. */
static const char *shown(const struct table *table, size_t row, size_t column)
{
    const char *value = table_value(table, row, column);
    if (value == NULL)
        return "-";
    if (table->columns[column].type == TABLE_MONEY)
        return shown_money(value, table_value(table, row, column + 1));
    if (table->columns[column].type == TABLE_AGE)
        return shown_age(table_int(table, row, column));
    if (table->columns[column].type == TABLE_BOOL)
        return value[0] == 't' ? "yes" : "no";
    return value;
}

static void pad(size_t count)
{
    (void)printf("%*s", (int)count, "");
}

static size_t line_width(const size_t *widths, size_t count)
{
    size_t sum = count > 0 ? GAP * (count - 1) : 0;
    for (size_t c = 0; c < count; c++)
        sum += widths[c];
    return sum;
}

/* What the next command needs stays whole, and so does what says nothing if it is cut: states and
 * times. */
static bool may_be_cut(const struct table_column *column)
{
    static const char *const whole[] = {"sku", "id", "code", "order_id", "status", "state"};
    size_t len = strlen(column->name);
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (strcmp(column->name, whole[i]) == 0)
            return false;
    return column->type == TABLE_TEXT && (len < 3 || strcmp(column->name + len - 3, "_at") != 0);
}

/* Cuts the widest of the columns that may be cut, until `count` of them fit. */
static bool fit(const struct table *table, size_t count, size_t room, size_t *widths)
{
    while (line_width(widths, count) > room) {
        size_t widest = count;
        for (size_t c = 0; c < count; c++)
            if (may_be_cut(&table->columns[c]) && widths[c] > CUT_LEAST &&
                (widest == count || widths[c] > widths[widest]))
                widest = c;
        if (widest == count)
            return false;
        widths[widest]--;
    }
    return true;
}

/* Columns that the terminal has room for, from the left; the first in any case. */
static size_t fitting(const struct table *table, size_t *widths)
{
    size_t room = terminal_columns();
    size_t count = table->column_count;
    size_t whole[TABLE_COLUMNS_MAX];
    if (room == 0)
        return count;
    memcpy(whole, widths, count * sizeof *widths);
    while (!fit(table, count, room, widths) && count > 1) {
        memcpy(widths, whole, table->column_count * sizeof *widths);
        count--;
    }
    return count;
}

static void print_text(const char *text, size_t own, size_t width)
{
    if (own <= width || width == 0)
        (void)fputs(text, stdout);
    else
        (void)printf("%.*s~", (int)utf8_skip(text, width - 1), text);
}

static void print_cell(enum table_type type, const char *text, size_t width, bool last)
{
    size_t own = utf8_count(text); /* each counts as one column */
    size_t fill = own < width ? width - own : 0;
    bool to_the_right = type != TABLE_TEXT && type != TABLE_BOOL;
    if (to_the_right)
        pad(fill);
    print_text(text, own, width);
    if (!to_the_right && !last)
        pad(fill);
    if (last)
        (void)putchar('\n');
    else
        pad(GAP);
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX];
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = utf8_count(table->columns[c].heading);
        for (size_t r = 0; r < table->row_count; r++) {
            size_t width = utf8_count(shown(table, r, c));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    size_t count = fitting(table, widths);
    for (size_t c = 0; c < count; c++)
        print_cell(table->columns[c].type, table->columns[c].heading, widths[c], c + 1 == count);
    for (size_t r = 0; r < table->row_count; r++)
        for (size_t c = 0; c < count; c++)
            print_cell(table->columns[c].type, shown(table, r, c), widths[c], c + 1 == count);
    if (count < table->column_count)
        (void)fprintf(stderr, "%zu more columns need a wider terminal, or --json\n",
                      table->column_count - count);
}

static void json_value(struct buf *out, enum table_type type, const char *value)
{
    if (value == NULL)
        (void)buf_str(out, "null");
    else if (type != TABLE_TEXT && type != TABLE_BOOL)
        (void)buf_str(out, value);
    else if (type == TABLE_BOOL)
        (void)buf_str(out, value[0] == 't' ? "true" : "false");
    else
        (void)buf_json_str(out, value);
}

void table_json_open_row(const struct table *table, size_t row, struct buf *out)
{
    for (size_t c = 0; c < table->column_count; c++) {
        (void)buf_char(out, c == 0 ? '{' : ',');
        (void)buf_json_str(out, table->columns[c].name);
        (void)buf_char(out, ':');
        json_value(out, table->columns[c].type, table_value(table, row, c));
    }
}

void table_json_known(const struct table *table, size_t row, struct buf *out)
{
    const char *comma = "";
    (void)buf_char(out, '{');
    for (size_t c = 0; c < table->column_count; c++) {
        if (table_value(table, row, c) == NULL)
            continue;
        (void)buf_str(out, comma);
        (void)buf_json_str(out, table->columns[c].name);
        (void)buf_char(out, ':');
        json_value(out, table->columns[c].type, table_value(table, row, c));
        comma = ",";
    }
    (void)buf_char(out, '}');
}

void table_json(const struct table *table, struct buf *out)
{
    (void)buf_char(out, '[');
    for (size_t r = 0; r < table->row_count; r++) {
        if (r > 0)
            (void)buf_char(out, ',');
        table_json_open_row(table, r, out);
        (void)buf_char(out, '}');
    }
    (void)buf_char(out, ']');
}

void table_print_json_lines(const struct table *table)
{
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    for (size_t r = 0; r < table->row_count; r++) {
        buf_reset(&line);
        table_json_open_row(table, r, &line);
        (void)printf("%s}\n", buf_text(&line));
    }
    buf_free(&line);
}

void table_print_record(const struct table *table, size_t row)
{
    size_t width = 0;
    for (size_t c = 0; c < table->column_count; c++) {
        size_t own = utf8_count(table->columns[c].heading);
        width = own > width ? own : width;
    }
    for (size_t c = 0; c < table->column_count; c++) {
        if (table_value(table, row, c) == NULL)
            continue; /* nothing to print */
        (void)fputs(table->columns[c].heading, stdout);
        pad(width - utf8_count(table->columns[c].heading) + GAP);
        (void)printf("%s\n", shown(table, row, c));
    }
}
