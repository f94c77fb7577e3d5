"""P1 and P3: each item's history told again, event by event, and held against the rules.

Ids of events are in commit order within a shard, and an item is in one shard. Those of one transaction
come together, so who leaves the line in it has not been passed over.
"""

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from evidence import Violation, seconds
from harness_jobs import shard_of

OPEN = ("waiting", "reserved", "confirmed")  # what counts towards a user's limit
EARLY_S = 1.0                                # how much too early an order may expire, by rounding


class Item:
    """An item as its events, and the operators' commands, leave it."""

    def __init__(self, found, row):
        self.row, self.sku = row, row["sku"]
        self.commands = collections.deque(
            command for command in found.commands
            if command["sku"] == self.sku or command["sku"] is None and command["shard"] == shard_then(found, row, command))
        self.stock = row["stock"] - sum(units_of(command) for command in self.commands)
        self.paused = set()                      # of "item", "shard"
        self.limit = row["limit_per_user"]
        self.wait_max_s = found.run.get("wait_max_s")
        self.held = self.sold = 0
        self.restocked = {refund["order_id"] for refund in found.tables["refunds"]
                          if refund["restock"] and refund["reason"] == "requested"}  # by their refunds
        self.line = collections.OrderedDict()    # order id → its waiting event
        self.leaves = {}                         # order id → the event with which it leaves the line
        self.status = {}                         # order id → status
        self.units = collections.Counter()       # user → units that count towards the limit

    @property
    def servable(self):
        return self.stock - self.sold

    def obey(self, event):
        """The commands of the transactions before this event's, and of its own."""
        while self.commands and (event is None or
                                 seconds(self.commands[0]["finished_at"]) <= seconds(event["created_at"])):
            command = self.commands.popleft()
            self.stock += units_of(command)
            what = "shard" if command["sku"] is None else "item"
            if command["kind"] == "pause":
                self.paused.add(what)
            elif command["kind"] == "resume":
                self.paused.discard(what)

    def facts(self, event, order):
        return {"item": self.sku, "stock": self.stock, "held": self.held, "sold": self.sold,
                "quantity": order["quantity"], "event": event["event_id"],
                "in line": list(self.line)[:5]}


def shard_then(found, row, command):
    """The item's shard when a command was executed: the number of shards may have changed since."""
    moves = sorted((move for move in found.tables["reshards"] if move["moved_at"]), key=lambda move: move["moved_at"])
    if not moves:
        return row.get("shard")
    at = seconds(command["finished_at"])
    shards = next((move["from_shards"] for move in moves if at < seconds(move["moved_at"])), moves[-1]["to_shards"])
    return shard_of(row["sku"], shards)


def units_of(command):
    return int(command["argument"]["units"]) if command["kind"] == "restock" else 0


def judge(found):
    violations = []
    by_item = collections.defaultdict(list)
    for event in found.events():
        order = found.orders.get(event["order_id"])
        if order is not None:
            by_item[order["sku"]].append((event, order))
    for sku, steps in by_item.items():
        violations += judge_arrival(found, sku, steps)
        if sku in found.items:
            item = Item(found, found.items[sku])
            item.leaves = {event["order_id"]: event for event, _ in steps if event["sequence"] == 2}
            for event, order in steps:
                item.obey(event)
                violations += step(item, event, order)
            item.obey(None)
            violations += judge_sums(item, steps)
    for sku, row in found.items.items():
        if row["held"] + row["sold"] > row["stock"]:
            violations.append(Violation("P1", f"{sku} is oversold", {"item": row}))
    return violations


def judge_arrival(found, sku, steps):
    """Who had the 202 before another one's first POST was sent came to the counter first. A cancel of an order that
    is not decided yet needs no turn: it takes nothing from those ahead."""
    latest = None  # of those that came so far, who was sent last
    for event, order in steps:
        wish = found.wish_of.get(order["order_id"])
        if event["sequence"] != 1 or wish is None or event["status"] == "cancelled":
            continue
        if latest is not None and wish.accepted < latest[0].first_sent:
            other, other_event = latest
            yield Violation(
                "P3", f"order {order['order_id']} of {sku} came to the counter after one that was sent later",
                {"202 received": wish.accepted, "its first event": event["event_id"],
                 "the other was sent": other.first_sent, "the other": sorted(other.ids),
                 "the other's first event": other_event["event_id"],
                 "later by s": round(other.first_sent - wish.accepted, 4)})
        if latest is None or wish.first_sent > latest[0].first_sent:
            latest = (wish, event)


def step(item, event, order):
    """Applies one event; yields what it breaks."""
    order_id, quantity, status = order["order_id"], order["quantity"], event["status"]
    before = item.status.get(order_id)
    facts = item.facts(event, order)
    if status == before == "reserved":
        return  # told again, with what the buyer has to do at the bank: the same units
    if status == "reserved":
        yield from passed_over(item, event, order_id, facts)
        if item.paused:
            yield Violation("P3", f"order {order_id} got its units while they were paused",
                            {**facts, "paused": sorted(item.paused)})
        item.line.pop(order_id, None)
        item.held += quantity
    elif status == "waiting":
        if not item.line and quantity <= item.servable - item.held and not item.paused:
            yield Violation("P3", f"order {order_id} waits although units are free", facts)
        item.line[order_id] = {**event, "quantity": quantity}
    elif status == "confirmed":
        item.held -= quantity
        item.sold += quantity
    elif status == "refunded":
        item.sold -= quantity if order_id in item.restocked else 0
    else:
        yield from refused(item, event, order, before, facts)
        item.line.pop(order_id, None)
        if before == "reserved":
            item.held -= quantity
    item.status[order_id] = status
    item.units[order["user_id"]] += quantity * ((status in OPEN) - (before in OPEN))
    if item.held + item.sold > item.stock:
        yield Violation("P1", f"{item.sku} is oversold by order {order_id}",
                        {**facts, "held after": item.held, "sold after": item.sold})
    if item.limit and item.units[order["user_id"]] > item.limit:
        yield Violation("P3", f"{order['user_id']} has more of {item.sku} than its limit",
                        {**facts, "limit": item.limit, "units": item.units[order["user_id"]]})


def transaction(event):
    """What the events of one transaction have in common: they begin at one instant, in one session."""
    return event["backend"], event["created_at"]


def passed_over(item, event, order_id, facts):
    """Somebody who came before still waits, after this transaction too, and could be served."""
    for other, waiting in item.line.items():
        if other == order_id:
            return
        leaves = item.leaves.get(other)
        if waiting["quantity"] <= item.servable and (
                leaves is None or transaction(leaves) != transaction(event)):
            yield Violation("P3", f"order {order_id} got units that {other} still waits for",
                            {**facts, "the other waits since event": waiting["event_id"],
                             "the other's quantity": waiting["quantity"]})
            return


def refused(item, event, order, before, facts):
    """A rejection must have its reason."""
    order_id, quantity, reason = order["order_id"], order["quantity"], event["reason"]
    if reason == "sold_out" and quantity <= item.servable:
        yield Violation("P3", f"order {order_id} was refused as sold out while it could be served", facts)
    elif reason == "limit_exceeded":
        room = item.limit - item.units[order["user_id"]] if item.limit else None
        if room is None or quantity <= room:
            yield Violation("P3", f"order {order_id} was refused above a limit that it keeps",
                            {**facts, "limit": item.limit, "room": room})
    elif reason == "expired" and before == "waiting" and item.wait_max_s:
        waited = seconds(event["created_at"]) - seconds(item.line[order_id]["created_at"])
        if waited < item.wait_max_s - EARLY_S:
            yield Violation("P3", f"order {order_id} expired after {waited:.1f} s",
                            {**facts, "an order waits s": item.wait_max_s})


def judge_sums(item, steps):
    """The item's counters are what its orders add up to."""
    waiting = sum(status == "waiting" for status in item.status.values())
    expected = {"held": item.held, "waiting": waiting, "sold": item.sold}
    for name, value in expected.items():
        if item.row[name] != value:
            yield Violation("P1", f"{item.sku}: its row says {name} {item.row[name]}, its orders {value}",
                            {"item": item.row, "events": len(steps)})
