"""P6 of mails and webhooks: each confirmed or refunded order with an address had its mail, at that address; each event
reached the shop's endpoint, those of an order one after the other; and both say what was committed. Twice is allowed,
under the same id."""

import collections
import re

from evidence import Violation

TOLD = ("confirmed", "refunded")    # by mail
MESSAGE_ID = re.compile(r"<(.+)\.(\w+)@.+>")


def judge(found):
    """None without the evidence told.jsonl."""
    if not found.told:
        return []
    return [*judge_mails(found), *judge_webhooks(found)]


def judge_mails(found):
    came = collections.defaultdict(set)      # (order, kind) → addresses
    for line in found.told:
        if line["saw"] != "mail":
            continue
        order_id, kind = MESSAGE_ID.fullmatch(line["id"]).groups()
        came[order_id, kind].add(line["to"])
    for (order_id, kind), addresses in came.items():
        row = found.orders.get(order_id)
        states = {event["status"] for event in found.history.get(order_id, ())}
        if row is None or addresses != {row["mail_to"]}:
            yield Violation("P6", f"the mail {kind} of {order_id} went to somebody else", {"to": sorted(addresses), "order": row})
        if kind not in states and not (kind == "action" and "reserved" in states):
            yield Violation("P6", f"a mail says that {order_id} is {kind}", {"states": sorted(states)})
    for order_id, row in found.orders.items():
        for kind in sorted({event["status"] for event in found.history[order_id]} & set(TOLD)):
            if row["mail_to"] is not None and (order_id, kind) not in came:
                yield Violation("P6", f"{order_id} is {kind}, and no mail says so", {"order": row})


def judge_webhooks(found):
    table = {event["event_id"]: event for event in found.tables["order_events"]}
    came, newest = set(), {}
    for line in found.told:
        if line["saw"] != "webhook" or "sequence" not in line["data"]:
            continue
        number, data = int(line["id"].removeprefix("evt_")), line["data"]
        row = table.get(number)
        told = (data["order_id"], data["sequence"], data["status"], data.get("reason"))
        if row is None or told != (row["order_id"], row["sequence"], row["status"], row["reason"]):
            yield Violation("P6", "a webhook says what was not committed", {"webhook": line, "committed": row})
        if data["sequence"] < newest.get(data["order_id"], 0):
            yield Violation("P6", f"a webhook of {data['order_id']} came against its order",
                            {"webhook": line, "before it": newest[data["order_id"]]})
        newest[data["order_id"]] = max(newest.get(data["order_id"], 0), data["sequence"])
        came.add(number)
    for number in sorted(table.keys() - came):
        yield Violation("P6", f"no webhook says that {table[number]['order_id']} is {table[number]['status']}",
                        {"event": table[number]})
