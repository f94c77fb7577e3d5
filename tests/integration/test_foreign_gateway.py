#!/usr/bin/python3
"""Gateways of other hands that take themselves for Stripe: what they do otherwise, every unit is sold or free.

emulate (npm) comes by itself. localstripe (a Python package) is tried where /usr/bin/python3 finds it: install it, or
name the folder that holds it in PYTHONPATH. docs/payments.md says what both do.
"""

import http.server
import os
import signal
import subprocess
import sys
import threading
import unittest
import urllib.parse

import harness
import harness_npm
from harness import free_port, http_call, wait_until

PACKAGE = "emulate@0.8.0"     # the newest that Node.js 20 runs
FOLDER = None
KEY = "sk_test_of_no_account_0123456789"


class Foreign(harness.TestCase):
    """A server in a process of its own, at `url`."""

    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_GATEWAY_LIMIT": "1s", "CHECKOUT_ACTION_WAIT": "6s"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = free_port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        with open(os.path.join(cls.stack.directory, "foreign.log"), "wb") as log:
            server = subprocess.Popen(cls.command(cls.port), stdout=log, stderr=log, start_new_session=True,
                                      cwd=cls.stack.directory)
        cls.addClassCleanup(cls.end, server)
        wait_until(lambda: cls.call("GET", "/v1/payment_intents").status == 200, 30, "the server to answer")
        cls.stack.start("producer")
        cls.stack.settings["CHECKOUT_GATEWAY_KEY_FILE"] = cls.stack.write_secret("foreign-key", KEY)
        cls.stack.settings["CHECKOUT_GATEWAY_URL"] = cls.gateway_url()
        cls.stack.start("consumer")

    @staticmethod
    def end(server):
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    @classmethod
    def gateway_url(cls):
        return cls.url

    @classmethod
    def call(cls, method, path, form=None):
        headers = {"Authorization": "Bearer " + KEY, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            return http_call(cls.url, method, path, headers, urllib.parse.urlencode(form) if form else None)
        except OSError:
            return harness.Answer(0, {}, b"")

    def intents(self, order):
        answer = self.call("GET", "/v1/payment_intents?limit=100")
        return [intent for intent in answer.json["data"] if intent["metadata"].get("order_id") == order.id]

    def statuses(self, order):
        return [intent["status"] for intent in self.intents(order)]

    def stopped(self):
        return self.stack.sql("select distinct payments_stopped from shards where payments_stopped is not null")

    def log(self):
        return self.stack.daemon("consumer").log_text().decode()


class Emulate(Foreign):
    """It ignores confirm=true and Idempotency-Key, has no card that declines, no charge in a payment, no refunds."""

    @classmethod
    def command(cls, port):
        return ["node", os.path.join(FOLDER, "node_modules", "emulate", "dist", "index.js"), "start", "--service",
                "stripe", "--port", str(port)]

    def confirm(self, order):
        """As somebody at the gateway's dashboard would."""
        wait_until(lambda: self.intents(order), 15, "a payment of the order")
        answer = self.call("POST", f"/v1/payment_intents/{self.intents(order)[0]['id']}/confirm", {"x": "y"})
        self.assertEqual(answer.status, 200, answer)

    def test_what_it_only_records_is_paid_when_it_is_confirmed_there(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku)
        self.confirm(order)
        order.wait("confirmed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
        self.assertEqual(self.statuses(order), ["succeeded"])

    def test_what_nobody_confirms_is_cancelled_and_its_unit_goes_on(self):
        sku = self.stack.item(stock=1)
        ann, bob = self.stack.order("ann", sku), self.stack.order("bob", sku)
        ann.wait("rejected", timeout=20)
        self.assertEqual(self.statuses(ann), ["canceled"])
        self.confirm(bob)
        bob.wait("confirmed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
        self.assertEqual(self.stopped(), [])

    def test_a_refund_that_it_does_not_know_stops_no_charge(self):
        sku = self.stack.item(stock=2)
        order = self.stack.order("ann", sku)
        self.confirm(order)
        order.wait("confirmed", timeout=20)
        done = self.stack.ctl("orders", "refund", order.id, "--timeout", "3s", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        other = self.stack.order("bob", sku)
        self.confirm(other)
        other.wait("confirmed", timeout=20)
        self.assertEqual(self.stopped(), [])
        wait_until(lambda: order.id in self.stack.ctl("payments", "unknown").stdout, 30, "the refund to be shown as unclear")


class Relay:
    """Between a consumer and localstripe: takes out the fields that it refuses to know."""

    UNKNOWN = ("description",)

    def __init__(self, port):
        relay, self.target = self, port
        self.loses = False      # the next answer to a charge

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                form = urllib.parse.parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
                self.serve(urllib.parse.urlencode([pair for pair in form if pair[0] not in Relay.UNKNOWN]))

            def do_GET(self):
                self.serve(None)

            def serve(self, body):
                path, _, query = self.path.partition("?")
                wanted = [pair for pair in urllib.parse.parse_qsl(query) if not pair[0].startswith("created")]
                answer = http_call(f"http://127.0.0.1:{relay.target}", self.command,
                                   path + ("?" + urllib.parse.urlencode(wanted) if wanted else ""),
                                   {"Authorization": self.headers["Authorization"],
                                    "Content-Type": "application/x-www-form-urlencoded"}, body)
                if relay.loses and (self.command, path) == ("POST", "/v1/payment_intents"):
                    relay.loses = False
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Localstripe(Foreign):
    """It charges and declines; it ignores Idempotency-Key, and refuses forms with fields that it does not know."""

    @classmethod
    def command(cls, port):
        return ["/usr/bin/python3", "-c", "from localstripe.server import start; start()", "--from-scratch", "--port",
                str(port)]

    @classmethod
    def setUpClass(cls):
        if subprocess.run(["/usr/bin/python3", "-c", "import localstripe.server"], check=False,
                          capture_output=True).returncode != 0:
            raise unittest.SkipTest("localstripe is not installed for /usr/bin/python3")
        super().setUpClass()

    @classmethod
    def gateway_url(cls):
        cls.relay = Relay(cls.port)
        cls.addClassCleanup(cls.relay.close)
        return cls.relay.url

    def test_a_card_pays(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku).wait("confirmed", timeout=20)
        self.assertEqual(self.statuses(order), ["succeeded"])
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))

    def test_a_declined_card_frees_the_unit(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_card_chargeCustomerFail")
        order.wait("rejected", "payment_failed", timeout=30)    # its 402 is no card_error, and names no payment
        answer = self.stack.status("ann", order.id)
        self.assertEqual(answer.json["payment_problem"], "use_another_method", answer)
        self.stack.order("bob", sku).wait("confirmed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
        self.assertEqual(self.stopped(), [])

    def test_a_payment_method_that_it_does_not_know_is_refused(self):
        sku = self.stack.item(stock=1)
        self.stack.order("ann", sku, payment_method="pm_none").wait("rejected", "payment_failed", timeout=20)
        self.stack.order("bob", sku).wait("confirmed", timeout=20)
        self.assertEqual(self.stopped(), [])

    def test_a_lost_answer_is_charged_again_and_audit_says_so(self):
        """Each repetition of a key is a new charge here, for which nobody would take this server for Stripe."""
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed", timeout=20)
        self.assertEqual(self.audit(), "")
        self.relay.loses = True
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed", timeout=20)
        self.assertEqual(self.statuses(order), ["succeeded", "succeeded"])
        self.assertRegex(self.audit(), rf"charged-twice.*{order.id}|{order.id}.*charged.twice")

    def audit(self):
        """What it finds of too much money."""
        return "\n".join(line for line in self.stack.ctl("audit", check=False).stdout.splitlines() if "twice" in line)

    def test_without_the_relay_it_understands_no_charge_and_every_unit_is_free(self):
        self.stack.daemon("consumer").stop()
        consumer = self.stack.start("consumer", CHECKOUT_GATEWAY_URL=self.url)
        sku = self.stack.item(stock=1)
        for user, method in (("ann", "pm_card_visa"), ("bob", "pm_card_mastercard"), ("cat", "pm_card_amex")):
            self.stack.order(user, sku, payment_method=method).wait("rejected", "payment_failed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (1, 0, 0, 0))
        self.assertEqual(self.stopped(), [("misconfigured: invalid_request_error",)])
        consumer.stop()
        self.stack.start("consumer")
        self.stack.order("eve", sku).wait("confirmed", timeout=20)
        self.assertEqual(self.stopped(), [])

    def test_a_refund_goes_back_once(self):
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed", timeout=20)
        self.stack.ctl("orders", "refund", order.id)
        self.assertEqual(order.status(), "refunded")
        refunds = self.call("GET", "/v1/refunds?limit=100").json["data"]
        self.assertEqual([refund["amount"] for refund in refunds if refund["metadata"].get("order_id") == order.id], [1000])


if __name__ == "__main__":
    if sys.argv[1:] != ["--classes"]:  # their names need no package
        FOLDER = harness_npm.install(PACKAGE)
    harness.main()
