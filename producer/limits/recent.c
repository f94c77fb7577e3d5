#include "producer/limits/recent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/strmap.h"

struct used {
    TAILQ_ENTRY(used) link;
    struct strmap_entry entry;
    int64_t number;
    char name[];
};

TAILQ_HEAD(used_list, used);

struct recent {
    struct strmap map;
    struct used_list list; /* the latest used last */
    size_t max;
};

struct recent *recent_new(size_t max)
{
    struct recent *recent = calloc(1, sizeof *recent);
    if (recent == NULL)
        return NULL;
    TAILQ_INIT(&recent->list);
    recent->max = max;
    return recent;
}

static void drop(struct recent *recent, struct used *used)
{
    strmap_remove(&recent->map, &used->entry);
    TAILQ_REMOVE(&recent->list, used, link);
    free(used);
}

void recent_free(struct recent *recent)
{
    if (recent == NULL)
        return;
    while (!TAILQ_EMPTY(&recent->list))
        drop(recent, TAILQ_FIRST(&recent->list));
    strmap_free(&recent->map);
    free(recent);
}

static struct used *find(const struct recent *recent, const char *name)
{
    return STRMAP_OF(strmap_find(&recent->map, name, strlen(name)), struct used, entry);
}

int64_t *recent_find(struct recent *recent, const char *name)
{
    struct used *used = find(recent, name);
    if (used == NULL)
        return NULL;
    TAILQ_REMOVE(&recent->list, used, link);
    TAILQ_INSERT_TAIL(&recent->list, used, link);
    return &used->number;
}

int64_t *recent_use(struct recent *recent, const char *name)
{
    int64_t *number = recent_find(recent, name);
    if (number != NULL)
        return number;
    size_t len = strlen(name);
    struct used *used = malloc(sizeof *used + len + 1);
    if (used == NULL)
        return NULL;
    memcpy(used->name, name, len + 1);
    used->number = 0;
    if (strmap_add(&recent->map, &used->entry, used->name, len) < 0) {
        free(used);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&recent->list, used, link);
    if (recent->map.count > recent->max)
        drop(recent, TAILQ_FIRST(&recent->list));
    return &used->number;
}

void recent_remove(struct recent *recent, const char *name)
{
    struct used *used = find(recent, name);
    if (used != NULL)
        drop(recent, used);
}
