#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/migrations.h"
#include "ctl/progress.h"
#include "ctl/sql_files.h"

#define REPORT_MAX ((size_t)256 * 1024)

/* Held by the session until it ends; another migrate waits meanwhile. */
static const struct pg_statement lock = {
    "ctl_migrate_lock", "select pg_advisory_lock(hashtextextended('checkout_migrations', 0))", 0};

static const struct pg_statement make_table = {
    "ctl_migrate_table",
    "create table if not exists public.checkout_migrations ("
    " version integer primary key, name text not null, checksum text not null,"
    " applied_at timestamptz not null default now())",
    0};

static const struct pg_statement table_exists = {
    "ctl_migrate_table_exists", "select to_regclass('public.checkout_migrations') is not null", 0};

static const struct pg_statement can_keep = {
    "ctl_migrate_can_keep", "select to_regproc('checkout.keep_rows_out_of_the_log') is not null",
    0};

static const struct pg_statement keep_rows_out_of_the_log = {
    "ctl_migrate_log", "select checkout.keep_rows_out_of_the_log()", 0};

struct outcome {
    struct ctl *ctl;
    int exit_code;
    int position; /* of the mistake, in bytes from 1; 0: unknown */
};

static void script_done(const struct pg_result *result, void *arg)
{
    struct outcome *outcome = arg;
    struct ctl *ctl = outcome->ctl;
    outcome->exit_code = pg_status(result) == PG_OK ? CTL_FINE : CTL_FAILED;
    outcome->position = pg_error_position(result);
    (void)snprintf(ctl->sqlstate, sizeof ctl->sqlstate, "%s", pg_sqlstate(result));
    (void)snprintf(ctl->problem, sizeof ctl->problem, "%s", pg_message(result));
    loop_stop(ctl->loop);
}

/* The line of a character (from 1) in UTF-8 text. */
static int line_of(const char *text, int position)
{
    int line = 1;
    for (int seen = 0; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80 && ++seen >= position)
            break;
        if (*text == '\n')
            line++;
    }
    return line;
}

static int complain(const struct sql_file *file, const struct outcome *outcome)
{
    char place[32] = "";
    if (outcome->position > 0)
        (void)snprintf(place, sizeof place, " line %d",
                       line_of(buf_text(&file->text), outcome->position));
    return ctl_complain(CTL_FAILED, "%s%s: %s (%s); nothing of this file was applied", file->name,
                        place, outcome->ctl->problem, outcome->ctl->sqlstate);
}

/* Applies one file and remembers it, in one transaction. */
static int apply(struct ctl *ctl, const struct sql_file *file)
{
    struct buf script, quoted;
    buf_init(&quoted, SQL_FILE_MAX * 2);
    buf_init(&script, SQL_FILE_MAX * 3);
    for (const char *p = buf_text(&file->text); *p != '\0'; p++) {
        (void)buf_char(&quoted, *p);
        if (*p == '\'')
            (void)buf_char(&quoted, '\'');
    }
    (void)buf_printf(&script,
                     "%s\n;\ninsert into public.checkout_migrations (version, name, checksum) "
                     "values (%d, '%s', encode(sha256(convert_to('%s', 'UTF8')), 'hex'));",
                     buf_text(&file->text), file->version, file->name, buf_text(&quoted));
    struct outcome outcome = {ctl, CTL_FAILED, 0};
    bool failed = script.failed || quoted.failed;
    int code = failed ? ERR_FULL : pg_script(ctl->pg, buf_text(&script), script_done, &outcome);
    if (code == 0)
        loop_run(ctl->loop);
    buf_free(&quoted);
    buf_free(&script);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "%s: %s", file->name, err_text(code));
    return outcome.exit_code == CTL_FINE ? CTL_FINE : complain(file, &outcome);
}

static void tell(struct ctl *ctl, const struct sql_file *file, bool applied, uint64_t took_ms,
                 struct buf *report)
{
    if (ctl->json) {
        (void)buf_printf(report, "%s{\"version\":%d,\"name\":", report->len == 0 ? "" : ",",
                         file->version);
        (void)buf_json_str(report, file->name);
        (void)buf_printf(report, ",\"state\":\"%s\"", applied ? "applied" : "present");
        if (applied)
            (void)buf_printf(report, ",\"seconds\":%.3f", (double)took_ms / 1000);
        (void)buf_char(report, '}');
    } else if (applied) {
        (void)printf("%-32s applied in %.2f s\n", file->name, (double)took_ms / 1000);
    } else {
        (void)printf("%-32s is there already\n", file->name);
    }
    (void)fflush(stdout);
}

/* Nothing is applied while a file that was applied before has changed since. */
static int refuse_changed(const struct sql_files *files, const struct migrations *migrations)
{
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < files->count; i++)
        if (migrations->states[i] == MIGRATION_CHANGED)
            exit_code =
                ctl_complain(CTL_FAILED,
                             "%s/%s has other content than when it was applied; restore the file, "
                             "and put the change into a new one",
                             files->dir, files->files[i].name);
    return exit_code;
}

static int apply_missing(struct ctl *ctl, const struct sql_files *files,
                         const struct migrations *migrations, struct buf *report)
{
    struct progress progress = {false, 0};
    for (size_t i = 0; i < files->count; i++) {
        bool missing = migrations->states[i] == MIGRATION_MISSING;
        uint64_t start = clock_mono_ms();
        int exit_code = CTL_FINE;
        if (missing) {
            progress_show(&progress, files->files[i].name, 0, 0);
            exit_code = apply(ctl, &files->files[i]);
            progress_end(&progress);
        }
        if (exit_code != CTL_FINE)
            return exit_code;
        tell(ctl, &files->files[i], missing, clock_mono_ms() - start, report);
    }
    return CTL_FINE;
}

static void read_bool(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

/* Takes the lock and makes the table that remembers what was applied. */
static int prepare(struct ctl *ctl)
{
    bool there = false;
    struct progress progress = {false, 0};
    progress_show(&progress, "waiting for another migrate to end", 0, 0);
    int exit_code = ctl_query(ctl, &lock, NULL, NULL, NULL);
    progress_end(&progress);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &table_exists, NULL, read_bool, &there);
    if (exit_code == CTL_FINE && !there)
        exit_code = ctl_query(ctl, &make_table, NULL, NULL, NULL);
    return exit_code;
}

/* Who may not is told; nothing else depends on it. */
static int quieten_log(struct ctl *ctl)
{
    bool there = false; /* other files may have been given */
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

static int migrate(struct ctl *ctl, const struct sql_files *files, struct buf *report)
{
    struct migrations migrations;
    int exit_code = prepare(ctl);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (migrations_compare(ctl, files, &migrations) != CTL_FINE)
        return ctl_complain_query(ctl);
    exit_code = refuse_changed(files, &migrations);
    if (exit_code == CTL_FINE)
        exit_code = apply_missing(ctl, files, &migrations, report);
    int newest_file = files->files[files->count - 1].version;
    if (exit_code == CTL_FINE && migrations.newest > newest_file)
        (void)ctl_complain(CTL_FINE,
                           "note: the database is at migration %03d, which is newer than this "
                           "program (%03d)",
                           migrations.newest, newest_file);
    migrations_free(&migrations);
    return exit_code == CTL_FINE ? quieten_log(ctl) : exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct sql_files files;
    struct buf text;
    buf_init(&text, REPORT_MAX);
    int exit_code = CTL_FINE;
    if (sql_files_read(command_option(&command_migrate, args, "dir"), &files, &text) < 0)
        exit_code = ctl_complain(CTL_USAGE, "%s", buf_text(&text));
    if (exit_code == CTL_FINE) {
        exit_code = ctl_need_db(ctl);
        if (exit_code == CTL_FINE)
            exit_code = migrate(ctl, &files, &text);
        if (exit_code == CTL_FINE && ctl->json) {
            struct buf dir;
            buf_init(&dir, 8192);
            (void)buf_json_str(&dir, files.dir);
            (void)printf("{\"dir\":%s,\"migrations\":[%s]}\n", buf_text(&dir), buf_text(&text));
            buf_free(&dir);
        }
        sql_files_free(&files);
    }
    buf_free(&text);
    return exit_code;
}

const struct command command_migrate = {
    .words = "migrate",
    .operands = "",
    .summary = "brings the database's tables and functions up to date",
    .details = "Applies the files NNN_*.sql that the database has not had yet, in order, each in "
               "one transaction. Doing it again does nothing; two at once wait for each other. A "
               "file that was applied with other content is an error.",
    .options = {{"dir", "DIR", "where the files are, instead of the installed ones"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
