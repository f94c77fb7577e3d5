#include "ctl/migrate/turn.h"

#include <stdio.h>

#include "common/base/clock.h"

/* Longer than another migrate tries for. */
#define TURN_WAIT_MS 600000
#define TURN_LOOK_MS 100

/* The session holds it until it ends; another migrate waits meanwhile. Who holds it, if we do not.
 */
static const struct pg_statement take_turn = {
    "ctl_migrate_turn",
    "select pg_try_advisory_lock(t.key), a.pid, coalesce(nullif(a.application_name, ''), '?')"
    "  from (select hashtextextended('checkout_migrations', 0) as key) t"
    "  left join lateral (select l.pid from pg_locks l"
    "                      where l.locktype = 'advisory' and l.granted and l.objsubid = 1"
    "                        and l.database = (select d.oid from pg_database d"
    "                                           where d.datname = current_database())"
    "                        and (l.classid::bigint << 32 | l.objid::bigint) = t.key) h on true"
    "  left join pg_stat_activity a on a.pid = h.pid"
    " limit 1",
    0};

struct turn {
    bool ours;
    char holder[CTL_PROBLEM_SIZE];
};

static void read_turn(const struct pg_result *result, void *arg)
{
    struct turn *turn = arg;
    turn->ours = pg_bool(result, 0, 0);
    if (!pg_null(result, 0, 1))
        (void)snprintf(turn->holder, sizeof turn->holder, " (process %lld, %s)",
                       (long long)pg_int(result, 0, 1), pg_text(result, 0, 2));
}

int turn_await(struct ctl *ctl)
{
    uint64_t until_ms = clock_mono_ms() + TURN_WAIT_MS;
    for (bool noted = false;; noted = true) {
        struct turn turn = {.ours = false};
        int exit_code = ctl_query(ctl, &take_turn, NULL, read_turn, &turn);
        if (exit_code != CTL_FINE || turn.ours)
            return exit_code;
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED, "another migrate%s does not end; nothing was applied",
                                turn.holder);
        if (!noted)
            (void)ctl_complain(CTL_FINE,
                               "note: another migrate%s is at work; waiting, for 10 minutes at "
                               "most",
                               turn.holder);
        exit_code = ctl_rest(ctl, TURN_LOOK_MS);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}
