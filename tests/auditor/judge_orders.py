"""P2 and P8: what was accepted is there, as it was ordered, and has exactly one end, with a cause."""

from evidence import FINAL, Violation

NEXT = {
    None: ("waiting", "reserved", "rejected", "cancelled"),
    "waiting": ("reserved", "rejected", "cancelled"),
    "reserved": ("reserved", "confirmed", "rejected", "cancelled"),  # again: its buyer has to act at the bank
    "confirmed": ("refunded",),
}

# Reasons that may be: the buyers send valid orders, without a price, for items that are on sale.
CAUSES = (None, "sold_out", "payment_declined", "payment_failed", "limit_exceeded", "expired")


def judge(found):
    violations = []
    for wish in found.wishes.values():
        violations += judge_wish(found, wish)
    for order_id, row in found.orders.items():
        violations += judge_row(found, order_id, row)
        violations += judge_history(order_id, row, found.history.get(order_id, []))
    violations += judge_purged(found)
    violations += judge_cancels(found)
    violations += judge_looks(found)
    for order_id in found.history:
        if order_id not in found.orders:
            violations.append(Violation("P2", f"events of {order_id}, which is no order",
                                        {"events": found.history[order_id]}))
    return violations


def judge_wish(found, wish):
    """Each key has one id, and each accepted id its order."""
    if len(wish.ids) > 1:
        yield Violation("P2", f"one Idempotency-Key of {wish.user} got several ids",
                        {"key": wish.key, "ids": sorted(wish.ids)})
    for order_id in wish.ids:
        first = found.wish_of[order_id]
        if first is not wish:
            yield Violation("P2", f"two keys got the id {order_id}",
                            {"keys": [(first.user, first.key), (wish.user, wish.key)]})
        if order_id not in found.orders:
            yield Violation("P8", f"order {order_id} was answered 202 and is lost",
                            {"user": wish.user, "sku": wish.sku, "quantity": wish.quantity,
                             "202 received": wish.accepted, "first sent": wish.first_sent,
                             "tries": wish.tries})


def judge_row(found, order_id, row):
    """It ended, and is what somebody ordered."""
    if row["status"] not in FINAL:
        yield Violation("P2", f"order {order_id} never ended: {row['status']}",
                        {"sku": row["sku"], "quantity": row["quantity"],
                         "accepted": order_id in found.wish_of, "updated": row["updated_at"]})
    if row["reason"] not in CAUSES:
        yield Violation("P2", f"order {order_id} was rejected without cause: {row['reason']}", {"order": row})
    wish = found.wish_of.get(order_id)
    if wish is None:
        if not any(w.user == row["user_id"] and w.sku == row["sku"] and not w.ids
                   for w in found.wishes.values()):
            yield Violation("P2", f"nobody ordered {order_id}", {"order": row})
    elif (wish.user, wish.sku, wish.quantity) != (row["user_id"], row["sku"], row["quantity"]):
        yield Violation("P2", f"order {order_id} is not what was ordered",
                        {"ordered": (wish.user, wish.sku, wish.quantity), "in the table": row})


def judge_history(order_id, row, events):
    """Its events go from state to state, without a gap, to the state of its row."""
    told = [(event["sequence"], event["status"], event["event_id"]) for event in events]
    if [event["sequence"] for event in events] != list(range(1, len(events) + 1)):
        yield Violation("P2", f"the events of {order_id} are not numbered 1, 2, 3, …", {"events": told})
    before = None
    for event in events:
        if event["status"] not in NEXT.get(before, ()):
            yield Violation("P2", f"order {order_id} went from {before} to {event['status']}",
                            {"events": told})
        if event["status"] == "cancelled" and [past for _, past, _ in told].count("reserved") == 1:
            yield Violation("P2", f"order {order_id} was cancelled while it was reserved, and its buyer not at the bank",
                            {"events": told})
        before = event["status"]
    if before != row["status"] or (events and events[-1]["reason"] != row["reason"]):
        yield Violation("P2", f"order {order_id} is {row['status']}, its last event says {before}",
                        {"events": told, "reason": row["reason"]})
    ids = [event["event_id"] for event in events]
    if ids != sorted(ids):
        yield Violation("P6", f"the events of {order_id} have ids against their order", {"events": told})


def judge_purged(found):
    """What was purged had ended, is gone for good, and its end is known for ever."""
    for order_id in found.again:
        yield Violation("P2", f"order {order_id} was purged and is there again", {"purged": found.purged[order_id]})
    for order_id, row in found.purged.items():
        order = found.orders.get(order_id)
        if order_id not in found.kept:
            yield Violation("P8", f"order {order_id} was purged, which nobody wanted", {"purged": row})
        elif order is not None and (row["status"], row["reason"]) != (order["status"], order["reason"]):
            yield Violation("P2", f"order {order_id} was {order['status']}, and is purged as {row['status']}",
                            {"purged": row, "order": order})


def judge_cancels(found):
    """Nobody's order was cancelled but at his wish, none refunded but at an operator's, and each wish was
    answered."""
    wanted = {(line["user"], line["order"]) for line in found.cancels}
    refunds = {row["order_id"] for row in found.tables["commands"]
               if row["kind"] == "refund" and row["state"] == "done"}
    for order_id, row in found.orders.items():
        if row["status"] == "cancelled" and (row["user_id"], order_id) not in wanted:
            yield Violation("P2", f"order {order_id} was cancelled, which nobody wanted", {"order": row})
        if row["status"] == "refunded" and order_id not in refunds:
            yield Violation("P2", f"order {order_id} was refunded, which nobody wanted", {"order": row})
    for command in found.tables["commands"]:
        if command["state"] == "pending":
            yield Violation("P2", f"a {command['kind']} was never executed", {"command": command})


def judge_looks(found):
    """The status that buyers read is that of the table."""
    for line in found.looks:
        row = found.orders.get(line["order"])
        if line["status"] != 200 or row is None or line["says"] != row["status"]:
            yield Violation("P6", f"{line['user']} read another status of {line['order']}",
                            {"read": (line["status"], line["says"]), "order": row})
