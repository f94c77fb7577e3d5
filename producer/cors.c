#include "producer/cors.h"

#include <stdlib.h>
#include <string.h>

struct cors {
    char *origins; /* each followed by NUL, an empty one at the end */
    bool every;
};

struct cors *cors_new(const char *origins)
{
    struct cors *cors = calloc(1, sizeof *cors);
    char *to = calloc(1, strlen(origins) + 2);
    if (cors == NULL || to == NULL) {
        free(cors);
        free(to);
        return NULL;
    }
    cors->origins = to;
    while (*origins != '\0') {
        size_t len = strcspn(origins, ", ");
        if (len == 1 && origins[0] == '*')
            cors->every = true;
        if (len > 0) {
            memcpy(to, origins, len);
            to += len + 1; /* calloc has put the NULs */
        }
        origins += len;
        origins += strspn(origins, ", ");
    }
    return cors;
}

void cors_free(struct cors *cors)
{
    if (cors == NULL)
        return;
    free(cors->origins);
    free(cors);
}

bool cors_allows(const struct cors *cors, const char *origin)
{
    if (origin == NULL)
        return false;
    if (cors->every)
        return true;
    for (const char *one = cors->origins; *one != '\0'; one += strlen(one) + 1)
        if (strcmp(one, origin) == 0)
            return true;
    return false;
}
