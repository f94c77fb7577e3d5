/*
 * A scripted PostgreSQL in place of common/net/pg/: sessions come up and go when the test says so,
 * and each query waits until the test answers it. Answers come in order within a session, as those
 * of a pipeline do.
 */
#ifndef TESTS_FAKE_PG_H
#define TESTS_FAKE_PG_H

#include <stddef.h>

#include "common/net/pg/pg.h"

/* Forgets what sessions were opened. Call it first in a test's setup. */
void fake_pg_reset(void);
/* The session that was opened as the n-th, from 0. */
struct pg *fake_pg(size_t number);
/* A session without an opener, for modules that are handed one; free it by pg_close. */
struct pg *fake_pg_new(void);

void fake_pg_up(struct pg *pg);
/* Every pending query is lost: whether it was committed is unknown. Then the session is down. */
void fake_pg_down(struct pg *pg);
/* The next pg_query gives `code` (once). */
void fake_pg_fail_next(struct pg *pg, int code);

/* The name of the oldest query without an answer; "" if none waits. */
const char *fake_pg_oldest(const struct pg *pg);
/* Its n-th parameter, from 0; "null" if it is null. */
const char *fake_pg_param(const struct pg *pg, int number);
/* Queries of this name that wait. */
size_t fake_pg_waiting(const struct pg *pg, const char *name);

/*
 * Answers the oldest query, which must be called `name`. `rows`: "" or rows separated by ';', of
 * columns separated by '|'; the word null is null.
 */
void fake_pg_answer(struct pg *pg, const char *name, const char *rows);
/* The server refuses it: nothing of it was committed. */
void fake_pg_refuse(struct pg *pg, const char *name, const char *sqlstate);
/* Answers with no rows until the oldest is called `name` (it must come), or until all are answered
 * (NULL). */
void fake_pg_skip(struct pg *pg, const char *name);
/* A notification comes. */
void fake_pg_notify(struct pg *pg, const char *channel, const char *payload);
/* Whether the next session counts as one at another server (pg_moved). */
void fake_pg_move(struct pg *pg, bool moved);
/* What pg_limit has set; 0: nothing. */
uint32_t fake_pg_limit(const struct pg *pg);
/* How often pg_reconnect was called. */
size_t fake_pg_reconnects(const struct pg *pg);

#endif
