#!/usr/bin/python3
"""Stripe's own client for Node.js takes the sandbox for Stripe: so the stand-in is not only our own idea of it."""

import json
import os
import sys

import harness
import harness_npm
from harness import wait_until
from harness_sandbox import KEY, WEBHOOK_SECRET, ToldCase

PACKAGE = "stripe@23.1.0"
FOLDER = None


class Client(ToldCase):

    def run_case(self, name, *arguments):
        done = harness_npm.node(FOLDER, "stripe_client.cjs", self.daemon.url, KEY, name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(done.stdout, f"{name}: ok\n")

    def test_a_payment_is_created(self):
        self.run_case("create")

    def test_one_that_waits_is_confirmed(self):
        self.run_case("confirm")

    def test_a_key_replays_its_result(self):
        self.run_case("replay")

    def test_a_payment_is_retrieved_with_its_charge(self):
        self.run_case("retrieve")

    def test_lists_are_paged_through(self):
        self.run_case("pages")

    def test_payment_methods_are_for_one_payment_unless_saved(self):
        self.run_case("methods")

    def test_payments_are_refunded(self):
        self.run_case("refund")

    def test_payments_are_cancelled(self):
        self.run_case("cancel")

    def test_payments_are_captured(self):
        self.run_case("capture")

    def test_a_wrong_key_is_told(self):
        self.run_case("key")

    def test_it_tries_again_what_it_should(self):
        self.gateway.fault("409", 2)
        self.run_case("retries")
        self.assertEqual(self.charges_of("retries"), ["succeeded"])

    def test_and_not_what_it_should_not(self):
        for mode, name in (("429", "limited"), ("500", "broken")):
            self.gateway.fault(mode)
            self.run_case(name)
            self.assertEqual(self.charges_of(name), [])

    def test_webhooks_verify(self):
        intent = self.charge().json
        self.post("/v1/refunds", {"payment_intent": intent["id"]})
        wait_until(lambda: len(self.shop.events) == 3, 20, lambda: f"the webhooks: {self.shop.types()}")
        file = os.path.join(self.directory, "webhooks.json")
        with open(file, "w", encoding="utf-8") as sink:
            json.dump({"secret": WEBHOOK_SECRET, "events": [
                {"text": event["_text"].decode(), "signature": event["_signature"]} for event in self.shop.events]}, sink)
        self.run_case("webhooks", file)


if __name__ == "__main__":
    if sys.argv[1:] != ["--classes"]:  # their names need no package
        FOLDER = harness_npm.install(PACKAGE)
    harness.main()
