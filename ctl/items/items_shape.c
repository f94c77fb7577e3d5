#include "ctl/items/items_shape.h"

#include <stdbool.h>
#include <string.h>

static bool begins(const char *data, size_t len, const char *bytes, size_t count)
{
    return len >= count && memcmp(data, bytes, count) == 0;
}

/* With its BOM, or without: then each second byte of the header is 0. */
static bool is_utf16(const char *data, size_t len)
{
    return begins(data, len, "\xff\xfe", 2) || begins(data, len, "\xfe\xff", 2) ||
           (len >= 4 && (data[0] == '\0') != (data[1] == '\0') &&
            (data[2] == '\0') != (data[3] == '\0'));
}

const char *items_shape_problem(const char *data, size_t len)
{
    if (begins(data, len, "PK\x03\x04", 4))
        return "this is a spreadsheet and no CSV file; save it as CSV UTF-8";
    if (is_utf16(data, len))
        return "this is UTF-16; save it as CSV UTF-8";
    const char *feed = memchr(data, '\n', len);
    size_t line = feed == NULL ? len : (size_t)(feed - data);
    const char *cr = memchr(data, '\r', line);
    if (cr != NULL && cr + 1 < data + line)
        return "the lines end in CR; save it with LF or CRLF at the ends of lines";
    if (memchr(data, ',', line) != NULL)
        return NULL;
    if (memchr(data, ';', line) != NULL)
        return "the fields are separated by semicolons; commas are needed";
    if (memchr(data, '\t', line) != NULL)
        return "the fields are separated by tabs; commas are needed";
    return NULL;
}
