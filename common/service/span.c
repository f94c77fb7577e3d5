#include "common/service/span.h"

#include <stdio.h>

static struct span_note *add(struct span *span, const char *key)
{
    if (span == NULL || span->note_count == SPAN_NOTES_MAX)
        return NULL;
    struct span_note *note = &span->notes[span->note_count++];
    *note = (struct span_note){.key = key};
    return note;
}

void span_text(struct span *span, const char *key, const char *text)
{
    struct span_note *note = add(span, key);
    if (note == NULL)
        return;
    note->is_text = true;
    (void)snprintf(note->text, sizeof note->text, "%s", text);
}

void span_number(struct span *span, const char *key, int64_t number)
{
    struct span_note *note = add(span, key);
    if (note != NULL)
        note->number = number;
}

void span_fail(struct span *span, bool failed)
{
    if (span != NULL)
        span->failed = failed;
}
