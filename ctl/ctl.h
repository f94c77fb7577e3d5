/* What every command of checkoutctl uses: settings, servers, error messages. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"
#include "common/service/cfg.h"
#include "common/service/contact.h"

/* Exit codes. */
enum { CTL_FINE = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

#define CTL_PROBLEM_SIZE 512
/* How long PostgreSQL may take for an answer before its session is given up: the usual bound, which
 * is longer than any statement timeout that a command sets, and that of commands that go on when it
 * is back. */
#define CTL_ANSWER_MS 90000
#define CTL_ANSWER_SOON_MS 10000

struct ctl {
    struct cfg *cfg;
    bool json;
    bool patient; /* PostgreSQL may take any time for an answer */
    struct loop *loop;
    struct contact contacts[3]; /* their clients follow; NULL: not connected */
    struct pg *pg;
    struct broker *broker;
    struct redis *redis;
    char sqlstate[8];               /* of the last query that failed */
    char problem[CTL_PROBLEM_SIZE]; /* and its message */
};

/* Prints "checkoutctl: …" on stderr; returns `exit_code`. */
int ctl_complain(int exit_code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Reads the settings again, now with those of `needed`. 0, or CTL_USAGE after printing the
 * problems; then the settings are as before. */
MUST_CHECK int ctl_load(struct ctl *ctl, cfg_set needed);

/* Connects to a server (contact_pg, contact_pg_any, contact_broker, contact_redis) and waits until
 * this works or fails; the connection stays. `ret_reason`: the failure, without secrets. */
enum contact_state ctl_meet(struct ctl *ctl, const struct contact_kind *kind,
                            const char **ret_reason);
/* The same for a command that needs it: 0, or an exit code after printing the problem. */
MUST_CHECK int ctl_need(struct ctl *ctl, const struct contact_kind *kind);

/*
 * Sends a query and waits; `rows` (may be NULL) gets the answer if it is PG_OK. 0, or CTL_FAILED:
 * then ctl->sqlstate and ctl->problem hold the server's error, or why there is no answer.
 */
MUST_CHECK int ctl_try_query(struct ctl *ctl, const struct pg_statement *statement,
                             const char *const *params, pg_result_cb rows, void *arg);
/* The same, and prints the problem. */
MUST_CHECK int ctl_query(struct ctl *ctl, const struct pg_statement *statement,
                         const char *const *params, pg_result_cb rows, void *arg);
/* Keeps what an answer says of its failure in ctl->sqlstate and ctl->problem; of a session that was
 * lost, why. */
void ctl_keep_problem(struct ctl *ctl, const struct pg_result *result);
/* Whether that query met another session's lock: it did nothing, and may be tried again. */
bool ctl_was_locked_out(const struct ctl *ctl);
/* Prints the problem of the last query that failed. Returns CTL_FAILED. */
int ctl_complain_query(const struct ctl *ctl);

/* Runs the loop for so long. 0, or CTL_FAILED after printing the problem. */
MUST_CHECK int ctl_rest(struct ctl *ctl, uint64_t ms);

/* Closes what is open. */
void ctl_close(struct ctl *ctl);

#endif
