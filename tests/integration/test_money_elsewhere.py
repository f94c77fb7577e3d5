#!/usr/bin/python3
"""Money that goes back, or is disputed, at the gateway and not by us: seen by its webhooks and by the audit, recorded,
told to operators and in the feed."""

import json
import uuid

import harness
from harness import wait_until
from test_webhook import PATH, SECRET, sign


class TestCase(harness.TestCase):
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s"}
    webhooks = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start_with_webhooks(PATH, SECRET, sent=cls.webhooks)
        cls.stack.start("notifier")

    def tearDown(self):
        self.stack.gateway.calm()
        self.stack.gateway.control(webhooks="once", refunds="ok")

    def sold(self, stock=3, **members):
        sku = self.stack.item(stock=stock)
        order = self.stack.order("ann", sku, **members).wait("confirmed")
        order.sku = sku
        order.intent = self.stack.one("select intent_id from payments where order_id = %s and state = 'captured'",
                                      (order.id,))
        return order

    def dashboard(self, **action):
        return self.stack.gateway.control(**action).json

    def of_gateway(self, what, order):
        return self.stack.gateway.call("GET", f"/v1/{what}?payment_intent={order.intent}").json["data"]

    def send(self, kind, order, **members):
        """A signed event about the order's payment, which may be a lie."""
        event = "evt_" + uuid.uuid4().hex
        body = json.dumps({"id": event, "object": "event", "type": kind, "livemode": False, "data": {
            "object": {"id": "ob_made_up", "payment_intent": order.intent, **members}}}).encode()
        answer = self.stack.call(None, "POST", PATH, body, {"Content-Type": "application/json",
                                                            "Stripe-Signature": sign(body)})
        self.assertEqual(answer.status, 200, answer)
        return event

    def looked(self):
        wait_until(lambda: self.stack.one("select count(*) from commands where state = 'pending'") == 0 and
                   self.stack.one("select count(*) from return_looks where looks = 0") == 0, 30, "everything to be looked at")

    def known(self, order):
        return self.stack.sql("select kind, amount, status from returns where order_id = %s order by event_id",
                              (order.id,))

    def feed(self, order):
        lines = self.stack.ctl("events", "follow", "--once", "--json").stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [(e["status"], e["amount"]) for e in events if e.get("order_id") == order.id]

    def audit(self, code=0):
        done = self.stack.ctl("audit", "--json", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def doctor(self, subject):
        findings = json.loads(self.stack.ctl("doctor", "--json", check=False).stdout)["findings"]
        return [f for f in findings if f["subject"] == subject]

    def unknown(self, order):
        rows = [json.loads(line) for line in self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()]
        return [row for row in rows if row["order_id"] == order.id]


class ByWebhook(TestCase):
    def test_all_of_it_goes_back(self):
        order = self.sold()
        page = self.stack.listen("ann")
        self.addCleanup(page.close)
        self.dashboard(refund={"payment_intent": order.intent})
        order.wait("refunded", timeout=20)
        wait_until(lambda: page.statuses(order.id)[-1:] == ["refunded"], 30, "the buyer to be told")
        self.assertEqual(self.known(order), [("refund", 1000, "succeeded")])
        self.assertEqual(self.stack.counts(order.sku), (3, 0, 1, 0))      # its unit stays sold
        self.assertEqual(self.feed(order), [("confirmed", 1000), ("refunded", 1000)])
        self.audit()
        refund, = self.of_gateway("refunds", order)
        text = " ".join(self.stack.ctl("orders", "explain", order.id).stdout.split())
        self.assertIn(f"At the gateway, and not by us, 10.00 usd went back: refund {refund['id']} (requested_by_customer).",
                      text)
        shown = json.loads(self.stack.ctl("orders", "show", order.id, "--json").stdout)["elsewhere"]
        self.assertEqual([(r["kind"], r["id"], r["amount"], r["status"]) for r in shown],
                         [("refund", refund["id"], 1000, "succeeded")])
        self.assertIn("was refunded", self.stack.ctl("orders", "refund", order.id).stdout)

    def test_part_of_it_and_then_the_rest(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent, "amount": 300})
        wait_until(lambda: self.known(order) == [("refund", 300, "succeeded")], 20, "the part to be known")
        self.assertEqual(order.status(), "confirmed")
        self.assertEqual(self.feed(order), [("confirmed", 1000), ("partly_refunded", 300)])
        self.audit()
        self.dashboard(refund={"payment_intent": order.intent, "amount": 700})
        order.wait("refunded", timeout=20)
        self.assertEqual(self.feed(order), [("confirmed", 1000), ("partly_refunded", 300), ("refunded", 1000)])
        self.audit()

    def test_units_of_what_went_back_elsewhere_are_restocked_by_hand(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent})
        order.wait("refunded", timeout=20)
        told = self.stack.ctl("orders", "refund", order.id, "--restock", check=False)
        self.assertEqual(told.returncode, 1)
        self.assertIn("put them on sale with items restock", told.stderr)
        self.assertEqual(self.audit()["violations"], [])

    def test_part_of_it_and_our_own_refund_of_the_rest(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent, "amount": 300})
        wait_until(lambda: self.known(order), 20, "the part to be known")
        self.stack.ctl("orders", "refund", order.id)
        order.wait("refunded", timeout=20)
        self.looked()
        self.assertEqual(sum(r["amount"] for r in self.of_gateway("refunds", order)), 1000)
        self.assertEqual([status for status, _ in self.feed(order)], ["confirmed", "partly_refunded", "refunded"])
        self.audit()

    def test_our_own_refund_is_nothing_new(self):
        order = self.sold()
        self.stack.ctl("orders", "refund", order.id, "--restock")
        self.looked()
        self.assertEqual([status for status, _ in self.feed(order)], ["confirmed", "refunded"])
        self.assertNotIn("not by us", self.stack.ctl("orders", "explain", order.id).stdout)
        self.assertEqual(self.stack.counts(order.sku), (3, 0, 0, 0))
        self.audit()

    def test_a_dispute_is_for_the_shop_alone(self):
        for status, word in (("won", "dispute_won"), ("lost", "dispute_lost")):
            with self.subTest(status):
                order = self.sold()
                page = self.stack.listen("ann")
                self.addCleanup(page.close)
                self.dashboard(dispute={"payment_intent": order.intent, "reason": "product_not_received"})
                wait_until(lambda: [s for s, _ in self.feed(order)] == ["confirmed", "disputed"], 20, "it in the feed")
                self.assertIn("product_not_received", self.stack.ctl("orders", "explain", order.id).stdout)
                dispute, = self.of_gateway("disputes", order)
                self.dashboard(close_dispute={"dispute": dispute["id"], "status": status})
                wait_until(lambda: [s for s, _ in self.feed(order)] == ["confirmed", "disputed", word], 20, "its end")
                self.assertEqual(order.status(), "confirmed")
                self.looked()
                self.assertEqual(set(page.statuses(order.id)) - {"reserved", "confirmed"}, set())
                told = self.stack.status("ann", order.id).json
                self.assertEqual([h["status"] for h in told["history"]], ["reserved", "confirmed"])
                self.audit()

    def test_a_refund_that_fails_later_is_listed_until_it_is_given_back(self):
        order = self.sold()
        self.stack.ctl("orders", "refund", order.id)
        refund, = self.of_gateway("refunds", order)
        self.looked()
        self.dashboard(fail_refund={"refund": refund["id"]})
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.assertEqual(order.status(), "refunded")
        self.assertEqual(self.unknown(order)[0]["what"], "refund failed")
        self.assertEqual(self.doctor("refunds")[0]["level"], "fail")
        self.assertEqual([s for s, _ in self.feed(order)], ["confirmed", "refunded", "refund_failed"])
        self.assertEqual([v["kind"] for v in self.audit(1)["violations"]], ["refund-failed"])
        self.stack.ctl("orders", "refund", order.id)
        wait_until(lambda: not self.unknown(order), 20, "it to be given back")
        self.assertEqual(sorted(r["status"] for r in self.of_gateway("refunds", order)), ["failed", "succeeded"])
        self.assertEqual(self.doctor("refunds")[0]["level"], "ok")
        self.looked()
        self.audit()

    def test_one_made_elsewhere_that_fails_later(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent})
        order.wait("refunded", timeout=20)
        refund, = self.of_gateway("refunds", order)
        self.dashboard(fail_refund={"refund": refund["id"]})
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.assertEqual(self.doctor("refunds")[0]["level"], "fail")
        self.assertEqual([v["kind"] for v in self.audit(1)["violations"]], ["refund-failed"])
        self.dashboard(refund={"payment_intent": order.intent})     # again, at the dashboard
        wait_until(lambda: not self.unknown(order), 20, "it to be given back")
        self.assertEqual(order.status(), "refunded")
        self.audit()

    def test_or_that_we_give_back_then(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent})
        order.wait("refunded", timeout=20)
        refund, = self.of_gateway("refunds", order)
        self.dashboard(fail_refund={"refund": refund["id"]})
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.stack.ctl("orders", "refund", order.id)
        wait_until(lambda: not self.unknown(order), 20, "it to be given back")
        self.looked()
        self.audit()

    def owed(self):
        return self.stack.daemon("notifier").metric("checkout_refunds_owed")

    def went_back_outside(self, order, note="bank transfer 4711", *options):
        """What `payments resolve` says; afterwards nothing asks for that money any more, whatever the gateway shows."""
        told = self.stack.ctl("payments", "resolve", order.id, "refunded", "--note", note, *options).stdout
        self.assertEqual(self.unknown(order), [])
        self.assertEqual(self.doctor("refunds")[0]["level"], "ok")
        wait_until(lambda: self.owed() == 0, 20, "the alarm to have no reason")
        self.send("refund.failed", order)       # the look that follows sees what the gateway shows
        self.looked()
        self.assertEqual((self.unknown(order), order.status()), ([], "refunded"))
        explained = " ".join(self.stack.ctl("orders", "explain", order.id).stdout.split())
        self.assertRegex(explained, r"Operator \S+ asked to resolve its payment; done: recorded:")
        self.assertIn(f"outside of the gateway, as an operator says: {note}", explained)
        self.assertIn("before", self.stack.ctl("orders", "refund", order.id).stdout)
        self.audit()
        return told

    def test_or_that_went_back_outside_of_the_gateway(self):
        order = self.sold()
        self.stack.ctl("orders", "refund", order.id)
        refused = self.stack.ctl("payments", "resolve", order.id, "refunded", "--note", "x", check=False)
        self.assertEqual((refused.returncode, "no refund of its payments has failed" in refused.stderr), (1, True), refused)
        refund, = self.of_gateway("refunds", order)
        self.looked()
        self.dashboard(fail_refund={"refund": refund["id"]})
        wait_until(lambda: self.unknown(order) and self.owed() == 1, 20, "payments unknown to list it, and the alarm to know")
        self.assertIn("10.00 usd went back outside", self.went_back_outside(order))
        self.assertEqual(len(self.of_gateway("refunds", order)), 1)

    def test_or_that_was_made_elsewhere_and_went_back_outside(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent, "amount": 300})
        wait_until(lambda: self.known(order), 20, "the part to be known")
        self.dashboard(refund={"payment_intent": order.intent, "amount": 700})
        order.wait("refunded", timeout=20)
        second, = [r for r in self.of_gateway("refunds", order) if r["amount"] == 700]
        self.looked()
        self.dashboard(fail_refund={"refund": second["id"]})
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.assertIn("7.00 usd went back outside", self.went_back_outside(order))

    def test_one_that_the_gateway_refused_and_that_went_back_outside(self):
        order = self.sold()
        self.stack.gateway.control(refunds="disputed")
        self.stack.ctl("orders", "refund", order.id, "--restock", check=False)
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.assertEqual((self.unknown(order)[0]["what"], order.status()), ("refund failed", "confirmed"))
        self.went_back_outside(order)
        self.assertEqual(self.stack.counts(order.sku), (3, 0, 1, 0))    # the wish to restock failed with the refund
        self.stack.ctl("orders", "refund", order.id, "--restock")
        self.assertEqual(self.stack.counts(order.sku), (3, 0, 0, 0))
        self.audit()

    def test_one_that_went_back_outside_and_at_the_gateway_is_told_by_the_audit(self):
        order = self.sold()
        self.dashboard(refund={"payment_intent": order.intent})
        order.wait("refunded", timeout=20)
        refund, = self.of_gateway("refunds", order)
        self.looked()
        self.dashboard(fail_refund={"refund": refund["id"]})
        wait_until(lambda: self.unknown(order), 20, "payments unknown to list it")
        self.went_back_outside(order)
        self.dashboard(refund={"payment_intent": order.intent})     # as well, by mistake
        wait_until(lambda: [s for _, _, s in self.known(order)].count("succeeded") == 2, 20, "it to be known")
        self.assertEqual([v["kind"] for v in self.audit(1)["violations"]], ["refunded-twice"])
        self.stack.sql("update refunds set outside = false where order_id = %s", (order.id,))

    def test_what_an_event_says_is_not_believed(self):
        order = self.sold()
        for kind in ("charge.refunded", "refund.created", "refund.updated", "refund.failed", "charge.dispute.created",
                     "charge.dispute.closed"):
            self.send(kind, order, amount=1000, status="succeeded", metadata={"order_id": order.id})
        self.looked()
        self.assertEqual(self.known(order), [])
        self.assertEqual(order.status(), "confirmed")
        self.assertEqual(self.feed(order), [("confirmed", 1000)])

    def test_events_about_payments_of_others_write_nothing(self):
        order = self.sold()
        known = self.send("charge.refunded", order)
        order.intent = "pi_of_somebody_else"
        others = [self.send("charge.refunded", order),
                  self.send("charge.dispute.created", order, metadata={"order_id": str(uuid.uuid4())}),
                  self.send("charge.dispute.created", order, payment_intent=None)]
        self.assertEqual(self.stack.sql("select argument ->> 'event' from commands where argument ->> 'event' = any (%s)",
                                        ([known, *others],)), [(known,)])

    def test_a_consumer_that_dies_before_it_has_looked(self):
        order = self.sold()
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.dashboard(refund={"payment_intent": order.intent})
        wait_until(lambda: self.stack.one("select count(*) from commands where state = 'pending'"), 20, "the hint")
        self.stack.gateway.control(reads=1)
        self.stack.start("consumer")
        wait_until(lambda: self.stack.one("select count(*) from return_looks"), 30, "the look to be durable")
        self.stack.daemon("consumer").kill()
        self.stack.gateway.control(reads=0)
        self.stack.start("consumer")
        order.wait("refunded", timeout=30)
        self.looked()
        self.audit()


class ByAudit(TestCase):
    """No webhook comes: the audit finds what went back, and has it recorded."""

    webhooks = False

    def test_all_and_part_and_disputes(self):
        whole, part, disputed, quiet = (self.sold() for _ in range(4))
        self.dashboard(refund={"payment_intent": whole.intent})
        self.dashboard(refund={"payment_intent": part.intent, "amount": 1})
        self.dashboard(dispute={"payment_intent": disputed.intent})
        self.assertEqual(self.audit()["checked"]["gateway_returns_recorded"], 3)
        whole.wait("refunded", timeout=20)
        self.assertEqual(self.feed(part), [("confirmed", 1000), ("partly_refunded", 1)])
        self.assertEqual(self.feed(disputed), [("confirmed", 1000), ("disputed", 1000)])
        self.assertEqual(self.feed(quiet), [("confirmed", 1000)])
        self.assertEqual(self.audit()["checked"]["gateway_returns_recorded"], 0)

    def test_a_failed_refund(self):
        order = self.sold()
        self.stack.ctl("orders", "refund", order.id)
        refund, = self.of_gateway("refunds", order)
        self.dashboard(fail_refund={"refund": refund["id"]})
        self.audit()                    # it is recorded, and the next one says it
        self.assertEqual([v["kind"] for v in self.audit(1)["violations"]], ["refund-failed"])
        self.stack.ctl("orders", "refund", order.id)
        self.audit()

    def test_without_a_consumer_it_is_a_violation(self):
        order = self.sold()
        self.stack.daemon("consumer").stop()
        self.addCleanup(self.stack.start, "consumer")
        self.dashboard(refund={"payment_intent": order.intent})
        violation, = self.audit(1)["violations"]
        self.assertEqual((violation["kind"], violation["order_id"], violation["intent_id"]),
                         ("return-unrecorded", order.id, order.intent))


class Rows(TestCase):
    """Webhooks write a row only for what may change an order, and the rows are forgotten after days."""

    def test_what_cannot_change_anything_writes_no_row(self):
        self.stack.gateway.control(webhooks="never")    # its own may come before the commit, and be written down after it
        order = self.sold()
        self.looked()
        before = self.stack.one("select count(*) from commands")
        for kind in ("payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled",
                     "payment_intent.created", "payment_intent.processing", "payment_intent.requires_action",
                     "charge.succeeded", "charge.updated", "customer.created"):
            self.send(kind, order, id=order.intent, object="payment_intent", metadata={"order_id": order.id})
        self.assertEqual(self.stack.one("select count(*) from commands"), before)

    def test_a_success_of_another_intent_is_looked_at(self):
        order = self.sold()
        self.send("payment_intent.succeeded", order, id="pi_a_second_one", object="payment_intent",
                  metadata={"order_id": order.id})
        self.looked()
        self.assertEqual(self.stack.one("select count(*) from commands where order_id = %s and argument ->> 'intent' = "
                                        "'pi_a_second_one'", (order.id,)), 1)

    def test_old_rows_are_forgotten_some_at_a_time(self):
        order = self.sold()
        self.stack.sql("insert into commands (kind, shard, order_id, argument, requested_by, created_at, state, result, "
                       "finished_at) select 'webhook', o.shard, o.order_id, jsonb_build_object('event', 'old-' || n), "
                       "'gateway', now() - interval '8 days', 'done', 'nothing is open', now() - interval '8 days' "
                       "from orders o, generate_series(1, 1500) n where o.order_id = %s", (order.id,))
        self.stack.sql("insert into commands (kind, shard, order_id, argument, requested_by, created_at, state, result, "
                       "finished_at) select 'webhook', o.shard, o.order_id, jsonb_build_object('event', 'young'), "
                       "'gateway', now() - interval '5 days', 'done', 'nothing is open', now() - interval '5 days' "
                       "from orders o where o.order_id = %s", (order.id,))
        wait_until(lambda: self.stack.one("select count(*) from commands where argument ->> 'event' like 'old-%%'") == 0,
                   60, "old events to be forgotten")
        self.assertEqual(self.stack.one("select count(*) from commands where argument ->> 'event' = 'young'"), 1)


if __name__ == "__main__":
    harness.main()
