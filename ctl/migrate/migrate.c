#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "ctl/command.h"
#include "ctl/migrate/migrations.h"
#include "ctl/migrate/sql_apply.h"
#include "ctl/migrate/sql_files.h"
#include "ctl/migrate/turn.h"
#include "ctl/progress.h"

#define REPORT_MAX ((size_t)256 * 1024)
/* A try stops the sale for about 1.5 s (see sql_apply_begin): that is a quarter of the time. */
#define TRIES_MAX 60
#define REST_MS 4500

static const struct pg_statement make_table = {
    "ctl_migrate_table",
    "create table if not exists public.checkout_migrations ("
    " version integer primary key, name text not null, checksum text not null,"
    " applied_at timestamptz not null default now())",
    0};

static const struct pg_statement make_functions_table = {
    "ctl_migrate_functions_table",
    "create table if not exists public.checkout_functions ("
    " name text primary key, checksum text not null,"
    " applied_at timestamptz not null default now())",
    0};

static const struct pg_statement tables_exist = {
    "ctl_migrate_tables_exist",
    "select to_regclass('public.checkout_migrations') is not null"
    "   and to_regclass('public.checkout_functions') is not null",
    0};

static const struct pg_statement can_keep = {
    "ctl_migrate_can_keep", "select to_regproc('checkout.keep_rows_out_of_the_log') is not null",
    0};

static const struct pg_statement keep_rows_out_of_the_log = {
    "ctl_migrate_log", "select checkout.keep_rows_out_of_the_log()", 0};

/* The session whose transaction is the oldest: most likely the one that is in the way. Sessions of
 * other logins show no times unless ours may read pg_stat_activity. */
static const struct pg_statement find_oldest = {
    "ctl_migrate_oldest",
    "select pid, coalesce(nullif(application_name, ''), backend_type, '?'),"
    "       floor(extract(epoch from clock_timestamp() - xact_start))::bigint"
    "  from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
    "   and xact_start < clock_timestamp() - interval '1 second'"
    " order by xact_start limit 1",
    0};

/* Built concurrently, and interrupted or not yet done. "create index if not exists" would take it
 * for a good one, and no query uses it. */
static const struct pg_statement find_invalid = {
    "ctl_migrate_invalid",
    "select min(format('%I.%I', n.nspname, c.relname))"
    "  from pg_index i join pg_class c on c.oid = i.indexrelid"
    "  join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = 'checkout' and not i.indisvalid",
    0};

/* One run of migrate. */
struct run {
    struct ctl *ctl;
    const struct sql_files *files;
    struct migrations migrations;
    bool dry;
    struct buf numbered, functions; /* the report: JSON objects, or lines for people */
};

/* The state of a file after the run, for the report. */
static const char *state_name(const struct run *run, enum migration_state state)
{
    switch (state) {
    case MIGRATION_PRESENT:
        return "present";
    case MIGRATION_ACCEPTED:
        return "accepted";
    case MIGRATION_MISSING:
    case MIGRATION_CHANGED:
        return run->dry ? "pending" : "applied";
    }
    return "";
}

static void report_json(struct buf *report, const struct sql_file *file, const char *state,
                        double seconds)
{
    (void)buf_printf(report, "%s{", report->len == 0 ? "" : ",");
    if (file->version > 0)
        (void)buf_printf(report, "\"version\":%d,", file->version);
    (void)buf_str(report, "\"name\":");
    (void)buf_json_str(report, file->name);
    (void)buf_printf(report, ",\"state\":\"%s\"", state);
    if (strcmp(state, "applied") == 0)
        (void)buf_printf(report, ",\"seconds\":%.3f", seconds);
    (void)buf_char(report, '}');
}

static void report_words(struct buf *report, const struct sql_file *file, const char *state,
                         double seconds)
{
    int room = file->version > 0 ? 32 : 22;
    (void)buf_printf(report, "%s%-*s ", file->version > 0 ? "" : "functions/", room, file->name);
    if (strcmp(state, "applied") == 0)
        (void)buf_printf(report, "applied in %.2f s\n", seconds);
    else if (strcmp(state, "pending") == 0)
        (void)buf_str(report, "would be applied\n");
    else if (strcmp(state, "accepted") == 0)
        (void)buf_str(report, "is there already: made by earlier files\n");
    else
        (void)buf_str(report, "is there already\n");
}

/* Reports one file; printed at the end, after the commit. */
static void report(struct run *run, const struct sql_file *file, enum migration_state state,
                   uint64_t start_ms)
{
    double seconds = (double)(clock_mono_ms() - start_ms) / 1000;
    struct buf *part = file->version > 0 || !run->ctl->json ? &run->numbered : &run->functions;
    (run->ctl->json ? report_json : report_words)(part, file, state_name(run, state), seconds);
}

static void print_report(const struct run *run)
{
    struct buf dir;
    if (!run->ctl->json) {
        (void)printf("%s", buf_text(&run->numbered));
        return;
    }
    buf_init(&dir, 8192);
    (void)buf_json_str(&dir, run->files->dir);
    (void)printf("{\"dir\":%s,\"migrations\":[%s],\"functions\":[%s]}\n", buf_text(&dir),
                 buf_text(&run->numbered), buf_text(&run->functions));
    buf_free(&dir);
}

/* Applies nothing if an applied file has changed, or if the database's content is unknown. */
static int refuse_changed(const struct run *run)
{
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < run->files->count; i++)
        if (run->migrations.states[i] == MIGRATION_CHANGED)
            exit_code =
                ctl_complain(CTL_FAILED,
                             "%s/%s has other content than when it was applied; restore the file, "
                             "and put the change into a new one",
                             run->files->dir, run->files->files[i].name);
    if (run->migrations.unknown)
        exit_code = ctl_complain(
            CTL_FAILED, "the database was migrated by another state of this program than the one "
                        "that upgrades begin with; nothing was applied");
    return exit_code;
}

static int apply_one(struct run *run, const struct sql_file *file, enum migration_state state,
                     struct progress *progress)
{
    if (run->dry || (state == MIGRATION_PRESENT && file->version > 0))
        return CTL_FINE;
    progress_show(progress, file->name, 0, 0);
    int exit_code = state == MIGRATION_ACCEPTED ? sql_apply_remember(run->ctl, file)
                                                : sql_apply_file(run->ctl, file);
    progress_end(progress);
    return exit_code;
}

static int apply_numbered(struct run *run)
{
    struct progress progress = {false, 0};
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < run->files->count && exit_code == CTL_FINE; i++) {
        const struct sql_file *file = &run->files->files[i];
        uint64_t start_ms = clock_mono_ms();
        exit_code = apply_one(run, file, run->migrations.states[i], &progress);
        report(run, file, run->migrations.states[i], start_ms);
    }
    return exit_code;
}

/* Applies all of them if one has changed, so that each is that of its file. */
static int apply_functions(struct run *run)
{
    struct progress progress = {false, 0};
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < run->files->function_count && exit_code == CTL_FINE; i++) {
        const struct sql_file *file = &run->files->functions[i];
        uint64_t start_ms = clock_mono_ms();
        if (run->migrations.functions_due)
            exit_code = apply_one(run, file, run->migrations.functions[i], &progress);
        report(run, file, run->migrations.functions[i], start_ms);
    }
    return exit_code;
}

static bool anything_due(const struct run *run)
{
    for (size_t i = 0; i < run->files->count; i++)
        if (run->migrations.states[i] != MIGRATION_PRESENT)
            return true;
    return run->migrations.functions_due;
}

/* Applies all that is due in one transaction: running programs see the previous state or the new
 * one. */
static int apply_due(struct run *run)
{
    bool writes = !run->dry && anything_due(run);
    int exit_code = writes ? sql_apply_begin(run->ctl) : CTL_FINE;
    if (exit_code == CTL_FINE)
        exit_code = apply_numbered(run);
    if (exit_code == CTL_FINE)
        exit_code = apply_functions(run);
    if (exit_code == CTL_FINE && writes)
        exit_code = sql_apply_commit(run->ctl);
    return exit_code;
}

static void name_invalid(const struct pg_result *result, void *arg)
{
    (void)snprintf(arg, CTL_PROBLEM_SIZE, "%s", pg_text(result, 0, 0));
}

static int refuse_invalid(const struct run *run)
{
    char name[CTL_PROBLEM_SIZE] = "";
    if (!anything_due(run))
        return CTL_FINE;
    int exit_code = ctl_query(run->ctl, &find_invalid, NULL, name_invalid, name);
    if (exit_code != CTL_FINE || name[0] == '\0')
        return exit_code;
    return ctl_complain(CTL_FAILED,
                        "the index %s is not valid: its build goes on or was interrupted; wait, or "
                        "drop it and build it again; nothing was applied",
                        name);
}

static void name_oldest(const struct pg_result *result, void *arg)
{
    if (pg_rows(result) > 0)
        (void)snprintf(arg, CTL_PROBLEM_SIZE,
                       "; the oldest transaction is that of process %lld (%s), for %lld s",
                       (long long)pg_int(result, 0, 0), pg_text(result, 0, 1),
                       (long long)pg_int(result, 0, 2));
}

/* Ends a try that found a table locked. Says who may be in the way, and waits, unless it was the
 * last try. CTL_FINE: try again. */
static int make_room(struct run *run, int tries)
{
    char oldest[CTL_PROBLEM_SIZE] = "";
    buf_reset(&run->numbered);
    buf_reset(&run->functions);
    int exit_code = sql_apply_roll_back(run->ctl);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(run->ctl, &find_oldest, NULL, name_oldest, oldest);
    if (exit_code != CTL_FINE)
        return CTL_FAILED;
    if (tries == TRIES_MAX)
        return ctl_complain(CTL_FAILED,
                            "another session keeps a table locked%s; nothing was applied", oldest);
    if (tries == 1)
        (void)ctl_complain(CTL_FINE, "note: another session keeps a table locked%s; trying again",
                           oldest);
    return ctl_rest(run->ctl, REST_MS);
}

/* A long reader (a dump, an audit) has to end first; the sale goes on meanwhile. */
static int apply_patiently(struct run *run)
{
    for (int tries = 1;; tries++) {
        int exit_code = apply_due(run);
        if (exit_code != SQL_APPLY_BUSY)
            return exit_code;
        exit_code = make_room(run, tries);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

static void read_bool(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

/* Waits for its turn and creates the tables that record applied files. */
static int prepare(struct ctl *ctl)
{
    bool there = false;
    int exit_code = turn_await(ctl);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &tables_exist, NULL, read_bool, &there);
    if (exit_code == CTL_FINE && !there)
        exit_code = ctl_query(ctl, &make_table, NULL, NULL, NULL);
    if (exit_code == CTL_FINE && !there)
        exit_code = ctl_query(ctl, &make_functions_table, NULL, NULL, NULL);
    return exit_code;
}

/* Without the permission it only prints a note; nothing depends on it. */
static int quieten_log(struct ctl *ctl)
{
    bool there = false; /* --dir may name other files */
    bool done = false;
    int exit_code = ctl_query(ctl, &can_keep, NULL, read_bool, &there);
    if (exit_code != CTL_FINE || !there)
        return exit_code;
    exit_code = ctl_query(ctl, &keep_rows_out_of_the_log, NULL, read_bool, &done);
    if (exit_code == CTL_FINE && !done)
        (void)ctl_complain(CTL_FINE,
                           "note: PostgreSQL may write payment methods and addresses into its log; "
                           "let a superuser call checkout.keep_rows_out_of_the_log()");
    return exit_code;
}

/* Keeps the functions of a newer version: those of this program are older than the tables. */
static void note_newer(struct run *run)
{
    int newest_file = run->files->files[run->files->count - 1].version;
    if (run->migrations.newest <= newest_file)
        return;
    (void)ctl_complain(CTL_FINE,
                       "note: the database is at migration %03d, which is newer than this "
                       "program (%03d); its functions stay as they are",
                       run->migrations.newest, newest_file);
    run->migrations.functions_due = false;
}

static int migrate(struct run *run)
{
    struct ctl *ctl = run->ctl;
    int exit_code = run->dry ? CTL_FINE : prepare(ctl);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (migrations_compare(ctl, run->files, &run->migrations) != CTL_FINE)
        return ctl_complain_query(ctl);
    note_newer(run);
    exit_code = refuse_changed(run);
    if (exit_code == CTL_FINE)
        exit_code = refuse_invalid(run);
    if (exit_code == CTL_FINE)
        exit_code = apply_patiently(run);
    migrations_free(&run->migrations);
    if (exit_code == CTL_FINE)
        print_report(run);
    return exit_code == CTL_FINE && !run->dry ? quieten_log(ctl) : exit_code;
}

static int run_migrate(struct ctl *ctl, const struct command_args *args)
{
    struct sql_files files;
    struct run run = {.ctl = ctl, .files = &files};
    struct buf problem;
    buf_init(&problem, CTL_PROBLEM_SIZE);
    int code = sql_files_read(command_option(&command_migrate, args, "dir"), &files, &problem);
    if (code < 0)
        (void)ctl_complain(CTL_USAGE, "%s", buf_text(&problem));
    buf_free(&problem);
    if (code < 0)
        return CTL_USAGE;
    buf_init(&run.numbered, REPORT_MAX);
    buf_init(&run.functions, REPORT_MAX);
    run.dry = command_switch(&command_migrate, args, "dry-run");
    int exit_code = ctl_need(ctl, &contact_pg_any);
    if (exit_code == CTL_FINE)
        exit_code = migrate(&run);
    buf_free(&run.numbered);
    buf_free(&run.functions);
    sql_files_free(&files);
    return exit_code;
}

const struct command command_migrate = {
    .words = "migrate",
    .operands = "",
    .summary = "brings the database's tables and functions up to date",
    .details =
        "Applies the files NNN_*.sql that are new to the database, in order, and all functions "
        "if the text of one has changed, in one transaction. A second run does nothing; one that "
        "finds another at work waits for 10 minutes at most. A numbered file that was applied "
        "with other content is an error. The sale goes on: if another session keeps a table "
        "locked for more than 1.5 s (a dump, an audit), all is undone and tried again after 4.5 "
        "s, for 6 minutes. If it hangs itself, PostgreSQL undoes all after 10 s, and a statement "
        "of more than 10 minutes likewise.",
    .options = {{"dry-run", NULL, "only show what would be applied"},
                {"dir", "DIR", "folder of the files, instead of the installed one"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_migrate,
};
