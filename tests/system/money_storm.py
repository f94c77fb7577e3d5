#!/usr/bin/python3
"""Money under a gateway that misbehaves: exact, and nobody waits long who need not.

    tests/system/money_storm.py storm --orders 20000 --rate 400
    tests/system/money_storm.py outage --seconds 120

storm: a third of the gateway's answers are wrong, late, cut, or none at all, in every way that it knows;
then each order has its one right end, the gateway's book and the tables say the same, and the median buyer
had the answer within 3 s. outage: the gateway is gone for some time; nobody is rejected for it, everybody
is answered afterwards, and each item's units went to those who came first and could pay.

Servers and programs as tests/integration/harness.py finds them. Exit code 1 if anything is not so.
"""

import argparse
import collections
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
from harness import wait_until  # noqa: E402
from harness_modes import DECLINES, FAULTS, PAYS, PAYS_LATER, REFUSED, used_once  # noqa: E402

PATIENCE_S = 300  # a used key takes the limit of a call, 90 s, and there may be three attempts
MEDIAN_S = 3.0
METHODS = (*[PAYS] * 6, PAYS_LATER, *DECLINES)
ONCE_EACH = 20      # one buyer in so many has a payment method that is used up by its first payment
OPEN = "('waiting', 'reserved')"


class Broken(Exception):
    """A promise that was not kept."""


def must(holds, what):
    if not holds:
        raise Broken(what)


def say(began, text):
    print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)


class Scene:
    """A stack with one item for each of `items`, and what all scenes ask of money afterwards."""

    def __init__(self, name, items, stock, consumers=2, tls=False, **settings):
        self.began = time.monotonic()
        self.stack = harness.Stack(name, shards=16, settings=settings)
        if tls:
            self.stack.gateway_over_tls()
        for number in range(items):
            self.stack.item(f"bench-{number:06d}", stock=stock, price=1999)
        self.stack.start("sandbox")
        self.stack.start("producer")
        self.consumers = [self.stack.start("consumer") for _ in range(consumers)]

    def say(self, text):
        say(self.began, text)

    def open_orders(self):
        return self.stack.one(f"select count(*) from orders where status in {OPEN}")

    def wait_for_the_end(self, orders, patience):
        """All of the orders have come to the counter and ended."""
        wait_until(lambda: self.stack.one("select count(*) from orders") == orders and self.open_orders() == 0,
                   patience, lambda: f"{orders} orders to end; {self.open_orders()} are open: "
                   f"{self.stack.sql('select state, code, count(*) from payments group by 1, 2')}", interval=0.25)

    def check_money(self):
        """The gateway's book, the tables and our own auditor agree."""
        confirmed = {row[0]: row[1] for row in self.stack.sql(
            "select order_id::text, amount from orders where status = 'confirmed'")}
        captured = collections.defaultdict(list)
        for intent in self.stack.gateway.intents():
            if intent["status"] == "succeeded" and not intent.get("refunded"):
                captured[intent["metadata"]["order_id"]].append(intent["amount"])
        must({order: [amount] for order, amount in confirmed.items()} == dict(captured),
             f"{len(confirmed)} orders are confirmed and {len(captured)} were charged: "
             f"{list(set(confirmed) ^ set(captured))[:5]} differ, "
             f"{[order for order, amounts in captured.items() if len(amounts) > 1][:5]} were charged twice")
        wrong = self.stack.sql(
            "select sku, stock, held, sold, waiting, count(o.order_id) from items left join orders o using (sku)"
            " where o.status in ('confirmed', 'refunded') or o.order_id is null group by sku"
            " having held <> 0 or waiting <> 0 or sold <> coalesce(sum(o.quantity), 0) or sold > stock")
        must(wrong == [], f"items whose units are wrong: {wrong[:5]}")
        audit = self.stack.ctl("audit", "--json", check=False, timeout=300)
        must(audit.returncode == 0, f"the audit: {audit.stdout[-2000:]}{audit.stderr}")
        return len(confirmed)

    def tell_ends(self):
        ends = self.stack.sql("select status, coalesce(reason, ''), count(*) from orders group by 1, 2 order by 3 desc")
        self.say(", ".join(f"{count} {status}{' (' + reason + ')' if reason else ''}"
                           for status, reason, count in ends))
        tries = self.stack.sql("select attempt, count(*) from payments group by 1 order by 1")
        self.say("attempts: " + ", ".join(f"{count} × {attempt}" for attempt, count in tries))

    def close(self):
        self.stack.close()


# ---- storm ---------------------------------------------------------------------------------------------


def storm(options):
    """Orders at a steady rate by buyers who listen, at a gateway that misbehaves."""
    items = max(20, options.orders // 100)
    # a tenth of the orders find no unit in the end; one card in ten declines
    scene = Scene("storm", items, max(1, options.orders * 8 // 10 // items), CHECKOUT_GATEWAY_TIMEOUT="3s")
    try:
        stack = scene.stack
        stack.start("notifier")
        once = [used_once(stack.gateway) for _ in range(options.orders // ONCE_EACH)]
        stack.gateway.control(**storm_of(options))
        tokens = os.path.join(stack.directory, "tokens")
        with open(tokens, "w", encoding="ascii") as sink:
            sink.writelines(stack.token(f"buyer-{number:04d}") + "\n" for number in range(300))
        doors = [urllib.parse.urlsplit(stack.daemon(name).url).netloc for name in ("producer", "notifier")]
        scene.say(f"{options.orders} orders, {options.rate} a second, {options.share} % of the answers bad, "
                  f"seed {options.seed}")
        single = BuyersWithMethods(stack, once, options.orders / options.rate, items)
        done = subprocess.run(
            [harness.program("checkout-bench-outcome"), *doors, str(options.orders), str(options.rate), str(items),
             tokens, "storm", ",".join(METHODS), str(PATIENCE_S)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        must(done.returncode == 0, f"the buyers: {done.stderr}")
        told = json.loads(done.stdout)
        scene.say(f"{told['accepted']} accepted, {told['finished']} answered; a buyer's answer: median "
                  f"{told['p50_us'] / 1e6:.3f} s, p99 {told['p99_us'] / 1e6:.1f} s, last {told['max_us'] / 1e6:.1f} s")
        must(told["accepted"] == options.orders, "not every order was accepted")
        scene.wait_for_the_end(options.orders + single.accepted(), 180)
        scene.tell_ends()
        must(told["finished"] == options.orders, f"only {told['finished']} buyers were told")
        must(told["p50_us"] <= MEDIAN_S * 1e6, f"the median buyer waited for more than {MEDIAN_S} s")
        give_back(scene, options)
        stack.gateway.calm()
        confirmed = scene.check_money()
        wrong = stack.sql(
            "select o.order_id::text, o.reason, array_agg((p.attempt, p.state, p.code)::text order by p.attempt)"
            " from orders o left join payments p using (order_id) where o.status = 'rejected'"
            " and o.reason not in ('sold_out', 'payment_declined') group by 1, 2"
            # refused for good, by the storm or because the method was used up; or after the most attempts of an order
            " having not coalesce(bool_or(p.state = 'failed' and p.code = %s), false) and coalesce(max(p.attempt), 0) < 3",
            (REFUSED,))
        must(wrong == [], f"rejected for no fault of theirs: {wrong[:5]}")
        stack.stop_daemons()
        scene.say(f"exact: {confirmed} orders confirmed, each charged once, and nobody else")
    finally:
        scene.close()


def storm_of(options, **more):
    """Settings of the sandbox: so many of its answers are bad, of every kind equally many."""
    chance = options.share / 100 / len(FAULTS)
    return {"seed": options.seed, "slow_ms": 2000, "jitter_ms": 50, "reads": options.share / 100, "list_late_ms": 3000,
            "keep_refused": 0.5, "keep_invalid": 0.5, "modes": {mode: chance for mode in FAULTS}, **more}


class BuyersWithMethods:
    """Order beside the others, each with a payment method of his own that is used up by its first payment."""

    def __init__(self, stack, methods, seconds, items):
        self._stack, self._methods, self._seconds, self._items = stack, methods, seconds, items
        self._answers = collections.Counter()
        self._thread = threading.Thread(target=self._order)
        self._thread.start()

    def _order(self):
        for number, method in enumerate(self._methods):
            self._answers[self._stack.post(f"single-{number}", f"bench-{number % self._items:06d}",
                                           payment_method=method).status] += 1
            time.sleep(self._seconds / len(self._methods))      # their rate, nothing is waited for

    def accepted(self):
        self._thread.join()
        must(set(self._answers) <= {202, 409}, f"orders were not accepted: {self._answers}")    # 409: sold out
        return self._answers[202]


def give_back(scene, options):
    """Some of the orders are refunded, by the same gateway, which has no balance for some of them at first: an operator
    asks for these again, and need not wait until tomorrow."""
    stack, count = scene.stack, options.orders // 50
    orders = [row[0] for row in stack.sql(
        "select order_id::text from orders where status = 'confirmed' order by order_id limit %s", (count,))]
    began = time.monotonic()

    def states():
        return dict(stack.sql("select case when try_at is null then state else 'later' end, count(*) from refunds group by 1"))

    stack.gateway.control(**storm_of(options, refunds="no-balance"))
    ask_for_refunds(stack, orders[:count // 2])
    wait_until(lambda: set(states()) == {"later"} and states()["later"] == count // 2, 120,
               lambda: f"{count // 2} refunds to be put off: {states()}", interval=0.25)
    stack.gateway.control(**storm_of(options, refunds="ok"))
    ask_for_refunds(stack, orders)

    def again():
        """A refusal without a code says nothing else than that the balance lacks."""
        ask_for_refunds(stack, [row[0] for row in stack.sql(
            "select r.order_id::text from refunds r where r.state = 'open' and r.try_at is not null and not exists"
            " (select 1 from commands c where c.order_id = r.order_id and c.kind = 'refund' and c.state = 'pending')")])
        return stack.one("select count(*) from orders where status = 'refunded'") == count

    wait_until(again, 120, lambda: f"{count} refunds: {states()}", interval=0.5)
    scene.say(f"{count} orders refunded within {time.monotonic() - began:.1f} s")


def ask_for_refunds(stack, orders):
    stack.sql("select checkout.request_order_command('refund', o, '{\"restock\": false}', 'storm')"
              " from unnest(%s::uuid[]) o", (orders,))


# ---- outage --------------------------------------------------------------------------------------------


def order_in_turn(scene, first, behind, items):
    """Orders one after the other, so that they came in this order: [(order id, sku, pays)]. The card of
    every third buyer of an item declines."""
    producer = urllib.parse.urlsplit(scene.stack.daemon("producer").url)
    connection = http.client.HTTPConnection(producer.hostname, producer.port, timeout=15)
    made = []
    for number in range(first, behind):
        pays = number // items % 3 != 0
        sku = f"bench-{number % items:06d}"
        body = json.dumps({"sku": sku, "quantity": 1, "payment_method": PAYS if pays else DECLINES[0]})
        connection.request("POST", "/v1/orders", body, {
            "Authorization": "Bearer " + scene.stack.token(f"buyer-{number}"), "Idempotency-Key": f"outage-{number}",
            "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        must(answer.status == 202, f"an order was not accepted: {answer.status} {text!r}")
        made.append((json.loads(text)["id"], sku, pays))
    connection.close()
    return made


def expected_ends(made, stock):
    """First come, first served, and the units of those who cannot pay go on."""
    sold = collections.Counter()
    ends = {}
    for order, sku, pays in made:
        if sold[sku] == stock:
            ends[order] = ("rejected", "sold_out")
        elif pays:
            sold[sku] += 1
            ends[order] = ("confirmed", None)
        else:
            ends[order] = ("rejected", "payment_declined")
    return ends


def outage(options):
    """The gateway is gone; orders come all the while."""
    items, stock = 10, max(2, options.orders // 10 * 6 // 10)
    scene = Scene("outage", items, stock, CHECKOUT_GATEWAY_TIMEOUT="5s")
    try:
        stack = scene.stack
        made = order_in_turn(scene, 0, options.orders // 10, items)
        sandbox = stack.daemon("sandbox")
        sandbox.kill()
        gone = time.monotonic()
        scene.say("the gateway is gone")
        made += order_in_turn(scene, len(made), options.orders, items)
        scene.say(f"{len(made)} orders taken")
        wait_until(lambda: time.monotonic() - gone >= options.seconds, options.seconds + 5, "the outage to last",
                   interval=0.5)
        lost = stack.sql("select status, reason, count(*) from orders where status = 'rejected' and reason not in "
                         "('sold_out', 'payment_declined') group by 1, 2")
        must(lost == [], f"rejected because the gateway was gone: {lost}")
        stack.start_again(sandbox)
        back = time.monotonic()
        scene.say(f"the gateway is back after {back - gone:.0f} s; {scene.open_orders()} orders wait")
        scene.wait_for_the_end(len(made), 240)
        scene.say(f"everybody was answered {time.monotonic() - back:.1f} s later")
        scene.tell_ends()
        ends = {row[0]: (row[1], row[2]) for row in stack.sql("select order_id::text, status, reason from orders")}
        expected = expected_ends(made, stock)
        differing = [(number, order, ends[order], expected[order])
                     for number, (order, _, _) in enumerate(made) if ends[order] != expected[order]]
        must(differing == [], f"{len(differing)} ends are not those of who came first: {differing[:5]}")
        confirmed = scene.check_money()
        stack.stop_daemons()
        scene.say(f"in order and exact: {confirmed} orders confirmed, each charged once")
    finally:
        scene.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    scenes = parser.add_subparsers(dest="scene", required=True)
    one = scenes.add_parser("storm", help="a gateway that misbehaves")
    one.add_argument("--orders", type=int, default=20000)
    one.add_argument("--rate", type=int, default=400, help="orders a second")
    one.add_argument("--share", type=float, default=30, help="percentage of the answers that are bad")
    one.add_argument("--seed", type=int, default=1, help="of the gateway's dice")
    one.set_defaults(run=storm)
    one = scenes.add_parser("outage", help="a gateway that is gone for some time")
    one.add_argument("--orders", type=int, default=1000)
    one.add_argument("--seconds", type=float, default=120)
    one.set_defaults(run=outage)
    options = parser.parse_args()
    try:
        options.run(options)
    except (Broken, AssertionError) as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
