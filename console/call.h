/* A request from its arrival to its answer. */
#ifndef CONSOLE_CALL_H
#define CONSOLE_CALL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/http/http.h"
#include "common/net/pg/pg.h"
#include "common/shop/cursor.h"
#include "common/shop/problem.h"
#include "console/change.h"
#include "console/console.h"

#define CALL_NAME_SIZE 65 /* of a sku, or an order's id */
#define CALL_BODY_MAX ((size_t)8 * 1024)
#define CALL_ANSWER_MAX ((size_t)4 * 1024 * 1024)
#define CALL_WAIT_MAX_S 30

struct call {
    struct console *console;
    struct http_request *request;
    enum stats_route route;
    char name[CALL_NAME_SIZE]; /* what the path names; "": nothing */
    char subject[JWT_USER_SIZE];
    struct change *change; /* owned; what it asks for */
    struct cursor *cursor; /* owned; behind the events that were shown */
    struct buf out;        /* the answer so far */
    int64_t limit;         /* of a list */
    int64_t command_id;
    uint64_t until_ms;       /* how long it may wait */
    uint64_t shown;          /* events in `out` */
    bool asking;             /* PostgreSQL has not answered yet */
    TAILQ_ENTRY(call) waits; /* of the watch, or the feed */
};

TAILQ_HEAD(call_list, call);

/* NULL: no memory, and the request is answered. */
struct call *call_new(struct console *console, struct http_request *request,
                      enum stats_route route);

/* Each of these answers the request and frees the call. */
void call_answer(struct call *call, unsigned status, const char *json,
                 const struct http_header *header);
/* With a content type and headers of the caller's own. */
void call_respond(struct call *call, const struct http_response *response);
void call_problem(struct call *call, const struct problem *problem);
void call_refuse(struct call *call, enum problem_type type, const char *detail);
/* 405 with `allow`. */
void call_not_allowed(struct call *call, const char *allow);
/* 503: PostgreSQL did not answer; of a change it is unknown whether it was recorded. */
void call_database_away(struct call *call);

/* Whether the token allows `scope`; the subject is filled. Else the call is answered: 401, 403. */
MUST_CHECK int call_authenticate(struct call *call, unsigned scope);

/* The query has only arguments of `allowed`, words with a blank between them, each once and with a
 * value: a misspelt filter would show more than was meant. ERR_INVALID: the call is answered. */
MUST_CHECK int call_arguments(struct call *call, const char *allowed);
/* Reads a query argument, a number from `low` to `high`; absent: `usual`. ERR_INVALID: the call is
 * answered. */
MUST_CHECK int call_number(struct call *call, const char *argument, int64_t low, int64_t high,
                           int64_t usual, int64_t *ret_number);
/* How long it may wait: the argument `wait`, or `Prefer: wait=N`, or `usual` seconds. ERR_INVALID:
 * the call is answered. */
MUST_CHECK int call_wait(struct call *call, int64_t usual_s);

/* Sends a query about the call, which is answered if that cannot be sent. */
void call_query(struct call *call, struct pg *pg, const struct pg_statement *statement,
                const char *const *params, pg_result_cb cb);
/* Whether it gave rows; else logs why not, and the call is answered. */
bool call_has_result(struct call *call, const struct pg_result *result);
/* Answers with the one value of the one row; it is NULL: 404 with `absent`. */
void call_answer_row(struct call *call, const struct pg_result *result, const char *absent);
/* Answers with a page of `limit` rows, as the array `member` of their second column; where there is
 * one more, `next` is the first column of the last that is shown. */
void call_answer_page(struct call *call, const struct pg_result *result, const char *member);

#endif
