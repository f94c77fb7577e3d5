"""The verdict on a finished sale: figures, and one line for each promise that did not hold."""

import resource

import sale_check
import sale_plan
import sale_show

# Figures of the result that must be 0.
_NEVER = ("unfinished", "oversold", "double_charged", "charged_unconfirmed", "confirmed_uncharged",
          "out_of_order", "unfair", "foreign_events", "contradictory_events", "keys_with_two_ids",
          "units_held", "gave_up")


class Verdict:
    """Asks the tables and the gateway once. `result` goes out as JSON; `broken`: texts."""

    def __init__(self, sale, unfinished):
        self._sale = sale
        self._orders = sale.tables.orders()
        self._after = sale.tables.items(sale_plan.ITEMS)
        self._confirmed_units = {
            sku: sum(row["quantity"] for row in self._orders.values()
                     if row["sku"] == sku and row["status"] == "confirmed") for sku in self._after}
        expected = sale.expected_news()
        seen = expected.intersection(sale.listeners.finals)
        self._outcomes = self._outcome_seconds(seen)
        self.result = {**self._counts(unfinished), "notified": len(seen),
                       "notify_expected": len(expected), **self._latencies(), **self._more()}
        self.broken = self._broken()

    def summary(self):
        return sale_show.summary(self._details(), self.broken)

    def _counts(self, unfinished):
        sale, orders = self._sale, self._orders
        charges = sale_check.captured(sale.settings["SALE_GATEWAY"], sale.settings["gateway_key"])
        states = [orders[order]["status"] for order in sale.accepted if order in orders]
        return {
            "accepted": len(sale.accepted),
            "confirmed": states.count("confirmed"),
            "rejected": states.count("rejected"),
            "cancelled": states.count("cancelled"),
            "refunded": states.count("refunded"),
            "unfinished": len(unfinished),
            "oversold": self._oversold(),
            **sale_check.money(orders, charges, self._known_confirmed),
        }

    def _latencies(self):
        figures = {}
        for name, seconds in (("accept", self._sale.clicks.accept_seconds), ("outcome", self._outcomes)):
            for share in (50, 99):
                value = sale_show.percentile(seconds, share / 100)
                figures[f"{name}_p{share}_ms"] = sale_show.milliseconds(value)
        return figures

    def _more(self):
        sale, after = self._sale, self._after
        expected = sale_check.expected_units(sale.plan, sale.accepted, sale.before)
        return {
            "units_sold": sum(after[sku]["sold"] - sale.before[sku]["sold"] for sku in after),
            "units_expected": sum(expected.values()),
            "units_held": sum(after[sku]["held"] - sale.before[sku]["held"] for sku in after),
            "out_of_order": sale_check.out_of_order(sale.plan, self._orders),
            "unfair": sale_check.unfair(sale.plan, self._orders),
            "foreign_events": self._foreign_events(),
            "contradictory_events": self._contradictory_events(),
            "keys_with_two_ids": sum(len(wish.ids) > 1 for wish in sale.plan.wishes),
            "gave_up": sale.clicks.given_up,
            "retries": sale.clicks.retries,
            "resets": sale.clicks.resets,
            "reconnects": sale.listeners.reconnects,
            "answers": {str(status): count for status, count in sorted(sale.clicks.statuses.items())},
            "seconds": round(sale.whole_s, 2),
            "seed": sale.options.seed,
        }

    def _outcome_seconds(self, seen):
        wishes = {order: wish for wish in self._sale.plan.wishes for order in wish.ids}
        return [self._sale.listeners.finals[pair] - wishes[pair[1]].first_sent for pair in seen]

    def _oversold(self):
        """Units given away beyond the stock, by the counters and by counting the confirmed orders."""
        over = 0
        for sku, item in self._after.items():
            there = self._sale.before[sku]["stock"] - self._sale.before[sku]["sold"]
            over += max(0, item["held"] + item["sold"] - item["stock"], self._confirmed_units[sku] - there)
        return over

    def _known_confirmed(self, ids):
        """How many of these ids of other sales are confirmed orders."""
        rows = self._sale.tables.rows("select count(*) from orders where order_id::text = any(%s) "
                                "and status = 'confirmed'", ([order for order in ids if order],))
        return rows[0][0]

    def _foreign_events(self):
        owner = {order: wish.user for wish in self._sale.plan.wishes for order in wish.ids}
        return sum(owner.get(order, user) != user for user, order in self._sale.listeners.finals)

    def _contradictory_events(self):
        wrong = sum(order in self._orders and self._orders[order]["status"] != status
                    for order, status in self._sale.listeners.statuses.items())
        return wrong + self._sale.listeners.contradictions

    def _broken(self):
        sale, result = self._sale, self.result
        broken = [f"{name} is {result[name]}" for name in _NEVER if result[name]]
        if result["notified"] != result["notify_expected"]:
            broken.append(f"{result['notified']} of {result['notify_expected']} final events reached "
                          "their listeners")
        if result["units_sold"] != result["units_expected"]:
            broken.append(f"{result['units_sold']} units sold, {result['units_expected']} expected")
        confirmed = sum(self._confirmed_units.values())
        if confirmed != result["units_sold"]:
            broken.append(f"the orders confirm {confirmed} units, the items say {result['units_sold']}")
        never_accepted = sum(not wish.ids for wish in sale.plan.wishes)
        if never_accepted:
            broken.append(f"{never_accepted} of {len(sale.plan.wishes)} orders were never accepted")
        broken += [f"{count} clicks were answered {problem}"
                   for problem, count in sorted(sale.clicks.problems.items())]
        return broken

    def _details(self):
        sale, result = self._sale, self.result
        clicks = sale.clicks
        used = resource.getrusage(resource.RUSAGE_SELF)
        return [
            ("orders accepted", f"{result['accepted']:,} in {sale.posted_s:.2f} s "
                                f"({len(clicks.accept_seconds) / sale.posted_s:,.0f} answers/s)"),
            ("all decided after", f"{sale.whole_s:.2f} s"),
            ("units sold", f"{result['units_sold']} of {result['units_expected']} expected"),
            ("confirmed", f"{result['confirmed']:,}"),
            ("rejected", f"{result['rejected']:,} ({self._reasons()})"),
            ("unfinished", f"{result['unfinished']:,}"),
            ("oversold", f"{result['oversold']:,}"),
            ("charged twice", f"{result['double_charged']:,}"),
            ("told by websocket", f"{result['notified']:,} of {result['notify_expected']:,} final "
                                  f"events ({sale.listeners.events:,} events in all)"),
            ("click → 202", sale_show.span(clicks.accept_seconds)),
            ("click → outcome", sale_show.span(self._outcomes)),
            ("retries, resets", f"{result['retries']:,}, {result['resets']:,}"),
            ("the buyers' own CPU", f"{used.ru_utime + used.ru_stime:.2f} s"),
        ]

    def _reasons(self):
        reasons = [row["reason"] for row in self._orders.values() if row["reason"]]
        return ", ".join(f"{reasons.count(reason):,} {reason}" for reason in sorted(set(reasons)))
