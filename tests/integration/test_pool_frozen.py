#!/usr/bin/python3
"""A member that stops in the middle of something, and goes on when its shards are another's: it
changes nothing. And whoever takes over is not held up by it."""

import threading
import time

import psycopg2

from harness import main, wait_until
from harness_pool import PoolCase
from harness_database import as_login

DECIDE = (b"checkout.decide_jobs(", b"\0decide\0")


class Frozen(PoolCase):
    settings = {"CHECKOUT_AMQP_HEARTBEAT": "2s"}  # the broker gives a frozen member up after 4 to 6

    def pair(self, *cut):
        """The member that will freeze, another, a shard of the first."""
        frozen, other = self.consumer(*cut), self.consumer()
        self.served(frozen, other)
        return frozen, other, self.served_by(frozen)[0]

    def wait_moved(self, other):
        """All shards are the other's."""
        wait_until(lambda: set(self.owners().values()) == {other.member}, 60,
                   lambda: f"{other.member} to own all: {self.owners()}")

    def assert_it_changes_nothing(self, frozen, other, lines):
        """It thaws, finds out, stands behind, and gets its share again."""
        frozen.thaw()
        self.settled(frozen, other)
        for sku, line in lines.items():
            line += self.publish(sku, 2)
        self.assert_in_order(lines)
        self.assert_served_once()
        captured = self.stack.gateway.captured()
        for line in lines.values():
            for order in line:
                self.wait_status(order, "confirmed", "rejected")
                self.assertEqual(captured.get(order, 0) if self.status(order) == "rejected" else 1,
                                 self.stack.gateway.captured().get(order, 0))

    def test_in_mid_transaction_whose_answer_it_has_not_read(self):
        frozen, other, shard = self.pair("database")
        sku = self.item_on(shard)
        loss = frozen.proxies["database"].lose_answers(*DECIDE)
        line = self.publish(sku, 3)
        self.assertTrue(loss.seen.wait(30), "no decision passed the proxy")
        self.wait_decided(line)
        frozen.freeze()
        line += self.publish(sku, 2)
        self.wait_moved(other)
        self.wait_decided(line)
        loss.reset()
        self.assert_it_changes_nothing(frozen, other, {sku: line})

    def test_in_mid_transaction_whose_request_arrives_after_its_epoch(self):
        frozen, other, shard = self.pair("database")
        sku = self.item_on(shard)
        frozen.proxies["database"].freeze()
        line = self.publish(sku, 3)
        wait_until(lambda: any(map(frozen.proxies["database"].holds, DECIDE)), 30,
                   "the transaction to be sent, and held by the wire")
        frozen.freeze()
        self.wait_moved(other)
        line += self.publish(sku, 2)
        self.wait_decided(line)
        self.assertEqual(self.writers(line, sequence=1), {other.member})
        frozen.proxies["database"].freeze(False)
        frozen.thaw()
        wait_until(lambda: self.metric(frozen, "checkout_fenced_writes_total") >= 1, 30,
                   "the late transaction to be fenced off")
        self.assert_it_changes_nothing(frozen, other, {sku: line})

    def test_in_mid_batch_with_the_row_of_its_shard_locked(self):
        """Its transaction hangs in the server, with more deliveries in its hands."""
        frozen, other, shard = self.pair()
        stuck, free = self.item_on(shard), self.item_on(shard)
        self.hold(stuck)
        lines = {stuck: self.publish(stuck, 2), free: []}
        self.wait_hanging()
        lines[stuck] += self.publish(stuck, 2)
        lines[free] += self.publish(free, 2)
        frozen.freeze()
        wait_until(lambda: self.owners()[shard] == other.member, 60, "the shard to be taken over")
        self.release()
        self.wait_moved(other)
        self.wait_decided(sum(lines.values(), []))
        self.assertEqual(self.writers(sum(lines.values(), []), sequence=1), {other.member})
        self.assert_it_changes_nothing(frozen, other, lines)

    def test_in_mid_payment(self):
        frozen, other, shard = self.pair()
        sku = self.item_on(shard, stock=1)
        self.stack.gateway.latency(5000)
        paid, = self.publish(sku)
        wait_until(lambda: self.stack.gateway.started(paid), 30, "the payment to begin")
        frozen.freeze()  # the answer comes, but is not read
        self.stack.gateway.latency(0)
        late, = self.publish(sku)
        self.wait_moved(other)
        self.wait_status(paid, "confirmed", timeout=60)
        self.wait_status(late, "rejected")
        self.assert_it_changes_nothing(frozen, other, {sku: [paid, late]})
        self.assertEqual(self.stack.gateway.captured().get(paid), 1)
        self.assertEqual(self.stack.gateway.captured().get(late, 0), 0)

    def test_under_load(self):
        frozen, other, _ = self.pair()
        load = self.load()
        frozen.freeze()
        self.wait_moved(other)
        frozen.thaw()
        self.settled(frozen, other)
        self.assert_in_order(load.finish())
        self.assert_served_once()

    def test_one_alone_goes_on_where_it_stopped(self):
        only = self.consumer()
        self.settled(only)
        load = self.load()
        only.freeze()
        time.sleep(8)  # long enough for the broker, and for its own beats, to give it up
        only.thaw()
        self.settled(only)
        self.assert_in_order(load.finish())
        self.assert_served_once()


class Holder(PoolCase):
    """The row of a shard is held by a session of which nothing more comes."""

    def hold(self, shard, name):
        holder = psycopg2.connect(as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "consumer"),
                                  application_name=name)
        self.addCleanup(holder.close)
        holder.cursor().execute("select 1 from checkout.shards where shards = %s and shard = %s "
                                "for no key update", (self.shards, shard))
        return holder

    def seconds_of_taking(self, daemon, shard):
        """From the newest "taking" to "serving", by its log."""
        when = {to: time for to, _, time in self.told(daemon, shard)}
        return (when["serving"] - when["taking"]).total_seconds()

    def test_a_consumer_that_is_gone_holds_a_take_over_up_for_two_seconds(self):
        """The server has not noticed; and what it had sent its pids for is a session before."""
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        shard = self.served_by(first)[0]
        self.hold(shard, "checkout-consumer orders")
        sku = self.item_on(shard)
        first.kill()
        self.wait_decided(self.publish(sku))
        self.assertLess(self.seconds_of_taking(second, shard), 4)
        self.assertIn(b"take-over waits: ended sessions", second.log_text())
        self.assert_served_once()

    def test_somebody_elses_session_is_left_alone(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        shard = self.served_by(first)[0]
        holder = self.hold(shard, "psql")
        sku = self.item_on(shard)
        first.kill()
        line = self.publish(sku)
        wait_until(lambda: b"take-over waits" in second.log_text(), 30, "the take-over to be stuck")
        holder.rollback()  # fails if the session was ended
        self.wait_decided(line)
        self.assert_served_once()

    def test_a_session_that_waits_for_a_replica_is_left_alone(self):
        """Its transaction is committed already: ending it would show what a failover loses."""
        sku = self.item_on(0)
        self.addCleanup(self.synchronous, "")
        self.synchronous("nobody")
        committed, waiting = (self.update_title(sku, f"checkout-consumer {name}") for name in ("one", "two"))
        self.wait_event(committed, "SyncRep")
        self.wait_event(waiting, "transactionid")
        self.assertEqual(self.stack.one("select free_shard(%s, null)", (waiting,)), 0)
        self.wait_event(committed, "SyncRep")

    def test_a_request_to_free_a_shard_that_comes_late_ends_nobody(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        idle = self.stack.one("select pid from pg_stat_activity where application_name = 'checkout-consumer orders' "
                              "limit 1")
        self.assertEqual(self.stack.one("select free_shard(%s, %s)", (idle, first.member)), 0)

    def synchronous(self, standbys):
        self.stack.sql("alter system set synchronous_standby_names = %s", (standbys,))
        self.stack.sql("select pg_reload_conf()")
        wait_until(lambda: self.stack.one("show synchronous_standby_names") == standbys, 20, "the setting")

    def update_title(self, sku, name):
        """In a thread, since it may not end; the backend's pid."""
        connection = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"], application_name=name)
        connection.autocommit = True
        self.addCleanup(connection.close)
        pid = connection.info.backend_pid

        def update():
            connection.cursor().execute("update checkout.items set title = title where sku = %s", (sku,))
        thread = threading.Thread(target=update, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 20)
        self.addCleanup(self.synchronous, "")  # before it is waited for
        wait_until(lambda: self.stack.one("select state from pg_stat_activity where pid = %s", (pid,)) == "active",
                   20, "the update to wait")
        return pid

    def wait_event(self, pid, event):
        wait_until(lambda: self.stack.one("select wait_event from pg_stat_activity where pid = %s", (pid,)) == event,
                   20, f"the session to wait for {event}")


if __name__ == "__main__":
    main()
