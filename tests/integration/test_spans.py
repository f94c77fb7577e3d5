#!/usr/bin/python3
"""Spans: an order's way through all programs at a collector, by the published schema; and a collector that is silent or
dead, for which nobody waits."""

import json
import os
import time
import unittest
import uuid

import harness
import harness_npm
from harness import wait_until
from harness_gateway import Scripted, intent
from harness_hooks import Receiver, new_secret, write_keys
from harness_mail import Inbox
from harness_spans import Collector

# The last of these that has .proto files; the fields of stable messages stay.
PACKAGES = ("protobufjs@7.4.0", "@opentelemetry/otlp-grpc-exporter-base@0.36.1")
TRACE_ID, CLIENTS_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE = f"00-{TRACE_ID}-{CLIENTS_SPAN}-00"          # which its client does not sample
WAY = {("checkout-producer", "POST /v1/orders"), ("checkout-producer", "send checkout.jobs"),
       ("checkout-consumer", "decide order"), ("checkout-consumer", "charge payment"),
       ("checkout-consumer", "publish event"), ("checkout-notifier", "push event"),
       ("checkout-mailer", "send mail"), ("checkout-webhooks", "deliver webhook")}


class Spans(Scripted):
    daemons = ()
    settings = {"CHECKOUT_TRACE_RATIO": "1", "CHECKOUT_OTLP_TIMEOUT": "1s", "CHECKOUT_MAIL": "true",
                "CHECKOUT_MAIL_TO_ANY": "true", "CHECKOUT_MAIL_FROM": "shop@example.org", "CHECKOUT_SMTP_TLS": "false",
                "CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1", "CHECKOUT_LOG_LEVEL": "debug"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.collector, cls.inbox, cls.receiver = Collector(), Inbox(), Receiver()
        for each in (cls.collector, cls.inbox, cls.receiver):
            cls.addClassCleanup(each.close)
        keys = os.path.join(cls.stack.directory, "keys")
        os.makedirs(keys)
        write_keys(keys, "shop", new_secret())
        headers = os.path.join(cls.stack.directory, "headers")
        with open(headers, "w", encoding="ascii") as file:
            file.write("X-Tenant: checkout\nAuthorization: Bearer it-is-me\n")
        cls.stack.settings.update({"CHECKOUT_OTLP_ENDPOINT": cls.collector.url + "/", "CHECKOUT_OTLP_HEADERS_FILE": headers,
                                   "CHECKOUT_SMTP_URL": f"smtp://127.0.0.1:{cls.inbox.port}", "CHECKOUT_HOOKS_SECRETS": keys})
        for name in ("producer", "notifier", "mailer", "webhooks"):
            setattr(cls, name, cls.stack.start(name))
        cls.stack.ctl("webhooks", "add", "shop", cls.receiver.url, "--types", "order.confirmed")

    def setUp(self):
        super().setUp()
        self.consume()

    def order(self, user="ann", trace=TRACE, **members):
        headers = {"Idempotency-Key": uuid.uuid4().hex, "X-Request-Id": "it-is-this", **({"traceparent": trace} if trace else {})}
        body = {"sku": self.stack.item(stock=5), "quantity": 1, "payment_method": "pm_card_visa", **members}
        answer = self.stack.call(user, "POST", "/v1/orders", body, headers)
        self.assertEqual(answer.status, 202, answer)
        return harness.Order(self.stack, user, answer.json["id"])

    def named(self, order, name):
        return [span for span in self.collector.spans(order.id) if span.name == name]

    def check_schema(self):
        try:
            folder = harness_npm.install(*PACKAGES)
        except SystemExit:
            raise unittest.SkipTest("npm does not install the schema") from None
        path = os.path.join(self.stack.directory, "spans.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(body + "\n" for body in self.collector.bodies)
        checked = harness_npm.node(folder, "spans_schema.cjs", path)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertGreaterEqual(int(checked.stdout.split()[0]), len(WAY))

    def test_an_orders_way_is_one_trace(self):
        live = self.stack.listen("ann")
        self.addCleanup(live.close)
        order = self.order(receipt_email="ann@example.org")
        live.wait_final(order.id)
        wait_until(lambda: {(span.program, span.name) for span in self.collector.spans(order.id)} >= WAY, 30,
                   lambda: f"all spans; {[(span.program, span.name) for span in self.collector.spans(order.id)]}")
        events = live.of(order.id)
        spans = self.collector.spans(order.id)
        door, = self.named(order, "POST /v1/orders")
        self.assertEqual({span.trace for span in spans}, {TRACE_ID})
        self.assertEqual(door.parent, CLIENTS_SPAN)
        self.assertEqual({(span.name, span.parent) for span in spans} - {(door.name, CLIENTS_SPAN)},
                         {(span.name, door.id) for span in spans if span.name != door.name})
        self.assertEqual(len({span.id for span in spans}), len(spans))
        self.assertTrue(all(span.began <= span.ended and not span.failed for span in spans))
        self.assertEqual({event["traceparent"] for event in events}, {door.traceparent})
        charge, = self.named(order, "charge payment")
        asked, = [headers["traceparent"] for method, _, headers, form in self.gateway.requests
                  if method == "POST" and form.get("metadata[order_id]") == order.id]
        self.assertEqual(asked, charge.traceparent)
        hook, = [hook for hook in self.receiver.hooks if hook.order == order.id]
        self.assertEqual(hook.headers["traceparent"], self.named(order, "deliver webhook")[0].traceparent)
        self.assertEqual((door.notes["http.response.status_code"], charge.notes["checkout.payment.outcome"]), ("202", "succeeded"))
        self.assertEqual(door.notes["checkout.request.id"], "it-is-this")
        mailed = [json.loads(line) for line in self.mailer.log_text().decode().splitlines() if order.id in line]
        self.assertEqual([(line["event"], line["trace_id"]) for line in mailed], [("mail sent", TRACE_ID)])
        path, head = self.collector.heads[0]
        self.assertEqual((path, head["X-Tenant"], head["Authorization"]), ("/v1/traces", "checkout", "Bearer it-is-me"))
        self.check_schema()

    def test_an_order_without_a_trace_begins_one_and_a_failed_call_has_failed(self):
        answers = iter([(500, {"error": {"type": "api_error"}})])
        self.answer = lambda form: next(answers, None) or (200, intent(form))
        order = self.order(trace=None)
        order.wait("confirmed")
        wait_until(lambda: len(self.named(order, "charge payment")) >= 2 and self.named(order, "POST /v1/orders"), 30,
                   "its spans")
        door, = self.named(order, "POST /v1/orders")
        self.assertIsNone(door.parent)
        self.assertEqual([span.failed for span in self.named(order, "charge payment")][:2], [True, False])

    def test_nobody_waits_for_a_collector(self):
        self.collector.silent = True
        self.addCleanup(setattr, self.collector, "silent", False)
        began = time.monotonic()
        for _ in range(5):
            self.order().wait("confirmed")
        self.assertLess(time.monotonic() - began, 30)
        wait_until(lambda: self.producer.metric("checkout_spans_waiting")
                   + self.producer.metric('checkout_spans_dropped_total{reason="failed"}') >= 10, 10, "spans to wait")
        self.assertEqual(harness.http_call(self.producer.admin, "GET", "/readyz").status, 200)
        dead = self.stack.start("consumer", CHECKOUT_GATEWAY_URL=self.gateway.url, CHECKOUT_OTLP_ENDPOINT="http://127.0.0.1:1")
        self.consumer.stop()        # within the time that the harness gives it
        self.consumer = dead
        self.order().wait("confirmed")
        lines = [json.loads(line) for line in self.producer.log_text().decode().splitlines()]
        wait_until(lambda: "collector does not take spans; further ones may be lost" in self.producer.log_text().decode(), 10,
                   lambda: f"the log to say so: {lines[-3:]}")


if __name__ == "__main__":
    harness.main()
