#!/usr/bin/python3
"""The auditor finds each kind of broken promise, and nothing in a run that kept them all."""

import copy
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import evidence  # noqa: E402

_loader = importlib.machinery.SourceFileLoader("audit", os.path.join(HERE, "audit"))
_spec = importlib.util.spec_from_loader("audit", _loader)
audit = importlib.util.module_from_spec(_spec)
_loader.exec_module(audit)

VISA, DECLINED = "pm_card_visa", "pm_card_chargeDeclined"


class World:
    """A small sale, told as evidence: one dress; ann's card is declined, ben waits and gets it, cat
    comes too late. A second item with plenty. Tests bend it before they ask."""

    def __init__(self):
        self.clients, self.frames, self.records, self.told, self.kept = [], [], [], [], []
        self.tables = {name: [] for name in evidence.TABLES}
        self.run = {}       # beside what each run has
        self.event_id = 0
        self.tables["shards"].append({"shard": 0, "epoch": 2})
        self.take(1, 101)
        self.item("dress", 1)
        self.order("ann", "dress", 1.0, 1.1, DECLINED)
        self.order("ben", "dress", 2.0, 2.1)
        self.event("ann", "reserved")
        self.event("ben", "waiting")
        self.take(2, 102)
        self.event("ann", "rejected", "payment_declined")
        self.event("ben", "reserved")
        self.charge("ben")
        self.order("cat", "dress", 3.0, 3.1)
        self.event("ben", "confirmed")
        self.event("cat", "rejected", "sold_out")
        self.item("ring", 1000, limit=2)
        self.order("dan", "ring", 4.0, 4.1, quantity=2)
        self.event("dan", "reserved")
        self.charge("dan")
        self.event("dan", "confirmed")
        self.order("dan", "ring", 5.0, 5.1, name="dan2")
        self.event("dan2", "rejected", "limit_exceeded")
        self.tables["payments"][0].update(state="declined")

    # -- telling the story ----------------------------------------------------------------------------

    def item(self, sku, stock, limit=None):
        self.tables["items"].append({"sku": sku, "stock": stock, "held": 0, "sold": 0, "waiting": 0,
                                     "price": 100, "limit_per_user": limit, "paused": False})

    def row(self, table, **like):
        return next(row for row in self.tables[table]
                    if all(row[name] == value for name, value in like.items()))

    def order(self, user, sku, sent, answered, method=VISA, quantity=1, name=None):
        name = name or user
        self.clients.append({"do": "order", "user": user, "key": "key-" + name, "sku": sku,
                             "quantity": quantity, "method": method, "sent": sent, "answered": answered,
                             "status": 202, "order": name})
        self.tables["orders"].append({
            "order_id": name, "user_id": user, "sku": sku, "quantity": quantity, "status": None,
            "reason": None, "amount": 100 * quantity, "currency": "usd", "updated_at": self.now(), "mail_to": None})

    def now(self, later=0):
        return f"2026-01-01T12:00:{self.event_id + later:02d}.5+00:00"

    def take(self, epoch, backend):
        self.tables["take_overs"].append({
            "take_over_id": len(self.tables["take_overs"]) + 1, "shard": 0, "epoch": epoch,
            "member": backend, "name": f"member {backend}", "backend": backend, "taken_at": self.now()})

    def event(self, name, status, reason=None):
        order = self.row("orders", order_id=name)
        self.event_id += 1
        take = self.tables["take_overs"][-1]
        sequence = 1 + sum(e["order_id"] == name for e in self.tables["order_events"])
        self.tables["order_events"].append({
            "event_id": self.event_id, "shard": 0, "order_id": name, "sequence": sequence, "status": status,
            "reason": reason, "created_at": self.now(), "epoch": take["epoch"], "backend": take["backend"]})
        before = order["status"]
        order.update(status=status, reason=reason)
        item = self.row("items", sku=order["sku"])
        item["held"] += order["quantity"] * ((status == "reserved") - (before == "reserved"))
        item["sold"] += order["quantity"] * (status == "confirmed")
        item["waiting"] += (status == "waiting") - (before == "waiting")
        if status == "reserved":
            self.tables["payments"].append({
                "order_id": name, "attempt": 1, "state": "captured", "amount": order["amount"],
                "idempotency_key": name + "-1", "code": None, "created_at": self.now()})
        self.frame(name, sequence, status, reason)

    def frame(self, name, sequence, status, reason, user=None, socket=None, number=None):
        user = user or self.row("orders", order_id=name)["user_id"]
        data = {"order_id": name, "status": status, **({"reason": reason} if reason else {})}
        self.frames.append({"socket": socket or user, "user": user, "at": float(self.event_id),
                            "saw": "frame", "event": {"id": str(number or self.event_id), "subject": name,
                                                      "sequence": sequence, "data": data}})

    def charge(self, name, key=None):
        order = self.row("orders", order_id=name)
        self.records.append({
            "kind": "charge", "key": key or name + "-1", "number": len(self.records), "amount": order["amount"],
            "refunded": 0, "currency": "usd", "status": "succeeded",
            "created": int(evidence.seconds(self.now(1))), "metadata": {"order_id": name}})

    def tell(self):
        """By mail, of ben's order alone, and by webhook of everything; some twice."""
        self.row("orders", order_id="ben")["mail_to"] = "ben@x"
        self.told += [{"saw": "mail", "to": "ben@x", "id": "<ben.confirmed@shop>"}] * 2
        for event in self.tables["order_events"]:
            data = {name: event[name] for name in ("order_id", "sequence", "status", "reason") if event[name] is not None}
            self.told += [{"saw": "webhook", "id": f"evt_{event['event_id']}", "type": "order." + event["status"],
                           "data": data}] * (1 + event["event_id"] % 2)

    # -- asking ---------------------------------------------------------------------------------------

    def write(self, directory):
        os.makedirs(os.path.join(directory, "tables"))
        files = {"clients": self.clients, "frames": self.frames, "told": self.told, "kept": self.kept,
                 **{f"tables/{name}": rows for name, rows in self.tables.items()}}
        for name, rows in files.items():
            with open(os.path.join(directory, name + ".jsonl"), "w", encoding="utf-8") as sink:
                sink.writelines(json.dumps(row) + "\n" for row in rows)
        with open(os.path.join(directory, "ledger"), "w", encoding="utf-8") as sink:
            sink.writelines(f"0123456789abcdef {json.dumps(record)}\n" for record in self.records)
        with open(os.path.join(directory, "run.json"), "w", encoding="utf-8") as sink:
            json.dump({"wait_max_s": 30, "declining": [DECLINED], **self.run}, sink)

    def violations(self):
        with tempfile.TemporaryDirectory() as directory:
            self.write(directory)
            return audit.audit(evidence.load(directory))


class WorldCase(unittest.TestCase):
    def setUp(self):
        self.world = World()

    def assert_found(self, promise, words):
        found = self.world.violations()
        self.assertTrue(any(v.promise == promise and words in v.text for v in found),
                        f"no {promise} with “{words}” in {[v[:2] for v in found]}")


class Auditor(WorldCase):
    def row(self, table, **like):
        return self.world.row(table, **like)

    def event(self, order, sequence):
        return self.row("order_events", order_id=order, sequence=sequence)

    def test_a_run_that_kept_its_promises_has_no_violation(self):
        self.assertEqual(self.world.violations(), [])

    def test_mails_and_webhooks_that_came_twice_are_no_violation(self):
        self.world.tell()
        self.assertEqual(self.world.violations(), [])

    def test_a_mail_that_is_missing_or_wrong_is_found(self):
        for bend, words in (
                (lambda told: told.clear() or told.append({"saw": "webhook", "id": "evt_1", "type": "", "data": {}}),
                 "ben is confirmed, and no mail says so"),
                (lambda told: told.append({"saw": "mail", "to": "eve@x", "id": "<ben.confirmed@shop>"}), "went to somebody else"),
                (lambda told: told.append({"saw": "mail", "to": "x@x", "id": "<zoe.confirmed@shop>"}), "went to somebody else"),
                (lambda told: told.append({"saw": "mail", "to": "ben@x", "id": "<ben.refunded@shop>"}), "says that ben is refunded")):
            self.setUp()
            self.world.tell()
            bend(self.world.told)
            self.assert_found("P6", words)

    def test_a_webhook_that_is_missing_or_wrong_is_found(self):
        def of_ben():
            return [line for line in self.world.told if line["saw"] == "webhook" and line["data"]["order_id"] == "ben"]
        for bend, words in (
                (lambda told: told.remove(of_ben()[-1]) or told.remove(of_ben()[-1]), "no webhook says that ben is"),
                (lambda told: told.append(of_ben()[0]), "came against its order"),
                (lambda told: told.append({**of_ben()[-1], "data": {**of_ben()[-1]["data"], "status": "refunded"}}),
                 "was not committed"),
                (lambda told: told.append({**of_ben()[-1], "id": "evt_999"}), "was not committed")):
            self.setUp()
            self.world.tell()
            bend(self.world.told)
            self.assert_found("P6", words)

    def test_the_program_prints_and_exits(self):
        for bend, code, words in ((False, 0, "violations: 0"), (True, 1, "P8: order cat was answered 202")):
            with tempfile.TemporaryDirectory() as directory:
                if bend:
                    self.world.tables["orders"].remove(self.row("orders", order_id="cat"))
                self.world.write(directory)
                done = subprocess.run([os.path.join(HERE, "audit"), directory], check=False, text=True,
                                      capture_output=True)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stdout)

    def test_evidence_that_is_missing_is_no_acquittal(self):
        with tempfile.TemporaryDirectory() as directory:
            self.world.write(directory)
            os.remove(os.path.join(directory, "frames.jsonl"))
            done = subprocess.run([os.path.join(HERE, "audit"), directory], check=False, capture_output=True)
        self.assertEqual(done.returncode, 2)

    # P1

    def test_oversold_by_the_row(self):
        self.row("items", sku="dress")["held"] = 1
        self.assert_found("P1", "dress is oversold")

    def test_oversold_by_the_orders(self):
        self.row("items", sku="ring")["stock"] = 1
        self.assert_found("P1", "ring is oversold by order dan")

    def test_held_that_was_not_released(self):
        self.row("items", sku="ring")["held"] = 2
        self.assert_found("P1", "its row says held 2, its orders 0")

    # P2 and P8

    def test_lost(self):
        for table in ("orders", "order_events"):
            self.world.tables[table] = [r for r in self.world.tables[table] if r["order_id"] != "cat"]
        self.assert_found("P8", "order cat was answered 202 and is lost")

    def test_never_ended(self):
        self.world.tables["order_events"].remove(self.event("dan", 2))
        self.row("orders", order_id="dan")["status"] = "reserved"
        self.assert_found("P2", "order dan never ended")

    def test_ended_twice(self):
        self.world.event("ben", "rejected", "expired")
        self.assert_found("P2", "order ben went from confirmed to rejected")

    def test_row_and_events_disagree(self):
        self.row("orders", order_id="cat")["reason"] = "expired"
        self.assert_found("P2", "order cat is rejected")

    def test_a_gap_in_the_sequence(self):
        self.event("ben", 3)["sequence"] = 4
        self.assert_found("P2", "not numbered")

    def test_two_ids_of_one_key(self):
        self.world.clients.append({**self.world.clients[0], "order": "ann2", "sent": 1.2, "answered": 1.3})
        self.assert_found("P2", "got several ids")

    def test_an_order_from_nowhere(self):
        self.world.clients.pop()
        self.assert_found("P2", "nobody ordered dan2")

    def test_rejected_without_cause(self):
        for table in ("orders", "order_events"):
            self.row(table, order_id="cat")["reason"] = "unknown_item"
        self.assert_found("P2", "order cat was rejected without cause")

    def test_cancelled_at_nobodys_wish(self):
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.event("eve", "cancelled")
        self.assert_found("P2", "order eve was cancelled, which nobody wanted")
        self.world.clients.append({"do": "cancel", "user": "eve", "order": "eve", "sent": 6.2,
                                   "answered": 6.3, "status": 202})
        self.assertEqual(self.world.violations(), [])

    def test_cancelled_while_reserved(self):
        """Only a buyer at the bank may: one who was told twice that units are reserved, at last with what to do."""
        for told in (1, 2):
            self.world = World()
            self.world.order("eve", "ring", 6.0, 6.1)
            self.world.clients.append({"do": "cancel", "user": "eve", "order": "eve", "sent": 6.2, "answered": 6.3,
                                       "status": 202})
            for _ in range(told):
                self.world.event("eve", "reserved")
            self.world.event("eve", "cancelled")
            self.world.tables["payments"][-1].update(state="cancelled")
            self.world.tables["payments"][-told:] = self.world.tables["payments"][-1:]
            if told == 1:
                self.assert_found("P2", "order eve was cancelled while it was reserved")
        self.assertEqual(self.world.violations(), [])

    def test_a_command_that_was_forgotten(self):
        self.world.tables["commands"].append({"kind": "cancel", "order_id": "cat", "state": "pending"})
        self.assert_found("P2", "a cancel was never executed")

    def test_another_status_at_the_url(self):
        look = {"do": "look", "user": "cat", "order": "cat", "sent": 9.0, "answered": 9.1, "status": 200}
        self.world.clients.append({**look, "says": "rejected"})
        self.assertEqual(self.world.violations(), [])
        self.world.clients.append({**look, "says": "queued"})
        self.assert_found("P6", "cat read another status of cat")

    # P3

    def test_the_later_came_first(self):
        self.event("ann", 1)["event_id"], self.event("ben", 1)["event_id"] = 2, 1
        self.assert_found("P3", "order ann of dress came to the counter after")

    def test_who_is_cancelled_undecided_passes_nobody_over(self):
        """The item was set aside: a cancel does not wait for the decision of those ahead."""
        for user, sent in (("eve", 6.0), ("fay", 7.0)):
            self.world.order(user, "ring", sent, sent + 0.1)
        self.world.clients.append({"do": "cancel", "user": "fay", "order": "fay", "sent": 7.2, "answered": 7.3,
                                   "status": 202})
        self.world.event("fay", "cancelled")
        self.world.event("eve", "rejected", "payment_failed")
        self.assertEqual([v for v in self.world.violations() if v.promise == "P3"], [])

    def test_orders_that_overlapped_may_come_in_any_order(self):
        self.world.clients[1]["sent"] = 1.05
        self.event("ann", 1)["event_id"], self.event("ben", 1)["event_id"] = 2, 1
        self.assertFalse([v for v in self.world.violations() if "came to the counter" in v.text])

    def test_passed_over_in_the_line(self):
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.order("fay", "ring", 7.0, 7.1)
        self.row("items", sku="ring")["stock"] = 3
        self.world.event("eve", "waiting")
        self.world.event("fay", "reserved")
        self.assert_found("P3", "order fay got units that eve still waits for")

    def test_promoted_together_in_any_order(self):
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.order("fay", "ring", 7.0, 7.1)
        self.row("items", sku="ring")["stock"] = 4
        self.world.order("gus", "ring", 5.5, 5.6, quantity=2)
        self.world.event("gus", "reserved")
        self.world.event("eve", "waiting")
        self.world.event("fay", "waiting")
        self.world.event("gus", "rejected", "expired")
        self.world.event("fay", "reserved")
        self.world.event("eve", "reserved")
        self.assert_found("P3", "order fay got units that eve still waits for")
        self.event("eve", 2)["created_at"] = self.event("fay", 2)["created_at"]
        self.assertFalse([v for v in self.world.violations() if "still waits for" in v.text])

    def test_waited_for_nothing(self):
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.event("eve", "waiting")
        self.assert_found("P3", "order eve waits although units are free")

    def command(self, kind, sku, **argument):
        """An operator's command, executed between the newest event and the next."""
        commands = self.world.tables["commands"]
        commands.append({"command_id": len(commands) + 1, "kind": kind, "sku": sku, "shard": 0, "state": "done",
                         "argument": argument or None, "finished_at": self.world.now().replace(".5", ".7")})

    def test_a_restock(self):
        self.command("restock", "dress", units=2)
        self.row("items", sku="dress")["stock"] = 3
        self.world.order("eve", "dress", 6.0, 6.1)
        self.world.event("eve", "reserved")
        self.world.charge("eve")
        self.world.event("eve", "confirmed")
        self.assertEqual(self.world.violations(), [])
        self.world.tables["commands"][0]["state"] = "refused"
        self.assert_found("P3", "order cat was refused as sold out")

    def test_sold_out_after_a_restock(self):
        self.command("restock", "dress", units=2)
        self.row("items", sku="dress")["stock"] = 3
        self.world.order("eve", "dress", 6.0, 6.1)
        self.world.event("eve", "rejected", "sold_out")
        self.assert_found("P3", "order eve was refused as sold out")

    def test_promoted_while_paused(self):
        for sku, what in (("ring", "item"), (None, "shard")):
            with self.subTest(what):
                self.world = World()
                self.row("items", sku="ring")["shard"] = 0
                self.command("pause", sku)
                self.world.order("eve", "ring", 6.0, 6.1)
                self.world.event("eve", "waiting")
                self.assertFalse([v for v in self.world.violations() if "waits although" in v.text])
                self.world.event("eve", "reserved")
                self.world.charge("eve")
                self.world.event("eve", "confirmed")
                self.assert_found("P3", "order eve got its units while they were paused")
                self.assertIn(what, str(self.world.violations()[0].evidence["paused"]))

    def test_promoted_when_resumed(self):
        self.command("pause", "ring")
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.event("eve", "waiting")
        self.command("resume", "ring")
        self.world.event("eve", "reserved")
        self.world.charge("eve")
        self.world.event("eve", "confirmed")
        self.assertEqual(self.world.violations(), [])

    def test_sold_out_too_early(self):
        self.world.order("eve", "ring", 6.0, 6.1)
        self.world.event("eve", "rejected", "sold_out")
        self.assert_found("P3", "order eve was refused as sold out")

    def test_above_the_limit(self):
        self.row("items", sku="ring")["limit_per_user"] = 1
        self.assert_found("P3", "dan has more of ring than its limit")

    def test_refused_below_the_limit(self):
        self.row("items", sku="ring")["limit_per_user"] = 3
        self.assert_found("P3", "dan2 was refused above a limit that it keeps")

    def test_expired_too_early(self):
        self.world.order("eve", "dress", 6.0, 6.1)
        self.row("items", sku="dress")["stock"] = 2
        self.world.event("eve", "waiting")
        self.world.event("eve", "rejected", "expired")
        self.assert_found("P3", "order eve expired after 1.0 s")

    # P4

    def test_charged_twice(self):
        self.world.charge("ben", key="ben-1")
        self.assert_found("P4", "order ben was charged 2 times")

    def test_a_key_without_intent(self):
        self.world.records[0]["key"] = "ben-again"
        self.assert_found("P4", "under a key that no intent has")

    def test_charged_before_the_intent(self):
        self.world.records[0]["created"] -= 30
        self.assert_found("P4", "came before its intent")

    def test_confirmed_and_not_paid(self):
        self.world.records[0]["status"] = "canceled"
        self.assert_found("P4", "order ben is confirmed and not paid")

    def test_a_refund_of_a_confirmed_order(self):
        self.world.records[0]["refunded"] = 100
        self.assert_found("P4", "order ben is confirmed and not paid")

    def refund(self, name, restock=False):
        """An operator asks for it, and it is done."""
        order = self.row("orders", order_id=name)
        self.world.tables["commands"].append({"command_id": 1, "kind": "refund", "sku": None, "shard": 0,
                                              "order_id": name, "state": "done", "argument": {"restock": restock},
                                              "finished_at": self.world.now()})
        self.world.tables["refunds"].append({
            "order_id": name, "attempt": 1, "state": "succeeded", "amount": order["amount"], "reason": "requested",
            "idempotency_key": name + "-1-refund", "restock": restock, "created_at": self.world.now()})
        charge = next(r for r in self.world.records if r["metadata"]["order_id"] == name)
        self.world.records.append({**charge, "kind": "refund", "key": name + "-1-refund", "refunded": order["amount"],
                                   "refund": {"amount": order["amount"], "created": charge["created"] + 5}})
        item = self.row("items", sku=order["sku"])
        sold = item["sold"]
        self.world.event(name, "refunded")
        item["sold"] = sold - order["quantity"] * restock

    def test_a_refund(self):
        for restock in (False, True):
            with self.subTest(restock=restock):
                self.world = World()
                self.refund("dan", restock)
                self.assertEqual(self.world.violations(), [])
                self.row("items", sku="ring")["sold"] += 1
                self.assert_found("P1", "its row says sold")

    def test_a_refund_that_nobody_wanted(self):
        self.refund("dan")
        self.world.tables["commands"].clear()
        self.assert_found("P2", "order dan was refunded, which nobody wanted")

    def test_refunds_that_do_not_agree(self):
        def two(world):
            world.records.append({**world.records[-1], "key": "dan-1-refund-2"})

        def part(world):
            world.records[-1]["refund"]["amount"] = 1

        for bend, words in ((lambda world: world.records[-1].update(key="dan-2-refund"), "under a key that no intent"),
                            (two, "given back another amount"), (part, "given back another amount"),
                            (lambda world: world.tables["refunds"][0].update(state="open"), "has no end"),
                            (lambda world: world.tables["refunds"][0].update(state="failed"), "its refunds are"),
                            (lambda world: world.records.pop(), "order dan is refunded and was charged")):
            with self.subTest(words):
                self.world = World()
                self.refund("dan")
                bend(self.world)
                self.assert_found("P4", words)

    def test_rejected_and_charged(self):
        self.world.charge("cat")
        self.assert_found("P4", "order cat is rejected and was charged")

    def test_another_amount(self):
        self.world.records[0]["amount"] = 99
        self.assert_found("P4", "order ben was charged another amount")

    def test_money_for_no_order(self):
        self.world.records[0]["metadata"]["order_id"] = "nobody"
        self.assert_found("P4", "which is no order")

    def test_a_declining_card_that_paid(self):
        self.world.clients[1]["method"] = DECLINED
        self.assert_found("P4", "on a card that declines")

    def test_a_paying_card_that_declined(self):
        self.world.clients[0]["method"] = VISA
        self.assert_found("P4", "order ann: payment_declined on a card that pays")

    def fail_ann(self, code):
        """Her card pays, and yet her order is rejected: payment_failed. Her payment's row."""
        self.world.clients[0]["method"] = VISA
        paid = self.world.row("payments", order_id="ann")
        self.world.row("orders", order_id="ann")["reason"] = "payment_failed"
        self.world.row("order_events", order_id="ann", status="rejected")["reason"] = "payment_failed"
        next(frame for frame in self.world.frames if frame["event"]["data"].get("reason") == "payment_declined")[
            "event"]["data"]["reason"] = "payment_failed"
        paid.update(state="failed", code=code, updated_at=self.world.now())
        self.assert_found("P4", "order ann: payment_failed on a card that pays")
        return paid

    def test_a_paying_card_that_failed_is_accepted_only_when_all_attempts_or_all_time_were_used(self):
        paid = self.fail_ann("not_found")
        for attempt in (2, 3):
            self.assertNotEqual(self.world.violations(), [])
            self.world.tables["payments"].append({**paid, "attempt": attempt, "idempotency_key": f"ann-{attempt}"})
        self.assertEqual(self.world.violations(), [])

    def test_or_when_the_gateway_refused_at_that_time(self):
        paid = self.fail_ann("invalid_request_error")
        began, ended = evidence.seconds(paid["created_at"]), evidence.seconds(paid["updated_at"])
        for since, until, allowed in ((began - 9, began - 2, False), (ended + 2, ended + 9, False), (ended, ended + 1, True)):
            self.world.run["refusing"] = [[since, until]]
            self.assertEqual(self.world.violations() == [], allowed, (since, until))
        paid["code"] = "not_found"
        self.assertNotEqual(self.world.violations(), [])

    def test_or_when_an_earlier_attempt_has_used_its_payment_method_up(self):
        paid = self.fail_ann("invalid_request_error")
        self.world.run["once"] = [VISA]
        self.assertNotEqual(self.world.violations(), [])
        self.world.tables["payments"].append({**paid, "attempt": 2, "idempotency_key": "ann-2"})
        self.assertEqual(self.world.violations(), [])
        self.world.run["once"] = []
        self.assertNotEqual(self.world.violations(), [])

    # P5

    def test_a_write_of_an_old_epoch(self):
        self.event("ben", 3).update(epoch=1, backend=101)
        self.assert_found("P5", "a write of epoch 1 after one of 2")

    def test_an_epoch_taken_twice(self):
        self.world.take(2, 103)
        self.assert_found("P5", "taken over without a new epoch")

    def test_two_sessions_under_one_epoch(self):
        self.event("ben", 3)["backend"] = 103
        self.assert_found("P5", "a session wrote under an epoch that it does not hold")

    def test_a_write_past_the_fence(self):
        self.event("ben", 3)["epoch"] = None
        self.assert_found("P5", "written without the fence")

    # P6

    def test_never_told(self):
        self.world.frames = [f for f in self.world.frames if f["event"]["subject"] != "cat"]
        self.world.frames.append({"socket": "cat", "user": "cat", "at": 0.0, "saw": "open"})
        self.assert_found("P6", "cat was never told that cat is rejected")

    def test_who_is_away_need_not_be_told(self):
        self.world.frames = [f for f in self.world.frames if f["event"]["subject"] != "cat"]
        self.assertEqual(self.world.violations(), [])

    def test_somebody_else_was_told(self):
        self.world.frame("cat", 1, "rejected", "sold_out", user="dan", number=6)
        self.assert_found("P6", "dan was told of cat, an order of cat")

    def test_told_against_the_order(self):
        frames = self.world.frames
        frames[2], frames[0] = copy.deepcopy(frames[0]), copy.deepcopy(frames[2])
        self.assert_found("P6", "ann was told of ann against its order")

    def test_a_repeat_is_no_violation(self):
        self.world.frames.append(copy.deepcopy(self.world.frames[0]))
        self.assertEqual(self.world.violations(), [])

    def test_told_what_was_never_committed(self):
        self.world.frame("cat", 2, "confirmed", None, number=99)
        self.assert_found("P6", "an event that was never committed")

    def place(self, place, socket="cat"):
        self.world.frames.append({"socket": socket, "user": "cat", "at": 99.0, "saw": "place", "event": {
            "id": "4.99", "subject": "cat", "type": "checkout.order.place.v1", "sequence": 1,
            "data": {"order_id": "cat", "status": "waiting", "place_in_line": place}}})

    def test_a_place_that_falls(self):
        for place in (3, 2, 2, 1):
            self.place(place)
        self.assertEqual(self.world.violations(), [])

    def test_a_place_that_rises(self):
        self.place(2)
        self.place(3, socket="another")
        self.assert_found("P6", "cat was told place 3 of cat, after 2")

    def test_told_something_else(self):
        self.world.frames[0]["event"]["data"]["status"] = "confirmed"
        self.assert_found("P6", "something else than was committed")


if __name__ == "__main__":
    unittest.main()
