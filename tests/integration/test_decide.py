#!/usr/bin/python3
"""The counter decides: stock, limits, prices, times, and the strict order of a line."""

import threading
import uuid

import harness
from harness import wait_until
from harness_gateway import Holding

DECLINED = "pm_card_chargeDeclined"


class Decisions(harness.TestCase):
    """What becomes of an order, with payments that are answered at once."""

    daemons = ("sandbox", "producer", "consumer", "notifier")

    def test_a_paid_order_is_confirmed_and_sold(self):
        sku = self.stack.item(stock=3, price=19900)
        order = self.stack.order("ann", sku, quantity=2).wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (3, 0, 2, 0))
        self.assertEqual(self.stack.sql("select amount, currency from orders where order_id = %s",
                                        (order.id,)), [(39800, "usd")])
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_status_tells_the_history(self):
        order = self.stack.order("ann", self.stack.item())
        order.wait("confirmed")
        answer = self.stack.status("ann", order.id)
        self.assertEqual((answer.status, answer.json["status"]), (200, "confirmed"))
        self.assertEqual([entry["status"] for entry in answer.json["history"]][-2:],
                         ["reserved", "confirmed"])

    def test_more_than_the_stock_is_refused_whoever_comes(self):
        sku = self.stack.item(stock=3)
        self.stack.order("ann", sku, quantity=4).wait("rejected", "sold_out")
        self.assertEqual(self.stack.counts(sku), (3, 0, 0, 0))

    def test_an_unknown_item_is_rejected(self):
        job = self.stack.job("ann", f"nothing-{uuid.uuid4().hex[:8]}") # past the API, which refuses it
        self.stack.publish_jobs(job)
        harness.Order(self.stack, "ann", job["order_id"]).wait("rejected", "unknown_item")

    def test_a_changed_price_is_rejected_and_the_right_one_accepted(self):
        sku = self.stack.item(price=5000)
        self.stack.order("ann", sku, unit_price=4999).wait("rejected", "price_changed")
        self.stack.order("ann", sku, unit_price=5000).wait("confirmed")

    def test_an_item_is_sold_only_between_its_opening_and_closing(self):
        early, late, open_now = (self.stack.item() for _ in range(3))
        self.stack.sql("update items set opens_at = now() + interval '1 hour' where sku = %s", (early,))
        self.stack.sql("update items set closes_at = now() - interval '1 s' where sku = %s", (late,))
        self.stack.sql("update items set opens_at = now() - interval '1 hour', "
                       "closes_at = now() + interval '1 hour' where sku = %s", (open_now,))
        jobs = {sku: self.stack.job("ann", sku) for sku in (early, late, open_now)} # past the API, which refuses early ones
        for job in jobs.values():
            self.stack.publish_jobs(job)
        for sku, ending in ((early, ("rejected", "not_on_sale")), (late, ("rejected", "not_on_sale")), (open_now, ("confirmed",))):
            harness.Order(self.stack, "ann", jobs[sku]["order_id"]).wait(*ending)

    def test_the_limit_holds_over_all_orders_of_a_user(self):
        sku = self.stack.item(stock=20, limit_per_user=3)
        self.stack.order("ann", sku, quantity=2).wait("confirmed")
        self.stack.order("ann", sku, quantity=2).wait("rejected", "limit_exceeded")
        self.stack.order("ann", sku, quantity=1).wait("confirmed")
        self.stack.order("ann", sku, quantity=1).wait("rejected", "limit_exceeded")
        self.stack.order("bob", sku, quantity=3).wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (20, 0, 6, 0))

    def test_the_limit_holds_within_one_message(self):
        sku = self.stack.item(stock=20, limit_per_user=2)
        jobs = [self.stack.job("ann", sku) for _ in range(5)] + [self.stack.job("bob", sku)]
        self.stack.publish_jobs(*jobs)
        states = [harness.Order(self.stack, job["user_id"], job["order_id"]).wait_final()
                  for job in jobs]
        self.assertEqual(states[:2] + states[5:], [("confirmed", None)] * 3)
        self.assertEqual(states[2:5], [("rejected", "limit_exceeded")] * 3)

    def test_a_declined_card_frees_its_units_and_its_limit(self):
        sku = self.stack.item(stock=1, limit_per_user=1)
        self.stack.order("ann", sku, payment_method=DECLINED).wait("rejected", "payment_declined")
        self.assertEqual(self.stack.counts(sku), (1, 0, 0, 0))
        self.stack.order("ann", sku).wait("confirmed")

    def test_the_limit_counts_who_waits_and_nothing_that_has_ended(self):
        sku = self.stack.item(stock=9, limit_per_user=2, paused=True)
        waits = self.stack.order("ann", sku).wait("waiting")
        self.stack.order("ann", sku, quantity=2).wait("rejected", "limit_exceeded")
        second = self.stack.order("ann", sku).wait("waiting")
        self.stack.order("ann", sku).wait("rejected", "limit_exceeded")
        self.assertIn(self.stack.call("ann", "DELETE", f"/v1/orders/{waits.id}").status, (200, 202))
        waits.wait("cancelled")
        third = self.stack.order("ann", sku, payment_method=DECLINED).wait("waiting")
        self.stack.order("ann", sku).wait("rejected", "limit_exceeded")
        self.stack.ctl("resume", sku)
        second.wait("confirmed")
        third.wait("rejected", "payment_declined")
        self.stack.ctl("orders", "refund", second.id)
        second.wait("refunded")
        self.stack.order("ann", sku, quantity=2).wait("confirmed")
        self.stack.order("ann", sku).wait("rejected", "limit_exceeded")
        self.assertEqual(self.stack.sql("select units from customer_units where sku = %s", (sku,)), [(2,)])

    def test_a_limit_that_is_set_later_counts_what_was_bought_before(self):
        sku = self.stack.item(stock=9)
        self.stack.order("ann", sku, quantity=2).wait("confirmed")
        self.stack.ctl("items", "set", sku, "limit_per_user=3")
        self.stack.order("ann", sku, quantity=2).wait("rejected", "limit_exceeded")
        self.stack.order("ann", sku).wait("confirmed")

    def test_the_same_key_is_one_order_however_often_and_where_it_is_sent(self):
        sku, key = self.stack.item(stock=10), uuid.uuid4().hex
        second = self.stack.start("producer")
        answers = []

        def click(producer):
            answers.append(self.stack.post("ann", sku, key=key, producer=producer))
        producers = [self.stack.daemon("producer"), second]
        threads = [threading.Thread(target=click, args=(producers[n % 2],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {202}, answers)
        ids = {answer.json["id"] for answer in answers}
        self.assertEqual(len(ids), 1)
        order = harness.Order(self.stack, "ann", ids.pop()).wait("confirmed")
        self.assertEqual(self.stack.order("ann", sku, key=key).id, order.id)  # also when it is over
        self._settled(sku)
        self.assertEqual(self.stack.counts(sku), (10, 0, 1, 0))
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)
        self.assertEqual(self.stack.one("select count(*) from order_events where order_id = %s",
                                        (order.id,)), 2)
        second.stop()

    def test_the_same_id_twice_in_one_message_and_again_later_counts_once(self):
        sku = self.stack.item(stock=10)
        job = self.stack.job("ann", sku)
        changed = {**job, "quantity": 5, "fingerprint": "f" * 32}
        self.stack.publish_jobs(job, changed, job)
        self.stack.publish_jobs(changed)
        harness.Order(self.stack, "ann", job["order_id"]).wait("confirmed")
        self._settled(sku)
        self.assertEqual(self.stack.counts(sku), (10, 0, 1, 0))

    def test_orders_come_to_the_counter_as_they_were_accepted(self):
        sku = self.stack.item(stock=10)
        orders = [self.stack.order(f"user-{n}", sku) for n in range(40)]
        results = [order.wait_final() for order in orders]
        self.assertEqual(results, [("confirmed", None)] * 10 + [("rejected", "sold_out")] * 30)

    def test_units_refused_by_the_bank_go_to_the_next_in_line(self):
        sku = self.stack.item(stock=5)
        orders = [self.stack.order(f"user-{n}", sku, payment_method=DECLINED if n < 6 else "pm_card_visa")
                  for n in range(15)]
        results = [order.wait_final() for order in orders]
        self.assertEqual(results[:6], [("rejected", "payment_declined")] * 6)
        self.assertEqual(results[6:], [("confirmed", None)] * 5 + [("rejected", "sold_out")] * 4)
        self.assertEqual(self.stack.counts(sku), (5, 0, 5, 0))

    def test_a_buyer_is_told_everything_in_order_and_nobody_else_anything(self):
        sku = self.stack.item(stock=1)
        ann, bob = self.stack.listen("ann"), self.stack.listen("bob")
        first = self.stack.order("ann", sku)
        self.assertEqual(ann.wait_final(first.id)["data"]["status"], "confirmed")
        second = self.stack.order("bob", sku)
        told = bob.wait_final(second.id)["data"]
        self.assertEqual((told["status"], told["reason"]), ("rejected", "sold_out"))
        self.assertEqual(ann.statuses(first.id), ["reserved", "confirmed"])
        self.assertEqual([event["sequence"] for event in ann.of(first.id)], [1, 2])
        self.assertEqual((ann.of(second.id), bob.of(first.id)), ([], []))
        self.assertEqual(self.stack.status("bob", first.id).status, 404)
        ann.close()
        bob.close()

    def test_a_message_of_256_jobs_is_decided_in_order(self):
        sku = self.stack.item(stock=100)
        jobs = [self.stack.job(f"user-{n}", sku) for n in range(256)]
        self.stack.publish_jobs(*jobs)
        results = [harness.Order(self.stack, job["user_id"], job["order_id"]).wait_final() for job in jobs]
        self.assertEqual(results, [("confirmed", None)] * 100 + [("rejected", "sold_out")] * 156)

    def _settled(self, sku):
        """Waits until nothing is open any more, so that a second effect on this item would have shown."""
        wait_until(lambda: self.stack.one("select count(*) from orders where status in "
                                          "('waiting', 'reserved')") == 0, 30, "all orders to end")
        for shard in range(self.shards):
            wait_until(lambda s=shard: self.stack.broker.depth(s) == 0, 30, "empty queues")
        marker = next(item for item in (self.stack.item() for _ in range(100))
                      if self.stack.shard(item) == self.stack.shard(sku))
        self.stack.order("marker", marker).wait("confirmed")


class Lines(Holding):
    """Waiting lines, while payments take their time."""

    def test_a_waiting_buyer_gets_the_unit_that_a_declined_card_gives_back(self):
        self.consume()
        sku = self.stack.item(stock=1)
        first = self.held("ann", sku, "pm_held_declined")
        second = self.stack.order("bob", sku).wait("waiting")
        third = self.stack.order("eve", sku).wait("waiting")
        self.assertEqual(self.stack.status("eve", third.id).json["place_in_line"], 2)
        self.let_end(first.id)
        first.wait("rejected", "payment_declined")
        second.wait("confirmed")
        third.wait("rejected", "sold_out")

    def test_a_line_of_five_then_one_does_not_wedge_when_the_five_cannot_be_served(self):
        self.consume()
        sku = self.stack.item(stock=7)
        ones = [self.held(f"one-{n}", sku) for n in range(4)]
        five = self.stack.order("five", sku, quantity=5).wait("waiting")
        behind = self.stack.order("behind", sku).wait("waiting")
        for one in ones[:2]:
            self.let_end(one.id)
            one.wait("confirmed")
        self.assertEqual((five.status(), behind.status()), ("waiting", "waiting"))
        self.let_end(ones[2].id)
        five.wait("rejected", "sold_out")
        behind.wait("confirmed")
        self.assertEqual(ones[3].status(), "reserved")
        self.let_end(ones[3].id)
        ones[3].wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (7, 0, 5, 0))

    def test_a_line_of_five_then_one_does_not_wedge_when_the_five_expires(self):
        self.consume()
        sku = self.stack.item(stock=7)
        ones = [self.held(f"one-{n}", sku) for n in range(4)]
        five = self.stack.order("five", sku, quantity=5).wait("waiting")
        behind = self.stack.order("behind", sku).wait("waiting")
        self.stack.sql("update waitlist set expires_at = now() - interval '1 s' where order_id = %s", (five.id,))
        five.wait("rejected", "expired")
        behind.wait("confirmed")
        self.assertEqual({order.status() for order in ones}, {"reserved"})
        self.let_end(*(order.id for order in ones))
        for order in ones:
            order.wait("confirmed")

    def test_nobody_waits_longer_than_allowed(self):
        self.consume(CHECKOUT_WAIT_MAX="3s")
        sku = self.stack.item(stock=1)
        first = self.held("ann", sku)
        waiting = [self.stack.order(f"user-{n}", sku) for n in range(3)]
        looks = []  # of the consumer, at which somebody was still there who should not

        def gone():
            beat, left, late = self.stack.sql(
                "select (select heartbeats from consumers order by member_id desc limit 1), count(*), "
                "count(*) filter (where expires_at < now()) from waitlist where sku = %s", (sku,))[0]
            looks.extend([beat] * (late > 0))
            return left == 0 and all(order.status() == "rejected" for order in waiting)
        wait_until(gone, 60, "those who wait to be refused")
        self.assertLessEqual(max(looks, default=0) - min(looks, default=0), 2)
        for order in waiting:
            self.assertEqual(order.row(), ("rejected", "expired"))
            self.assertGreater(self.stack.one(
                "select extract(epoch from max(created_at) - min(created_at))::float from order_events "
                "where order_id = %s", (order.id,)), 2.9)
        self.let_end(first.id)
        first.wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))

    def test_a_small_order_never_passes_a_larger_one_that_waits(self):
        self.consume()
        sku = self.stack.item(stock=4)
        first = self.held("ann", sku, "pm_held_declined", quantity=3)
        large = self.stack.order("large", sku, quantity=2).wait("waiting")
        small = self.stack.order("small", sku).wait("waiting")  # a unit is free, but it is not its turn
        self.let_end(first.id)
        first.wait("rejected", "payment_declined")
        large.wait("confirmed")
        small.wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (4, 0, 3, 0))
        moments = self.stack.sql(
            "select order_id::text from order_events where status = 'reserved' and order_id = any(%s::uuid[]) "
            "order by event_id", ([large.id, small.id],))
        self.assertEqual(moments, [(large.id,), (small.id,)])

    def test_a_long_line_is_refused_in_chunks_and_in_its_order(self):
        self.consume()
        sku = self.stack.item(stock=1)
        winner = self.held("winner", sku)
        jobs = [self.stack.job(f"user-{n}", sku) for n in range(1500)]
        for start in range(0, len(jobs), 250):
            self.stack.publish_jobs(*jobs[start:start + 250])
        wait_until(lambda: self.stack.counts(sku)[3] == 1500, 60, "1,500 to wait")
        self.let_end(winner.id)
        winner.wait("confirmed")
        wait_until(lambda: self.stack.one("select count(*) from orders where sku = %s and "
                                          "reason = 'sold_out'", (sku,)) == 1500, 60, "1,500 refusals")
        refused = [row[0] for row in self.stack.sql(
            "select e.order_id::text from order_events e join orders o using (order_id) "
            "where o.sku = %s and e.status = 'rejected' order by e.event_id", (sku,))]
        self.assertEqual(refused, [job["order_id"] for job in jobs])
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))

    def test_a_slow_payment_delays_no_other_item(self):
        self.consume()
        slow, quick = self.stack.item(stock=1), self.stack.item(stock=1)
        held = self.held("ann", slow)
        self.stack.order("bob", quick).wait("confirmed")
        self.assertEqual(held.status(), "reserved")
        self.let_end(held.id)
        held.wait("confirmed")


if __name__ == "__main__":
    harness.main()
