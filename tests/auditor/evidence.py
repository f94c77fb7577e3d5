"""What a run leaves behind, read into plain values.

A directory of evidence holds

    clients.jsonl  a line for each request of a buyer:
                   {"do":"order","user","key","sku","quantity","method","sent","answered","status","order"}
                   {"do":"cancel","user","order","sent","answered","status"}
                   {"do":"look","user","order","sent","answered","status","says"}: its status at the end
                   sent and answered are seconds of one monotonic clock; a request without an answer has
                   status 0 and no order
    frames.jsonl   a line for each thing that happened on a buyer's websocket:
                   {"socket":N,"user","at","saw":"open"|"frame"|"place"|"close"|"anew","event":{CloudEvent}}
                   anew: events behind its cursor were purged, so it asks for all that there is, as if it knew nothing;
                   this line has "wall", too, the time by the wall clock
    kept.jsonl     what the tables had of orders before these were made old, to be purged; may be missing:
                   {"table","row"}. The rows of purged orders stand for those that are gone, and the times of the
                   others, which became old, are those of before
    tables/X.jsonl the rows of checkout.X, for each X in TABLES
    ledger         the gateway's own book: a checksum, a blank and a JSON object in each line
    ready.jsonl    what programs said of themselves (see judge_ready.py); may be missing
    told.jsonl     what a mail server and an endpoint for webhooks took; may be missing:
                   {"saw":"mail","to","id":Message-ID} or {"saw":"webhook","id","type","data"}, those in the order in which
                   they came
    run.json       {"wait_max_s","action_wait_s","declining":[payment methods that decline],"once":[those that
                   are used up by their first payment],"refusing":[[from,to] of the wall clock, when the gateway
                   refused payments whose cards pay]}
"""

import collections
import datetime
import json
import os

TABLES = ("items", "orders", "order_events", "payments", "refunds", "shards", "take_overs", "commands", "purged_orders", "reshards")
KEYS = {"orders": ("order_id",), "order_events": ("event_id",), "payments": ("order_id", "attempt"),
        "refunds": ("order_id", "attempt"), "commands": ("command_id",)}
AGED = ("created_at", "updated_at", "accepted_at", "finished_at")
FINAL = ("confirmed", "rejected", "cancelled", "refunded")

Violation = collections.namedtuple("Violation", "promise text evidence")


class Wish:
    """All tries of one user under one Idempotency-Key."""

    __slots__ = ("user", "key", "sku", "quantity", "method", "first_sent", "accepted", "ids", "tries")

    def __init__(self, line):
        self.user, self.key = line["user"], line["key"]
        self.sku, self.quantity, self.method = line["sku"], line["quantity"], line["method"]
        self.first_sent = line["sent"]
        self.accepted = None     # when its first 202 was received
        self.ids = set()
        self.tries = 0


class Evidence:
    """`wishes`: (user, key) → Wish; `wish_of`: order id → Wish of a 202; `cancels`, `looks`: requests of
    these kinds; `refused`: (sent, answered) of orders without an answer or with a 5xx; `frames`, `ready`, `told`: lines in order;
    tables by name as lists of dicts; `history`: order id → its events by sequence; `intents`: the
    last state of each; `purged`: order id → row of purged_orders; `kept`: ids of orders that were kept before; `again`:
    purged ones that are there again; `commands`: those of operators that were executed, in their order; `charges`, `given_back`: (order id, idempotency key, record) of each charge and refund in the ledger."""

    def __init__(self):
        self.run = {}
        self.wishes, self.wish_of = {}, {}
        self.requests, self.cancels, self.looks, self.frames = 0, [], [], []
        self.refused, self.ready, self.told = [], [], []
        self.tables = {name: [] for name in TABLES}
        self.items, self.orders, self.history = {}, {}, {}
        self.purged, self.kept, self.again = {}, set(), []
        self.intents, self.charges, self.given_back, self.commands = {}, [], [], []

    def summary(self):
        sockets = {frame["socket"] for frame in self.frames}
        return (f"evidence: {self.requests} requests, {len(self.wish_of)} orders accepted, "
                f"{len(self.orders)} in the tables with {len(self.tables['order_events'])} events, "
                f"{len(self.intents)} intents at the gateway, {len(self.tables['take_overs'])} take-overs, "
                f"{sum(f['saw'] == 'frame' for f in self.frames)} frames on {len(sockets)} sockets")

    def events(self):
        """All of them, in the order of their ids."""
        return sorted(self.tables["order_events"], key=lambda event: event["event_id"])


def lines(path):
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None


def load(directory):
    found = Evidence()
    with open(os.path.join(directory, "run.json"), encoding="utf-8") as source:
        found.run = json.load(source)
    for line in lines(os.path.join(directory, "clients.jsonl")):
        add_request(found, line)
    found.frames = list(lines(os.path.join(directory, "frames.jsonl")))
    if os.path.exists(os.path.join(directory, "ready.jsonl")):
        found.ready = list(lines(os.path.join(directory, "ready.jsonl")))
    if os.path.exists(os.path.join(directory, "told.jsonl")):
        found.told = list(lines(os.path.join(directory, "told.jsonl")))
    for name in TABLES:
        found.tables[name] = list(lines(os.path.join(directory, "tables", name + ".jsonl")))
    path = os.path.join(directory, "kept.jsonl")
    add_purged(found, list(lines(path)) if os.path.exists(path) else [])
    index_tables(found)
    with open(os.path.join(directory, "ledger"), encoding="utf-8") as source:
        for line in source:
            if line.endswith("\n"):  # a torn last line was never answered
                add_ledger_record(found, json.loads(line.split(" ", 1)[1]))
    return found


def add_request(found, line):
    found.requests += 1
    if line["do"] != "order":
        {"cancel": found.cancels, "look": found.looks}[line["do"]].append(line)
        return
    wish = found.wishes.setdefault((line["user"], line["key"]), None) or Wish(line)
    found.wishes[line["user"], line["key"]] = wish
    wish.tries += 1
    wish.first_sent = min(wish.first_sent, line["sent"])
    if (line["status"] == 0 or line["status"] >= 500) and line["answered"] is not None:
        found.refused.append((line["sent"], line["answered"]))
    if line["status"] == 202:
        wish.ids.add(line["order"])
        found.wish_of.setdefault(line["order"], wish)
        if wish.accepted is None or line["answered"] < wish.accepted:
            wish.accepted = line["answered"]


def add_purged(found, kept):
    found.purged = {row["order_id"]: row for row in found.tables["purged_orders"]}
    found.again = [row["order_id"] for row in found.tables["orders"] if row["order_id"] in found.purged]
    there = {(name, *(row.get(column) for column in KEYS[name])): row for name in KEYS for row in found.tables[name]}
    for line in kept:
        name, row = line["table"], line["row"]
        key = (name, *(row.get(column) for column in KEYS[name]))
        found.kept.add(row["order_id"])
        if key not in there and row["order_id"] in found.purged:
            there[key] = row
            found.tables[name].append(row)
        for column in AGED:
            if there.get(key, {}).get(column) and seconds(there[key][column]) < seconds(row[column]):
                there[key][column] = row[column]


def index_tables(found):
    found.items = {row["sku"]: row for row in found.tables["items"]}
    found.orders = {row["order_id"]: row for row in found.tables["orders"]}
    found.commands = sorted((row for row in found.tables["commands"]
                             if row["state"] == "done" and row["kind"] in ("restock", "pause", "resume")),
                            key=lambda row: (seconds(row["finished_at"]), row["command_id"]))
    found.history = collections.defaultdict(list)
    for event in sorted(found.tables["order_events"], key=lambda e: e["sequence"]):
        found.history[event["order_id"]].append(event)


def add_ledger_record(found, record):
    if record["kind"] not in ("charge", "cancel", "refund", "refund-change"):
        return
    order = (record.get("metadata") or {}).get("order_id")
    found.intents[record["number"]] = {**record, "order_id": order}
    if record["kind"] == "charge":
        found.charges.append((order, record.get("key"), record))
    elif record["kind"] == "refund":
        found.given_back.append((order, record.get("key"), record))


def seconds(timestamp):
    """PostgreSQL's timestamptz as JSON → seconds since 1970."""
    return datetime.datetime.fromisoformat(_whole_fraction(timestamp)).timestamp()


def _whole_fraction(text):
    """With six digits of a second, which fromisoformat of older Pythons insists on."""
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits].ljust(6, '0')[:6]}{tail[digits:]}"


def copy_tables(url, directory):
    """Writes the tables, as of one moment, into the directory."""
    import psycopg2  # only here: evidence that is complete needs no database

    os.makedirs(os.path.join(directory, "tables"), exist_ok=True)
    connection = psycopg2.connect(url)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        for name in TABLES:
            with connection.cursor(name=f"audit_{name}") as cursor, open(
                    os.path.join(directory, "tables", name + ".jsonl"), "w", encoding="utf-8") as sink:
                cursor.itersize = 5000
                cursor.execute(f"select row_to_json(t)::text from checkout.{name} t")
                for (row,) in cursor:
                    sink.write(row.replace("\n", " ") + "\n")
    finally:
        connection.close()
