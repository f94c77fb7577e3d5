#include "ctl/audit/audit_captures.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/strmap.h"

#define FIRST 1024
#define CAPTURES_MAX ((size_t)64 * 1024 * 1024) /* 512 MiB */

/* 64 bits: a million ids collide only once in 30 million audits. */
static uint64_t hash_of(const char *intent_id)
{
    return strmap_hash(intent_id, strlen(intent_id));
}

int audit_captures_add(struct audit_captures *captures, const char *intent_id)
{
    if (captures->count == CAPTURES_MAX)
        return ERR_FULL;
    if (captures->count == captures->cap) {
        size_t cap = captures->cap == 0 ? FIRST : captures->cap * 2;
        uint64_t *hashes = realloc(captures->hashes, cap * sizeof *hashes);
        if (hashes == NULL)
            return ERR_NOMEM;
        captures->hashes = hashes;
        captures->cap = cap;
    }
    captures->hashes[captures->count++] = hash_of(intent_id);
    captures->sorted = false;
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool audit_captures_has(struct audit_captures *captures, const char *intent_id)
{
    uint64_t hash = hash_of(intent_id);
    if (captures->count == 0)
        return false;
    if (!captures->sorted)
        qsort(captures->hashes, captures->count, sizeof hash, compare);
    captures->sorted = true;
    return bsearch(&hash, captures->hashes, captures->count, sizeof hash, compare) != NULL;
}

void audit_captures_free(struct audit_captures *captures)
{
    free(captures->hashes);
    *captures = (struct audit_captures){0};
}
