"""The verdict: what the database and the gateway say, against what the clients were told."""

import collections
import json
import urllib.error
import urllib.parse
import urllib.request

import psycopg2

from sale_listen import FINAL


class Tables:
    """The database as the sale sees it. Opens again by itself; used by one thread at a time."""

    def __init__(self, url, run):
        self.url = url
        # All users of this sale, and nobody else, as a range that the index serves.
        self._users = (f"sale-{run}-", f"sale-{run}.")
        self._connection = None

    def rows(self, statement, arguments=()):
        try:
            if self._connection is None:
                self._connection = psycopg2.connect(self.url, connect_timeout=5,
                                                    options="-csearch_path=checkout")
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(statement, arguments)
                return cursor.fetchall()
        except psycopg2.Error:
            self.close()
            raise

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def items(self, skus):
        """sku → a dict of its counts."""
        names = ("sku", "stock", "held", "sold", "waiting", "limit_per_user", "gate")
        rows = self.rows(f"select {', '.join(names)} from items where sku = any(%s)", (list(skus),))
        return {row[0]: dict(zip(names, row)) for row in rows}

    def states(self):
        """state → number of this sale's orders."""
        return dict(self.rows("select status, count(*) from orders where user_id >= %s and user_id < %s "
                              "group by status", self._users))

    def unfinished(self, accepted):
        """Ids among `accepted` without a final state."""
        rows = self.rows("select order_id::text from orders where user_id >= %s and user_id < %s "
                         "and status = any(%s)", (*self._users, list(FINAL)))
        return accepted.difference(row[0] for row in rows)

    def orders(self):
        """id → a dict of this sale's order, `position` being when it was decided."""
        names = ("id", "user", "sku", "quantity", "status", "reason", "position")
        rows = self.rows(
            "select o.order_id::text, o.user_id, o.sku, o.quantity, o.status, o.reason, "
            "(select min(e.event_id) from order_events e where e.order_id = o.order_id) "
            "from orders o where o.user_id >= %s and o.user_id < %s", self._users)
        return {row[0]: dict(zip(names, row)) for row in rows}


def captured(gateway, key):
    """Order id → number of payment intents that succeeded and were not refunded, by the gateway."""
    counts = collections.Counter()
    after = None
    while True:
        query = {"limit": 100, **({"starting_after": after} if after else {})}
        request = urllib.request.Request(
            f"{gateway}/v1/payment_intents?{urllib.parse.urlencode(query)}",
            headers={"Authorization": "Bearer " + key})
        with urllib.request.urlopen(request, timeout=15) as answer:
            page = json.load(answer)
        for intent in page["data"]:
            if intent["status"] == "succeeded" and not intent.get("amount_refunded"):
                counts[intent.get("metadata", {}).get("order_id")] += 1
        if not page.get("has_more"):
            return counts
        after = page["data"][-1]["id"]


def expected_units(plan, accepted, before):
    """sku → units that must be sold, given who could pay and what was there before."""
    payers = collections.defaultdict(collections.Counter)
    for wish in plan.wishes:
        if wish.pays and wish.ids & accepted:
            payers[wish.sku][wish.user] += 1
    expected = {}
    for sku, item in before.items():
        limit = item["limit_per_user"]
        able = sum(min(count, limit or count) for count in payers[sku].values())
        expected[sku] = min(item["stock"] - item["held"] - item["sold"], able)
    return expected


def out_of_order(plan, orders):
    """Orders that were decided after one whose POST began when they already had their 202."""
    wrong = 0
    for sku in {wish.sku for wish in plan.wishes}:
        line = []
        for wish in plan.wishes:
            known = [orders[order] for order in wish.ids if order in orders]
            if wish.sku == sku and wish.first_answer is not None and known:
                line.append((known[0]["position"], wish))
        latest_sent = float("-inf")
        for _, wish in sorted(line, key=lambda place: place[0]):
            wrong += wish.first_answer < latest_sent
            latest_sent = max(latest_sent, wish.first_sent)
    return wrong


def unfair(plan, orders):
    """Orders refused as sold out although a unit went to somebody who came surely later."""
    wrong = 0
    for sku in {wish.sku for wish in plan.wishes}:
        refused, latest_winner = [], float("-inf")
        for wish in plan.wishes:
            for order in wish.ids:
                row = orders.get(order)
                if wish.sku != sku or row is None:
                    continue
                if row["status"] == "confirmed":
                    latest_winner = max(latest_winner, wish.first_sent)
                elif row["reason"] == "sold_out" and wish.first_answer is not None:
                    refused.append(wish.first_answer)
        wrong += sum(answer < latest_winner for answer in refused)
    return wrong


def money(orders, charges, known):
    """Broken promises about money. known(ids): how many of these other ids are confirmed orders."""
    confirmed = {order for order, row in orders.items() if row["status"] == "confirmed"}
    mine = {order: count for order, count in charges.items() if order in orders}
    foreign = [order for order in charges if order not in orders]
    return {
        "double_charged": sum(count - 1 for count in charges.values() if count > 1),
        "charged_unconfirmed": len(set(mine) - confirmed) + len(foreign) - known(foreign),
        "confirmed_uncharged": len(confirmed - set(mine)),
    }
