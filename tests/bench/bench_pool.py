"""The pool's figures: what moving, dying, freezing and growing cost. Times are the database's own: from an
event that the bench causes to the next decision's transaction on the same shard."""

import itertools
import statistics
import time

from bench_bed import Bed, cpu_seconds
from harness_pool import Load
from harness_wait import wait_until

KILLS = 30
HANGS = 3
JOINS = 5
LONG_LINE = 1000000
HISTORY = 1000000
POOLS = (1, 2, 4, 8)
SPREAD_ITEMS = 10000
LINES = 200000          # items at which somebody waits
WATCH_S = 60

UNITS = {
    "failover_kill9_ms": "ms", "failover_hang_ms": "ms", "scale_pause_ms": "ms", "scale_pause_others_ms": "ms",
    "takeover_1m_ms": "ms", "bulk_reject_per_s": "orders/s", "bulk_reject_others_p95_ms": "ms",
    "lines_beat_longest_ms": "ms", "lines_beat_shortest_ms": "ms", "lines_sweep_core": "cores", "lines_expiry_ms": "ms",
    "promotion_1m_vs_10": "ratio", "growth": "ratio", "growth_cold": "ratio", "growth_empty_per_s": "orders/s",
    "pool_1_per_s": "orders/s", "pool_2_per_s": "orders/s", "pool_4_per_s": "orders/s", "pool_8_per_s": "orders/s",
    "pool_2_vs_1": "ratio", "pool_4_vs_1": "ratio", "pool_8_vs_1": "ratio",
}

FLOORS = {
    "failover_kill9_ms": (None, 1000), "failover_hang_ms": (None, 15000), "scale_pause_ms": (None, 300),
    "takeover_1m_ms": (None, 1000), "bulk_reject_per_s": (12000, None), "bulk_reject_others_p95_ms": (None, 50),
    "lines_beat_longest_ms": (None, 1200), "lines_beat_shortest_ms": (800, None), "lines_sweep_core": (None, 0.05),
    "lines_expiry_ms": (None, 3000),
    "promotion_1m_vs_10": (None, 1.5), "growth": (0.8, None),
    **{f"pool_{n}_vs_1": (0.8, None) for n in POOLS[1:]},
}

WORST_COUNTS = {"failover_kill9_ms", "failover_hang_ms", "takeover_1m_ms", "lines_expiry_ms"}


class PoolBed(Bed):
    """Several consumers, and a load on every shard."""

    _names = itertools.count()

    def item_on(self, shard, **columns):
        while True:
            sku = f"pool-{next(self._names)}"
            if self.stack.shard(sku) == shard:
                return self.stack.item(sku, **columns)

    def load_on(self, shards):
        load = Load(self.stack, [self.item_on(shard, stock=0) for shard in shards], jobs=1, pause=0.005)
        load.start()
        wait_until(lambda: load.total() > len(shards), 10, "the load to run")
        return load

    def owners(self):
        """shard → pid of its owner, or None."""
        return dict(self.stack.sql("select s.shard, c.pid from shards s left join consumers c on c.member_id = s.owner "
                                   "where s.shards = %s", (self.stack.shards,)))

    def owned(self, daemon):
        return [shard for shard, pid in self.owners().items() if pid == daemon.pid]

    def settled(self, *daemons):
        """Waits until each serves its share, and all shards have been served for a while."""
        most = -(-115 * self.stack.shards // (100 * len(daemons)))

        def still():
            young = self.stack.one("select count(*) from shards where shards = %s and "
                                   "taken_at > clock_timestamp() - interval '2500 ms'", (self.stack.shards,))
            shares = [len(self.owned(daemon)) for daemon in daemons]
            return sum(shares) == self.stack.shards and max(shares) <= most and young == 0
        wait_until(still, 60, lambda: f"{len(daemons)} consumers to share the shards: {self.owners()}", interval=0.2)

    def epochs(self, shards):
        return dict(self.stack.sql("select shard, epoch from shards where shards = %s and shard = any(%s)",
                                   (self.stack.shards, list(shards))))

    def next_decisions(self, epochs, since):
        """Milliseconds from `since` (epoch seconds) to the next owner's first decision on each of these shards
        (shard → its epoch until then): what the owner before still decided as it was struck does not count."""
        shards = list(epochs)

        def seen():
            return dict(self.stack.sql(
                "select e.shard, (extract(epoch from min(e.created_at))::float8 - %s) * 1000 from order_events e "
                "join unnest(%s, %s::bigint[]) as old(shard, epoch) on old.shard = e.shard and e.epoch > old.epoch "
                "where e.shard = any(%s) and e.sequence = 1 and e.created_at > to_timestamp(%s) group by e.shard",
                (since, shards, list(epochs.values()), shards, since)))
        wait_until(lambda: len(seen()) == len(shards), 60, "decisions on all shards that were orphaned")
        return seen()

    def longest_gaps(self, since, until):
        """shard → longest time without a decision, in milliseconds; one that has not ended by `until` counts too."""
        return dict(self.stack.sql(
            "select shard, max(gap) from (select shard, extract(epoch from coalesce(lead(created_at) over "
            "(partition by shard order by event_id), to_timestamp(%s)) - created_at)::float8 * 1000 as gap "
            "from order_events where sequence = 1 and created_at between to_timestamp(%s) and to_timestamp(%s)) g "
            "group by shard", (until, since, until)))

    def fill_line(self, sku, count):
        """`count` orders wait for the item, as deciding would have left them."""
        shard = self.stack.shard(sku)
        self.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, "
            "fingerprint, payment_method, ticket, sequence, accepted_at) "
            "select gen_random_uuid(), 'user-' || n %% 5000, %s, %s, 1, 'waiting', 1000, 'usd', 'f', "
            "'pm_card_visa', n, 1, now() from generate_series(1, %s) n returning order_id, ticket, user_id), "
            "told as (insert into order_events (shard, order_id, sequence, status, place_in_line) "
            "select %s, order_id, 1, 'waiting', ticket from made order by ticket), "
            "counted as (insert into customer_units (sku, user_id, units) "
            "select %s, user_id, count(*) from made group by user_id) "
            "insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at) "
            "select %s, ticket, order_id, %s, 1, now() + interval '1 day' from made order by ticket",
            (sku, shard, count, shard, sku, sku, shard))
        self.stack.sql("update items set waiting = %s, next_ticket = %s where sku = %s", (count, count + 1, sku))
        self._relayed()

    def fill_history(self, count):
        """`count` orders that have ended: a third is confirmed and paid."""
        self.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, "
            "currency, fingerprint, sequence, accepted_at) select gen_random_uuid(), 'buyer-' || n %% 5000, i.sku, "
            "i.shard, 1, case n %% 3 when 0 then 'confirmed' else 'rejected' end, "
            "case n %% 3 when 0 then null else 'sold_out' end, i.price, i.currency, 'f', 2, now() - interval '1 day' "
            "from generate_series(1, %s) n join (select sku, shard, price, currency, "
            "row_number() over (order by sku) - 1 as k from items) i on i.k = n %% %s "
            "returning order_id, user_id, sku, shard, status, reason, amount, currency), "
            "counted as (insert into customer_units as t (sku, user_id, units) select sku, user_id, count(*) from made "
            "where status = 'confirmed' group by sku, user_id), "
            "told as (insert into order_events (shard, order_id, sequence, status, reason) "
            "select m.shard, m.order_id, s.n, case s.n when 1 then 'reserved' else m.status end, "
            "case s.n when 2 then m.reason end from made m cross join generate_series(1, 2) as s(n)) "
            "insert into payments (order_id, shard, state, amount, currency, idempotency_key) "
            "select order_id, shard, 'captured', amount, currency, order_id || '-1' from made "
            "where status = 'confirmed'", (count, SPREAD_ITEMS))
        self._relayed()
        self.stack.sql("vacuum analyze orders, order_events, payments")
        self.stack.sql("checkpoint")

    def fill_lines(self):
        """At each item the one unit is held, and one order waits."""
        self.stack.sql("update items set held = 1, waiting = 1, next_ticket = 2")
        self.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, "
            "fingerprint, payment_method, ticket, sequence, accepted_at) select gen_random_uuid(), 'user-' || "
            "row_number() over (), sku, shard, 1, 'waiting', price, currency, 'f', 'pm_card_visa', 1, 1, now() from items "
            "returning order_id, sku, shard), "
            "told as (insert into order_events (shard, order_id, sequence, status, place_in_line) "
            "select shard, order_id, 1, 'waiting', 1 from made order by shard) "
            "insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at) "
            "select sku, 1, order_id, shard, 1, now() + interval '1 day' from made")
        self._relayed()
        self.stack.sql("vacuum analyze items, orders, order_events, waitlist")
        self.stack.sql("checkpoint")

    def heartbeats(self, consumer, seconds):
        """Milliseconds between heartbeats of a consumer, by the database's clock."""
        seen, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            at = self.stack.one("select extract(epoch from heartbeat_at)::float8 * 1000 from consumers where pid = %s",
                                (consumer.pid,))
            if not seen or at != seen[-1]:
                seen.append(at)
            time.sleep(0.02)
        return [after - before for before, after in zip(seen, seen[1:])]

    def expiry_ms(self, sku):
        """From when the order that waits for this item is due until it is refused."""
        due, order = self.stack.sql("update waitlist set expires_at = now() where sku = %s "
                                    "returning extract(epoch from expires_at)::float8, order_id", (sku,))[0]
        wait_until(lambda: self.stack.one("select status from orders where order_id = %s", (order,)) == "rejected", 300,
                   "an order that is due to be refused", interval=0.02)
        return (self.stack.one("select extract(epoch from updated_at)::float8 from orders where order_id = %s", (order,))
                - due) * 1000

    def _relayed(self):
        """What was written past the service has nobody to be told to."""
        self.stack.sql("update relays r set relayed_to = coalesce((select max(event_id) from order_events e "
                       "where e.shard = r.shard), r.relayed_to)")

    def _ended_since(self, before):
        """How many orders have ended since event `before`, by index: what ended long ago is not counted."""
        return self.stack.one(
            "select count(*) from generate_series(0, %s) s cross join lateral (select from order_events e "
            "where e.shard = s and e.event_id > %s and e.status in ('confirmed', 'rejected')) e",
            (self.stack.shards - 1, before))

    def drain_by(self, count, orders, items):
        """Orders a second brought to their end by `count` consumers that share the shards already. They stand
        still while the queues are filled: too short for anybody to take them for dead."""
        consumers = [self.stack.start("consumer") for _ in range(count)]
        try:
            self.settled(*consumers)
            before = self.stack.one("select last_value from event_ids")
            for consumer in consumers:
                consumer.freeze()
            try:
                self.load(256, orders, items)
            finally:
                start = time.time()
                for consumer in consumers:
                    consumer.thaw()
            wait_until(lambda: self.may_be_final(orders, before) and self._ended_since(before) >= orders, 180,
                       "all orders to end", interval=0.05)
            end = self.stack.one("select extract(epoch from max(created_at))::float8 from order_events")
        finally:
            for consumer in consumers:
                consumer.stop()
        return orders / (end - start)


class PoolFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def failover(self):
        self.bed.fresh()
        load = self.bed.load_on(range(self.bed.stack.shards))
        consumers = [self.bed.stack.start("consumer") for _ in range(3)]
        try:
            self.bed.settled(*consumers)
            for number in range(1, KILLS + 1):
                if number % 5 == 1:
                    self.tell(f"kill -9 of a consumer, {number} of {KILLS}")
                victim = consumers.pop(0)
                epochs = self.bed.epochs(self.bed.owned(victim))
                since = time.time()
                victim.kill()
                self.add("failover_kill9_ms", max(self.bed.next_decisions(epochs, since).values()))
                consumers.append(self.bed.stack.start("consumer"))
                self.bed.settled(*consumers)
            for number in range(1, HANGS + 1):
                self.tell(f"a consumer that hangs, {number} of {HANGS}")
                victim = consumers[0]
                epochs = self.bed.epochs(self.bed.owned(victim))
                since = time.time()
                victim.freeze()
                try:
                    self.add("failover_hang_ms", max(self.bed.next_decisions(epochs, since).values()))
                finally:
                    victim.thaw()
                self.bed.settled(*consumers)
        finally:
            self._end(load, consumers)

    def scale(self):
        self.bed.fresh()
        load = self.bed.load_on(range(self.bed.stack.shards))
        consumers = [self.bed.stack.start("consumer")]
        try:
            self.bed.settled(*consumers)
            for number in range(1, JOINS + 1):
                self.tell(f"a consumer joins, {number} of {JOINS}")
                before, since = self.bed.owners(), time.time()
                joined = self.bed.stack.start("consumer")
                self.bed.settled(*consumers, joined)
                gaps, after = self.bed.longest_gaps(since, time.time()), self.bed.owners()
                for moved, name in ((True, "scale_pause_ms"), (False, "scale_pause_others_ms")):
                    self.add(name, max(gap for shard, gap in gaps.items()
                                       if (before[shard] != after[shard]) is moved))
                joined.stop()
                self.bed.settled(*consumers)
        finally:
            self._end(load, consumers)

    def long_line(self):
        """A shard on which a million wait: its take-over, a promotion, and the end of the line."""
        self.bed.fresh()
        long, short = self.bed.item_on(0, stock=1, held=1), self.bed.item_on(1, stock=1, held=1)
        self.tell(f"{LONG_LINE:,} orders wait for one item")
        self.bed.fill_line(long, LONG_LINE)
        self.bed.fill_line(short, 10)
        self.tell("promotions")
        costs = {sku: self._promotion_ms(sku) for sku in (long, short)}
        self.add("promotion_1m_vs_10", costs[long] / costs[short])
        self.bed.stack.sql("delete from payments")
        load = self.bed.load_on([0])
        consumers = [self.bed.stack.start("consumer") for _ in range(2)]
        try:
            for number in range(1, 4):
                self.tell(f"its shard is taken over, {number} of 3")
                self.bed.settled(*consumers)
                victim = next(one for one in consumers if 0 in self.bed.owned(one))
                epochs, since = self.bed.epochs([0]), time.time()
                victim.kill()
                self.add("takeover_1m_ms", self.bed.next_decisions(epochs, since)[0])
                consumers.remove(victim)
                consumers.append(self.bed.stack.start("consumer"))
            self.bed.settled(*consumers)
            self._sell_out(long)
        finally:
            self._end(load, consumers)

    def _promotion_ms(self, sku, times=9):
        """The median time of a promotion, as the owner's transaction does it."""
        shard = self.bed.stack.shard(sku)
        epoch = self.bed.stack.one("select epoch from take_over(%s, %s, 0, null)", (self.bed.stack.shards, shard))
        costs = []
        for _ in range(times):
            self.bed.stack.sql("update items set stock = stock + 1 where sku = %s", (sku,))
            begun = time.perf_counter()
            tasks = self.bed.stack.sql("select (task).kind from settle_waitlist(%s, %s, %s, %s, 500)",
                                         (self.bed.stack.shards, shard, epoch, sku))
            costs.append((time.perf_counter() - begun) * 1000)
            if tasks != [("charge",)]:
                raise RuntimeError(f"one order should have been promoted: {tasks}")
        # no payment is open any more; one unit stays held, so that the others go on waiting
        self.bed.stack.sql("update items set stock = 1, held = 1 where sku = %s", (sku,))
        return statistics.median(costs)

    def _sell_out(self, sku):
        """Nobody of the line can be served any more: all are rejected, while others of the shard go on."""
        stack = self.bed.stack
        since = time.time()
        waiting = stack.one("update items set held = 0, sold = 1 where sku = %s returning waiting", (sku,))
        self.tell(f"{waiting:,} orders in line are rejected")  # the sweep finds it
        wait_until(lambda: stack.one("select waiting from items where sku = %s", (sku,)) == 0, 600,
                   "the line to be empty", interval=0.5)
        first, last, count = stack.sql(
            "select extract(epoch from min(e.created_at))::float8, extract(epoch from max(e.created_at))::float8, "
            "count(*) from order_events e join orders o using (order_id) where o.sku = %s and e.status = 'rejected' "
            "and e.created_at > to_timestamp(%s)", (sku, since))[0]
        if count != waiting:
            raise RuntimeError(f"{count} orders were rejected, {waiting} waited")
        self.add("bulk_reject_per_s", count / (last - first))
        self.add("bulk_reject_others_p95_ms", stack.one(
            "select percentile_cont(0.95) within group (order by extract(epoch from created_at - accepted_at)) * 1000 "
            "from orders where sku <> %s and shard = %s and created_at between to_timestamp(%s) and to_timestamp(%s)",
            (sku, stack.shard(sku), first, last)))

    def lines(self):
        """200,000 items with a waitlist, all served by one consumer: its heartbeats, what its sweep costs PostgreSQL, and
        how soon orders that have waited too long are refused."""
        self.bed.fresh(LINES, 1)
        self.tell(f"{LINES:,} items at which somebody waits")
        self.bed.fill_lines()
        consumer = self.bed.stack.start("consumer")
        try:
            self.bed.settled(consumer)
            self.tell(f"its heartbeats and its sweep, {WATCH_S} s")
            sweep = self.bed.stack.one("select pid from pg_stat_activity where application_name = 'checkout-consumer control' "
                                       "and datname = current_database()")
            used, beats = cpu_seconds(sweep), self.bed.heartbeats(consumer, WATCH_S)
            self.add("lines_sweep_core", (cpu_seconds(sweep) - used) / WATCH_S)
            self.add("lines_beat_longest_ms", max(beats))
            self.add("lines_beat_shortest_ms", min(beats))
            self.tell("orders that have waited too long")
            for number in range(1, 6):
                self.add("lines_expiry_ms", self.bed.expiry_ms(f"bench-{LINES * number // 6:06d}"))
        finally:
            consumer.stop()

    def pool(self):
        """With ample stock: else who comes while a unit is being paid for waits in line, and is refused afterwards,
        which is more work the more of them are decided at once."""
        rates = {}
        for count in POOLS:
            self.bed.fresh(SPREAD_ITEMS, self.orders)
            self.tell(f"{count} consumer{'s' if count > 1 else ''}")
            rates[count] = self.bed.drain_by(count, self.orders, SPREAD_ITEMS)
            self.add(f"pool_{count}_per_s", rates[count])
        for count in POOLS[1:]:
            self.add(f"pool_{count}_vs_1", rates[count] / rates[1])

    def growth(self):
        """Side by side in each round, and each after one sale that is not measured: what is read from the disk for
        the first time, and written whole to the log for the first time since the checkpoint, is `growth_cold`."""
        self.bed.fresh(SPREAD_ITEMS, self.orders)
        self.tell("empty tables")
        empty = [self.bed.drain_by(1, self.orders, SPREAD_ITEMS) for _ in range(2)]
        self.bed.fresh(SPREAD_ITEMS, self.orders)
        self.tell(f"{HISTORY:,} orders have ended")
        self.bed.fill_history(HISTORY)
        self.tell("the same with them")
        full = [self.bed.drain_by(1, self.orders, SPREAD_ITEMS) for _ in range(2)]
        self.add("growth_empty_per_s", empty[1])
        self.add("growth_cold", full[0] / empty[0])
        self.add("growth", full[1] / empty[1])

    @staticmethod
    def _end(load, consumers):
        load.stop()
        for consumer in consumers:
            if consumer.running():
                consumer.stop()


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "failover": (("failover_kill9_ms", "failover_hang_ms"), False),
    "scale": (("scale_pause_ms", "scale_pause_others_ms"), False),
    "long_line": (("takeover_1m_ms", "promotion_1m_vs_10", "bulk_reject_per_s", "bulk_reject_others_p95_ms"), False),
    "lines": (("lines_beat_longest_ms", "lines_beat_shortest_ms", "lines_sweep_core", "lines_expiry_ms"), False),
    "pool": (tuple(f"pool_{n}_vs_1" for n in POOLS[1:]), True),
    "growth": (("growth", "growth_cold"), True),
}
