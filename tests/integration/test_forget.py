#!/usr/bin/python3
"""checkoutctl forget: a customer's name is nowhere any more; sums and limits are as before."""

import json
import signal
import subprocess
import uuid
from unittest import mock

import harness
from harness import wait_until
from harness_database import as_login
from test_purge import PurgeCase


class Forget(PurgeCase):
    def forget(self, user, code=0):
        done = self.stack.ctl("forget", "--user", user, "--json", check=False,
                              CHECKOUT_DATABASE_URL=as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"))
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def letters(self):
        return [json.loads(line) for line in self.stack.ctl("dead", "list", "--json").stdout.splitlines()]

    def die(self, *orders, user):
        """A dead letter of jobs that no consumer can read, as `dead list` shows it."""
        before = {letter["id"] for letter in self.letters()}
        jobs = [{"order_id": order, "user_id": user, "sku": "x"} for order in orders] or [{"user_id": user, "sku": "x"}]
        self.stack.broker.publish_dead(json.dumps({"version": 1, "jobs": jobs}).encode())
        return wait_until(lambda: [letter for letter in self.letters() if letter["id"] not in before], 20, "the dead letter")[0]

    def assert_nowhere(self, *words):
        """No column of any table has these words in it, and no key of Redis."""
        for (table,) in self.stack.sql("select relname from pg_class where relnamespace = 'checkout'::regnamespace "
                                       "and relkind = 'r'"):
            for word in words:
                self.assertEqual(self.stack.one(f"select count(*) from {table} t where position(%s in t::text) > 0", (word,)),
                                 0, f"{word} in {table}")
        for key in self.stack.redis().scan_iter("*"):
            for word in words:
                self.assertNotIn(word, key.decode())

    def test_the_name_goes_and_the_sums_stay(self):
        user, mail = f"ann-{uuid.uuid4().hex[:8]}", f"{uuid.uuid4().hex[:8]}@example.org"
        sku = self.stack.item(stock=9, limit_per_user=2)
        other = self.stack.item(stock=9)
        key = uuid.uuid4().hex
        first = self.stack.order(user, sku, key=key, receipt_email=mail, reference=f"cart-{user}").wait("confirmed")
        late = self.stack.order(user, other, receipt_email=mail).wait("confirmed")
        old = self.stack.order(user, sku).wait("confirmed")
        back = self.stack.order(user, other).wait("confirmed")
        self.stack.ctl("orders", "refund", back.id, "--note", f"{user} called")
        back.wait("refunded")
        beside = self.stack.order("bob", sku).wait("confirmed")
        self.age(old)
        self.relayed()
        self.stack.sql("insert into commands (kind, order_id, user_id, requested_by, state, result, finished_at) "
                       "values ('cancel', gen_random_uuid(), %s, 'buyer', 'refused', 'there is no such order', now())", (user,))
        purged = self.purge()
        self.assertEqual(purged["purged"], 1, purged)

        self.stack.sql("insert into requests (requested_by, key, kind, order_id, wish, note) values ('desk', %s, 'refund', %s, "
                       "jsonb_build_object('note', %s), %s)", (user[::-1], back.id, user, user))
        self.stack.sql("insert into hook_endpoints (endpoint, url) values ('shop', 'https://shop.example')")
        self.stack.sql("insert into hook_deliveries (endpoint, event_id, order_id, type, at, state, answer) "
                       "values ('shop', 1, %s, 'order.refunded', now(), 'sent', %s)", (back.id, f"no such user: {user}"))

        self.die(first.id, old.id, user=user)       # copies of what is decided, and purged
        self.die(beside.id, user="bob")
        forgotten = self.forget(user)
        self.assertEqual((forgotten["orders"], forgotten["dead_letters"]), (3, 1))
        self.assert_nowhere(user, mail)
        self.assertEqual([letter["orders"] for letter in self.letters()], [[beside.id]])
        names = {row[0] for row in self.stack.sql("select user_id from orders where order_id = any (%s::uuid[])",
                                                  ([first.id, late.id, back.id],))}
        self.assertEqual(len(names), 1)
        self.assertRegex(names.pop(), "^forgotten-[0-9a-f-]{36}$")
        self.assertEqual(self.stack.one("select user_id from orders where order_id = %s", (beside.id,)), "bob")
        self.assertEqual(self.stack.call(user, "GET", f"/v1/orders/{first.id}").status, 404)
        self.assertEqual(self.stack.call(user, "DELETE", f"/v1/orders/{first.id}").status, 404)
        self.assertEqual(self.stack.call(user, "GET", "/v1/orders").json["orders"], [])
        self.assertEqual(self.stack.sql("select requested_by <> '', finished_at is not null, orders from forgets "
                                        "where forget_id = %s", (forgotten["forget"],)), [(True, True, 3)])
        self.assert_audit_clean()
        self.stack.ctl("orders", "refund", late.id)         # of a forgotten customer, too
        late.wait("refunded")
        self.assert_audit_clean()

        again = self.stack.order(user, sku)                 # has had two
        again.wait("rejected", "limit_exceeded")
        self.assertEqual(self.forget(user)["orders"], 1)
        self.assert_nowhere(user, mail)
        self.assertEqual(self.forget(user)["orders"], 0)
        self.assert_audit_clean()

    def test_not_while_something_is_open(self):
        user = f"eve-{uuid.uuid4().hex[:8]}"
        sku = self.stack.item(stock=2, paused=True)
        waiting = self.stack.order(user, sku).wait("waiting")
        self.assertIn("not forgotten: an order of theirs is open", self.forget(user, code=1))
        self.assertEqual(self.stack.one("select user_id from orders where order_id = %s", (waiting.id,)), user)
        self.stack.call(user, "DELETE", f"/v1/orders/{waiting.id}")
        waiting.wait("cancelled")
        copy = self.die(waiting.id, user=user)
        for orders in ((), (str(uuid.uuid4()),), (waiting.id, str(uuid.uuid4()))):     # each may be an order
            letter = self.die(*orders, user=user)
            said = self.forget(user, code=1)
            self.assertIn(f"1 dead letters that name the user may be orders that are not decided, one of them is {letter['id']}",
                          said)
            self.assertEqual(len(self.letters()), 2)
            self.stack.ctl("dead", "drop", letter["id"], "--yes")
        self.assertEqual([letter["id"] for letter in self.letters()], [copy["id"]])
        self.assertEqual(self.forget(user), {"forget": mock.ANY, "orders": 1, "dead_letters": 1})
        self.assertEqual(self.letters(), [])
        self.assert_nowhere(user)

    def test_when_it_dies_the_next_one_goes_on(self):
        user = f"many-{uuid.uuid4().hex[:8]}"
        skus = [self.stack.item(stock=600, limit_per_user=1000) for _ in range(3)]
        jobs = [[self.stack.job(user, sku, payment_method="pm_card_visa") for _ in range(100)] for sku in skus]
        for some in jobs:
            self.stack.publish_jobs(*some)
        orders = [harness.Order(self.stack, user, job["order_id"]) for some in jobs for job in some]
        for order in orders:
            order.wait("confirmed")
        process = subprocess.Popen([harness.program("checkoutctl"), "forget", "--user", user],
                                   env=harness.program_environment(self.stack.settings), stdout=subprocess.PIPE)
        wait_until(lambda: process.poll() is not None or
                   self.stack.one("select count(*) from orders where user_id = %s", (user,)) < 300, 20, "the first orders")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.assert_audit_clean()
        self.forget(user)
        self.assert_nowhere(user)
        self.assertEqual(self.stack.one("select sum(units) from forgotten_units where sku = any (%s)", (skus,)), 300)
        self.assert_audit_clean()


if __name__ == "__main__":
    harness.main()
