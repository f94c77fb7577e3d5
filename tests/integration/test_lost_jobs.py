#!/usr/bin/python3
"""Jobs that the broker itself drops (policies of its operators): their buyers hear of it, and doctor and audit see it."""

import contextlib
import json

import pika

import harness
import harness_jobs
import harness_services
from harness import wait_until

EXPIRED = {"x-first-death-reason": "expired"}


class BrokerOfItsOwn(harness.TestCase):
    daemons = ("sandbox", "producer", "notifier")
    shards = 2
    directory = None    # of the servers, one set for all classes

    @classmethod
    def setUpClass(cls):
        if BrokerOfItsOwn.directory is None:
            BrokerOfItsOwn.directory = harness_services.start_own()     # policies are of a whole broker
        cls.node = harness_services.PrivateNode(cls.directory)
        super().setUpClass()

    def setUp(self):
        self.stack.dead_letters()

    # -- helpers ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def policy(self, definition, pattern=r"^checkout\.jobs\."):
        self.node.ctl("set_policy", "ops", pattern, json.dumps(definition), "--apply-to", "queues")
        try:
            yield
        finally:
            self.node.ctl("clear_policy", "ops")

    @contextlib.contextmanager
    def consumer(self):
        daemon = self.stack.start("consumer")
        try:
            yield daemon
        finally:
            daemon.stop()

    def copies(self):
        """Letters in checkout.lost that no consumer has."""
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(self.stack.broker.url))) as connection:
            return connection.channel().queue_declare("checkout.lost", passive=True).method.message_count

    def letter(self, *jobs, **headers):
        """A dead letter as the broker would make it."""
        shard = self.stack.shard(jobs[0]["sku"])
        self.stack.broker.publish_dead(harness_jobs.message(*jobs),
                                       {**EXPIRED, "x-first-death-queue": self.stack.broker.queue(shard), **headers})

    def commands(self, order):
        return self.stack.sql("select state, result from commands where order_id = %s and kind = 'expire'", (order,))

    def order_of(self, job):
        return harness.Order(self.stack, job["user_id"], job["order_id"])

    def doctor(self, **settings):
        return self.stack.ctl("doctor", check=False, **settings).stdout

    def wait_for_doctor(self, words, **settings):
        """The management API shows what queues report every 5 s."""
        wait_until(lambda: words in self.doctor(**settings), 30, lambda: f"{words}; it says {self.doctor(**settings)}")

    def assert_audit(self):
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)


class LostJobs(BrokerOfItsOwn):
    def test_a_policy_of_time_to_live(self):
        sku = self.stack.item(stock=5)
        hears = self.stack.listen("ann")
        with self.policy({"message-ttl": 300}):
            answer = self.stack.post("ann", sku, reference="cart-7")
            self.assertEqual(answer.status, 202, answer)
            order = harness.Order(self.stack, "ann", answer.json["id"])
            wait_until(lambda: self.stack.broker.dead_depth() == 1, 20, "a dead letter")
        with self.consumer() as consumer:
            order.wait("rejected", "expired")
            self.assertEqual(hears.wait_final(order.id)["data"]["reason"], "expired")
            wait_until(lambda: consumer.metric("checkout_lost_jobs_total") == 1, 10, "the metric")
            self.assertIn(b"RabbitMQ dropped jobs", consumer.log_text())
            self.assertEqual(self.commands(order.id), [("done", "rejected: the broker dropped its job (expired)")])
            self.assertEqual(self.stack.one("select reference from orders where order_id = %s", (order.id,)), "cart-7")
            shown = self.stack.call("ann", "GET", f"/v1/orders/{order.id}").json
            self.assertEqual((shown["status"], shown["reason"]), ("rejected", "expired"))
            dropped = self.stack.one("select count(*) from commands where kind = 'expire'")   # also by other tests
            self.assertRegex(self.doctor(), rf"RabbitMQ dropped {dropped} jobs in the last 24 h \(.*expired\)")
            self.assert_audit()
            self.assertIn("expired", self.stack.ctl("dead", "list").stdout)
            self.stack.ctl("dead", "replay", "--all")       # the letter's job comes after all
            wait_until(lambda: self.stack.broker.depth(self.stack.shard(sku)) == 0, 20, "an empty queue")
            later = self.stack.order("bob", sku).wait("confirmed")
            self.assertEqual((order.row(), later.status()), (("rejected", "expired"), "confirmed"))
            self.assertEqual(self.stack.counts(sku), (5, 0, 1, 0))
        hears.close()

    def test_a_policy_of_a_delivery_limit(self):
        job = self.stack.job("ann", self.stack.item(stock=5))
        shard = self.stack.shard(job["sku"])
        with self.policy({"delivery-limit": 1}):
            self.stack.publish_jobs(job)
            def dies():
                connection = pika.BlockingConnection(pika.URLParameters(self.stack.broker.url))
                channel = connection.channel()
                channel.basic_consume(self.stack.broker.queue(shard), lambda *_: None)
                connection.process_data_events(0.2)
                connection.close()
                return self.stack.broker.dead_depth() == 1
            wait_until(dies, 20, "a dead letter")
        with self.consumer():
            self.order_of(job).wait("rejected", "expired")
            self.assertEqual(self.commands(job["order_id"]),
                             [("done", "rejected: the broker dropped its job (delivery_limit)")])


class Letters(BrokerOfItsOwn):
    def test_of_an_order_that_was_decided_nothing_changes(self):
        job = self.stack.job("ann", self.stack.item(stock=5))
        with self.consumer():
            self.stack.publish_jobs(job)
            order = self.order_of(job).wait("confirmed")
            self.letter(job)
            wait_until(lambda: self.copies() == 0, 20, "the letter to be read")
            self.letter(self.stack.job("eve", job["sku"]))  # read behind it
            wait_until(lambda: self.stack.one("select count(*) from orders where user_id = 'eve'"), 20, "the next")
            self.assertEqual((order.status(), self.commands(job["order_id"])), ("confirmed", []))
            self.assert_audit()

    def test_a_letter_twice_is_one_command(self):
        job = self.stack.job("ann", self.stack.item(stock=5))
        self.letter(job)
        self.letter(job, note="again")
        with self.consumer():
            self.order_of(job).wait("rejected", "expired")
            wait_until(lambda: self.copies() == 0, 20, "both letters to be read")
            self.assertEqual(len(self.commands(job["order_id"])), 1)

    def test_command_and_job_at_once_make_one_order(self):
        """Either may come first; whichever comes second changes nothing."""
        sku = self.stack.item(stock=100)
        jobs = [self.stack.job(f"user-{n}", sku) for n in range(40)]
        for n, job in enumerate(jobs):
            if n % 2:
                self.stack.publish_jobs(job)
                self.letter(job)
            else:
                self.letter(job)
                self.stack.publish_jobs(job)
        with self.consumer():
            wait_until(lambda: self.stack.one("select count(*) from orders where sku = %s and status in "
                                              "('confirmed', 'rejected')", (sku,)) == 40, 30, "all to end")
            wait_until(lambda: self.copies() == 0, 20, "all letters to be read")
            wait_until(lambda: not self.stack.sql("select 1 from commands where state = 'pending'"), 20, "all commands")
            confirmed = self.stack.one("select count(*) from orders where sku = %s and status = 'confirmed'", (sku,))
            self.assertEqual(self.stack.counts(sku), (100, 0, confirmed, 0))
            self.assertEqual(self.stack.one("select max(n) from (select count(*) n from order_events e join orders using "
                                            "(order_id) where sku = %s and e.sequence = 1 group by order_id) c", (sku,)), 1)
            self.assert_audit()

    def test_what_a_consumer_put_aside_or_what_a_stranger_sends_is_left_to_the_operator(self):
        job = self.stack.job("ann", self.stack.item(stock=5))
        forged = {**job, "order_id": job["order_id"][:-1] + ("0" if job["order_id"][-1] != "0" else "1")}
        self.stack.broker.publish_dead(harness_jobs.message(job), {"x-checkout-reason": "for a test"})
        self.letter(forged)
        self.letter(job, **{"x-first-death-queue": "elsewhere"})
        with self.consumer():
            wait_until(lambda: self.copies() == 0, 20, "the letters to be read")
            self.letter(self.stack.job("bob", job["sku"]))
            wait_until(lambda: self.stack.one("select count(*) from orders where user_id = 'bob'"), 20, "the last one")
            self.assertIsNone(self.order_of(job).row())
            self.assertEqual(self.stack.broker.dead_depth(), 4)


class Seen(BrokerOfItsOwn):
    def test_doctor_finds_policies(self):
        self.node.ctl("set_user_tags", "checkout", "management")
        api = {"CHECKOUT_BROKER_API_URL": self.node.enable_management()}
        with self.consumer():
            self.assertIn("policies are not looked at", self.doctor())
            self.wait_for_doctor("no policy drops messages of our 4 queues", **api)
            with self.policy({"max-length": 1000}):
                self.wait_for_doctor("policy ops sets max-length on 2 of our queues, such as checkout.jobs.2.", **api)
            with self.policy({"message-ttl": 86400000, "delivery-limit": 3}, ".*"):
                self.wait_for_doctor("policy ops sets message-ttl, delivery-limit on 4 of our queues", **api)
            with self.policy({"queue-master-locator": "min-masters"}):
                self.wait_for_doctor("no policy drops messages of our 4 queues", **api)
        self.node.ctl("set_user_tags", "checkout")
        self.assertIn("RabbitMQ's management API answers 401", self.doctor(**api))

    def test_the_audit_counts_markers_whose_order_is_nowhere(self):
        with self.consumer():
            job = self.stack.job("ann", self.stack.item(stock=5))
            self.stack.publish_jobs(job)
            self.order_of(job).wait("confirmed")
            gone = self.stack.job("bob", job["sku"])        # admitted once; nothing has it any more
            young = self.stack.job("eve", job["sku"])
            more = [self.stack.job(f"many-{number}", job["sku"]) for number in range(100)]
            for name, left in ((job, 86000), (gone, 86000), (young, 86390), *((other, 86000) for other in more)):
                self.stack.redis().set(f"checkout:seen:{name['order_id']}", name["fingerprint"], ex=left)
            audit = self.stack.ctl("audit", "--json", check=False)
            self.assertEqual(audit.returncode, 0, audit.stdout)
            checked = json.loads(audit.stdout)["checked"]
            self.assertEqual((checked["markers"], checked["markers_without_order"]), (102, 101))


class FewChannels(BrokerOfItsOwn):
    """A broker that allows fewer channels than a consumer of all shards needs: both numbers are said."""

    def test_both_numbers_are_said(self):
        self.node.ctl("eval", "application:set_env(rabbit, channel_max, 3).")
        try:
            with self.consumer() as consumer:
                wait_until(lambda: b"too few channels" in consumer.log_text(), 20, "the alarm")
                line = json.loads(next(l for l in consumer.log_text().splitlines() if b"too few channels" in l))
                self.assertEqual((line["channel_max"], line["needed"]), (3, 4))
                self.assertIn("it allows 3 channels for a connection; a consumer of all shards needs 4", self.doctor())
        finally:
            self.node.ctl("eval", "application:set_env(rabbit, channel_max, 2047).")
        self.assertNotIn("channels for a connection", self.doctor())


if __name__ == "__main__":
    harness.main()
