/*
 * Asks PostgreSQL about what orders name, for many at once, one query after the other, and never
 * waits for longer than TABLE_ASKER_WAIT_MS. After a query that took longer it pauses: what is
 * asked meanwhile is answered at once, as not read.
 */
#ifndef PRODUCER_ADMISSION_TABLE_ASKER_H
#define PRODUCER_ADMISSION_TABLE_ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/service/sessions.h"

#define TABLE_ASKER_WAIT_MS 20

/* Embedded in the asker's question, which keeps it and its text until the answer. */
struct table_question {
    const char *text;
    uint64_t asked_ms;
    struct table_question *next;
};

struct table_asker_options {
    const struct sessions *sessions; /* outlives it, and may be opened later */
    /* Its one parameter is an array of texts, its column `number` says which of them, from 1 on,
     * a row is about. */
    const struct pg_statement *statement;
    int number;
    size_t text_max; /* bytes of a text */
    /* A row about a question; it comes before the answer. */
    void (*row)(struct table_question *question, const struct pg_result *result, int row,
                void *arg);
    /* Once for each question, from the loop. `read`: PostgreSQL has answered in time. */
    void (*answer)(struct table_question *question, bool read, void *arg);
    void *arg;
    const char *unread; /* for the log, if PostgreSQL refuses the query ... */
    const char *slow;   /* ... or is slow */
};

struct table_asker;

/* Copies the options. NULL: no memory. */
struct table_asker *table_asker_new(struct loop *loop, const struct table_asker_options *options);
/* Forgets its questions. NULL is allowed. */
void table_asker_free(struct table_asker *asker);

void table_asker_ask(struct table_asker *asker, struct table_question *question);

#endif
