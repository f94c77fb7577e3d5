#include "common/base/strmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define BUCKETS_FIRST 16

static uint64_t process_seed(void)
{
    static uint64_t seed;
    if (seed == 0 && getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_mono_us(); /* only before the kernel has any randomness */
    seed |= 1;                  /* not 0: it was drawn */
    return seed;
}

uint64_t strmap_hash(const char *name, size_t len)
{
    return XXH3_64bits_withSeed(name, len, process_seed());
}

static struct strmap_entry **bucket_of(const struct strmap *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

struct strmap_entry *strmap_find(const struct strmap *map, const char *name, size_t len)
{
    if (map->count == 0)
        return NULL;
    uint64_t hash = strmap_hash(name, len);
    struct strmap_entry *entry = *bucket_of(map, hash);
    while (entry != NULL &&
           (entry->hash != hash || entry->len != len || memcmp(entry->name, name, len) != 0))
        entry = entry->next;
    return entry;
}

static void link_entry(struct strmap *map, struct strmap_entry *entry)
{
    struct strmap_entry **bucket = bucket_of(map, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

/* Doubles the table; without memory it stays as it is. */
static void grow(struct strmap *map)
{
    struct strmap bigger = {.bucket_count =
                                map->bucket_count == 0 ? BUCKETS_FIRST : map->bucket_count * 2};
    bigger.buckets = calloc(bigger.bucket_count, sizeof(struct strmap_entry *));
    if (bigger.buckets == NULL)
        return;
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (struct strmap_entry *entry = map->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            link_entry(&bigger, entry);
        }
    }
    free(map->buckets);
    map->buckets = bigger.buckets;
    map->bucket_count = bigger.bucket_count;
}

int strmap_add(struct strmap *map, struct strmap_entry *entry, const char *name, size_t len)
{
    if (map->count >= map->bucket_count)
        grow(map);
    if (map->bucket_count == 0)
        return ERR_NOMEM;
    *entry = (struct strmap_entry){.hash = strmap_hash(name, len), .name = name, .len = len};
    link_entry(map, entry);
    map->count++;
    return 0;
}

void strmap_remove(struct strmap *map, struct strmap_entry *entry)
{
    struct strmap_entry **link = bucket_of(map, entry->hash);
    while (*link != entry) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = entry->next;
    map->count--;
}

struct strmap_entry *strmap_next(const struct strmap *map, const struct strmap_entry *entry)
{
    size_t bucket = 0;
    if (entry != NULL) {
        if (entry->next != NULL)
            return entry->next;
        bucket = (size_t)(entry->hash & (map->bucket_count - 1)) + 1;
    }
    for (; bucket < map->bucket_count; bucket++)
        if (map->buckets[bucket] != NULL)
            return map->buckets[bucket];
    return NULL;
}

void strmap_free(struct strmap *map)
{
    free(map->buckets);
    *map = (struct strmap){0};
}
