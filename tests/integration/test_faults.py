#!/usr/bin/python3
"""Servers that go away, answers that get lost, processes that die: everybody is still answered, once."""

import threading
import time
import uuid

import harness
from harness import timed_beside, wait_until

DECLINED = "pm_card_chargeDeclined"


class Faults(harness.TestCase):
    """All servers behind proxies that can break."""

    daemons = ("sandbox", "producer", "consumer", "notifier")
    proxied = ("database", "amqp", "redis", "gateway")

    def setUp(self):
        self.sku = self.stack.item(stock=50)
        # Whatever the test before has broken works again.
        self.stack.order("canary", self.stack.item()).wait("confirmed", timeout=30)

    def tearDown(self):
        for proxy in self.stack.proxies.values():
            proxy.freeze(False)
            proxy.delay(0)
            proxy.up()
        self.stack.gateway.calm()
        wait_until(lambda: self.stack.call(None, "GET", "/v1/items/none").status < 500, 15,
                   "the producer to recover")
        if any(error for _, error in getattr(self._outcome, "errors", [])):
            return
        wait_until(lambda: self.stack.one("select count(*) from orders where status in "
                                          "('waiting', 'reserved')") == 0, 30, "all orders to end")

    def accepted(self, user, sku, timeout=20, **members):
        """Orders with one key until it is accepted."""
        key = uuid.uuid4().hex
        answer = None

        def accept():
            nonlocal answer
            answer = self.stack.post(user, sku, key=key, **members)
            return answer.status == 202
        wait_until(accept, timeout, lambda: f"202 for {user} (last: {answer})")
        return harness.Order(self.stack, user, answer.json["id"])

    # -- servers that go away ----------------------------------------------------------------------

    def test_without_the_database_orders_are_accepted_and_decided_later(self):
        listener = self.stack.listen("ann")
        self.stack.proxies["database"].down()
        orders = [self.stack.order("ann", self.sku) for _ in range(10)]
        answer = self.stack.status("ann", orders[0].id)
        self.assertIn(answer.status, (200, 503))
        if answer.status == 200:
            self.assertEqual(answer.json["status"], "queued")
        self.stack.proxies["database"].up()
        for order in orders:
            order.wait("confirmed", timeout=30)
            listener.wait_final(order.id)
        listener.close()

    def test_a_database_that_is_silent_does_not_stop_the_door(self):
        self.stack.proxies["database"].freeze()
        orders = [self.stack.order("ann", self.sku) for _ in range(5)]
        self.stack.proxies["database"].freeze(False)
        for order in orders:
            order.wait("confirmed", timeout=40)

    def test_without_redis_orders_are_decided_and_the_events_come_when_it_is_back(self):
        listener = self.stack.listen("ann")
        self.stack.proxies["redis"].down()
        orders = [self.stack.order("ann", self.sku) for _ in range(10)]
        for order in orders:
            order.wait("confirmed")
        self.stack.proxies["redis"].up()
        for order in orders:
            self.assertEqual(listener.wait_final(order.id, timeout=20)["data"]["status"], "confirmed")
        listener.close()

    def test_an_emptied_redis_changes_nothing(self):
        listener = self.stack.listen("ann")
        orders = []
        for number in range(30):
            orders.append(self.stack.order("ann", self.sku))
            if number % 10 == 5:
                self.stack.redis().flushall()
        for order in orders:
            order.wait("confirmed")
            listener.wait_final(order.id)
        listener.close()

    def test_without_the_broker_the_door_says_so_at_once_and_recovers(self):
        self.stack.proxies["amqp"].down()
        wait_until(lambda: self.stack.post("ann", self.sku).status == 503, 5, "the loss to be noticed")
        answers, longer = timed_beside(lambda: self.stack.post("ann", self.sku),
                                       lambda: self.stack.call("ann", "GET", "/v1/nothing"), 5)
        self.assertLess(longer, 0.5)
        for answer in answers:
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.json["type"], "/problems/broker-unavailable")
            self.assertTrue(answer.headers["Retry-After"].isdigit())
        self.stack.proxies["amqp"].up()
        self.accepted("ann", self.sku).wait("confirmed", timeout=20)

    def test_a_broker_connection_that_breaks_again_and_again_loses_nothing(self):
        stop = threading.Event()

        def breaker():
            while not stop.wait(0.7):
                self.stack.proxies["amqp"].reset()
        thread = threading.Thread(target=breaker)
        thread.start()
        try:
            orders = [self.accepted("ann", self.sku) for _ in range(20)]
        finally:
            stop.set()
            thread.join()
        for order in orders:
            order.wait("confirmed", timeout=30)
        self.assertEqual(self.stack.counts(self.sku), (50, 0, 20, 0))

    def test_without_the_gateway_units_stay_held_until_it_is_back(self):
        self.stack.proxies["gateway"].down()
        order = self.stack.order("ann", self.sku).wait("reserved")
        time.sleep(1)
        self.assertEqual(order.status(), "reserved")
        self.stack.proxies["gateway"].up()
        order.wait("confirmed", timeout=30)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_a_database_that_ends_its_sessions_interrupts_nobody_for_long(self):
        orders = []
        for _ in range(5):
            orders += [self.stack.order("ann", self.sku) for _ in range(4)]
            self.stack.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                           "where datname = current_database() and pid <> pg_backend_pid()")
        for order in orders:
            order.wait("confirmed", timeout=30)
        self.assertEqual(self.stack.counts(self.sku), (50, 0, 20, 0))

    # -- answers that get lost ---------------------------------------------------------------------

    def lose_commit(self, function):
        """Arms the loss of the answers from the next transaction that calls this SQL function on."""
        return self.stack.proxies["database"].lose_answers(*_PATTERNS[function])

    def test_the_lost_answer_of_a_decision(self):
        loss = self.lose_commit("decide")
        order = self.stack.order("ann", self.sku)
        self.assertTrue(loss.seen.wait(10), "no decision passed the proxy")
        order.wait("reserved")  # it was committed; its answer is lost
        began = time.monotonic()
        loss.reset()
        order.wait("confirmed", timeout=10)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(self.stack.counts(self.sku), (50, 0, 1, 0))
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_the_lost_answer_of_a_settlement_that_promoted_somebody(self):
        sku = self.stack.item(stock=1)
        listener = self.stack.listen("bob")
        self.stack.gateway.latency(1000)
        first = self.stack.order("ann", sku, payment_method=DECLINED).wait("reserved")
        wait_until(lambda: self.stack.gateway.started(first.id), 30, "the payment to begin")
        self.stack.gateway.latency(0)
        second = self.stack.order("bob", sku).wait("waiting")
        loss = self.lose_commit("settle")
        self.assertTrue(loss.seen.wait(10), "no settlement passed the proxy")
        second.wait("reserved")  # promoted, but the consumer was not told
        first.wait("rejected", "payment_declined")
        loss.reset()
        second.wait("confirmed", timeout=10)
        self.assertEqual(listener.wait_final(second.id)["data"]["status"], "confirmed")
        self.assertEqual(self.stack.gateway.captured().get(second.id), 1)
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
        listener.close()

    def test_the_lost_answer_of_a_settlement_that_was_paid(self):
        loss = self.lose_commit("settle")
        order = self.stack.order("ann", self.sku)
        self.assertTrue(loss.seen.wait(10), "no settlement passed the proxy")
        order.wait("confirmed")
        loss.reset()
        listener = self.stack.listen("ann", "?last_event_id=0")
        self.assertEqual(listener.wait_final(order.id)["data"]["status"], "confirmed")
        self.stack.order("bob", self.sku).wait("confirmed")  # the line goes on
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)
        listener.close()

    def test_the_lost_confirm_of_the_broker(self):
        """The broker has the message, the producer does not know: the same key resolves it."""
        self.stack.daemon("consumer")  # it goes through the same proxy and recovers as well
        loss = self.stack.proxies["amqp"].lose_answers(b"checkout.jobs.v1")
        key, answers = uuid.uuid4().hex, []
        thread = threading.Thread(target=lambda: answers.append(self.stack.post("ann", self.sku, key=key)))
        thread.start()
        self.assertTrue(loss.seen.wait(10))
        time.sleep(0.3)
        loss.reset()
        thread.join()
        self.assertEqual(answers[0].status, 503)
        self.assertEqual(answers[0].json["type"], "/problems/accept-unknown")

        def accepted():
            again = self.stack.post("ann", self.sku, key=key)
            return again.status == 202 and again.json["id"]
        order = harness.Order(self.stack, "ann", wait_until(accepted, 15, "202 for the same key"))
        self.assertEqual(answers[0].json["id"], order.id)
        order.wait("confirmed")
        self.assertEqual(self.stack.counts(self.sku), (50, 0, 1, 0))


# What the consumer sends for a transaction: its text when it is prepared, then only its name.
_PATTERNS = {
    "decide": (b"checkout.decide_jobs(", b"\0decide\0"),
    "settle": (b"checkout.settle_payments(", b"\0settle\0"),
}


class Pool(harness.TestCase):
    """Two consumers share the shards."""

    daemons = ("sandbox", "producer", "consumer", "consumer", "notifier")
    shards = 8

    def setUp(self):
        while sum(daemon.running() for daemon in self.consumers()) < 2:
            self.stack.start("consumer")
        self.skus = [self.stack.item(stock=20) for _ in range(8)]

    def consumers(self):
        return [daemon for daemon in self.stack.daemons if daemon.name == "checkout-consumer"]

    def running(self):
        return [daemon for daemon in self.consumers() if daemon.running()]

    def publish_wave(self, rounds, begin=0):
        """For each item, jobs in a known order: one message of 5 per item and round."""
        lines = {sku: [] for sku in self.skus}
        for number in range(begin, begin + rounds):
            for sku in self.skus:
                jobs = [self.stack.job(f"user-{number}-{n}", sku) for n in range(5)]
                self.stack.publish_jobs(*jobs)
                lines[sku] += [job["order_id"] for job in jobs]
        return lines

    def assert_decided_in_order(self, *waves):
        lines = {sku: sum((wave[sku] for wave in waves), []) for sku in self.skus}
        total = sum(len(line) for line in lines.values())
        wait_until(lambda: self.stack.one(
            "select count(*) from orders where sku = any(%s) and status in ('confirmed', 'rejected')",
            (self.skus,)) == total, 60, f"{total} orders to end")
        for sku, line in lines.items():
            came = [row[0] for row in self.stack.sql(
                "select e.order_id::text from order_events e join orders o using (order_id) "
                "where o.sku = %s and e.sequence = 1 order by e.event_id", (sku,))]
            self.assertEqual(came, line)
            self.assertEqual(self.stack.counts(sku), (20, 0, 20, 0))
            confirmed = {row[0] for row in self.stack.sql(
                "select order_id::text from orders where sku = %s and status = 'confirmed'", (sku,))}
            self.assertEqual(confirmed, set(line[:20]))
            captured = self.stack.gateway.captured()
            self.assertEqual([captured.get(order, 0) for order in line], [1] * 20 + [0] * (len(line) - 20))

    def test_both_own_shards(self):
        def shared():
            owners = [row[0] for row in self.stack.sql(
                "select owner from shards where shards = %s", (self.shards,))]
            return None not in owners and len(set(owners)) == 2
        wait_until(shared, 20, "two owners of the shards")
        self.assert_decided_in_order(self.publish_wave(6))

    def test_a_killed_consumer_loses_and_reorders_nothing(self):
        before = self.publish_wave(15)
        wait_until(lambda: self.stack.one("select count(*) from orders where sku = any(%s)",
                                          (self.skus,)) > 50, 20, "the first decisions")
        self.running()[0].kill()
        after = self.publish_wave(10, begin=100)
        self.stack.start("consumer")
        last = self.publish_wave(5, begin=200)
        self.assert_decided_in_order(before, after, last)

    def test_both_killed_lose_and_reorder_nothing(self):
        before = self.publish_wave(10)
        for daemon in self.running():
            daemon.kill()
        after = self.publish_wave(10, begin=100)
        self.stack.start("consumer")
        self.stack.start("consumer")
        self.assert_decided_in_order(before, after)

    def test_a_consumer_that_leaves_and_one_that_comes_change_no_order(self):
        waves = [self.publish_wave(8)]
        self.running()[0].stop()
        waves.append(self.publish_wave(8, begin=100))
        self.stack.start("consumer")
        waves.append(self.publish_wave(8, begin=200))
        self.assert_decided_in_order(*waves)

    def test_a_frozen_consumer_is_replaced_and_fenced_when_it_thaws(self):
        before = self.publish_wave(3)
        frozen = self.running()[0]
        frozen.freeze()
        middle = self.publish_wave(5, begin=100)
        total = 8 * 5 * 8
        try:
            wait_until(lambda: self.stack.one("select count(*) from orders where sku = any(%s)",
                                              (self.skus,)) == total, 45,
                       "the other to decide everything")
        finally:
            frozen.thaw()
        after = self.publish_wave(4, begin=200)
        self.assert_decided_in_order(before, middle, after)

    def test_buyers_are_told_although_the_consumer_died_after_its_commit(self):
        users = [f"listener-{n}" for n in range(8)]
        listeners = [self.stack.listen(user) for user in users]
        orders = []
        for number in range(6):
            orders += [(listener, self.stack.order(user, self.skus[n]))
                       for n, (user, listener) in enumerate(zip(users, listeners))]
            if number == 3:
                self.running()[0].kill()
        self.stack.start("consumer")
        for listener, order in orders:
            status, _ = order.wait_final(timeout=30)
            self.assertEqual(listener.wait_final(order.id, timeout=20)["data"]["status"], status)
        for listener in listeners:
            listener.close()


if __name__ == "__main__":
    harness.main()
