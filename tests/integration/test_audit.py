#!/usr/bin/python3
"""checkoutctl audit: silent about a sale that kept its promises, also while it runs; loud about each damage.

Damage is done by SQL, past the programs, or at the gateway. CHECKOUT_TEST_AUDIT sets how many orders the
last class builds (default 20,000; tests/run --full takes 1,000,000, and then holds time and memory).
"""

import json
import os
import subprocess
import threading
import time
import uuid

import harness
from harness import wait_until
from harness_database import as_login
from test_memory import sanitized

ORDERS = int(os.environ.get("CHECKOUT_TEST_AUDIT", "20000"))
FULL = ORDERS >= 1000000
SECONDS_MAX = 30
MEMORY_MAX = 64 << 20


class Audited(harness.TestCase):
    """What all classes here ask."""

    def audit(self, *arguments, code=None, stack=None):
        """The result of `audit --json`, run with the operator's own rights."""
        stack = stack or self.stack
        done = stack.ctl("audit", "--json", *arguments, check=False, timeout=900,
                         CHECKOUT_DATABASE_URL=as_login(stack.direct["CHECKOUT_DATABASE_URL"], "operator"))
        self.assertIn(done.returncode, (0, 1) if code is None else (code,), done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if result["violations"] or not result["complete"] else 0, done.stderr)
        self.assertEqual(result["violation_count"], len(result["violations"]))
        return result

    def assert_clean(self, *arguments):
        result = self.audit(*arguments)
        self.assertEqual(result["violations"], [])
        self.assertTrue(result["complete"])
        return result["checked"]

    def sale(self, stock=5, buyers=8):
        """A sold-out item: its buyers' orders, in the order in which they came, all final."""
        sku = self.stack.item(stock=stock)
        jobs = [self.stack.job(f"buyer-{n}", sku, payment_method="pm_card_visa") for n in range(buyers)]
        self.stack.publish_jobs(*jobs)
        orders = [harness.Order(self.stack, job["user_id"], job["order_id"]) for job in jobs]
        for order in orders:
            order.wait_final()
        return sku, orders


class Clean(Audited):
    daemons = ("sandbox", "producer", "consumer")

    def test_a_sale_that_kept_its_promises(self):
        before = self.assert_clean()
        self.sale(stock=5, buyers=30)
        declined = self.stack.order("ann", self.stack.item(), payment_method="pm_card_chargeDeclined")
        declined.wait("rejected", "payment_declined")
        checked = self.assert_clean("--older", "0s")
        self.assertEqual(checked["orders"] - before["orders"], 31)
        self.assertEqual(checked["payment_rows"] - before["payment_rows"], 6)
        self.assertEqual(checked["gateway_captures"] - before["gateway_captures"], 5)
        self.assertEqual(checked["shards"], self.stack.shards)

    def test_words_for_people(self):
        sku, _ = self.sale()
        told = self.stack.ctl("audit").stdout
        self.assertIn("0 violations", told)
        self.assertRegex(told, r"checked \d+ items, \d+ orders, \d+ events")
        self.stack.sql("update items set held = 1, stock = stock + 1 where sku = %s", (sku,))
        done = self.stack.ctl("audit", "--no-gateway", check=False)
        self.stack.sql("update items set held = 0 where sku = %s", (sku,))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"P1  held-differs  item {sku}", done.stdout)
        self.assertIn("What to do:", done.stdout)
        self.assertIn("1 violations", done.stdout)

    def test_orders_in_flight_and_in_line_are_no_violation(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.latency(4000)
        first = self.stack.order("ann", sku).wait("reserved")
        second = self.stack.order("bob", sku).wait("waiting")
        self.assert_clean()
        self.stack.gateway.latency(0)
        first.wait("confirmed")
        second.wait("rejected", "sold_out")
        self.assert_clean("--older", "0s")

    def test_a_capture_whose_settlement_is_on_its_way_is_no_violation(self):
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method="pm_sandbox_charge-then-never")
        wait_until(lambda: self.stack.gateway.captured().get(order.id) == 1, 30, "its capture")
        checked = self.audit()
        self.assertEqual(checked["violations"], [])
        if order.status() == "reserved":
            self.assertEqual(checked["checked"]["gateway_unsettled"], 1)
        old = self.audit("--older", "0s", "--no-gateway")["violations"]
        self.assertEqual([(v["kind"], v["order_id"]) for v in old], [("intent-too-old", order.id)])
        order.wait("confirmed", timeout=60)

    def test_settings_that_are_missing_or_wrong(self):
        for arguments, settings, said in (
                ((), {"CHECKOUT_GATEWAY_URL": ""}, "--no-gateway"),
                (("--older", "soon"), {}, "--older"), (("--since", "-1h"), {}, "--since")):
            with self.subTest(arguments=arguments):
                done = self.stack.ctl("audit", *arguments, check=False, **settings)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(said, done.stderr)

    def test_a_gateway_that_cannot_be_asked_is_a_failure_and_no_violation(self):
        wrong = self.stack.write_secret("wrong-key", "sk_test_this_is_not_the_key_at_all")
        done = self.stack.ctl("audit", "--json", check=False, CHECKOUT_GATEWAY_KEY_FILE=wrong)
        self.assertEqual(done.returncode, 1)
        self.assertIn("refuses our key", done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["violations"], result["complete"]), ([], False))


class Damage(Audited):
    """Each test damages the tables of one sale, sees it told, and mends them."""

    daemons = ("sandbox", "producer", "consumer")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sku, orders = cls().sale(stock=4, buyers=8)
        cls.sold = sorted(order.id for order in orders if order.status() == "confirmed")
        cls.refused = sorted(order.id for order in orders if order.status() == "rejected")
        cls.line = cls.stack.item(stock=3, paused=True)
        jobs = [cls.stack.job(f"waiter-{n}", cls.line) for n in range(3)]
        cls.stack.publish_jobs(*jobs)
        cls.waiting = [job["order_id"] for job in jobs]
        for job in jobs:
            harness.Order(cls.stack, job["user_id"], job["order_id"]).wait("waiting")
        for daemon in ("producer", "consumer"):
            cls.stack.daemon(daemon).stop()

    def setUp(self):
        """A copy of the tables, to be put back at the end: what is damaged stays in this test."""
        self.saved = ("items", "orders", "order_events", "waitlist", "payments", "refunds", "relays", "customer_units")
        for table in self.saved:
            self.stack.sql(f"create table public.saved_{table} as table {table}")
        self.stack.sql("update relays set relayed_to = 0")  # else it is ahead when the newest event goes

    def tearDown(self):
        self.stack.sql("alter table items drop constraint if exists never_oversold")
        self.stack.sql("truncate jobs_aside, items_aside")   # nothing is in them
        for table in self.saved:
            self.stack.sql(f"truncate {table}")
            self.stack.sql(f"insert into {table} table public.saved_{table}")
            self.stack.sql(f"drop table public.saved_{table}")
        self.stack.sql("alter table items add constraint never_oversold check (held + sold <= stock)")

    def damage(self, statement, *values):
        self.stack.sql(statement, values)

    def assert_found(self, *expected, arguments=("--no-gateway",)):
        """Exactly these: (kind, item or None, order or None)."""
        found = self.audit(*arguments)["violations"]
        self.assertCountEqual([(v["kind"], v.get("sku"), v.get("order_id")) for v in found], expected)
        for violation in found:
            self.assertRegex(violation["promise"], "^P[1-6]$")
            self.assertGreater(len(violation["advice"]), 20)
            self.assertGreater(len(violation["found"]), 10)
        return found

    # -- items -----------------------------------------------------------------------------------

    def test_nothing_is_found_before(self):
        self.assert_found(arguments=())

    def test_oversold(self):
        self.damage("alter table items drop constraint never_oversold")
        self.damage("update items set stock = 3 where sku = %s", self.sku)
        self.assert_found(("oversold", self.sku, None))

    def test_units_held_for_nobody(self):
        self.damage("update items set stock = stock + 2, held = 2 where sku = %s", self.sku)
        self.assert_found(("held-differs", self.sku, None))

    def test_units_sold_to_nobody_and_not_counted(self):
        self.damage("update items set sold = sold - 1 where sku = %s", self.sku)
        self.assert_found(("sold-differs", self.sku, None))

    def test_units_of_a_customer_that_are_too_many_or_too_few(self):
        user = self.stack.one("select user_id from orders where order_id = %s", (self.sold[0],))
        for units in ("units + 1", "0"):
            self.damage(f"update customer_units set units = {units} where sku = %s and user_id = %s", self.sku, user)
            self.assertIn(user, self.assert_found(("units-differ", self.sku, None))[0]["found"])
        self.damage("delete from customer_units where sku = %s and user_id = %s", self.sku, user)
        self.assert_found(("units-differ", self.sku, None))

    def test_units_of_a_customer_without_orders(self):
        self.damage("insert into customer_units (sku, user_id, units) values (%s, 'nobody', 2)", self.line)
        self.assert_found(("units-differ", self.line, None))
        self.damage("update customer_units set units = 0 where user_id = 'nobody'")
        self.assert_found()

    def forget_units(self, order):
        """Its customer has none of the order's units any more."""
        self.damage("update customer_units u set units = u.units - o.quantity from orders o "
                    "where o.order_id = %s and u.sku = o.sku and u.user_id = o.user_id", order)

    def refunded(self, restock=False, state="succeeded", reason="requested"):
        self.forget_units(self.sold[0])
        self.damage("update orders set status = 'refunded', sequence = 3 where order_id = %s", self.sold[0])
        self.damage("insert into order_events (shard, order_id, sequence, status) values (%s, %s, 3, 'refunded')",
                    self.stack.shard(self.sku), self.sold[0])
        self.refund(restock, state, reason)

    def refund(self, restock=False, state="succeeded", reason="requested"):
        self.damage("insert into refunds (order_id, attempt, shard, state, amount, currency, intent_id,"
                    " idempotency_key, reason, restock, created_at)"
                    " select order_id, attempt, shard, %s, amount, currency, intent_id, 'key', %s, %s,"
                    " now() - interval '1 h' from payments where order_id = %s", state, reason, restock,
                    self.sold[0])

    def test_refunded_units_stay_sold(self):
        self.refunded()
        self.assert_found()
        self.damage("update items set sold = sold - 1 where sku = %s", self.sku)
        self.assert_found(("sold-differs", self.sku, None))

    def test_refunded_units_are_back(self):
        self.refunded(restock=True)
        self.assert_found(("sold-differs", self.sku, None))
        self.damage("update items set sold = sold - 1 where sku = %s", self.sku)
        self.assert_found()

    def test_refunded_and_the_refund_failed(self):
        self.refunded(state="failed")
        self.assert_found(("refund-failed", self.sku, self.sold[0]))

    def test_refunded_without_a_refund(self):
        self.refunded()
        self.damage("delete from refunds where order_id = %s", self.sold[0])
        self.assert_found(("refund-missing", self.sku, self.sold[0]))

    def test_given_back_and_still_confirmed(self):
        self.refund()
        self.assert_found(("refund-left-over", self.sku, self.sold[0]))

    def test_a_refund_of_what_is_not_the_orders_payment(self):
        self.refunded()
        self.damage("update payments set intent_id = 'pi_other' where order_id = %s", self.sold[0])
        self.assert_found(("refund-undue", self.sku, self.sold[0]))

    def test_money_for_nothing_that_does_not_come_back(self):
        self.refund(state="failed", reason="late_success")
        self.assert_found(("refund-failed", self.sku, self.sold[0]))

    def test_a_refund_that_does_not_end(self):
        self.refund(state="open")
        self.assert_found(("refund-too-old", self.sku, self.sold[0]))

    def test_an_item_that_is_gone(self):
        self.damage("delete from items where sku = %s", self.sku)
        found = self.audit("--no-gateway")["violations"]
        self.assertIn(("item-missing", self.sku), [(v["kind"], v["sku"]) for v in found])

    def test_waiting_counted_wrongly(self):
        self.damage("update items set waiting = 7 where sku = %s", self.line)
        self.assert_found(("waiting-differs", self.line, None))

    def test_a_line_whose_head_would_be_passed(self):
        self.damage("update items set waitlist_head = 2 where sku = %s", self.line)
        self.assert_found(("line-marks-differ", self.line, None))

    def test_a_ticket_that_would_be_drawn_twice(self):
        self.damage("update items set next_ticket = 3 where sku = %s", self.line)
        self.assert_found(("line-marks-differ", self.line, None))

    # -- histories -------------------------------------------------------------------------------

    def test_an_order_without_events(self):
        self.damage("delete from order_events where order_id = %s", self.refused[0])
        self.assert_found(("events-missing", self.sku, self.refused[0]))

    def test_events_with_a_gap(self):
        self.damage("update order_events set sequence = 5 where order_id = %s and sequence = 2", self.sold[0])
        self.damage("update orders set sequence = 5 where order_id = %s", self.sold[0])
        self.assert_found(("events-gap", self.sku, self.sold[0]))

    def test_a_first_event_that_is_missing(self):
        self.damage("delete from order_events where order_id = %s and sequence = 1", self.sold[0])
        self.assert_found(("events-gap", self.sku, self.sold[0]))

    def test_an_event_that_is_there_twice(self):
        for order in (self.sold[0], self.refused[0]):
            self.damage("insert into order_events (shard, order_id, sequence, status, reason, created_at) select shard, order_id, "
                        "sequence, status, reason, created_at from order_events where order_id = %s order by sequence desc limit 1", order)
        self.assert_found(("event-twice", self.sku, self.sold[0]), ("event-twice", self.sku, self.refused[0]))

    def test_two_events_with_one_id(self):
        self.damage("update order_events set event_id = (select max(event_id) from order_events where order_id = %s) "
                    "where order_id = %s and event_id = (select max(event_id) from order_events where order_id = %s)",
                    self.refused[0], self.refused[1], self.refused[1])
        self.assert_found(("event-twice", None, None))

    def add_event(self, order, status, reason=None):
        """One more event, and the order follows it."""
        self.damage("update orders set sequence = sequence + 1, status = %s, reason = %s where order_id = %s",
                    status, reason, order)
        self.damage("insert into order_events (shard, order_id, sequence, status, reason) "
                    "select shard, order_id, sequence, status, reason from orders where order_id = %s", order)

    def test_an_end_that_was_left(self):
        self.add_event(self.refused[0], "cancelled")
        self.assert_found(("end-left", self.sku, self.refused[0]))

    def test_a_confirmation_that_was_taken_back_otherwise_than_by_a_refund(self):
        self.add_event(self.sold[0], "rejected", "payment_failed")
        self.damage("update items set sold = sold - 1 where sku = %s", self.sku)
        self.forget_units(self.sold[0])
        self.assert_found(("end-left", self.sku, self.sold[0]), ("capture-left-over", None, self.sold[0]))

    def test_a_step_that_does_not_exist(self):
        self.damage("update order_events set status = 'confirmed' where order_id = %s and sequence = 1",
                    self.waiting[2])
        self.assert_found(("step-unknown", self.line, self.waiting[2]))

    def test_an_order_that_is_gone(self):
        self.damage("delete from orders where order_id = %s", self.refused[0])
        self.assert_found(("order-missing", None, self.refused[0]))

    def test_a_status_that_was_never_told(self):
        self.damage("update orders set status = 'cancelled', reason = null where order_id = %s", self.refused[0])
        self.assert_found(("status-differs", self.sku, self.refused[0]))

    def test_a_reason_that_was_never_told(self):
        self.damage("update orders set reason = 'expired' where order_id = %s", self.refused[0])
        self.assert_found(("status-differs", self.sku, self.refused[0]))

    # -- the line --------------------------------------------------------------------------------

    def test_an_order_that_lost_its_place(self):
        self.damage("delete from waitlist where order_id = %s", self.waiting[1])
        self.assert_found(("place-missing", self.line, self.waiting[1]), ("waiting-differs", self.line, None))

    def test_a_place_of_an_order_that_has_ended(self):
        self.damage("insert into waitlist select sku, 99, %s, shard, 1, expires_at from waitlist where order_id = %s",
                    self.refused[0], self.waiting[0])
        self.assert_found(("place-left-over", self.line, self.refused[0]), ("waiting-differs", self.line, None),
                          ("line-marks-differ", self.line, None))

    def test_a_place_for_more_than_was_ordered(self):
        self.damage("update waitlist set quantity = 2 where order_id = %s", self.waiting[2])
        self.assert_found(("place-differs", self.line, self.waiting[2]))

    def test_a_wait_that_does_not_end(self):
        self.damage("update waitlist set expires_at = now() - interval '30 minutes' where order_id = %s",
                    self.waiting[0])
        self.assert_found()
        self.assert_found(("wait-too-long", self.line, self.waiting[0]),
                          arguments=("--no-gateway", "--older", "1m"))

    def put_aside(self, order_id):
        self.damage("insert into jobs_aside (shard, sku, order_id) select shard, sku, %s from items where sku = %s",
                    order_id, self.sku)

    def mark_aside(self):
        self.damage("insert into items_aside (shard, sku, why) select shard, sku, 'a test' from items where sku = %s", self.sku)

    def test_a_job_that_is_set_aside_is_no_violation(self):
        self.put_aside(str(uuid.uuid4()))
        self.mark_aside()
        self.assert_found()

    def test_an_order_that_is_decided_and_set_aside(self):
        self.put_aside(self.refused[0])
        self.mark_aside()
        self.assert_found(("aside-decided", self.sku, self.refused[0]))

    def test_a_job_that_is_set_aside_where_no_owner_finds_it(self):
        lost = str(uuid.uuid4())
        self.put_aside(lost)
        self.assert_found(("aside-unmarked", self.sku, lost))

    def test_units_given_past_the_line(self):
        """Somebody came and was served while three stood in line."""
        order = str(uuid.uuid4())
        self.damage("insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, "
                    "fingerprint, sequence, accepted_at) values (%s, 'eve', %s, %s, 1, 'reserved', 1000, 'usd', "
                    "'f', 1, now())", order, self.line, self.stack.shard(self.line))
        self.damage("insert into order_events (shard, order_id, sequence, status) values (%s, %s, 1, 'reserved')",
                    self.stack.shard(self.line), order)
        self.damage("insert into payments (order_id, shard, state, amount, currency, idempotency_key) "
                    "values (%s, %s, 'open', 1000, 'usd', 'k')", order, self.stack.shard(self.line))
        self.damage("update items set held = 1 where sku = %s", self.line)
        self.damage("insert into customer_units (sku, user_id, units) values (%s, 'eve', 1)", self.line)
        self.assert_found(("line-passed", self.line, order))

    def test_somebody_who_was_overtaken_in_line(self):
        for order in (self.waiting[2], self.waiting[0]):
            self.add_event(order, "reserved")
            self.damage("delete from waitlist where order_id = %s", order)
            self.damage("update orders set ticket = null where order_id = %s", order)
            self.damage("insert into payments (order_id, shard, state, amount, currency, idempotency_key) "
                        "values (%s, %s, 'open', 1000, 'usd', 'k')", order, self.stack.shard(self.line))
        self.damage("update items set held = 2, waiting = 1 where sku = %s", self.line)
        self.assert_found(("overtaken", self.line, self.waiting[2]))

    # -- payments --------------------------------------------------------------------------------

    def test_a_reserved_order_that_nobody_charges(self):
        self.damage("delete from order_events where order_id = %s and sequence = 2", self.sold[0])
        self.damage("update orders set status = 'reserved', sequence = 1 where order_id = %s", self.sold[0])
        self.damage("update items set held = 1, sold = sold - 1 where sku = %s", self.sku)
        self.damage("delete from payments where order_id = %s", self.sold[0])
        self.assert_found(("intent-missing", self.sku, self.sold[0]))

    def test_an_intent_of_an_order_that_has_ended(self):
        self.damage("update payments set attempt = 7 where order_id = %s", self.sold[0])
        self.damage("insert into payments (order_id, shard, state, amount, currency, idempotency_key) "
                    "select order_id, shard, 'open', amount, currency, 'k' from payments where order_id = %s",
                    self.sold[0])
        self.assert_found(("intent-left-over", self.sku, self.sold[0]))

    def test_two_open_intents(self):
        self.damage("delete from order_events where order_id = %s and sequence = 2", self.sold[0])
        self.damage("update orders set status = 'reserved', sequence = 1 where order_id = %s", self.sold[0])
        self.damage("update items set held = 1, sold = sold - 1 where sku = %s", self.sku)
        self.damage("update payments set state = 'open', intent_id = null where order_id = %s", self.sold[0])
        self.assert_found()
        self.damage("insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key) "
                    "select order_id, 2, shard, state, amount, currency, 'k' from payments where order_id = %s",
                    self.sold[0])
        self.assert_found(("intent-twice", self.sku, self.sold[0]))

    def test_an_intent_without_an_end(self):
        self.damage("delete from order_events where order_id = %s and sequence = 2", self.sold[0])
        self.damage("update orders set status = 'reserved', sequence = 1 where order_id = %s", self.sold[0])
        self.damage("update items set held = 1, sold = sold - 1 where sku = %s", self.sku)
        self.damage("update payments set state = 'open', created_at = now() - interval '61 minutes' "
                    "where order_id = %s", self.sold[0])
        self.assert_found(("intent-too-old", self.sku, self.sold[0]))
        self.assert_found(arguments=("--no-gateway", "--older", "2h"))

    def test_a_confirmed_order_that_was_not_paid(self):
        self.damage("update payments set state = 'failed' where order_id = %s", self.sold[0])
        self.assert_found(("capture-missing", self.sku, self.sold[0]))

    def test_two_captures(self):
        self.damage("insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key) "
                    "select order_id, 2, shard, state, amount, currency, 'k' from payments where order_id = %s",
                    self.sold[0])
        self.assert_found(("capture-twice", self.sku, self.sold[0]))

    def test_a_capture_of_a_rejected_order(self):
        self.damage("insert into payments (order_id, shard, state, amount, currency, idempotency_key) "
                    "values (%s, 0, 'captured', 1000, 'usd', 'k')", self.refused[0])
        self.assert_found(("capture-left-over", None, self.refused[0]))

    def test_another_amount_and_another_currency(self):
        self.damage("update payments set amount = 999 where order_id = %s", self.sold[0])
        self.damage("update payments set currency = 'eur' where order_id = %s", self.sold[1])
        self.assert_found(("amount-differs", self.sku, self.sold[0]), ("amount-differs", self.sku, self.sold[1]))

    # -- shards ----------------------------------------------------------------------------------

    def test_an_epoch_that_falls(self):
        shard = self.stack.shard(self.sku)
        self.damage("update order_events set epoch = epoch + 1 where shard = %s and event_id = "
                    "(select min(event_id) from order_events where shard = %s)", shard, shard)
        found, = self.audit("--no-gateway")["violations"]
        self.assertEqual((found["kind"], found["promise"], found["shard"]), ("epoch-falls", "P5", shard))

    def test_a_mark_ahead_of_its_events(self):
        shard = self.stack.shard(self.sku)
        self.damage("update relays set relayed_to = 1000000 where shard = %s", shard)
        found, = self.audit("--no-gateway")["violations"]
        self.assertEqual((found["kind"], found["shard"]), ("relay-ahead", shard))

    # -- against the gateway ---------------------------------------------------------------------

    def intent_of(self, order):
        return self.stack.one("select intent_id from payments where order_id = %s and state = 'captured'", (order,))

    def assert_charge(self, kind, order, intent):
        found = [v for v in self.audit()["violations"] if v["kind"].startswith("charge")]
        self.assertEqual([(v["kind"], v["promise"], v["order_id"], v["intent_id"]) for v in found],
                         [(kind, "P4", order, intent)])

    def test_a_charge_of_an_order_that_does_not_exist(self):
        intent = self.intent_of(self.sold[0])
        self.damage("delete from orders where order_id = %s", self.sold[0])
        self.assert_charge("charged-for-nothing", self.sold[0], intent)

    def test_a_charge_of_a_rejected_order(self):
        intent = self.intent_of(self.sold[0])
        self.damage("update orders set status = 'rejected', reason = 'payment_failed' where order_id = %s",
                    self.sold[0])
        self.damage("update payments set state = 'failed' where order_id = %s", self.sold[0])
        self.assert_charge("charged-unconfirmed", self.sold[0], intent)

    def test_a_charge_over_another_amount(self):
        intent = self.intent_of(self.sold[0])
        self.damage("update orders set amount = 1 where order_id = %s", self.sold[0])
        self.damage("update payments set amount = 1 where order_id = %s", self.sold[0])
        self.assert_charge("charge-differs", self.sold[0], intent)

    def test_a_capture_that_the_gateway_does_not_know(self):
        self.damage("insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key, "
                    "intent_id) select order_id, 2, shard, state, amount, currency, 'k', 'pi_never' "
                    "from payments where order_id = %s", self.sold[0])
        self.assert_charge("charge-missing", self.sold[0], "pi_never")


class Twice(Audited):
    """Charges that the gateway made behind our back."""

    daemons = ("sandbox", "producer", "consumer")

    def charge(self, order_id, amount=1000, method="pm_card_visa"):
        form = {"amount": amount, "currency": "usd", "payment_method": method, "confirm": "true",
                "payment_method_types[]": "card"}
        if order_id:
            form["metadata[order_id]"] = order_id
        answer = self.stack.gateway.call("POST", "/v1/payment_intents", form)
        self.assertEqual(answer.status, 200, answer)
        return answer.json["id"]

    def test_a_second_charge_and_one_of_nobody_and_one_that_is_not_ours(self):
        _, orders = self.sale(stock=2, buyers=2)
        self.assert_clean()
        second = self.charge(orders[0].id)
        nobody = self.charge("no order's id \x1b[31m")
        self.charge(None)
        result = self.audit()
        self.assertCountEqual([(v["kind"], v["intent_id"]) for v in result["violations"]],
                              [("charged-twice", second), ("charged-for-nothing", nobody)])
        self.assertEqual(result["checked"]["gateway_others"], 1)
        told = self.stack.ctl("audit", check=False).stdout
        self.assertNotIn("\x1b", told)

    def test_less_received_than_the_price_of_a_confirmed_order(self):
        _, (order,) = self.sale(stock=1, buyers=1)
        short = self.charge(order.id, method="pm_sandbox_pays_less")
        intent = self.stack.gateway.call("GET", f"/v1/payment_intents/{short}").json
        self.assertEqual((intent["status"], intent["amount"], intent["amount_received"]), ("succeeded", 1000, 999))
        self.stack.sql("update payments set intent_id = %s where order_id = %s", (short, order.id))
        found = [(v["kind"], v["promise"], v["order_id"]) for v in self.audit()["violations"]
                 if v.get("intent_id") == short]
        self.assertEqual(found, [("charge-differs", "P4", order.id)])


class Running(Audited):
    """While a sale runs there is no false alarm."""

    daemons = ("sandbox", "producer", "consumer", "consumer")
    settings = {"CHECKOUT_GATEWAY_INFLIGHT": 8}

    def test_a_sale_under_way(self):
        self.stack.gateway.control(latency_ms=100, jitter_ms=200)
        skus = [self.stack.item(stock=150) for _ in range(3)] + [self.stack.item(stock=5)]
        methods = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined")
        jobs = [self.stack.job(f"buyer-{n}", skus[n % 4], payment_method=methods[n % 3]) for n in range(2400)]

        def come():
            for start in range(0, len(jobs), 100):
                for sku in skus:
                    self.stack.publish_jobs(*[job for job in jobs[start:start + 100] if job["sku"] == sku])
                time.sleep(0.2)  # so that they come for a while

        crowd = threading.Thread(target=come)
        crowd.start()
        self.addCleanup(crowd.join)
        audits = in_flight = 0
        deadline = time.monotonic() + 120
        while True:
            open_now = self.stack.one("select count(*) from orders where status in ('waiting', 'reserved')")
            decided = self.stack.one("select count(*) from orders")
            checked = self.assert_clean()
            audits += 1
            in_flight += open_now > 0
            if decided == len(jobs) and open_now == 0:
                break
            self.assertLess(time.monotonic(), deadline, "the sale does not end")
        self.assertGreaterEqual(in_flight, 2, f"{audits} audits, and hardly a sale meanwhile")
        self.assertEqual(checked["orders"], len(jobs))


class Large(Audited):
    """Many orders, written as the counter would have written them."""

    # each tenth order of an item is of one kind; phases are transactions, one after the other
    STEPS = (("0123", 1, "reserved", None, 1), ("0123", 2, "confirmed", None, 2), ("4567", 1, "waiting", None, 3),
             ("4", 2, "reserved", None, 4), ("4", 3, "confirmed", None, 5), ("567", 2, "rejected", "sold_out", 6),
             ("89", 1, "rejected", "sold_out", 7))

    def fill(self, count):
        steps = ", ".join(f"('{kind}', {n}, '{status}', {repr(reason) if reason else 'null'}, {phase})"
                          for kinds, n, status, reason, phase in self.STEPS for kind in kinds)
        each = count // 100
        self.stack.sql(
            "insert into items (sku, shard, title, price, currency, stock, sold, waitlist_head, next_ticket) "
            "select 'many-' || i, i %% %s, 'many', 1000, 'usd', %s, %s, %s, %s from generate_series(0, 99) i",
            (self.stack.shards, each // 2, each // 2, each + 1, each + 1))
        self.stack.sql(
            "insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, "
            "fingerprint, sequence, accepted_at) select gen_random_uuid(), 'u' || n %% 5000, 'many-' || n %% 100, "
            "n %% 100 %% %s, 1, case when k <= 4 then 'confirmed' else 'rejected' end, "
            "case when k > 4 then 'sold_out' end, 1000, 'usd', k::text, "
            "case when k = 4 then 3 when k < 8 then 2 else 1 end, now() "
            "from (select n, n / 100 %% 10 as k from generate_series(0, %s - 1) n) g", (self.stack.shards, count))
        self.stack.sql(
            "insert into order_events (shard, order_id, sequence, status, reason, epoch, created_at) "
            "select o.shard, o.order_id, e.n, e.status, e.reason, 1, now() + e.phase * interval '1 ms' "
            f"from orders o join (values {steps}) e(kind, n, status, reason, phase) on e.kind = o.fingerprint "
            "order by e.phase")
        self.stack.sql(
            "insert into payments (order_id, shard, state, amount, currency, idempotency_key, intent_id) "
            "select order_id, shard, 'captured', amount, currency, order_id || '-1', 'pi_' || order_id "
            "from orders where status = 'confirmed'")
        self.stack.sql("insert into customer_units (sku, user_id, units) select sku, user_id, sum(quantity) from orders "
                       "where status = 'confirmed' group by sku, user_id")
        self.stack.sql("analyze")

    def test_time_and_memory(self):
        self.fill(ORDERS)
        settings = {**self.stack.settings,
                    "CHECKOUT_DATABASE_URL": as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator")}
        began = time.monotonic()
        process = subprocess.Popen([harness.program("checkoutctl"), "audit", "--no-gateway", "--json"], text=True,
                                   env=harness.program_environment(settings), stdout=subprocess.PIPE)
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        took = time.monotonic() - began
        result = json.loads(told)
        self.assertEqual((process.returncode, result["violations"]), (0, []))
        self.assertEqual((result["checked"]["orders"], result["checked"]["payment_rows"]), (ORDERS, ORDERS // 2))
        print(f"{ORDERS:,} orders in {took:.1f} s, {usage.ru_maxrss / 1024:.0f} MiB")
        if not sanitized():
            self.assertLess(usage.ru_maxrss * 1024, MEMORY_MAX)
        if FULL:
            self.assertLess(took, SECONDS_MAX)
        self.assert_memory_with_many_violations()

    def assert_memory_with_many_violations(self):
        """Every order is damaged: each is told, and none is kept."""
        self.stack.sql("update payments set amount = 1")
        process = subprocess.Popen([harness.program("checkoutctl"), "audit", "--no-gateway"],
                                   env=harness.program_environment(self.stack.settings),
                                   stdout=subprocess.PIPE, text=True)
        lines = sum(line.startswith("P4  amount-differs") for line in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        self.assertEqual((process.returncode, lines), (1, ORDERS // 2))
        if not sanitized():
            self.assertLess(usage.ru_maxrss * 1024, MEMORY_MAX)


if __name__ == "__main__":
    harness.main()
