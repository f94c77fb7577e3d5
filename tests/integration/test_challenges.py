#!/usr/bin/python3
"""Items with a challenge: only a token that says that its buyer passed it can order them, whoever else is away."""

import json
import uuid

import harness
import psycopg2
from harness import wait_until
from harness_client import PROBLEMS

NAME = "/problems/challenge-required"


class Challenged(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    proxied = ("redis",)

    def post(self, sku, human=None, user="ann", key=None):
        return self.stack.call(None, "POST", "/v1/orders", {
            "sku": sku, "quantity": 1, "payment_method": "pm_card_visa"}, {
            "Idempotency-Key": key or uuid.uuid4().hex,
            "Authorization": "Bearer " + self.stack.token(user, human=human)})

    def order(self, answer, user="ann"):
        self.assertEqual(answer.status, 202, answer)
        return harness.Order(self.stack, user, answer.json["id"])

    def drop(self, challenge="drop-7", **columns):
        """An item with a challenge, which the door knows."""
        sku = self.stack.item(challenge=challenge, **columns)
        wait_until(lambda: self.post(sku, user=uuid.uuid4().hex).status == 403, 10, "the door to know the challenge")
        return sku

    def published(self, sku, **members):
        """An order that another program accepted."""
        job = self.stack.job("ann", sku, **members)
        self.stack.publish_jobs(job)
        return harness.Order(self.stack, "ann", job["order_id"])

    # -- the door ----------------------------------------------------------------------------------

    def test_the_door_refuses_and_says_which_challenge(self):
        sku = self.drop()
        for human in (None, "drop-77", "drop", "Drop-7 other", True, ["drop-7"], "drop-7  x"):
            with self.subTest(human=human):
                answer = self.post(sku, human)
                self.assertEqual((answer.status, answer.headers["Content-Type"]), (403, "application/problem+json"))
                self.assertEqual(answer.json, {"type": NAME, "title": PROBLEMS[NAME][1], "status": 403,
                                               "challenge": "drop-7"})
        self.assertEqual(self.stack.one("select count(*) from orders where sku = %s and user_id = 'ann'", (sku,)), 0)
        self.assertEqual(self.stack.call(None, "GET", f"/v1/items/{sku}").json["challenge"], "drop-7")

    def test_whoever_passed_it_buys_also_under_a_key_that_was_refused(self):
        sku, key = self.drop(gate="lock", stock=1), uuid.uuid4().hex
        self.assertEqual(self.post(sku, "other", key=key).status, 403)
        self.order(self.post(sku, "other drop-7", key=key)).wait("confirmed")

    def test_an_accepted_order_that_comes_again_is_never_refused(self):
        sku, key = self.drop(), uuid.uuid4().hex
        first = self.order(self.post(sku, "drop-7", key=key))
        again = self.post(sku, key=key)
        self.assertEqual((again.status, again.json["id"]), (202, first.id))
        first.wait("confirmed")

    def test_it_is_set_and_lifted_while_the_item_sells(self):
        sku = self.stack.item()
        self.order(self.post(sku)).wait("confirmed")
        done = self.stack.ctl("items", "set", sku, "challenge=drop-8")
        self.assertEqual(done.stdout, "challenge drop-8, was none\n")
        wait_until(lambda: self.post(sku).status == 403, 10, "the door to know the challenge")
        self.stack.ctl("items", "set", sku, "challenge=")
        answer = wait_until(lambda: (lambda got: got if got.status == 202 else None)(self.post(sku)), 10, "its end")
        self.order(answer).wait("confirmed")
        self.assertNotIn("challenge", self.stack.call(None, "GET", f"/v1/items/{sku}").json)

    def test_a_file_of_items_names_challenges(self):
        a, b = (f"item-{uuid.uuid4().hex[:12]}" for _ in range(2))
        path = f"{self.stack.directory}/items.csv"
        with open(path, "w", encoding="ascii") as sink:
            sink.write(f"sku,title,price,currency,stock,challenge\n{a},A,1000,usd,1,drop-7\n{b},B,1000,usd,1,\n")
        self.stack.ctl("items", "import", path)
        listed = [json.loads(line) for line in self.stack.ctl("items", "list", "--json").stdout.splitlines()]
        self.assertEqual({item["sku"]: item["challenge"] for item in listed if item["sku"] in (a, b)},
                         {a: "drop-7", b: None})
        self.assertIn("must be 1 to 64", self.stack.ctl("items", "set", a, "challenge=two words", check=False).stderr)

    # -- the counter -------------------------------------------------------------------------------

    def test_nobody_else_passes_while_redis_is_away(self):
        sku = self.drop()
        self.stack.proxies["redis"].down()
        self.addCleanup(self.stack.proxies["redis"].up)
        without = wait_until(lambda: (lambda got: got if got.status == 202 else None)(self.post(sku)), 15,
                             "the door to let orders pass")
        self.order(without).wait("rejected", "challenge_required")
        self.order(self.post(sku, "drop-77", "bob"), "bob").wait("rejected", "challenge_required")
        self.order(self.post(sku, "drop-7", "eve"), "eve").wait("confirmed")

    def test_the_counter_decides_what_other_programs_publish(self):
        sku = self.stack.item(challenge="drop-7")
        self.published(sku).wait("rejected", "challenge_required")
        self.published(sku, human="drop-70 xdrop-7").wait("rejected", "challenge_required")
        self.published(sku, human="drop-7").wait("confirmed")
        self.published(sku, human=True).wait("rejected", "invalid")
        self.published(self.stack.item(), human="drop-7").wait("confirmed")

    def test_an_order_that_was_set_aside_keeps_what_its_token_said(self):
        sku = self.stack.item(challenge="drop-7")
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        try:
            session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
            passed, without = self.published(sku, human="drop-7"), self.published(sku)
            wait_until(lambda: self.stack.one("select count(*) from jobs_aside where sku = %s", (sku,)) == 2, 30,
                       "the orders to be set aside")
        finally:
            session.close()
        passed.wait("confirmed")
        without.wait("rejected", "challenge_required")


if __name__ == "__main__":
    harness.main()
