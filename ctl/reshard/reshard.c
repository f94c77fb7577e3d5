/* The number of shards changes while a sale runs: docs/resharding.md. */
#include <inttypes.h>
#include <stdio.h>

#include "common/shop/shards_serving.h"
#include "ctl/command.h"
#include "ctl/request.h"
#include "ctl/reshard/lines.h"
#include "ctl/reshard/steps.h"
#include "ctl/serving.h"

static void tell(const struct reshard *r)
{
    if (r->ctl->json)
        (void)printf("{\"from\":%u,\"to\":%u,\"state\":\"%s\",\"forwarded\":%" PRIu64 "}\n",
                     r->move.from, r->move.to, moves_word(r->move.state), r->forwarded);
    else
        (void)printf("%u shards are in service\n", r->move.to);
}

static int go_on(struct reshard *r)
{
    size_t len;
    const char *secret = cfg_secret(r->ctl->cfg, CFG_ORDER_SECRET_FILE, &len);
    r->ids = ids_new(secret, len);
    int exit_code = r->ids == NULL ? ctl_complain(CTL_FAILED, "out of memory") : CTL_FINE;
    if (exit_code == CTL_FINE && r->move.state == MOVE_UNDOING)
        return steps_undo(r);
    if (exit_code == CTL_FINE && r->move.state <= MOVE_CLOSED)
        exit_code = steps_to_cut(r);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (r->move.state == MOVE_MOVED)
        exit_code = steps_to_open(r);
    if (exit_code == CTL_FINE)
        exit_code = steps_to_end(r);
    progress_end(&r->progress);
    if (exit_code == CTL_FINE)
        tell(r);
    else
        (void)ctl_complain(0, "the change is unfinished: run `checkoutctl reshard` again, it goes "
                              "on where it stopped");
    return exit_code;
}

static int abort_move(struct reshard *r)
{
    if (r->move.state == MOVE_NONE)
        return ctl_complain(CTL_FAILED, "no change of the number of shards is under way");
    if (r->move.state >= MOVE_MOVED && r->move.state <= MOVE_DONE)
        return ctl_complain(CTL_FAILED,
                            "the tables have moved to %u shards: run `checkoutctl reshard` to the "
                            "end, and then back to %u",
                            r->move.to, r->move.from);
    return steps_undo(r);
}

static int show_plan(struct reshard *r, uint32_t to)
{
    struct move_size size = {0};
    uint64_t messages = 0;
    int exit_code = moves_problem(r->ctl, to, r->why);
    if (exit_code == CTL_FINE && r->why[0] != '\0')
        return ctl_complain(CTL_FAILED, "%s", r->why);
    if (exit_code == CTL_FINE)
        exit_code = steps_check_size(r, &size);
    if (exit_code == CTL_FINE)
        exit_code = steps_check_owners(r);
    if (exit_code == CTL_FINE)
        exit_code = lines_count(r->ctl, r->move.from, &messages);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (r->ctl->json)
        (void)printf("{\"from\":%u,\"to\":%u,\"messages\":%" PRIu64 ",\"items\":%" PRId64
                     ",\"waiting\":%" PRId64 ",\"payments\":%" PRId64 ",\"others\":%" PRId64 "}\n",
                     r->move.from, to, messages, size.items, size.waiting, size.payments,
                     size.others);
    else
        (void)printf("%u shards would become %u. Orders would be answered 503 for about %d s.\n"
                     "To be moved at once: %" PRId64 " items, %" PRId64 " waiting orders, %" PRId64
                     " payments, %" PRId64 " others; %" PRIu64 " messages wait in the queues.\n",
                     r->move.from, to, STEPS_CLOSED_MS / 1000 + 1, size.items, size.waiting,
                     size.payments, size.others, messages);
    return CTL_FINE;
}

/* A number that can be: a power of two. */
static int read_number(const struct command_args *args, int64_t *ret_to)
{
    int exit_code = command_number(&command_reshard, args, "to", 0, 1, SHARDS_MAX, ret_to);
    if (exit_code == CTL_FINE && *ret_to > 0 && (*ret_to & (*ret_to - 1)) != 0)
        return ctl_complain(CTL_USAGE, "--to: %" PRId64 " is no power of two", *ret_to);
    return exit_code;
}

static int begin(struct reshard *r, uint32_t to)
{
    char who[REQUEST_WHO_SIZE];
    if (to == 0)
        return ctl_complain(CTL_USAGE, "reshard needs --to N: no change is under way");
    request_who(who);
    int exit_code = moves_begin(r->ctl, to, who);
    return exit_code == CTL_FINE ? moves_read(r->ctl, &r->move) : exit_code;
}

static int connect_all(struct reshard *r)
{
    uint32_t serving;
    int exit_code = ctl_need(r->ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = moves_check_database(r->ctl);
    if (exit_code == CTL_FINE)
        exit_code = serving_need(r->ctl, &serving);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(r->ctl, &contact_broker);
    if (exit_code == CTL_FINE)
        exit_code = moves_lock(r->ctl);
    if (exit_code == CTL_FINE)
        exit_code = moves_read(r->ctl, &r->move);
    if (exit_code == CTL_FINE && r->move.state == MOVE_NONE)
        r->move.from = serving;
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct reshard r = {.ctl = ctl};
    int64_t to = 0;
    int exit_code = read_number(args, &to);
    if (exit_code == CTL_FINE)
        exit_code = connect_all(&r);
    if (exit_code != CTL_FINE)
        return exit_code;
    bool under_way = r.move.state != MOVE_NONE;
    if (command_switch(&command_reshard, args, "abort"))
        return abort_move(&r);
    if (under_way && to != 0 && (uint32_t)to != r.move.to)
        return ctl_complain(CTL_FAILED, "a change from %u to %u shards is under way (%s)",
                            r.move.from, r.move.to, moves_word(r.move.state));
    if (command_switch(&command_reshard, args, "dry-run"))
        return to == 0 ? ctl_complain(CTL_USAGE, "--dry-run needs --to N")
                       : show_plan(&r, (uint32_t)to);
    if (!under_way)
        exit_code = begin(&r, (uint32_t)to);
    if (exit_code == CTL_FINE)
        exit_code = go_on(&r);
    ids_free(r.ids);
    return exit_code;
}

const struct command command_reshard = {
    .words = "reshard",
    .operands = "",
    .summary = "changes the number of shards while a sale runs",
    .details =
        "Closes the exchange of the old number, moves everything that is open to the new shards in "
        "one transaction, and opens the exchange of the new number. Orders are answered 503 with "
        "Retry-After meanwhile, for some seconds; no order that was accepted is lost or passed in "
        "a line. Whatever prevents it before the transaction is undone. After a kill "
        "at any moment the same command goes on; without --to it finishes what is under way. "
        "Programs follow by themselves; it is refused while one lives that has CHECKOUT_SHARDS set "
        "to another number, and on a database that was restored and is not finished.",
    .options = {{"to", "N", "the new number: a power of two up to 1024"},
                {"dry-run", NULL, "say what would be moved, and change nothing"},
                {"abort", NULL, "undo an unfinished change whose tables have not moved"}},
    .settings = CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT) | CFG_BIT(DATABASE_URL) |
                CFG_BIT(QUEUE_MAX_BYTES) | CFG_BIT(QUEUE_REPLICAS) | CFG_BIT(ORDER_SECRET_FILE),
    .patient = true,
    .run = run,
};
