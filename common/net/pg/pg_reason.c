#include "common/net/pg/pg_reason.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Cuts the SQLSTATE ("28P01: ") out of a verbose message, in place; false if it holds none. */
static bool take_sqlstate(char *message, char ret_state[PG_SQLSTATE_SIZE])
{
    for (char *p = strchr(message, ':'); p != NULL; p = strchr(p + 1, ':')) {
        char *state = p + 1 + strspn(p + 1, " ");
        size_t len = 0;
        bool digit = false; /* none in "FATAL" and the like */
        for (; isdigit((unsigned char)state[len]) || isupper((unsigned char)state[len]); len++)
            digit = digit || isdigit((unsigned char)state[len]) != 0;
        if (len != 5 || !digit || state[5] != ':')
            continue;
        memcpy(ret_state, state, 5);
        ret_state[5] = '\0';
        char *rest = state + 6 + strspn(state + 6, " ");
        memmove(state, rest, strlen(rest) + 1);
        return true;
    }
    return false;
}

static void cut_at(char *text, const char *mark)
{
    char *found = strstr(text, mark);
    if (found != NULL)
        *found = '\0';
}

void pg_reason_read(const char *message, char ret_reason[PG_REASON_SIZE],
                    char ret_sqlstate[PG_SQLSTATE_SIZE])
{
    char text[PG_REASON_SIZE * 2];
    ret_sqlstate[0] = '\0';
    (void)snprintf(text, sizeof text, "%s", message);
    cut_at(text, "\nLOCATION:");             /* of a verbose message: the server's source */
    cut_at(text, "\tIs the server running"); /* libpq's advice */
    (void)take_sqlstate(text, ret_sqlstate);
    size_t n = 0;
    bool gap = false;
    for (const char *p = text; *p != '\0' && n + 2 < PG_REASON_SIZE; p++) {
        bool space = isspace((unsigned char)*p) != 0;
        if (!space && gap && n > 0)
            ret_reason[n++] = ' ';
        if (!space)
            ret_reason[n++] = *p;
        gap = space;
    }
    ret_reason[n] = '\0';
}
