#include "ctl/migrations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_BYTES_MAX ((size_t)16 * 1024)
#define FILES_BYTES_MAX ((size_t)64 * 1024 * 1024)

static const struct pg_statement exists = {
    "ctl_migrations_exist", "select to_regclass('public.checkout_migrations') is not null", 0};

static const struct pg_statement compare = {
    "ctl_migrations_compare",
    "select m.checksum is null, m.checksum = encode(sha256(convert_to(f.content, 'UTF8')), 'hex'),"
    " (select coalesce(max(version), 0) from public.checkout_migrations)"
    "  from unnest($1::integer[], $2::text[]) with ordinality as f(version, content, n)"
    "  left join public.checkout_migrations m on m.version = f.version"
    " order by f.n",
    2};

static void read_exists(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

static void read_states(const struct pg_result *result, void *arg)
{
    struct migrations *migrations = arg;
    for (int row = 0; row < pg_rows(result); row++) {
        migrations->states[row] = pg_bool(result, row, 0)   ? MIGRATION_MISSING
                                  : pg_bool(result, row, 1) ? MIGRATION_PRESENT
                                                            : MIGRATION_CHANGED;
        migrations->newest = (int)pg_int(result, row, 2);
    }
}

static int ask(struct ctl *ctl, const struct sql_files *files, struct migrations *migrations)
{
    struct buf versions, contents;
    buf_init(&versions, VERSIONS_BYTES_MAX);
    buf_init(&contents, FILES_BYTES_MAX);
    pg_array_begin(&versions);
    pg_array_begin(&contents);
    for (size_t i = 0; i < files->count; i++) {
        pg_array_int(&versions, files->files[i].version);
        pg_array_text(&contents, buf_text(&files->files[i].text));
    }
    pg_array_end(&versions);
    pg_array_end(&contents);
    const char *const params[] = {buf_text(&versions), buf_text(&contents)};
    int exit_code = ctl_try_query(ctl, &compare, params, read_states, migrations);
    buf_free(&versions);
    buf_free(&contents);
    return exit_code;
}

int migrations_compare(struct ctl *ctl, const struct sql_files *files,
                       struct migrations *ret_migrations)
{
    bool present = false;
    struct migrations migrations = {calloc(files->count, sizeof *migrations.states), 0};
    if (migrations.states == NULL) {
        (void)snprintf(ctl->problem, sizeof ctl->problem, "out of memory");
        return CTL_FAILED;
    }
    int exit_code = ctl_try_query(ctl, &exists, NULL, read_exists, &present);
    if (exit_code == CTL_FINE && present)
        exit_code = ask(ctl, files, &migrations);
    if (exit_code == CTL_FINE)
        *ret_migrations = migrations;
    else
        migrations_free(&migrations);
    return exit_code;
}

void migrations_free(struct migrations *migrations)
{
    free(migrations->states);
    migrations->states = NULL;
}
