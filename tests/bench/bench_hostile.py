"""What one customer with a very long past costs the counter: nothing that can be measured. Orders of such a customer
beside those of a new one, for the same items with a limit, in the same tables."""

import os

SPREAD_ITEMS = 10000
PAST = 1000000

UNITS = {"hostile_customer_vs_none": "ratio"}
FLOORS = {"hostile_customer_vs_none": (0.9, None)}


class HostileFigures:
    """A group of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def hostile(self):
        self.bed.fresh(SPREAD_ITEMS, 2 * self.orders)
        self.bed.stack.sql("update items set limit_per_user = %s", (2 * self.orders,))
        self.tell(f"{PAST:,} orders of one customer")
        self._fill_past("hostile")
        rates = {}
        for user in ("newcomer", "hostile") * 2:    # each first once that is not measured: nothing of it is in memory
            self.tell(f"orders of the {user}")
            rates[user] = self._drain_of(user)
        self.add("hostile_customer_vs_none", rates["hostile"] / rates["newcomer"])

    def _fill_past(self, user):
        """Half of them for SKUs that do not exist, half of them sold."""
        self.bed.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, "
            "fingerprint, sequence, accepted_at) select gen_random_uuid(), %s, "
            "case n %% 2 when 0 then i.sku else 'nothing-' || n end, i.shard, 1, "
            "case n %% 2 when 0 then 'confirmed' else 'rejected' end, case n %% 2 when 1 then 'unknown_item' end, 1999, "
            "'usd', 'f', 2, now() - interval '1 day' "
            "from generate_series(1, %s) n join (select sku, shard, row_number() over (order by sku) - 1 as k from items) i "
            "on i.k = n / 2 %% %s returning user_id, sku, status) "
            "insert into customer_units (sku, user_id, units) select sku, user_id, count(*) from made "
            "where status = 'confirmed' group by sku, user_id", (user, PAST, SPREAD_ITEMS))
        self.bed.stack.sql("vacuum analyze orders, customer_units")
        self.bed.stack.sql("checkpoint")

    def _drain_of(self, user):
        path = os.path.join(self.bed.stack.directory, "token-of-" + user)
        with open(path, "w", encoding="ascii") as sink:
            sink.write(self.bed.stack.token(user, lifetime=86400) + "\n")
        everybody, self.bed.tokens = self.bed.tokens, path
        try:
            return self.bed.drain_by(1, self.orders, SPREAD_ITEMS)
        finally:
            self.bed.tokens = everybody


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {"hostile": (("hostile_customer_vs_none",), True)}
