/* What is asked of PostgreSQL, and what comes back. */
#ifndef COMMON_NET_PG_PG_RESULT_H
#define COMMON_NET_PG_PG_RESULT_H

#include <stdbool.h>
#include <stdint.h>

struct pg_result;

enum pg_status {
    PG_OK,
    PG_ERROR, /* the server refused it: nothing of it was committed; see pg_sqlstate */
    PG_LOST,  /* the connection went first: whether it was committed is unknown */
};

/* A statement is prepared in a session when it is first used there. Static storage. */
struct pg_statement {
    const char *name; /* unique in the program */
    const char *sql;  /* $1, $2, … with casts where types are not evident */
    int params;
};

typedef void (*pg_result_cb)(const struct pg_result *result, void *arg);
typedef void (*pg_notify_cb)(const char *channel, const char *payload, void *arg);

/* Results are valid during the callback. */
enum pg_status pg_status(const struct pg_result *result);
const char *pg_sqlstate(const struct pg_result *result); /* five characters, or "" */
const char *pg_message(const struct pg_result *result);  /* one line for people, "" when fine */
/* Where in the statement or script the mistake is, in characters from 1; 0: not known. */
int pg_error_position(const struct pg_result *result);
int pg_rows(const struct pg_result *result);
int pg_columns(const struct pg_result *result);
const char *pg_column_name(const struct pg_result *result, int column);
bool pg_null(const struct pg_result *result, int row, int column);
const char *pg_text(const struct pg_result *result, int row, int column); /* "" if null */
const char *pg_text_or_null(const struct pg_result *result, int row, int column);
int64_t pg_int(const struct pg_result *result, int row, int column); /* 0 if null */
bool pg_bool(const struct pg_result *result, int row, int column);   /* false if null */

#endif
