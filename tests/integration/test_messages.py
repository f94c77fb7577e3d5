#!/usr/bin/python3
"""schemas/asyncapi.yaml and a sale: each message and key that passes is described, and the examples are as what passes."""

import contextlib
import json
import os
import re
import threading

import jsonschema
import pika
import redis
import yaml

import harness
from harness import wait_until
from harness_hooks import Receiver
from harness_services import ROOT

SCHEMAS = os.path.join(ROOT, "schemas")
ASKS = "pm_card_authenticationRequired"


def strict(schema):
    """The schema, with no room for members that it does not describe."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(part) for name, part in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made:
        made["additionalProperties"] = False
    return made


def shape(value, place=""):
    """Where it has members, whatever their values."""
    if isinstance(value, dict):
        return {place}.union(*(shape(part, f"{place}/{name}") for name, part in value.items()))
    if isinstance(value, list):
        return {place}.union(*(shape(part, place + "/-") for part in value))
    return {place}


class Document:
    """asyncapi.yaml: which messages its channels have, and their schemas, strictly."""

    def __init__(self):
        with open(os.path.join(SCHEMAS, "asyncapi.yaml"), encoding="utf-8") as source:
            self.document = yaml.safe_load(source)
        self.messages = self.document["components"]["messages"]
        self.seen = {}          # by the name of a message: the (headers, payload) that passed

    def channel(self, name):
        return list(self.document["channels"][name]["messages"])

    def payload(self, name):
        schema = self.messages[name]["payload"]
        schema = schema.get("schema", schema)
        if "$ref" in schema:
            with open(os.path.join(SCHEMAS, schema["$ref"]), encoding="utf-8") as source:
                schema = json.load(source)
        return strict(schema)

    def fits(self, name, headers, payload):
        """None, or why it is no such message."""
        try:
            jsonschema.validate(payload, self.payload(name))
            jsonschema.validate(headers, self.messages[name].get("headers", {}))
        except jsonschema.ValidationError as error:
            return f"{error.json_path}: {error.message}"
        return None

    def pass_by(self, channel, headers, payload):
        """A message of this channel, which one of those that are described fits."""
        wrong = {name: self.fits(name, headers, payload) for name in self.channel(channel)}
        fitting = [name for name, why in wrong.items() if why is None]
        assert len(fitting) == 1, f"{channel}: {payload} is none of {wrong}"
        self.seen.setdefault(fitting[0], []).append((headers, payload))

    def keys(self):
        return self.document["servers"]["redis"]["x-keys"]

    def key(self, name):
        """The one that describes this name."""
        found = [key for key in self.keys() if re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", re.escape(key["name"])), name)]
        assert len(found) == 1, f"{name}: described {len(found)} times"
        return found[0]


class Tap:
    """What passes through Redis and RabbitMQ, beside those whom it is for."""

    def __init__(self, stack):
        self.stack, self.published = stack, []
        self._pubsub = stack.redis().pubsub()
        self._pubsub.psubscribe(**{"checkout:*": lambda message: self.published.append(
            (message["channel"].decode(), json.loads(message["data"])))})
        self._thread = self._pubsub.run_in_thread(sleep_time=0.05, daemon=True)
        self._connection = pika.BlockingConnection(pika.URLParameters(stack.direct["CHECKOUT_AMQP_URL"]))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        for shard in range(stack.shards):
            self._channel.queue_bind(self._queue, f"checkout.jobs.{stack.shards}", str(shard))

    def jobs(self):
        """(properties, body) of the messages that came since."""
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return
            yield properties, body

    def close(self):
        self._thread.stop()
        self._thread.join(10)
        with contextlib.suppress(redis.RedisError):
            self._pubsub.close()
        self._connection.close()


class Keys(threading.Thread):
    """Looks at the keys of Redis, over and over, as some live only for a moment."""

    def __init__(self, stack, document):
        super().__init__(daemon=True)
        self.redis, self.document = stack.redis(), document
        self.seen, self.wrong, self.over = set(), [], threading.Event()

    def values(self, name, kind):
        if kind == "zset":
            return self.redis.zrange(name, 0, -1)
        return self.redis.hvals(name) if kind == "hash" else [self.redis.get(name)]

    def look(self):
        for name in list(self.redis.scan_iter("*")):
            key = self.document.key(name.decode())
            kind, life = self.redis.type(name).decode(), self.redis.pttl(name)
            values = [None] if kind == "none" else self.values(name, kind)
            if life == -2 or None in values:
                continue        # it has ended meanwhile
            assert kind == key["kind"], (name, kind)
            assert 0 <= life <= key.get("life_ms", life), (name, life)
            for value in values:
                jsonschema.validate(value.decode(), key["value"])
            self.seen.add(key["name"])

    def run(self):
        while not self.over.wait(0.05):
            try:
                self.look()
            except (AssertionError, jsonschema.ValidationError) as error:
                self.wrong.append(str(error))


class Sale(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    settings = {"CHECKOUT_OPEN_ORDERS_PER_USER": "100", "CHECKOUT_ORDERS_PER_USER": "100/1h",
                "CHECKOUT_ACTION_WAIT": "120s", "CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = Document()
        keys = os.path.join(cls.stack.directory, "keys")
        os.makedirs(keys)
        cls.stack.settings["CHECKOUT_HOOKS_SECRETS"] = keys
        cls.stack.start("webhooks")

    def sell(self, receiver):
        """Orders with every end; the websockets of their buyers."""
        order, item = self.stack.order, self.stack.item
        sockets = [self.stack.listen(user) for user in ("ann", "bob")]
        self.addCleanup(lambda: [socket.close() for socket in sockets])
        waiting = order("bob", item(stock=1, held=1)).wait("waiting")
        one_off = item(stock=1, gate="lock")
        wait_until(lambda: self.stack.redis().get(f"checkout:gate:{one_off}"), 20, "the consumer to say that it is locked")
        at_bank = order("bob", one_off, payment_method=ASKS)
        order("ann", item(stock=0), reference="cart-17").wait("rejected", "sold_out")
        order("ann", item(), payment_method="pm_card_chargeDeclined").wait("rejected", "payment_declined")
        order("ann", item(), payment_method="pm_nothing").wait("rejected", "payment_failed")
        bought = order("ann", item(), reference="cart-17", unit_price=1000).wait("confirmed")
        self.stack.ctl("orders", "refund", bought.id)
        bought.wait("refunded")
        self.stack.publish(0, b"noise")
        wait_until(lambda: self.stack.broker.dead_depth() == 1, 20, "the dead letter")
        self.stack.ctl("webhooks", "test", "erp")
        wait_until(lambda: self.stack.status("bob", at_bank.id).json.get("next_action"), 20, "the buyer to be asked")
        self.listened(sockets)
        self.assertEqual(self.stack.call("bob", "DELETE", f"/v1/orders/{waiting.id}").status, 202)
        waiting.wait("cancelled")
        receiver.wait(waiting.id, "order.cancelled")
        receiver.wait(bought.id, "order.refunded")
        return sockets

    def listened(self, sockets):
        """Every kind of message that a websocket may have has come."""
        wanted = set(self.document.channel("events"))

        def kinds():
            return {name for socket in sockets for event in list(socket.events) for name in wanted
                    if self.document.fits(name, {}, event) is None}
        wait_until(lambda: kinds() == wanted, 15, lambda: f"{wanted} by websocket; there were {kinds()}")

    def test_what_passes_is_described_and_the_examples_are_like_it(self):
        tap, keys, receiver = Tap(self.stack), Keys(self.stack, self.document), Receiver()
        keys.start()
        for ended in (tap.close, keys.over.set, receiver.close):
            self.addCleanup(ended)
        self.stack.ctl("webhooks", "add", "erp", receiver.url + "/hooks")
        sockets = self.sell(receiver)
        self.pass_all(tap, sockets, receiver)
        wait_until(lambda: keys.seen == {key["name"] for key in self.document.keys()}, 10,
                   lambda: f"every key that is described; there were {keys.seen}")
        self.assertEqual(keys.wrong, [])
        self.assertEqual(set(self.document.messages) - set(self.document.seen), set(), "described, and did not pass")
        self.assert_examples()

    def pass_all(self, tap, sockets, receiver):
        for properties, body in tap.jobs():
            if body != b"noise":
                self.document.pass_by("jobs", properties.headers, json.loads(body))
                self.assertEqual((properties.type, properties.delivery_mode), ("checkout.jobs.v1", 2))
        for body, headers in self.stack.dead_letters():
            headers.pop("x-delivery-count", None)      # RabbitMQ counts
            self.document.pass_by("dead", headers, body.decode())
        channels = {channel["address"].partition("{")[0]: name for name, channel in self.document.document["channels"].items()
                    if channel["address"].startswith("checkout:")}
        for address, payload in list(tap.published):
            self.document.pass_by(next(name for prefix, name in channels.items() if address.startswith(prefix)), {}, payload)
        for socket in sockets:
            for event in socket.events:
                self.document.pass_by("events", {}, event)
        for hook in receiver.hooks:
            self.document.pass_by("webhooks", {name: value for name, value in hook.headers.items()
                                               if name.startswith("webhook-")}, hook.json)

    def assert_examples(self):
        """Each fits, and has the members of one that passed."""
        for name, message in self.document.messages.items():
            shapes = [shape(list(passed)) for passed in self.document.seen[name]]
            self.assertTrue(message["examples"], name)
            for example in message["examples"]:
                with self.subTest(message=name, example=example["name"]):
                    told = (example.get("headers", {}), example["payload"])
                    self.assertIsNone(self.document.fits(name, *told))
                    self.assertIn(shape(list(told)), shapes)


if __name__ == "__main__":
    harness.main()
