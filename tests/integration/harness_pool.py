"""Several consumers of one stack: who serves what, loads whose order is known, and the evidence.

The evidence is what the database keeps: each event carries the epoch and the session that wrote it,
and each take-over the member that it gave the epoch to.
"""

import datetime
import itertools
import json
import threading
import urllib.parse
import uuid

import harness
import harness_jobs
from harness_broker import Broker
from harness_client import http_call
from harness_proxy import Proxy
from harness_database import as_login
from harness_wait import wait_until

_PORTS = {"CHECKOUT_DATABASE_URL": 5432, "CHECKOUT_AMQP_URL": 5672, "CHECKOUT_REDIS_URL": 6379}


class Load(threading.Thread):
    """Publishes jobs of each item in a known order, round after round, until it is stopped."""

    def __init__(self, stack, skus, jobs=5, pause=0.02):
        super().__init__(daemon=True)
        self._stack, self._jobs = stack, jobs
        self._pause, self._end = pause, threading.Event()
        self._broker = Broker(stack.direct["CHECKOUT_AMQP_URL"], stack.shards)
        self.lines = {sku: [] for sku in skus}
        self.problem = None

    def run(self):
        number = 0
        try:
            while not self._end.wait(self._pause):
                for sku, line in self.lines.items():
                    jobs = [self._stack.job(f"user-{number}-{n}", sku) for n in range(self._jobs)]
                    self._broker.publish(self._stack.shard(sku), harness_jobs.message(*jobs),
                                         {"x-job-count": len(jobs)})
                    line += [job["order_id"] for job in jobs]
                number += 1
        except Exception as error:  # shown by finish(), in the test's own thread
            self.problem = error

    def stop(self):
        self._end.set()
        if self.is_alive():
            self.join(30)

    def finish(self):
        self.stop()
        self._broker.close()
        if self.problem is not None:
            raise AssertionError(f"the load broke: {self.problem!r}")
        return self.lines

    def total(self):
        return sum(len(line) for line in self.lines.values())


class PoolCase(harness.TestCase):
    """Starts no consumer by itself: see consumer() and settled()."""

    daemons = ("sandbox",)
    shards = 16  # so many that each of three members gets some

    def setUp(self):
        self._proxies = []
        self.addCleanup(self._end_consumers)

    def _end_consumers(self):
        for proxy in self._proxies:
            proxy.freeze(False)
            proxy.up()
        self.stack.gateway.calm()
        for daemon in self.running():
            daemon.stop()
        for proxy in self._proxies:
            proxy.close()

    # -- consumers -------------------------------------------------------------------------------

    def consumer(self, *cut, **settings):
        """Starts a consumer. `cut`: of "database", "amqp", "redis", those that it reaches through a
        proxy of its own; daemon.proxies holds them by name."""
        proxies = {}
        for which in cut:
            name = f"CHECKOUT_{which.upper()}_URL"
            url = urllib.parse.urlsplit(self.stack.direct[name])
            proxies[which] = Proxy(url.hostname, url.port or _PORTS[name])
            self._proxies.append(proxies[which])
            login, at, _ = url.netloc.rpartition("@")
            settings[name] = urllib.parse.urlunsplit(
                url._replace(netloc=f"{login}{at}127.0.0.1:{proxies[which].port}"))
            if which == "database":
                settings[name] = as_login(settings[name], "consumer")
        daemon = self.stack.start("consumer", **settings)
        daemon.proxies = proxies
        daemon.member = self.member_of(daemon)
        return daemon

    def member_of(self, daemon):
        return self.stack.one("select member_id from consumers where pid = %s "
                              "order by member_id desc limit 1", (daemon.pid,))

    def running(self):
        return [daemon for daemon in self.stack.daemons
                if daemon.name == "checkout-consumer" and daemon.running()]

    def owners(self):
        """shard → member id, or None."""
        return dict(self.stack.sql("select shard, owner from shards where shards = %s", (self.shards,)))

    def epochs(self):
        return dict(self.stack.sql("select shard, epoch from shards where shards = %s", (self.shards,)))

    def served_by(self, daemon):
        return sorted(shard for shard, owner in self.owners().items() if owner == daemon.member)

    def settled(self, *daemons, timeout=60):
        """Waits until these serve all shards, each the ones it is named for, and nothing moves any more."""
        seen = {}

        def still():
            owners, epochs = self.owners(), self.epochs()
            members = {daemon.member for daemon in daemons}
            most = -(-115 * self.shards // (100 * len(daemons)))
            shares = [list(owners.values()).count(member) for member in members]
            good = set(owners.values()) <= members and max(shares) <= most
            was, seen["epochs"] = seen.get("epochs"), epochs
            return good and was == epochs and self.owned_as_named()
        wait_until(still, timeout, lambda: f"{len(daemons)} owners; now {self.owners()}, members "
                   f"{[daemon.member for daemon in daemons]}", interval=1.1)

    def served(self, *daemons):
        """As settled(); and the broker feeds each shard to its owner, too. A standby that is fed takes the shard
        over, and gives it on later."""
        def fed():
            self.settled(*daemons)
            epochs = self.epochs()
            self.wait_decided([order for shard in range(self.shards) for order in self.publish(self.new_sku(shard))])
            return epochs == self.epochs()
        wait_until(fed, 120, "the broker to feed the owners")

    def wait_acknowledged(self, daemon):
        """Waits until it has acknowledged what it decided, which it does as soon as it counts it."""
        def counted():
            return self.metric(daemon, "checkout_jobs_decided_total") >= self.decided_by(daemon)
        wait_until(counted, 30, "the decisions to be counted")

    def decided_by(self, daemon):
        """How many orders a member has decided, by the events."""
        return self.stack.one(
            "select count(*) from order_events e join take_overs t on t.shard = e.shard and t.epoch = e.epoch "
            "and t.shards = %s where e.sequence = 1 and t.member = %s", (self.shards, daemon.member))

    def beats(self, daemon):
        """How often it has beaten since it joined."""
        return self.stack.one("select heartbeats from consumers where member_id = %s", (daemon.member,))

    def owned_as_named(self):
        """Whether nothing is still to move: what was just taken is kept for a while before it is given on."""
        rows = [json.loads(line) for line in self.stack.ctl("shards", "--json").stdout.splitlines()]
        return all(row["owner"] is not None and row["owner"] == row["named_owner"] for row in rows)

    def metric(self, daemon, name):
        """Sum of a metric over its labels."""
        total = 0.0
        for line in http_call(daemon.admin, "GET", "/metrics").body.decode().splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                total += float(line.rsplit(" ", 1)[1])
        return total

    def load(self, **how):
        """A running load on an item of every shard."""
        load = Load(self.stack, [self.item_on(shard, stock=3) for shard in range(self.shards)], **how)
        self.addCleanup(load.stop)
        load.start()
        wait_until(lambda: load.total() > 100, 30, "the load to run")
        return load

    # -- items and orders --------------------------------------------------------------------------

    def hold(self, sku):
        """Decisions of this item hang from now on until release(): not by a lock, which would set it aside."""
        if self.stack.one("select count(*) from pg_trigger where tgname = 'hold'") == 0:
            self.stack.sql("""
                create table public.held(sku text primary key);
                create function public.hold() returns trigger language plpgsql security definer as $$
                begin
                    while exists (select from public.held h where h.sku = new.sku) loop
                        perform pg_sleep(0.02);
                    end loop;
                    return new;
                end $$;
                create trigger hold before insert on checkout.orders for each row execute function public.hold();
            """)
        self.stack.sql("insert into public.held values (%s)", (sku,))

    def release(self):
        self.stack.sql("delete from public.held")

    def wait_hanging(self):
        wait_until(lambda: self.stack.one(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and application_name like 'checkout-consumer%%' and wait_event = 'PgSleep'"), 30,
            "a decision to hang")

    def item_on(self, shard, **columns):
        """A new item of this shard."""
        return self.stack.item(self.new_sku(shard), **columns)

    def new_sku(self, shard):
        """One of this shard that nobody has heard of."""
        return next(sku for sku in (f"s{shard}-{uuid.uuid4().hex}" for _ in itertools.count())
                    if self.stack.shard(sku) == shard)

    def publish(self, sku, count=1, **members):
        """One message of `count` jobs; their order ids."""
        jobs = [self.stack.job(f"buyer-{n}", sku, **members) for n in range(count)]
        self.stack.publish_jobs(*jobs)
        return [job["order_id"] for job in jobs]

    def decided(self, orders):
        return self.stack.one("select count(*) from orders where order_id = any(%s::uuid[])", (orders,))

    def wait_decided(self, orders, timeout=30):
        wait_until(lambda: self.decided(orders) == len(orders), timeout,
                   lambda: f"{len(orders)} decisions; there are {self.decided(orders)}")

    def status(self, order):
        return self.stack.one("select status from orders where order_id = %s", (order,))

    def wait_status(self, order, *statuses, timeout=30):
        wait_until(lambda: self.status(order) in statuses, timeout,
                   lambda: f"{order} becomes {statuses}; it is {self.status(order)}")

    # -- the evidence --------------------------------------------------------------------------------

    def assert_in_order(self, lines, timeout=60):
        """All of these (sku → order ids) are decided, each item's in the order they were published."""
        orders = sum(lines.values(), [])
        self.wait_decided(orders, timeout)
        for sku, line in lines.items():
            came = [row[0] for row in self.stack.sql(
                "select e.order_id::text from order_events e join orders o using (order_id) "
                "where o.sku = %s and e.sequence = 1 order by e.event_id", (sku,))]
            self.assertEqual(came, line)

    def assert_served_once(self):
        """At any time one process wrote each shard: epochs never go back in commit order, an epoch has
        one session, and it is the session that took the shard over under that epoch."""
        back = self.stack.sql(
            "select shard, event_id, epoch, before from (select shard, event_id, epoch, "
            "lag(epoch) over (partition by shard order by event_id) as before from order_events) e "
            "where epoch < before or epoch is null")
        self.assertEqual(back, [], "a stale epoch wrote after a later one")
        strangers = self.stack.sql(
            "select distinct e.shard, e.epoch, e.backend, t.backend from order_events e "
            "left join take_overs t on t.shard = e.shard and t.epoch = e.epoch and t.shards = %s "
            "where e.backend is distinct from t.backend", (self.shards,))
        self.assertEqual(strangers, [], "an epoch was used by another session than the one it was given to")

    def writers(self, orders, sequence=None):
        """The members that wrote events of these orders (only the sequence-th of each, if given)."""
        return {row[0] for row in self.stack.sql(
            "select distinct t.member from order_events e join take_overs t "
            "on t.shard = e.shard and t.epoch = e.epoch and t.shards = %s "
            "where e.order_id = any(%s::uuid[]) and e.sequence = coalesce(%s, e.sequence)",
            (self.shards, orders, sequence))}

    def steps(self, daemon, shard):
        """What its log says that it did with a shard: (to, why), in order."""
        return [(to, why) for to, why, _ in self.told(daemon, shard)]

    def told(self, daemon, shard):
        """As steps(), and when: (to, why, time)."""
        found = []
        for line in daemon.log_text().decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("event") == "shard" and entry["shard"] == shard:
                when = datetime.datetime.fromisoformat(entry["time"].rstrip("Z"))
                found.append((entry["to"], entry["why"], when))
        return found

    def reasons(self, daemon, shard):
        """Why it set out to take a shard over, each time."""
        return [why for to, why in self.steps(daemon, shard) if to == "taking"]
