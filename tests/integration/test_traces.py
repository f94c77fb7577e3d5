#!/usr/bin/python3
"""An order's trace: from its request to the gateway, its events and the log."""

import json
import re
import uuid

import harness
from harness import wait_until
from harness_gateway import Scripted, intent

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OWN = "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$"


class Traces(Scripted):
    daemons = ("producer", "notifier")
    settings = {"CHECKOUT_TRACE": "true"}

    def order(self, user, sku, trace=None):
        headers = {"Idempotency-Key": uuid.uuid4().hex, **({"traceparent": trace} if trace else {})}
        answer = self.stack.call(user, "POST", "/v1/orders",
                                 {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"}, headers)
        self.assertEqual(answer.status, 202, answer)
        return harness.Order(self.stack, user, answer.json["id"])

    def at_gateway(self, order=None):
        """The requests about the order (None: all), in their order: (path, trace)."""
        return [(at, headers.get("traceparent")) for _, at, headers, form in list(self.gateway.requests)
                if order is None or form.get("metadata[order_id]") == order.id]

    def lines(self, order):
        found = [json.loads(line) for line in self.consumer.log_text().decode().splitlines()]
        return [line for line in found if line.get("order_id") == order.id]

    def test_it_is_in_each_call_each_event_and_each_line(self):
        self.consume()
        live = self.stack.listen("ann")
        self.addCleanup(live.close)
        self.answer = lambda form: (200, intent(form, amount=1))        # unclear: it is asked again
        order = self.order("ann", self.stack.item(stock=1), TRACE)
        wait_until(lambda: len(self.gateway.charges()) >= 2, 15, "it to be asked again")
        self.answer = lambda form: (200, intent(form))
        order.wait("confirmed")
        self.gateway.intents.append(intent(self.gateway.charges()[-1]))
        live.wait_final(order.id)
        self.stack.ctl("orders", "refund", order.id)
        wait_until(lambda: self.gateway.refunds, 15, "the refund")
        wait_until(lambda: live.statuses(order.id)[-1] == "refunded", 15, "its event")
        replayed = self.stack.listen("ann")
        self.addCleanup(replayed.close)
        wait_until(lambda: replayed.of(order.id), 15, "the replay")
        self.assertEqual({trace for at, trace in self.at_gateway() if "?" not in at}, {TRACE})     # not the list
        self.assertEqual({event["traceparent"] for event in live.of(order.id) + replayed.of(order.id)}, {TRACE})
        lines = self.lines(order)
        self.assertIn("payment attempt has no definite answer; trying again", {line["event"] for line in lines})
        self.assertEqual({line["trace_id"] for line in lines if "payment attempt" in line["event"]}, {TRACE_ID})

    def test_an_order_without_a_trace_gets_one_that_outlives_a_consumer(self):
        self.consume()
        self.answer = lambda form: None
        sku = self.stack.item(stock=1)
        first, malformed = self.order("ann", sku), self.order("bob", sku, TRACE + "-more")
        wait_until(lambda: self.at_gateway(first), 15, "its charge")
        self.consumer.kill()
        before = len(self.at_gateway(first))
        self.consume()
        wait_until(lambda: len(self.at_gateway(first)) > before, 30, "the next owner's charge")
        self.answer = lambda form: ((402, {"error": {"type": "card_error", "code": "card_declined",
                                                     "payment_intent": intent(form, "requires_payment_method")}})
                                    if form["metadata[order_id]"] == first.id else (200, intent(form)))
        first.wait("rejected", timeout=30)
        malformed.wait("confirmed", timeout=30)         # from the waitlist
        traces = [{trace for _, trace in self.at_gateway(order)} for order in (first, malformed)]
        self.assertEqual([len(each) for each in traces], [1, 1], traces)
        self.assertTrue(all(re.match(OWN, trace) for each in traces for trace in each), traces)
        self.assertNotEqual(*traces)


if __name__ == "__main__":
    harness.main()
