#!/usr/bin/python3
"""Looks at payments whose buyers are at their banks: counted at the gateway, beside the charges of others."""

import time

import harness
from harness import wait_until
from test_webhook import PATH, SECRET, event_of, sign

ASKS = "pm_card_authenticationRequired"
ACTING, CHARGED, ITEMS = 300, 900, 30
INFLIGHT = 16           # calls that may be counted on either side of a moment
EACH_SECOND = 5         # looks at all of them together, unless the gateway's webhooks say otherwise


class Looks(harness.TestCase):
    daemons = ("sandbox",)
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "5s", "CHECKOUT_ACTION_WAIT": "15m", "CHECKOUT_GATEWAY_INFLIGHT": str(INFLIGHT)}

    def setUp(self):
        self.consumer = self.stack.start("consumer")

    def tearDown(self):
        self.stack.gateway.calm()
        for order, in self.stack.sql("select order_id::text from orders where status = 'reserved'"):
            self.stack.sql("select * from checkout.request_cancel(%s, (select user_id from orders where order_id = %s))",
                           (order, order))
        wait_until(lambda: self.stack.one("select count(*) from orders where status = 'reserved'") == 0, 60,
                   "the buyers at their banks to have cancelled")
        self.consumer.stop()
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def publish(self, count, skus, name, **members):
        jobs = [self.stack.job(f"{name}-{n}", skus[n % len(skus)], **members) for n in range(count)]
        for sku in skus:
            self.stack.publish_jobs(*[job for job in jobs if job["sku"] == sku])

    def act(self, count, name):
        """So many buyers were asked to act at their banks."""
        sku = self.stack.item(stock=count)
        for begun in range(0, count, 100):
            self.publish(min(100, count - begun), [sku], f"{name}-{begun}", payment_method=ASKS)
        wait_until(lambda: self.stack.one("select count(*) from payments p join orders o using (order_id)"
                                          " where o.sku = %s and p.action is not null", (sku,)) == count, 60,
                   "the buyers to be asked")
        return sku

    def asked(self):
        """(looks, charges) that the gateway was asked for."""
        told = self.stack.gateway.call("GET", "/_control").json
        return told["looks"], told["requests"]

    def test_they_are_a_fifth_of_the_calls_at_most_and_never_forgotten(self):
        self.act(ACTING, "acting")
        before, began = self.asked(), time.monotonic()
        self.stack.gateway.latency(300)
        items = [self.stack.item(stock=CHARGED) for _ in range(ITEMS)]
        self.publish(CHARGED, items, "charged")
        seen = [self.asked()]

        def all_sent():
            seen.append(self.asked())
            return seen[-1][1] >= before[1] + CHARGED
        wait_until(all_sent, 120, "all charges to be sent")
        wait_until(lambda: self.stack.one("select count(*) from orders where status = 'confirmed' and sku = any (%s)",
                                          (items,)) == CHARGED, 120,
                   "the others to be charged", interval=0.2)
        charging_s = time.monotonic() - began
        looks = self.asked()[0] - before[0]
        self.assertGreaterEqual(looks, charging_s, f"{looks} looks in {charging_s:.0f} s")
        # for as long as charges waited for their turn, a look had its own behind four of them
        looks, charges = (now - then for now, then in zip(seen[-2], seen[0]))
        self.assertLessEqual(4 * looks, charges + INFLIGHT + 4, f"{looks} looks beside {charges} charges")
        self.stack.gateway.latency(0)
        before, began = self.asked(), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 15, 20, "some quiet time")
        looks = self.asked()[0] - before[0]
        self.assertLessEqual(looks, EACH_SECOND * (time.monotonic() - began) + EACH_SECOND)
        print(f"{charging_s:.1f} s of charging: {charges} charges; then {looks} looks in 15 s")

    def test_their_answers_silence_no_alarm_and_go_on_while_charges_are_stopped(self):
        sku = self.act(10, "between")
        self.stack.gateway.control(charges="refused")
        for user, method in (("ann", "pm_card_visa"), ("bob", "pm_card_mastercard"), ("cat", "pm_card_amex")):
            seen = self.asked()[0]
            wait_until(lambda: self.asked()[0] > seen, 20, "a look between two orders")
            self.order(user, method)
        wait_until(lambda: self.stopped(), 5, "the alarm")
        self.assertRegex(self.stopped(), "^misconfigured: ")
        order, intent = self.stack.sql("select order_id::text, intent_id from payments join orders o using (order_id)"
                                       " where o.sku = %s limit 1", (sku,))[0]
        self.assertEqual(self.stack.gateway.call("POST", f"/3ds/{intent}", {"outcome": "approve"}).status, 200)
        wait_until(lambda: self.stack.one("select status from orders where order_id = %s", (order,)) == "confirmed", 40,
                   "the buyer who has paid to be served")
        self.assertRegex(self.stopped(), "^misconfigured: ")
        self.stack.gateway.calm()
        self.order("eve", "pm_card_visa", "confirmed")
        wait_until(lambda: self.stopped() is None, 5, "the alarm to end")

    def order(self, user, method, ends="rejected"):
        job = self.stack.job(user, self.stack.item(), payment_method=method)
        self.stack.publish_jobs(job)
        wait_until(lambda: self.stack.one("select status from orders where order_id = %s", (job["order_id"],)) == ends, 20,
                   f"the order of {user} to be {ends}")

    def stopped(self):
        return self.stack.one("select min(payments_stopped) from shards where payments_stopped is not null")

    def test_where_webhooks_come_there_is_hardly_any(self):
        self.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=self.stack.write_secret("webhook", SECRET))
        paid = self.stack.order("zoe", self.stack.item(), payment_method=ASKS)
        wait_until(lambda: self.stack.one("select action is not null from payments where order_id = %s", (paid.id,)), 15,
                   "the buyer to be asked")
        intent = self.stack.one("select intent_id from payments where order_id = %s", (paid.id,))
        self.assertEqual(self.stack.gateway.call("POST", f"/3ds/{intent}", {"outcome": "approve"}).status, 200)
        body = event_of(paid.id).replace(b"pi_made_up", intent.encode())
        answer = self.stack.call(None, "POST", PATH, body, {"Content-Type": "application/json", "Stripe-Signature": sign(body)})
        self.assertEqual(answer.status, 200, answer)
        paid.wait("confirmed", timeout=10)
        self.act(20, "told")
        before, began = self.asked(), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 20, 25, "a third of a minute")
        self.assertEqual(self.asked()[0], before[0])


if __name__ == "__main__":
    harness.main()
