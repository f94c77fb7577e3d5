#!/usr/bin/python3
"""How the shop stands, as its programs and checkoutctl show it: heartbeats, waitlists, queues, orders that nobody decides."""

import contextlib
import json

import psycopg2

import harness
from harness import wait_until


class ShopNow(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")

    def heartbeats(self):
        return sorted(self.stack.sql("select program, ready, dead from checkout.list_daemons()"))

    def setUp(self):
        wait_until(lambda: self.heartbeats() == [("consumer", True, False), ("notifier", True, False),
                                                 ("producer", True, False)], 20, "heartbeats of all")

    def shop(self, name):
        return self.stack.daemon("notifier").metric(name)

    def test_a_daemon_that_leaves_takes_its_heartbeat_along_and_one_that_dies_does_not(self):
        door = self.stack.daemon("producer")
        place = self.stack.one("select place from checkout.daemons where program = 'producer'")
        door.kill()
        self.stack.sql("update checkout.daemons set heartbeat_at = now() - interval '20 s' where program = 'producer'")
        others = ("mailer", "webhooks", "console")
        self.stack.sql("insert into checkout.daemons (program, host, place, pid, version, ready, heartbeat_at) "
                       "select p, 'gone', p, 1, '0', true, now() - interval '20 s' from unnest(%s) p", (list(others),))
        wait_until(lambda: [self.shop(f'checkout_daemons{{program="{program}",state="dead"}}')
                            for program in ("producer", *others)] == [1, 1, 1, 1], 20, "the alarm")
        self.stack.sql("insert into checkout.consumers (name, host, pid, version, heartbeat_at) "
                       "values ('lost', 'gone', 1, '0', now() - interval '20 s')")
        done = self.stack.ctl("doctor", check=False)
        said = done.stdout
        self.assertEqual(done.returncode, 1, said)      # nobody takes orders
        self.assertRegex(said, "fail +producers +none is alive and ready")
        self.assertRegex(said, rf"warn +producers +\S+ at {place}: no heartbeat for \d+s")
        self.assertRegex(said, r"warn +consumers +gone at lost: no heartbeat for \d+s")
        self.stack.sql("delete from checkout.consumers where host = 'gone'")
        self.assertRegex(said, "ok +notifiers +1 alive and ready")
        for subject, program in zip(("mailers", "webhook senders", "consoles"), others):
            self.assertRegex(said, rf"warn +{subject} +gone at {program}: no heartbeat for \d+s")
        self.stack.sql("update checkout.daemons set heartbeat_at = now(), ready = program <> 'console', "
                       "not_ready = repeat('so long a reason ', 9) where host = 'gone'")
        lines = self.stack.ctl("top", "--once").stdout.splitlines()
        self.assertIn("mailers ready: 1; webhook senders ready: 1", lines)
        self.assertEqual([line for line in lines if len(line.rstrip()) > 80], [])
        self.stack.sql("delete from checkout.daemons where host = 'gone'")
        self.assertRegex(self.stack.ctl("top", "--once").stdout, rf"producer at \S+ {place} is dead: no heartbeat")
        self.stack.sql("insert into checkout.daemons (program, host, place, pid, version, ready, heartbeat_at) "
                       "values ('notifier', 'old', 'old', 1, '0', true, now() - interval '61 minutes')")
        again = self.stack.start_again(door)
        self.setUp()        # the dead one and the forgotten one are gone
        self.assertEqual(self.shop('checkout_daemons{program="notifier",state="dead"}'), 0)
        self.assertIn(place, [row for row, in self.stack.sql("select place from checkout.daemons")])
        again.stop()
        self.assertEqual([row[0] for row in self.heartbeats()], ["consumer", "notifier"])
        self.stack.start_again(door)

    def test_many_dead_daemons_hide_nothing_else(self):
        self.stack.sql("insert into checkout.daemons (program, host, place, pid, version, ready, heartbeat_at) "
                       "select 'webhooks', 'gone', n, 1, '0', true, now() - interval '20 s' from generate_series(1, 200) n")
        self.addCleanup(self.stack.sql, "delete from checkout.daemons where host = 'gone'")
        done = self.stack.ctl("doctor", check=False, CHECKOUT_GATEWAY_URL=f"http://127.0.0.1:{harness.free_port()}")
        self.assertEqual((done.returncode, done.stdout.count("no heartbeat")), (1, 8), done.stdout)
        self.assertRegex(done.stdout, r"warn +webhook senders +192 more are dead or not ready")
        self.assertRegex(done.stdout, "fail +gateway +it refuses the connection")
        lines = self.stack.ctl("top", "--once").stdout.splitlines()
        self.assertIn("daemons that are dead or not ready, and not shown: 196", lines)
        self.assertLessEqual(len(lines), 24)

    def test_a_line_shows_its_length_and_its_oldest(self):
        self.stack.gateway.latency(8000)
        self.addCleanup(self.stack.gateway.calm)
        sku = self.stack.item(stock=1)
        orders = [self.stack.order(f"buyer-{n}", sku) for n in range(4)]
        wait_until(lambda: self.shop(f'checkout_waiting_orders{{shard="{self.stack.shard(sku)}"}}') == 3, 20, "the line")
        wait_until(lambda: self.shop(f'checkout_waiting_oldest_seconds{{shard="{self.stack.shard(sku)}"}}') > 0, 20,
                   "its age")
        self.stack.sql("update payments set created_at = created_at - interval '20 s' where state = 'open'")
        said = self.stack.ctl("doctor", check=False).stdout
        self.assertRegex(said, r"warn +payments +1 wait for the gateway, the first for 2\ds")
        self.assertRegex(said, r"warn +waitlists +3 orders wait, the first for")
        top = json.loads(self.stack.ctl("top", "--once", "--json").stdout)
        self.assertEqual((top["sales"]["open_payments"], top["sales"]["oldest_payment_seconds"] > 20), (1, True))
        self.assertEqual({(d["program"], d["state"]) for d in top["daemons"]},
                         {("producer", "ready"), ("consumer", "ready"), ("notifier", "ready")})
        for order in orders:
            order.wait_final()
        head = self.stack.ctl("top", "--once").stdout
        self.assertRegex(head, r"sales: confirmed 0\.\d/s, refused 0\.\d/s, accepted \S+/s\n")
        self.assertIn("producers ready: 1; notifiers ready: 1, with 0 sockets\n", head)

    def test_a_rush_is_shown_as_quick_as_it_is(self):
        made = ("insert into checkout.order_events (shard, order_id, sequence, status, created_at) select 0, gen_random_uuid(), 1, "
                "%s, now() - n * interval '10 s' / %s from generate_series(0, %s - 1) n")
        with contextlib.closing(psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])) as db, db.cursor() as cursor:
            for status, count in (("confirmed", 30000), ("rejected", 5000)):    # never committed
                cursor.execute(made, (status, count, count))
            cursor.execute("select confirmed_per_s, refused_per_s from checkout.sales_now()")
            confirmed, refused = cursor.fetchone()
        self.assertAlmostEqual(confirmed, 3000, delta=30)
        self.assertAlmostEqual(refused, 500, delta=30)

    def test_the_item_that_most_orders_are_for_is_the_hottest(self):
        hot, warm = self.stack.item(sku="hot-" + "x" * 40, stock=2), self.stack.item(sku="warm", stock=9)
        self.stack.publish_jobs(*[self.stack.job(f"fan-{n}", "no-item") for n in range(20)])
        wait_until(lambda: self.stack.one("select count(*) from orders where reason = 'unknown_item'") == 20, 20, "refusals")
        for order in [self.stack.order(f"fan-{n}", sku) for n, sku in enumerate([hot] * 12 + [warm] * 8)]:
            order.wait_final()
        top = json.loads(self.stack.ctl("top", "--once", "--json").stdout)
        self.assertEqual([(row["rank"], row["sku"], row["orders"], row["waiting"]) for row in top["hot_items"][:2]],
                         [(1, hot, 12, 0), (2, warm, 8, 0)])
        self.assertRegex(self.stack.ctl("top", "--once").stdout, r"\nhot: hot-x+~x+ 1\.2/s, warm 0\.8/s")
        ranks = ('orders{rank="1"}', 'orders{rank="2"}', 'waiting{rank="1"}')
        wait_until(lambda: [self.shop(f"checkout_hot_item_{rank}") for rank in ranks] == [12, 8, 0], 20, "the hottest items")

    def test_shards_that_nobody_serves(self):
        wait_until(lambda: self.shop("checkout_shards_unserved") == 0, 20, "all are served")
        self.stack.daemon("consumer").stop()
        wait_until(lambda: self.shop("checkout_shards_unserved") == self.stack.shards, 20, "none is served")
        sku, door = self.stack.item(), self.stack.daemon("producer")
        here = f'{{shard="{self.stack.shard(sku)}"}}'
        order = self.stack.order("ann", sku)
        wait_until(lambda: door.metric("checkout_queue_messages" + here) == 1, 20, "the job in its queue")
        wait_until(lambda: door.metric("checkout_undecided_oldest_seconds" + here) > 1, 20, "its age")
        self.assertEqual(door.metric("checkout_queue_consumers" + here), 0)
        self.stack.start("consumer")
        order.wait("confirmed")
        wait_until(lambda: door.metric("checkout_undecided_oldest_seconds" + here) == 0, 20, "nothing undecided")


if __name__ == "__main__":
    harness.main()
