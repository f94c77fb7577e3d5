#!/usr/bin/python3
"""Twenty thousand buyers at their banks at once: they keep no other waiting, and none of them is forgotten.

CHECKOUT_TEST_BUYERS sets how many they are (default 20,000). Their intents are made at the sandbox, their rows are
written into the tables as deciding and asking would have left them.
"""

import concurrent.futures
import http.client
import json
import os
import time
import urllib.parse
import uuid

import harness
from harness import wait_until
from test_webhook import PATH, SECRET, event_of, sign

ASKS = "pm_card_authenticationRequired"
MANY = int(os.environ.get("CHECKOUT_TEST_BUYERS", "20000"))
CLIENTS = 4


class AtTheirBanks(harness.TestCase):
    daemons = ("sandbox",)
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "5s", "CHECKOUT_ACTION_WAIT": "15m"}

    def tearDown(self):
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def intents(self, ids, shard):
        """What the sandbox answers to the charges of these orders."""
        gateway = urllib.parse.urlsplit(self.stack.gateway.url)
        headers = {"Authorization": "Bearer " + self.stack.secrets["GATEWAY_KEY"],
                   "Content-Type": "application/x-www-form-urlencoded"}

        def make(some):
            made = []
            client = http.client.HTTPConnection(gateway.hostname, gateway.port)
            for order_id in some:
                form = {"amount": 1000, "currency": "usd", "payment_method": ASKS, "confirm": "true",
                        "automatic_payment_methods[enabled]": "true",
                        "automatic_payment_methods[allow_redirects]": "never",
                        "metadata[order_id]": order_id, "metadata[shard]": shard}
                client.request("POST", "/v1/payment_intents", urllib.parse.urlencode(form),
                               {**headers, "Idempotency-Key": order_id + "-1"})
                answer = client.getresponse()
                body = answer.read()
                self.assertEqual(answer.status, 200, body)
                made.append(json.loads(body)["id"])
            client.close()
            return made
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            parts = pool.map(make, [ids[n::CLIENTS] for n in range(CLIENTS)])
        found = [None] * len(ids)
        for n, part in enumerate(parts):
            found[n::CLIENTS] = part
        return found

    def fill(self, sku, count):
        """So many buyers of an item are at their banks, the last of them since a minute ago: (order, intent) each."""
        ids, shard = [str(uuid.uuid4()) for _ in range(count)], self.stack.shard(sku)
        intents = self.intents(ids, shard)
        self.stack.sql(
            "with asked as (select * from unnest(%s::uuid[], %s::text[]) with ordinality a(order_id, intent_id, n)), "
            "made as (insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, "
            "fingerprint, payment_method, sequence, accepted_at) "
            "select order_id, 'buyer-' || n, %s, %s, 1, 'reserved', 1000, 'usd', 'f', %s, 2, now() from asked), "
            "events as (insert into order_events (shard, order_id, sequence, status) "
            "select %s, order_id, sequence, 'reserved' from asked, generate_series(1, 2) sequence), "
            "counted as (insert into customer_units (sku, user_id, units) select %s, 'buyer-' || n, 1 from asked) "
            "insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key, intent_id, "
            "action, action_until, created_at) select order_id, 1, %s, 'open', 1000, 'usd', order_id || '-1', intent_id, "
            "jsonb_build_object('type', 'use_stripe_sdk', 'client_secret', intent_id || '_secret_x'), "
            "now() + interval '14 minutes', now() - interval '1 minute' - (%s - n) * interval '1 ms' from asked",
            (ids, intents, sku, shard, ASKS, shard, sku, shard, count))
        self.stack.sql("update items set held = held + %s where sku = %s", (count, sku))
        return list(zip(ids, intents))

    def confirm(self, order_id, intent_id):
        """Its buyer acts, and the gateway's webhook comes."""
        answer = self.stack.gateway.call("POST", f"/3ds/{intent_id}", {"outcome": "approve"})
        self.assertEqual(answer.status, 200, answer)
        body = event_of(order_id).replace(b"pi_made_up", intent_id.encode())
        answer = self.stack.call(None, "POST", PATH, body,
                                 {"Content-Type": "application/json", "Stripe-Signature": sign(body)})
        self.assertEqual(answer.status, 200, answer)

    def state(self, order_id):
        return self.stack.sql("select status, reason from orders where order_id = %s", (order_id,))[0]

    def test_they_keep_no_other_waiting_and_none_is_forgotten(self):
        sku = self.stack.item(stock=MANY + 100)
        others = [name for name in (f"other-{n}" for n in range(1000))
                  if self.stack.shard(name) == self.stack.shard(sku)][:5]
        for other in others:
            self.stack.item(other)
        buyers = self.fill(sku, MANY)
        late, gone = buyers[-1], buyers[-2]     # far behind those that a take-over takes up
        self.stack.sql("update payments set action_until = now() + interval '5 seconds' where order_id = %s", (gone[0],))
        self.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=self.stack.write_secret("webhook", SECRET))
        consumer = self.stack.start("consumer")
        waits = []
        for other in others + [sku]:
            began = time.monotonic()
            self.stack.order("ann", other).wait("confirmed", timeout=10)
            waits.append(time.monotonic() - began)
        self.assertLess(sorted(waits)[len(waits) // 2], 1)
        wait_until(lambda: self.state(gone[0]) == ("rejected", "payment_declined"), 40, "the time of one to be over")
        self.confirm(*buyers[0])
        self.confirm(*late)
        for order_id, _ in (buyers[0], late):
            wait_until(lambda: self.state(order_id) == ("confirmed", None), 20, "the buyer who has acted to be served")
        asked = self.stack.order("zoe", sku, payment_method=ASKS)       # one more of them, and real
        wait_until(lambda: self.stack.one("select action is not null from payments where order_id = %s", (asked.id,)),
                   10, "the buyer to be asked to act")
        consumer.kill()
        self.stack.start_again(consumer)
        self.stack.order("eve", others[0]).wait("confirmed", timeout=40)
        answer = self.stack.call("zoe", "DELETE", f"/v1/orders/{asked.id}")
        self.assertEqual(answer.status, 202, answer)
        asked.wait("cancelled", timeout=20)
        self.assertEqual(self.stack.counts(sku)[1:3], (MANY - 3, 3))


if __name__ == "__main__":
    harness.main()
