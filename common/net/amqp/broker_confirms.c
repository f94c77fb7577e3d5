#include "common/net/amqp/broker_confirms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

enum mark { MARK_SETTLED, MARK_WAITING, MARK_RETURNED };

#define CAP_FIRST 64

void broker_confirms_init(struct broker_confirms *confirms)
{
    *confirms = (struct broker_confirms){.first = 1};
}

void broker_confirms_free(struct broker_confirms *confirms)
{
    free(confirms->marks);
    broker_confirms_init(confirms);
}

static uint8_t *mark_at(const struct broker_confirms *confirms, size_t index)
{
    return &confirms->marks[(confirms->head + index) & (confirms->cap - 1)];
}

static int grow(struct broker_confirms *confirms)
{
    if (confirms->cap == BROKER_CONFIRMS_MAX)
        return ERR_FULL;
    size_t cap = confirms->cap == 0 ? CAP_FIRST : confirms->cap * 2;
    uint8_t *marks = malloc(cap);
    if (marks == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < confirms->count; i++)
        marks[i] = *mark_at(confirms, i);
    free(confirms->marks);
    confirms->marks = marks;
    confirms->cap = cap;
    confirms->head = 0;
    return 0;
}

int broker_confirms_add(struct broker_confirms *confirms, uint64_t *ret_sequence)
{
    if (confirms->count == confirms->cap) {
        int rc = grow(confirms);
        if (rc != 0)
            return rc;
    }
    *mark_at(confirms, confirms->count) = MARK_WAITING;
    *ret_sequence = confirms->first + confirms->count;
    confirms->count++;
    return 0;
}

void broker_confirms_undo(struct broker_confirms *confirms)
{
    assert(confirms->count > 0);
    confirms->count--;
}

/* The state of `sequence`, or NULL if it is not kept. */
static uint8_t *find(const struct broker_confirms *confirms, uint64_t sequence)
{
    if (sequence < confirms->first || sequence - confirms->first >= confirms->count)
        return NULL;
    return mark_at(confirms, (size_t)(sequence - confirms->first));
}

void broker_confirms_returned(struct broker_confirms *confirms, uint64_t sequence)
{
    uint8_t *mark = find(confirms, sequence);
    if (mark != NULL && *mark == MARK_WAITING)
        *mark = MARK_RETURNED;
}

/* Forgets what is settled at the old end. */
static void shrink(struct broker_confirms *confirms)
{
    while (confirms->count > 0 && *mark_at(confirms, 0) == MARK_SETTLED) {
        confirms->head = (confirms->head + 1) & (confirms->cap - 1);
        confirms->first++;
        confirms->count--;
    }
}

bool broker_confirms_take(struct broker_confirms *confirms, uint64_t tag, bool multiple,
                          uint64_t *ret_sequence, bool *ret_returned)
{
    uint64_t sequence = multiple ? confirms->first : tag; /* the oldest kept one is never settled */
    uint8_t *mark = sequence <= tag ? find(confirms, sequence) : NULL;
    if (mark == NULL || *mark == MARK_SETTLED)
        return false;
    *ret_sequence = sequence;
    *ret_returned = *mark == MARK_RETURNED;
    *mark = MARK_SETTLED;
    shrink(confirms);
    return true;
}
