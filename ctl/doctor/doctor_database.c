#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/shop/clock_lock.h"
#include "common/shop/database_version.h"
#include "ctl/doctor/findings.h"
#include "ctl/migrate/migrations.h"
#include "ctl/migrate/sql_files.h"
#include "ctl/reshard/moves.h"
#include "ctl/secret.h"

#define OLDEST_MAJOR 15
#define SKEW_MAX_MS 2000

static const struct pg_statement durability = {
    "ctl_doctor_durability",
    "select name, setting from pg_settings"
    " where name in ('fsync', 'synchronous_commit', 'full_page_writes') order by name",
    0};

/* The log's settings that show rows. */
static const struct pg_statement talkative = {
    "ctl_doctor_log",
    "select name, setting from pg_settings"
    " where (name = 'log_error_verbosity' and setting <> 'terse')"
    " or (name like 'log_parameter_max_length%' and setting <> '0') order by name",
    0};

static const struct pg_statement server_clock = {
    "ctl_doctor_clock", "select (extract(epoch from clock_timestamp()) * 1000)::bigint", 0};

/* How far the hosts of producers are ahead, in ms: the widest drift, and how many drift by more
 * than a second. A number of a lock has no sign. */
static const struct pg_statement producer_clocks = {
    "ctl_doctor_producer_clocks",
    "select coalesce((array_agg(d.ms order by abs(d.ms) desc))[1], 0),"
    "       count(*) filter (where abs(d.ms) > 1000), count(*)"
    "  from (select case when k.objid::bigint > 2147483647 then k.objid::bigint - 4294967296"
    "                    else k.objid::bigint end as ms"
    "          from pg_locks k where k.locktype = 'advisory' and k.granted"
    "           and k.classid = " CLOCK_LOCK_CLASS
    "           and k.database = (select oid from pg_database where datname = current_database())) "
    "d",
    0};

/* The oldest program version second. */
static const struct pg_statement versions = {
    "ctl_doctor_versions", "select version, oldest_program from checkout.versions()", 0};

static const struct pg_statement service = {
    "ctl_doctor_service", "select shards, coalesce(secret_fingerprint, '') from checkout.service",
    0};

static const struct pg_statement stopped = {
    "ctl_doctor_payments",
    "select count(*), max(s.payments_stopped)" /* misconfigured is the later word */
    "  from checkout.shards s join checkout.service v on v.shards = s.shards"
    " where s.payments_stopped is not null",
    0};

static const struct pg_statement refused_refunds = {
    "ctl_doctor_refunds",
    "select count(*) filter (where owed), count(*) from checkout.failed_refunds()", 0};

static const struct pg_statement oversold = {
    "ctl_doctor_items", "select count(*) from checkout.items where held + sold > stock", 0};

static const struct pg_statement set_aside = {
    "ctl_doctor_aside",
    "select count(*), coalesce(extract(epoch from now() - min(since))::bigint, 0)"
    "  from checkout.items_aside",
    0};

/* Those that checkout.drop_previous_indexes() drops. */
static const struct pg_statement previous_indexes = {
    "ctl_doctor_previous_indexes",
    "select count(*), coalesce(sum(pg_relation_size(c.oid)) / 1048576, 0)::bigint from pg_class c"
    " where c.relnamespace = 'checkout'::regnamespace"
    "   and c.relname in ('orders_by_user', 'order_events_pkey')",
    0};

/* A few numbers and texts of an answer's first rows. */
struct answer {
    int rows;
    int64_t numbers[2];
    char texts[4][2][64];
};

static void read_answer(const struct pg_result *result, void *arg)
{
    struct answer *answer = arg;
    answer->rows = pg_rows(result) < 4 ? pg_rows(result) : 4;
    int columns = pg_columns(result) < 2 ? pg_columns(result) : 2;
    for (int row = 0; row < answer->rows; row++)
        for (int column = 0; column < columns; column++)
            (void)snprintf(answer->texts[row][column], sizeof answer->texts[row][column], "%s",
                           pg_text(result, row, column));
    for (int column = 0; column < columns && answer->rows > 0; column++)
        answer->numbers[column] = pg_int(result, 0, column);
}

static bool ask(struct doctor *doctor, const struct pg_statement *statement, struct answer *answer)
{
    *answer = (struct answer){.rows = 0};
    return doctor_ask(doctor, statement, read_answer, answer);
}

static void check_version(struct doctor *doctor)
{
    const char *version = pg_server_version(doctor->ctl->pg);
    int64_t major;
    (void)parse_digits(version, &major);
    if (major < OLDEST_MAJOR)
        doctor_say(doctor, FINDING_FAIL, "postgresql", "use PostgreSQL 15 or newer",
                   "PostgreSQL %s is too old", version);
    else
        doctor_say(doctor, FINDING_OK, "postgresql", "", "PostgreSQL %s answers", version);
}

/* Whether programs of this version are served. Without its tables the database has none. */
static void check_programs(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &versions, &answer))
        return;
    int64_t version = answer.numbers[0];
    int64_t oldest = answer.numbers[1];
    if (version < DATABASE_VERSION)
        doctor_say(doctor, FINDING_FAIL, "versions", "run `checkoutctl migrate`",
                   "the database has version %" PRId64 ", older than this program (%d)", version,
                   DATABASE_VERSION);
    else if (oldest > DATABASE_VERSION)
        doctor_say(doctor, FINDING_FAIL, "versions", "upgrade this program",
                   "the database serves programs of version %" PRId64 " to %" PRId64
                   ", and this one has version %d",
                   oldest, version, DATABASE_VERSION);
    else
        doctor_say(doctor, FINDING_OK, "versions", "",
                   "the database serves programs of version %" PRId64 " to %" PRId64, oldest,
                   version);
}

static void check_durability(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &durability, &answer))
        return;
    bool fine = true;
    for (int i = 0; i < answer.rows; i++) {
        const char *name = answer.texts[i][0];
        const char *value = answer.texts[i][1];
        bool weak = strcmp(value, "off") == 0 ||
                    (strcmp(name, "synchronous_commit") == 0 && strcmp(value, "local") == 0);
        fine = fine && strcmp(value, "off") != 0;
        if (strcmp(value, "off") == 0)
            doctor_say(doctor, FINDING_FAIL, "postgresql",
                       "set it to on: a crash would lose what a buyer was promised", "%s is off",
                       name);
        else if (weak)
            doctor_say(doctor, FINDING_WARN, "postgresql",
                       "with a standby, a failover can lose what a buyer was promised", "%s is %s",
                       name, value);
    }
    if (fine)
        doctor_say(doctor, FINDING_OK, "postgresql", "",
                   "durable: fsync, synchronous_commit and full_page_writes are on");
}

static void check_log(struct doctor *doctor)
{
    struct answer answer;
    if (ask(doctor, &talkative, &answer) && answer.rows > 0)
        doctor_say(doctor, FINDING_WARN, "postgresql",
                   "let a superuser call checkout.keep_rows_out_of_the_log()",
                   "%s is %s: its log may show payment methods and addresses", answer.texts[0][0],
                   answer.texts[0][1]);
}

static void check_clock(struct doctor *doctor)
{
    struct answer answer;
    int64_t before = clock_wall_ms();
    if (!ask(doctor, &server_clock, &answer))
        return;
    int64_t skew = answer.numbers[0] - (before + clock_wall_ms()) / 2;
    if (skew > SKEW_MAX_MS || skew < -SKEW_MAX_MS)
        doctor_say(doctor, FINDING_WARN, "postgresql", "synchronise the clocks of both hosts",
                   "its clock differs from this host's by %" PRId64 " ms", skew);
}

/* Producers correct their stamps, but their tokens and tickets expire by their host's clock. */
static void check_producer_clocks(struct doctor *doctor)
{
    struct answer answer;
    if (ask(doctor, &producer_clocks, &answer) && answer.numbers[1] > 0)
        doctor_say(doctor, FINDING_WARN, "clocks", "synchronise the clocks of their hosts",
                   "%" PRId64 " producers have a clock that differs from PostgreSQL's, by up to "
                   "%" PRId64 " ms",
                   answer.numbers[1], answer.numbers[0]);
}

/* They take room, and nothing else is wrong. */
static void check_previous_indexes(struct doctor *doctor)
{
    struct answer answer;
    if (ask(doctor, &previous_indexes, &answer) && answer.numbers[0] > 0)
        doctor_say(doctor, FINDING_OK, "versions",
                   "when no program of the previous release is left, let the database's owner call "
                   "checkout.drop_previous_indexes()",
                   "%" PRId64 " indexes are there for programs of the previous release, %" PRId64
                   " MiB",
                   answer.numbers[0], answer.numbers[1]);
}

/* Compares the files with the database. Returns whether all tables exist. */
static bool tell_migrations(struct doctor *doctor, const struct sql_files *files,
                            const struct migrations *migrations)
{
    size_t missing = 0;
    size_t changed = 0;
    int newest = files->files[files->count - 1].version;
    for (size_t i = 0; i < files->count; i++) {
        missing += migrations->states[i] == MIGRATION_MISSING ? 1 : 0;
        changed += migrations->states[i] == MIGRATION_CHANGED ? 1 : 0;
    }
    if (changed > 0)
        doctor_say(doctor, FINDING_FAIL, "migrations",
                   "use the version of this program that the database was migrated with",
                   "%zu of %zu were applied with other content", changed, files->count);
    if (missing > 0)
        doctor_say(doctor, FINDING_FAIL, "migrations", "run `checkoutctl migrate`",
                   "%zu of %zu are missing", missing, files->count);
    if (migrations->newest > newest)
        doctor_say(doctor, FINDING_WARN, "migrations", "use the newer programs everywhere",
                   "the database is at %03d, newer than this program (%03d)", migrations->newest,
                   newest);
    else if (migrations->functions_due)
        doctor_say(doctor, FINDING_FAIL, "migrations", "run `checkoutctl migrate`",
                   "the functions are those of another version");
    else if (missing + changed == 0)
        doctor_say(doctor, FINDING_OK, "migrations", "", "all %zu applied, and the functions",
                   files->count);
    return missing == 0;
}

/* Whether all migrations are applied; else it skips the checks that need the tables. */
static bool check_migrations(struct doctor *doctor)
{
    struct sql_files files;
    struct migrations migrations;
    struct buf problem;
    buf_init(&problem, CTL_PROBLEM_SIZE);
    if (sql_files_read(NULL, &files, &problem) < 0) {
        doctor_say(doctor, FINDING_WARN, "migrations", "install the program's data folder", "%s",
                   buf_text(&problem));
        buf_free(&problem);
        return true;
    }
    buf_free(&problem);
    if (migrations_compare(doctor->ctl, &files, &migrations) != CTL_FINE) {
        doctor_say(doctor, FINDING_FAIL, "migrations", "", "%s", doctor->ctl->problem);
        sql_files_free(&files);
        return false;
    }
    bool complete = tell_migrations(doctor, &files, &migrations);
    migrations_free(&migrations);
    sql_files_free(&files);
    return complete;
}

/* One that was killed leaves the shop closed until it goes on. */
static void check_reshard(struct doctor *doctor)
{
    struct move move;
    if (moves_read(doctor->ctl, &move) != CTL_FINE || move.state == MOVE_NONE)
        return;
    doctor_say(doctor, FINDING_FAIL, "reshard",
               move.state < MOVE_MOVED
                   ? "run `checkoutctl reshard`, which goes on, or `checkoutctl reshard --abort`"
                   : "run `checkoutctl reshard`, which goes on",
               "a change from %u to %u shards is unfinished (%s)", move.from, move.to,
               moves_word(move.state));
}

static void check_service(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    struct answer answer;
    char fingerprint[IDS_FINGERPRINT_SIZE];
    if (!ask(doctor, &service, &answer))
        return;
    if (answer.rows == 0) {
        doctor_say(doctor, FINDING_FAIL, "shards", "run `checkoutctl topology`",
                   "none are in service");
        return;
    }
    if (doctor->shards == 0)
        doctor->shards = (uint32_t)answer.numbers[0];
    if (answer.numbers[0] != doctor->shards)
        doctor_say(doctor, FINDING_FAIL, "shards",
                   "unset CHECKOUT_SHARDS, or set it to the number in service",
                   "%" PRId64 " are in service, CHECKOUT_SHARDS is %u", answer.numbers[0],
                   doctor->shards);
    else
        doctor_say(doctor, FINDING_OK, "shards", "", "%u are in service", doctor->shards);
    check_reshard(doctor);
    if (secret_fingerprint(ctl, fingerprint) < 0)
        return;
    if (strcmp(answer.texts[0][1], fingerprint) != 0)
        doctor_say(doctor, FINDING_FAIL, "secrets",
                   answer.texts[0][1][0] == '\0'
                       ? "run `checkoutctl topology`"
                       : "restore the secret's file: retries of buyers must find their orders",
                   answer.texts[0][1][0] == '\0'
                       ? "the database knows no secret of order ids yet"
                       : "CHECKOUT_ORDER_SECRET_FILE is not the secret that ids were made with");
    else
        doctor_say(doctor, FINDING_OK, "secrets", "", "order ids are made with the recorded one");
}

static void check_payments(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &stopped, &answer))
        return;
    if (answer.numbers[0] == 0)
        doctor_pace(doctor);
    else if (strncmp(answer.texts[0][1], "misconfigured", strlen("misconfigured")) == 0)
        doctor_say(doctor, FINDING_FAIL, "payments",
                   "set CHECKOUT_GATEWAY_URL, CHECKOUT_GATEWAY_KEY_FILE and "
                   "CHECKOUT_GATEWAY_VERSION right; orders wait meanwhile, none is rejected",
                   "the gateway refuses our key or our requests: stopped in %" PRId64
                   " shards (%s)",
                   answer.numbers[0], answer.texts[0][1]);
    else
        doctor_say(doctor, FINDING_WARN, "payments",
                   "ask the gateway's operators; payments go on when it answers again",
                   "the gateway fails mostly: stopped in %" PRId64 " shards (%s)",
                   answer.numbers[0], answer.texts[0][1]);
}

static void check_refunds(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &refused_refunds, &answer))
        return;
    if (answer.numbers[0] > 0)
        doctor_say(doctor, FINDING_FAIL, "refunds",
                   "checkoutctl payments unknown names them: retry with checkoutctl orders refund "
                   "ID, or return the money yourself and run checkoutctl payments resolve ID "
                   "refunded --note WHY",
                   "money that is to go back, and the refund failed: %" PRId64 " times",
                   answer.numbers[0]);
    else
        doctor_say(doctor, FINDING_OK, "refunds", "", "none has failed");
}

static void check_stock(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &oversold, &answer))
        return;
    if (answer.numbers[0] > 0)
        doctor_say(doctor, FINDING_FAIL, "items", "stop selling and check them at once",
                   "%" PRId64 " have more held and sold than stock", answer.numbers[0]);
    else
        doctor_say(doctor, FINDING_OK, "items", "", "none is oversold");
}

static void check_aside(struct doctor *doctor)
{
    struct answer answer;
    if (!ask(doctor, &set_aside, &answer))
        return;
    if (answer.numbers[0] > 0)
        doctor_say(doctor, FINDING_WARN, "set aside",
                   "`checkoutctl items list` names them: look for a session that holds their rows "
                   "(pg_locks), and end it",
                   "%" PRId64 " items cannot be decided, the oldest for %" PRId64
                   " s; their orders wait for that",
                   answer.numbers[0], answer.numbers[1]);
    else
        doctor_say(doctor, FINDING_OK, "set aside", "", "every item can be decided");
}

void doctor_database(struct doctor *doctor)
{
    const char *reason;
    enum contact_state link = ctl_meet(doctor->ctl, &contact_pg_any, &reason);
    if (strchr(cfg_str(doctor->ctl->cfg, CFG_DATABASE_URL), ',') != NULL)
        doctor_hosts(doctor);
    if (link != CONTACT_UP) {
        doctor_say(doctor, FINDING_FAIL, "postgresql",
                   link == CONTACT_DOWN
                       ? "start it, or set CHECKOUT_DATABASE_URL right; orders are accepted and "
                         "wait meanwhile"
                       : "set CHECKOUT_DATABASE_URL right",
                   "%s", reason);
        return;
    }
    doctor_limit_queries(doctor);
    check_version(doctor);
    doctor_session(doctor);
    doctor_commits(doctor);
    check_durability(doctor);
    check_log(doctor);
    check_clock(doctor);
    check_producer_clocks(doctor);
    if (!check_migrations(doctor))
        return;
    check_programs(doctor);
    check_previous_indexes(doctor);
    check_service(doctor);
    doctor_members(doctor);
    doctor_daemons(doctor);
    check_payments(doctor);
    check_refunds(doctor);
    doctor_money(doctor);
    doctor_mails(doctor);
    doctor_hooks(doctor);
    check_stock(doctor);
    check_aside(doctor);
}
