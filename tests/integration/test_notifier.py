#!/usr/bin/python3
"""The notifier against real servers: who may listen, what they are told, and what breaks in between.

Events are made as the consumer makes them: rows in PostgreSQL first, then a message in Redis.
"""

import base64
import json
import os
import struct
import time
import urllib.parse
import uuid

import jsonschema

import harness
from harness_client import EVENT_SUBPROTOCOL, PROBLEMS, Listener, http_call, raw
from harness_services import ROOT
from harness_wait import quickest, wait_until
from harness_websocket import RawSocket

ORIGIN = "https://shop.example"
ORIGINS = f"{ORIGIN}, https://Pay.Example:443, capacitor://localhost"

with open(os.path.join(ROOT, "schemas", "checkout.event.v1.schema.json"), encoding="utf-8") as source:
    SCHEMA = jsonschema.Draft202012Validator(json.load(source))


def event_text(event_id, order, sequence, status, sku="dress", **data):
    """The message that goes through Redis."""
    data = {"order_id": order, "sku": sku, "quantity": 1, "status": status, **data}
    return json.dumps({
        "specversion": "1.0", "id": str(event_id), "source": "/checkout",
        "type": f"checkout.order.{status}.v1", "subject": order, "time": "2026-01-31T23:59:59.999Z",
        "datacontenttype": "application/json", "sequence": sequence, "data": data})


class Buyer:
    """Moves the orders of one user through their states, as the counter would."""

    def __init__(self, stack, user):
        self.stack, self.user = stack, user
        self.redis = stack.redis()
        self.sequences = {}

    def place(self, status="waiting", publish=True, relayed=True, **data):
        order = str(uuid.uuid4())
        self.sequences[order] = 0
        self.stack.sql(
            "insert into orders (order_id, user_id, sku, shard, quantity, status, fingerprint, sequence,"
            " amount, currency, accepted_at) values (%s, %s, 'dress', 0, 1, 'waiting', 'f', 0, 19900,"
            " 'usd', now())", (order, self.user))
        self.move(order, status, publish, relayed=relayed, **data)
        return order

    def move(self, order, status, publish=True, reason=None, age_s=0, relayed=True):
        """Commits a new state; returns the event's id. Not relayed: it waits to be published."""
        self.sequences[order] += 1
        sequence = self.sequences[order]
        if status == "rejected" and reason is None:
            reason = "sold_out"
        event_id = self.stack.one(
            "with o as (update orders set status = %(status)s, reason = %(reason)s,"
            " sequence = %(sequence)s, updated_at = now() - %(age)s * interval '1 s'"
            " where order_id = %(order)s returning shard)"
            " insert into order_events (shard, order_id, sequence, status, reason, created_at)"
            " select shard, %(order)s, %(sequence)s, %(status)s, %(reason)s,"
            " now() - %(age)s * interval '1 s' from o returning event_id",
            {"status": status, "reason": reason, "sequence": sequence, "order": order, "age": age_s})
        if relayed:
            self.relay(event_id)
        if publish:
            self.publish(event_text(event_id, order, sequence, status))
        return event_id

    def relay(self, event_id):
        """The mark of a consumer that has published everything up to this event."""
        self.stack.sql("update relays set relayed_to = greatest(relayed_to, %s) where shard = 0", (event_id,))

    def publish(self, text):
        self.redis.publish(f"checkout:events:{self.user}", text)


class NotifierCase(harness.TestCase):
    daemons = ("notifier",)
    settings = {"CHECKOUT_ORIGINS": ORIGINS}

    def setUp(self):
        self.user = "buyer-" + uuid.uuid4().hex[:12]
        self.buyer = Buyer(self.stack, self.user)

    @property
    def notifier(self):
        return self.stack.daemon("notifier")

    def listen(self, user=None, query="", notifier=None):
        listener = self.stack.listen(user or self.user, query, notifier)
        self.addCleanup(listener.close)
        return listener

    def heard(self, listener, order, count=1, timeout=15):
        wait_until(lambda: len(listener.of(order)) >= count, timeout,
                   lambda: f"{count} events of {order}; seen {listener.of(order)}")
        return [event["sequence"] for event in listener.of(order)]

    def ready(self, listener, user=None):
        """Waits until live events reach this listener; returns it."""
        buyer = Buyer(self.stack, user or self.user)
        order = buyer.place("waiting")
        wait_until(lambda: listener.of(order), 15, "the listener hears")
        buyer.move(order, "cancelled")
        wait_until(lambda: len(listener.of(order)) == 2, 15, "the listener hears")
        return listener

    def ticket(self, user=None, **claims):
        return self.stack.token(user or self.user, audience="checkout-events", **claims)

    def metric(self, name, notifier=None):
        return (notifier or self.notifier).metric(name) or 0.0

    def refused(self, status, path="/v1/events", headers=None, method="GET", without=()):
        """A handshake that must be refused with this status and a problem; returns the answer."""
        sent = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Protocol": EVENT_SUBPROTOCOL,
                "Authorization": "Bearer " + self.stack.token(self.user), **(headers or {})}
        sent = {name: value for name, value in sent.items() if name not in without}
        answer = http_call(self.notifier.url, method, path, sent)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json["status"], status)
        self.assertEqual((status, answer.json["title"]), PROBLEMS[answer.json["type"]])
        self.assertTrue(answer.json["detail"])
        return answer


class WhoMayListen(NotifierCase):
    def test_a_bearer_token_opens(self):
        listener = self.ready(self.listen())
        self.assertEqual(listener._socket.subprotocol, EVENT_SUBPROTOCOL)

    def test_a_ticket_opens(self):
        listener = Listener(self.notifier.url.replace("http", "ws") + "/v1/events?ticket=" + self.ticket())
        self.addCleanup(listener.close)
        self.ready(listener)

    def test_a_listed_origin_opens(self):
        listener = Listener(self.notifier.url.replace("http", "ws") + "/v1/events?ticket=" + self.ticket(),
                            origin=ORIGIN)
        self.addCleanup(listener.close)
        self.ready(listener)

    def test_a_foreign_origin_is_refused(self):
        for origin in ("https://evil.example", "http://shop.example", "null", ORIGIN + ".evil.example"):
            self.refused(403, headers={"Origin": origin})

    def test_the_app_and_the_browsers_form_of_a_written_origin_may(self):
        for origin in ("capacitor://localhost", "https://pay.example", "https://pay.example:443"):
            listener = Listener(self.notifier.url.replace("http", "ws") + "/v1/events?ticket=" + self.ticket(),
                                origin=origin)
            self.addCleanup(listener.close)

    def test_two_tokens_are_refused(self):
        token = self.stack.token(self.user)
        answer = raw(self.notifier.url, "\r\n".join((
            "GET /v1/events HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Sec-WebSocket-Protocol: {EVENT_SUBPROTOCOL}", f"Authorization: Bearer {token}",
            "Authorization: Bearer another", "", "")).encode())
        self.assertTrue(answer.startswith(b"HTTP/1.1 401 "), answer)
        self.assertIn(b"more than one Authorization", answer)

    def test_without_a_token_it_is_refused(self):
        answer = self.refused(401, without=("Authorization",))
        self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")

    def test_wrong_tokens_are_refused(self):
        parts = self.stack.token(self.user).split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        for token in ("nonsense", "", ".".join(parts[:2] + ["AAAA"]), f"{none}.{parts[1]}.",
                      self.stack.token(self.user, lifetime=-10), self.ticket(),
                      self.stack.token(self.user, audience="other")):
            self.refused(401, headers={"Authorization": "Bearer " + token})
        self.refused(401, headers={"Authorization": "Basic " + self.stack.token(self.user)})

    def test_wrong_tickets_are_refused(self):
        for ticket in ("nonsense", "", self.ticket(lifetime=-10), self.stack.token(self.user)):
            self.refused(401, f"/v1/events?ticket={ticket}", without=("Authorization",))

    def test_what_is_no_handshake_is_refused(self):
        self.refused(400, without=("Upgrade", "Connection"))
        self.refused(400, headers={"Sec-WebSocket-Key": "short"})
        self.refused(400, without=("Sec-WebSocket-Protocol",))
        self.refused(400, headers={"Sec-WebSocket-Protocol": "chat"})
        self.refused(400, "/v1/events?last_event_id=x")
        self.refused(404, "/v1/other")
        self.assertEqual(self.refused(405, method="POST").headers["Allow"], "GET")
        answer = self.refused(426, headers={"Sec-WebSocket-Version": "8"})
        self.assertEqual(answer.headers["Sec-WebSocket-Version"], "13")

    def test_only_the_owners_events_come(self):
        mine, other = self.listen(), "other-" + self.user
        theirs = self.listen(other)
        self.ready(mine)
        self.ready(theirs, other)
        order = self.buyer.place("waiting")
        self.buyer.move(order, "reserved")
        self.buyer.move(order, "confirmed")
        self.assertEqual(self.heard(mine, order, 3), [1, 2, 3])
        foreign = Buyer(self.stack, other).place("waiting")
        self.heard(theirs, foreign)
        self.assertEqual(theirs.of(order), [])
        self.assertEqual(mine.of(foreign), [])

    def test_every_socket_of_a_buyer_hears(self):
        listeners = [self.listen() for _ in range(5)]
        for listener in listeners:
            self.ready(listener)
        order = self.buyer.place("waiting")
        for listener in listeners:
            self.heard(listener, order)

    def test_a_message_that_is_no_event_harms_nobody(self):
        listener = self.ready(self.listen())
        for text in ("", "x", "{}", "[" * 5000, event_text(1, "no-uuid", 1, "waiting"), "y" * 100000):
            self.buyer.publish(text)
        order = self.buyer.place("waiting")
        self.heard(listener, order)
        self.assertGreaterEqual(self.metric("checkout_events_unreadable_total"), 6)

    def test_a_user_name_of_any_kind_works(self):
        for user in ("Zoë Ünïcode ☃", "a:b*c?[d]", "x" * 255, "with space"):
            listener = self.ready(self.listen(user), user)
            order = Buyer(self.stack, user).place("waiting")
            self.heard(listener, order)


class Replays(NotifierCase):
    settings = {"CHECKOUT_ORIGINS": ORIGIN, "CHECKOUT_SOCKETS_PER_USER": "64"}
    proxied = ("redis", "database")

    def tearDown(self):
        for proxy in self.stack.proxies.values():
            proxy.freeze(False)
            proxy.up()
        wait_until(lambda: self.metric("checkout_redis_up") and self.metric("checkout_database_up"), 15,
                   "both servers are back")

    def test_open_orders_are_told_on_connect(self):
        open_order = self.buyer.place("waiting", publish=False)
        self.buyer.move(open_order, "reserved", publish=False)
        fresh = self.buyer.place("waiting", publish=False)
        self.buyer.move(fresh, "rejected", publish=False, reason="payment_declined", age_s=30)
        old = self.buyer.place("waiting", publish=False)
        self.buyer.move(old, "confirmed", publish=False, age_s=120)
        foreign = Buyer(self.stack, "other-" + self.user).place("waiting", publish=False)
        listener = self.listen()
        self.assertEqual(self.heard(listener, open_order), [2])
        self.assertEqual(self.heard(listener, fresh), [2])
        self.ready(listener)
        self.assertEqual(listener.of(old) + listener.of(foreign), [])
        event = listener.of(fresh)[0]
        self.assertEqual(event["type"], "checkout.order.rejected.v1")
        self.assertEqual(event["data"], {
            "order_id": fresh, "sku": "dress", "quantity": 1, "status": "rejected",
            "reason": "payment_declined", "amount": 19900, "currency": "usd"})
        for event in listener.events:
            SCHEMA.validate(event)

    def test_a_replayed_event_keeps_its_id(self):
        first = self.ready(self.listen())
        order = self.buyer.place("waiting")
        self.heard(first, order)
        second = self.listen()
        self.heard(second, order)
        self.assertEqual(first.of(order)[0]["id"], second.of(order)[0]["id"])

    def test_everything_after_the_last_event_is_told(self):
        orders = [self.buyer.place("waiting", publish=False) for _ in range(3)]
        for order in orders:                          # long ago
            self.stack.sql("update order_events set created_at = now() - interval '10 min'"
                           " where order_id = %s", (order,))
        last = self.buyer.move(orders[0], "reserved", publish=False, age_s=300)
        self.buyer.move(orders[1], "reserved", publish=False, age_s=290)
        self.buyer.move(orders[0], "confirmed", publish=False, age_s=280)
        self.buyer.move(orders[1], "rejected", publish=False, age_s=270)
        listener = self.listen(query=f"?last_event_id={last}")
        self.assertEqual(self.heard(listener, orders[0], 2), [2, 3])  # the minute before comes again
        self.assertEqual(self.heard(listener, orders[1], 2), [2, 3])
        self.ready(listener)
        self.assertEqual(listener.of(orders[2]), [])

    def test_a_long_history_comes_in_pages(self):
        orders = [self.buyer.place("waiting", publish=False) for _ in range(300)]
        for order in orders:
            self.buyer.move(order, "confirmed", publish=False)
        listener = self.listen(query="?last_event_id=0")
        wait_until(lambda: len(listener.events) >= 600, 20, lambda: f"{len(listener.events)} of 600")
        for order in orders:
            self.assertEqual([e["sequence"] for e in listener.of(order)], [1, 2])

    def test_older_news_of_an_order_is_dropped(self):
        listener = self.ready(self.listen())
        order = self.buyer.place("waiting")
        self.buyer.move(order, "reserved")
        self.heard(listener, order, 2)
        for sequence in (1, 2):
            self.buyer.publish(event_text(1, order, sequence, "waiting"))
        self.buyer.move(order, "confirmed")
        self.assertEqual(self.heard(listener, order, 3), [1, 2, 3])

    def test_sockets_that_open_in_mid_stream_miss_nothing(self):
        order = self.buyer.place("waiting")
        listeners = []
        for _ in range(40):
            listeners.append(self.listen())
            for _ in range(5):
                self.buyer.move(order, "waiting")
        self.buyer.move(order, "confirmed")
        last = self.buyer.sequences[order]
        for listener in listeners:
            wait_until(lambda at=listener: at.of(order) and at.of(order)[-1]["sequence"] == last, 15,
                       lambda at=listener: f"the end of {order}; seen {at.statuses(order)[-3:]}")
            seen = [event["sequence"] for event in listener.of(order)]
            self.assertEqual(seen, list(range(seen[0], last + 1)))

    def test_nothing_is_missed_while_redis_is_away(self):
        listeners = [self.ready(self.listen()) for _ in range(3)]
        order = self.buyer.place("waiting")
        for listener in listeners:
            self.heard(listener, order)
        self.stack.proxies["redis"].down()
        for _ in range(5):
            self.buyer.move(order, "waiting")
        time.sleep(0.5)
        self.stack.proxies["redis"].up()
        for _ in range(100):
            self.buyer.move(order, "waiting")
            time.sleep(0.01)
        self.buyer.move(order, "confirmed")
        last = self.buyer.sequences[order]
        for listener in listeners:
            self.assertEqual(self.heard(listener, order, last), list(range(1, last + 1)))

    def test_a_redis_that_says_nothing_is_given_up(self):
        listener = self.ready(self.listen())
        order = self.buyer.place("waiting")
        self.heard(listener, order)
        self.stack.proxies["redis"].freeze()
        self.buyer.move(order, "reserved")
        self.buyer.move(order, "confirmed")
        self.assertEqual(self.heard(listener, order, 3), [1, 2, 3])  # from PostgreSQL
        self.stack.proxies["redis"].freeze(False)

    def test_without_redis_the_database_is_asked(self):
        self.stack.proxies["redis"].down()
        wait_until(lambda: not self.metric("checkout_redis_up"), 30, "Redis is missed")
        order = self.buyer.place("waiting", publish=False)
        listener = self.listen()
        self.heard(listener, order)
        self.buyer.move(order, "confirmed", publish=False)
        self.assertEqual(self.heard(listener, order, 2), [1, 2])

    def test_without_the_database_live_events_flow(self):
        before = self.buyer.place("waiting", publish=False)
        self.stack.proxies["database"].down()
        wait_until(lambda: not self.metric("checkout_database_up"), 30, "PostgreSQL is missed")
        listener = self.listen()
        live = self.buyer.place("waiting", publish=False)
        def told():
            self.buyer.publish(event_text(7, live, 1, "waiting"))
            return listener.of(live)
        wait_until(told, 30, "a live event")
        self.assertEqual(listener.of(before), [])
        self.stack.proxies["database"].up()
        self.heard(listener, before)
        self.assertEqual(self.heard(listener, live), [1])

    def test_a_database_that_says_nothing_only_delays_the_replay(self):
        order = self.buyer.place("waiting", publish=False)
        self.stack.proxies["database"].freeze()
        listener = self.listen()
        live = self.buyer.place("waiting")
        time.sleep(1)
        self.stack.proxies["database"].freeze(False)
        self.heard(listener, order)
        self.heard(listener, live)

    def test_live_events_wait_for_the_replay_before_them(self):
        order = self.buyer.place("waiting", publish=False)
        self.buyer.move(order, "waiting", publish=False)
        replays = self.metric("checkout_replays_total")
        self.stack.proxies["database"].delay(1)
        self.addCleanup(self.stack.proxies["database"].delay, 0)
        listener = self.listen(query="?last_event_id=0")
        time.sleep(0.3)
        self.buyer.move(order, "reserved")
        self.assertEqual(self.metric("checkout_replays_total"), replays)
        self.assertEqual(self.heard(listener, order, 3), [1, 2, 3])

    def test_more_live_events_than_can_wait_are_replayed(self):
        order = self.buyer.place("waiting", publish=False)
        replays = self.metric("checkout_replays_total")
        answer = self.stack.proxies["database"].lose_answers(b"\0replay_after\0")
        listener = self.listen(query="?last_event_id=0")
        wait_until(lambda: answer.lost(order.encode()), 10, "the answer to be on its way: it knows one event")
        for _ in range(200):                    # of 400 bytes each: more than is held
            last = self.buyer.move(order, "waiting", relayed=False)
        self.buyer.relay(last)
        self.assertEqual(self.metric("checkout_replays_total"), replays)
        answer.release()
        last = self.buyer.sequences[order]
        self.assertEqual(self.heard(listener, order, last), list(range(1, last + 1)))
        self.assertGreaterEqual(self.metric("checkout_replays_total"), replays + 2)

    def test_events_that_wait_to_be_published_come_from_the_database(self):
        listener = self.ready(self.listen())
        order = self.buyer.place("waiting", publish=False, relayed=False)
        self.heard(listener, order, timeout=8)
        last = self.buyer.move(order, "reserved", publish=False, relayed=False)
        self.heard(listener, order, 2, timeout=8)
        self.assertIn(b"events wait to be published", self.notifier.log_text())
        self.buyer.relay(last)
        wait_until(lambda: b"events are published in time again" in self.notifier.log_text(), 8, "the end of it")
        self.buyer.move(order, "confirmed")
        self.assertEqual(self.heard(listener, order, 3), [1, 2, 3])

    def test_redis_emptied_changes_nothing(self):
        listener = self.ready(self.listen())
        self.stack.redis().flushall()
        order = self.buyer.place("waiting")
        self.heard(listener, order)


class RefusedSubscriptions(NotifierCase):
    """A user of Redis who may use no channel: to such a notifier it is as if Redis were away."""

    def setUp(self):
        super().setUp()
        self.redis = self.stack.redis()
        self.login = "deaf-" + uuid.uuid4().hex[:8]
        self.permit("resetchannels")
        self.addCleanup(self.redis.execute_command, "ACL", "DELUSER", self.login)
        url = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_REDIS_URL"])
        deaf = url._replace(netloc=f"{self.login}:word@{url.hostname}:{url.port}").geturl()
        self.deaf = self.stack.start("notifier", CHECKOUT_REDIS_URL=deaf)
        self.addCleanup(self.deaf.kill)

    def permit(self, channels):
        self.redis.execute_command("ACL", "SETUSER", self.login, "reset", "on", ">word", "~*", "+@all",
                                   channels)

    def test_the_database_is_asked_until_redis_relents(self):
        listener = self.listen(notifier=self.deaf)
        order = self.buyer.place("waiting")
        self.heard(listener, order)
        self.buyer.move(order, "reserved")
        self.assertEqual(self.heard(listener, order, 2), [1, 2])
        self.assertEqual(self.metric("checkout_events_received_total", self.deaf), 0)
        self.permit("&checkout:*")
        def relented():
            self.buyer.move(order, "reserved")
            return self.metric("checkout_events_received_total", self.deaf) > 0
        wait_until(relented, 15, "live events")
        last = self.buyer.sequences[order]
        self.assertEqual(self.heard(listener, order, last), list(range(1, last + 1)))
        lines = map(json.loads, self.deaf.log_text().decode().splitlines())
        refusals = [line for line in lines if "refused a subscription" in line["event"]]
        self.assertEqual(len(refusals), 1)
        self.assertIn("NOPERM", refusals[0]["problem"])


    def test_doctor_names_the_refused_command(self):
        url = self.deaf.settings["CHECKOUT_REDIS_URL"]
        for rights, command in (("resetchannels", "PUBLISH"), ("&checkout:*", None)):
            self.permit(rights)
            told = self.stack.ctl("doctor", check=False, CHECKOUT_REDIS_URL=url).stdout
            self.assertEqual(f"Redis refuses {command}: NOPERM" in told, command is not None, told)
            self.assertEqual("Redis refuses" in told, command is not None, told)
        for barred in ("set", "eval", "subscribe"):
            self.permit("&checkout:*")
            self.redis.execute_command("ACL", "SETUSER", self.login, "-" + barred)
            told = self.stack.ctl("doctor", check=False, CHECKOUT_REDIS_URL=url).stdout
            self.assertIn(f"Redis refuses {barred.upper()}: NOPERM", told)

    def test_a_consumer_says_why_its_events_do_not_pass(self):
        """Once in 10 s with a count; the watermark waits."""
        order = self.buyer.place("waiting", publish=False, relayed=False)
        consumer = self.stack.start("consumer", CHECKOUT_REDIS_URL=self.deaf.settings["CHECKOUT_REDIS_URL"])
        self.addCleanup(consumer.kill)
        def refusals():
            return [line for line in map(json.loads, consumer.log_text().decode().splitlines())
                    if line["event"] == "Redis refuses commands"]
        wait_until(refusals, 20, "the refusal to be logged")
        self.assertIn("NOPERM", refusals()[0]["problem"])
        time.sleep(3)
        self.assertEqual(len(refusals()), 1)
        event = self.stack.one("select max(event_id) from order_events where order_id = %s", (order,))
        self.assertFalse(self.stack.one("select exists (select 1 from relays r join order_events e on e.shard = "
                                        "r.shard where e.event_id = %s and r.relayed_to >= %s)", (event, event)))
        self.assertEqual(http_call(consumer.admin, "GET", "/readyz").status, 200)


class Readiness(NotifierCase):
    """It needs PostgreSQL; Redis is only reported."""

    proxied = ("redis", "database")

    def tearDown(self):
        for proxy in self.stack.proxies.values():
            proxy.up()

    def status(self):
        return http_call(self.notifier.admin, "GET", "/readyz").status

    def test_redis_is_not_needed_and_the_database_is(self):
        self.stack.proxies["redis"].down()
        wait_until(lambda: self.metric("checkout_redis_up") == 0, 15, "the loss of Redis")
        self.assertEqual(self.status(), 200)
        late = self.stack.start("notifier")  # waits until it is ready
        self.addCleanup(late.kill)
        self.stack.proxies["redis"].up()
        wait_until(lambda: self.metric("checkout_redis_up") == 1, 15, "Redis again")
        self.stack.proxies["database"].down()
        wait_until(lambda: self.status() == 503, 15, "not ready without PostgreSQL")
        self.stack.proxies["database"].up()
        wait_until(lambda: self.status() == 200, 15, "ready again")


class Manners(NotifierCase):
    settings = {"CHECKOUT_ORIGINS": ORIGIN, "CHECKOUT_SOCKET_PING": "1s"}

    def raw(self, **options):
        made = RawSocket(self.notifier.url, self.stack.token(self.user), **options)
        self.addCleanup(made.close)
        return made

    def settle(self, raw):
        """Waits until live events come to this raw socket."""
        order = self.buyer.place("waiting")
        while True:
            opcode, payload = raw.frame()
            if opcode == 1 and order in payload.decode():
                return

    def test_a_ping_comes_and_a_pong_keeps_it_open(self):
        raw = self.raw()
        for _ in range(3):
            opcode, payload = raw.frame()
            self.assertEqual(opcode, 9)
            raw.send_frame(10, payload)

    def test_a_peer_without_pong_is_closed(self):
        def seconds():
            raw = self.raw()
            began = time.monotonic()
            self.assertEqual(raw.close_code(), 4002)
            return time.monotonic() - began
        quickest(4, seconds)

    def test_a_ping_is_answered(self):
        raw = self.raw()
        raw.send_frame(9, b"hello")
        self.assertEqual(raw.frame(), (10, b"hello"))

    def test_what_a_peer_says_is_ignored(self):
        raw = self.raw()
        raw.send_frame(1, b"x" * 4096)
        raw.send_frame(2, b"\x00\xff")
        raw.send_frame(1, b"a", fin=False)
        raw.send_frame(0, b"b")
        self.settle(raw)

    def test_too_long_a_message_is_closed(self):
        raw = self.raw()
        raw.send_frame(1, b"x" * 5000)
        self.assertEqual(raw.close_code(), 1009)

    def test_a_close_is_answered(self):
        raw = self.raw()
        raw.send_frame(8, struct.pack("!H", 1000))
        self.assertEqual(raw.close_code(), 1000)

    def test_a_flood_of_pings_is_bounded(self):
        raw = self.raw(receive_buffer=4096)
        raw.socket.settimeout(5)
        with self.assertRaises((ConnectionError, TimeoutError)):
            for _ in range(200000):
                raw.send_frame(9, b"x" * 100)
        wait_until(lambda: self.metric("checkout_sockets") == 0, 15, "the flooder is gone")
        self.assertLess(self.notifier.resident_bytes(), 400 << 20)

    def test_a_slow_reader_is_closed(self):
        raw = self.raw(receive_buffer=4096)
        self.settle(raw)
        order = self.buyer.place("waiting")
        padding = "x" * 8000
        for sequence in range(2, 120):
            self.buyer.publish(event_text(sequence, order, sequence, "waiting", sku=padding))
        name = 'checkout_socket_closes_total{reason="slow"}'
        self.assertEqual(raw.close_code(), 1013)
        wait_until(lambda: self.metric(name) >= 1, 15, "closed for slowness")

    def test_the_stay_ends(self):
        listener = Listener(self.notifier.url.replace("http", "ws") + "/v1/events?ticket=" +
                            self.ticket(stay=2))
        began = time.monotonic()
        wait_until(lambda: listener.close_code is not None, 30, "the stay is over")
        self.assertEqual(listener.close_code, 4001)
        self.assertGreater(time.monotonic() - began, 1)

    def test_a_socket_outlives_its_ticket(self):
        listener = Listener(self.notifier.url.replace("http", "ws") + "/v1/events?ticket=" +
                            self.ticket(lifetime=2))
        self.addCleanup(listener.close)
        time.sleep(3)
        self.ready(listener)

    def test_sigterm_says_goodbye(self):
        other = self.stack.start("notifier")
        listeners = [self.listen(notifier=other) for _ in range(8)]
        other.stop()
        for listener in listeners:
            wait_until(lambda at=listener: at.close_code is not None, 30, "goodbye")
            self.assertEqual(listener.close_code, 1012)

    def test_kill_leaves_nothing_behind(self):
        other = self.stack.start("notifier")
        self.ready(self.listen(notifier=other))
        other.kill()
        order = self.buyer.place("waiting", publish=False)
        again = self.stack.start_again(other)
        self.heard(self.listen(notifier=again), order)


class Limits(NotifierCase):
    settings = {"CHECKOUT_CONNECTIONS_MAX": "16", "CHECKOUT_SOCKETS_PER_USER": "4"}

    def test_a_user_has_a_limit(self):
        for _ in range(4):
            self.listen()
        answer = self.refused(429)
        self.assertTrue(answer.headers["Retry-After"])
        self.listen("other-" + self.user)

    def test_all_have_a_limit(self):
        wait_until(lambda: self.metric("checkout_sockets") == 0, 30, "no sockets")
        for i in range(16):
            self.listen(f"{self.user}-{i}")
        answer = self.refused(503)
        self.assertTrue(answer.headers["Retry-After"])


class ManyProcesses(NotifierCase):
    settings = {"CHECKOUT_SOCKETS_PER_USER": "1024"}

    def test_two_share_a_port(self):
        first = self.notifier
        second = self.stack.start("notifier", CHECKOUT_LISTEN=first.settings["CHECKOUT_LISTEN"])
        listeners = [self.ready(self.listen(notifier=first)) for _ in range(24)]
        counts = [self.metric("checkout_sockets", each) for each in (first, second)]
        self.assertEqual(sum(counts), 24)
        self.assertTrue(all(counts), counts)
        order = self.buyer.place("waiting")
        for listener in listeners:
            self.heard(listener, order)
        second.stop()
        for listener in listeners:
            if listener.close_code is None:
                self.buyer.move(order, "waiting")
        left = [listener for listener in listeners if listener.close_code is None]
        self.assertTrue(left)
        for listener in left:
            self.assertEqual(self.heard(listener, order, self.buyer.sequences[order])[-1],
                             self.buyer.sequences[order])


if __name__ == "__main__":
    harness.main()
