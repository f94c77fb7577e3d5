#!/usr/bin/python3
"""`checkoutctl dead`: looking loses nothing and reorders nothing, a replay charges nobody twice."""

import json
import signal
import subprocess
import threading

import harness
from harness import wait_until


# basic.consume of checkout.dead on the wire: class 60, method 20, a reserved number, the queue's name
CONSUME_DEAD = b"\0\x3c\0\x14\0\0\x0dcheckout.dead"


class Dead(harness.TestCase):
    daemons = ()
    proxied = ("amqp",)
    shards = 2

    def setUp(self):
        self.stack.dead_letters()

    def ctl(self, *words, code=0, **settings):
        done = self.stack.ctl("dead", *words, check=False, **settings)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def listed(self):
        return [json.loads(line) for line in self.ctl("list", "--json").stdout.splitlines()]

    def bury(self, *bodies, reason="for a test"):
        """Puts bodies into checkout.dead as a consumer would."""
        for body in bodies:
            self.stack.broker.publish_dead(body, {"x-checkout-reason": reason})

    def in_queue(self):
        return [body for body, _ in self.stack.dead_letters()]


class Looking(Dead):
    def test_nothing(self):
        self.assertEqual(self.ctl("list").stdout, "no dead letters\n")
        self.assertEqual(self.ctl("list", "--json").stdout, "")
        self.assertIn("no dead letter has the id", self.ctl("show", "abc", code=1).stderr)

    def test_a_list_changes_neither_content_nor_order(self):
        bodies = [f"letter {n}".encode() for n in range(300)]
        self.bury(*bodies)
        first = self.listed()
        self.assertEqual(len(first), 300)
        self.assertEqual(len({letter["id"] for letter in first}), 300)
        self.assertEqual({letter["reason"] for letter in first}, {"for a test"})
        for _ in range(3):
            self.assertEqual(self.listed(), first)
        self.assertEqual(self.in_queue(), bodies)

    def test_killed_while_it_has_them_out(self):
        bodies = [f"letter {n}".encode() for n in range(50)]
        self.bury(*bodies)
        for _ in range(3):
            loss = self.stack.proxies["amqp"].lose_answers(CONSUME_DEAD)
            process = subprocess.Popen([harness.program("checkoutctl"), "dead", "list"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env=harness.program_environment(self.stack.settings))
            wait_until(lambda: self.stack.broker.dead_depth() == 0, 30, "all letters to be out")
            process.send_signal(signal.SIGKILL)
            process.wait()
            loss.reset()
        self.assertEqual(len(self.listed()), 50)
        self.assertEqual(self.in_queue(), bodies)

    def test_two_operators_at_once_both_see_everything(self):
        self.bury(*[f"letter {n}".encode() for n in range(200)])
        counts = []
        threads = [threading.Thread(target=lambda: counts.append(len(self.listed()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(counts, [200] * 4)

    def test_a_program_that_stays_is_told(self):
        self.bury(b"x")
        with self.stack.broker.consuming_dead():
            done = self.ctl("list", code=1)
            self.assertIn("1 other consumers hold letters of checkout.dead", done.stderr)
        self.assertEqual(len(self.listed()), 1)

    def test_show_masks_what_is_secret(self):
        sku = self.stack.item()
        job = self.stack.job("ann@example.org", sku, payment_method="pm_card_visa",
                             receipt_email="ann@example.org", reference="tok_123")
        whole = harness.message(job, {**job, "surprise": "4242 4242 4242 4242", "sku": "pm_card_visa"})
        self.bury(whole, whole[:-30], b"plain words of ann@example.org with pm_card_visa and 4242424242424242")
        for letter in self.listed():
            for options in ((), ("--json",)):
                text = self.ctl("show", letter["id"], *options).stdout
                for secret in ("pm_card", "example.org", "ann", "4242", "tok_123"):
                    self.assertNotIn(secret, text)
                self.assertIn("for a test", text)
            if letter["jobs"]:
                self.assertEqual(letter["orders"], [job["order_id"]] * 2)
                self.assertIn(sku, text)
            if letter["bytes"] > 300:
                self.assertIn(job["order_id"], text)

    def test_drop(self):
        self.bury(b"one", b"two", b"two", b"three")
        ids = [letter["id"] for letter in self.listed()]
        self.assertEqual(ids[1], ids[2])
        self.assertIn("--yes", self.ctl("drop", ids[1], code=2).stderr)
        self.assertEqual(len(self.listed()), 4)
        self.assertEqual(self.ctl("drop", ids[1], "--yes").stdout, "dropped 2\n")
        self.assertEqual(self.in_queue(), [b"one", b"three"])


class Replaying(Dead):
    daemons = ("sandbox", "consumer")

    def charges(self, order):
        """How many intents the gateway has for it, and how many of them took money."""
        intents = [intent for intent in self.stack.gateway.intents()
                   if (intent.get("metadata") or {}).get("order_id") == order]
        return len(intents), self.stack.gateway.captured().get(order, 0)

    def order_of(self, job):
        return harness.Order(self.stack, job["user_id"], job["order_id"])

    def test_a_good_message_and_a_single_job_come_to_the_counter(self):
        skus = [self.stack.item() for _ in range(3)]
        jobs = [self.stack.job("ann", sku) for sku in skus]
        self.bury(harness.message(jobs[0]), json.dumps(jobs[1]).encode(), harness.message(jobs[2]))
        self.assertEqual(self.ctl("replay", "--all").stdout, "replayed 3 letters with 3 jobs\n")
        for job in jobs:
            self.order_of(job).wait("confirmed")
        self.assertEqual(self.in_queue(), [])

    def test_replaying_what_was_paid_charges_nobody_again(self):
        sku = self.stack.item()
        job = self.stack.job("ann", sku)
        self.stack.publish_jobs(job)
        order = self.order_of(job).wait("confirmed")
        other = {**job, "payment_method": "pm_card_mastercard", "fingerprint": "0" * 32}
        self.bury(harness.message(job), json.dumps(job).encode(), harness.message(other))
        self.assertEqual(self.ctl("replay", "--all").stdout, "replayed 3 letters with 3 jobs\n")
        behind = self.stack.job("behind", sku)
        self.stack.publish_jobs(behind)
        self.order_of(behind).wait("confirmed")
        self.assertEqual(order.row(), ("confirmed", None))
        self.assertEqual(self.charges(order.id), (1, 1))
        self.assertEqual(self.stack.counts(sku), (10, 0, 2, 0))
        self.assertEqual(self.in_queue(), [])

    def test_what_cannot_be_read_stays(self):
        job = self.stack.job("ann", self.stack.item())
        forged = {**job, "user_id": "mallory"}
        good = harness.message(job)
        self.bury(b"nonsense", harness.message(forged), good, harness.message(job, version=9))
        done = self.ctl("replay", "--all", code=1)
        self.assertEqual(done.stdout, "replayed 1 letters with 1 jobs\n")
        self.assertEqual(done.stderr.count("stays: a consumer cannot read it either"), 3)
        self.order_of(job).wait("confirmed")
        self.assertEqual(len(self.in_queue()), 3)

    def test_one_of_them(self):
        jobs = [self.stack.job("ann", self.stack.item()) for _ in range(2)]
        self.bury(*[harness.message(job) for job in jobs])
        letters = self.listed()
        self.assertEqual([letter["orders"] for letter in letters], [[job["order_id"]] for job in jobs])
        replayed = json.loads(self.ctl("replay", letters[1]["id"], "--json").stdout)
        self.assertEqual((replayed["id"], replayed["jobs"], replayed["shard"]),
                         (letters[1]["id"], 1, self.stack.shard(jobs[1]["sku"])))
        self.order_of(jobs[1]).wait("confirmed")
        self.assertIsNone(self.order_of(jobs[0]).row())
        self.assertEqual(len(self.in_queue()), 1)
        self.assertIn("either an ID or --all", self.ctl("replay", code=2).stderr)
        self.assertIn("no dead letter has the id", self.ctl("replay", "123", code=1).stderr)

    def test_a_lost_confirm_leaves_it_dead_and_a_second_replay_does_no_harm(self):
        job = self.stack.job("ann", self.stack.item())
        self.bury(harness.message(job))
        loss = self.stack.proxies["amqp"].lose_answers(b"x-job-count")
        done = []
        thread = threading.Thread(target=lambda: done.append(self.ctl("replay", "--all", code=1)))
        thread.start()
        self.assertTrue(loss.seen.wait(10))
        thread.join()
        loss.reset()
        self.assertIn("has not confirmed its copy", done[0].stderr)
        self.order_of(job).wait("confirmed", timeout=30)
        self.assertEqual(self.ctl("replay", "--all").stdout, "replayed 1 letters with 1 jobs\n")
        wait_until(lambda: self.stack.broker.depth(self.stack.shard(job["sku"])) == 0, 30, "an empty queue")
        self.assertEqual(self.charges(job["order_id"]), (1, 1))
        self.assertEqual(self.in_queue(), [])

    def test_what_a_consumer_puts_aside_tells_when_and_why(self):
        sku = self.stack.item()
        self.stack.publish(self.stack.shard(sku), b"hello")
        letter = wait_until(self.listed, 15, "the dead letter")[0]
        self.assertTrue(letter["reason"])
        self.assertTrue(letter["died_at"].startswith("20"))
        text = self.ctl("list").stdout
        self.assertIn(letter["id"], text)
        self.assertIn("a consumer that could not read it", self.ctl("show", letter["id"]).stdout)


if __name__ == "__main__":
    harness.main()
