"""A sandbox gateway for each test, with an empty ledger, and a shop that its webhooks come to."""

import http.client
import http.server
import json
import os
import shutil
import socket
import threading
import unittest
import urllib.parse
import uuid

from harness import Daemon, Gateway, http_call, run_directory, wait_until
from harness_services import free_port

KEY = "sk_test_sandbox_tests_0123456789"
WEBHOOK_SECRET = "whsec_0123456789abcdef0123456789abcdef"
LOST = (ConnectionError, http.client.HTTPException)


class SandboxCase(unittest.TestCase):
    """Each test has a gateway of its own with an empty ledger."""

    arguments = ()      # of every start

    def setUp(self):
        self.directory = os.path.join(run_directory(), "sandbox-" + uuid.uuid4().hex[:8])
        os.makedirs(self.directory)
        self.ledger = os.path.join(self.directory, "ledger")
        self.key_file = os.path.join(self.directory, "key")
        self.log = os.path.join(self.directory, "log")
        with open(self.key_file, "w", encoding="ascii") as sink:
            sink.write(KEY + "\n")
        self.port = free_port()
        self.daemon = None
        self.addCleanup(self.clean)
        self.start()

    def clean(self):
        if self.daemon is not None:
            self.daemon.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *arguments):
        url = f"http://127.0.0.1:{self.port}"
        self.daemon = Daemon("checkout-sandbox-gateway", {}, self.log, url=url, arguments=[
            "--listen", f"127.0.0.1:{self.port}", "--ledger", self.ledger,
            "--key-file", self.key_file, *self.arguments, *arguments])
        self.gateway = Gateway(url, KEY)
        self.daemon.wait_ready(lambda: self.gateway.call("GET", "/_control").status == 200)

    def get(self, path, **query):
        """What is at this path; it must be there."""
        answer = self.gateway.call("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def method(self, token="tok_visa"):
        """A payment method that was made, not a template: its id."""
        answer = self.post("/v1/payment_methods", {"type": "card", "card[token]": token})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["id"]

    def customer(self):
        return self.post("/v1/customers", {"email": "ann@example.com"}).json["id"]

    def error(self, answer, status, **members):
        """The answer is this error; members that are None are absent."""
        error = (answer.json or {}).get("error") or {}
        self.assertEqual((answer.status, {name: error.get(name) for name in members}),
                         (status, members), answer)
        return error

    def kill_and_start_again(self):
        self.daemon.kill()
        self.start()

    def post(self, path, form, key=None, secret=KEY, timeout=15):
        headers = {"Authorization": "Bearer " + secret,
                   "Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return http_call(self.daemon.url, "POST", path, headers, urllib.parse.urlencode(form), timeout)

    def charge(self, order="order-1", key=None, method="pm_card_visa", amount=4900, timeout=15,
               **fields):
        form = {"amount": amount, "currency": "eur", "payment_method": method, "confirm": "true",
                "automatic_payment_methods[enabled]": "true",
                "automatic_payment_methods[allow_redirects]": "never", "metadata[order_id]": order, **fields}
        form = {name: value for name, value in form.items() if value is not None}
        return self.post("/v1/payment_intents", form, key, timeout=timeout)

    def charge_lost(self, *arguments, **fields):
        """A charge whose answer does not come."""
        with self.assertRaises((*LOST, socket.timeout)):
            self.charge(*arguments, **fields)

    def charges_of(self, order):
        return [intent["status"] for intent in self.gateway.intents()
                if intent["metadata"].get("order_id") == order]


class Shop:
    """Keeps the webhooks that come: `events`, each with the text and the signature that it had."""

    def __init__(self):
        self.events = []
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(text)
                event["_text"], event["_signature"] = text, self.headers["Stripe-Signature"]
                shop.events.append(event)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def types(self):
        return [event["type"] for event in list(self.events)]

    def wait(self, kind, timeout=20):
        """The first event of this type; its object."""
        wait_until(lambda: kind in self.types(), timeout, lambda: f"a webhook {kind}; came: {self.types()}")
        return next(event for event in list(self.events) if event["type"] == kind)["data"]["object"]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class ToldCase(SandboxCase):
    """The sandbox sends its webhooks to `shop`."""

    def setUp(self):
        self.shop = Shop()
        self.addCleanup(self.shop.close)
        self.secret_file = os.path.join(run_directory(), "whsec-" + uuid.uuid4().hex[:8])
        with open(self.secret_file, "w", encoding="ascii") as sink:
            sink.write(WEBHOOK_SECRET + "\n")
        self.addCleanup(os.unlink, self.secret_file)
        self.arguments = ("--webhook-url", self.shop.url, "--webhook-secret", self.secret_file)
        super().setUp()
