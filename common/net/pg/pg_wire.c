#include "common/net/pg/pg_wire.h"

#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/net/pg/pg_hosts.h"
#include "common/net/pg/pg_reason.h"
#include "common/net/url.h"

/* A dead host is noticed within about ten seconds also while nothing is being sent. */
#define KEEPALIVE_IDLE_S "5"
#define KEEPALIVE_INTERVAL_S "2"
#define KEEPALIVE_COUNT "3"
#define OPTIONS_SIZE 1024
#define PARAMETERS_MAX 16

struct pg_wire {
    PGconn *conn;
    char version[32];
};

/* A pg_result is libpq's result under our name; NULL stands for a lost one. */
static const PGresult *pg_wire_of(const struct pg_result *result)
{
    return (const PGresult *)result;
}

/* ---- the URL ---- */

static const char *part_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val == NULL ? "" : options->val;
    return "";
}

static const char *url_problem(const char *url)
{
    if (!url_has_scheme(url, strlen(url), "postgresql") &&
        !url_has_scheme(url, strlen(url), "postgres"))
        return "it must start with postgresql://";
    const char *problem = url_login_problem(url);
    if (problem != NULL)
        return problem;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (options == NULL)
        return "it is malformed, or an option is misspelt" URL_HINT;
    problem = pg_hosts_problem(part_of(options, "host"), part_of(options, "port"));
    PQconninfoFree(options);
    return problem;
}

int pg_wire_url_check(const char *url, const char **ret_problem)
{
    const char *problem = url_problem(url);
    if (problem == NULL)
        return 0;
    *ret_problem = problem;
    return ERR_PARSE;
}

int pg_wire_url_part(const char *url, const char *part, struct buf *out)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (options == NULL)
        return ERR_PARSE;
    int code = buf_str(out, part_of(options, part));
    PQconninfoFree(options);
    return code;
}

/* ---- connecting ---- */

struct parameters {
    const char *names[PARAMETERS_MAX];
    const char *values[PARAMETERS_MAX];
    size_t count;
};

static void add(struct parameters *parameters, const char *name, const char *value)
{
    if (value == NULL)
        return;
    parameters->names[parameters->count] = name;
    parameters->values[parameters->count] = value;
    parameters->count++; /* one place always stays empty: it ends the list */
}

/* Session settings: the URL's own first, ours behind. */
static int session_options(const struct pg_wire_target *target, struct buf *out)
{
    int code = pg_wire_url_part(target->url, "options", out);
    if (code < 0)
        return code;
    (void)buf_str(out, " -c timezone=UTC -c datestyle=ISO -c jit=off");
    if (target->statement_timeout_ms > 0)
        (void)buf_printf(out, " -c statement_timeout=%u", target->statement_timeout_ms);
    if (target->idle_in_transaction_timeout_ms > 0)
        (void)buf_printf(out, " -c idle_in_transaction_session_timeout=%u",
                         target->idle_in_transaction_timeout_ms);
    return out->failed ? ERR_FULL : 0;
}

static PGconn *start(const struct pg_wire_target *target, const char *session)
{
    struct parameters parameters = {.count = 0};
    char user_timeout[16] = "";
    if (target->tcp_user_timeout_ms > 0)
        (void)snprintf(user_timeout, sizeof user_timeout, "%u", target->tcp_user_timeout_ms);
    /* before the URL: it may say otherwise */
    add(&parameters, "gssencmode", "disable");
    add(&parameters, "target_session_attrs", target->writable ? "read-write" : NULL);
    add(&parameters, "dbname", target->url);
    add(&parameters, "application_name", target->application_name);
    add(&parameters, "client_encoding", "UTF8");
    add(&parameters, "options", session);
    add(&parameters, "tcp_user_timeout", user_timeout);
    add(&parameters, "keepalives_idle", KEEPALIVE_IDLE_S);
    add(&parameters, "keepalives_interval", KEEPALIVE_INTERVAL_S);
    add(&parameters, "keepalives_count", KEEPALIVE_COUNT);
    add(&parameters, "host", target->host); /* absent ones are skipped */
    add(&parameters, "hostaddr", target->hostaddr);
    add(&parameters, "port", target->port);
    add(&parameters, "target_session_attrs", target->any ? "any" : NULL);
    return PQconnectStartParams(parameters.names, parameters.values, 1);
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

struct pg_wire *pg_wire_start(const struct pg_wire_target *target)
{
    struct pg_wire *wire = calloc(1, sizeof *wire);
    struct buf session;
    buf_init(&session, OPTIONS_SIZE);
    if (wire != NULL && session_options(target, &session) == 0)
        wire->conn = start(target, buf_text(&session));
    buf_free(&session);
    if (wire == NULL || wire->conn == NULL) {
        free(wire);
        return NULL;
    }
    (void)PQsetErrorVerbosity(wire->conn, PQERRORS_VERBOSE); /* shows the SQLSTATE of a refusal */
    (void)PQsetNoticeReceiver(wire->conn, ignore_notice, NULL);
    return wire;
}

/* The connection stands: from blocking, one query at a time, to ours. */
static bool settle_in(struct pg_wire *wire)
{
    (void)PQsetErrorVerbosity(wire->conn, PQERRORS_TERSE);
    const char *version = PQparameterStatus(wire->conn, "server_version");
    (void)snprintf(wire->version, sizeof wire->version, "%.*s",
                   version == NULL ? 0 : (int)strcspn(version, " "), version);
    return PQsetnonblocking(wire->conn, 1) == 0 && PQenterPipelineMode(wire->conn) == 1;
}

enum pg_wire_poll pg_wire_poll(struct pg_wire *wire)
{
    if (PQstatus(wire->conn) == CONNECTION_BAD)
        return PG_WIRE_POLL_FAILED;
    switch (PQconnectPoll(wire->conn)) {
    case PGRES_POLLING_READING:
        return PG_WIRE_POLL_READ;
    case PGRES_POLLING_WRITING:
        return PG_WIRE_POLL_WRITE;
    case PGRES_POLLING_OK:
        return settle_in(wire) ? PG_WIRE_POLL_UP : PG_WIRE_POLL_FAILED;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    return PG_WIRE_POLL_FAILED;
}

void pg_wire_free(struct pg_wire *wire)
{
    if (wire == NULL)
        return;
    PQfinish(wire->conn);
    free(wire);
}

int pg_wire_fd(const struct pg_wire *wire)
{
    return PQsocket(wire->conn);
}

int pg_wire_backend_pid(const struct pg_wire *wire)
{
    return PQbackendPID(wire->conn);
}

int pg_wire_password_hash(struct pg_wire *wire, const char *user, const char *password,
                          char *ret_text, size_t size)
{
    char *hash = PQencryptPasswordConn(wire->conn, password, user, "scram-sha-256");
    if (hash == NULL)
        return ERR_NOMEM;
    size_t len = strlen(hash);
    if (len < size)
        memcpy(ret_text, hash, len + 1);
    PQfreemem(hash);
    return len < size ? 0 : ERR_FULL;
}

const char *pg_wire_server_version(const struct pg_wire *wire)
{
    return wire->version;
}

static int fault_of(const struct pg_wire *wire, const char *state)
{
    static const struct {
        const char *state;
        int code;
    } lasting[] = {
        {"28000", ERR_AUTH},
        {"28P01", ERR_AUTH},
        {"42501", ERR_AUTH},
        {"3D000", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(lasting); i++)
        if (strcmp(state, lasting[i].state) == 0)
            return lasting[i].code;
    return PQconnectionNeedsPassword(wire->conn) != 0 ? ERR_AUTH : ERR_UNAVAILABLE;
}

int pg_wire_reason(const struct pg_wire *wire, char ret_reason[PG_REASON_SIZE])
{
    char state[PG_SQLSTATE_SIZE];
    pg_reason_read(PQerrorMessage(wire->conn), ret_reason, state);
    return fault_of(wire, state);
}

/* ---- sending ---- */

static int sent(int result)
{
    return result == 1 ? 0 : ERR_IO;
}

int pg_wire_send_prepare(struct pg_wire *wire, const struct pg_statement *statement)
{
    return sent(PQsendPrepare(wire->conn, statement->name, statement->sql, 0, NULL));
}

int pg_wire_send_query(struct pg_wire *wire, const struct pg_statement *statement,
                       const char *const *params, bool prepared)
{
    if (prepared)
        return sent(PQsendQueryPrepared(wire->conn, statement->name, statement->params, params,
                                        NULL, NULL, 0));
    return sent(PQsendQueryParams(wire->conn, statement->sql, statement->params, NULL, params, NULL,
                                  NULL, 0));
}

int pg_wire_send_sync(struct pg_wire *wire)
{
    return sent(PQpipelineSync(wire->conn));
}

int pg_wire_send_script(struct pg_wire *wire, const char *sql)
{
    return sent(PQsendQuery(wire->conn, sql));
}

int pg_wire_set_pipeline(struct pg_wire *wire, bool on)
{
    return sent(on ? PQenterPipelineMode(wire->conn) : PQexitPipelineMode(wire->conn));
}

int pg_wire_flush(struct pg_wire *wire)
{
    int left = PQflush(wire->conn);
    return left < 0 ? ERR_IO : left;
}

/* ---- receiving ---- */

int pg_wire_consume(struct pg_wire *wire)
{
    return sent(PQconsumeInput(wire->conn));
}

bool pg_wire_is_lost(const struct pg_wire *wire)
{
    return PQstatus(wire->conn) == CONNECTION_BAD;
}

bool pg_wire_readable(const struct pg_wire *wire)
{
    int bytes = 0;
    return ioctl(PQsocket(wire->conn), FIONREAD, &bytes) == 0 && bytes > 0;
}

/* An error that ended the session, or one that libpq itself made up because the session ended. */
static bool is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity == NULL || strcmp(severity, "ERROR") != 0;
}

enum pg_wire_event pg_wire_next(struct pg_wire *wire, struct pg_result **ret_result)
{
    if (PQisBusy(wire->conn) != 0)
        return PG_WIRE_WAIT; /* PQgetResult would block */
    PGresult *result = PQgetResult(wire->conn);
    if (result == NULL)
        return PG_WIRE_END;
    enum pg_wire_event event = PG_WIRE_FATAL;
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        *ret_result = (struct pg_result *)result;
        return PG_WIRE_RESULT;
    case PGRES_FATAL_ERROR:
        if (!is_fatal(result)) {
            *ret_result = (struct pg_result *)result;
            return PG_WIRE_ERROR;
        }
        break;
    case PGRES_PIPELINE_SYNC:
        event = PG_WIRE_SYNC;
        break;
    case PGRES_PIPELINE_ABORTED:
        event = PG_WIRE_ABORTED;
        break;
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_SINGLE_TUPLE:
#ifdef LIBPQ_HAS_CHUNK_MODE /* libpq 17 */
    case PGRES_TUPLES_CHUNK:
#endif
        break; /* nothing of ours asks for these */
    }
    PQclear(result);
    return event;
}

void pg_wire_result_free(struct pg_result *result)
{
    PQclear((PGresult *)result);
}

bool pg_wire_notification(struct pg_wire *wire, pg_notify_cb cb, void *arg)
{
    PGnotify *notify = PQnotifies(wire->conn);
    if (notify == NULL)
        return false;
    if (cb != NULL)
        cb(notify->relname, notify->extra, arg);
    PQfreemem(notify);
    return true;
}

/* ---- results ---- */

enum pg_status pg_status(const struct pg_result *result)
{
    if (result == NULL)
        return PG_LOST;
    return PQresultStatus(pg_wire_of(result)) == PGRES_FATAL_ERROR ? PG_ERROR : PG_OK;
}

const char *pg_sqlstate(const struct pg_result *result)
{
    const char *state =
        result == NULL ? NULL : PQresultErrorField(pg_wire_of(result), PG_DIAG_SQLSTATE);
    return state == NULL ? "" : state;
}

const char *pg_message(const struct pg_result *result)
{
    if (result == NULL)
        return "the connection was lost";
    const char *message = PQresultErrorField(pg_wire_of(result), PG_DIAG_MESSAGE_PRIMARY);
    return message == NULL ? "" : message;
}

int pg_error_position(const struct pg_result *result)
{
    const char *position =
        result == NULL ? NULL : PQresultErrorField(pg_wire_of(result), PG_DIAG_STATEMENT_POSITION);
    int64_t number = 0;
    if (position != NULL && parse_int(position, 0, INT_MAX, &number) < 0)
        return 0;
    return (int)number;
}

int pg_rows(const struct pg_result *result)
{
    return result == NULL ? 0 : PQntuples(pg_wire_of(result));
}

int pg_columns(const struct pg_result *result)
{
    return result == NULL ? 0 : PQnfields(pg_wire_of(result));
}

const char *pg_column_name(const struct pg_result *result, int column)
{
    const char *name = result == NULL ? NULL : PQfname(pg_wire_of(result), column);
    return name == NULL ? "" : name;
}

bool pg_null(const struct pg_result *result, int row, int column)
{
    return PQgetisnull(pg_wire_of(result), row, column) != 0;
}

const char *pg_text(const struct pg_result *result, int row, int column)
{
    const char *text = PQgetvalue(pg_wire_of(result), row, column);
    return text == NULL ? "" : text; /* libpq gives "" for null, NULL for no such field */
}

const char *pg_text_or_null(const struct pg_result *result, int row, int column)
{
    return pg_null(result, row, column) ? NULL : pg_text(result, row, column);
}

int64_t pg_int(const struct pg_result *result, int row, int column)
{
    return strtoll(pg_text(result, row, column), NULL, 10);
}

bool pg_bool(const struct pg_result *result, int row, int column)
{
    return pg_text(result, row, column)[0] == 't';
}
