#!/usr/bin/python3
"""A member that is cut off from one server only, or that loses one answer: its shards are served on."""

from harness import main, wait_until
from harness_pool import PoolCase

_PATTERNS = {  # what goes over the wire for a transaction: its text when prepared, then its name
    "decide": (b"checkout.decide_jobs(", b"\0decide\0"),
    "take_over": (b"checkout.take_over(", b"\0take_over\0"),
    "release": (b"checkout.release(", b"\0release\0"),
}


class CutOff(PoolCase):
    """One of two members loses a server; the other has them all."""

    def pair(self, which):
        """The member that will be cut off, the other, and a shard of the first."""
        cut, other = self.consumer(which), self.consumer()
        self.served(cut, other)
        return cut, other, self.served_by(cut)[0]

    def assert_goes_on(self, other, load):
        """Every shard of the load is decided on while one member is cut off."""
        before = load.total()
        wait_until(lambda: load.total() > before + 100, 30, "orders that come after the cut")
        lines = {sku: list(line) for sku, line in load.lines.items()}
        self.wait_decided(sum(lines.values(), []), 60)
        wait_until(lambda: set(self.owners().values()) == {other.member}, 60,
                   lambda: f"the other to own all: {self.owners()}, {other.member}")

    def assert_heals(self, cut, other, load):
        self.settled(cut, other)
        self.assertTrue(self.served_by(cut))
        self.assert_in_order(load.finish())
        self.settled(cut, other)
        self.assert_served_once()

    def test_from_postgresql(self):
        cut, other, _ = self.pair("database")
        load = self.load(jobs=2, pause=0.1)
        cut.proxies["database"].down()
        self.assert_goes_on(other, load)
        cut.proxies["database"].up()
        self.assert_heals(cut, other, load)

    def test_from_postgresql_without_being_told(self):
        cut, other, _ = self.pair("database")
        load = self.load(jobs=2, pause=0.1)
        cut.proxies["database"].freeze()
        self.assert_goes_on(other, load)
        cut.proxies["database"].freeze(False)
        self.assert_heals(cut, other, load)

    def test_from_rabbitmq(self):
        cut, other, _ = self.pair("amqp")
        load = self.load(jobs=2, pause=0.1)
        cut.proxies["amqp"].down()
        self.assert_goes_on(other, load)
        cut.proxies["amqp"].up()
        self.assert_heals(cut, other, load)

    def test_from_rabbitmq_without_being_told(self):
        cut, other, _ = self.pair("amqp")
        load = self.load(jobs=2, pause=0.1)
        cut.proxies["amqp"].freeze()
        self.assert_goes_on(other, load)
        cut.proxies["amqp"].freeze(False)
        self.assert_heals(cut, other, load)

    def test_one_alone_without_rabbitmq_settles_what_is_being_paid(self):
        only = self.consumer("amqp")
        self.settled(only)
        sku = self.item_on(0, stock=1)
        sandbox = self.stack.daemon("sandbox")
        sandbox.freeze()
        self.addCleanup(sandbox.thaw)
        first, = self.publish(sku, payment_method="pm_card_chargeDeclined")
        second, = self.publish(sku)
        self.wait_status(first, "reserved")
        self.wait_status(second, "waiting")
        epochs = self.epochs()
        only.proxies["amqp"].down()
        sandbox.thaw()
        self.wait_status(first, "rejected")
        self.wait_status(second, "confirmed")
        self.assertEqual(self.epochs(), epochs)
        only.proxies["amqp"].up()
        self.wait_decided(self.publish(sku))
        self.assert_served_once()

    def test_from_redis(self):
        """Decisions go on; the events wait in their table, and none is passed over."""
        cut, other, shard = self.pair("redis")
        sku = self.item_on(shard)
        cut.proxies["redis"].down()
        heard = self.stack.redis().pubsub()
        heard.psubscribe("checkout:events:*")
        orders = self.publish(sku, 5)
        for order in orders:
            self.wait_status(order, "confirmed")
        self.assertEqual(self.owners()[shard], cut.member)
        last = self.stack.one("select max(event_id) from order_events where shard = %s", (shard,))
        self.assertLess(self.stack.one("select relayed_to from relays where shard = %s", (shard,)), last)
        cut.proxies["redis"].up()
        wait_until(lambda: self.stack.one("select relayed_to from relays where shard = %s", (shard,)) >= last,
                   30, "the events to be relayed")
        texts = []
        while (message := heard.get_message(timeout=0.2)) is not None:
            texts.append(str(message["data"]))
        for order in orders:
            self.assertEqual(sum("confirmed" in text and order in text for text in texts), 1)
        self.assertTrue(other.running())


class LostAnswer(PoolCase):
    """The server has committed; the member does not know."""

    def test_of_a_decision_while_another_member_stands_by(self):
        cut, other = self.consumer("database"), self.consumer()
        self.served(cut, other)
        shard = self.served_by(cut)[0]
        sku = self.item_on(shard)
        loss = cut.proxies["database"].lose_answers(*_PATTERNS["decide"])
        line = self.publish(sku, 3)
        self.assertTrue(loss.seen.wait(30), "no decision passed the proxy")
        self.wait_decided(line)
        loss.reset()
        line += self.publish(sku, 3)
        self.assert_in_order({sku: line})
        for order in line:
            self.wait_status(order, "confirmed")
        self.settled(cut, other)
        self.assert_served_once()
        captured = self.stack.gateway.captured()
        self.assertEqual([captured.get(order) for order in line], [1] * 6)

    def test_of_a_take_over(self):
        only = self.consumer("database")
        self.settled(only)
        only.stop()
        loss = only.proxies["database"].lose_answers(*_PATTERNS["take_over"])
        again = self.stack.start("consumer", **only.settings)
        again.member = self.member_of(again)
        self.assertTrue(loss.seen.wait(30), "no take-over passed the proxy")
        wait_until(lambda: again.member in self.owners().values(), 30, "it to be committed")
        sku = [self.item_on(shard) for shard in range(self.shards)]
        lines = {item: self.publish(item, 2) for item in sku}
        loss.reset()
        self.assert_in_order(lines)
        self.settled(again)
        self.assert_served_once()

    def test_of_giving_a_shard_back(self):
        first = self.consumer("database")
        self.settled(first)
        loss = first.proxies["database"].lose_answers(*_PATTERNS["release"])
        load = self.load(jobs=2, pause=0.1)
        second = self.consumer()
        self.assertTrue(loss.seen.wait(30), "no release passed the proxy")
        loss.reset()
        self.settled(first, second)
        self.assert_in_order(load.finish())
        self.assert_served_once()


if __name__ == "__main__":
    main()
