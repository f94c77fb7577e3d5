#include "tests/fake/fake_pg.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/err.h"

#define SESSIONS_MAX 32
#define PARAMS_MAX 32
#define COLUMNS_MAX 32
#define ROWS_MAX 512

struct query {
    const struct pg_statement *statement;
    char *params[PARAMS_MAX];
    pg_result_cb cb;
    void *arg;
    TAILQ_ENTRY(query) link;
};

struct pg {
    pg_state_cb state;
    void *arg;
    bool up;
    int backend;
    int fail_next;
    size_t reconnects;
    bool moved;
    uint32_t limit_ms;
    pg_notify_cb notify;
    void *notify_arg;
    TAILQ_HEAD(, query) queries;
};

struct pg_result {
    enum pg_status status;
    const char *sqlstate;
    char *text; /* owned; cut into the cells */
    const char *cells[ROWS_MAX][COLUMNS_MAX];
    int rows;
    int columns;
};

static struct pg *sessions[SESSIONS_MAX];
static size_t session_count;
static int backends;

void fake_pg_reset(void)
{
    session_count = 0;
    backends = 1000;
}

struct pg *fake_pg(size_t number)
{
    ck_assert_uint_lt(number, session_count);
    return sessions[number];
}

struct pg *fake_pg_new(void)
{
    struct pg *pg = calloc(1, sizeof *pg);
    ck_assert_ptr_nonnull(pg);
    TAILQ_INIT(&pg->queries);
    return pg;
}

void fake_pg_up(struct pg *pg)
{
    pg->up = true;
    pg->backend = ++backends;
    if (pg->state != NULL)
        pg->state(true, NULL, pg->arg);
}

static struct query *pop(struct pg *pg)
{
    struct query *query = TAILQ_FIRST(&pg->queries);
    TAILQ_REMOVE(&pg->queries, query, link);
    return query;
}

static void query_end(struct query *query, const struct pg_result *result)
{
    if (query->cb != NULL)
        query->cb(result, query->arg);
    for (size_t i = 0; i < PARAMS_MAX; i++)
        free(query->params[i]);
    free(query);
}

static void lose_all(struct pg *pg)
{
    struct pg_result *lost = calloc(1, sizeof *lost);
    ck_assert_ptr_nonnull(lost);
    lost->status = PG_LOST;
    while (!TAILQ_EMPTY(&pg->queries))
        query_end(pop(pg), lost);
    free(lost);
}

void fake_pg_down(struct pg *pg)
{
    pg->up = false;
    lose_all(pg);
    if (pg->state != NULL)
        pg->state(false, "the test says so", pg->arg);
}

void fake_pg_fail_next(struct pg *pg, int code)
{
    pg->fail_next = code;
}

const char *fake_pg_oldest(const struct pg *pg)
{
    const struct query *query = TAILQ_FIRST(&pg->queries);
    return query == NULL ? "" : query->statement->name;
}

const char *fake_pg_param(const struct pg *pg, int number)
{
    const struct query *query = TAILQ_FIRST(&pg->queries);
    ck_assert_ptr_nonnull(query);
    ck_assert_int_lt(number, query->statement->params);
    return query->params[number] == NULL ? "null" : query->params[number];
}

size_t fake_pg_waiting(const struct pg *pg, const char *name)
{
    size_t count = 0;
    const struct query *query;
    TAILQ_FOREACH(query, &pg->queries, link)
    count += strcmp(query->statement->name, name) == 0;
    return count;
}

/* Cuts `text` at `mark`; the part before it, and `text` is what follows, or NULL. */
static char *cut(char **text, char mark)
{
    char *part = *text;
    char *end = strchr(part, mark);
    *text = end == NULL ? NULL : end + 1;
    if (end != NULL)
        *end = '\0';
    return part;
}

static void read_rows(struct pg_result *result, const char *rows)
{
    result->text = strdup(rows);
    ck_assert_ptr_nonnull(result->text);
    for (char *rest = result->text; rest != NULL && rows[0] != '\0';) {
        ck_assert_int_lt(result->rows, ROWS_MAX);
        char *row = cut(&rest, ';');
        int column = 0;
        while (row != NULL) {
            ck_assert_int_lt(column, COLUMNS_MAX);
            const char *cell = cut(&row, '|');
            result->cells[result->rows][column++] = strcmp(cell, "null") == 0 ? NULL : cell;
        }
        result->columns = column;
        result->rows++;
    }
}

static void end_oldest(struct pg *pg, const char *name, enum pg_status status, const char *sqlstate,
                       const char *rows)
{
    ck_assert_str_eq(fake_pg_oldest(pg), name);
    struct pg_result *result = calloc(1, sizeof *result);
    ck_assert_ptr_nonnull(result);
    result->status = status;
    result->sqlstate = sqlstate;
    read_rows(result, rows);
    query_end(pop(pg), result);
    free(result->text);
    free(result);
}

void fake_pg_answer(struct pg *pg, const char *name, const char *rows)
{
    end_oldest(pg, name, PG_OK, "", rows);
}

void fake_pg_refuse(struct pg *pg, const char *name, const char *sqlstate)
{
    end_oldest(pg, name, PG_ERROR, sqlstate, "");
}

void fake_pg_skip(struct pg *pg, const char *name)
{
    while (!TAILQ_EMPTY(&pg->queries) && (name == NULL || strcmp(fake_pg_oldest(pg), name) != 0))
        fake_pg_answer(pg, fake_pg_oldest(pg), "");
    if (name != NULL)
        ck_assert_str_eq(fake_pg_oldest(pg), name);
}

void fake_pg_notify(struct pg *pg, const char *channel, const char *payload)
{
    ck_assert_ptr_nonnull(pg->notify);
    pg->notify(channel, payload, pg->notify_arg);
}

uint32_t fake_pg_limit(const struct pg *pg)
{
    return pg->limit_ms;
}

size_t fake_pg_reconnects(const struct pg *pg)
{
    return pg->reconnects;
}

void fake_pg_move(struct pg *pg, bool moved)
{
    pg->moved = moved;
}

/* ---- pg.h ---- */

/* Without sense of its own: the sessions move when the test says so. */
struct pg_cluster {
    char nothing;
};

struct pg_cluster *pg_cluster_new(struct loop *loop, const char *url, const char *application_name)
{
    (void)loop;
    (void)url;
    (void)application_name;
    return calloc(1, sizeof(struct pg_cluster));
}

void pg_cluster_free(struct pg_cluster *cluster)
{
    free(cluster);
}

bool pg_moved(const struct pg *pg)
{
    return pg->moved;
}

struct pg *pg_open(struct loop *loop, const struct pg_options *options, pg_state_cb state,
                   void *arg)
{
    (void)loop;
    (void)options;
    struct pg *pg = fake_pg_new();
    pg->state = state;
    pg->arg = arg;
    ck_assert_uint_lt(session_count, SESSIONS_MAX);
    sessions[session_count++] = pg;
    return pg;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    lose_all(pg);
    free(pg);
}

bool pg_is_up(const struct pg *pg)
{
    return pg->up;
}

int pg_backend_pid(const struct pg *pg)
{
    return pg->up ? pg->backend : 0;
}

size_t pg_pending(const struct pg *pg)
{
    size_t count = 0;
    const struct query *query;
    TAILQ_FOREACH(query, &pg->queries, link)
    count++;
    return count;
}

void pg_reconnect(struct pg *pg)
{
    pg->reconnects++;
}

int pg_query(struct pg *pg, const struct pg_statement *statement, const char *const *params,
             pg_result_cb cb, void *arg)
{
    int code = pg->up ? pg->fail_next : ERR_UNAVAILABLE;
    pg->fail_next = 0;
    if (code < 0)
        return code;
    struct query *query = calloc(1, sizeof *query);
    ck_assert_ptr_nonnull(query);
    query->statement = statement;
    query->cb = cb;
    query->arg = arg;
    ck_assert_int_le(statement->params, PARAMS_MAX);
    for (int i = 0; i < statement->params; i++)
        query->params[i] = params[i] == NULL ? NULL : strdup(params[i]);
    TAILQ_INSERT_TAIL(&pg->queries, query, link);
    return 0;
}

int pg_limit(struct pg *pg, uint32_t ms)
{
    if (!pg->up)
        return ERR_UNAVAILABLE;
    pg->limit_ms = ms;
    return 0;
}

void pg_on_notify(struct pg *pg, pg_notify_cb cb, void *arg)
{
    pg->notify = cb;
    pg->notify_arg = arg;
}

enum pg_status pg_status(const struct pg_result *result)
{
    return result->status;
}

const char *pg_sqlstate(const struct pg_result *result)
{
    return result->sqlstate == NULL ? "" : result->sqlstate;
}

const char *pg_message(const struct pg_result *result)
{
    return result->status == PG_OK ? "" : "the test says so";
}

int pg_rows(const struct pg_result *result)
{
    return result->rows;
}

int pg_columns(const struct pg_result *result)
{
    return result->columns;
}

const char *pg_text_or_null(const struct pg_result *result, int row, int column)
{
    ck_assert_int_lt(row, result->rows);
    ck_assert_int_lt(column, COLUMNS_MAX);
    return result->cells[row][column];
}

const char *pg_text(const struct pg_result *result, int row, int column)
{
    const char *text = pg_text_or_null(result, row, column);
    return text == NULL ? "" : text;
}

bool pg_null(const struct pg_result *result, int row, int column)
{
    return pg_text_or_null(result, row, column) == NULL;
}

int64_t pg_int(const struct pg_result *result, int row, int column)
{
    return strtoll(pg_text(result, row, column), NULL, 10);
}

bool pg_bool(const struct pg_result *result, int row, int column)
{
    return pg_text(result, row, column)[0] == 't';
}
