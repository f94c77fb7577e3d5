#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/shop/shard.h"
#include "ctl/command.h"
#include "ctl/items/items_file.h"
#include "ctl/progress.h"
#include "ctl/serving.h"

#define SHOWN_MAX 20 /* existing items to show to people */
#define PARAM_MAX ((size_t)128 * 1024 * 1024)

/* All of it or nothing, and only under the number of shards by which it was sorted. The answer: the
 * numbers (from 1) of those that existed. */
static const struct pg_statement insert = {
    "ctl_import",
    "with given as ("
    "  select * from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::text[],"
    "                       $6::integer[], $7::integer[], $8::text[], $9::timestamptz[],"
    "                       $10::timestamptz[], $11::text[]) with ordinality"
    "    as g(shard, sku, title, price, currency, stock, limit_per_user, gate, opens_at, "
    "closes_at, challenge, n)"
    "), held as materialized (select 1 from checkout.hold_shards($12::integer)"
    "), made as ("
    "  insert into checkout.items"
    "    (shard, sku, title, price, currency, stock, limit_per_user, gate, opens_at, closes_at,"
    "     challenge)"
    "  select shard, sku, title, price, currency, stock, limit_per_user, coalesce(gate, 'soldout'),"
    "         opens_at, closes_at, challenge from given cross join held order by sku"
    "  on conflict (sku) do nothing returning sku)"
    "select g.n from given g where not exists (select 1 from made m where m.sku = g.sku) order by "
    "g.n",
    12};

struct import {
    const char *path;
    struct items_file file;
    uint32_t shards;
    size_t *existing; /* indexes into file.items */
    size_t existing_count;
};

/* ---- reading ---- */

static int read_all(const char *path, struct buf *out)
{
    bool standard = strcmp(path, "-") == 0;
    char block[65536];
    FILE *stream = standard ? stdin : fopen(path, "re");
    if (stream == NULL)
        return ctl_complain(CTL_FAILED, "cannot read %s: %s", path, strerror(errno));
    size_t len;
    while ((len = fread(block, 1, sizeof block, stream)) > 0 && !out->failed)
        (void)buf_append(out, block, len); /* a failure sticks to the buffer */
    bool failed = ferror(stream) != 0;
    int error = errno;
    if (!standard)
        (void)fclose(stream); /* only read */
    if (failed)
        return ctl_complain(CTL_FAILED, "cannot read %s: %s", path, strerror(error));
    if (out->failed)
        return ctl_complain(CTL_FAILED, "%s is larger than %zu MiB; split it", path,
                            ITEMS_FILE_MAX / 1024 / 1024);
    return CTL_FINE;
}

static int read_file(struct import *import)
{
    struct buf data;
    buf_init(&data, ITEMS_FILE_MAX);
    int exit_code = read_all(import->path, &data);
    if (exit_code == CTL_FINE &&
        items_file_parse(buf_text(&data), data.len, clock_wall_ms(), &import->file) < 0)
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    buf_free(&data);
    return exit_code;
}

/* ---- telling ---- */

static void tell_problems(const struct import *import, const struct items_problems *problems,
                          const char *kind)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct items_problem *problem = &problems->list[i];
        (void)fprintf(stderr, "%s:%u: %s%s%s%s\n", import->path, problem->line, kind,
                      problem->field, problem->field[0] == '\0' ? "" : ": ", problem->text);
    }
}

static void json_problems(const struct items_problems *problems, struct buf *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct items_problem *problem = &problems->list[i];
        (void)buf_printf(out, "%s{\"line\":%u,\"field\":", i == 0 ? "" : ",", problem->line);
        (void)buf_json_str(out, problem->field);
        (void)buf_str(out, ",\"problem\":");
        (void)buf_json_str(out, problem->text);
        (void)buf_char(out, '}');
    }
}

static void tell_json(const struct import *import, size_t imported)
{
    struct buf out;
    buf_init(&out, PARAM_MAX);
    (void)buf_printf(&out, "{\"imported\":%zu,\"existing\":[", imported);
    for (size_t i = 0; i < import->existing_count; i++) {
        const struct item *item = &import->file.items[import->existing[i]];
        (void)buf_str(&out, i == 0 ? "" : ",");
        (void)buf_json_str(&out, item->fields[ITEMS_SKU]);
    }
    (void)buf_str(&out, "],\"problems\":[");
    json_problems(&import->file.problems, &out);
    (void)buf_str(&out, "],\"warnings\":[");
    json_problems(&import->file.warnings, &out);
    (void)printf("%s]}\n", buf_text(&out));
    buf_free(&out);
}

static void tell(const struct import *import, size_t imported)
{
    for (size_t i = 0; i < import->existing_count && i < SHOWN_MAX; i++) {
        const struct item *item = &import->file.items[import->existing[i]];
        (void)printf("%s (line %u) is there already, left alone\n", item->fields[ITEMS_SKU],
                     item->line);
    }
    if (import->existing_count > SHOWN_MAX)
        (void)printf("... and %zu more are there already\n", import->existing_count - SHOWN_MAX);
    (void)printf("%zu item%s imported", imported, imported == 1 ? "" : "s");
    if (import->existing_count > 0)
        (void)printf(", %zu left alone", import->existing_count);
    if (import->file.problems.count > 0)
        (void)printf(", %zu problem%s", import->file.problems.count,
                     import->file.problems.count == 1 ? "" : "s");
    (void)printf("\n");
}

/* ---- writing ---- */

static void read_existing(const struct pg_result *result, void *arg)
{
    struct import *import = arg;
    for (int row = 0; row < pg_rows(result); row++)
        import->existing[import->existing_count++] = (size_t)pg_int(result, row, 0) - 1;
}

/* One array for each parameter: the shards, then the columns. */
static void fill_arrays(const struct import *import, struct buf *arrays)
{
    for (size_t c = 0; c <= ITEMS_COLUMNS; c++)
        pg_array_begin(&arrays[c]);
    for (size_t i = 0; i < import->file.count; i++) {
        char *const *fields = import->file.items[i].fields;
        const char *sku = fields[ITEMS_SKU];
        pg_array_int(&arrays[0], shard_of(sku, strlen(sku), import->shards));
        for (size_t c = 0; c < ITEMS_COLUMNS; c++)
            pg_array_text(&arrays[c + 1], fields[c]);
    }
    for (size_t c = 0; c <= ITEMS_COLUMNS; c++)
        pg_array_end(&arrays[c]);
}

static int write_items(struct ctl *ctl, struct import *import)
{
    struct buf arrays[ITEMS_COLUMNS + 1];
    const char *params[ITEMS_COLUMNS + 2];
    char shards[16];
    struct progress progress = {false, 0};
    bool failed = false;
    for (size_t c = 0; c <= ITEMS_COLUMNS; c++)
        buf_init(&arrays[c], PARAM_MAX);
    fill_arrays(import, arrays);
    for (size_t c = 0; c <= ITEMS_COLUMNS; c++) {
        params[c] = buf_text(&arrays[c]);
        failed = failed || arrays[c].failed;
    }
    (void)snprintf(shards, sizeof shards, "%u", import->shards);
    params[ITEMS_COLUMNS + 1] = shards;
    progress_show(&progress, "importing", 0, 0);
    int exit_code = failed ? ctl_complain(CTL_FAILED, "out of memory")
                           : ctl_query(ctl, &insert, params, read_existing, import);
    progress_end(&progress);
    for (size_t c = 0; c <= ITEMS_COLUMNS; c++)
        buf_free(&arrays[c]);
    return exit_code;
}

static int store(struct ctl *ctl, struct import *import)
{
    import->existing = calloc(import->file.count + 1, sizeof *import->existing);
    if (import->existing == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = serving_need(ctl, &import->shards);
    if (exit_code == CTL_FINE && import->file.count > 0)
        exit_code = write_items(ctl, import);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct import import = {.path = args->operands[0]};
    bool skip = command_switch(&command_items_import, args, "skip-bad");
    int exit_code = read_file(&import);
    if (exit_code != CTL_FINE)
        return exit_code;
    size_t imported = 0;
    bool bad = import.file.problems.count > 0;
    if (!ctl->json) {
        tell_problems(&import, &import.file.problems, "");
        tell_problems(&import, &import.file.warnings, "warning: ");
    }
    if (bad && !skip) {
        exit_code = CTL_FAILED; /* all or nothing */
    } else {
        exit_code = store(ctl, &import);
        imported = exit_code == CTL_FINE ? import.file.count - import.existing_count : 0;
    }
    bool stored = exit_code == CTL_FINE;
    if (ctl->json && (stored || (bad && !skip)))
        tell_json(&import, imported);
    else if (stored)
        tell(&import, imported);
    else if (bad && !skip)
        (void)ctl_complain(CTL_FAILED, "nothing was imported: %zu problem%s in %s",
                           import.file.problems.count, import.file.problems.count == 1 ? "" : "s",
                           import.path);
    items_file_free(&import.file);
    free(import.existing);
    return exit_code;
}

const struct command command_items_import = {
    .words = "items import",
    .operands = "FILE.csv",
    .operand_count = 1,
    .summary = "puts the items of a CSV file on sale",
    .details =
        "The first line names the columns, in any order: sku, title, price, currency (usd), "
        "stock; and, if wanted, limit_per_user, gate (none, soldout, lock), opens_at, closes_at "
        "(2026-01-31T18:00:00Z), challenge (what claim human of the token must name). Prices are "
        "in the minor units of Stripe: 1999 for 19.99 usd, "
        "1999 for 1999 jpy, 19990 for 19.990 kwd, 199900 for 1999 isk or ugx. A price that the "
        "gateway would refuse is refused. Fields are separated by commas, in UTF-8; empty rows, "
        "and empty columns at the right, do not count. Imports all lines or none. An "
        "existing item stays as it is; items set changes it. FILE.csv may be - for the "
        "standard input.",
    .options = {{"skip-bad", NULL, "import the good lines, report the bad ones"}},
    .settings = CFG_BIT(DATABASE_URL),
    .patient = true,
    .run = run,
};
