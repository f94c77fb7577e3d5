#!/usr/bin/python3
"""How many shards there are is said by PostgreSQL; without the setting, programs follow it."""

import json
import unittest

import pika

import harness
from harness import http_call, wait_until

SKU = "dress"


def ready_text(daemon):
    return http_call(daemon.admin, "GET", "/readyz").body.decode()


class InService(harness.TestCase):
    """An installation of 16 shards, whose settings do not say so: as of a release in which 16 were the default."""

    daemons = ("sandbox",)
    shards = 16
    proxied = ("database",)

    def start(self, name, wait=True, **settings):
        daemon = self.stack.start(name, wait=wait, **{"CHECKOUT_SHARDS": "", **settings})
        self.addCleanup(daemon.kill)
        return daemon

    def start_away(self, name):
        """While PostgreSQL is away, behind the proxy that every program uses here."""
        self.link.down()
        return self.start(name, wait=False, CHECKOUT_DATABASE_URL=self.stack.settings["CHECKOUT_DATABASE_URL"])

    def setUp(self):
        self.link = self.stack.proxies["database"]
        self.addCleanup(self.link.up)
        self.connection = pika.BlockingConnection(pika.URLParameters(self.stack.direct["CHECKOUT_AMQP_URL"]))
        self.addCleanup(self.connection.close)
        self.channel = self.connection.channel()
        for power in range(11):
            if 2**power != self.shards:
                self.channel.exchange_delete(f"checkout.jobs.{2**power}")    # of other tests

    def lacks(self, daemon, text):
        wait_until(lambda: text in ready_text(daemon), 15,
                   lambda: f"{daemon.name} lacks {text}: {ready_text(daemon)}")

    def listens(self, producer):
        try:
            return http_call(producer.url, "GET", "/v1/items/none").status > 0
        except OSError:
            return False

    def test_programs_without_the_setting_sell(self):
        sku = self.stack.item(stock=1)
        producer, consumer = self.start("producer"), self.start("consumer")
        self.stack.order("ann", sku).wait("confirmed")
        self.assertIn('"shards":16', producer.log_text().decode())
        consumer.stop()
        producer.stop()

    def test_topology_without_the_setting_keeps_the_number(self):
        told = json.loads(self.stack.ctl("topology", "--json", CHECKOUT_SHARDS="").stdout)
        self.assertEqual((told["shards"], told["exchange"]), (16, "checkout.jobs.16"))
        self.assertIn("16 are in service", self.stack.ctl("doctor", check=False, CHECKOUT_SHARDS="").stdout)

    def test_a_consumer_waits_for_the_number(self):
        consumer = self.start_away("consumer")
        self.lacks(consumer, "it is starting: ")
        self.link.up()
        consumer.wait_ready(lambda: http_call(consumer.admin, "GET", "/readyz").status == 200)
        consumer.stop()

    def test_a_consumer_that_waits_leaves_at_once(self):
        consumer = self.start_away("consumer")
        self.lacks(consumer, "it is starting: ")
        consumer.stop(timeout=5)

    def test_a_door_without_postgresql_takes_the_only_topology(self):
        self.channel.exchange_declare("checkout.jobs.8", "direct", durable=True)
        producer = self.start_away("producer")
        self.lacks(producer, "of 8 shards and of 16")
        self.assertEqual(self.stack.post("ann", SKU, key="k" * 20, producer=producer).status, 503)
        self.channel.exchange_delete("checkout.jobs.8")
        wait_until(lambda: self.stack.post("ann", SKU, key="k" * 20, producer=producer).status == 202, 10, "a 202")
        self.link.up()
        wait_until(lambda: http_call(producer.admin, "GET", "/readyz").status == 200, 10, "readiness")

    def test_a_door_with_another_number_takes_nothing(self):
        producer = self.start("producer", wait=False, CHECKOUT_SHARDS=8)
        self.lacks(producer, "CHECKOUT_SHARDS is 8, and 16 are in service")
        wait_until(lambda: self.listens(producer), 10, "the port")
        self.assertEqual(self.stack.post("ann", SKU, producer=producer).status, 503)


class First(harness.TestCase):
    """Nothing is in service yet."""

    daemons = ()
    shards = 4

    def test_the_first_topology_is_chosen_by_us(self):
        self.stack.sql("delete from relays")
        self.stack.sql("delete from shards")
        self.stack.sql("delete from service")
        producer = self.stack.start("producer", wait=False, CHECKOUT_SHARDS="")
        consumer = self.stack.start("consumer", wait=False, CHECKOUT_SHARDS="")
        for daemon in (producer, consumer):
            wait_until(lambda door=daemon: "checkoutctl topology" in ready_text(door), 15, "the line in /readyz")
        self.assertIn("run `checkoutctl topology`", self.stack.ctl("doctor", check=False, CHECKOUT_SHARDS="").stdout)
        self.assertIn("2 shards are in service", self.stack.ctl("topology", CHECKOUT_SHARDS="").stdout)
        for daemon in (producer, consumer):
            daemon.wait_ready(lambda door=daemon: http_call(door.admin, "GET", "/readyz").status == 200)


if __name__ == "__main__":
    harness.main()
