#include "ctl/migrate/sql_apply.h"

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/utf8.h"

/* PostgreSQL's bound for a statement of a file (see sql_apply_begin), and ours for a whole file,
 * which is longer: after it PostgreSQL is taken for silent. */
#define STATEMENT_MAX "10min"
#define FILE_MS 1200000

struct outcome {
    struct ctl *ctl;
    int exit_code;
    int position; /* of the error, in characters from 1; 0: unknown */
};

static void script_done(const struct pg_result *result, void *arg)
{
    struct outcome *outcome = arg;
    struct ctl *ctl = outcome->ctl;
    outcome->exit_code = pg_status(result) == PG_OK ? CTL_FINE : CTL_FAILED;
    outcome->position = pg_error_position(result);
    ctl_keep_problem(ctl, result);
    loop_stop(ctl->loop);
}

/* Runs a script and waits. Returns a negative ERR_* if it was not sent. */
static int run_script(struct ctl *ctl, const char *script, struct outcome *outcome)
{
    *outcome = (struct outcome){ctl, CTL_FAILED, 0};
    int code = pg_script(ctl->pg, script, script_done, outcome);
    if (code == 0)
        loop_run(ctl->loop);
    return code;
}

static int run_words(struct ctl *ctl, const char *what, const char *script)
{
    struct outcome outcome;
    int code = run_script(ctl, script, &outcome);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "%s: %s; nothing was applied", what, err_text(code));
    if (outcome.exit_code == CTL_FINE)
        return CTL_FINE;
    return ctl_was_locked_out(ctl) ? SQL_APPLY_BUSY : ctl_complain_query(ctl);
}

/*
 * Writers of orders first lock a row of checkout.shards. So none is inside its transaction while
 * tables and functions change, and none can deadlock with this. But the sale stands still from here
 * on, also while a table is waited for that somebody else reads: so no lock is waited for long. It
 * is longer than PostgreSQL's deadlock_timeout (1 s), after which an autovacuum makes room. And if
 * this program, its host or the network hangs in between, PostgreSQL ends the transaction.
 */
int sql_apply_begin(struct ctl *ctl)
{
    return run_words(ctl, "begin",
                     "begin;"
                     "set local lock_timeout = '1500ms';"
                     "set local statement_timeout = '" STATEMENT_MAX "';"
                     "set local idle_in_transaction_session_timeout = '10s';"
                     "do $$ begin"
                     " if to_regclass('checkout.shards') is not null then"
                     "  lock table checkout.shards in exclusive mode;"
                     " end if;"
                     "end $$;");
}

int sql_apply_commit(struct ctl *ctl)
{
    struct outcome outcome;
    if (run_script(ctl, "commit", &outcome) == 0 && outcome.exit_code == CTL_FINE)
        return CTL_FINE;
    (void)ctl_complain_query(ctl);
    return ctl_complain(CTL_FAILED, "whether it was applied is not known; run it again: it finds "
                                    "what is there");
}

int sql_apply_roll_back(struct ctl *ctl)
{
    return run_words(ctl, "rollback", "rollback");
}

/* The line of a character (from 1) in UTF-8 text. */
static int line_of(const char *text, int position)
{
    int line = 1;
    const char *end = text + utf8_skip(text, (size_t)position - 1);
    for (; text < end; text++)
        line += *text == '\n';
    return line;
}

static int complain(const struct sql_file *file, const struct outcome *outcome)
{
    char place[32] = "";
    if (outcome->position > 0)
        (void)snprintf(place, sizeof place, " line %d",
                       line_of(buf_text(&file->text), outcome->position));
    return ctl_complain(CTL_FAILED, "%s%s: %s (%s); nothing was applied", file->name, place,
                        outcome->ctl->problem, outcome->ctl->sqlstate);
}

/* The statement that records a file; its text is quoted, and PostgreSQL makes the checksum. */
static void put_record(struct buf *script, const struct sql_file *file)
{
    if (file->version > 0)
        (void)buf_printf(script,
                         "insert into public.checkout_migrations (version, name, checksum) "
                         "values (%d, '%s', ",
                         file->version, file->name);
    else
        (void)buf_printf(script,
                         "insert into public.checkout_functions (name, checksum) values ('%s', ",
                         file->name);
    (void)buf_str(script, "encode(sha256(convert_to('");
    for (const char *p = buf_text(&file->text); *p != '\0'; p++) {
        (void)buf_char(script, *p);
        if (*p == '\'')
            (void)buf_char(script, '\'');
    }
    (void)buf_str(script, "', 'UTF8')), 'hex'))");
    if (file->version == 0)
        (void)buf_str(script, " on conflict (name) do update"
                              " set checksum = excluded.checksum, applied_at = now()");
    (void)buf_char(script, ';');
}

static int apply(struct ctl *ctl, const struct sql_file *file, const char *text)
{
    struct buf script;
    struct outcome outcome = {ctl, CTL_FAILED, 0};
    buf_init(&script, SQL_FILE_MAX * 3);
    (void)buf_printf(&script, "%s\n;\n", text);
    put_record(&script, file);
    pg_patience(ctl->pg, FILE_MS);
    int code = script.failed ? ERR_FULL : run_script(ctl, buf_text(&script), &outcome);
    pg_patience(ctl->pg, CTL_ANSWER_MS);
    buf_free(&script);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "%s: %s; nothing was applied", file->name, err_text(code));
    if (outcome.exit_code == CTL_FINE)
        return CTL_FINE;
    return ctl_was_locked_out(ctl) ? SQL_APPLY_BUSY : complain(file, &outcome);
}

int sql_apply_file(struct ctl *ctl, const struct sql_file *file)
{
    return apply(ctl, file, buf_text(&file->text));
}

int sql_apply_remember(struct ctl *ctl, const struct sql_file *file)
{
    return apply(ctl, file, "");
}
