#!/usr/bin/python3
"""Tokens of an identity provider that others wrote (npm's oidc-provider): they buy, by themselves and through proxies."""

import json
import os
import unittest
import urllib.parse
import uuid

import harness
import harness_oidc
from harness import http_call
from harness_front import COMMANDS, Front, needs
from harness_npm import NotInstalled


class Provider(harness.TestCase):
    daemons = ("sandbox", "consumer")

    @classmethod
    def setUpClass(cls):
        try:
            cls.provider = harness_oidc.Provider(human="drop-7")
        except NotInstalled as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.provider.close)
        super().setUpClass()
        path = os.path.join(cls.stack.directory, "jwks.json")
        told = json.loads(cls.stack.ctl("jwks", "fetch", cls.provider.keys_url(), "--to", path, "--json").stdout)
        assert told == {"keys": 2, "ignored": 0, "changed": True}, told
        cls.stack.settings.update({
            "CHECKOUT_JWKS_FILE": path, "CHECKOUT_JWT_ISSUER": cls.provider.issuer,
            "CHECKOUT_TICKET_SECRET_FILE": cls.stack.write_secret("ticket", uuid.uuid4().hex)})
        del cls.stack.settings["CHECKOUT_JWT_SECRET_FILE"]      # nobody but the provider makes a buyer
        cls.producer, cls.notifier = cls.stack.start("producer"), cls.stack.start("notifier")

    def buys(self, url, events, token):
        """One of a kind that asks for a challenge, told by the websocket; the id of the order."""
        sku = self.stack.item(stock=1, challenge="drop-7")
        answer = http_call(url, "POST", "/v1/orders", {"Authorization": "Bearer " + token, "Idempotency-Key": uuid.uuid4().hex},
                           {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"})
        self.assertEqual(answer.status, 202, answer)
        ticket = urllib.parse.urlsplit(answer.json["events_url"]).query
        listener = harness.Listener(events.replace("http", "ws") + "/v1/events?" + ticket)
        self.addCleanup(listener.close)
        event = listener.wait_final(answer.json["id"])
        self.assertEqual((event["data"]["sku"], event["data"]["status"]), (sku, "confirmed"))
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
        return answer.json["id"], ticket

    def test_both_algorithms_buy(self):
        for algorithm in ("RS256", "ES256"):
            with self.subTest(algorithm=algorithm):
                user = f"ann-{algorithm}"
                order, _ = self.buys(self.producer.url, self.notifier.url, self.provider.token(user, algorithm))
                self.assertEqual(self.stack.one("select user_id from orders where order_id = %s", (order,)), user)

    def test_through_each_proxy_whose_settings_are_shipped(self):
        token = self.provider.token("bob", "ES256")
        for kind in COMMANDS:
            with self.subTest(kind=kind):
                needs(kind)
                front = Front(kind, self.producer, self.notifier)
                self.addCleanup(front.close)
                _, ticket = self.buys(front.url, front.url, token)
                self.assertEqual(http_call(front.url, "POST", "/v1/webhooks/stripe", {}, {}).status, 404)
                self.assertNotIn(ticket.partition("=")[2][:20], front.log())
                self.assertIn("/v1/orders", front.log())


if __name__ == "__main__":
    harness.main()
