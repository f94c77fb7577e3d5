#!/usr/bin/python3
"""Webhooks to the shop's backend: each event at least once, signed, in order for each order, whoever fails meanwhile."""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
import time

import psycopg2

import harness
import harness_npm
from harness import wait_until
from harness_hooks import CUT, Receiver, new_secret, write_keys

KEY = "whsk_" + base64.b64encode(bytes(range(32))).decode()     # Ed25519


class TestCase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1", "CHECKOUT_HOOKS_TIMEOUT": "1s",
                "CHECKOUT_LOG_LEVEL": "debug"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = os.path.join(cls.stack.directory, "keys")
        os.makedirs(cls.keys)
        cls.stack.settings["CHECKOUT_HOOKS_SECRETS"] = cls.keys
        cls.sku = cls.stack.item(stock=1000, price=1999, title="A dress")
        cls.daemon = cls.stack.start("webhooks", http_proxy="http://127.0.0.1:1")     # which it does not look at

    def endpoint(self, name, answer=None, *options):
        receiver = Receiver(answer)
        self.addCleanup(receiver.close)
        self.add(name, receiver.url + "/" + name, *options)
        return receiver

    def add(self, name, url, *options):
        self.stack.ctl("webhooks", "add", name, url, *options)
        self.addCleanup(self.stack.ctl, "webhooks", "remove", name)

    def order(self, **members):
        return self.stack.order("ann", self.sku, **members)

    def listed(self, name):
        return next(json.loads(line) for line in self.stack.ctl("webhooks", "list", "--json").stdout.splitlines()
                    if json.loads(line)["endpoint"] == name)

    def deliveries(self, *options):
        return [json.loads(line) for line in self.stack.ctl("webhooks", "deliveries", *options, "--json").stdout.splitlines()]

    def hurry(self):
        self.stack.sql("update hook_deliveries set due_at = now() where state = 'due' and claimed_by is null")
        self.stack.sql("update hook_endpoints set try_at = now()")


class Webhooks(TestCase):
    def test_each_change_of_an_order_comes_signed_and_in_order(self):
        receiver = self.endpoint("all")
        order = self.order(quantity=2, reference="cart-7").wait("confirmed")
        self.stack.ctl("orders", "refund", order.id)
        order.wait("refunded")
        hooks = receiver.wait(order.id, "order.refunded")
        self.assertEqual([hook.type for hook in hooks], ["order.reserved", "order.confirmed", "order.refunded"])
        events = self.stack.sql("select event_id from order_events where order_id = %s order by sequence", (order.id,))
        self.assertEqual([hook.id for hook in hooks], [f"evt_{event}" for event, in events])
        self.assertEqual(hooks[1].data, {
            "event_id": str(events[1][0]), "order_id": order.id, "sequence": 2, "status": "confirmed", "user_id": "ann",
            "sku": self.sku, "quantity": 2, "amount": 3998, "currency": "usd", "reference": "cart-7"})
        self.assertEqual(hooks[1].headers["content-type"], "application/json")
        with open(os.path.join(self.keys, "all"), encoding="ascii") as source:
            secret = source.read().strip()      # webhooks add has made it
        self.assertTrue(all(hook.signed_by(secret) for hook in hooks))
        self.assertNotIn(secret.encode(), self.daemon.log_text())
        wait_until(lambda: len(self.deliveries("all", "--state", "sent", "--order", order.id)) == 3, 10, "the log")
        row = self.deliveries("all", "--order", order.id)[0]
        self.assertEqual((row["type"], row["state"], row["attempts"], row["status"], row["answer"], row["problem"]),
                         ("order.refunded", "sent", 1, 200, "ok", None))

    def test_what_is_not_subscribed_does_not_come(self):
        receiver = self.endpoint("some", None, "--types", "order.confirmed,order.disputed")
        order = self.order().wait("confirmed")
        self.assertEqual([hook.type for hook in receiver.wait(order.id, "order.confirmed")], ["order.confirmed"])

    def test_keys_rotate_without_a_restart_and_others_verify_the_signatures(self):
        receiver = self.endpoint("keys")
        old, new = new_secret(), new_secret()
        write_keys(self.keys, "keys", old, "# the next one", new, KEY)
        self.daemon.process.send_signal(signal.SIGHUP)
        order = self.order().wait("confirmed")
        hook = receiver.wait(order.id, "order.confirmed")[-1]
        self.assertEqual([text.partition(",")[0] for text in hook.signatures()], ["v1", "v1", "v1a"])
        self.assertTrue(hook.signed_by(old) and hook.signed_by(new))
        write_keys(self.keys, "keys", "whsec_short")        # a mistake: the keys before it stay
        public = self.stack.ctl("webhooks", "key", "all", check=False)
        self.assertNotIn(old, public.stdout + public.stderr)
        second = self.order().wait("confirmed")
        self.assertTrue(receiver.wait(second.id, "order.confirmed")[-1].signed_by(new))
        write_keys(self.keys, "keys", KEY)
        public = self.stack.ctl("webhooks", "key", "keys").stdout.strip()
        self.verify_elsewhere(hook, new, public)

    def verify_elsewhere(self, hook, secret, public):
        """By npm's standardwebhooks, and by Node's crypto."""
        message = {"headers": {name: hook.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")},
                   "body": hook.body.decode(), "secret": secret, "public": public}
        try:
            folder = harness_npm.install("standardwebhooks@1.1.1")
        except SystemExit:
            self.skipTest("npm cannot install standardwebhooks")
        done = harness_npm.node(folder, "verify_hook.cjs", json.dumps(message))
        self.assertEqual((done.returncode, done.stdout), (0, "v1 v1a altered\n"), done.stderr)

    def test_a_failing_event_holds_back_its_order_alone(self):
        bad = []
        receiver = self.endpoint("half", lambda hook, path: 500 if hook.order in bad else 200)
        held = self.order(payment_method="pm_card_authenticationRequired").wait("reserved")
        bad.append(held.id)
        wait_until(lambda: self.stack.call("ann", "DELETE", f"/v1/orders/{held.id}").status == 202, 20,
                   "the end of the call to the gateway, when it may be cancelled")
        held.wait("cancelled")
        others = [self.order().wait("confirmed") for _ in range(5)]
        for order in others:
            receiver.wait(order.id, "order.confirmed")
        wait_until(lambda: receiver.of(held.id, taken=False), 10, "the first try")
        seen = {hook.type for hook in receiver.of(held.id, taken=False)}
        self.assertLessEqual(len(seen), 1 + bool(receiver.of(held.id)), seen)
        bad.clear()
        self.hurry()
        hooks = receiver.wait(held.id, "order.cancelled")
        self.assertEqual([hook.data["sequence"] for hook in hooks], sorted(hook.data["sequence"] for hook in hooks))
        self.assertIsNone(self.listed("half")["paused"])

    def test_who_is_gone_is_paused_and_gets_all_in_order_after_resume(self):
        answers = [410]
        receiver = self.endpoint("gone", lambda hook, path: answers[0])
        first = self.order().wait("confirmed")
        wait_until(lambda: self.listed("gone")["paused"] == "it answered 410: gone", 10, "it to be paused")
        second = self.order().wait("confirmed")
        self.assertIn("paused", self.stack.ctl("doctor", check=False).stdout)
        self.assertEqual(self.stack.ctl("webhooks", "test", "gone", check=False).returncode, 1)
        answers[0] = 200
        self.assertIn("taken", self.stack.ctl("webhooks", "test", "gone").stdout)
        self.assertEqual([hook.type for hook in receiver.hooks], ["test"])
        self.stack.ctl("webhooks", "resume", "gone")
        for order in (first, second):
            self.assertEqual([hook.type for hook in receiver.wait(order.id, "order.confirmed")],
                             ["order.reserved", "order.confirmed"])

    def test_one_that_keeps_failing_is_tried_alone_then_paused_and_goes_on_by_itself_when_it_is_back(self):
        answers = [CUT]
        receiver = self.endpoint("down", lambda hook, path: answers[0])
        orders = [self.order().wait("confirmed") for _ in range(12)]
        wait_until(lambda: self.listed("down")["failures"] >= 10, 20, "10 failures")
        answers[0] = 200
        self.hurry()        # one of them, and with it all
        for order in orders:
            receiver.wait(order.id, "order.confirmed", timeout=10)
        answers[0] = 500
        self.order().wait("confirmed")
        wait_until(lambda: self.listed("down")["failures"] > 0, 10, "a failure")
        self.stack.sql("update hook_endpoints set failing_since = now() - interval '25 hours' where endpoint = 'down'")
        self.hurry()
        wait_until(lambda: "it has failed since" in (self.listed("down")["paused"] or ""), 10, "it to be paused")

    def test_only_allowed_addresses_are_connected_to_and_redirects_are_not_followed(self):
        inside, outside = Receiver(), Receiver(lambda hook, path: (302, {"Location": inside.url}, b""))
        self.addCleanup(inside.close)
        self.addCleanup(outside.close)
        port = inside.url.rpartition(":")[2]
        for n, host in enumerate(("127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "[64:ff9b::7f00:1]", "0.0.0.0", "169.254.169.254",
                                  "2130706434", "0x7f.2")):
            self.add(f"to-{n}", f"http://{host}:{port}/")
            done = self.stack.ctl("webhooks", "test", f"to-{n}", "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stdout)["problem"]), (1, "address_refused"), host)
        self.add("away", outside.url)
        done = self.stack.ctl("webhooks", "test", "away", "--json", check=False)
        self.assertEqual(json.loads(done.stdout)["problem"], "answered 302")
        self.assertEqual(inside.tries, [])
        for url in ("ftp://x.example/", "http://u:p@x.example/", "https://", "gopher://x", "https://x.example/#in"):
            self.assertEqual(self.stack.ctl("webhooks", "add", "no", url, check=False).returncode, 2)
        self.assertEqual(self.stack.ctl("webhooks", "add", "no", "http://x.example/", check=False,
                                        CHECKOUT_HOOKS_HTTP="false").returncode, 2)

    def test_a_key_that_cannot_be_written_leaves_no_file(self):
        self.addCleanup(self.stack.ctl, "webhooks", "remove", "full")
        done = subprocess.run([harness.program("checkoutctl"), "webhooks", "add", "full", "https://127.0.0.1:1/"],
                              text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=harness.program_environment(self.stack.settings), restore_signals=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("full: File too large; put a key there", done.stderr)
        self.assertNotIn("its key is in", done.stdout)
        self.assertFalse(os.path.exists(os.path.join(self.keys, "full")))

    def test_one_that_was_added_from_the_start_has_what_happened_before(self):
        order = self.order().wait("confirmed")
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.addCleanup(self.stack.ctl, "webhooks", "remove", "past")
        said = self.stack.ctl("webhooks", "add", "past", receiver.url, "--from-start").stdout
        self.assertIn("past is sent what has happened so far, and what happens from now on; its key is in", said)
        self.assertEqual([hook.type for hook in receiver.wait(order.id, "order.confirmed")],
                         ["order.reserved", "order.confirmed"])

    def test_an_endpoint_is_left_alone_for_as_long_as_it_says(self):
        answers = [(429, {"Retry-After": "1800"}, b"")]
        receiver = self.endpoint("limited", lambda hook, path: answers[0])
        order = self.order().wait("confirmed")
        wait_until(lambda: self.listed("limited")["failures"] > 0, 10, "the refusal")
        for sent, status in ((True, 200), (False, 500), (True, 200)):      # of what was under way
            self.stack.sql("select judge_hook('limited', %s, %s, 0, 86400000)", (sent, status))
        left_s = self.stack.one("select extract(epoch from try_at - now()) from hook_endpoints where endpoint = 'limited'")
        self.assertTrue(1790 < left_s <= 1800, left_s)
        answers[0] = 200
        self.stack.ctl("webhooks", "resume", "limited")
        receiver.wait(order.id, "order.confirmed")

    def test_a_long_answer_is_cut_and_counts(self):
        receiver = self.endpoint("long", lambda hook, path: (200, {}, b"A\0\xff\n" + b"x" * 10_000_000))
        wait_until(lambda: self.stack.ctl("webhooks", "test", "long", check=False).returncode == 0, 60,
                   "a test that is taken: on a slow machine a second may be too short for it")
        sent = [row for row in self.deliveries("long") if row["state"] == "sent"]
        self.assertEqual([row["answer"] for row in sent], ["A???" + "x" * 196])
        self.assertGreater(len(receiver.hooks), 0)

    def test_what_was_delivered_comes_again_on_command_with_its_id(self):
        receiver = self.endpoint("again")
        order = self.order().wait("confirmed")
        receiver.wait(order.id, "order.confirmed")
        wait_until(lambda: len(self.deliveries("again", "--state", "sent")) >= 2, 10, "the log")
        row = self.deliveries("again", "--order", order.id)[0]
        self.stack.ctl("webhooks", "replay", "again", str(row["delivery_id"]))
        wait_until(lambda: len(receiver.of(order.id)) == 3, 10, "it to come again")
        self.assertEqual(receiver.of(order.id)[1].id, receiver.of(order.id)[2].id)
        self.assertEqual(receiver.of(order.id)[1].body, receiver.of(order.id)[2].body)
        self.assertEqual(self.stack.ctl("webhooks", "replay", "again", "999999", check=False).returncode, 1)

    def test_commands_name_an_endpoint_that_is_not_there(self):
        for command in (("deliveries", "nowhere"), ("replay", "nowhere", "--failed"), ("test", "nowhere"), ("resume", "nowhere")):
            done = self.stack.ctl("webhooks", *command, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""), command)
            self.assertIn("there is no endpoint nowhere", done.stderr)

    def test_two_share_the_work_and_one_that_dies_leaves_it_to_the_other(self):
        receiver = self.endpoint("two")
        second = self.stack.start("webhooks")
        orders = [self.order() for _ in range(40)]
        wait_until(lambda: self.stack.sql("select 1 from hook_deliveries where claimed_by like %s or attempts > 0",
                                          (f"%:{second.pid}",)), 20, "some to be claimed")
        second.kill()
        for order in orders:
            order.wait("confirmed")
        self.stack.sql("update hook_deliveries set due_at = now() where state = 'due' and claimed_by like %s",
                       (f"%:{second.pid}",))
        for order in orders:
            sequences = [hook.data["sequence"] for hook in receiver.wait(order.id, "order.confirmed")]
            self.assertEqual(sequences, sorted(sequences))
        self.assertLessEqual(len(receiver.hooks), 2 * len(orders) + 16)
        self.assertLessEqual(receiver.most, 16)

    def test_a_claim_among_thousands_is_quick(self):
        self.add("long-queue", "https://127.0.0.1:1/")
        self.stack.ctl("webhooks", "pause", "long-queue")
        self.stack.sql("insert into hook_deliveries (endpoint, event_id, order_id, sequence, type, at) "
                       "select 'long-queue', -n, md5((n / 2)::text)::uuid, 2 - n % 2, 'order.confirmed', now() "
                       "from generate_series(1, 6000) n")
        self.assertLess(self.time_of_a_claim(), 0.1)
        # as of a queue that PostgreSQL knows well, where the second event of each order has been due for longer
        self.stack.sql("update hook_deliveries set due_at = now() - interval '1 hour' where sequence = 2 and endpoint = 'long-queue'")
        self.stack.sql("analyze hook_deliveries")
        self.assertLess(self.time_of_a_claim(), 0.5)

    def test_what_cannot_leave_costs_a_claim_nothing(self):
        self.add("blocked", "https://127.0.0.1:1/")
        self.stack.ctl("webhooks", "pause", "blocked")
        # of each order, the second event is due, and the first one in an hour
        self.stack.sql("insert into hook_deliveries (endpoint, event_id, order_id, sequence, type, at, due_at) "
                       "select 'blocked', -n, md5((n / 2)::text)::uuid, 2 - n % 2, 'order.confirmed', now(), "
                       "       now() + case when n % 2 = 1 then interval '1 hour' else interval '0' end "
                       "from generate_series(2, 6001) n")
        self.assertLess(self.pages_of_claims(2)[-1], 100)
        self.stack.sql("update hook_endpoints set paused = null, try_at = now() + interval '1 min' where endpoint = 'blocked'")
        self.assertLess(self.pages_of_claims(2)[-1], 100)
        self.stack.sql("update hook_endpoints set try_at = now() where endpoint = 'blocked'")
        read = []
        wait_until(lambda: read.append(self.rows_of_a_claim()) or read[-1] < 100, 60,
                   lambda: f"a claim that walks past nothing; the rows that each read: {read}")
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session, session.cursor() as cursor:
            cursor.execute("update checkout.hook_deliveries set due_at = now() where endpoint = 'blocked' and event_id = -3")
            cursor.execute("select event_id from checkout.claim_hooks('test', 60000, 16) where endpoint = 'blocked'")
            self.assertEqual(cursor.fetchall(), [(-3,)])
            session.rollback()

    def pages_of_claims(self, times):
        """How many pages each claim reads. The first of a session reads catalogs too."""
        return [self.stack.one("explain (analyze, buffers, format json) select * from claim_hooks('test', 60000, 16)")
                [0]["Plan"]["Shared Hit Blocks"] for _ in range(times)]

    def rows_of_a_claim(self):
        """How many deliveries a claim reads. Unlike pages, they do not count what an old snapshot of another session keeps
        PostgreSQL from forgetting: an entry of the index for each row that was put off."""
        counted = ("select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
                   "where relid = 'checkout.hook_deliveries'::regclass")
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session, session.cursor() as cursor:
            cursor.execute(counted)
            before = cursor.fetchone()[0]
            cursor.execute("select * from checkout.claim_hooks('test', 60000, 16)")
            cursor.execute(counted)
            return cursor.fetchone()[0] - before

    def test_a_queue_that_grew_after_a_quiet_time_is_read_no_further_than_it_is_taken(self):
        self.add("grown", "https://127.0.0.1:1/")
        calls = ("claim_hooks('test', 60000, 16)", "finish_hook({}, 1, 'due', 'x', 1000, 500, 1, '', 0, 1000)",
                 "forget_hooks(3600000, 1000)")
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session, session.cursor() as cursor:
            cursor.execute("set search_path = checkout; analyze hook_deliveries")
            for call in calls:      # makes the plans, which stay
                cursor.execute("select * from " + call.format(0))
            cursor.execute("insert into hook_deliveries (endpoint, event_id, order_id, sequence, type, at) "
                           "select 'grown', -n, md5((n / 2)::text)::uuid, 2 - n % 2, 'order.confirmed', now() "
                           "from generate_series(1, 6000) n returning delivery_id")
            delivery = cursor.fetchone()[0]
            cursor.execute("select * from " + calls[1].format(delivery))
            for call, most in zip(calls, (2000, 60, 1000)):
                cursor.execute("explain (analyze, buffers, format json) select * from " + call.format(delivery + 1))
                self.assertLess(cursor.fetchone()[0][0]["Plan"]["Shared Hit Blocks"], most, call)
            session.rollback()

    def test_what_waited_behind_another_event_is_tried_as_long_as_any(self):
        self.add("late", "https://127.0.0.1:1/")
        self.stack.ctl("webhooks", "pause", "late")
        self.stack.sql("insert into hook_deliveries (endpoint, event_id, order_id, sequence, type, at, since) "
                       "values ('late', -1, md5('late')::uuid, 2, 'order.confirmed', now(), now() - interval '71 hours')")
        self.stack.sql("update hook_endpoints set paused = null where endpoint = 'late'")
        wait_until(lambda: self.stack.sql("select 1 from hook_deliveries where event_id = -1 and attempts > 0"), 10, "a try")
        self.assertLess(self.stack.one("select extract(epoch from now() - since) from hook_deliveries where event_id = -1"), 60)

    def time_of_a_claim(self):
        """The least of three, in s."""
        took = []
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session, session.cursor() as cursor:
            cursor.execute("update checkout.hook_endpoints set paused = null where endpoint = 'long-queue'")
            for _ in range(3):
                began = time.monotonic()
                cursor.execute("select count(*) from checkout.claim_hooks('test', 60000, 16)")
                self.assertEqual(cursor.fetchone(), (16,))
                took.append(time.monotonic() - began)
                cursor.execute("update checkout.hook_deliveries set claimed_by = null where claimed_by = 'test'")
            session.rollback()
        return min(took)

    def test_a_developer_hears_the_feed_at_a_local_url(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        secret = new_secret()
        path = self.stack.write_secret("listen", secret)
        listen = subprocess.Popen([harness.program("checkoutctl"), "events", "listen", "--forward-to", receiver.url,
                                   "--secret-file", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=harness.program_environment(self.stack.settings))
        self.addCleanup(listen.kill)
        self.assertIn("listening", listen.stdout.readline())
        order = self.order().wait("confirmed")
        hook = receiver.wait(order.id, "order.confirmed")[-1]
        self.assertTrue(hook.signed_by(secret))
        listen.send_signal(signal.SIGTERM)
        said, _ = listen.communicate(timeout=10)
        self.assertEqual(listen.returncode, 0)
        self.assertIn("order.confirmed", said)

    def test_examples_of_receivers_take_what_is_signed_and_nothing_else(self):
        for name, command in (("receiver.py", sys.executable), ("receiver.mjs", "node")):
            secret, port = new_secret(), harness.free_port()
            process = subprocess.Popen([command, os.path.join(harness_npm.ROOT, "deploy/examples", name)],
                                       env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)})
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            wait_until(lambda: self.reached(port), 10, f"{name} to listen")
            endpoint = name.replace(".", "-")
            write_keys(self.keys, endpoint, new_secret())
            self.add(endpoint, f"http://127.0.0.1:{port}/hooks")
            self.assertIn("answered 40", self.stack.ctl("webhooks", "test", endpoint, check=False).stdout)
            write_keys(self.keys, endpoint, secret)
            self.daemon.process.send_signal(signal.SIGHUP)
            self.assertIn("taken", self.stack.ctl("webhooks", "test", endpoint).stdout)

    @staticmethod
    def reached(port):
        try:
            return harness.http_call(f"http://127.0.0.1:{port}", "GET", "/").status > 0
        except OSError:
            return False


if __name__ == "__main__":
    harness.main()
