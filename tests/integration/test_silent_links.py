#!/usr/bin/python3
"""A link that stands and carries nothing, on the way from the counter to the buyer's websocket."""

import urllib.parse

import harness
from harness import http_call, wait_until
from harness_proxy import Proxy

HEARD_S = 10
NOTICED_S = 10


class SilentLinks(harness.TestCase):
    daemons = ("sandbox", "producer")
    shards = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.consumer_redis, redis = cls.through_proxy("CHECKOUT_REDIS_URL")
        cls.notifier_redis, heard = cls.through_proxy("CHECKOUT_REDIS_URL")
        cls.notifier_database, database = cls.through_proxy("CHECKOUT_DATABASE_URL")
        cls.consumer = cls.stack.start("consumer", CHECKOUT_REDIS_URL=redis)
        cls.notifier = cls.stack.start("notifier", CHECKOUT_REDIS_URL=heard, CHECKOUT_DATABASE_URL=database)
        cls.sku = cls.stack.item(stock=100)

    @classmethod
    def through_proxy(cls, setting):
        """A proxy to this server, and the URL of it."""
        url = urllib.parse.urlsplit(cls.stack.settings[setting])
        proxy = Proxy(url.hostname, url.port)
        cls.addClassCleanup(proxy.close)
        return proxy, urllib.parse.urlunsplit(url._replace(netloc=url.netloc.replace(f":{url.port}", f":{proxy.port}")))

    def ready(self, daemon):
        return http_call(daemon.admin, "GET", "/readyz").status == 200

    def heard(self, listener, timeout=HEARD_S):
        """An order of this buyer, and its end at the websocket."""
        order = self.stack.order("ann", self.sku)
        self.assertEqual(listener.wait_final(order.id, timeout)["data"]["status"], "confirmed")

    def silence(self, proxy):
        self.addCleanup(proxy.freeze, False)
        proxy.freeze()

    def test_from_the_consumer_to_redis(self):
        listener = self.stack.listen("ann")
        self.heard(listener, 30)
        self.silence(self.consumer_redis)
        self.heard(listener)
        self.heard(listener)
        wait_until(lambda: b"Redis is not connected" in self.consumer.log_text(), NOTICED_S, "the consumer to say it")
        self.assertTrue(self.ready(self.consumer) and self.ready(self.notifier), "Redis is only reported")
        self.consumer_redis.freeze(False)
        wait_until(lambda: b"events are published in time again" in self.notifier.log_text(), 20, "the end of it")
        self.heard(listener)

    def test_from_the_notifier_to_redis(self):
        listener = self.stack.listen("ann")
        self.heard(listener, 30)
        self.silence(self.notifier_redis)
        self.heard(listener)
        self.assertTrue(self.ready(self.notifier))

    def test_from_the_notifier_to_the_database(self):
        listener = self.stack.listen("ann")
        self.heard(listener, 30)
        self.silence(self.notifier_database)
        wait_until(lambda: not self.ready(self.notifier), NOTICED_S, "the notifier to be not ready")
        self.heard(listener)
        self.notifier_database.freeze(False)
        wait_until(lambda: self.ready(self.notifier), 20, "the notifier to be ready again")


if __name__ == "__main__":
    harness.main()
