#!/usr/bin/python3
"""A gateway that talks nonsense, of every kind: each unit ends sold or free, or is held where operators see it,
and the log says in plain words what is wrong. When the gateway has come to its senses, everybody is answered."""

import json
import os
import re
import time

import harness
import harness_nonsense
from harness import wait_until
from harness_nonsense import Authority, NonsenseGateway, after_a_charge

FINAL = "('confirmed', 'rejected', 'cancelled', 'refunded')"

# What it does, and what the consumer's log says of it. A function of `gateway` makes the nonsense.
MALFORMED = r"malformed|no JSON|not JSON"
NONSENSE = {
    "HTML with 502": (harness_nonsense.html_502, r"502"),
    "HTML with 502 after a charge": (after_a_charge(harness_nonsense.html_502), r"502"),
    "HTML with 200": (harness_nonsense.html_200, MALFORMED),
    "nothing with 200": (harness_nonsense.empty_200, MALFORMED),
    "nothing with 200 after a charge": (after_a_charge(harness_nonsense.empty_200), MALFORMED),
    "sent elsewhere": (harness_nonsense.moved, r"302"),
    "no HTTP at all": (harness_nonsense.no_http, r"connection_lost|no HTTP"),
    "cut in the middle": (harness_nonsense.cut, r"connection_lost|cut"),
    "cut in the middle after a charge": (after_a_charge(harness_nonsense.cut), r"connection_lost|cut"),
    "slow without end": (harness_nonsense.endless, r"timeout|timed out"),
    "too long": (harness_nonsense.huge, r"too_long|too long"),
    "deep": (harness_nonsense.deep, MALFORMED),
    "another order's intent": (harness_nonsense.another_orders, r"other_order|another order"),
    "no such route": (harness_nonsense.not_ours_to_see, r"404"),
    "compressed": (harness_nonsense.gzipped, None),  # it may be understood
}


class Nonsensical(harness.TestCase):
    daemons = ("producer",)
    number = 0

    def begin(self, make, certificate=None, gone=False, **settings):
        """A gateway (which is gone already) and a consumer, and four buyers: two for one unit, two for others."""
        self.gateway = NonsenseGateway(None, certificate)
        if not gone:
            self.addCleanup(self.gateway.close)
        if make is not None:
            self.gateway.nonsense = make(self.gateway) if "gateway" in make.__code__.co_varnames[:1] else make
        if gone:
            self.gateway.close()
        self.consumer = self.stack.start("consumer", CHECKOUT_GATEWAY_URL=self.gateway.url,
                                         CHECKOUT_GATEWAY_TIMEOUT="2s", **settings)
        self.addCleanup(self.consumer.stop)
        one, other = self.stack.item(stock=1), self.stack.item(stock=2)
        Nonsensical.number += 1
        self.orders = [self.stack.order(f"buyer-{Nonsensical.number}-{n}", sku) for n, sku in
                       enumerate((one, one, other, other))]

    def log(self):
        return self.consumer.log_text().decode()

    def states(self):
        return dict(self.stack.sql("select order_id::text, status from orders where order_id = any(%s::uuid[])",
                                   ([order.id for order in self.orders],)))

    def held_or_ended(self):
        """Each order has ended, waits behind another, is listed as unclear, or waits for payments to go on, which
        doctor says."""
        states = self.states()
        told = self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()
        seen = {json.loads(line)["order_id"] for line in told}
        seen |= {row[0] for row in self.stack.sql("select order_id::text from orders join shards using (shard) where "
                                                  "payments_stopped is not null")}
        return len(states) == 4 and all(
            states[order.id] in FINAL or states[order.id] == "waiting" or order.id in seen for order in self.orders)

    def comes_to_its_senses(self):
        self.gateway.nonsense = None
        self.everybody_is_answered()

    def everybody_is_answered(self):
        wait_until(lambda: all(state in FINAL for state in self.states().values()), 60,
                   lambda: f"everybody's end: {self.states()}; {self.log()[-2000:]}")
        confirmed = {order: 1 for order, state in self.states().items() if state == "confirmed"}
        refunded = {path for method, path, _ in self.gateway.asked if method == "POST" and path == "/v1/refunds"}
        self.assertEqual(refunded, set())
        self.assertEqual(self.gateway.captures(), confirmed)
        self.assertEqual(self.stack.sql("select sku from items where held <> 0 or sold > stock"), [])


def answers(make, words):
    def test(self):
        self.begin(make)
        wait_until(lambda: len(self.gateway.asked) >= 2, 30, "the gateway to be asked")
        wait_until(self.held_or_ended, 30, lambda: f"each unit held visibly, free or sold: {self.states()}")
        if words is not None:
            self.assertRegex(self.log(), words)
        self.comes_to_its_senses()
    return test


def add_classes():
    """Three titles a class, so that classes can run side by side."""
    titles, drawn = list(NONSENSE), harness.drawn(NONSENSE)
    for first in range(0, len(titles), 3):
        tests = {"test_" + re.sub(r"\W+", "_", title.lower()): answers(*NONSENSE[title])
                 for title in titles[first:first + 3] if title in drawn}
        name = f"Answers{first // 3 + 1}"
        globals()[name] = type(name, (Nonsensical,), tests)


add_classes()


class Unreached(Nonsensical):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = os.path.join(cls.stack.directory, "certificates")
        os.makedirs(folder)
        cls.authority = Authority(folder)
        cls.good = cls.authority.certificate("good")

    def operators_see(self, word, text):
        """`payments unknown`, `top`, `shards` and `consumers` have the word; doctor asks the gateway, and has both."""
        url = {"CHECKOUT_GATEWAY_URL": self.gateway.url, "CHECKOUT_GATEWAY_CA_FILE": self.authority.file}
        wait_until(lambda: word in self.stack.ctl("payments", "unknown").stdout, 30, "the payments to show why")
        wait_until(lambda: {row[0] for row in self.stack.sql("select payments_stopped from shards")} ==
                   {f"failing: {word}"}, 30, "the payments to be stopped")
        for command in (("shards",), ("top", "--once"), ("consumers",)):
            self.assertIn(f"failing: {word}", self.stack.ctl(*command).stdout, command)
        self.assertIn("payments are stopped in 4 of 4 shards", self.stack.ctl("shards").stdout)
        for command in (("shards",), ("consumers",)):
            line = json.loads(self.stack.ctl(*command, "--json").stdout.splitlines()[0])
            self.assertEqual(line["payments_stopped"], f"failing: {word}", command)
        top = json.loads(self.stack.ctl("top", "--once", "--json").stdout)
        self.assertEqual({shard["payments_stopped"] for shard in top["shards"]}, {f"failing: {word}"})
        doctor = self.stack.ctl("doctor", check=False, **url)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn(f"fail  gateway       {text} ({word})", doctor.stdout)
        self.assertIn(f"stopped in 4 shards (failing: {word})", doctor.stdout)


class Certificates(Unreached):
    """A gateway that cannot be trusted is never asked, and the log says that it is not reached."""

    def distrusted(self, certificate, word, text):
        self.begin(None, certificate, CHECKOUT_GATEWAY_CA_FILE=self.authority.file)
        wait_until(self.held_or_ended, 30, lambda: f"each unit held visibly, free or sold: {self.states()}")
        wait_until(lambda: word in self.log(), 10, lambda: f"a word in the log: {self.log()[-1500:]}")
        self.operators_see(word, text)
        self.assertEqual(self.gateway.asked, [])
        self.gateway.use(self.good)
        self.everybody_is_answered()

    def test_one_that_has_expired(self):
        self.distrusted(self.authority.certificate("expired", days=-1), "certificate_expired", "its certificate has expired")

    def test_one_that_signed_itself(self):
        self.distrusted(self.authority.certificate("own", authority=False), "certificate_self_signed",
                        "its certificate is self-signed")

    def test_one_of_another_host(self):
        self.distrusted(self.authority.certificate("other", host="other.example"), "certificate_of_another_host",
                        "its certificate is for another host")


class Absent(Unreached):
    """A gateway that is not there, or says nothing."""

    def test_a_port_that_nobody_serves(self):
        self.begin(None, gone=True)
        wait_until(self.held_or_ended, 30, lambda: f"each unit held visibly, free or sold: {self.states()}")
        wait_until(lambda: "connection_refused" in self.log(), 10, lambda: f"a word in the log: {self.log()[-1500:]}")
        self.operators_see("connection_refused", "it refuses the connection")
        self.gateway = NonsenseGateway(None, port=self.gateway.port)
        self.addCleanup(self.gateway.close)
        self.everybody_is_answered()

    def test_one_that_is_silent(self):
        """doctor gives up after five seconds, or after the time that one answer may take."""
        self.begin(harness_nonsense.endless)
        wait_until(lambda: "timeout" in self.stack.ctl("payments", "unknown").stdout, 30, "the payments to show why")
        began = time.monotonic()
        doctor = self.stack.ctl("doctor", check=False, CHECKOUT_GATEWAY_URL=self.gateway.url,
                                CHECKOUT_GATEWAY_TIMEOUT="2s")
        self.assertLess(time.monotonic() - began, 20)
        self.assertIn("warn  gateway       it gives no answer", doctor.stdout)
        self.comes_to_its_senses()
        doctor = self.stack.ctl("doctor", check=False, CHECKOUT_GATEWAY_URL=self.gateway.url)
        self.assertIn("ok    gateway       it answers, and lists payments to our key", doctor.stdout)


if __name__ == "__main__":
    harness.main()
