#!/usr/bin/python3
"""The gate: what the counter knows of an item is told at the door, and nothing stale outlives its writer."""

import time

import harness
from harness import wait_until, wait_within


class Gate(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    was_slow = 0  # how often the door has said so of Redis

    def key(self, sku):
        return self.stack.redis().get(f"checkout:gate:{sku}")

    def sell_out(self, gate):
        sku = self.stack.item(stock=1, gate=gate)
        self.stack.order("ann", sku).wait("confirmed")
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        return sku

    def at_the_gate(self, user, sku):
        """The answer of a door that could ask the gate: it is open for a while whenever Redis answers late."""
        def slow():
            return self.stack.daemon("producer").log_text().count(b"Redis is slow")
        while True:
            before = slow()
            answer = self.stack.post(user, sku)
            if answer.status != 202 or before == slow() == self.was_slow:
                return answer
            self.was_slow = slow()
            time.sleep(1)  # twice as long as Redis is left alone then

    def restock(self, sku):
        """One unit more; and its key goes at once, not when it ends."""
        lapses = 0.0

        def gone():
            nonlocal lapses
            now, left = time.monotonic(), self.stack.redis().pttl(f"checkout:gate:{sku}")
            lapses = max(lapses, now + left / 1000)
            return left < 0 and now < lapses
        self.assertFalse(gone())
        self.stack.sql("select * from request_command('restock', %s, null, '{\"units\": 1}', 'test')", (sku,))
        wait_until(gone, 30, "its key to be deleted")

    def refused(self, sku, kind):
        """Waits until the door refuses it, and until those that it has let through are decided."""
        def at_the_door():
            answer = self.stack.post("carl", sku)
            if answer.status == 202:
                harness.Order(self.stack, "carl", answer.json["id"]).wait_final()
            return answer.status == 409 and answer.json["type"].endswith(kind)
        wait_until(at_the_door, 30, f"the door to refuse orders for {sku}: {kind}")

    def test_an_item_that_is_sold_out_is_refused_at_the_door_for_as_long_as_it_is(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        wait_until(lambda: 0 < self.stack.redis().pttl(f"checkout:gate:{sku}") < 4000, 30, "its key to age")
        wait_until(lambda: self.stack.redis().pttl(f"checkout:gate:{sku}") > 4500, 30, "its key to be renewed")
        self.assertEqual(self.at_the_gate("dora", sku).status, 409)

    def test_a_restock_opens_the_door_again(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        self.restock(sku)
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
        wait_until(lambda: self.key(sku) == b"lock:open", 30, "its key")
        sandbox = self.stack.daemon("sandbox")
        sandbox.freeze()
        self.addCleanup(sandbox.thaw)
        first = self.stack.post("ann", sku, key="once")
        self.assertEqual(first.status, 202)

        def has_it():   # and asks again
            return self.stack.post("ann", sku, key="once").status == 202 and \
                self.stack.redis().get(f"checkout:lock:{sku}") is not None
        wait_until(has_it, 30, "her cart to hold it")
        answer = self.at_the_gate("bob", sku)
        self.assertEqual((answer.status, answer.json["title"]),
                         (409, "Item is currently in another cart, try again!"))
        sandbox.thaw()
        harness.Order(self.stack, "ann", first.json["id"]).wait("confirmed")
        self.refused(sku, "sold-out")

    def test_a_declined_card_gives_the_lock_back(self):
        sku = self.stack.item(stock=1, gate="lock")
        wait_until(lambda: self.key(sku) == b"lock:open", 30, "its key")
        self.stack.order("ann", sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        wait_within(15, lambda: self.stack.redis().get(f"checkout:lock:{sku}") is None, "the lock to be given back, not to lapse")
        self.assertEqual(self.stack.post("bob", sku).status, 202)

    def test_a_lock_of_an_order_that_has_ended_is_found(self):
        """An old file of Redis brings it back."""
        sku = self.stack.item(stock=5, gate="lock")
        wait_until(lambda: self.key(sku) == b"lock:open", 30, "its key")
        ended = self.stack.order("ann", sku).wait("confirmed")
        name = f"checkout:lock:{sku}"
        wait_until(lambda: self.stack.redis().get(name) is None, 15, "the lock to be given back")
        self.stack.redis().set(name, ended.id, px=30000)
        wait_within(25, lambda: self.stack.redis().get(name) is None, "the lock to be deleted, not to lapse")
        self.assertEqual(self.stack.post("bob", sku).status, 202)

    def test_a_lock_of_an_order_that_is_not_known_stays_until_its_end(self):
        sku = self.stack.item(stock=5, gate="lock")
        wait_until(lambda: self.key(sku) == b"lock:open", 30, "its key")
        name = f"checkout:lock:{sku}"
        for value in ("12345678-1234-8234-9234-123456789012", "no order at all"):
            self.stack.redis().set(name, value)     # without an end
            wait_until(lambda: 0 < self.stack.redis().pttl(name) <= 30000, 10, "its end")
            self.assertEqual(self.stack.redis().get(name).decode(), value)

    def test_a_gate_that_outlives_ours_is_deleted_and_counted(self):
        for seconds in (None, 3600):
            sku = self.stack.item(stock=1)
            before = self.stack.daemon("consumer").metric("checkout_foreign_states_total")
            self.stack.redis().set(f"checkout:gate:{sku}", "soldout:sold", ex=seconds)
            wait_until(lambda: self.key(sku) is None, 20, "the key to be deleted")
            self.assertEqual(self.stack.post("bob", sku).status, 202)
            wait_until(lambda: self.stack.daemon("consumer").metric("checkout_foreign_states_total") == before + 1, 5,
                       "it to be counted")

    def test_without_its_owner_the_gate_opens(self):
        sku = self.sell_out("soldout")
        self.refused(sku, "sold-out")
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        wait_until(lambda: self.key(sku) is None, 30, "its key to lapse")
        answer = self.stack.post("dora", sku)
        self.assertEqual(answer.status, 202)
        self.stack.start_again(consumer)
        harness.Order(self.stack, "dora", answer.json["id"]).wait("rejected", "sold_out")


if __name__ == "__main__":
    harness.main()
