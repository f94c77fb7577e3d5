#include "notifier/progress.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 4

static struct progress_entry *find(const struct progress *progress, const unsigned char *order)
{
    for (size_t i = 0; i < progress->count; i++)
        if (memcmp(progress->entries[i].order, order, ENVELOPE_ORDER_SIZE) == 0)
            return &progress->entries[i];
    return NULL;
}

static void forget_ended(struct progress *progress, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < progress->count; i++) {
        const struct progress_entry *entry = &progress->entries[i];
        if (!entry->final || now_ms - entry->touched_ms < PROGRESS_FINAL_KEPT_MS)
            progress->entries[kept++] = *entry;
    }
    progress->count = kept;
}

static struct progress_entry *oldest(const struct progress *progress)
{
    struct progress_entry *found = &progress->entries[0];
    for (size_t i = 1; i < progress->count; i++)
        if (progress->entries[i].touched_ms < found->touched_ms)
            found = &progress->entries[i];
    return found;
}

/* A free entry, or the one to replace; NULL: no memory for the first. */
static struct progress_entry *make_room(struct progress *progress, uint64_t now_ms)
{
    if (progress->count == progress->cap)
        forget_ended(progress, now_ms);
    if (progress->count == progress->cap && progress->cap < PROGRESS_MAX) {
        size_t cap = progress->cap == 0 ? FIRST_CAP : progress->cap * 2;
        struct progress_entry *entries = realloc(progress->entries, cap * sizeof *entries);
        if (entries != NULL) {
            progress->entries = entries;
            progress->cap = cap;
        }
    }
    if (progress->count < progress->cap)
        return &progress->entries[progress->count++];
    return progress->cap == 0 ? NULL : oldest(progress);
}

bool progress_advance(struct progress *progress, const struct envelope *envelope, uint64_t now_ms)
{
    struct progress_entry *entry = find(progress, envelope->order);
    if (entry != NULL && envelope->sequence <= entry->sequence)
        return false;
    if (entry == NULL) {
        entry = make_room(progress, now_ms);
        if (entry == NULL)
            return true;
        memcpy(entry->order, envelope->order, sizeof entry->order);
    }
    entry->sequence = envelope->sequence;
    entry->final = envelope->final;
    entry->touched_ms = now_ms;
    return true;
}

void progress_free(struct progress *progress)
{
    free(progress->entries);
    *progress = (struct progress){0};
}
