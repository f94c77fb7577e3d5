/* Settings that are files of header lines. */
#include <string.h>

#include "common/base/err.h"
#include "common/service/cfg_impl.h"

static bool is_header(const char *line, size_t len)
{
    size_t name = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    if (name == 0 || name >= len || line[name] != ':')
        return false;
    for (size_t i = name; i < len; i++)
        if (line[i] < ' ' || line[i] > '~')
            return false;
    return true;
}

int cfg_check_headers(const char *lines, struct buf *problem)
{
    size_t count = 0;
    for (const char *line = lines; line != NULL; count++) {
        const char *end = strchr(line, '\n');
        size_t len = end == NULL ? strlen(line) : (size_t)(end - line);
        if (count == CFG_HEADERS_MAX) {
            (void)buf_printf(problem, "it has more than %d lines", CFG_HEADERS_MAX);
            return ERR_CONFIG;
        }
        if (!is_header(line, len)) {
            (void)buf_printf(problem, "its line %zu is no header, like Authorization: Bearer TOKEN",
                             count + 1);
            return ERR_CONFIG;
        }
        line = end == NULL ? NULL : end + 1;
    }
    return 0;
}
