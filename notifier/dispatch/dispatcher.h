/*
 * Claims rows that are due in PostgreSQL, has a transport try each once, and records what came of
 * it: the machinery that mails and webhooks share. A claim is a lease. Several processes share the
 * work, and the rows of one that dies are claimed again when its lease ends. So each row leaves at
 * least once, and again where the record is lost with the process.
 */
#ifndef NOTIFIER_DISPATCH_DISPATCHER_H
#define NOTIFIER_DISPATCH_DISPATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/service/heartbeat.h"
#include "notifier/dispatch/dispatch_attempt.h"
#include "notifier/dispatch/dispatch_stats.h"

#define DISPATCH_PARAMS_MAX 12
#define DISPATCH_NUMBER_SIZE 24

struct dispatcher;

/* The parameters of a statement, in order; texts outlive its sending. */
struct dispatch_params {
    const char *values[DISPATCH_PARAMS_MAX];
    char numbers[DISPATCH_PARAMS_MAX][DISPATCH_NUMBER_SIZE];
    size_t count;
};

void dispatch_param_text(struct dispatch_params *params, const char *text); /* NULL: null */
void dispatch_param_int(struct dispatch_params *params, int64_t number);

/* What a transport does. `arg` is the options'. */
struct dispatch_transport {
    const char *rows; /* "mails": for people */
    const char *span; /* the name of an attempt's span */
    const struct pg_statement *claim;
    const struct pg_statement *finish;
    const struct pg_statement *overdue; /* how many are due, and for how many seconds the oldest */
    /* Whether more may begin while `count` are under way; then the parameters of a claim. */
    bool (*may_claim)(size_t count, struct dispatch_params *params, void *arg);
    /* Of a row of a claim. It may have ended already. NULL: no memory; the claim runs out. */
    struct dispatch_attempt *(*make)(const struct pg_result *result, int row, void *arg);
    /* Begins it. It ends by dispatcher_ended, perhaps at once. */
    void (*try_once)(struct dispatch_attempt *attempt, void *arg);
    /* Of the finish. */
    void (*record)(const struct dispatch_attempt *attempt, struct dispatch_params *params);
    void (*log_end)(const struct dispatch_attempt *attempt);
    /* Frees it, with what is under way. */
    void (*free_attempt)(struct dispatch_attempt *attempt);
    /* Twice a second while PostgreSQL is connected; NULL: nothing to do. */
    void (*tick)(struct pg *pg, void *arg);
};

struct dispatcher_options {
    struct loop *loop;
    const char *database_url;
    const char *application_name;
    const struct dispatch_transport *transport;
    void *arg;
    size_t inflight; /* attempts at once, at most */
    struct dispatch_stats *stats;
    const char *program; /* of its heartbeat: "mailer" */
    const char *place;   /* its admin address */
    bool (*ready)(void *arg, struct buf *ret_why);
    void *ready_arg;
};

/* Pointers outlive it. NULL: no memory. */
struct dispatcher *dispatcher_new(const struct dispatcher_options *options);
/* Attempts under way end without a record: they are made again. NULL is allowed. */
void dispatcher_free(struct dispatcher *dispatcher);
/* An attempt has ended, as dispatch_attempt_end has noted. */
void dispatcher_ended(struct dispatch_attempt *attempt);
/* Whether PostgreSQL is connected. */
bool dispatcher_ready(const struct dispatcher *dispatcher);
/* Something may be due now. */
void dispatcher_wake(struct dispatcher *dispatcher);
/* Claims no more; calls back once all attempts have ended and are recorded, or 20 s later. */
void dispatcher_drain(struct dispatcher *dispatcher, loop_cb drained, void *arg);
/* "host:pid", in the claims: for people. */
const char *dispatcher_name(const struct dispatcher *dispatcher);

#endif
