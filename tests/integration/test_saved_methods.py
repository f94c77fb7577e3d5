#!/usr/bin/python3
"""Payment methods that the gateway keeps for a customer: only the buyer's token says whose they are, or anybody would
pay with another's card. What docs/stripe-js.md shows, against the sandbox."""

import json
import os
import re
import subprocess
import uuid

import harness
from harness import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# In the place of Stripe.js, which only Stripe's servers have: the same calls, to the sandbox. It fails as that does when
# it is given what it does not know.
STRIPE_JS = """
function Stripe(key) {
  if (!key.startsWith("pk_")) throw new Error("no publishable key");
  const ask = async (path, form) => {
    const answer = await fetch(shop.gateway + path, { method: "POST", body: new URLSearchParams(form),
      headers: { Authorization: "Bearer " + shop.secret } });
    const body = await answer.json();
    return answer.ok ? body : { error: body.error };
  };
  return {
    handled: 0,
    elements({ mode, amount, currency, paymentMethodCreation }) {
      if (mode !== "payment" || !(amount > 0) || !currency || paymentMethodCreation !== "manual") throw new Error("elements");
      return { create: (name) => ({ mount() { if (name !== "payment") throw new Error(name); } }), submit: async () => ({}) };
    },
    async createPaymentMethod({ elements }) {
      if (!elements) throw new Error("createPaymentMethod");
      const made = await ask("/v1/payment_methods", { type: "card", "card[token]": shop.card });
      return made.error ? made : { paymentMethod: made };
    },
    async handleNextAction({ clientSecret }) {
      this.handled++;
      await ask("/3ds/" + clientSecret.split("_secret_")[0], { outcome: shop.outcome });
      return {};
    },
  };
}
"""


class TestCase(harness.TestCase):
    daemons = ("sandbox", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s"}
    saved_methods = "true"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start("producer", **({} if cls.saved_methods is None else
                                       {"CHECKOUT_SAVED_METHODS": cls.saved_methods}))

    def gateway(self, path, **form):
        answer = self.stack.gateway.call("POST", path, form)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def customer(self):
        return self.gateway("/v1/customers", email="ann@example.org")["id"]

    def method(self, customer=None, token="tok_visa"):
        """As Stripe.js makes it in the page of the shop; saved for the customer, as the shop's backend does."""
        method = self.gateway("/v1/payment_methods", type="card", **{"card[token]": token})["id"]
        if customer is not None:
            self.gateway(f"/v1/payment_methods/{method}/attach", customer=customer)
        return method

    def order(self, user, method, sku=None, **claims):
        """Orders under a token with these claims."""
        sku = sku or self.stack.item(stock=5)
        answer = self.stack.call(None, "POST", "/v1/orders", {"sku": sku, "quantity": 1, "payment_method": method}, {
            "Idempotency-Key": uuid.uuid4().hex, "Authorization": "Bearer " + self.stack.token(user, **claims)})
        self.assertEqual(answer.status, 202, answer)
        return harness.Order(self.stack, user, answer.json["id"])

    def intents(self, order):
        return [i for i in self.stack.gateway.intents() if i["metadata"].get("order_id") == order.id]


class Saved(TestCase):
    def test_a_saved_method_pays_again_and_again(self):
        customer = self.customer()
        method = self.method(customer)
        for _ in range(3):
            order = self.order("ann", method, gateway_customer=customer).wait("confirmed")
            self.assertEqual([i["customer"] for i in self.intents(order)], [customer])
        self.assertEqual(self.stack.one("select count(*) from orders where gateway_customer is not null"), 0)  # forgotten

    def test_one_that_waited_in_line_and_one_whose_charge_is_repeated(self):
        customer = self.customer()
        method, sku = self.method(customer), self.stack.item(stock=1)
        self.stack.gateway.latency(1000)
        first = self.order("bob", "pm_card_chargeDeclined", sku).wait("reserved")
        self.stack.gateway.fault("500", 1)
        behind = self.order("ann", method, sku, gateway_customer=customer).wait("waiting")
        self.stack.gateway.latency(0)
        first.wait("rejected", "payment_declined")
        behind.wait("confirmed", timeout=60)
        self.assertEqual([i["customer"] for i in self.intents(behind) if i["status"] == "succeeded"], [customer])

    def test_after_a_take_over_the_same_request_goes_out(self):
        customer = self.customer()
        method = self.method(customer)
        self.stack.gateway.fault("charge-then-never", 1)
        order = self.order("ann", method, gateway_customer=customer)
        wait_until(lambda: self.stack.gateway.started(order.id), 30, "its payment to begin")
        self.stack.daemon("consumer").kill()
        self.stack.start("consumer")
        order.wait("confirmed", timeout=60)
        self.assertEqual(len(self.intents(order)), 1)

    def test_of_another_customer_it_is_refused(self):
        mine, theirs = self.customer(), self.customer()
        order = self.order("eve", self.method(theirs), gateway_customer=mine)
        order.wait("rejected", "payment_failed")
        self.assertNotIn(order.id, self.stack.gateway.captured())

    def test_without_a_customer_in_the_token_it_is_refused(self):
        theirs = self.customer()
        order = self.order("eve", self.method(theirs))
        order.wait("rejected", "payment_failed")
        self.assertNotIn(order.id, self.stack.gateway.captured())

    def test_the_body_names_no_customer(self):
        theirs = self.customer()
        method, sku = self.method(theirs), self.stack.item()
        for member in ("gateway_customer", "customer"):
            answer = self.stack.post("eve", sku, payment_method=method, **{member: theirs})
            self.assertEqual((answer.status, answer.json["errors"][0]["pointer"]), (400, "/" + member))

    def test_a_claim_that_is_no_customers_id(self):
        for claim in ("", "cus_1&amount=1", "cus 1", "c" * 65, 7, ["cus_1"], "cus_\u00e9"):
            with self.subTest(claim):
                answer = self.stack.call(None, "GET", "/v1/orders", None, {
                    "Authorization": "Bearer " + self.stack.token("ann", gateway_customer=claim)})
                self.assertEqual((answer.status, answer.json["detail"]),
                                 (401, "the token's gateway_customer is no customer's id"))

    def test_a_job_with_a_wrong_customer_is_invalid(self):
        sku = self.stack.item()
        job = self.stack.job("ann", sku, gateway_customer="cus 1")
        self.stack.publish_jobs(job)
        harness.Order(self.stack, "ann", job["order_id"]).wait("rejected", "invalid")


class OffByDefault(TestCase):
    saved_methods = None

    def test_the_door_sends_no_customer_and_consumers_take_one(self):
        customer = self.customer()
        method = self.method(customer)
        self.order("ann", method, gateway_customer=customer).wait("rejected", "payment_failed")
        job = self.stack.job("ann", self.stack.item(), payment_method=method, gateway_customer=customer)
        self.stack.publish_jobs(job)
        order = harness.Order(self.stack, "ann", job["order_id"]).wait("confirmed")
        self.assertEqual([i["customer"] for i in self.intents(order)], [customer])


class AsThePageShows(TestCase):
    """docs/stripe-js.md, with the sandbox in Stripe's place and this test in the page's."""

    def test_a_new_method_for_each_try(self):
        used = self.method()
        self.order("ann", used).wait("confirmed")
        again = self.order("ann", used).wait("rejected", "payment_failed")
        told = self.stack.status("ann", again.id).json
        self.assertEqual(told["payment_problem"], "use_another_method")
        self.order("ann", self.method()).wait("confirmed")

    def test_the_bank_asks_and_the_script_goes_on_with_the_client_secret(self):
        order = self.order("ann", self.method(token="tok_threeDSecure2Required"))
        action = wait_until(lambda: self.stack.status("ann", order.id).json.get("next_action"), 30, "the next action")
        self.assertEqual(action["type"], "use_stripe_sdk")
        intent, = self.intents(order)
        self.assertEqual(action["client_secret"].partition("_secret_")[0], intent["id"])
        # what handleNextAction({clientSecret}) ends with, when the buyer has approved
        self.assertEqual(self.stack.gateway.call("POST", f"/3ds/{intent['id']}", {"outcome": "approve"}).status, 200)
        order.wait("confirmed", timeout=30)

    def run_page(self, method, sku, outcome="approve"):
        """The code of the page, run by Node.js; the order that it ends with."""
        with open(os.path.join(ROOT, "docs", "stripe-js.md"), encoding="utf-8") as source:
            code, = re.findall(r"```js\n(.*?)```", source.read(), re.DOTALL)
        shop = {"publishableKey": "pk_test_of_the_shop", "price": 1000, "currency": "usd", "token": self.stack.token("ann"),
                "api": self.stack.daemon("producer").url, "sku": sku, "card": method, "outcome": outcome,
                "gateway": self.stack.gateway.url, "secret": self.stack.secrets["GATEWAY_KEY"]}
        page = os.path.join(self.stack.directory, "page-" + uuid.uuid4().hex + ".mjs")
        with open(page, "w", encoding="utf-8") as sink:
            sink.write(f"const shop = {json.dumps(shop)};\n{STRIPE_JS}\n{code}\nconsole.log(JSON.stringify("
                       "{order: await buy(shop.sku), handled: stripe.handled}));\n")
        done = subprocess.run(["node", page], text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_the_page_itself(self):
        sku = self.stack.item(stock=9)
        paid = self.run_page("tok_visa", sku)
        self.assertEqual((paid["order"]["status"], paid["handled"]), ("confirmed", 0))
        asked = self.run_page("tok_threeDSecure2Required", sku)
        self.assertEqual((asked["order"]["status"], asked["handled"]), ("confirmed", 1))
        denied = self.run_page("tok_threeDSecure2Required", sku, "decline")["order"]
        self.assertEqual((denied["status"], denied["reason"]), ("rejected", "payment_declined"))
        declined = self.run_page("tok_chargeDeclined", sku)["order"]
        self.assertEqual((declined["status"], declined["payment_problem"]), ("rejected", "use_another_method"))


if __name__ == "__main__":
    harness.main()
