"""The broker as another program sees it: raw publishing, depths, dead letters."""

import contextlib
import json

import pika

import harness_jobs

_NEWER = ("checkout.lost", "checkout.milestones")  # an earlier state may not declare them


class Broker:
    """One connection of the test's own. Not thread-safe."""

    def __init__(self, url, shards):
        self.url, self.shards = url, shards
        self._connection = self._channel_open = None

    def queue(self, shard):
        return f"checkout.jobs.{self.shards}.{shard}"

    def publish(self, shard, body, headers=None, **properties):
        """Publishes a raw body to a shard's line; returns when the broker has confirmed it."""
        properties.setdefault("type", harness_jobs.JOB_TYPE)
        properties.setdefault("content_type", "application/json")
        properties.setdefault("delivery_mode", 2)
        self._channel().basic_publish(
            f"checkout.jobs.{self.shards}", str(shard), body, mandatory=True,
            properties=pika.BasicProperties(headers=headers, **properties))

    def depth(self, shard):
        """Messages that wait in a shard's queue (unacked ones excluded)."""
        return self._channel().queue_declare(self.queue(shard), passive=True).method.message_count

    def dead_letters(self):
        """Takes everything out of checkout.dead: a list of (body, headers)."""
        found = []
        while True:
            method, properties, body = self._channel().basic_get("checkout.dead", auto_ack=True)
            if method is None:
                return found
            found.append((body, properties.headers or {}))

    def publish_dead(self, body, headers=None):
        """Puts a body into checkout.dead, confirmed."""
        self._channel().basic_publish("checkout.dead", "", body, mandatory=True,
                                      properties=pika.BasicProperties(headers=headers, delivery_mode=2))

    def dead_depth(self):
        """Messages in checkout.dead that nobody has out."""
        return self._channel().queue_declare("checkout.dead", passive=True).method.message_count

    @contextlib.contextmanager
    def consuming_dead(self):
        """Another program that has the dead letters out; they go back when its connection drops."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        channel = connection.channel()
        channel.basic_consume("checkout.dead", lambda *_: None)
        connection.process_data_events(0)
        try:
            yield
        finally:
            connection.close()

    def milestones(self):
        """The milestones that are kept (checkout.milestones), put back in their order."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            channel, found = connection.channel(), []
            while True:
                method, _, body = channel.basic_get("checkout.milestones")
                if method is None:
                    return found
                found.append(json.loads(body))
        finally:
            connection.close()

    @contextlib.contextmanager
    def unbound(self, shard):
        """Nothing that is published for this shard reaches a queue."""
        binding = (self.queue(shard), f"checkout.jobs.{self.shards}", str(shard))
        self._channel().queue_unbind(*binding)
        try:
            yield
        finally:
            self._channel().queue_bind(*binding)

    def purge(self):
        for queue in [self.queue(shard) for shard in range(self.shards)] + ["checkout.dead", *_NEWER]:
            try:
                self._channel().queue_purge(queue)
            except pika.exceptions.ChannelClosedByBroker:
                if queue not in _NEWER:
                    raise

    def delete(self):
        """Deletes what `checkoutctl topology` declares; what is absent already is fine."""
        for queue in [self.queue(shard) for shard in range(self.shards)] + ["checkout.dead", *_NEWER]:
            self._channel().queue_delete(queue)
        self._channel().exchange_delete(f"checkout.jobs.{self.shards}")

    def close(self):
        if self._connection is not None and self._connection.is_open:
            try:
                self._connection.close()
            except pika.exceptions.AMQPError:
                pass  # the broker was restarted meanwhile

    def _channel(self):
        if self._connection is None or self._connection.is_closed:
            parameters = pika.URLParameters(self.url)
            parameters.heartbeat = 0  # a test may be quiet for long
            self._connection = pika.BlockingConnection(parameters)
            self._channel_open = None
        if self._channel_open is None or self._channel_open.is_closed:
            self._channel_open = self._connection.channel()
            self._channel_open.confirm_delivery()
        return self._channel_open
