#!/usr/bin/python3
"""The gate: what the counter knows of an item is told at the door, and nothing stale outlives its writer."""

import harness
from harness import wait_until


class Gate(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def key(self, sku):
        return self.stack.redis().get(f"checkout:gate:{sku}")

    def sell_out(self, gate):
        sku = self.stack.item(stock=1, gate=gate)
        self.stack.order("ann", sku).wait("confirmed")
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        return sku

    def refused(self, sku, kind):
        def at_the_door():
            answer = self.stack.post("carl", sku)
            return answer.status == 409 and answer.json["type"].endswith(kind)
        wait_until(at_the_door, 5, f"the door to refuse orders for {sku}: {kind}")

    def test_an_item_that_is_sold_out_is_refused_at_the_door_for_as_long_as_it_is(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        before = self.stack.one("select count(*) from orders where sku = %s", (sku,))
        wait_until(lambda: 0 < self.stack.redis().pttl(f"checkout:gate:{sku}") < 4000, 5, "its key to age")
        wait_until(lambda: self.stack.redis().pttl(f"checkout:gate:{sku}") > 4500, 5, "its key to be renewed")
        self.assertEqual(self.stack.post("dora", sku).status, 409)
        self.assertEqual(self.stack.one("select count(*) from orders where sku = %s", (sku,)), before)

    def test_a_restock_opens_the_door_again(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        self.stack.ctl("items", "restock", sku, "1")
        wait_until(lambda: self.key(sku) is None, 1, "its key to go at once, not when it ends")
        answer = self.stack.post("dora", sku)
        self.assertEqual(answer.status, 202)
        harness.Order(self.stack, "dora", answer.json["id"]).wait("confirmed")

    def test_an_item_without_a_gate_is_never_refused(self):
        sku = self.sell_out("none")
        self.assertIsNone(self.key(sku))
        for n in range(3):
            self.assertEqual(self.stack.post("carl", sku).status, 202)

    def test_a_one_off_is_in_one_cart_at_a_time(self):
        sku = self.stack.item(stock=1, gate="lock")
        wait_until(lambda: self.key(sku) == b"lock:open", 5, "its key")
        self.stack.gateway.latency(1500)
        first = self.stack.post("ann", sku, key="once")
        self.assertEqual(first.status, 202)
        self.assertEqual(self.stack.post("ann", sku, key="once").status, 202)     # she asks again
        answer = self.stack.post("bob", sku)
        self.assertEqual((answer.status, answer.json["title"]),
                         (409, "Item is currently in another cart, try again!"))
        harness.Order(self.stack, "ann", first.json["id"]).wait("confirmed")
        self.refused(sku, "sold-out")

    def test_a_declined_card_gives_the_lock_back(self):
        sku = self.stack.item(stock=1, gate="lock")
        wait_until(lambda: self.key(sku) == b"lock:open", 5, "its key")
        self.stack.order("ann", sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        wait_until(lambda: self.stack.redis().get(f"checkout:lock:{sku}") is None, 1,
                   "the lock to be given back, not to lapse")
        self.assertEqual(self.stack.post("bob", sku).status, 202)

    def test_without_its_owner_the_gate_opens(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        wait_until(lambda: self.key(sku) is None, 8, "its key to lapse")
        answer = self.stack.post("dora", sku)
        self.assertEqual(answer.status, 202)
        self.stack.start_again(consumer)
        harness.Order(self.stack, "dora", answer.json["id"]).wait("rejected", "sold_out")


if __name__ == "__main__":
    harness.main()
