#include "ctl/audit/audit_kinds.h"

#include <string.h>

#include "common/base/attrs.h"

#define EXPLAIN "`checkoutctl orders explain ID` tells what happened. "
#define PAUSE "`checkoutctl pause SKU` first, so that no more is sold by wrong sums. "
#define BY_HAND "Another program than Checkout's wrote to the tables: find out which may. "
#define REFUND "Look the intent up at the gateway, and refund it there. "

static const struct audit_kind kinds[] = {
    {"oversold", "P1",
     PAUSE "Decide who gets the units, refund the others, restock if there are more."},
    {"held-differs", "P1", PAUSE "Correct the item's `held` to what its reserved orders have."},
    {"sold-differs", "P1", PAUSE "Correct the item's `sold` to what its confirmed orders have."},
    {"units-differ", "P1",
     PAUSE "Correct the row of checkout.customer_units to the customer's open and confirmed "
           "orders of the item."},
    {"item-missing", "P1", BY_HAND "Put the item back with its sums, or refund its orders."},
    {"waiting-differs", "P3", PAUSE "Correct the item's `waiting` to the rows of its waitlist."},
    {"line-marks-differ", "P3",
     PAUSE "Set waitlist_head to the waitlist's lowest ticket, next_ticket above the highest."},
    {"events-missing", "P2", BY_HAND "The buyer never got an answer: write to them."},
    {"events-gap", "P2", BY_HAND "Buyers may have missed an event: tell them the present state."},
    {"event-twice", "P2",
     BY_HAND "Buyers may have seen it twice; delete the one with the higher id."},
    {"end-left", "P2", EXPLAIN "The buyer got two final answers: tell them which one counts."},
    {"step-unknown", "P2", EXPLAIN "Save the history; compare it with the consumers' logs."},
    {"order-missing", "P2", BY_HAND "Restore the order from a backup; look for its payment."},
    {"status-differs", "P2",
     EXPLAIN "The buyer saw the last event: see which of the two its payment confirms."},
    {"decided-again", "P2",
     EXPLAIN "The buyer has two answers: tell them which one counts; refund if both took money."},
    {"wait-too-long", "P2",
     "No consumer serves that shard: see `checkoutctl shards` and `checkoutctl doctor`."},
    {"aside-decided", "P2",
     BY_HAND "Delete the row of checkout.jobs_aside: the order has its answer."},
    {"aside-unmarked", "P2",
     BY_HAND "The order would wait for ever: insert its shard and item into checkout.items_aside, "
             "with a word why; the owner decides it within seconds."},
    {"place-missing", "P3", BY_HAND "The order would wait for ever: cancel it for its buyer."},
    {"place-left-over", "P3", PAUSE "Delete the row of checkout.waitlist, and lower `waiting`."},
    {"place-differs", "P3", PAUSE BY_HAND "Correct the row of checkout.waitlist from the order."},
    {"line-passed", "P3",
     EXPLAIN "An earlier order still waited: see whether its buyer got the item."},
    {"overtaken", "P3", EXPLAIN "An earlier order got its unit later."},
    {"intent-missing", "P4", EXPLAIN "It holds units without a charge: see the gateway."},
    {"intent-twice", "P4", EXPLAIN "It may be charged twice: compare with the gateway's list."},
    {"intent-left-over", "P4", EXPLAIN "It may be charged for nothing: see the gateway."},
    {"intent-too-old", "P4",
     EXPLAIN "Its outcome is unclear: look for the order's id in the gateway's own list; its "
             "units stay held until then."},
    {"capture-missing", "P4",
     EXPLAIN "It is confirmed without a payment: look it up at the gateway."},
    {"capture-twice", "P4", REFUND "One capture is due, not more."},
    {"capture-left-over", "P4", REFUND "The buyer paid and got nothing."},
    {"amount-differs", "P4", EXPLAIN "Refund what was taken too much."},
    {"refund-missing", "P4", EXPLAIN "See the gateway; refund it there if it was not."},
    {"refund-left-over", "P4", EXPLAIN "It is confirmed and not paid: ask for the money."},
    {"refund-undue", "P4", EXPLAIN "See at the gateway which payment was refunded, and why."},
    {"refund-failed", "P4",
     REFUND
     "Or retry with `checkoutctl orders refund ID`: the buyer's money is still there. It went "
     "back outside of the gateway: `checkoutctl payments resolve ID refunded`."},
    {"refunded-twice", "P4", EXPLAIN "The buyer has the money twice: ask for one of them."},
    {"return-unrecorded", "P4",
     "The gateway shows a refund or a dispute that no consumer records: see `checkoutctl shards` "
     "and the consumers' logs."},
    {"refund-too-old", "P4",
     EXPLAIN "The gateway has not answered for good: look for its refunds of the intent there."},
    {"epoch-falls", "P5",
     "A consumer wrote after it was replaced: save its log, and the rows of checkout.take_overs."},
    {"relay-ahead", "P6",
     "The relay skips events up to the watermark: set relayed_to back to the newest published "
     "event."},
    {"charged-for-nothing", "P4",
     "No order of this database has it. After a restore or a promotion `checkoutctl orders adopt` "
     "brings it back; if it is not another shop's, look it up at the gateway, and refund it there "
     "otherwise."},
    {"charged-twice", "P4", REFUND "All but one."},
    {"charged-unconfirmed", "P4", REFUND "The buyer paid and got nothing."},
    {"charge-differs", "P4", REFUND "What was taken too much; ask for nothing more."},
    {"charge-missing", "P4",
     "The gateway's list has no such capture: is CHECKOUT_GATEWAY_URL or its key another "
     "account's?"},
    {"honoured-late", AUDIT_NOTE,
     "It was accepted before the closing, by the stamp of whoever published it: see who that was, "
     "and why it was decided so late."},
    {"unknown", "P?", "The database's functions are newer than this program: use theirs."},
};
_Static_assert(ARRAY_LEN(kinds) <= AUDIT_KINDS_MAX, "the counts of a report have one place each");

size_t audit_kinds(void)
{
    return ARRAY_LEN(kinds);
}

size_t audit_kind_of(const char *name)
{
    size_t place = 0;
    while (place + 1 < ARRAY_LEN(kinds) && strcmp(kinds[place].name, name) != 0)
        place++;
    return place;
}

const struct audit_kind *audit_kind(size_t place)
{
    return &kinds[place];
}
