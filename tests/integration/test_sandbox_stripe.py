#!/usr/bin/python3
"""The sandbox gateway does what Stripe documents, by default: docs/payments.md lists it with its sources."""

import concurrent.futures
import time

import harness
from harness import http_call, wait_until
from harness_sandbox import KEY, SandboxCase, ToldCase


class Methods(SandboxCase):
    """A payment method without a customer is for one PaymentIntent."""

    def refused_as_used(self, answer):
        self.error(answer, 400, type="invalid_request_error", code=None, param=None)

    def test_a_template_is_cloned_at_each_use(self):
        first, second = self.charge("a").json["payment_method"], self.charge("b").json["payment_method"]
        self.assertRegex(first, r"^pm_[0-9a-f]{24}$")
        self.assertNotEqual(first, second)
        self.assertEqual(self.get("/v1/payment_methods/" + first)["customer"], None)
        self.refused_as_used(self.charge("c", method=first))

    def test_a_made_one_is_consumed_by_its_first_use(self):
        method = self.method()
        self.assertEqual(self.get("/v1/payment_methods/" + method)["type"], "card")
        self.assertEqual(self.charge("a", method=method).json["payment_method"], method)
        self.refused_as_used(self.charge("b", method=method))
        self.kill_and_start_again()
        self.refused_as_used(self.charge("c", method=method))
        self.assertEqual(self.charges_of("a") + self.charges_of("b") + self.charges_of("c"), ["succeeded"])

    def test_a_decline_consumes_it_too(self):
        method = self.method("tok_chargeDeclined")
        self.error(self.charge("a", method=method), 402, type="card_error", code="card_declined")
        self.kill_and_start_again()
        self.refused_as_used(self.charge("b", method=method))

    def test_two_at_once_use_it_once(self):
        method = self.method()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda n: self.charge(f"o{n}", method=method).status, range(8)))
        self.assertEqual(sorted(statuses), [200] + 7 * [400])

    def test_a_500_consumes_it_or_not(self):
        for mode, captured, usable in (("500", [], True), ("500-consumed", [], False),
                                       ("500-after-charge", ["succeeded"], False)):
            with self.subTest(mode):
                method = self.method()
                self.gateway.fault(mode)
                first = self.charge(mode, key=mode, method=method)
                self.assertEqual(first.status, 500)
                self.kill_and_start_again()
                again = self.charge(mode, key=mode, method=method)
                self.assertEqual((again.status, again.body, again.headers["Idempotent-Replayed"]),
                                 (500, first.body, "true"))
                self.assertEqual(self.charges_of(mode), captured)
                self.assertEqual(self.charge(mode, key=mode + "-2", method=method).status, 200 if usable else 400)

    def test_one_that_is_attached_is_used_again_by_its_customer_only(self):
        method, customer, other = self.method(), self.customer(), self.customer()
        attached = self.post(f"/v1/payment_methods/{method}/attach", {"customer": customer})
        self.assertEqual((attached.status, attached.json["customer"]), (200, customer))
        for order in ("a", "b"):
            self.assertEqual(self.charge(order, method=method, customer=customer).json["customer"], customer)
        self.kill_and_start_again()
        self.assertEqual(self.charge("c", method=method, customer=customer).status, 200)
        self.assertEqual(self.charge("d", method=method).status, 400)
        self.assertEqual(self.charge("e", method=method, customer=other).status, 400)
        self.assertEqual(self.post(f"/v1/payment_methods/{method}/detach", {}).json["customer"], None)
        self.refused_as_used(self.charge("f", method=method, customer=customer))
        self.assertEqual(self.post(f"/v1/payment_methods/{method}/attach", {"customer": customer}).status, 400)

    def test_a_used_one_cannot_be_attached(self):
        method = self.charge().json["payment_method"]
        answer = self.post(f"/v1/payment_methods/{method}/attach", {"customer": self.customer()})
        self.error(answer, 400, code=None, param=None)

    def test_an_attached_template_is_a_clone(self):
        customer = self.customer()
        clone = self.post("/v1/payment_methods/pm_card_visa/attach", {"customer": customer}).json["id"]
        for order in ("a", "b"):
            self.assertEqual(self.charge(order, method=clone, customer=customer).status, 200)

    def test_one_that_is_saved_by_its_first_payment_is_used_again(self):
        customer = self.customer()
        saved = self.charge("a", customer=customer, setup_future_usage="off_session").json["payment_method"]
        self.assertEqual(self.get("/v1/payment_methods/" + saved)["customer"], customer)
        self.assertEqual(self.charge("b", method=saved, customer=customer).status, 200)
        named = self.charge("c", customer=customer).json["payment_method"]
        self.refused_as_used(self.charge("d", method=named, customer=customer))

    def test_one_that_is_not_there_is_a_404_that_names_it(self):
        for name in ("pm_no_such_card", "pm_" + 24 * "0"):
            self.error(self.charge(method=name), 404, code="resource_missing", param="payment_method")
        self.gateway.control(missing_method=400)
        self.error(self.charge(method="pm_no_such_card"), 400, code="resource_missing", param="payment_method")
        self.error(self.charge(customer="cus_" + 24 * "0"), 400, code="resource_missing", param="customer")

    def test_templates_are_refused_in_livemode(self):
        method = self.method()
        self.gateway.control(livemode=True)
        self.error(self.charge("a"), 400, type="invalid_request_error", code=None, param=None)
        self.assertEqual(self.charge("b", method=method).json["livemode"], True)


class Results(SandboxCase):
    """What is kept as the result of a key."""

    def replays(self, first, again):
        self.assertEqual((again.status, again.body, again.headers["Idempotent-Replayed"]),
                         (first.status, first.body, "true"))

    def test_a_4xx_about_objects_is_kept(self):
        used = self.charge().json["payment_method"]
        for number, fields in enumerate(({"method": used}, {"method": "pm_nope"}, {"amount": 1}, {"currency": "xxx"})):
            with self.subTest(fields):
                key = f"key-{number}"
                first = self.charge("o", key=key, **fields)
                self.assertIn(first.status, (400, 404))
                self.assertIsNone(first.headers["Idempotent-Replayed"])
                self.replays(first, self.charge("o", key=key, **fields))
                self.kill_and_start_again()
                self.replays(first, self.charge("o", key=key, **fields))
                self.error(self.charge("o", key=key), 400, type="idempotency_error")

    def test_or_not_by_setting(self):
        self.gateway.control(keep_refused=0)
        self.assertEqual(self.charge(key="k", amount=1).status, 400)
        self.assertEqual(self.charge(key="k").status, 200)
        self.gateway.control(keep_invalid=1)
        first = self.charge(key="j", surprise="1")
        self.replays(first, self.charge(key="j", surprise="1"))

    def test_or_by_chance(self):
        self.gateway.control(keep_refused=0.5, seed=1)
        kept = [self.charge(key=f"k{n}", amount=1) and self.charge(key=f"k{n}", amount=1).headers["Idempotent-Replayed"]
                for n in range(40)]
        self.assertEqual(set(kept), {None, "true"})

    def test_a_400_is_a_mode_kept_or_not(self):
        for mode, again in (("400", 200), ("400-kept", 400)):
            self.gateway.fault(mode)
            self.error(self.charge(mode, key=mode), 400, type="invalid_request_error", code=None, param=None)
            self.assertEqual(self.charge(mode, key=mode).status, again)

    def test_a_refused_refund_is_kept_and_so_is_a_refused_cancel(self):
        intent = self.charge().json
        self.gateway.control(refunds="no-balance")
        form = {"payment_intent": intent["id"]}
        first = self.post("/v1/refunds", form, key="r")
        self.error(first, 400, type="invalid_request_error", code=None,
                   message_code="insufficient_balance_for_refund")
        self.gateway.calm()
        self.replays(first, self.post("/v1/refunds", form, key="r"))
        self.assertEqual(self.post("/v1/refunds", form, key="r2").status, 200)
        path = f"/v1/payment_intents/{intent['id']}/cancel"
        first = self.post(path, {}, key="c")
        self.assertEqual(self.error(first, 400)["payment_intent"]["id"], intent["id"])
        self.replays(first, self.post(path, {}, key="c"))

    def test_401_403_and_429_are_never_kept(self):
        for setting, status in (("unauthorized", 401), ("forbidden", 403)):
            self.gateway.control(charges=setting)
            self.assertEqual(self.charge(key="k").status, status)
        self.gateway.control(charges="ok")
        self.assertEqual(self.charge(key="k").status, 200)
        self.gateway.control(rate_endpoint=1)
        wait_until(lambda: self.charge(key="j").status == 429, 10, "a charge above the limit")
        self.gateway.control(rate_endpoint=0)
        self.assertEqual(self.charge(key="j").status, 200)

    def test_a_key_is_forgotten_after_its_time(self):
        self.gateway.control(key_seconds=1)
        first = self.charge(key="k").json["id"]
        wait_until(lambda: self.charge(key="k").json["id"] != first, 10, "the key to be forgotten", interval=0.2)
        self.assertEqual(self.charges_of("order-1"), ["succeeded", "succeeded"])

    def test_a_key_that_is_forgotten_may_ask_for_something_else(self):
        self.gateway.control(key_seconds=0)
        self.charge(key="k")
        self.assertEqual(self.charge(key="k", amount=5000).json["amount"], 5000)
        self.kill_and_start_again()     # where a key lasts for a day: the later result counts
        self.assertEqual(self.charge(key="k", amount=5000).headers["Idempotent-Replayed"], "true")


class Rules(SandboxCase):

    def test_amounts_and_currencies(self):
        for fields, code, param in (({"amount": 49}, "amount_too_small", "amount"),
                                    ({"amount": 29, "currency": "gbp"}, "amount_too_small", "amount"),
                                    ({"amount": 10**8}, "amount_too_large", "amount"),
                                    ({"amount": 10**8, "currency": "xxx"}, None, "currency"),
                                    ({"amount": 1001, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
                                    ({"amount": 0}, "parameter_invalid_integer", "amount")):
            with self.subTest(fields):
                self.error(self.charge(**fields), 400, type="invalid_request_error", code=code, param=param)
        for fields in ({"amount": 50}, {"amount": 30, "currency": "GBP"}, {"amount": 1010, "currency": "kwd"},
                       {"amount": 10**8, "currency": "jpy"}):
            self.assertEqual(self.charge(**fields).status, 200, fields)

    def test_declines_that_are_no_card_errors(self):
        for name, code in (("pm_sandbox_provider_decline", "payment_method_provider_decline"),
                           ("pm_sandbox_attempt_failed", "payment_intent_payment_attempt_failed")):
            error = self.error(self.charge(method=name), 402, type="invalid_request_error", code=code)
            self.assertEqual(error["payment_intent"]["status"], "requires_payment_method")
            self.assertEqual(error["payment_intent"]["last_payment_error"]["code"], code)

    def test_types_of_payment_methods(self):
        plain = {"automatic_payment_methods[enabled]": None, "automatic_payment_methods[allow_redirects]": None}
        for types in ("payment_method_types[]", "payment_method_types[0]"):
            self.assertEqual(self.charge(**plain, **{types: "card"}).status, 200)
            self.error(self.charge(**plain, method="pm_usBankAccount_success", **{types: "card"}), 400,
                       code="payment_intent_incompatible_payment_method", param="payment_method")
        self.assertEqual(self.charge(method="pm_usBankAccount_success").json["status"], "processing")

    def test_a_return_url_is_needed_where_methods_may_redirect(self):
        self.assertEqual(self.charge(**{"automatic_payment_methods[allow_redirects]": None}).status, 400)
        self.assertEqual(self.charge(**{"automatic_payment_methods[allow_redirects]": None,
                                        "return_url": "https://shop.example/back?order=1&x=2"}).status, 200)

    def test_the_version_is_honoured(self):
        def charge(version, **fields):
            headers = {"Authorization": "Bearer " + KEY, "Stripe-Version": version}
            body = "&".join(["amount=100&currency=eur&payment_method=pm_card_visa&confirm=true",
                             *(f"{name}={value}" for name, value in fields.items())])
            return http_call(self.daemon.url, "POST", "/v1/payment_intents", headers, body)
        answer = charge("2022-11-15")
        self.assertEqual((answer.status, answer.headers["Stripe-Version"]), (200, "2022-11-15"))
        self.assertEqual(charge("2023-10-16").status, 400)  # automatic, and without a return_url
        self.assertEqual(charge("2025-03-31.basil", return_url="https://x").status, 200)
        self.assertEqual(charge("latest").status, 400)
        self.assertEqual(self.charge().headers["Stripe-Version"], "2023-10-16")

    def test_answers_carry_what_stripes_carry(self):
        answer = self.charge(key="k")
        self.assertRegex(answer.headers["Request-Id"], "^req_")
        self.assertEqual(answer.headers["Idempotency-Key"], "k")
        self.assertIsNone(answer.headers["Stripe-Should-Retry"])
        self.gateway.control(mode="500")
        self.assertEqual(self.charge(key="j").headers["Stripe-Should-Retry"], "false")
        self.gateway.control(mode="409")
        self.assertEqual(self.charge(key="i").headers["Stripe-Should-Retry"], "true")

    def test_an_account_in_trouble(self):
        for charges, status in (("refused", 400), ("unauthorized", 401), ("forbidden", 403)):
            self.gateway.control(charges=charges)
            self.error(self.charge(), status, type="invalid_request_error", code=None, param=None)
        self.gateway.control(charges="ok")
        intent = self.charge().json
        for refunds, status, code in (("no-balance", 400, None), ("disputed", 400, "charge_disputed"),
                                      ("unauthorized", 401, None), ("forbidden", 403, None)):
            self.gateway.control(refunds=refunds)
            self.error(self.post("/v1/refunds", {"payment_intent": intent["id"]}), status, code=code)
            self.assertEqual(self.charge().status, 200)

    def test_limits_are_for_an_endpoint_and_for_all(self):
        for settings, reason in (({"rate_endpoint": 5, "rate_all": 0}, "endpoint-rate"),
                                 ({"rate_endpoint": 0, "rate_all": 5}, "global-rate")):
            self.gateway.control(**settings)
            quiet = time.monotonic() + 1.1
            wait_until(lambda: time.monotonic() > quiet, 5, "a second without requests")
            answers = [self.charge(f"{reason}-{n}") for n in range(8)]
            self.assertEqual([answer.status for answer in answers], 5 * [200] + 3 * [429])
            self.assertEqual(answers[-1].headers["Stripe-Rate-Limited-Reason"], reason)
            self.assertIsNone(answers[-1].headers["Retry-After"])
            self.error(answers[-1], 429, code="rate_limit")
            read = self.gateway.call("GET", "/v1/payment_intents")
            self.assertEqual(read.status, 200 if reason == "endpoint-rate" else 429)
        self.assertGreaterEqual(self.gateway.call("GET", "/_control").json["limited"], 7)

    def test_lists_may_be_late(self):
        self.gateway.control(list_late_ms=2000)
        intent = self.charge().json
        self.assertEqual(self.gateway.intents(), [])
        self.assertEqual(self.get("/v1/payment_intents/" + intent["id"])["status"], "succeeded")
        wait_until(self.gateway.intents, 10, "the list to tell")

    def test_the_old_gateway_is_a_setting(self):
        self.gateway.control(truthful=False)
        method = self.method()
        self.assertEqual([self.charge(f"o{n}", method=method, amount=1).status for n in range(2)], [200, 200])
        self.assertEqual(self.charge(method="pm_nope").status, 400)


class Lifecycle(SandboxCase):

    def test_what_is_created_is_confirmed_by_a_call(self):
        intent = self.charge(confirm=None, method=None).json
        self.assertEqual((intent["status"], intent["payment_method"]), ("requires_payment_method", None))
        path = f"/v1/payment_intents/{intent['id']}/confirm"
        self.error(self.post(path, {}), 400)
        declined = self.post(path, {"payment_method": "pm_card_chargeDeclined"}, key="c1")
        self.error(declined, 402, type="card_error", code="card_declined")
        paid = self.post(path, {"payment_method": "pm_card_visa"}, key="c2")
        self.assertEqual((paid.json["id"], paid.json["status"]), (intent["id"], "succeeded"))
        self.error(self.post(path, {"payment_method": "pm_card_visa"}), 400, code="payment_intent_unexpected_state")
        self.kill_and_start_again()
        self.assertEqual(self.post(path, {"payment_method": "pm_card_chargeDeclined"}, key="c1").body, declined.body)
        self.assertEqual(self.charges_of("order-1"), ["succeeded"])

    def test_a_method_named_at_creation_is_confirmed(self):
        intent = self.charge(confirm=None, method=self.method()).json
        self.assertEqual(intent["status"], "requires_confirmation")
        self.assertEqual(self.post(f"/v1/payment_intents/{intent['id']}/confirm", {}).json["status"], "succeeded")

    def test_what_is_authorized_is_captured_or_cancelled(self):
        for number, fields in enumerate(({"capture_method": "manual"}, {"method": "pm_sandbox_requires_capture"})):
            intent = self.charge(f"o{number}", amount=1000, **fields).json
            self.assertEqual((intent["status"], intent["amount_capturable"], intent["amount_received"]),
                             ("requires_capture", 1000, 0))
            path = f"/v1/payment_intents/{intent['id']}/capture"
            self.error(self.post(path, {"amount_to_capture": 1001}), 400)
            captured = self.post(path, {"amount_to_capture": 900}).json
            self.assertEqual((captured["status"], captured["amount_received"]), ("succeeded", 900))
        intent = self.charge(method="pm_sandbox_requires_capture").json
        self.assertEqual(self.post(f"/v1/payment_intents/{intent['id']}/cancel", {}).json["status"], "canceled")

    def test_one_more_confirmation_may_be_asked_for(self):
        intent = self.charge(method="pm_sandbox_requires_confirmation").json
        self.assertEqual(intent["status"], "requires_confirmation")
        self.assertEqual(self.post(f"/v1/payment_intents/{intent['id']}/confirm", {}).json["status"], "succeeded")

    def test_less_may_be_received_than_was_asked_for(self):
        intent = self.charge(method="pm_sandbox_pays_less").json
        self.assertEqual((intent["amount"], intent["amount_received"], intent["status"]), (4900, 4899, "succeeded"))
        self.assertEqual(self.get("/v1/payment_intents/" + intent["id"])["amount_received"], 4899)
        self.assertEqual(self.post("/v1/refunds", {"payment_intent": intent["id"]}).json["amount"], 4899)

    def test_the_charge_is_shown(self):
        intent = self.charge().json
        path = "/v1/payment_intents/" + intent["id"]
        charge = self.get(path, **{"expand[]": "latest_charge"})["latest_charge"]
        self.assertEqual(charge, self.get("/v1/charges/" + intent["latest_charge"]))
        self.assertEqual((charge["amount_captured"], charge["refunded"], charge["disputed"]), (4900, False, False))


class Processing(ToldCase):

    def check_end(self, method, status, kind):
        self.gateway.control(processing_ms=1500)
        first = self.charge(key="k", method=method)
        self.assertEqual((first.status, first.json["status"]), (200, "processing"))
        path = "/v1/payment_intents/" + first.json["id"]
        self.error(self.post(path + "/cancel", {}), 400, code="payment_intent_unexpected_state")
        self.shop.wait("payment_intent.processing")
        self.kill_and_start_again()
        self.assertEqual(self.shop.wait(kind)["id"], first.json["id"])
        now = self.get(path)
        self.assertEqual(now["status"], status)
        again = self.charge(key="k", method=method)
        self.assertEqual((again.body, again.headers["Idempotent-Replayed"]), (first.body, "true"))
        return now

    def test_it_succeeds(self):
        self.assertEqual(self.check_end("pm_usBankAccount_success", "succeeded", "payment_intent.succeeded")
                         ["amount_received"], 4900)

    def test_it_fails(self):
        failed = self.check_end("pm_usBankAccount_insufficientFunds", "requires_payment_method",
                                "payment_intent.payment_failed")
        self.assertEqual(failed["last_payment_error"]["code"], "insufficient_funds")

    def test_it_may_be_a_card(self):
        for method, status in (("pm_sandbox_processing", "succeeded"),
                               ("pm_sandbox_processing_failed", "requires_payment_method")):
            self.gateway.control(processing_ms=100)
            path = "/v1/payment_intents/" + self.charge(method=method).json["id"]
            wait_until(lambda: self.get(path)["status"] == status, 10, status)

    def test_it_can_be_cancelled_by_setting(self):
        self.gateway.control(cancel_processing=True, processing_ms=600000)
        intent = self.charge(method="pm_sandbox_processing").json
        cancelled = self.post(f"/v1/payment_intents/{intent['id']}/cancel", {}).json
        self.assertEqual(cancelled["status"], "canceled")


class Dashboard(ToldCase):
    """What happens to money without a request of the shop's."""

    def act(self, **action):
        answer = self.gateway.control(**action)
        self.assertEqual(answer.status, 200)
        return answer.json

    def test_refunds_in_part_and_in_full(self):
        intent = self.charge().json
        part = self.act(refund={"payment_intent": intent["id"], "amount": 900})
        self.assertEqual((part["object"], part["amount"], part["status"]), ("refund", 900, "succeeded"))
        charge = self.shop.wait("charge.refunded")
        self.assertEqual((charge["id"], charge["amount_refunded"], charge["refunded"]),
                         (intent["latest_charge"], 900, False))
        self.assertEqual(self.shop.wait("refund.created"), part)
        self.act(refund={"payment_intent": intent["id"]})
        self.kill_and_start_again()
        charge = self.get("/v1/charges/" + intent["latest_charge"])
        self.assertEqual((charge["amount_refunded"], charge["refunded"]), (4900, True))
        self.assertEqual([refund["amount"] for refund in self.get("/v1/refunds", payment_intent=intent["id"])["data"]],
                         [4000, 900])
        self.error(self.post("/v1/refunds", {"payment_intent": intent["id"]}), 400, code="charge_already_refunded")

    def test_a_refund_fails_afterwards(self):
        self.gateway.control(processing_ms=200)
        for number, method in enumerate(("pm_card_refundFail", "pm_card_visa")):
            intent = self.charge(f"o{number}", method=method).json
            if method == "pm_card_visa":
                self.gateway.control(refunds="failing")
            refund = self.post("/v1/refunds", {"payment_intent": intent["id"]}, key=f"r{number}")
            self.assertEqual(refund.json["status"], "succeeded")
            path = "/v1/refunds/" + refund.json["id"]
            wait_until(lambda: self.get(path)["status"] == "failed", 10, "the failure")
            self.assertEqual(self.get("/v1/charges/" + intent["latest_charge"])["amount_refunded"], 0)
            again = self.post("/v1/refunds", {"payment_intent": intent["id"]}, key=f"r{number}")
            self.assertEqual(again.body, refund.body)
        self.assertEqual(self.shop.wait("refund.failed")["status"], "failed")
        self.shop.wait("refund.updated")

    def test_a_refund_pends(self):
        self.gateway.control(processing_ms=1000)
        intent = self.charge(method="pm_card_pendingRefund").json
        refund = self.post("/v1/refunds", {"payment_intent": intent["id"]}).json
        self.assertEqual(refund["status"], "pending")
        self.kill_and_start_again()
        self.assertEqual(self.shop.wait("refund.updated")["status"], "succeeded")
        self.assertEqual(self.get("/v1/refunds/" + refund["id"])["status"], "succeeded")

    def test_a_refund_is_failed_at_the_dashboard(self):
        intent = self.charge().json
        refund = self.post("/v1/refunds", {"payment_intent": intent["id"]}).json
        self.assertEqual(self.act(fail_refund={"refund": refund["id"]})["status"], "failed")
        self.shop.wait("refund.failed")
        self.assertEqual(self.post("/v1/refunds", {"payment_intent": intent["id"]}).status, 200)

    def test_a_dispute_opens_and_closes(self):
        for number, (end, disputed) in enumerate((("won", False), ("lost", True))):
            intent = self.charge(f"o{number}").json
            dispute = self.act(dispute={"payment_intent": intent["id"], "reason": "product_not_received"})
            self.assertEqual((dispute["status"], dispute["amount"], dispute["payment_intent"]),
                             ("needs_response", 4900, intent["id"]))
            self.error(self.post("/v1/refunds", {"payment_intent": intent["id"]}), 400, code="charge_disputed")
            self.assertTrue(self.get("/v1/charges/" + intent["latest_charge"])["disputed"])
            closed = self.act(close_dispute={"dispute": dispute["id"], "status": end})
            wait_until(lambda: self.shop.types().count("charge.dispute.closed") == number + 1, 10, "its end")
            self.kill_and_start_again()
            self.assertEqual(self.get("/v1/disputes", payment_intent=intent["id"])["data"], [closed])
            self.assertEqual(self.get("/v1/charges/" + intent["latest_charge"])["disputed"], disputed)
        self.assertEqual(self.shop.wait("charge.dispute.created")["reason"], "product_not_received")

    def test_a_card_disputes_by_itself(self):
        self.gateway.control(processing_ms=300)
        intent = self.charge(method="pm_card_createDispute").json
        self.assertEqual(intent["status"], "succeeded")
        self.assertEqual(self.shop.wait("charge.dispute.created")["payment_intent"], intent["id"])

    def test_actions_that_make_no_sense_are_refused(self):
        intent = self.charge(method="pm_card_chargeDeclined").json["error"]["payment_intent"]["id"]
        for action in ({"refund": {"payment_intent": intent}}, {"refund": {"payment_intent": "pi_1"}}, {"refund": {}},
                       {"dispute": {"payment_intent": intent}}, {"close_dispute": {"dispute": "dp_1", "status": "won"}},
                       {"fail_refund": {"refund": "re_1"}}, {"refund": {"payment_intent": intent}, "latency_ms": 1}):
            answer = http_call(self.daemon.url, "POST", "/_control", {"Authorization": "Bearer " + KEY}, action)
            self.assertIn(answer.status, (400, 404), action)

    def test_events_say_where_they_come_from(self):
        self.gateway.control(all_events=True)
        self.charge()
        expected = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
        for kind in expected:  # they are sent side by side, and come in any order
            self.shop.wait(kind)
        self.assertEqual(sorted(self.shop.types()), expected)
        event = self.shop.events[0]
        self.assertEqual((event["object"], event["livemode"], event["api_version"]), ("event", False, "2023-10-16"))
        self.assertRegex(event["id"], "^evt_")


if __name__ == "__main__":
    harness.main()
