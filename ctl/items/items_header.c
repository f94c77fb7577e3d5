#include "ctl/items/items_header.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

#define NAMED_MAX 8  /* unknown columns that are named */
#define SHOWN_MAX 24 /* characters of each */

/* The name without blanks around it. */
static size_t trim(const char **name)
{
    *name += strspn(*name, " \t");
    size_t len = strlen(*name);
    while (len > 0 && ((*name)[len - 1] == ' ' || (*name)[len - 1] == '\t'))
        len--;
    return len;
}

static void put_name(struct buf *out, const char *name, size_t len)
{
    (void)buf_char(out, '"');
    for (size_t i = 0; i < len && i < SHOWN_MAX; i++)
        (void)buf_char(out, isprint((unsigned char)name[i]) ? name[i] : '?');
    (void)buf_str(out, len > SHOWN_MAX ? "...\"" : "\"");
}

/* Columns at the right without a name do not count. */
static size_t count_columns(const struct csv_row *row)
{
    size_t count = row->count;
    while (count > 0) {
        const char *name = row->fields[count - 1];
        if (trim(&name) > 0)
            break;
        count--;
    }
    return count;
}

/* Says which columns are not known. */
static void tell_unknown(const struct csv_row *row, size_t count, struct buf *problem)
{
    size_t unknown = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = row->fields[i];
        size_t len = trim(&name);
        if (items_field_of(name, len) < ITEMS_COLUMNS)
            continue;
        if (++unknown > NAMED_MAX)
            continue;
        (void)buf_str(problem, unknown == 1 ? "" : ", ");
        put_name(problem, name, len);
    }
    if (unknown > NAMED_MAX)
        (void)buf_printf(problem, " and %zu more", unknown - NAMED_MAX);
    if (unknown > 0)
        (void)buf_str(problem, unknown == 1 ? " is no column" : " are no columns");
}

static void tell_missing(const struct items_header *header, struct buf *problem)
{
    size_t missing = 0;
    for (size_t i = 0; i < ITEMS_REQUIRED; i++) {
        if (header->at[i] != ITEMS_HEADER_ABSENT)
            continue;
        (void)buf_printf(problem, "%s\"%s\"",
                         missing++ > 0      ? ", "
                         : problem->len > 0 ? "; "
                                            : "",
                         items_field_names[i]);
    }
    if (missing > 0)
        (void)buf_str(problem, missing == 1 ? " is missing" : " are missing");
}

int items_header_read(const struct csv_row *row, struct items_header *ret_header,
                      struct buf *problem)
{
    struct items_header header = {.count = count_columns(row)};
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        header.at[i] = ITEMS_HEADER_ABSENT;
    tell_unknown(row, header.count, problem);
    for (size_t i = 0; i < header.count; i++) {
        const char *name = row->fields[i];
        size_t len = trim(&name);
        size_t column = items_field_of(name, len);
        if (column == ITEMS_COLUMNS)
            continue;
        if (header.at[column] != ITEMS_HEADER_ABSENT)
            (void)buf_printf(problem, "%s\"%s\" is there twice", problem->len > 0 ? "; " : "",
                             items_field_names[column]);
        header.at[column] = i;
    }
    tell_missing(&header, problem);
    if (problem->len > 0) {
        (void)buf_str(problem, "; the columns are ");
        for (size_t i = 0; i < ITEMS_COLUMNS; i++)
            (void)buf_printf(problem, "%s%s", i == 0 ? "" : ", ", items_field_names[i]);
        return ERR_INVALID;
    }
    *ret_header = header;
    return 0;
}
