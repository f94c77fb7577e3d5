#!/usr/bin/python3
"""Refunds: what an operator gives back, and what must not have been taken; each once, whatever gets lost."""

import json
import subprocess
import threading
import time

import harness
from harness import wait_until
from harness_gateway import Scripted, intent

FAILED = (500, {"error": {"type": "api_error"}})


def refunds(stack, order):
    return stack.sql("select attempt, state, reason, idempotency_key from refunds where order_id = %s order by 1",
                     (order.id,))


def refund_command(stack, order, *options, code=0):
    done = stack.ctl("orders", "refund", order.id, *options, check=False)
    if done.returncode != code:
        raise AssertionError(f"orders refund ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class AtTheSandbox(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s"}

    def tearDown(self):
        """What the gateway kept is what the confirmed orders paid; no refund is made twice."""
        self.stack.gateway.calm()
        confirmed = {row[0] for row in self.stack.sql("select order_id::text from orders"
                                                      " where status = 'confirmed'")}
        self.assertEqual(self.stack.gateway.captured(), {order: 1 for order in confirmed})
        given_back = sorted(i["metadata"]["order_id"] for i in self.stack.gateway.intents() if i["amount_refunded"])
        self.assertEqual(given_back, sorted(row[0] for row in self.stack.sql(
            "select order_id::text from refunds where state = 'succeeded'")))
        self.assertEqual(self.stack.one("select count(*) from refunds where state = 'open'"), 0)
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def confirmed(self, sku=None, **members):
        return self.stack.order("ann", sku or self.stack.item(), **members).wait("confirmed")

    def refund(self, order, *options, code=0):
        return refund_command(self.stack, order, *options, code=code)

    def test_an_order_is_refunded_and_its_unit_stays_sold(self):
        sku = self.stack.item(stock=3)
        order = self.confirmed(sku)
        self.assertIn("refunded: 1000 usd", self.refund(order, "--note", "it was broken"))
        self.assertEqual(order.row(), ("refunded", None))
        self.assertEqual(self.stack.counts(sku), (3, 0, 1, 0))
        self.assertEqual(refunds(self.stack, order), [(1, "succeeded", "requested", f"{order.id}-1-refund")])
        self.assertEqual(self.stack.sql("select status from order_events where order_id = %s order by sequence",
                                        (order.id,)), [("reserved",), ("confirmed",), ("refunded",)])
        self.assertEqual(self.stack.status("ann", order.id).json["status"], "refunded")
        self.assertIn("before", self.refund(order))

    def test_restock_gives_the_unit_to_the_next_in_line(self):
        sku = self.stack.item(stock=2)
        order = self.confirmed(sku)
        self.stack.gateway.control(mode="never", times=1)
        slow = self.stack.order("bob", sku).wait("reserved")
        behind = self.stack.order("cleo", sku).wait("waiting")
        self.refund(order, "--restock")
        behind.wait("confirmed")
        slow.wait("confirmed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (2, 0, 2, 0))

    def test_only_a_confirmed_order_can_be_refunded(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.control(latency_ms=1500)
        paying = self.stack.order("ann", sku).wait("reserved")
        waiting = self.stack.order("bob", sku).wait("waiting")
        self.assertIn("its payment is under way", self.refund(paying, code=1))
        self.assertIn("it waits in line, and nothing was paid", self.refund(waiting, code=1))
        waiting.wait("rejected", "sold_out")
        self.assertIn("it is rejected (sold_out), and nothing is to be paid back", self.refund(waiting, code=1))
        unknown = self.stack.ctl("orders", "refund", "00000000-0000-8000-8000-000000000000", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("no order", unknown.stderr)

    def test_two_who_refund_at_once_refund_once(self):
        order = self.confirmed()
        self.stack.gateway.control(latency_ms=400)
        told = []
        clerks = [threading.Thread(target=lambda: told.append(self.refund(order))) for _ in range(3)]
        for clerk in clerks:
            clerk.start()
        for clerk in clerks:
            clerk.join()
        self.assertEqual(len(told), 3)
        self.assertEqual(len(refunds(self.stack, order)), 1)
        self.assertEqual(order.status(), "refunded")

    def lost(self, mode, tries=1):
        order = self.confirmed()
        self.stack.gateway.fault(mode, 1)
        self.refund(order)
        self.assertEqual(order.status(), "refunded")
        keys = [f"{order.id}-1-refund"] + [f"{order.id}-1-refund-{n}" for n in range(2, tries + 1)]
        self.assertEqual(refunds(self.stack, order), [(1, "succeeded", "requested", keys[-1])])

    def test_an_answer_that_is_lost_or_makes_no_sense(self):
        for mode in ("reset", "charge-then-reset", "429", "409", "garbage", "partial", "wrong-amount", "never",
                     "charge-then-never"):
            with self.subTest(mode=mode):
                self.lost(mode)

    def test_an_error_after_it_was_executed_is_found_in_the_list(self):
        self.lost("500-after-charge")

    def test_an_error_instead_of_it_is_followed_by_a_key_of_its_own(self):
        self.lost("500", tries=2)


if __name__ == "__main__":
    harness.main()
