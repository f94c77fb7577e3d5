#include "ctl/reshard/moves.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/shop/shard.h"

#define NUMBER_SIZE 24
#define SKUS_AT_ONCE "2000"
#define SKUS_MAX ((size_t)512 * 1024)
#define RELAYS_MS "700" /* so long the writers may wait for the relays */
#define IMPOSSIBLE "CK002"
#define LOCK_WAIT_MS 15000 /* the session of one that was killed ends its last statement first */
#define LOCK_LOOK_MS 100

/* Advisory lock (class, object), as of the dead letters. */
static const struct pg_statement try_lock = {"ctl_reshard_lock",
                                             "select pg_try_advisory_lock(1128811600, 2)", 0};
static const struct pg_statement read_move = {
    "ctl_reshard_read",
    "select reshard_id, from_shards, to_shards, state from checkout.show_reshard()", 0};
static const struct pg_statement read_size = {
    "ctl_reshard_size", "select items, waiting, payments, others from checkout.reshard_size()", 0};
static const struct pg_statement read_problem = {
    "ctl_reshard_problem", "select coalesce(checkout.reshard_problem($1::integer), '')", 1};
static const struct pg_statement read_behind = {
    "ctl_reshard_behind",
    "select coalesce((select d.problem from checkout.database_problem(false) d), '')", 0};
static const struct pg_statement begin = {
    "ctl_reshard_begin", "select checkout.begin_reshard($1::integer, $2::text)", 2};
static const struct pg_statement homeless = {"ctl_reshard_homeless",
                                             "select checkout.homeless(" SKUS_AT_ONCE ")", 0};
static const struct pg_statement give_homes = {
    "ctl_reshard_homes", "select checkout.give_homes($1::text[], $2::integer[])", 2};
static const struct pg_statement step = {"ctl_reshard_step",
                                         "select checkout.step_reshard($1::bigint, $2::text)", 2};
static const struct pg_statement cut = {
    "ctl_reshard_cut", "select coalesce(checkout.move_shards($1::bigint, " RELAYS_MS "), '')", 1};
static const struct pg_statement read_unowned = {"ctl_reshard_unowned",
                                                 "select checkout.unowned_shards($1::integer)", 1};

static const char *const words[] = {
    [MOVE_NONE] = "",           [MOVE_BEGUN] = "begun",   [MOVE_CLOSED] = "closed",
    [MOVE_MOVED] = "moved",     [MOVE_OPEN] = "open",     [MOVE_DONE] = "done",
    [MOVE_UNDOING] = "undoing", [MOVE_UNDONE] = "undone",
};

const char *moves_word(enum move_state state)
{
    return words[state];
}

static enum move_state state_of(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], word) == 0)
            return (enum move_state)i;
    return MOVE_NONE;
}

static const char *number(char text[NUMBER_SIZE], int64_t value)
{
    (void)snprintf(text, NUMBER_SIZE, "%" PRId64, value);
    return text;
}

/* ---- reading ---- */

static void take_bool(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

static void take_word(const struct pg_result *result, void *arg)
{
    (void)snprintf(arg, MOVES_WHY_SIZE, "%s", pg_text(result, 0, 0));
}

static void take_count(const struct pg_result *result, void *arg)
{
    *(uint32_t *)arg = (uint32_t)pg_int(result, 0, 0);
}

static void take_move(const struct pg_result *result, void *arg)
{
    if (pg_rows(result) == 0)
        return;
    *(struct move *)arg = (struct move){.id = pg_int(result, 0, 0),
                                        .from = (uint32_t)pg_int(result, 0, 1),
                                        .to = (uint32_t)pg_int(result, 0, 2),
                                        .state = state_of(pg_text(result, 0, 3))};
}

static void take_size(const struct pg_result *result, void *arg)
{
    *(struct move_size *)arg = (struct move_size){pg_int(result, 0, 0), pg_int(result, 0, 1),
                                                  pg_int(result, 0, 2), pg_int(result, 0, 3)};
}

int moves_check_database(struct ctl *ctl)
{
    char why[MOVES_WHY_SIZE] = "";
    int exit_code = ctl_query(ctl, &read_behind, NULL, take_word, why);
    return exit_code != CTL_FINE || why[0] == '\0' ? exit_code
                                                   : ctl_complain(CTL_FAILED, "%s", why);
}

int moves_lock(struct ctl *ctl)
{
    bool locked = false;
    uint64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    for (;;) {
        int exit_code = ctl_query(ctl, &try_lock, NULL, take_bool, &locked);
        if (exit_code != CTL_FINE || locked)
            return exit_code;
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED, "another reshard is running");
        exit_code = ctl_rest(ctl, LOCK_LOOK_MS);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

int moves_read(struct ctl *ctl, struct move *ret_move)
{
    *ret_move = (struct move){0};
    return ctl_query(ctl, &read_move, NULL, take_move, ret_move);
}

int moves_size(struct ctl *ctl, struct move_size *ret_size)
{
    return ctl_query(ctl, &read_size, NULL, take_size, ret_size);
}

int moves_problem(struct ctl *ctl, uint32_t to, char ret_why[MOVES_WHY_SIZE])
{
    char text[NUMBER_SIZE];
    const char *const params[] = {number(text, to)};
    return ctl_query(ctl, &read_problem, params, take_word, ret_why);
}

int moves_unowned(struct ctl *ctl, uint32_t shards, uint32_t *ret_unowned)
{
    char text[NUMBER_SIZE];
    const char *const params[] = {number(text, shards)};
    return ctl_query(ctl, &read_unowned, params, take_count, ret_unowned);
}

/* ---- going on ---- */

int moves_begin(struct ctl *ctl, uint32_t to, const char *by)
{
    char text[NUMBER_SIZE];
    const char *const params[] = {number(text, to), by};
    if (ctl_try_query(ctl, &begin, params, NULL, NULL) == CTL_FINE)
        return CTL_FINE;
    return strcmp(ctl->sqlstate, IMPOSSIBLE) == 0 ? ctl_complain(CTL_FAILED, "%s", ctl->problem)
                                                  : ctl_complain_query(ctl);
}

struct homes {
    uint32_t to;
    int count;
    struct buf skus;
    struct buf shards;
};

static void sort_items(const struct pg_result *result, void *arg)
{
    struct homes *homes = arg;
    homes->count = pg_rows(result);
    for (int row = 0; row < homes->count; row++) {
        const char *sku = pg_text(result, row, 0);
        pg_array_text(&homes->skus, sku);
        pg_array_int(&homes->shards, shard_of(sku, strlen(sku), homes->to));
    }
}

static int place_some(struct ctl *ctl, struct homes *homes)
{
    buf_init(&homes->skus, SKUS_MAX);
    buf_init(&homes->shards, SKUS_MAX);
    pg_array_begin(&homes->skus);
    pg_array_begin(&homes->shards);
    int exit_code = ctl_query(ctl, &homeless, NULL, sort_items, homes);
    pg_array_end(&homes->skus);
    pg_array_end(&homes->shards);
    const char *const params[] = {buf_text(&homes->skus), buf_text(&homes->shards)};
    if (exit_code == CTL_FINE && (homes->skus.failed || homes->shards.failed))
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    if (exit_code == CTL_FINE && homes->count > 0)
        exit_code = ctl_query(ctl, &give_homes, params, NULL, NULL);
    buf_free(&homes->skus);
    buf_free(&homes->shards);
    return exit_code;
}

int moves_place_items(struct ctl *ctl, uint32_t to)
{
    struct homes homes = {.to = to, .count = 1};
    int exit_code = CTL_FINE;
    while (homes.count > 0 && exit_code == CTL_FINE)
        exit_code = place_some(ctl, &homes);
    return exit_code;
}

int moves_step(struct ctl *ctl, struct move *move, enum move_state to)
{
    char text[NUMBER_SIZE], word[MOVES_WHY_SIZE] = "";
    const char *const params[] = {number(text, move->id), words[to]};
    int exit_code = ctl_query(ctl, &step, params, take_word, word);
    if (exit_code == CTL_FINE)
        move->state = state_of(word);
    if (exit_code == CTL_FINE && move->state != to)
        return ctl_complain(CTL_FAILED, "the change is \"%s\", and cannot become \"%s\"", word,
                            words[to]);
    return exit_code;
}

int moves_cut(struct ctl *ctl, struct move *move, char ret_why[MOVES_WHY_SIZE])
{
    char text[NUMBER_SIZE];
    const char *const params[] = {number(text, move->id)};
    int exit_code = ctl_query(ctl, &cut, params, take_word, ret_why);
    if (exit_code == CTL_FINE && ret_why[0] == '\0')
        move->state = MOVE_MOVED;
    return exit_code;
}
