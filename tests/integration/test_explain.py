#!/usr/bin/python3
"""`checkoutctl orders explain`: the story of an order, and what is honest to say of one that nobody has decided."""

import json
import uuid

import harness
from harness import wait_until


class Explaining(harness.TestCase):
    def explain(self, order, *options, code=0, **settings):
        done = self.stack.ctl("orders", "explain", order, *options, check=False, **settings)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertLessEqual(max(map(len, done.stdout.splitlines()), default=0),
                             10000 if "--json" in options else 80)
        return " ".join(done.stdout.split())


class Explain(Explaining):
    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        self.stack.gateway.calm()

    def story(self, order):
        return json.loads(self.explain(order, "--json"))

    def relayed(self, order):
        """Its story, once every event of it has been relayed."""
        def all_relayed():
            story = self.story(order)
            events = [step for step in story["story"] if step["kind"] == "event"]
            return story if all(step.get("relayed_by") for step in events) else None
        return wait_until(all_relayed, 30, "its events to be relayed")

    def test_a_paid_order(self):
        sku = self.stack.item(price=1999)
        order = self.stack.order("ann", sku, reference="cart-17").wait("confirmed")
        story = self.relayed(order.id)
        self.assertEqual([step["kind"] for step in story["story"]],
                         ["accepted", "event", "payment", "answer", "event"])
        owners = dict(self.stack.sql("select epoch, name from take_overs where shard = %s", (self.stack.shard(sku),)))
        epochs = [epoch for epoch, in self.stack.sql("select epoch from order_events where order_id = %s order by sequence",
                                                     (order.id,))]
        intent = self.stack.one("select intent_id from payments where order_id = %s", (order.id,))
        events = [step for step in story["story"] if step["kind"] == "event"]
        self.assertEqual([(step["decided_by"], step["epoch"]) for step in events], [(owners[epoch], epoch) for epoch in epochs])
        for step in events:
            self.assertGreaterEqual(step["relayed_by"], step["at"])
        text = self.explain(order.id)
        for words in (f"1 of {sku} for 19.99 usd, reference cart-17. It is confirmed.",
                      "reserved at once", f"idempotency key {order.id}-1", "the gateway took the money, after",
                      f"the gateway's id {intent}", f"Decided by {owners[epochs[0]]}, epoch {epochs[0]};",
                      "relayed to the buyer's channel by"):
            self.assertIn(words, text)

    def test_a_declined_card(self):
        order = self.stack.order("ann", self.stack.item(), payment_method="pm_card_chargeDeclined")
        order.wait("rejected", "payment_declined")
        text = self.explain(order.id)
        self.assertIn('the gateway declined it, after', text)
        self.assertIn('answer "', text)
        self.assertIn("Rejected, the payment was declined.", text)

    def test_an_order_that_waits_and_then_gets_its_turn(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.latency(60000)
        holder = self.stack.order("holder", sku).wait("reserved")
        wait_until(lambda: self.stack.gateway.started(holder.id), 30, "its payment to begin")
        self.stack.gateway.latency(0)
        first = self.stack.order("first", sku).wait("waiting")
        second = self.stack.order("second", sku).wait("waiting")
        self.stack.ctl("pause", sku)
        story = self.story(second.id)
        self.assertEqual([(ahead["id"], ahead["was"]) for ahead in story["was_ahead"]],
                         [(first.id, "waiting"), (holder.id, "reserved")])
        self.assertEqual((story["standing"]["ahead"], story["standing"]["held"],
                          story["standing"]["paused"], story["standing"]["clock_stopped"]), (1, 1, True, True))
        text = self.explain(second.id)
        for words in ("waiting, as number 2 on the waitlist", "Ahead of this one on the waitlist: 1.",
                      "The item is paused.", "that time does not pass now",
                      "asked to pause its item; done: paused"):
            self.assertIn(words, text)
        self.assertIn("no definite answer of the gateway is recorded", self.explain(holder.id))
        self.stack.ctl("resume", sku)
        self.stack.call("first", "DELETE", f"/v1/orders/{first.id}")
        first.wait("cancelled")
        self.stack.ctl("items", "restock", sku, "1")
        second.wait("confirmed")
        self.assertIn("Its buyer asked to cancel it; done", self.explain(first.id))
        text = self.explain(second.id)
        for words in ("restocked its item by 1", "Its turn came: reserved, its units are held, after",
                      f"{first.id} waiting, now cancelled", f"{holder.id} paying, now reserved"):
            self.assertIn(words, text)

    def quiet_item(self):
        """Of a shard of which nothing is relayed that tests before this one have begun."""
        while True:
            sku = self.stack.item()
            if not self.stack.sql("select 1 from orders where shard = %s and status in ('waiting', 'reserved')",
                                  (self.stack.shard(sku),)):
                return sku

    def test_what_is_not_recorded_is_said_so(self):
        order = self.stack.order("ann", self.quiet_item()).wait("confirmed")
        self.relayed(order.id)
        self.stack.sql("update order_events set epoch = null where order_id = %s", (order.id,))
        self.stack.sql("delete from relay_log")
        text = self.explain(order.id)
        self.assertIn("Who decided it is not recorded", text)
        self.assertIn("relayed to the buyer's channel, when is not recorded", text)
        self.assertNotIn("Decided by", text)

    def test_when_marks_advanced_is_remembered_for_a_month(self):
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.relayed(order.id)
        self.stack.sql("update relay_log set saved_at = now() - interval '31 days' where shard in "
                       "(select shard from orders where order_id = %s)", (order.id,))
        again = self.stack.order("bob", self.stack.one(
            "select sku from orders where order_id = %s", (order.id,))).wait("confirmed")
        self.relayed(again.id)
        self.assertEqual(self.stack.one("select count(*) from relay_log where saved_at < now() - "
                                        "interval '30 days' and shard in (select shard from orders "
                                        "where order_id = %s)", (again.id,)), 0)

    def test_no_secret_of_the_buyer_is_shown(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.latency(20000)
        for user in ("holder", "waiter"):
            order = self.stack.order(user, sku, receipt_email="ann@example.org")
        order.wait("waiting")
        for options in ((), ("--json",)):
            text = self.explain(order.id, *options)
            self.assertNotIn("pm_card", text)
            self.assertNotIn("example.org", text)


class NotDecided(Explaining):
    daemons = ("sandbox", "producer")

    def test_a_queued_order(self):
        order = self.stack.order("ann", self.stack.item())
        text = self.explain(order.id, "--user", "ann")
        for words in ("it is queued", "was made for user ann", "Redis remembers its admission",
                      "messages wait in the queues", "No consumer serves 4 shards"):
            self.assertIn(words, text)
        story = json.loads(self.explain(order.id, "--json", "--user", "bob"))
        self.assertEqual((story["status"], story["made_for_user"], story["seen_by_the_door"],
                          story["cancel_pending"]), ("queued", False, True, False))
        self.stack.call("ann", "DELETE", f"/v1/orders/{order.id}")
        self.assertIn("asked to cancel it, which happens when it arrives", self.explain(order.id))

    def test_an_order_that_redis_has_forgotten(self):
        order = self.stack.order("ann", self.stack.item())
        self.stack.redis().flushall()
        text = self.explain(order.id, code=1)
        self.assertIn("it is unknown", text)
        self.assertIn("Redis does not remember it", text)
        self.assertIn("messages wait in the queues", text)

    def test_ids_that_were_never_made(self):
        self.assertIn("makes other ids", self.explain(str(uuid.uuid4()), code=1))
        self.assertEqual(self.explain("hello", code=2), "")

    def test_servers_that_cannot_be_asked(self):
        order = self.stack.order("ann", self.stack.item())
        text = self.explain(order.id, code=1, CHECKOUT_REDIS_URL=None, CHECKOUT_AMQP_URL=None)
        self.assertIn("Redis did not answer. RabbitMQ did not answer.", text)


if __name__ == "__main__":
    harness.main()
