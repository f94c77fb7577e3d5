"""A sale whose database forgets a part of it."""

import json
import os
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import pika

import harness
import harness_services
from harness import as_login, wait_until
from harness_client import http_call
from harness_database import dump_database, restore_database


class RestoreCase(harness.TestCase):
    """A sale with a past that its database forgets."""

    daemons = ("sandbox", "producer", "consumer", "notifier")
    STOCK = 12

    def setUp(self):
        self.sku = self.stack.item(stock=self.STOCK)

    def sell(self, *users):
        """Confirmed orders of these users."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(lambda user: self.stack.order(user, self.sku).wait("confirmed"), users))

    def newest_event(self):
        return self.stack.one("select max(event_id) from order_events")

    def newest_marked(self):
        """The newest event that a milestone in RabbitMQ has."""
        return max((event for milestone in self.stack.broker.milestones() for event in milestone["events"] if event), default=0)

    def wait_marked(self):
        """What was published is in RabbitMQ."""
        wait_until(lambda: self.newest_marked() >= self.newest_event(), 10, "the newest event to be marked")

    def captures(self):
        """Of our item: (order, state) of what took money."""
        return sorted(intent["metadata"]["order_id"] for intent in self.stack.gateway.intents()
                      if intent["status"] == "succeeded" and intent["metadata"].get("sku") == self.sku)

    def readiness(self, daemon):
        answer = http_call(daemon.admin, "GET", "/readyz")
        return answer.status, answer.body.decode()

    def wait_refused(self, daemons, why):
        for daemon in daemons:
            wait_until(lambda: self.readiness(daemon)[0] == 503, 60, f"{daemon.name} not to be ready")
        consumer = next(daemon for daemon in daemons if daemon.name == "checkout-consumer")
        wait_until(lambda: why in self.readiness(consumer)[1], 60, lambda: f"the reason: {self.readiness(consumer)}")
        for daemon in daemons:
            wait_until(lambda: why.encode() in daemon.log_text(), 60, f"{daemon.name} to say why")

    def kill_programs(self):
        for daemon in self.stack.daemons:
            if daemon.name != "checkout-sandbox-gateway" and daemon.running():
                daemon.kill()

    def operate(self, *words, **options):
        """checkoutctl, with the operator's own rights."""
        return self.stack.ctl(*words, **options, CHECKOUT_DATABASE_URL=as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"))

    def finish(self, *options):
        return self.operate("restore", "finish", *options).stdout

    # -- forgetting ---------------------------------------------------------------------------------

    def dump(self):
        path = os.path.join(self.stack.directory, f"dump-{uuid.uuid4().hex[:8]}")
        dump_database(self.stack.database, path)
        return path

    def follow(self, *options):
        """The events that the feed shows, each with the cursor behind it."""
        lines = self.stack.ctl("events", "follow", "--once", "--json", *options).stdout.splitlines()
        return [event for event in map(json.loads, lines) if "order_id" in event]

    def keep_feed(self):
        """The shop's own copy of the feed, as a file."""
        path = os.path.join(self.stack.directory, f"feed-{uuid.uuid4().hex[:8]}")
        with open(path, "w", encoding="utf-8") as sink:
            sink.write(self.stack.ctl("events", "follow", "--once", "--json").stdout)
        return path

    def restore(self, dump):
        """The database is that of then, and no program runs."""
        self.kill_programs()
        self.stack.forget_database()
        restore_database(self.stack.database, dump)

    def start_programs(self, wait=True):
        return [self.stack.start(name, wait=wait) for name in ("producer", "consumer", "notifier")]

    def put_milestones(self, milestones):
        """RabbitMQ keeps these, and no others."""
        self.stack.broker.purge()
        connection = pika.BlockingConnection(pika.URLParameters(self.stack.broker.url))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            for milestone in milestones:
                channel.basic_publish("checkout.milestones", "", json.dumps(milestone), mandatory=True,
                                      properties=pika.BasicProperties(delivery_mode=2))
        finally:
            connection.close()

    def pay(self, order_id, amount=1000, **metadata):
        """Money that the gateway took for an order, whatever the database knows of it."""
        form = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true",
                "payment_method_types[]": "card", "metadata[order_id]": order_id, **{f"metadata[{name}]": value for name, value in metadata.items()}}
        answer = http_call(self.stack.gateway.url, "POST", "/v1/payment_intents",
                           {"Authorization": "Bearer " + self.stack.secrets["GATEWAY_KEY"],
                            "Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": uuid.uuid4().hex},
                           urllib.parse.urlencode(form))
        self.assertEqual((answer.status, answer.json["status"]), (200, "succeeded"), answer.body)
        return order_id

    def assert_audited(self):
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)


class OwnPrimary(RestoreCase):
    """Each class of tests has a primary of its own, which ends."""

    daemons = ("sandbox",)
    primary = None

    @classmethod
    def setUpClass(cls):
        cls.primary = harness_services.start_private_database()
        super().setUpClass()

    def url(self, login, *ports):
        parts = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        login = login or parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@" + ",".join(f"127.0.0.1:{port}" for port in ports)).geturl()
