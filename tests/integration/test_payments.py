#!/usr/bin/python3
"""Money: at most one capture for an order, captured if and only if confirmed, whatever the gateway does."""

import time

import harness
from harness import wait_until

DECLINED = "pm_card_chargeDeclined"


class FewAtOnce(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_GATEWAY_INFLIGHT": 8}

    def test_an_item_with_slow_payments_leaves_places_to_others(self):
        slow, quick = self.stack.item(stock=40), self.stack.item(stock=40)
        self.stack.gateway.latency(20000)
        held = [self.stack.job(f"slow-{n}", slow) for n in range(40)]
        self.stack.publish_jobs(*held)
        wait_until(lambda: self.stack.gateway.started(held[3]["order_id"]), 30, "their payments to begin")
        self.stack.gateway.latency(0)
        jobs = [self.stack.job(f"quick-{n}", quick) for n in range(40)]
        self.stack.publish_jobs(*jobs)
        for job in jobs:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed", timeout=12)
        self.assertEqual(self.stack.one("select count(*) from orders where sku = %s and "
                                        "status = 'reserved'", (slow,)), 40)
        for job in held:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed", timeout=60)
        self.assertEqual(self.stack.gateway.captured(), {job["order_id"]: 1 for job in held + jobs})


class Payments(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "1s"}

    def tearDown(self):
        self.stack.gateway.calm()
        self.assert_money_is_exact()

    def assert_money_is_exact(self):
        """Every order of this stack has ended, and the gateway captured exactly the confirmed ones."""
        wait_until(lambda: self.stack.one("select count(*) from orders where status in "
                                          "('waiting', 'reserved')") == 0, 30, "all orders to end")
        confirmed = {row[0] for row in self.stack.sql(
            "select order_id::text from orders where status = 'confirmed'")}
        self.assertEqual(self.stack.gateway.captured(), {order: 1 for order in confirmed})
        self.assertEqual(self.stack.sql(
            "select order_id::text from payments where state = 'captured' "
            "except select order_id::text from orders where status = 'confirmed'"), [])

    def begun(self, order):
        wait_until(lambda: self.stack.gateway.started(order.id), 30, "its payment to begin")

    def intents(self, order):
        return [intent for intent in self.stack.gateway.intents()
                if (intent.get("metadata") or {}).get("order_id") == order.id]

    def test_the_gateway_is_asked_for_exactly_the_price(self):
        sku = self.stack.item(price=1234, currency="eur")
        order = self.stack.order("ann", sku, quantity=3).wait("confirmed")
        intent, = self.intents(order)
        self.assertEqual((intent["amount"], intent["currency"], intent["status"]),
                         (3702, "eur", "succeeded"))
        self.assertEqual(intent["metadata"]["shard"], str(self.stack.shard(sku)))

    def test_the_gateway_keeps_what_an_order_is_rebuilt_from(self):
        sku = self.stack.item(stock=2)
        self.stack.gateway.latency(1000)
        first = self.stack.order("ann smith", sku, quantity=2, reference="cart/7",
                                 payment_method="pm_card_chargeDeclined")
        first.wait("reserved")
        second = self.stack.order("ann smith", sku).wait("waiting")     # gets its unit from the waitlist
        self.stack.gateway.latency(0)
        first.wait("rejected")
        second.wait("confirmed")
        told, later = (self.intents(order)[0]["metadata"] for order in (first, second))
        customer = told.pop("customer")
        self.assertRegex(customer, "^[0-9a-f]{32}$")
        self.assertEqual(told, {"order_id": first.id, "shard": str(self.stack.shard(sku)), "sku": sku, "quantity": "2",
                                "reference": "cart/7"})
        self.assertEqual(later, {"order_id": second.id, "shard": str(self.stack.shard(sku)), "sku": sku, "quantity": "1",
                                 "customer": customer})
        other = self.stack.order("bob", self.stack.item()).wait("confirmed")
        self.assertNotEqual(self.intents(other)[0]["metadata"]["customer"], customer)

    def test_a_declined_card_is_asked_once_and_charged_never(self):
        order = self.stack.order("ann", self.stack.item(), payment_method=DECLINED)
        order.wait("rejected", "payment_declined")
        self.assertNotIn(order.id, self.stack.gateway.captured())
        self.assertEqual(self.stack.sql("select attempt, state from payments where order_id = %s",
                                        (order.id,)), [(1, "declined")])

    def test_a_payment_method_that_does_not_exist_rejects_only_its_order(self):
        sku = self.stack.item(stock=1)
        self.stack.order("ann", sku, payment_method="pm_no_such_card").wait("rejected")
        self.stack.order("bob", sku).wait("confirmed")

    def test_the_intent_is_durable_before_the_gateway_is_called(self):
        self.stack.gateway.latency(1000)
        order = self.stack.order("ann", self.stack.item())
        self.begun(order)
        row, = self.stack.sql("select state, idempotency_key from payments where order_id = %s",
                              (order.id,))
        self.assertEqual(row, ("open", f"{order.id}-1"))
        order.wait("confirmed")

    def unclear(self, mode, times=1):
        """An order whose first answers are of this kind ends confirmed, charged once."""
        self.stack.gateway.fault(mode, times)
        order = self.stack.order("ann", self.stack.item(stock=1))
        order.wait("confirmed", timeout=30)
        return order

    def test_a_charge_whose_answer_is_lost(self):
        self.unclear("charge-then-reset")

    def test_a_charge_whose_answer_is_lost_three_times(self):
        self.unclear("charge-then-reset", 3)

    def test_a_reset_before_the_charge(self):
        self.unclear("reset")

    def test_too_many_requests(self):
        self.unclear("429", 2)

    def test_a_conflict(self):
        self.unclear("409", 2)

    def test_an_answer_that_takes_longer_than_the_timeout(self):
        self.stack.gateway.latency(3000)
        order = self.stack.order("ann", self.stack.item())
        self.begun(order)
        time.sleep(2.5)
        self.assertEqual(order.status(), "reserved")
        self.stack.gateway.latency(0)
        order.wait("confirmed", timeout=30)

    def test_a_card_that_asks_for_its_owner_in_vain_is_cancelled_and_the_unit_passed_on(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_card_authenticationRequired")
        order.wait("rejected", "payment_declined")
        self.assertEqual([intent["status"] for intent in self.intents(order)], ["canceled"])
        self.stack.order("bob", sku).wait("confirmed")

    def test_a_storm_of_faults_charges_everybody_once(self):
        sku = self.stack.item(stock=200)
        faults = ("reset", "charge-then-reset", "429", "409", "garbage", "wrong-amount", "partial",
                  "charge-then-never", "never")
        orders = [self.stack.order(f"user-{n}", sku, payment_method=f"pm_sandbox_{faults[n % len(faults)]}")
                  for n in range(90)]
        for order in orders:
            order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.counts(sku), (200, 0, 90, 0))

    def test_a_gateway_that_is_killed_in_mid_charge_charges_nobody_twice(self):
        sku = self.stack.item(stock=40)
        self.stack.gateway.latency(400)
        orders = [self.stack.order(f"user-{n}", sku) for n in range(30)]
        self.begun(orders[0])
        for _ in range(2):
            sandbox = self.stack.daemon("sandbox")
            sandbox.kill()
            time.sleep(0.3)
            self.stack.start_again(sandbox)
        for order in orders:
            order.wait("confirmed", timeout=40)

    def test_a_consumer_that_is_killed_in_mid_charge_charges_nobody_twice(self):
        sku = self.stack.item(stock=40)
        self.stack.gateway.latency(700)
        orders = [self.stack.order(f"user-{n}", sku) for n in range(30)]
        self.begun(orders[0])
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.stack.start_again(consumer)
        for order in orders:
            order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.one("select max(attempt) from payments p join orders o using (order_id) "
                                        "where o.sku = %s", (sku,)), 1)

    def test_a_consumer_that_is_stopped_in_mid_charge_leaves_nothing_open(self):
        sku = self.stack.item(stock=10)
        self.stack.gateway.latency(700)
        orders = [self.stack.order(f"user-{n}", sku) for n in range(10)]
        self.begun(orders[0])
        consumer = self.stack.daemon("consumer")
        consumer.stop()
        self.stack.start_again(consumer)
        for order in orders:
            order.wait("confirmed", timeout=30)


class WrongKey(harness.TestCase):
    """A key that the gateway refuses is the operator's fault, and no buyer pays for it."""

    def test_orders_wait_until_the_key_is_right(self):
        wrong = self.stack.write_secret("wrong-key", "sk_test_this_is_not_the_key_at_all")
        for name in ("sandbox", "producer"):
            self.stack.start(name)
        consumer = self.stack.start("consumer", CHECKOUT_GATEWAY_KEY_FILE=wrong)
        sku = self.stack.item(stock=1)
        first = self.stack.order("ann", sku).wait("reserved")
        second = self.stack.order("bob", sku).wait("waiting")
        time.sleep(2)
        self.assertEqual((first.status(), second.status()), ("reserved", "waiting"))
        consumer.stop()
        self.stack.start("consumer")
        first.wait("confirmed", timeout=30)
        second.wait("rejected", "sold_out")
        self.assertEqual(self.stack.gateway.captured(), {first.id: 1})


if __name__ == "__main__":
    harness.main()
