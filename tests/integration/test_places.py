#!/usr/bin/python3
"""The place in line of a buyer who waits, told while it moves: it falls with the line, never rises, is never below the
true one, and is soon exact again where somebody has left in the middle."""

import datetime
import json
import os
import time
import uuid

import jsonschema

import harness
from harness import wait_until
from harness_services import ROOT

EXACT_S = 10


def schema(name):
    with open(os.path.join(ROOT, "schemas", name), encoding="utf-8") as source:
        return jsonschema.Draft202012Validator(json.load(source))


PLACE = schema("checkout.place.v1.schema.json")
LINE = schema("checkout.line.v1.schema.json")


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Waiter:
    """A buyer in line, with a websocket; what came of the place, over all of the buyer's sockets."""

    def __init__(self, test, order):
        self.test, self.order = test, order
        self.listeners = [test.stack.listen(order.user)]

    @property
    def listener(self):
        return self.listeners[-1]

    def close(self):
        self.listener.close()

    def connect(self, notifier=None):
        self.listeners.append(self.test.stack.listen(self.order.user, notifier=notifier))

    def told(self, listeners=None):
        """(moment, place) of all that was told, in order."""
        return [(event["time"], event["data"]["place_in_line"]) for listener in listeners or self.listeners
                for event in list(listener.events)
                if event["subject"] == self.order.id and "place_in_line" in event["data"]]

    def place(self):
        """The last one that the newest socket was told."""
        told = self.told([self.listener])
        return told[-1][1] if told else None

    def newest(self):
        places = self.listener.places(self.order.id)
        return places[-1]["data"] if places else {}


class PlaceCase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")

    def ctl(self, *words):
        return self.stack.ctl(*words)

    def line(self, count, heard=None):
        """An item whose only unit is held, and Waiters; `heard` of them listen (or all)."""
        sku = self.stack.item(stock=1, held=1)
        orders = [self.stack.order(f"{sku}-{n}", sku) for n in range(count)]
        wait_until(lambda: self.stack.one("select waiting from items where sku = %s", (sku,)) == count, 30, "the line")
        waiters = [Waiter(self, order) for order in (orders if heard is None else orders[:heard])]
        for waiter in waiters:
            self.addCleanup(waiter.close)
        return sku, orders, waiters

    def true_places(self, sku):
        rows = self.stack.sql("select order_id::text, row_number() over (order by ticket) from waitlist where sku = %s", (sku,))
        return dict(rows)

    def exact(self, sku, waiters, timeout=EXACT_S):
        """Each who waits was told the true place; within the time that is promised."""
        def all_exact():
            true = self.true_places(sku)
            wrong = [(w.order.user, w.place(), true[w.order.id]) for w in waiters
                     if w.order.id in true and w.place() != true[w.order.id]]
            self.assertEqual(wrong, [])
            return True
        wait_until(all_exact, timeout, "the true places")

    def judge(self, sku, waiters):
        """Every message at every buyer, against the whole history of the line."""
        left = {order: at for order, at in self.stack.sql(
            "select e.order_id::text, e.created_at from order_events e join orders o using (order_id) "
            "where o.sku = %s and e.sequence = 2", (sku,))}
        behind = [row[0] for row in self.stack.sql(
            "select order_id::text from order_events e join orders o using (order_id) where o.sku = %s "
            "and e.sequence = 1 and e.status = 'waiting' order by e.event_id", (sku,))]
        count = 0
        for waiter in waiters:
            told = waiter.told()
            count += len(told)
            self.assertEqual([place for _, place in told], sorted((place for _, place in told), reverse=True),
                             f"{waiter.order.user}'s place rose")
            for at, place in told:
                ahead = [order for order in behind[:behind.index(waiter.order.id)]
                         if order not in left or left[order] > moment(at)]
                self.assertGreaterEqual(place, len(ahead) + 1, f"{waiter.order.user} at {at}")
            for listener in waiter.listeners:
                for event in listener.places(waiter.order.id):
                    PLACE.validate(event)
        return count


class Moving(PlaceCase):
    def test_the_place_falls_as_the_line_moves_and_when_somebody_leaves_in_the_middle(self):
        sku, orders, waiters = self.line(60, 40)
        channel = self.stack.redis().pubsub()
        self.addCleanup(channel.close)
        channel.subscribe(f"checkout:line:{sku}")
        began = time.monotonic()
        self.exact(sku, waiters)
        for _ in range(3):
            self.ctl("items", "restock", sku, "2")
            self.exact(sku, waiters)
        for n in (20, 21, 30):
            self.assertEqual(self.stack.call(orders[n].user, "DELETE", f"/v1/orders/{orders[n].id}").status, 202)
        orders[30].wait("cancelled")
        self.exact(sku, waiters)
        self.ctl("items", "restock", sku, "3")
        self.exact(sku, waiters)
        self.assertGreater(self.judge(sku, waiters), 100)
        self.assert_one_message_a_second(channel, began, {"head", "next", "waiting", "version", "behind_ms", "pace_ms"})
        self.assertEqual(waiters[20].listener.statuses(orders[20].id)[-1], "cancelled")
        reads = self.stack.daemon("notifier").metric("checkout_line_reads_total")
        self.assertLess(reads, 2 + (time.monotonic() - began) / 2, "the line was read too often")

    def assert_one_message_a_second(self, channel, began, members):
        messages = []
        while (message := channel.get_message(ignore_subscribe_messages=True)) is not None or not messages:
            if message:
                messages.append(json.loads(message["data"]))
        self.assertLessEqual(len(messages), time.monotonic() - began + 1)
        for message in messages:
            LINE.validate(message)
            self.assertLessEqual(set(message), members)

    def test_the_time_to_wait_is_told_and_not_while_the_clock_stands(self):
        sku, _, waiters = self.line(3)
        def until():
            return waiters[2].newest().get("expires_at")
        wait_until(until, 10, "the time to wait")
        left_s = (moment(until()) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self.assertAlmostEqual(left_s, 15 * 60, delta=30)
        before = until()
        self.ctl("pause", sku)
        wait_until(lambda: until() is None, 15, "the clock to stand")
        self.assertEqual(waiters[2].newest()["place_in_line"], 3)
        self.ctl("resume", sku)
        wait_until(until, 15, "the clock to go on")
        self.assertGreater(moment(until()), moment(before))
        self.judge(sku, waiters)


class Losses(PlaceCase):
    proxied = ("redis",)

    def is_estimated(self, order, waiter):
        """Both doors tell how long it takes, by the pace of the last minute, and mean the same."""
        path = f"/v1/orders/{order.id}"
        def asked(**headers):
            got = self.stack.call(order.user, "GET", path, headers=headers).json
            return got if "estimated_wait_s" in got else None
        got = wait_until(asked, 30, "the API to estimate the wait")
        wait_until(lambda: "estimated_wait_s" in waiter.newest(), 15, "the websocket to estimate the wait")
        self.assertTrue(got["place_in_line"] <= got["estimated_wait_s"] <= 60 * got["place_in_line"], got)
        listed = self.stack.call(order.user, "GET", "/v1/orders").json["orders"]
        self.assertIn("estimated_wait_s", listed[0])
        self.assertIsNotNone(asked(Prefer="wait=1"))

    def test_it_goes_on_after_a_reconnect_without_redis_and_under_another_owner(self):
        sku, orders, waiters = self.line(20)
        self.exact(sku, waiters)
        def move():
            self.ctl("items", "restock", sku, "1")
        move()
        self.exact(sku, waiters)
        for waiter in waiters[:10]:
            waiter.close()
            waiter.connect()
        self.exact(sku, waiters)
        notifier = self.stack.daemon("notifier")
        notifier.kill()
        self.stack.start_again(notifier)
        for waiter in waiters:
            waiter.connect()
        replayed = waiters[15].listener
        wait_until(lambda: replayed.of(orders[15].id), 15, "the replay")
        self.assertNotIn("place_in_line", replayed.of(orders[15].id)[0]["data"])
        left = self.stack.listen(orders[0].user, query="?last_event_id=0")
        wait_until(lambda: len(left.of(orders[0].id)) >= 2, 15, "the replay of an order that has left the line")
        self.assertEqual([event["data"].get("place_in_line") for event in left.of(orders[0].id)
                          if event["data"]["status"] == "waiting"], [None])
        left.close()
        self.exact(sku, waiters)
        self.stack.proxies["redis"].down()
        move()
        self.exact(sku, waiters, 20)  # heard from nobody: it is read
        self.stack.proxies["redis"].up()
        self.is_estimated(orders[15], waiters[15])
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.stack.start_again(consumer)
        move()
        self.exact(sku, waiters, 30)
        self.judge(sku, waiters)


class Late(PlaceCase):
    def test_news_that_come_late_tell_no_place_of_before(self):
        """Redis gets them long after their commit; by then another socket may have been told a better place."""
        sku = self.stack.item(stock=1, held=1)
        order = self.stack.order("ann", sku)
        listener = self.stack.listen("ann")
        wait_until(lambda: listener.of(order.id), 20, "the order in line")
        told = {}
        for late_s in (-60, 3600):
            event = json.loads(json.dumps(listener.of(order.id)[0]))
            then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=late_s)
            event.update(subject=str(uuid.uuid4()), id=str(10 ** 12 + late_s), time=f"{then:%Y-%m-%dT%H:%M:%S}.000Z")
            event["data"].update(status="waiting", place_in_line=7)
            self.stack.redis().publish("checkout:events:ann", json.dumps(event))
            wait_until(lambda subject=event["subject"]: listener.of(subject), 20, "the event")
            told[late_s] = listener.of(event["subject"])[0]
            self.assertEqual({**told[late_s], "data": {**told[late_s]["data"], "place_in_line": 7}}, event)
        self.assertEqual([event["data"].get("place_in_line") for event in told.values()], [7, None])


if __name__ == "__main__":
    harness.main()
