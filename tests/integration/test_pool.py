#!/usr/bin/python3
"""Shards that move: members that join, leave, die; each line stays with one process, in order."""

import time

import psycopg2

import harness
from harness import wait_until
from harness_pool import PoolCase

DEAD = "its owner is dead"
RELEASED = "it was released"
DELIVERY = "a delivery"


class Handover(PoolCase):
    """Members that come and go while orders flow."""

    def test_a_join_moves_its_share_and_keeps_every_line_in_order(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        before, epochs = self.owners(), self.epochs()
        load = self.load()
        third = self.consumer()
        self.settled(first, second, third)
        lines = load.finish()
        self.assert_in_order(lines)
        self.assert_served_once()
        after = self.owners()
        moved = [shard for shard in after if after[shard] != before[shard]]
        must = len(self.served_by(third))
        self.assertLessEqual(len(moved), max(1.5 * must, must + 1))
        stayed = {shard for shard in after if shard not in moved}
        self.assertEqual({shard: self.epochs()[shard] for shard in stayed},
                         {shard: epochs[shard] for shard in stayed}, "a shard that stays is not taken over")

    def test_one_that_leaves_drains_and_nothing_decided_comes_again(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        load = self.load()
        began = time.monotonic()
        first.stop(timeout=10)
        self.assertLess(time.monotonic() - began, 10)
        self.settled(second)
        lines = load.finish()
        self.assert_in_order(lines)
        self.assert_served_once()
        self.wait_acknowledged(second)
        self.assertEqual(self.metric(second, "checkout_jobs_decided_total"), self.decided_by(second),
                         "a job was brought to the counter that had been decided before")

    def test_members_come_and_go_and_nobody_is_overtaken(self):
        members = [self.consumer()]
        load = self.load()
        for _ in range(3):
            members.append(self.consumer())
        members[0].kill()
        members[1].stop()
        members.append(self.consumer())
        self.settled(*members[2:])
        self.assert_in_order(load.finish())
        self.assert_served_once()


class Yield(PoolCase):
    """A shard that is given back while something is in the way."""

    def blocked(self, shard):
        """Lets a decision of the shard's owner hang. Returns the item, the order that hangs, and those in line
        behind it."""
        sku = self.item_on(shard, stock=1000)
        self.hold(sku)
        line = self.publish(sku)
        self.wait_hanging()
        for _ in range(5):
            line += self.publish(sku, 3)
        return sku, line

    def test_what_was_not_begun_goes_over_in_order(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        shard = self.served_by(second)[0]
        sku, line = self.blocked(shard)
        second.terminate()
        wait_until(lambda: ("yielding", "leaving") in self.steps(second, shard), 30, "the yield to begin")
        line += self.publish(sku, 3)  # fed to one that takes no more
        time.sleep(0.2)
        self.release()
        second.finish()
        self.assert_in_order({sku: line})
        self.assertEqual(self.writers(line[:1], sequence=1), {second.member})
        self.assertEqual(self.writers(line[1:], sequence=1), {first.member})
        self.assert_served_once()

    def test_a_session_that_is_lost_meanwhile_loses_no_order(self):
        first = self.consumer()
        second = self.consumer()
        self.settled(first, second)
        shard, third = self.join_blocked(first, second)
        self.stack.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                       "where datname = current_database() and application_name = 'checkout-consumer orders'")
        self.finish_blocked(shard, first, second, third)

    def test_a_broker_that_is_lost_meanwhile_does_not_wedge_the_shard(self):
        first = self.consumer("amqp")
        second = self.consumer("amqp")
        self.settled(first, second)
        shard, third = self.join_blocked(first, second)
        for daemon in (first, second):
            daemon.proxies["amqp"].reset()
        for daemon in (first, second):
            wait_until(lambda d=daemon: d.log_text().count(b"RabbitMQ is connected") >= 2, 30,
                       "the broker's connection to come back")
        self.finish_blocked(shard, first, second, third)

    def join_blocked(self, *members):
        """Every shard has a decision that hangs; then a third member joins, to which some must go."""
        self.lines = {}
        for shard in range(self.shards):
            sku = self.item_on(shard, stock=1000)
            self.hold(sku)
            self.lines[sku] = self.publish(sku)
        self.wait_hanging()
        third = self.consumer()

        def yielding():
            return next((shard for shard in range(self.shards) for daemon in members
                         if self.steps(daemon, shard)[-1:] == [
                             ("yielding", "another member is its assigned owner")]), None)
        shard = wait_until(lambda: yielding() is not None and [yielding()], 30, "a shard to be given back")[0]
        for sku, line in self.lines.items():
            line += self.publish(sku, 3)
        time.sleep(0.2)  # so that they are fed to who yields: no condition shows it from outside
        return shard, third

    def finish_blocked(self, shard, *members):
        self.release()
        for sku, line in self.lines.items():
            line += self.publish(sku, 3)
        self.assert_in_order(self.lines)
        self.settled(*members)
        for sku, line in self.lines.items():
            line += self.publish(sku)
        self.assert_in_order(self.lines)
        self.assert_served_once()


class TakeOver(PoolCase):
    """The three rules, each alone."""

    def pair(self):
        """Two members, and a shard of the first."""
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        shard = self.served_by(first)[0]
        self.earlier = len(self.reasons(second, shard))
        return first, second, shard

    def new_reasons(self, daemon, shard):
        """Since pair()."""
        return self.reasons(daemon, shard)[self.earlier:]

    def paying(self, owner, *shards):
        """Items of one unit: the first order of each is being paid, the second waits. The gateway answers nobody
        before thaw(), and then declines. Returns shard → both orders."""
        skus = {shard: self.item_on(shard, stock=1) for shard in shards}
        self.sandbox = self.stack.daemon("sandbox")
        self.sandbox.freeze()
        self.addCleanup(self.sandbox.thaw)
        orders = {shard: self.publish(sku, payment_method="pm_card_chargeDeclined") + self.publish(sku)
                  for shard, sku in skus.items()}
        for paid, waiting in orders.values():
            self.wait_status(paid, "reserved")
            self.wait_status(waiting, "waiting")
        self.wait_acknowledged(owner)
        return orders

    def test_a_a_delivery_reaches_the_standby_of_one_that_died(self):
        first, second, shard = self.pair()
        sku = self.item_on(shard)
        first.freeze()
        line = self.publish(sku)  # it is fed: so the broker has it again as soon as the first one is dead
        before = self.beats(second)
        first.kill()
        self.wait_decided(line)
        self.assertLessEqual(self.beats(second), before + 2)
        self.assertEqual(self.new_reasons(second, shard), [DELIVERY])
        self.assert_served_once()

    def test_b_a_released_shard_is_taken_though_its_queue_is_empty(self):
        only = self.consumer()
        self.settled(only)
        orders = self.paying(only, *range(self.shards))
        joined = self.consumer()
        self.settled(only, joined)
        self.sandbox.thaw()
        moved = self.served_by(joined)
        self.assertTrue(moved)
        for shard in moved:
            self.assertEqual(self.reasons(joined, shard)[-1], RELEASED)
            self.wait_status(orders[shard][0], "rejected")
            self.wait_status(orders[shard][1], "confirmed")
            self.assertEqual(self.writers([orders[shard][1]]), {only.member, joined.member})
        self.assert_served_once()
        captured = self.stack.gateway.captured()
        self.assertEqual([captured.get(orders[shard][1]) for shard in moved], [1] * len(moved))

    def test_c_a_dead_members_shard_is_taken_though_its_queue_is_empty(self):
        first, second, shard = self.pair()
        declined, waiting = self.paying(first, shard)[shard]
        before = self.beats(second)
        first.kill()
        beats = wait_until(lambda: self.owners()[shard] == second.member and self.beats(second), 60, "the take-over")
        self.assertLessEqual(beats, before + 5)
        self.sandbox.thaw()
        self.wait_status(declined, "rejected")
        self.wait_status(waiting, "confirmed")
        self.assertEqual(self.new_reasons(second, shard), [DEAD])
        self.assertEqual(self.stack.gateway.captured().get(waiting), 1)
        self.assert_served_once()

    def test_nothing_is_done_for_a_shard_before_its_epoch_is_bumped(self):
        first, second, shard = self.pair()
        declined, waiting = self.paying(first, shard)[shard]
        holder = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(holder.close)
        holder.cursor().execute("select 1 from checkout.shards where shards = %s and shard = %s "
                                "for no key update", (self.shards, shard))
        first.kill()
        wait_until(lambda: self.new_reasons(second, shard), 60, "the take-over to begin")
        wait_until(lambda: b"take-over waits" in second.log_text(), 30, "it to be stuck")
        self.sandbox.thaw()
        wait_until(lambda: self.stack.gateway.started(declined), 30, "the first one's request to be taken")
        self.assertEqual(self.stack.gateway.started(declined), 1, "it was asked for under no epoch")
        self.assertEqual(self.status(declined), "reserved")
        holder.rollback()
        self.wait_status(declined, "rejected")
        self.wait_status(waiting, "confirmed")
        self.assert_served_once()

    def test_who_is_fenced_off_closes_the_channel_says_so_and_stands_behind_again(self):
        only = self.consumer()
        self.settled(only)
        sku = self.item_on(0, stock=1000)
        line = []

        def fenced():
            self.stack.sql("select checkout.take_over(%s, 0, 999999999, null)", (self.shards,))
            line.extend(self.publish(sku))
            self.wait_decided(line)
            return self.metric(only, "checkout_fenced_writes_total") >= 1
        # a look into the table, once a second, may be quicker than the write
        wait_until(fenced, 60, "a write to be fenced off")
        self.assertIn(b"fenced: another member serves the shard", only.log_text())
        self.assertIn(("not ours", "fenced"), self.steps(only, 0))
        line += self.publish(sku, 5)
        self.assert_in_order({sku: line})
        self.settled(only)
        self.assert_served_once()

    def test_a_shard_that_moved_unnoticed_is_left_at_the_next_look(self):
        """No write is needed to notice that the epoch is over."""
        first, second, shard = self.pair()
        self.stack.sql("select checkout.take_over(%s, %s, %s, null)", (self.shards, shard, second.member))
        wait_until(lambda: ("not ours", "fenced") in self.steps(first, shard), 30, "the fence to be seen")
        self.settled(first, second)
        sku = self.item_on(shard)
        self.wait_decided(self.publish(sku, 3))
        self.assert_served_once()

    def test_a_member_that_was_removed_joins_again_under_a_new_number(self):
        only = self.consumer()
        self.settled(only)
        load = self.load()
        before = only.member
        self.stack.sql("delete from consumers where member_id = %s", (before,))
        wait_until(lambda: self.member_of(only), 30, "the member to join again")
        only.member = self.member_of(only)
        self.assertGreater(only.member, before)
        self.settled(only)
        self.assert_in_order(load.finish())
        self.assert_served_once()

    def test_what_crashes_left_in_the_pool_hides_nobody(self):
        self.stack.sql("insert into consumers (name, host, pid, version, heartbeat_at) "
                       "select 'gone', 'gone', n, '0', now() - interval '10 s' from generate_series(1, 400) n")
        self.stack.sql("insert into consumers (name, host, pid, version, heartbeat_at) "
                       "select 'long gone', 'gone', n, '0', now() - interval '2 min' "
                       "from generate_series(1, 400) n")
        first, second = self.consumer(), self.consumer()
        self.settled(first, second)
        self.assertEqual(self.stack.one("select count(*) from consumers where name = 'long gone'"), 0)
        self.stack.sql("delete from consumers where name = 'gone'")


if __name__ == "__main__":
    harness.main()
