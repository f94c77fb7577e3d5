#!/usr/bin/python3
"""What waits for the tables to move (`checkoutctl reshard`), and meant the number of before."""

import collections
import threading

import psycopg2

import harness
import harness_jobs
from harness import wait_until
from harness_database import as_login
from harness_reshard import ReshardCase
from test_purge import AGED


class Mover:
    """The steps of `checkoutctl reshard` up to its transaction, which stays open until end()."""

    def __init__(self, stack, to):
        self.stack = stack
        self.session = psycopg2.connect(as_login(stack.direct["CHECKOUT_DATABASE_URL"], "operator"),
                                        application_name="checkoutctl")
        self.move = self.one("select checkout.begin_reshard(%s, 'test')", (to,))
        for sku, in stack.sql("select sku from items"):
            self.one("select checkout.give_homes(array[%s], array[%s])", (sku, harness_jobs.shard_of(sku, to)))
        self.one("select checkout.step_reshard(%s, 'closed')", (self.move,))
        self.session.commit()

    def one(self, statement, arguments):
        with self.session.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchone()[0]

    def move_tables(self):
        """Returns None, or why they cannot be moved now."""
        return self.one("select checkout.move_shards(%s, 5000)", (self.move,))

    def wait_for_waiters(self, count=1):
        wait_until(lambda: self.waiters() >= count, 30, lambda: f"{count} sessions to wait; {self.waiters()} do")

    def waiters(self):
        return self.stack.one("select count(*) from pg_stat_activity a where %s = any (pg_blocking_pids(a.pid))",
                              (self.session.info.backend_pid,))

    def end(self):
        self.session.commit()

    def close(self):
        self.session.close()


class Waiter(threading.Thread):
    """A statement in a session of its own, which waits."""

    def __init__(self, url, statement, arguments, name="checkout-consumer orders"):
        super().__init__(daemon=True)
        self.session = psycopg2.connect(url, application_name=name)
        self.session.autocommit = True
        self.statement, self.arguments = statement, arguments
        self.rows = self.problem = None
        self.start()

    def run(self):
        try:
            with self.session.cursor() as cursor:
                cursor.execute(self.statement, self.arguments)
                self.rows = cursor.fetchall()
        except psycopg2.Error as error:
            self.problem = error

    def answer(self):
        self.join(30)
        self.session.close()
        if self.problem is not None:
            raise self.problem
        return self.rows


class Stragglers(harness.TestCase):
    """Take-overs that have begun when the tables move, and end afterwards."""

    shards = 2
    TAKE = "select epoch, relayed_to from checkout.take_over(%s, %s, %s, %s)"

    def setUp(self):
        self.shards = self.stack.one("select shards from service")
        self.mover = Mover(self.stack, 2 * self.shards)
        self.addCleanup(self.mover.close)

    def begin_take(self, shard, seen=None, member=77):
        return Waiter(as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "consumer"), self.TAKE,
                      (self.shards, shard, member, seen))

    def shard_rows(self):
        return self.stack.sql("select shards, shard, epoch, owner from shards order by 1, 2")

    def test_a_take_over_that_waited_takes_nothing_of_the_old_number(self):
        self.assertIsNone(self.mover.move_tables())
        takers = [self.begin_take(0), self.begin_take(1, seen=0)]
        self.mover.wait_for_waiters(len(takers))
        self.mover.end()
        rows = self.shard_rows()
        self.assertEqual([taker.answer() for taker in takers], [[]] * len(takers))
        self.assertEqual(self.shard_rows(), rows)
        self.assertEqual({owner for _, _, _, owner in rows}, {None})
        self.assertEqual(self.stack.one("select count(*) from take_overs where member = 77"), 0)


class FrozenConsumer(ReshardCase):
    """It loses its sessions while the tables move, and stops while it waits to take its shards over."""

    daemons = ("sandbox", "consumer")

    def owners(self, shards):
        return dict(self.stack.sql("select shard, owner from shards where shards = %s", (shards,)))

    def taking(self):
        return self.stack.one("select count(*) from pg_stat_activity where datname = current_database() "
                              "and state = 'active' and query like '%%checkout.take_over(%%' and pid <> pg_backend_pid()")

    def test_it_wakes_as_one_of_the_new_number(self):
        self.wait_owners(2)
        process = self.begin_held(4)
        self.stack.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                       "and application_name = 'checkout-consumer orders'")
        wait_until(lambda: any("take_over(" in query for query in self.waiting()), 60, "a take-over to wait")
        consumer = self.stack.daemon("consumer")
        consumer.freeze()
        self.addCleanup(consumer.thaw)
        self.release()
        wait_until(lambda: not self.taking() and self.stack.one("select shards from service") == 4, 60, "the take-overs to end")
        self.assertEqual(set(self.owners(2).values()), {None})
        consumer.thaw()
        self.end_well(process)
        member = self.stack.one("select member_id from consumers where pid = %s order by member_id desc limit 1", (consumer.pid,))
        self.assertEqual((set(self.owners(4).values()), set(self.owners(2).values())), ({member}, {None}))


class Meanwhile(ReshardCase):
    """Commands that come while the tables move."""

    daemons = ("sandbox", "producer", "consumer")

    def test_they_wait_and_do_their_work_or_say_why_not(self):
        self.wait_owners(2)
        sku = self.stack.item(stock=9)
        old, new = (self.stack.order(user, sku).wait("confirmed") for user in ("ann", "bob"))
        for statement in AGED:
            self.stack.sql(statement.format("interval '400 days'") + " where order_id = %s", (old.id,))
        process = self.begin_held(4)
        words = {"of an item": ("pause", sku), "of a shard": ("pause", "--shard", "1"),
                 "purge": ("purge", "--older-than", "180d"), "forget": ("forget", "--user", "bob")}
        asked = {name: self.start_ctl(*said) for name, said in words.items()}
        kinds = {"request_command(": 2, "purge_orders(": 1, "forget_orders(": 1}
        seen = collections.Counter()

        def all_wait():
            waiting = self.waiting()
            for kind in kinds:
                seen[kind] = max(seen[kind], sum(kind in query for query in waiting))
            return all(seen[kind] >= count for kind, count in kinds.items())
        wait_until(all_wait, 60, lambda: f"all to wait: {seen}", interval=0.01)
        self.assertEqual([name for name, one in asked.items() if one.poll() is not None], [])
        self.assertEqual(self.stack.one("select count(*) from orders where user_id in ('ann', 'bob')"), 2)
        self.release()
        ended = {name: (*one.communicate(timeout=90), one.returncode) for name, one in asked.items()}
        self.end_well(process)
        self.assertEqual({name: code for name, (_, _, code) in ended.items()},
                         {"of an item": 0, "of a shard": 1, "purge": 0, "forget": 0}, ended)
        self.assertIn("the number of shards has changed: ask again", ended["of a shard"][1])
        self.assertTrue(self.stack.one("select paused from items where sku = %s", (sku,)))
        self.assertEqual(self.stack.one("select count(*) from shards where paused"), 0)
        self.assertEqual(self.stack.one("select status from purged_orders where order_id = %s", (old.id,)), "confirmed")
        self.assertRegex(self.stack.one("select user_id from orders where order_id = %s", (new.id,)), "^forgotten-")
        self.stack.ctl("audit")


if __name__ == "__main__":
    harness.main()
