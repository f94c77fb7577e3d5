#!/usr/bin/python3
"""The sandbox gateway itself: keys, crashes, faults, lists. What is tried against it must be able to trust it."""

import concurrent.futures
import os
import random
import re
import shutil
import threading
import time
import unittest
import urllib.parse
import uuid

import harness
import harness_modes
from harness import Daemon, http_call, run_directory, wait_until
from harness_sandbox import KEY, LOST, SandboxCase


class Charging(SandboxCase):

    def test_a_card_pays(self):
        answer = self.charge(key="k", description="A dress", receipt_email="ann@example.com",
                             **{"metadata[shard]": "3"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        intent = answer.json
        self.assertRegex(intent["id"], r"^pi_[0-9a-f]{24}$")
        self.assertEqual((intent["object"], intent["status"]), ("payment_intent", "succeeded"))
        self.assertEqual((intent["amount"], intent["amount_received"], intent["currency"]),
                         (4900, 4900, "eur"))
        self.assertEqual(intent["metadata"], {"order_id": "order-1", "shard": "3"})
        self.assertEqual((intent["description"], intent["receipt_email"]),
                         ("A dress", "ann@example.com"))
        self.assertRegex(intent["latest_charge"], r"^ch_")
        self.assertIsNone(intent["last_payment_error"])
        self.assertAlmostEqual(intent["created"], time.time(), delta=5)
        self.assertEqual(self.gateway.call("GET", "/v1/payment_intents/" + intent["id"]).json, intent)

    def test_a_declined_card_is_a_402_and_charges_nothing(self):
        answer = self.charge(method="pm_card_chargeDeclinedInsufficientFunds")
        error = answer.json["error"]
        self.assertEqual((answer.status, error["type"], error["code"], error["decline_code"]),
                         (402, "card_error", "card_declined", "insufficient_funds"))
        self.assertEqual(error["payment_intent"]["status"], "requires_payment_method")
        self.assertEqual(self.charges_of("order-1"), ["requires_payment_method"])

    def test_a_bank_may_ask_back_and_the_intent_be_cancelled(self):
        intent = self.charge(method="pm_card_authenticationRequired").json
        self.assertEqual(intent["status"], "requires_action")
        path = f"/v1/payment_intents/{intent['id']}/cancel"
        answer = self.post(path, {})
        self.assertEqual((answer.status, answer.json["status"]), (200, "canceled"))
        again = self.post(path, {})
        self.assertEqual((again.status, again.json["error"]["code"]),
                         (400, "payment_intent_unexpected_state"))
        self.assertEqual(again.json["error"]["payment_intent"]["status"], "canceled")
        self.kill_and_start_again()
        self.assertEqual(self.charges_of("order-1"), ["canceled"])

    def test_what_has_succeeded_cannot_be_cancelled(self):
        intent = self.charge().json
        answer = self.post(f"/v1/payment_intents/{intent['id']}/cancel", {})
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["error"]["payment_intent"], intent)

    def test_a_wrong_field_is_named_and_charges_nothing(self):
        for fields, param in (({"amount": "-1"}, "amount"), ({"amount": 10**9}, "amount"),
                              ({"receipt_email": "nobody"}, "receipt_email"),
                              ({"surprise": "1"}, "surprise")):
            with self.subTest(param):
                answer = self.charge(**fields)
                self.assertEqual((answer.status, answer.json["error"]["type"]),
                                 (400, "invalid_request_error"))
                self.assertEqual(answer.json["error"]["param"], param)
        self.assertEqual(self.gateway.intents(), [])

    def test_another_key_is_refused(self):
        for secret in ("sk_test_other", KEY + "x", KEY[:-1], ""):
            answer = self.post("/v1/payment_intents", {}, secret=secret)
            self.assertEqual((answer.status, answer.json["error"]["type"]),
                             (401, "invalid_request_error"))
        self.assertEqual(http_call(self.daemon.url, "GET", "/_control").status, 401)

    def test_what_is_not_there_is_a_404(self):
        for method, path in (("GET", "/"), ("GET", "/v1/payment_intents/pi_1"), ("GET", "/v1/refunds/re_1"),
                             ("GET", "/v1/payment_intents/pi_" + 24 * "0"), ("POST", "/v1/charges"),
                             ("POST", "/v1/payment_intents/pi_1/cancel"), ("DELETE", "/v1/refunds"),
                             ("POST", "/v1/payment_intents/" + 500 * "x" + "/cancel")):
            with self.subTest(path=path[:60]):
                answer = self.gateway.call(method, path, {} if method == "POST" else None)
                self.assertEqual(answer.status, 404)

    def test_refunds_end_at_what_was_paid(self):
        intent = self.charge(amount=1000).json
        part = self.post("/v1/refunds", {"payment_intent": intent["id"], "amount": 300}, key="r1")
        self.assertEqual((part.status, part.json["amount"], part.json["status"]), (200, 300, "succeeded"))
        self.assertEqual(self.gateway.call("GET", "/v1/refunds/" + part.json["id"]).json, part.json)
        too_much = self.post("/v1/refunds", {"payment_intent": intent["id"], "amount": 701})
        self.assertEqual(too_much.json["error"]["param"], "amount")
        rest = self.post("/v1/refunds", {"payment_intent": intent["id"]}, key="r2")
        self.assertEqual(rest.json["amount"], 700)
        nothing = self.post("/v1/refunds", {"payment_intent": intent["id"]}, key="r3")
        self.assertEqual(nothing.json["error"]["code"], "charge_already_refunded")
        self.kill_and_start_again()
        shown = self.gateway.call("GET", "/v1/payment_intents/" + intent["id"]).json
        self.assertEqual((shown["amount_refunded"], shown["refunded"]), (1000, True))
        again = self.post("/v1/refunds", {"payment_intent": intent["id"], "amount": 300}, key="r1")
        self.assertEqual(again.json, part.json)

    def refunds_of(self, intent, **query):
        query = urllib.parse.urlencode({"payment_intent": intent["id"], **query})
        answer = self.gateway.call("GET", "/v1/refunds?" + query)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def test_refunds_of_an_intent_are_listed_newest_first(self):
        intent, other = self.charge(amount=1000).json, self.charge(order="order-2").json
        made = [self.post("/v1/refunds", {"payment_intent": intent["id"], "amount": n}).json for n in (1, 2, 3)]
        self.post("/v1/refunds", {"payment_intent": other["id"]})
        self.kill_and_start_again()
        self.assertEqual(self.refunds_of(intent)["data"], made[::-1])
        page = self.refunds_of(intent, limit=2)
        self.assertEqual((page["data"], page["has_more"]), (made[:0:-1], True))
        rest = self.refunds_of(intent, limit=2, starting_after=page["data"][-1]["id"])
        self.assertEqual((rest["data"], rest["has_more"]), (made[:1], False))
        self.assertEqual(len(self.gateway.call("GET", "/v1/refunds").json["data"]), 4)
        for query, status in (("payment_intent=pi_1", 404), ("limit=0", 400), ("starting_after=re_1", 404)):
            self.assertEqual(self.gateway.call("GET", "/v1/refunds?" + query).status, status)

    def test_a_refund_meets_faults_and_is_made_once(self):
        for number, (mode, made) in enumerate((("500", 0), ("500-after-charge", 1), ("429", 0), ("409", 0),
                                               ("wrong-amount", 1), ("garbage", 1))):
            with self.subTest(mode):
                intent = self.charge(order=f"order-{number}", key=f"charge-{number}").json
                form = {"payment_intent": intent["id"]}
                self.gateway.fault(mode, 1)
                first = self.post("/v1/refunds", form, key=f"refund-{number}")
                self.assertEqual(len(self.refunds_of(intent)["data"]), made)
                again = self.post("/v1/refunds", form, key=f"refund-{number}")
                if mode.startswith("500"):      # kept as the result of its key, whatever became of it
                    self.assertEqual((first.status, again.status, again.json), (500, 500, first.json))
                    self.assertEqual(len(self.refunds_of(intent)["data"]), made)
                else:
                    self.assertNotEqual(first.body, again.body)
                    self.assertEqual(again.json, self.refunds_of(intent)["data"][0])
                    self.assertEqual(again.json["amount"], intent["amount"])


class Keys(SandboxCase):

    def test_a_key_gives_its_first_result_again(self):
        first = self.charge(key="k")
        again = self.charge(key="k")
        self.assertEqual((again.status, again.body), (first.status, first.body))
        self.assertIsNone(first.headers["Idempotent-Replayed"])
        self.assertEqual(again.headers["Idempotent-Replayed"], "true")
        self.assertEqual(self.charges_of("order-1"), ["succeeded"])

    def test_the_first_result_stays_when_the_intent_changes(self):
        first = self.charge(key="k", method="pm_card_authenticationRequired")
        self.post(f"/v1/payment_intents/{first.json['id']}/cancel", {})
        self.assertEqual(self.charge(key="k", method="pm_card_authenticationRequired").body, first.body)

    def test_a_decline_is_a_result(self):
        first = self.charge(key="k", method="pm_card_chargeDeclined")
        again = self.charge(key="k", method="pm_card_chargeDeclined")
        self.assertEqual((again.status, again.body), (402, first.body))

    def test_other_parameters_are_refused(self):
        self.charge(key="k")
        answer = self.charge(key="k", amount=4901)
        self.assertEqual((answer.status, answer.json["error"]["type"]), (400, "idempotency_error"))
        self.assertEqual(self.charge(key="k").status, 200)

    def test_a_wrong_field_leaves_the_key_unused(self):
        self.assertEqual(self.charge(key="k", surprise="1").status, 400)
        self.assertEqual(self.charge(key="k").status, 200)

    def test_a_key_in_use_is_a_conflict(self):
        self.gateway.latency(1000)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(self.charge, key="k")
            wait_until(lambda: self.gateway.started("order-1"), 30, "the first request")
            second = self.charge(key="k")
            self.assertEqual((second.status, second.json["error"]["code"]),
                             (409, "idempotency_key_in_use"))
            self.assertEqual(first.result().status, 200)
        self.assertEqual(self.charge(key="k").body, first.result().body)

    def test_without_a_key_every_request_charges(self):
        self.charge()
        self.charge()
        self.assertEqual(self.charges_of("order-1"), ["succeeded", "succeeded"])


class Crashes(SandboxCase):

    def test_charges_and_keys_survive_a_kill(self):
        first = {f"k{n}": self.charge(f"order-{n}", f"k{n}", amount=100 + n).body for n in range(30)}
        declined = self.charge("order-x", "x", method="pm_card_chargeDeclined")
        before = self.gateway.intents()
        self.kill_and_start_again()
        self.assertEqual(self.gateway.intents(), before)
        for n in range(30):
            self.assertEqual(self.charge(f"order-{n}", f"k{n}", amount=100 + n).body, first[f"k{n}"])
        self.assertEqual(self.charge("order-x", "x", method="pm_card_chargeDeclined").body, declined.body)
        self.assertEqual(self.charge("order-1", "k1").json["error"]["type"], "idempotency_error")
        self.assertEqual(len(self.gateway.intents()), 31)

    def test_nothing_answered_is_lost_whenever_it_is_killed(self):
        """Clients charge without pause while the gateway is killed again and again."""
        answered, stop = {}, threading.Event()

        def client(number):
            for turn in range(10**6):
                order = f"order-{number}-{turn}"
                while not stop.is_set():
                    try:
                        answer = self.charge(order, order)
                    except OSError:
                        time.sleep(0.02)
                        continue
                    if answer.status == 200:
                        answered[order] = answer.json["id"]
                        break
                if stop.is_set():
                    return

        clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in clients:
            thread.start()
        dice = random.Random(3)
        try:
            for _ in range(6):
                time.sleep(0.1 + dice.random() * 0.2)
                self.kill_and_start_again()
            count = len(answered)
            wait_until(lambda: len(answered) > count, 30, "charges after the last start")
        finally:
            stop.set()
            for thread in clients:
                thread.join()
        intents = self.gateway.intents()
        found = {intent["metadata"]["order_id"]: intent["id"] for intent in intents}
        self.assertEqual(len(found), len(intents), "an order was charged twice")
        self.assertEqual({order: found.get(order) for order in answered}, answered)

    def test_a_torn_last_record_is_cut_off_and_said(self):
        self.charge("kept", "kept")
        self.daemon.kill()
        size = os.path.getsize(self.ledger)
        with open(self.ledger, "ab") as sink:
            sink.write(b'0123456789abcdef {"kind":"charge","key":"to')
        self.start()
        self.assertIn(b"torn", self.daemon.log_text())
        self.assertEqual(os.path.getsize(self.ledger), size)
        self.assertEqual(self.charges_of("kept"), ["succeeded"])

    def test_a_damaged_ledger_stops_the_start(self):
        for n in range(5):
            self.charge(f"order-{n}")
        self.daemon.stop()
        with open(self.ledger, "r+b") as file:
            file.seek(200)
            file.write(b"#")
        log = os.path.join(self.directory, "damaged.log")
        daemon = Daemon("checkout-sandbox-gateway", {}, log, arguments=["--ledger", self.ledger])
        self.assertEqual(daemon.process.wait(10), 2)
        self.assertRegex(daemon.log_text().decode(), r"the ledger \S+ is damaged at byte \d+")

    def test_a_ledger_in_use_is_refused(self):
        log = os.path.join(self.directory, "second.log")
        daemon = Daemon("checkout-sandbox-gateway", {}, log, arguments=["--ledger", self.ledger])
        self.assertEqual(daemon.process.wait(10), 2)
        self.assertIn(b"is in use by another process", daemon.log_text())

    def test_a_stop_answers_what_was_begun(self):
        self.gateway.latency(3000)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            begun = pool.submit(self.charge, key="k")
            wait_until(lambda: self.gateway.started("order-1"), 30, "the request")
            time.sleep(2)  # past the half: it is executed
            self.daemon.stop(timeout=10)
            self.assertEqual(begun.result().status, 200)
        self.start()
        self.assertEqual(self.charge(key="k").body, begun.result().body)


class Faults(SandboxCase):

    def check_lost_then_replayed(self, mode, charged, timeout=15):
        """The answer is lost; the same key then gives the result, and one charge is there."""
        self.gateway.fault(mode)
        self.charge_lost(key="k", timeout=timeout)
        self.assertEqual(len(self.charges_of("order-1")), 1 if charged else 0)
        again = self.charge(key="k")
        self.assertEqual((again.status, again.json["status"]), (200, "succeeded"))
        self.assertEqual(again.headers["Idempotent-Replayed"], "true" if charged else None)
        self.assertEqual(self.charges_of("order-1"), ["succeeded"])

    def test_reset(self):
        self.check_lost_then_replayed("reset", False)

    def test_charge_then_reset(self):
        self.check_lost_then_replayed("charge-then-reset", True)

    def test_partial(self):
        self.check_lost_then_replayed("partial", True)

    def test_never(self):
        self.check_lost_then_replayed("never", False, timeout=0.5)

    def test_charge_then_never(self):
        self.check_lost_then_replayed("charge-then-never", True, timeout=0.5)

    def test_too_many_requests_and_conflict_are_no_results(self):
        for mode, status in (("429", 429), ("409", 409)):
            self.gateway.fault(mode, 2)
            for _ in range(2):
                answer = self.charge(mode, key=mode)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["Retry-After"], "1" if status == 429 else None)
            self.assertEqual(self.charge(mode, key=mode).status, 200)
            self.assertEqual(self.charges_of(mode), ["succeeded"])

    def test_an_error_is_a_result_whether_it_charged_or_not(self):
        for mode, charges in (("500", []), ("500-after-charge", ["succeeded"])):
            self.gateway.fault(mode)
            first = self.charge(mode, key=mode)
            self.assertEqual((first.status, first.json["error"]["type"]), (500, "api_error"))
            self.kill_and_start_again()
            again = self.charge(mode, key=mode)
            self.assertEqual((again.status, again.body), (500, first.body))
            self.assertEqual(self.charges_of(mode), charges)

    def test_garbage_and_a_wrong_amount_are_only_in_the_answer(self):
        self.gateway.fault("garbage")
        self.assertIsNone(self.charge("a", key="a").json)
        self.gateway.fault("wrong-amount")
        self.assertEqual(self.charge("b", key="b").json["amount"], 4901)
        for key in ("a", "b"):
            self.assertEqual(self.charge(key, key=key).json["amount"], 4900)
            self.assertEqual(self.charges_of(key), ["succeeded"])

    def test_latency_and_slowness(self):
        self.gateway.control(latency_ms=200, slow_ms=300)
        for mode, least in (("none", 0.2), ("slow", 0.5)):
            self.gateway.fault(mode)
            begun = time.monotonic()
            self.assertEqual(self.charge().status, 200)
            self.assertGreaterEqual(time.monotonic() - begun, least)
        self.gateway.calm()
        harness.quickest(0.2, self.charge)

    def test_a_card_meets_its_fault_once_for_an_order(self):
        method = "pm_sandbox_charge-then-reset"
        self.charge_lost(key="k", method=method)
        self.assertEqual(self.charge(key="k", method=method).status, 200)
        self.assertEqual(self.charge(key="k2", method=method).status, 200)
        self.assertEqual(self.charges_of("order-1"), ["succeeded", "succeeded"])

    def test_faults_by_chance_repeat_with_their_seed(self):
        runs = []
        for turn in range(2):
            self.gateway.control(seed=7, modes={"429": 0.3, "409": 0.3})
            runs.append([self.charge(f"{turn}-{n}").status for n in range(40)])
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(set(runs[0]), {200, 409, 429})

    def test_a_wrong_control_is_refused_and_changes_nothing(self):
        before = self.gateway.call("GET", "/_control").json
        for body in (b"", b"[]", b'{"mode":"nope"}', b'{"latency_ms":-1}', b'{"surprise":1}'):
            answer = http_call(self.daemon.url, "POST", "/_control", {"Authorization": "Bearer " + KEY}, body)
            self.assertEqual(answer.status, 400)
        self.assertEqual(self.gateway.call("GET", "/_control").json, before)


class Lists(SandboxCase):

    def page(self, **query):
        answer = self.gateway.call("GET", "/v1/payment_intents?" + urllib.parse.urlencode(query))
        self.assertEqual(answer.status, 200, answer)
        return [intent["metadata"]["order_id"] for intent in answer.json["data"]], answer.json["has_more"]

    def test_pages_are_newest_first_and_meet_without_gap(self):
        ids = [self.charge(f"o{n}").json["id"] for n in range(25)]
        self.assertEqual(self.page(), ([f"o{n}" for n in range(24, 14, -1)], True))
        self.assertEqual(self.page(limit=2, starting_after=ids[10]), (["o9", "o8"], True))
        self.assertEqual(self.page(limit=10, starting_after=ids[10]),
                         ([f"o{n}" for n in range(9, -1, -1)], False))
        self.assertEqual(self.page(starting_after=ids[0]), ([], False))
        self.assertEqual([i["id"] for i in self.gateway.intents()], ids[::-1])

    def test_created_gte_ends_the_list(self):
        self.charge("old")
        wait_until(lambda: time.time() % 1 < 0.5, 2, "the first half of a second")
        time.sleep(1)
        since = self.charge("new").json["created"]
        self.charge("newer")
        query = {"created[gte]": since}
        self.assertEqual(self.page(**query), (["newer", "new"], False))
        self.assertEqual(self.page(limit=1, **query), (["newer"], True))
        self.assertEqual(self.page(**{"created[gte]": since + 1000}), ([], False))

    def test_wrong_queries_are_refused(self):
        for query in ("limit=0", "limit=101", "limit=x", "starting_after=pi_1", "created[gte]=x"):
            answer = self.gateway.call("GET", "/v1/payment_intents?" + query)
            self.assertIn(answer.status, (400, 404), query)


class CommandLine(unittest.TestCase):

    def run_it(self, *arguments):
        log = os.path.join(run_directory(), f"sandbox-{uuid.uuid4().hex[:8]}.log")
        daemon = Daemon("checkout-sandbox-gateway", {}, log, arguments=arguments)
        try:
            return daemon.process.wait(10), daemon.log_text().decode()
        finally:
            os.unlink(log)

    def test_help_names_every_option(self):
        code, text = self.run_it("--help")
        self.assertEqual(code, 0)
        for option in ("--listen", "--ledger", "--key-file", "--latency", "--seed", "--help"):
            self.assertIn(option, text)
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 100)

    def test_storms_and_chaos_know_every_fault(self):
        code, text = self.run_it("--help")
        self.assertEqual(code, 0)
        named = re.search(r"meet a fault: (.*?); none ends all trouble", re.sub(r"\s+", " ", text)).group(1)
        self.assertEqual(tuple(named.split(", ")), harness_modes.FAULTS)

    def test_a_wrong_setting_stops_the_start_with_one_line(self):
        ledger = os.path.join(run_directory(), "never-made")
        for arguments, named in ((["--listen", "nonsense"], "--listen"), ([], "--ledger"),
                                 (["--ledger", "/no/such/directory/x"], "/no/such/directory/x"),
                                 (["--ledger", ledger, "--key-file", "/no/such/key"], "/no/such/key"),
                                 (["--ledger", ledger, "--latency", "soon"], "--latency"),
                                 (["--surprise", "1"], "--surprise")):
            with self.subTest(named):
                code, text = self.run_it(*arguments)
                self.assertEqual(code, 2)
                self.assertIn(named, text)
                self.assertEqual(len(text.splitlines()), 1)

    def test_no_secret_is_logged(self):
        directory = os.path.join(run_directory(), "sandbox-" + uuid.uuid4().hex[:8])
        os.makedirs(directory)
        self.addCleanup(shutil.rmtree, directory)
        key_file = os.path.join(directory, "key")
        with open(key_file, "w", encoding="ascii") as sink:
            sink.write(KEY)
        daemon = Daemon("checkout-sandbox-gateway", {}, os.path.join(directory, "log"), arguments=[
            "--ledger", os.path.join(directory, "ledger"), "--key-file", key_file])
        self.addCleanup(daemon.stop)
        def address():
            return re.search(r"^http://\S+:(\d+)$", daemon.log_text().decode(), re.MULTILINE)
        url = wait_until(address, 30, "its address").group(0)
        form = urllib.parse.urlencode({"amount": 100, "currency": "eur", "payment_method": "pm_card_visa",
                                       "confirm": "true", "receipt_email": "ann@example.com"})
        for secret in (KEY, "sk_test_wrong"):
            http_call(url, "POST", "/v1/payment_intents", {"Authorization": "Bearer " + secret}, form)
        daemon.stop()
        for secret in (KEY, "sk_test_wrong", "ann@example.com", "pm_card_visa"):
            self.assertNotIn(secret, daemon.log_text().decode())


if __name__ == "__main__":
    harness.main()
