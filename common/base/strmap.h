/*
 * A hash table by name. Its elements embed their entry and keep the name, so adding needs only the
 * table's own memory. The hash is keyed with a random number of the process, so that an outsider
 * cannot choose names that collide.
 */
#ifndef COMMON_BASE_STRMAP_H
#define COMMON_BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

/* Embedded in what it belongs to; its members are the map's. */
struct strmap_entry {
    struct strmap_entry *next;
    uint64_t hash;
    const char *name;
    size_t len;
};

/* All zero: empty, and ready. */
struct strmap {
    struct strmap_entry **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
};

/* What embeds an entry, as STRMAP_OF(entry, struct user, entry); NULL of NULL. */
#define STRMAP_OF(found, type, member) ((type *)strmap_owner((found), offsetof(type, member)))

/* The same in all maps of this process, another one in the next. */
uint64_t strmap_hash(const char *name, size_t len);

/* NULL: the name is not in the map. */
struct strmap_entry *strmap_find(const struct strmap *map, const char *name, size_t len);
/* Adds a name that is not in the map. `name` must outlive the entry. ERR_NOMEM only while the map
 * is empty; later the map only becomes slower. */
MUST_CHECK int strmap_add(struct strmap *map, struct strmap_entry *entry, const char *name,
                          size_t len);
/* Removes an entry, which must be in the map. */
void strmap_remove(struct strmap *map, struct strmap_entry *entry);
/* The first entry of NULL, the next one of another; NULL after the last. In no order. Get the next
 * one before you remove an entry; add none meanwhile. */
struct strmap_entry *strmap_next(const struct strmap *map, const struct strmap_entry *entry);
/* Frees the table, not its elements. */
void strmap_free(struct strmap *map);

/* For STRMAP_OF. */
static inline void *strmap_owner(struct strmap_entry *entry, size_t offset)
{
    return entry == NULL ? NULL : (char *)entry - offset;
}

#endif
