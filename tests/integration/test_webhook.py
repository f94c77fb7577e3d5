#!/usr/bin/python3
"""The gateway's webhooks: only hints, only with its signature, and harmless however often and whenever they come."""

import hashlib
import hmac
import json
import socket
import subprocess
import time
import urllib.parse
import uuid

import harness
from harness import wait_until
from harness_client import raw
from harness_daemon import program

ASKS = "pm_card_authenticationRequired"
SECRET = "whsec_of_the_test_0123456789"
PATH = "/v1/webhooks/stripe"
MIB = 1024 * 1024


def sign(body, at=None, secret=SECRET):
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mac}"


def event_of(order_id, kind="payment_intent.succeeded", event=None, **padding):
    return json.dumps({"id": event or "evt_" + uuid.uuid4().hex, "object": "event", "type": kind, **padding,
                       "data": {"object": {"id": "pi_made_up", "object": "payment_intent", "status": "succeeded",
                                           "metadata": {"order_id": order_id}}}}).encode()


def long_event(order_id, length, kind="payment_intent.succeeded"):
    event = "evt_" + uuid.uuid4().hex
    return event_of(order_id, kind, event, padding="x" * (length - len(event_of(order_id, kind, event, padding=""))))


class TestCase(harness.TestCase):
    daemons = ("sandbox", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "120s"}
    proxied = ("database",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=cls.stack.write_secret("webhook", SECRET))

    def send(self, body, signature="", **headers):
        if signature == "":
            signature = sign(body)
        if signature is not None:
            headers["Stripe-Signature"] = signature
        return self.stack.call(None, "POST", PATH, body, {"Content-Type": "application/json", **headers})

    def commands(self, order):
        return self.stack.one("select count(*) from commands where kind = 'webhook' and order_id = %s", (order.id,))

    def asked(self, user="ann", stock=1):
        order = self.stack.order(user, self.stack.item(stock=stock), payment_method=ASKS)
        wait_until(lambda: self.stack.one("select count(*) from payments where order_id = %s and action is not null",
                                          (order.id,)) == 1, 10, "the buyer to be asked to act")
        return order

    def act(self, order, outcome="approve"):
        intent, = [i for i in self.stack.gateway.intents() if (i.get("metadata") or {}).get("order_id") == order.id]
        self.assertEqual(self.stack.gateway.call("POST", f"/3ds/{intent['id']}", {"outcome": outcome}).status, 200)


class Webhooks(TestCase):
    def test_an_event_is_only_a_hint_and_the_gateway_is_asked(self):
        order = self.asked()
        self.assertEqual(self.send(event_of(order.id)).status, 200)     # it has not succeeded at all
        wait_until(lambda: self.stack.one("select count(*) from commands where kind = 'webhook' and order_id = %s and "
                                          "state = 'done'", (order.id,)) == 1, 10, "the command to be executed")
        self.assertEqual(order.status(), "reserved")
        self.act(order)
        self.assertEqual(self.send(event_of(order.id)).status, 200)
        order.wait("confirmed", timeout=10)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_the_same_event_twice_and_after_the_end_changes_nothing(self):
        order = self.asked()
        self.act(order)
        body = event_of(order.id)
        for _ in range(3):
            self.assertEqual(self.send(body).status, 200)
        order.wait("confirmed", timeout=10)
        self.assertEqual(self.send(body).status, 200)
        self.assertEqual(self.commands(order), 1)
        self.assertEqual(self.send(event_of(order.id, "payment_intent.canceled")).status, 200)
        wait_until(lambda: self.stack.one("select count(*) from commands where state = 'pending'") == 0, 10,
                   "the commands to be executed")
        self.assertEqual(order.status(), "confirmed")

    def test_an_event_before_our_own_answer(self):
        self.stack.gateway.latency(1500)
        self.addCleanup(self.stack.gateway.latency, 0)
        order = self.stack.order("ann", self.stack.item(stock=1))
        wait_until(lambda: self.stack.gateway.started(order.id), 30, "its payment to begin")
        self.assertEqual(self.send(event_of(order.id)).status, 200)
        order.wait("confirmed", timeout=10)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_events_of_others_are_taken_and_mean_nothing(self):
        for body in (event_of(str(uuid.uuid4())), event_of("no order"), event_of(None),
                     b'{"id":"evt_1","type":"charge.updated","data":{"object":{}}}'):
            self.assertEqual(self.send(body).status, 200, body)
        self.assertEqual(self.stack.one("select count(*) from commands where kind = 'webhook' and order_id is null"), 0)

    def refused(self, order, answer, status=400, expected=0):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(self.commands(order), expected)

    def test_what_is_not_signed_now_is_refused(self):
        order = self.asked()
        body, now = event_of(order.id), time.time()
        good = sign(body)
        for signature in (None, "nonsense", "t=,v1=", good.replace("v1=", "v0="), good[:-1], good + "0",
                          good.partition(",")[0], good.partition(",")[2], sign(body, secret="another secret"),
                          sign(body + b" "), sign(body, now - 310), sign(body, now + 310)):
            self.refused(order, self.send(body, signature))
        self.assertEqual(self.send(body, good.replace(",v1=", ",v1=" + "0" * 64 + ",v1=") + ",v0=x").status, 200)
        self.assertEqual(self.commands(order), 1)

    def test_what_is_signed_and_is_no_event_is_taken_and_means_nothing(self):
        order = self.asked()
        for body in (b"", b"{}", b"[]", b"nonsense", b'{"id":"evt_1"}', b'{"id":1,"type":"a","data":{"object":{}}}',
                     b'{"id":"evt 1","type":"a","data":{"object":{}}}', b"[" * 30000, event_of(order.id)[:-2],
                     b"[" * MIB):
            self.assertEqual(self.send(body).status, 200, body[:80])
            self.assertEqual(self.commands(order), 0)

    def test_1_MiB_and_no_more(self):
        order = self.asked()
        for kind in ("payment_intent.succeeded", "account.updated"):
            body = long_event(order.id, MIB, kind)
            self.assertEqual(self.send(body).status, 200, kind)
            self.refused(order, self.send(body, sign(body, secret="another secret")), expected=1)
            self.refused(order, self.send(body, None), expected=1)
            self.refused(order, self.send(body + b" "), 413, expected=1)
            self.refused(order, self.send(body + b" " * MIB), 413, expected=1)
        for length, status in ((MIB, b"200"), (MIB + 1, b"413"), (3 * MIB, b"413")):
            body = long_event(order.id, length)
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nStripe-Signature: {sign(body)}\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.assertEqual(raw(self.stack.daemon("producer").url,
                                 head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (length, body)).split()[1], status)
        self.assertEqual(self.commands(order), 2)

    def test_an_order_keeps_its_own_limit(self):
        sku = self.stack.item(stock=1)
        order = {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"}
        body = json.dumps(order).encode()
        for length, status in ((4097, 413), (65536, 413), (MIB, 413), (4096, 202)):
            answer = self.stack.call("ann", "POST", "/v1/orders", body + b" " * (length - len(body)),
                                     {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/json"})
            self.assertEqual(answer.status, status, length)

    def test_few_long_ones_come_in_at_a_time(self):
        """Whoever sends them without a signature fills no memory, and keeps no usual event out."""
        order = self.asked()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {MIB}\r\n\r\n".encode()
        url = urllib.parse.urlsplit(self.stack.daemon("producer").url)
        open_ones = []
        for _ in range(16):
            connection = socket.create_connection((url.hostname, url.port), timeout=10)
            self.addCleanup(connection.close)
            connection.sendall(head + b"x" * 100000)
            open_ones.append(connection)
        body = long_event(order.id, 100000)
        refused = wait_until(lambda: next((a for a in [self.send(body)] if a.status == 503), None), 10, "a 503")
        self.assertEqual(refused.headers["Content-Type"], "application/problem+json")
        self.assertGreater(int(refused.headers["Retry-After"]), 0)
        self.assertEqual(self.send(long_event(order.id, 60000)).status, 200)
        for connection in open_ones:
            connection.close()
        wait_until(lambda: self.send(body).status == 200, 10, "the event to be taken")

    def test_only_post(self):
        self.assertEqual(self.stack.call(None, "GET", PATH).status, 405)

    def test_without_postgresql_the_gateway_is_told_to_send_again(self):
        order = self.asked()
        self.act(order)
        proxy = self.stack.proxies["database"]
        body = long_event(order.id, MIB)
        proxy.down()
        try:
            wait_until(lambda: self.send(body).status == 503, 15, "503 while PostgreSQL is away")
            self.assertEqual(self.send(long_event(order.id, MIB, "account.updated")).status, 200)
        finally:
            proxy.up()
        wait_until(lambda: self.send(body).status == 200, 30, "the event to be taken")
        order.wait("confirmed", timeout=30)


class Trust(TestCase):
    """Whose words they are: a signature may be written as HTTP allows, a secret as people copy it."""

    def setUp(self):
        self.producer = None

    def tearDown(self):
        if self.producer is not None:
            self.producer.stop()

    def start(self, text=SECRET, **settings):
        secret = self.stack.write_secret("webhook-of-" + uuid.uuid4().hex, text)
        self.producer = self.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=secret, **settings)
        wait_until(lambda: b"\ncheckout_database_up 1" in harness.http_call(self.producer.admin, "GET", "/metrics").body,
                   10, "its sessions with PostgreSQL")

    def metric(self, end):
        text = harness.http_call(self.producer.admin, "GET", "/metrics").body.decode()
        name = f'checkout_webhooks_total{{end="{end}"}} '
        return next(int(float(line[len(name):])) for line in text.splitlines() if line.startswith(name))

    def doctor(self):
        findings = json.loads(self.stack.ctl("doctor", "--json", check=False).stdout)["findings"]
        return [f for f in findings if f["subject"] == "webhooks"]

    def test_white_space_around_the_parts_of_a_signature_and_either_case(self):
        order = self.asked()
        for change in (lambda s: s.replace(",", ", "), lambda s: s.replace(",", " \t,\t "),
                       lambda s: s.partition("v1=")[0] + "v1=" + s.partition("v1=")[2].upper(),
                       lambda s: ",," + s.replace(",", ", ,")):
            body = event_of(order.id)
            self.assertEqual(self.send(body, change(sign(body))).status, 200, change(sign(body)))
        self.assertEqual(self.commands(order), 4)

    def test_white_space_inside_a_part_is_refused(self):
        body = event_of(self.asked().id)
        for change in (lambda s: s.replace("=", "= "), lambda s: s.replace("v1=", "v1 =")):
            self.assertEqual(self.send(body, change(sign(body))).status, 400, change(sign(body)))

    def test_white_space_behind_the_secret_is_no_part_of_it(self):
        for behind in ("\r", " ", "\t\r\n", "\n\n"):
            with self.subTest(behind):
                self.start(SECRET + behind)
                self.assertEqual(self.send(event_of(str(uuid.uuid4()))).status, 200)
                self.producer.stop()

    def test_a_secret_that_cannot_be_one_stops_the_start(self):
        secret = self.stack.write_secret("webhook-wrong", "whsec_ of the test")
        done = subprocess.run([program("checkout-producer"), "--check-config"], text=True, capture_output=True,
                              env={**self.stack.settings, "CHECKOUT_WEBHOOK_SECRET_FILE": secret}, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has a byte that is not visible ASCII: number 7", done.stderr)

    def test_refused_signatures_are_seen(self):
        self.start()
        body = event_of(str(uuid.uuid4()))
        for _ in range(20):
            self.assertEqual(self.send(body, sign(body, secret="another secret")).status, 400)
        self.assertEqual(self.metric("signature"), 20)
        self.assertEqual(self.send(body, sign(body, time.time() - 400)).status, 400)
        self.assertEqual(self.metric("time"), 1)
        logged = [line for line in self.producer.log_text().splitlines() if b"webhook refused" in line]
        self.assertEqual(len(logged), 1, logged)
        found = wait_until(lambda: [f for f in self.doctor() if f["level"] == "warn"], 30, "doctor to see them")
        self.assertIn("refused (the newest: ", found[0]["text"])
        self.assertIn("CHECKOUT_WEBHOOK_SECRET_FILE", found[0]["advice"])
        wait_until(lambda: self.send(body).status == 200 and self.doctor()[0]["level"] == "ok", 30,
                   "doctor to see that they are taken")

    def test_events_of_the_other_mode_are_taken_and_change_nothing(self):
        order = self.asked()
        for setting, live in (("true", False), ("false", True)):
            self.start(CHECKOUT_WEBHOOK_LIVEMODE=setting)
            self.assertEqual(self.send(event_of(order.id, livemode=live)).status, 200)
            self.assertEqual(self.commands(order), 0)
            self.assertEqual(self.metric("other_mode"), 1)
            self.producer.stop()
        self.start(CHECKOUT_WEBHOOK_LIVEMODE="false")
        self.assertEqual(self.send(event_of(order.id, livemode=False)).status, 200)
        self.assertEqual(self.commands(order), 1)

    def test_what_is_the_gateways_and_not_understood_is_taken(self):
        """An endpoint that answers 4xx for days is disabled."""
        for event in ({"id": "evt_1", "object": "v2.core.event", "type": "v2.money_management.adjustment.created"},
                      {"id": "evt_2", "type": "account.updated", "data": None},
                      {"id": "evt_3", "type": "payment_intent.succeeded", "data": {"object": "pi_1"}},
                      {"id": "evt_4", "type": "charge.refunded", "data": {"object": {"payment_intent": None}}}):
            self.assertEqual(self.send(json.dumps(event).encode()).status, 200, event)


class OfTheSandbox(harness.TestCase):
    """The sandbox sends them as a gateway would, and as it should not. Without one, the owner looks only after a
    second or more, or a minute where they come: so who is confirmed sooner was hinted at."""

    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "120s"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start_with_webhooks(PATH, SECRET)

    def tearDown(self):
        self.stack.gateway.calm()

    commands, asked, act = TestCase.commands, TestCase.asked, TestCase.act

    def sent(self, when, outcome="approve", latency=0):
        """An order whose buyer has acted, while webhooks come in this way."""
        self.stack.gateway.control(webhooks=when, latency_ms=latency)
        order = self.asked()
        self.act(order, outcome)
        return order

    def test_once(self):
        order = self.sent("once").wait("confirmed", timeout=20)
        wait_until(lambda: self.commands(order) >= 1, 30, "the webhook to be taken")

    def test_twice_is_as_once(self):
        order = self.sent("twice").wait("confirmed", timeout=20)
        wait_until(lambda: self.commands(order) >= 1, 30, "the webhook to be taken")
        events = self.stack.sql("select argument ->> 'event', count(*) from commands where order_id = %s group by 1",
                                (order.id,))
        self.assertTrue(all(count == 1 for _, count in events), events)

    def test_never(self):
        """Where webhooks came until now a look is made after a minute."""
        order = self.sent("never").wait("confirmed", timeout=75)
        self.assertEqual(self.commands(order), 0)

    def test_early_late_and_out_of_order(self):
        for when in ("early", "late", "shuffled"):
            with self.subTest(when):
                order = self.sent(when, latency=300).wait("confirmed", timeout=30)
                self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_of_a_buyer_who_declines(self):
        for when in ("once", "early", "shuffled"):
            with self.subTest(when):
                order = self.sent(when, "decline").wait("rejected", "payment_declined", timeout=30)
                self.assertNotIn(order.id, self.stack.gateway.captured())

    def test_they_are_sent_again_while_nobody_takes_them(self):
        self.stack.gateway.control(webhooks="once")
        order = self.asked()
        producer, consumer = self.stack.daemon("producer"), self.stack.daemon("consumer")
        consumer.kill()     # so that nobody looks
        producer.kill()
        self.act(order)
        self.stack.start_again(producer)
        wait_until(lambda: self.commands(order) >= 1, 15, "the webhook to be sent again")
        self.stack.start_again(consumer)
        order.wait("confirmed", timeout=30)


class WithoutSecret(harness.TestCase):
    daemons = ("producer",)

    def test_there_is_no_such_path(self):
        self.assertEqual(self.stack.call(None, "POST", PATH, b"{}").status, 404)


if __name__ == "__main__":
    harness.main()
