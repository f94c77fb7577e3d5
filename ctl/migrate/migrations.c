#include "ctl/migrate/migrations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_BYTES_MAX ((size_t)256 * 1024)
#define FILES_BYTES_MAX ((size_t)64 * 1024 * 1024)

static const struct pg_statement exist = {
    "ctl_migrations_exist",
    "select to_regclass('public.checkout_migrations') is not null,"
    " to_regclass('public.checkout_functions') is not null",
    0};

static const struct pg_statement compare_numbered = {
    "ctl_migrations_compare",
    "with kept as ("
    "    select m.version, m.checksum, exists ("
    "           select 1 from unnest($3::text[], $4::text[]) as b(name, checksum)"
    "            where b.name = m.name and b.checksum = m.checksum) as of_baseline"
    "      from public.checkout_migrations m),"
    " counted as ("
    "    select coalesce(max(version) filter (where not of_baseline), 0) as newest,"
    "           count(*) filter (where of_baseline) as of_baseline, count(*) as total from kept)"
    " select k.checksum is null, k.checksum = encode(sha256(convert_to(f.content, 'UTF8')), 'hex'),"
    "        c.newest, c.of_baseline, c.total"
    "   from unnest($1::integer[], $2::text[]) with ordinality as f(version, content, n)"
    "  cross join counted c"
    "   left join kept k on k.version = f.version"
    "  order by f.n",
    4};

/* A dump that was restored at another server, or without privileges, has lost what roles.sql gave:
 * then that file counts as changed. */
static const struct pg_statement compare_functions = {
    "ctl_functions_compare",
    "select k.checksum is null,"
    "       k.checksum = encode(sha256(convert_to(f.content, 'UTF8')), 'hex')"
    "       and (f.name <> 'roles.sql' or r.lacking = 0)"
    "  from unnest($1::text[], $2::text[]) with ordinality as f(name, content, n)"
    " cross join (select count(*) filter (where not coalesce(has_schema_privilege("
    "                    to_regrole('checkout_' || part), to_regnamespace('checkout'), 'usage'), "
    "false)) as lacking"
    "               from unnest(array['producer', 'consumer', 'notifier', 'mailer', 'webhooks', "
    "'console', 'operator',"
    "                                 'requester', 'keeper']) part) r"
    "  left join public.checkout_functions k on k.name = f.name"
    " order by f.n",
    2};

struct comparison {
    const struct sql_files *files;
    struct migrations *migrations;
};

static enum migration_state state_of(const struct pg_result *result, int row)
{
    if (pg_bool(result, row, 0))
        return MIGRATION_MISSING;
    return pg_bool(result, row, 1) ? MIGRATION_PRESENT : MIGRATION_CHANGED;
}

static void read_exist(const struct pg_result *result, void *arg)
{
    bool *present = arg;
    present[0] = pg_bool(result, 0, 0);
    present[1] = pg_bool(result, 0, 1);
}

static void read_numbered(const struct pg_result *result, void *arg)
{
    const struct comparison *comparison = arg;
    struct migrations *migrations = comparison->migrations;
    size_t expected = comparison->files->baseline_count;
    for (int row = 0; row < pg_rows(result); row++)
        migrations->states[row] = state_of(result, row);
    migrations->newest = (int)pg_int(result, 0, 2);
    if (expected == 0 || migrations->states[0] != MIGRATION_MISSING)
        return;
    if ((size_t)pg_int(result, 0, 3) == expected)
        migrations->states[0] = MIGRATION_ACCEPTED;
    else
        migrations->unknown = pg_int(result, 0, 4) > 0;
}

static void read_functions(const struct pg_result *result, void *arg)
{
    const struct comparison *comparison = arg;
    for (int row = 0; row < pg_rows(result); row++)
        comparison->migrations->functions[row] = state_of(result, row);
}

static int ask_numbered(struct ctl *ctl, struct comparison *comparison)
{
    const struct sql_files *files = comparison->files;
    struct buf arrays[4];
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        buf_init(&arrays[i], i == 1 ? FILES_BYTES_MAX : NAMES_BYTES_MAX);
        pg_array_begin(&arrays[i]);
    }
    for (size_t i = 0; i < files->count; i++) {
        pg_array_int(&arrays[0], files->files[i].version);
        pg_array_text(&arrays[1], buf_text(&files->files[i].text));
    }
    for (size_t i = 0; i < files->baseline_count; i++) {
        pg_array_text(&arrays[2], files->baseline[i].name);
        pg_array_text(&arrays[3], files->baseline[i].checksum);
    }
    const char *params[ARRAY_LEN(arrays)];
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        pg_array_end(&arrays[i]);
        params[i] = buf_text(&arrays[i]);
    }
    int exit_code = ctl_try_query(ctl, &compare_numbered, params, read_numbered, comparison);
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
        buf_free(&arrays[i]);
    return exit_code;
}

static int ask_functions(struct ctl *ctl, struct comparison *comparison)
{
    const struct sql_files *files = comparison->files;
    struct buf names, contents;
    buf_init(&names, NAMES_BYTES_MAX);
    buf_init(&contents, FILES_BYTES_MAX);
    pg_array_begin(&names);
    pg_array_begin(&contents);
    for (size_t i = 0; i < files->function_count; i++) {
        pg_array_text(&names, files->functions[i].name);
        pg_array_text(&contents, buf_text(&files->functions[i].text));
    }
    pg_array_end(&names);
    pg_array_end(&contents);
    const char *const params[] = {buf_text(&names), buf_text(&contents)};
    int exit_code = ctl_try_query(ctl, &compare_functions, params, read_functions, comparison);
    buf_free(&names);
    buf_free(&contents);
    return exit_code;
}

static int compare(struct ctl *ctl, struct comparison *comparison)
{
    bool present[2] = {false, false};
    const struct sql_files *files = comparison->files;
    int exit_code = ctl_try_query(ctl, &exist, NULL, read_exist, present);
    if (exit_code == CTL_FINE && present[0])
        exit_code = ask_numbered(ctl, comparison);
    if (exit_code == CTL_FINE && present[1] && files->function_count > 0)
        exit_code = ask_functions(ctl, comparison);
    for (size_t i = 0; i < files->function_count; i++)
        if (comparison->migrations->functions[i] != MIGRATION_PRESENT)
            comparison->migrations->functions_due = true;
    return exit_code;
}

int migrations_compare(struct ctl *ctl, const struct sql_files *files,
                       struct migrations *ret_migrations)
{
    /* a folder may have no function files: one more, so that NULL means no memory */
    struct migrations migrations = {
        .states = calloc(files->count, sizeof *migrations.states),
        .functions = calloc(files->function_count + 1, sizeof *migrations.functions)};
    struct comparison comparison = {files, &migrations};
    int exit_code = CTL_FAILED;
    if (migrations.states == NULL || migrations.functions == NULL)
        (void)snprintf(ctl->problem, sizeof ctl->problem, "out of memory");
    else
        exit_code = compare(ctl, &comparison);
    if (exit_code == CTL_FINE)
        *ret_migrations = migrations;
    else
        migrations_free(&migrations);
    return exit_code;
}

void migrations_free(struct migrations *migrations)
{
    free(migrations->states);
    free(migrations->functions);
    *migrations = (struct migrations){0};
}
