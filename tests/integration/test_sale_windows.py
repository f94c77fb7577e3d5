#!/usr/bin/python3
"""Sale windows: the time of acceptance decides, by PostgreSQL's clock, however long the queue was."""

import datetime
import json
import time
import unittest
import uuid

import harness
import psycopg2
from harness import wait_until
from harness_clock import Clock
from harness_client import PROBLEMS


def whole_second():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def stamp(seconds, now):
    """accepted_at of so many seconds from then."""
    moment = now + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Windowed(harness.TestCase):
    """Windows and stamps are so many seconds from the same moment, the test's beginning, however long it takes."""

    def setUp(self):
        super().setUp()
        self.now = whole_second()

    def window(self, opens=None, closes=None, **columns):
        """An item that opens and closes then."""
        sku = self.stack.item(**columns)
        for column, seconds in (("opens_at", opens), ("closes_at", closes)):
            if seconds is not None:
                self.stack.sql(f"update items set {column} = %s where sku = %s",
                               (self.now + datetime.timedelta(seconds=seconds), sku))
        return sku

    def accepted(self, sku, seconds, user="ann"):
        """An order that another program accepted then."""
        job = self.stack.job(user, sku, accepted_at=stamp(seconds, self.now))
        self.stack.publish_jobs(job)
        return harness.Order(self.stack, user, job["order_id"])


class Counter(Windowed):
    """However late it is decided."""

    daemons = ("sandbox", "consumer")

    def test_accepted_before_the_closing_is_honoured(self):
        self.accepted(self.window(closes=-600), -601).wait("confirmed")

    def test_accepted_at_or_after_the_closing_is_refused(self):
        self.accepted(self.window(closes=-600), -599).wait("rejected", "not_on_sale")

    def test_accepted_before_the_opening_is_refused_however_late_it_is_decided(self):
        sku = self.window(opens=-600, stock=1)
        bot, eve = self.accepted(sku, -601, "bot"), self.accepted(sku, -599, "eve")
        bot.wait("rejected", "not_on_sale")
        eve.wait("confirmed")

    def test_a_stamp_of_the_future_counts_as_the_databases_clock(self):
        self.accepted(self.window(opens=600), 7200).wait("rejected", "not_on_sale")
        order = self.accepted(self.window(closes=600), 7200).wait("confirmed")
        self.assertTrue(self.stack.one("select accepted_at <= created_at from orders where order_id = %s", (order.id,)))

    def test_the_audit_lists_who_was_honoured_long_after_the_closing(self):
        late, soon = self.window(closes=-3700), self.window(closes=-3500)
        listed = self.accepted(late, -3701).wait("confirmed")
        self.accepted(soon, -3501).wait("confirmed")
        self.accepted(late, -3699, "bob").wait("rejected", "not_on_sale")
        done = self.stack.ctl("audit", "--json")
        result = json.loads(done.stdout)
        self.assertEqual((result["violation_count"], result["note_count"]), (0, 1))
        self.assertEqual([(note["kind"], note["order_id"]) for note in result["notes"]],
                         [("honoured-late", listed.id)])
        self.assertIn(f"note  honoured-late  item {late}  order {listed.id}", self.stack.ctl("audit").stdout)

    def test_a_replayed_dead_letter_keeps_its_time(self):
        sku = self.window(closes=-600)
        job = self.stack.job("ann", sku, accepted_at=stamp(-601, self.now))
        self.stack.broker.publish_dead(harness.message(job), {"x-checkout-reason": "for a test"})
        letters = [json.loads(line) for line in self.stack.ctl("dead", "list", "--json").stdout.splitlines()]
        self.stack.ctl("dead", "replay", letters[-1]["id"])
        harness.Order(self.stack, "ann", job["order_id"]).wait("confirmed")

    def held_up(self, sku, *stamps):
        """Orders accepted then, set aside while somebody else's session has locked their item."""
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        try:
            session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
            orders = [self.accepted(sku, seconds, f"user-{n}") for n, seconds in enumerate(stamps)]
            wait_until(lambda: self.stack.one("select count(*) from jobs_aside where sku = %s", (sku,)) == len(stamps), 30,
                       "the orders to be set aside")
        finally:
            session.close()
        return orders

    def test_an_order_that_was_set_aside_keeps_its_time(self):
        early, in_time, late = self.held_up(self.window(opens=-900, closes=-600), -901, -601, -599)
        in_time.wait("confirmed")
        early.wait("rejected", "not_on_sale")
        late.wait("rejected", "not_on_sale")

    def test_a_stamp_of_the_future_counts_as_the_clock_when_it_was_set_aside(self):
        sku = self.window(opens=600)
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        try:
            session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
            order = self.accepted(sku, 7200)
            wait_until(lambda: self.stack.one("select count(*) from jobs_aside where sku = %s", (sku,)) == 1, 30,
                       "the order to be set aside")
            session.cursor().execute("update checkout.items set opens_at = clock_timestamp() where sku = %s", (sku,))
            session.commit()        # the sale has begun before the order is decided
        finally:
            session.close()
        order.wait("rejected", "not_on_sale")


class Door(Windowed):
    """It refuses itself what it knows to come early or late."""

    daemons = ("sandbox", "producer", "consumer")

    def refused(self, sku, name, user="ann", key=None):
        """Refused so, as soon as the door knows the window; the answer."""
        def answer():
            got = self.stack.post(user, sku, key=key or uuid.uuid4().hex)
            return got if got.status == 409 else None
        found = wait_until(answer, 10, f"{name} for {sku}")
        self.assertEqual((found.headers["Content-Type"], found.json["type"], found.json["title"]),
                         ("application/problem+json", f"/problems/{name}", PROBLEMS[f"/problems/{name}"][1]))
        return found

    def test_too_early_with_the_opening(self):
        sku = self.window(opens=3600)
        found = self.refused(sku, "not-open-yet")
        expected = self.stack.one("select to_char(opens_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
                                  " from items where sku = %s", (sku,))
        self.assertEqual(found.json["opens_at"], expected)

    def test_too_late(self):
        self.assertNotIn("opens_at", self.refused(self.window(closes=-5), "sale-closed").json)

    def test_the_same_key_buys_once_the_sale_has_begun(self):
        sku, key = self.window(opens=3600), uuid.uuid4().hex
        self.refused(sku, "not-open-yet")
        self.refused(sku, "not-open-yet", key=key)
        self.stack.sql("update items set opens_at = now() where sku = %s", (sku,))
        answer = wait_until(lambda: self.stack.post("ann", sku, key=key).status == 202, 10, "the sale is open")
        self.assertTrue(answer)

    def test_a_sale_that_moves_is_known_within_two_seconds(self):
        def seconds():
            sku = self.window(opens=3600)
            self.refused(sku, "not-open-yet")
            self.stack.sql("update items set opens_at = null where sku = %s", (sku,))
            began = time.monotonic()
            wait_until(lambda: self.stack.post("ann", sku).status == 202, 15, "it sells")
            return time.monotonic() - began
        harness.quickest(2, seconds)

    def test_a_retry_of_an_accepted_order_is_accepted_after_the_closing(self):
        sku, key = self.window(closes=3600), uuid.uuid4().hex
        first = self.stack.order("ann", sku, key=key).wait("confirmed")
        self.stack.sql("update items set closes_at = now() where sku = %s", (sku,))
        self.refused(sku, "sale-closed", "bob")
        again = self.stack.post("ann", sku, key=key)
        self.assertEqual((again.status, again.json["id"]), (202, first.id))

    def test_a_door_that_cannot_ask_lets_pass_and_the_counter_decides(self):
        sku = self.window(opens=3600)
        self.refused(sku, "not-open-yet")
        self.stack.proxies["database"].down()
        self.addCleanup(self.stack.proxies["database"].up)
        answer = wait_until(lambda: (lambda got: got if got.status == 202 else None)(self.stack.post("ann", sku)),
                            15, "an order that passes")
        self.stack.proxies["database"].up()
        harness.Order(self.stack, "ann", answer.json["id"]).wait("rejected", "not_on_sale")

    proxied = ("database",)


class WrongClock(Windowed):
    """A door whose host is wrong by an hour stamps with PostgreSQL's time, and says so."""

    daemons = ("sandbox", "consumer")

    def setUp(self):
        super().setUp()
        try:
            self.clock = Clock()
        except FileNotFoundError as error:
            raise unittest.SkipTest(str(error)) from error

    def door(self, **settings):
        return self.stack.start("producer", **self.clock.environment, **settings)

    def test_ahead_and_behind(self):
        for offset in (3600, -3600):
            with self.subTest(offset=offset):
                self.clock.set(f"{offset:+d}")
                door = self.door()
                wait_until(lambda: door.metric("checkout_clock_drift_known") == 1, 10, "a measure")
                self.assertAlmostEqual(door.metric("checkout_clock_drift_seconds"), offset, delta=2)
                token = self.stack.token("ann", lifetime=3 * 3600, iat=None)
                sku = self.window(opens=-60, closes=60)
                answer = self.stack.call(None, "POST", "/v1/orders", {
                    "sku": sku, "quantity": 1, "payment_method": "pm_card_visa"},
                    {"Authorization": "Bearer " + token, "Idempotency-Key": uuid.uuid4().hex}, door)
                self.assertEqual(answer.status, 202, answer)
                order = harness.Order(self.stack, "ann", answer.json["id"]).wait("confirmed")
                self.assertLess(abs(self.stack.one(
                    "select extract(epoch from created_at - accepted_at) from orders where order_id = %s",
                    (order.id,))), 2)
                self.assertIn("clock differs from PostgreSQL's", door.log_text().decode())
                told = self.stack.ctl("doctor", "--json", check=False).stdout
                self.assertRegex(told, r"1 producers have a clock that differs from PostgreSQL's, by up to "
                                       rf"{'-' if offset < 0 else ''}3[56]")
                door.stop()
                wait_until(lambda: "have a clock" not in self.stack.ctl("doctor", "--json", check=False).stdout,
                           10, "doctor forgets the door that is gone")


class UnknownClock(Windowed):
    """A door that never reached PostgreSQL uses its host's time and says that nobody compared it."""

    proxied = ("database",)

    def test_it_is_said(self):
        self.stack.proxies["database"].down()
        door = self.stack.start("producer")
        self.assertEqual(door.metric("checkout_clock_drift_known"), 0)
        wait_until(lambda: "clock not compared with PostgreSQL's" in door.log_text().decode(), 20, "a line of the log")
        self.stack.proxies["database"].up()
        wait_until(lambda: door.metric("checkout_clock_drift_known") == 1, 20, "a measure")


if __name__ == "__main__":
    harness.main()
