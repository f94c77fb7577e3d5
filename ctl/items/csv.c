#include "ctl/items/csv.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/err.h"

void csv_open(struct csv *csv, const char *data, size_t len)
{
    static const char bom[] = "\xef\xbb\xbf";
    *csv = (struct csv){data, data + len, 1};
    if (len >= sizeof bom - 1 && memcmp(data, bom, sizeof bom - 1) == 0)
        csv->at += sizeof bom - 1;
}

void csv_row_init(struct csv_row *row)
{
    row->count = 0;
    buf_init(&row->text, CSV_ROW_MAX);
}

void csv_row_free(struct csv_row *row)
{
    buf_free(&row->text);
}

/* Bytes of the line break at `at`: 0 (none), 1 or 2. */
static size_t line_break(const struct csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\n')
        return 1;
    return csv->end - csv->at >= 2 && csv->at[0] == '\r' && csv->at[1] == '\n' ? 2 : 0;
}

static bool field_ends(const struct csv *csv)
{
    return csv->at == csv->end || *csv->at == ',' || line_break(csv) > 0;
}

static const char not_closed[] = "a quote is not closed";

static const char *read_quoted(struct csv *csv, struct buf *text)
{
    csv->at++; /* the opening quote */
    while (csv->at < csv->end) {
        char c = *csv->at++;
        if (c == '\0')
            return "holds a NUL byte";
        if (c == '\n')
            csv->line++;
        if (c != '"')
            (void)buf_char(text, c);
        else if (csv->at < csv->end && *csv->at == '"')
            (void)buf_char(text, *csv->at++);
        else
            return field_ends(csv) ? NULL : "something follows a closing quote";
    }
    return not_closed;
}

static const char *read_plain(struct csv *csv, struct buf *text)
{
    for (; !field_ends(csv); csv->at++) {
        if (*csv->at == '"')
            return "there is a quote inside a field that does not begin with one";
        if (*csv->at == '\0')
            return "holds a NUL byte";
        (void)buf_char(text, *csv->at);
    }
    return NULL;
}

/* Reads a row's fields one after the other, each with its NUL; `starts` gets their offsets. */
static const char *read_fields(struct csv *csv, struct csv_row *row, size_t *starts)
{
    for (;;) {
        if (row->count == CSV_FIELDS_MAX)
            return "has more than 64 fields";
        starts[row->count++] = row->text.len;
        bool quoted = csv->at < csv->end && *csv->at == '"';
        const char *problem = quoted ? read_quoted(csv, &row->text) : read_plain(csv, &row->text);
        if (problem != NULL)
            return problem;
        if (buf_char(&row->text, '\0') < 0 || row->text.failed)
            return "is too long";
        if (csv->at == csv->end || *csv->at != ',')
            return NULL;
        csv->at++;
    }
}

static void end_line(struct csv *csv)
{
    size_t len = line_break(csv);
    csv->at += len;
    csv->line += len > 0 ? 1 : 0;
}

static void skip_line(struct csv *csv)
{
    while (csv->at < csv->end && line_break(csv) == 0)
        csv->at++;
    end_line(csv);
}

int csv_next(struct csv *csv, struct csv_row *row, const char **ret_problem)
{
    size_t starts[CSV_FIELDS_MAX] = {0};
    while (csv->at < csv->end && line_break(csv) > 0)
        end_line(csv);
    buf_reset(&row->text);
    row->count = 0;
    row->line = csv->line;
    const char *start = csv->at;
    if (csv->at == csv->end)
        return 0;
    const char *problem = read_fields(csv, row, starts);
    if (problem == not_closed) { /* the open quote took the lines after it: read them again */
        csv->at = start;
        csv->line = row->line;
    }
    if (problem != NULL) {
        skip_line(csv);
        *ret_problem = problem;
        return ERR_PARSE;
    }
    end_line(csv);
    for (size_t i = 0; i < row->count; i++) /* only now: the buffer does not move any more */
        row->fields[i] = row->text.data + starts[i];
    return 1;
}
