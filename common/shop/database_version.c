#include "common/shop/database_version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

#define MINE DATABASE_VERSION_TEXT

static const struct pg_statement greet = {
    "greet", "select version, oldest_program from checkout.greet(" MINE ")", 0};

/* Neither schema nor function: a database of version 1, or one without any tables of ours. */
static bool too_old_to_say(const char *sqlstate)
{
    return strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "3F000") == 0;
}

/* Of checkout.greet that refuses. */
static int fault_of(const char *sqlstate)
{
    if (strcmp(sqlstate, "CK008") == 0)
        return PG_SOON; /* a consumer compares it with the milestones in RabbitMQ, which takes
                           moments */
    return strcmp(sqlstate, "CK009") == 0 ? ERR_REFUSED : ERR_UNAVAILABLE;
}

static int judge(const struct pg_result *result, char *ret_reason, size_t reason_size)
{
    if (pg_status(result) != PG_OK || pg_rows(result) != 1) {
        bool old = too_old_to_say(pg_sqlstate(result));
        (void)snprintf(ret_reason, reason_size, "%s",
                       old ? "the database is older than version " MINE
                             ", which this program needs; run `checkoutctl migrate` first"
                           : pg_message(result));
        return old ? ERR_CONFLICT : fault_of(pg_sqlstate(result));
    }
    int64_t version = pg_int(result, 0, 0);
    int64_t oldest = pg_int(result, 0, 1);
    if (version < DATABASE_VERSION) {
        (void)snprintf(ret_reason, reason_size,
                       "the database has version %" PRId64 ", and this program needs " MINE
                       "; run `checkoutctl migrate` first",
                       version);
        return ERR_CONFLICT;
    }
    if (oldest > DATABASE_VERSION) {
        (void)snprintf(ret_reason, reason_size,
                       "the database serves programs of version %" PRId64 " to %" PRId64
                       ", and this one has version " MINE "; upgrade this program",
                       oldest, version);
        return ERR_CONFLICT;
    }
    return 0;
}

bool database_version_refused(const struct pg_result *result)
{
    return strcmp(pg_sqlstate(result), "CK004") == 0 || strcmp(pg_sqlstate(result), "CK009") == 0;
}

const struct pg_greeting database_version_greeting = {&greet, judge};
