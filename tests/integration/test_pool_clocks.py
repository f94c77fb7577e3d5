#!/usr/bin/python3
"""Clocks that jump by an hour: nobody looks dead, no shard moves, nothing is lost."""

import glob
import json
import os
import time

import harness_services
from harness import main, wait_until
from harness_clock import Clock
from harness_pool import PoolCase


CLOCK = None  # that of PostgreSQL


def setUpModule():
    global CLOCK
    CLOCK = Clock()
    harness_services.start_private_database(CLOCK.wrapper(
        sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))[-1]))


class ClockCase(PoolCase):
    settings = {"CHECKOUT_WAIT_MAX": "20h"}  # what waits is measured by the database's clock

    def setUp(self):
        super().setUp()
        self.addCleanup(CLOCK.set, "+0")

    def all_beats(self):
        return dict(self.stack.sql("select member_id, heartbeats from consumers where member_id = any(%s)",
                                   ([daemon.member for daemon in self.running()],)))

    def wait_beats(self, count):
        was = self.all_beats()
        wait_until(lambda: all(now >= was[member] + count for member, now in self.all_beats().items()), 60,
                   f"{count} beats")

    def database_time(self):
        return float(self.stack.one("select extract(epoch from clock_timestamp())"))

    def jump(self, offset):
        """The database's clock, against the true one."""
        CLOCK.set(offset)
        wait_until(lambda: abs(self.database_time() - time.time() - int(offset)) < 60, 30, "the clock to jump")


class HostClock(ClockCase):
    def test_of_one_member_jumps_back_and_forth(self):
        clock = Clock()
        first, second = self.consumer(**clock.environment), self.consumer()
        self.served(first, second)
        epochs = self.epochs()
        load = self.load(jobs=2, pause=0.1)
        for offset in ("+3600", "-3600", "+0"):
            clock.set(offset)
            self.wait_beats(7)
        self.assertEqual(self.epochs(), epochs, "a shard has moved because of a clock")
        self.assert_in_order(load.finish())
        self.assert_served_once()
        self.wait_decided(self.publish(self.item_on(self.served_by(first)[0])))
        clock.set("+3600")
        self.wait_beats(4)  # it looks for its clock once a second or two
        first.stop()  # its log tells the time that it saw
        hours = {json.loads(line)["time"][:13] for line in first.log_text().decode().splitlines()}
        self.assertGreater(len(hours), 1, "the clock did not jump")


class DatabaseClock(ClockCase):
    def test_jumps_back_and_forth(self):
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        epochs = self.epochs()
        load = self.load(jobs=2, pause=0.1)
        for offset in ("+7200", "-7200", "+0"):
            self.jump(offset)
            self.wait_beats(7)
        self.assertEqual(self.epochs(), epochs, "a shard has moved because of a clock")
        self.assert_in_order(load.finish())
        self.assert_served_once()

    def test_jumps_while_one_leaves_and_one_comes(self):
        """Whoever comes or goes forgets the dead, by the database's clock: not the living."""
        first, second = self.consumer(), self.consumer()
        self.settled(first, second)
        load = self.load(jobs=2, pause=0.1)
        self.jump("+7200")
        second.stop()
        third = self.consumer()
        self.jump("-7200")
        self.settled(first, third)
        self.assertEqual(self.member_of(first), first.member, "one that lives was removed")
        self.assertNotIn(b"joining again", first.log_text())
        self.assert_in_order(load.finish())
        self.assert_served_once()

    def test_is_set_back_and_a_member_dies_with_a_payment_in_flight(self):
        """What was begun later than now is found all the same."""
        first, second = self.consumer(), self.consumer()
        self.served(first, second)
        sku = self.item_on(self.served_by(first)[0])
        self.stack.gateway.latency(5000)
        order, = self.publish(sku)
        wait_until(lambda: self.stack.gateway.started(order), 30, "the payment to begin")
        self.stack.gateway.latency(0)
        self.jump("-7200")
        first.kill()
        self.wait_status(order, "confirmed")
        self.assertEqual(self.stack.gateway.captured().get(order), 1)
        self.assert_served_once()


if __name__ == "__main__":
    main()
