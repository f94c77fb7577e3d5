"""P4: the gateway's book against the orders."""

import collections

from evidence import Violation, seconds

CLOCK_S = 1.5  # the ledger knows whole seconds
ATTEMPTS = 3    # of an order to charge its buyer
REFUSED = "invalid_request_error"   # a refusal of the gateway's without a code


def judge(found):
    attempts = collections.defaultdict(list)
    for row in found.tables["payments"]:
        attempts[row["order_id"]].append(row)
    captures = collections.defaultdict(list)
    for intent in found.intents.values():
        if intent["status"] == "succeeded" and intent["refunded"] < intent["amount"]:
            captures[intent["order_id"]].append(intent)
    violations = [*judge_charges(found, attempts), *judge_refunds(found)]
    for order_id in captures:
        if order_id not in found.orders:
            violations.append(Violation("P4", f"money was taken for {order_id}, which is no order",
                                        {"intents": captures[order_id]}))
    for order_id, order in found.orders.items():
        violations += judge_order(found, order, captures.get(order_id, []), attempts[order_id])
    return violations


def judge_order(found, order, captures, attempts):
    order_id, status = order["order_id"], order["status"]
    facts = {"order": (status, order["reason"], order["amount"], order["currency"]),
             "intents": [(i["number"], i.get("key"), i["amount"], i["status"]) for i in captures],
             "attempts": [(p["attempt"], p["state"], p["idempotency_key"], p["code"]) for p in attempts]}
    if len(captures) > 1:
        yield Violation("P4", f"order {order_id} was charged {len(captures)} times", facts)
    if status == "confirmed":
        if not captures:
            yield Violation("P4", f"order {order_id} is confirmed and not paid", facts)
        elif (captures[0]["amount"] - captures[0]["refunded"], captures[0]["currency"]) != (
                order["amount"], order["currency"]):
            yield Violation("P4", f"order {order_id} was charged another amount", facts)
    elif captures:
        yield Violation("P4", f"order {order_id} is {status} and was charged", facts)
    states = [row["state"] for row in attempts]
    if states.count("captured") != (status in ("confirmed", "refunded")):
        yield Violation("P4", f"order {order_id} is {status}, its payments are {states}", facts)
    item = found.items.get(order["sku"])
    if item and attempts and order["amount"] != item["price"] * order["quantity"]:
        yield Violation("P4", f"order {order_id} has a wrong amount", {**facts, "price": item["price"]})
    wish = found.wish_of.get(order_id)
    if wish and status in ("confirmed", "refunded") and wish.method in found.run.get("declining", ()):
        yield Violation("P4", f"order {order_id} is {status} on a card that declines", facts)
    if wish and order["reason"] in ("payment_declined", "payment_failed") and \
            wish.method not in found.run.get("declining", ()) and not gave_up(found, order, attempts) and \
            not was_refused(found, order, attempts, wish.method):
        yield Violation("P4", f"order {order_id}: {order['reason']} on a card that pays", facts)


def gave_up(found, order, attempts):
    """Whether an order had all the attempts, or all the time, that it may have: none took money."""
    if order["reason"] != "payment_failed" or not attempts or {row["state"] for row in attempts} != {"failed"}:
        return False
    began = min(seconds(row["created_at"]) for row in attempts)
    time_s = found.run.get("action_wait_s")
    return len(attempts) >= ATTEMPTS or \
        time_s is not None and seconds(order["updated_at"]) - began >= time_s


def was_refused(found, order, attempts, method):
    """Whether the gateway refused the last attempt for good, as it may: while it refused payments whose cards pay, or
    because an earlier attempt that took no money has used the payment method up."""
    rows = sorted(attempts, key=lambda row: row["attempt"])
    if order["reason"] != "payment_failed" or {row["state"] for row in rows} != {"failed"} or rows[-1]["code"] != REFUSED:
        return False
    began, ended = seconds(rows[-1]["created_at"]), seconds(rows[-1]["updated_at"])
    return len(rows) > 1 and method in found.run.get("once", ()) or \
        any(began <= until + CLOCK_S and ended >= since - CLOCK_S for since, until in found.run.get("refusing", ()))


def judge_charges(found, attempts):
    """Each charge has its durable intent, which was there before."""
    for order_id, key, record in found.charges:
        intent = next((row for row in attempts.get(order_id, []) if row["idempotency_key"] == key), None)
        if intent is None:
            yield Violation("P4", f"a charge for {order_id} under a key that no intent has",
                            {"key": key, "intent": record["number"], "status": record["status"],
                             "intents": [row["idempotency_key"] for row in attempts.get(order_id, [])]})
        elif seconds(intent["created_at"]) > record["created"] + CLOCK_S:
            yield Violation("P4", f"a charge for {order_id} came before its intent",
                            {"key": key, "charged": record["created"], "intent": intent["created_at"]})


def judge_refunds(found):
    """What was given back had its durable intent, and what was to be given back was, once."""
    asked = collections.defaultdict(list)
    for row in found.tables["refunds"]:
        asked[row["order_id"]].append(row)
        if row["state"] == "open":
            yield Violation("P4", f"a refund of {row['order_id']} has no end", {"refund": row})
    back = collections.Counter()
    for order_id, key, record in found.given_back:
        back[record["number"]] += record["refund"]["amount"]
        intent = next((row for row in asked.get(order_id, []) if is_key_of(row, key)), None)
        if intent is None:
            yield Violation("P4", f"a refund for {order_id} under a key that no intent has",
                            {"key": key, "intents": [row["idempotency_key"] for row in asked.get(order_id, [])]})
        elif seconds(intent["created_at"]) > record["refund"]["created"] + CLOCK_S:
            yield Violation("P4", f"a refund for {order_id} came before its intent",
                            {"key": key, "refunded": record["refund"]["created"], "intent": intent["created_at"]})
    for number, amount in back.items():
        intent = found.intents[number]
        if amount != intent["amount"]:
            yield Violation("P4", f"order {intent['order_id']} was given back another amount than it paid",
                            {"paid": intent["amount"], "given back": amount})
    for order_id, rows in asked.items():
        ended = [row["state"] for row in rows if row["reason"] == "requested"]
        if order_id in found.orders and ended.count("succeeded") != (found.orders[order_id]["status"] == "refunded"):
            yield Violation("P4", f"order {order_id} is {found.orders[order_id]['status']}, its refunds are {ended}",
                            {"refunds": rows})


def is_key_of(row, key):
    """A refund's later tries have keys of their own, behind the first."""
    first = f"{row['order_id']}-{row['attempt']}-refund"
    return key is not None and (key == first or key.startswith(first + "-"))
