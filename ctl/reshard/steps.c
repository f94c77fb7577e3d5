#include "ctl/reshard/steps.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "ctl/reshard/forward.h"
#include "ctl/reshard/lines.h"

#define BACKLOG_MAX 2000 /* messages that wait when the exchange is closed */
#define BACKLOG_WAIT_MS 60000
#define EMPTY_WAIT_MS 6000 /* after closing; then the old exchange opens again */
#define SETTLE_MS 150      /* what consumers hold when the queues are empty is decided by then */
#define CUT_WAIT_MS 6000
#define ROWS_MAX 200000         /* to be moved at once; more would stop the sale for too long */
#define CONSUMERS_WAIT_MS 40000 /* one that is frozen is given up by the broker before */
#define OWNERS_WAIT_MS 10000    /* then orders are accepted all the same */
#define LATE_MS 14000           /* after closing nothing comes into the old queues any more */
#define LOOK_MS 50

static void say(const struct reshard *r, const char *text)
{
    if (!r->ctl->json)
        (void)printf("%s\n", text);
    (void)fflush(stdout);
}

static int rest(struct reshard *r, const char *what)
{
    progress_show(&r->progress, what, 0, 0);
    return ctl_rest(r->ctl, LOOK_MS);
}

/* ---- before anything stops ---- */

/* Orders that wait for a decision when the exchange is closed are decided first. */
static int await_short_lines(struct reshard *r)
{
    uint64_t until_ms = clock_mono_ms() + BACKLOG_WAIT_MS;
    for (;;) {
        uint64_t messages = 0;
        int exit_code = lines_count(r->ctl, r->move.from, &messages);
        if (exit_code != CTL_FINE || messages <= BACKLOG_MAX)
            return exit_code;
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED,
                                "%" PRIu64 " messages wait in the queues: try again when less "
                                "orders come, or when more consumers run",
                                messages);
        exit_code = rest(r, "waiting for the consumers to catch up");
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

int steps_check_owners(struct reshard *r)
{
    uint32_t unowned = 0;
    int exit_code = moves_unowned(r->ctl, r->move.from, &unowned);
    if (exit_code == CTL_FINE && unowned > 0)
        return ctl_complain(CTL_FAILED, "%u shards have no living consumer: start consumers first",
                            unowned);
    return exit_code;
}

int steps_check_size(struct reshard *r, struct move_size *ret_size)
{
    int exit_code = moves_size(r->ctl, ret_size);
    int64_t rows = ret_size->items + ret_size->waiting + ret_size->payments + ret_size->others;
    if (exit_code == CTL_FINE && rows > ROWS_MAX)
        return ctl_complain(CTL_FAILED,
                            "%" PRId64 " rows would have to move at once, and %d are the most: "
                            "wait until fewer orders are open",
                            rows, ROWS_MAX);
    return exit_code;
}

static int prepare(struct reshard *r)
{
    struct move_size size = {0};
    progress_show(&r->progress, "declaring the new queues", 0, 0);
    int exit_code = lines_declare(r->ctl, r->move.to);
    if (exit_code == CTL_FINE)
        exit_code = lines_close(r->ctl, r->move.to); /* of an earlier number of shards */
    if (exit_code == CTL_FINE)
        exit_code = steps_check_size(r, &size);
    if (exit_code == CTL_FINE)
        exit_code = steps_check_owners(r);
    progress_show(&r->progress, "sorting the items", 0, 0);
    if (exit_code == CTL_FINE)
        exit_code = moves_place_items(r->ctl, r->move.to);
    if (exit_code == CTL_FINE)
        exit_code = await_short_lines(r);
    return exit_code;
}

/* ---- closed ---- */

static int close_old(struct reshard *r)
{
    int exit_code = moves_step(r->ctl, &r->move, MOVE_CLOSED);
    if (exit_code == CTL_FINE)
        exit_code = lines_close(r->ctl, r->move.from);
    r->closed_ms = clock_mono_ms();
    if (exit_code == CTL_FINE)
        say(r, "the old exchange is closed: orders are answered 503");
    return exit_code;
}

static int await_empty(struct reshard *r)
{
    for (;;) {
        uint64_t messages = 0;
        int exit_code = lines_count(r->ctl, r->move.from, &messages);
        if (exit_code != CTL_FINE)
            return exit_code;
        if (messages == 0)
            return ctl_rest(r->ctl, SETTLE_MS);
        if (clock_mono_ms() >= r->closed_ms + EMPTY_WAIT_MS)
            return ctl_complain(CTL_FAILED, "the consumers do not empty the old queues");
        exit_code = rest(r, "waiting for the old queues");
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

static int cut(struct reshard *r)
{
    uint64_t until_ms = clock_mono_ms() + CUT_WAIT_MS;
    for (;;) {
        progress_show(&r->progress, "moving the tables", 0, 0);
        int exit_code = moves_cut(r->ctl, &r->move, r->why);
        if (exit_code != CTL_FINE || r->move.state == MOVE_MOVED)
            return exit_code;
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED, "%s", r->why);
        exit_code = moves_place_items(r->ctl, r->move.to);
        if (exit_code == CTL_FINE)
            exit_code = rest(r, r->why);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

int steps_undo(struct reshard *r)
{
    int exit_code = moves_step(r->ctl, &r->move, MOVE_UNDOING);
    if (exit_code == CTL_FINE)
        exit_code = lines_open(r->ctl, r->move.from);
    if (exit_code == CTL_FINE)
        exit_code = lines_delete(r->ctl, r->move.to); /* no order ever was in them */
    if (exit_code == CTL_FINE)
        exit_code = moves_step(r->ctl, &r->move, MOVE_UNDONE);
    progress_end(&r->progress);
    if (exit_code == CTL_FINE)
        say(r, "undone: orders go on as before");
    return exit_code;
}

/* Whatever fails before the tables have moved is undone. */
int steps_to_cut(struct reshard *r)
{
    int exit_code = r->move.state == MOVE_BEGUN ? prepare(r) : CTL_FINE;
    if (exit_code == CTL_FINE)
        exit_code = close_old(r);
    if (exit_code == CTL_FINE)
        exit_code = await_empty(r);
    if (exit_code == CTL_FINE)
        exit_code = cut(r);
    progress_end(&r->progress);
    if (exit_code == CTL_FINE) {
        say(r, "the tables have moved");
        return CTL_FINE;
    }
    if (steps_undo(r) != CTL_FINE)
        (void)ctl_complain(0, "the change is unfinished: run `checkoutctl reshard` again, which "
                              "goes on, or `checkoutctl reshard --abort`");
    return exit_code;
}

/* ---- moved ---- */

/* Consumers begin again when they see the new number; one that is frozen is given up by the broker.
 */
static int await_alone(struct reshard *r, uint32_t shard)
{
    uint64_t until_ms = clock_mono_ms() + CONSUMERS_WAIT_MS;
    for (;;) {
        uint32_t messages = 0, consumers = 0;
        int exit_code = lines_look(r->ctl, r->move.from, shard, &messages, &consumers);
        if (exit_code != CTL_FINE || consumers == 0)
            return exit_code;
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED,
                                "a program still consumes the old queue of shard %u: stop it and "
                                "run `checkoutctl reshard` again",
                                shard);
        exit_code = rest(r, "waiting for consumers to leave the old queues");
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

static int forward_all(struct reshard *r)
{
    struct forward *forward = NULL;
    int exit_code = lines_link(r->ctl, r->move.from, r->move.to);
    if (exit_code == CTL_FINE)
        exit_code = forward_open(r->ctl, r->ids, r->move.from, r->move.to, &forward);
    for (uint32_t shard = 0; shard < r->move.from && exit_code == CTL_FINE; shard++) {
        progress_show(&r->progress, "emptying the old queues:", shard, r->move.from);
        exit_code = await_alone(r, shard);
        if (exit_code == CTL_FINE)
            exit_code = forward_empty(forward, shard);
    }
    if (forward != NULL)
        r->forwarded += forward_jobs(forward);
    forward_close(forward);
    return exit_code;
}

static int await_closed_for(struct reshard *r, uint64_t ms, const char *what)
{
    int exit_code = CTL_FINE;
    while (exit_code == CTL_FINE && clock_mono_ms() < r->closed_ms + ms)
        exit_code = rest(r, what);
    return exit_code;
}

static int await_owners(struct reshard *r)
{
    uint64_t until_ms = clock_mono_ms() + OWNERS_WAIT_MS;
    for (;;) {
        uint32_t unowned = 0;
        int exit_code = moves_unowned(r->ctl, r->move.to, &unowned);
        if (exit_code != CTL_FINE || unowned == 0)
            return exit_code;
        if (clock_mono_ms() >= until_ms) {
            (void)ctl_complain(0, "%u shards have no living consumer yet: their orders will wait",
                               unowned);
            return CTL_FINE;
        }
        exit_code = rest(r, "waiting for consumers to take the new shards");
        if (exit_code != CTL_FINE)
            return exit_code;
    }
}

/* This process may have begun in this state: then it is not known since when it is closed. */
int steps_to_open(struct reshard *r)
{
    int exit_code = CTL_FINE;
    if (r->closed_ms == 0) {
        exit_code = lines_close(r->ctl, r->move.from);
        r->closed_ms = clock_mono_ms();
    }
    if (exit_code == CTL_FINE)
        exit_code = forward_all(r);
    if (exit_code == CTL_FINE)
        exit_code = await_owners(r);
    if (exit_code == CTL_FINE)
        exit_code = await_closed_for(r, STEPS_CLOSED_MS, "waiting for late confirms");
    if (exit_code == CTL_FINE)
        exit_code = forward_all(r);
    return exit_code == CTL_FINE ? moves_step(r->ctl, &r->move, MOVE_OPEN) : exit_code;
}

/* ---- open ---- */

int steps_to_end(struct reshard *r)
{
    int exit_code = lines_open(r->ctl, r->move.to);
    if (exit_code != CTL_FINE)
        return exit_code;
    progress_end(&r->progress);
    say(r, "the new exchange is open: orders are accepted");
    if (r->closed_ms == 0)
        r->closed_ms = clock_mono_ms();
    exit_code = await_closed_for(r, LATE_MS, "waiting for what comes late into the old queues");
    if (exit_code == CTL_FINE)
        exit_code = lines_declare(r->ctl, r->move.from); /* some may be deleted already */
    if (exit_code == CTL_FINE)
        exit_code = forward_all(r);
    if (exit_code == CTL_FINE)
        exit_code = lines_delete(r->ctl, r->move.from);
    if (exit_code == CTL_FINE)
        exit_code = lines_unlink(r->ctl, r->move.to);
    return exit_code == CTL_FINE ? moves_step(r->ctl, &r->move, MOVE_DONE) : exit_code;
}
