#!/usr/bin/python3
"""Buyers who have to act at their bank (3-D Secure): the unit is theirs while they may, and only so long."""

import json

import harness
import harness_client
from harness import wait_until

ASKS = "pm_card_authenticationRequired"


class TestCase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def intent(self, order):
        found, = [intent for intent in self.stack.gateway.intents()
                  if (intent.get("metadata") or {}).get("order_id") == order.id]
        return found

    def act(self, order, outcome):
        answer = self.stack.gateway.call("POST", f"/3ds/{self.intent(order)['id']}", {"outcome": outcome})
        self.assertEqual(answer.status, 200)
        return answer.json["status"]

    def action(self, order):
        answer = self.stack.call(order.user, "GET", f"/v1/orders/{order.id}")
        self.assertEqual(answer.status, 200)
        return answer.json.get("next_action")

    def asked(self, sku, user="ann"):
        order = self.stack.order(user, sku, payment_method=ASKS)
        wait_until(lambda: self.action(order) is not None, 30, "the buyer to be asked to act")
        return order

    def ended(self, order):
        """Nothing is left of what the buyer was to do."""
        self.assertIsNone(self.action(order))
        self.assertEqual(self.stack.sql("select state, action from payments where order_id = %s and "
                                        "action is not null", (order.id,)), [])


class Actions(TestCase):
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "60s"}

    def test_the_unit_is_held_until_the_buyer_has_acted(self):
        sku = self.stack.item(stock=1)
        order = self.asked(sku)
        self.assertEqual(self.action(order)["type"], "use_stripe_sdk")
        ends = self.stack.one("select to_char(action_until at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') "
                              "from payments where order_id = %s", (order.id,))
        self.assertEqual(self.action(order)["expires_at"], ends)
        self.assertEqual(self.stack.call("eve", "GET", f"/v1/orders/{order.id}").status, 404)
        self.assertTrue(self.action(order)["client_secret"].startswith(self.intent(order)["id"] + "_secret_"))
        behind = self.stack.order("bob", sku).wait("waiting")
        self.assertEqual(order.status(), "reserved")
        self.assertEqual(self.act(order, "approve"), "succeeded")
        order.wait("confirmed", timeout=25)
        behind.wait("rejected", "sold_out")
        self.ended(order)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)

    def test_the_event_tells_what_to_do(self):
        order = self.asked(self.stack.item())
        told = self.stack.sql("select u.status, u.sequence, u.next_action from relays r, unrelayed(r.shard, 0, 10000) u "
                              "where u.order_id = %s order by u.sequence", (order.id,))
        self.assertEqual([row[:2] for row in told], [("reserved", 1), ("reserved", 2)])
        self.assertIsNone(told[0][2])
        self.assertEqual(json.loads(told[1][2]), self.action(order))

    def test_a_buyer_is_asked_also_if_only_the_list_shows_that_the_bank_wants_it(self):
        self.stack.gateway.fault("500-after-charge", 1)
        order = self.asked(self.stack.item(stock=1))
        self.assertEqual(self.action(order)["type"], "use_stripe_sdk")
        self.act(order, "approve")
        order.wait("confirmed", timeout=25)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)
        self.assertEqual(self.stack.one("select count(*) from payments where order_id = %s", (order.id,)), 1)

    def test_a_buyer_who_fails_there_passes_the_unit_on(self):
        sku = self.stack.item(stock=1)
        order = self.asked(sku)
        behind = self.stack.order("bob", sku).wait("waiting")
        self.act(order, "decline")
        order.wait("rejected", "payment_declined", timeout=25)
        behind.wait("confirmed")
        self.assertEqual(self.intent(order)["status"], "canceled")
        self.ended(order)

    def test_a_consumer_that_is_killed_meanwhile_keeps_unit_and_time(self):
        order = self.asked(self.stack.item(stock=1))
        until = self.stack.one("select action_until from payments where order_id = %s", (order.id,))
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.act(order, "approve")
        self.stack.start_again(consumer)
        order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.one("select action_until from payments where order_id = %s", (order.id,)), until)
        self.assertEqual(self.stack.one("select count(*) from order_events where order_id = %s", (order.id,)), 3)
        self.assertEqual(self.stack.gateway.captured().get(order.id), 1)


class Told(TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "60s"}

    def test_live_and_again_on_a_new_socket_and_no_more_at_the_end(self):
        live, eve = self.stack.listen("ann"), self.stack.listen("eve")
        order = self.asked(self.stack.item(stock=1))

        def told(listener):
            return [event for event in listener.of(order.id) if "next_action" in event["data"]]
        wait_until(lambda: told(live), 30, "the event")
        self.assertEqual(told(live)[-1]["data"]["next_action"], self.action(order))
        again = self.stack.listen("ann")
        wait_until(lambda: told(again), 30, "its replay")
        self.act(order, "approve")
        self.assertNotIn("next_action", live.wait_final(order.id)["data"])
        self.assertEqual(eve.of(order.id), [])


class Redirects(TestCase):
    settings = {"CHECKOUT_GATEWAY_RETURN_URL": "https://shop.example/back?order=1", "CHECKOUT_ACTION_WAIT": "60s"}

    def test_the_buyer_is_sent_to_the_banks_page_and_back(self):
        order = self.asked(self.stack.item(stock=1))
        action = self.action(order)
        self.assertEqual(set(action), {"type", "url", "expires_at"})
        self.assertEqual(action["url"], f"{self.stack.gateway.url}/3ds/{self.intent(order)['id']}")
        page = harness_client.http_call(self.stack.gateway.url, "GET", action["url"][len(self.stack.gateway.url):])
        self.assertEqual(page.status, 200)
        self.assertIn(b"https://shop.example/back?order=1", page.body)
        self.act(order, "approve")
        order.wait("confirmed", timeout=25)

    def test_who_needs_no_bank_pays_as_before(self):
        self.stack.order("ann", self.stack.item()).wait("confirmed")


class Cancelled(TestCase):
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "60s"}

    def cancel(self, order):
        return self.stack.call(order.user, "DELETE", f"/v1/orders/{order.id}")

    def test_a_buyer_at_the_bank_may_cancel_and_the_next_in_line_is_served(self):
        sku = self.stack.item(stock=1)
        order = self.asked(sku)
        behind = self.stack.order("bob", sku).wait("waiting")
        answer = self.cancel(order)
        self.assertEqual((answer.status, answer.json["status"]), (202, "reserved"))
        order.wait("cancelled", timeout=10)
        self.assertEqual(self.intent(order)["status"], "canceled")
        behind.wait("confirmed")
        self.assertEqual(self.cancel(order).status, 200)
        self.ended(order)
        self.stack.ctl("audit")

    def test_one_who_has_paid_meanwhile_has_bought_it(self):
        order = self.asked(self.stack.item(stock=1))
        self.act(order, "approve")
        self.assertIn(self.cancel(order).status, (202, 409))
        order.wait("confirmed", timeout=10)
        self.assertEqual(self.cancel(order).status, 409)


class Expiry(TestCase):
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "2s"}

    def test_a_buyer_who_does_not_act_loses_the_unit_when_the_intent_is_cancelled(self):
        sku = self.stack.item(stock=1)
        order = self.asked(sku)
        behind = self.stack.order("bob", sku).wait("waiting")
        order.wait("rejected", "payment_declined", timeout=25)
        self.assertEqual(self.intent(order)["status"], "canceled")
        behind.wait("confirmed")
        self.ended(order)

    def test_time_runs_while_no_consumer_does_and_a_late_success_of_then_counts(self):
        sku = self.stack.item(stock=2)
        paid, forgotten = self.asked(sku), self.asked(sku, "bob")
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.act(paid, "approve")
        wait_until(lambda: self.stack.one("select count(*) from payments where action_until < now() and "
                                          "order_id in (%s, %s)", (paid.id, forgotten.id)) == 2, 10, "their time to end")
        self.stack.start_again(consumer)
        paid.wait("confirmed", timeout=40)
        forgotten.wait("rejected", "payment_declined", timeout=40)
        self.assertEqual(self.stack.gateway.captured().get(paid.id), 1)


if __name__ == "__main__":
    harness.main()
