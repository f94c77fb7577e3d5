#!/usr/bin/python3
"""The programs of docs/integrate.md, taken from the page and run: their tokens buy, each for its own customer."""

import os
import re
import shutil
import subprocess

import harness
from harness import wait_until
from harness_client import http_call
from harness_services import ROOT, free_port

PAGE = os.path.join(ROOT, "docs", "integrate.md")
NEEDED = {"Node": "node", "PHP": "php", "Python": "/usr/bin/python3"}
SUFFIX = {"Node": ".mjs", "PHP": ".php", "Python": ".py"}
CUSTOMER = 'zoë/"1"@shop.example'


def program_of(language):
    """The code below the heading of this language."""
    with open(PAGE, encoding="utf-8") as page:
        return re.search(rf"^### {language}\n\n```[a-z]+\n(.*?)^```$", page.read(), re.MULTILINE | re.DOTALL)[1]


class Backends(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    shards = 1

    def start(self, language):
        """The program listens; its address."""
        source = os.path.join(self.stack.directory, "session" + SUFFIX[language])
        with open(source, "w", encoding="utf-8") as file:
            file.write(program_of(language))
        port = free_port()
        command = [NEEDED[language], *(["-S", f"127.0.0.1:{port}"] if language == "PHP" else []), source]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={
            **os.environ, "PORT": str(port), "CUSTOMER": CUSTOMER,
            "CHECKOUT_JWT_SECRET_FILE": self.stack.write_secret("of_the_backend", self.stack.secrets["JWT_SECRET"] + "\n")})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return f"http://127.0.0.1:{port}"

    def session(self, base):
        try:
            return http_call(base, "GET", "/checkout-session")
        except OSError:
            return None

    def buy_with(self, language):
        if shutil.which(NEEDED[language]) is None:
            self.skipTest(f"{NEEDED[language]} is not installed")
        self.assertLessEqual(len(program_of(language).splitlines()), 15)
        base = self.start(language)
        wait_until(lambda: self.session(base), 20, "the backend to listen")
        answer = self.session(base)
        self.assertEqual((answer.status, answer.headers["Content-Type"], answer.headers["Cache-Control"]),
                         (200, "application/json", "no-store"))
        bearer = {"Authorization": "Bearer " + answer.json["token"]}
        sku = self.stack.item(stock=1)
        ordered = self.stack.call(None, "POST", "/v1/orders", {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"},
                                  {**bearer, "Idempotency-Key": language})
        self.assertEqual(ordered.status, 202, ordered)
        path = ordered.json["status_url"]
        self.assertEqual(self.stack.call(None, "GET", path, None, {**bearer, "Prefer": "wait=20"}).json["status"], "confirmed")
        self.assertEqual(self.stack.one("select user_id from orders where sku = %s", (sku,)), CUSTOMER)
        self.assertEqual(self.stack.call("eve", "GET", path).status, 404)

    def test_node(self):
        self.buy_with("Node")

    def test_php(self):
        self.buy_with("PHP")

    def test_python(self):
        self.buy_with("Python")


if __name__ == "__main__":
    harness.main()
