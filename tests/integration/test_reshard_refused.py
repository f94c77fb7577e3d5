#!/usr/bin/python3
"""What `checkoutctl reshard` does not begin, or takes back, or does not wait for, and says so; with --dry-run, too."""

import harness
from harness import wait_until
from harness_reshard import ReshardCase
from harness_restore import RestoreCase


class Refused(ReshardCase):
    def refused(self, *words):
        """What it says on standard error."""
        process = self.begin(*words)
        said, problem = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 1, said + problem)
        return problem

    def moves(self):
        return self.stack.one("select count(*) from reshards")


class SetPrograms(Refused):
    """Programs that insist on the number of before would not follow."""

    daemons = ("sandbox",)

    def test_they_are_named_until_they_are_gone(self):
        consumer = self.stack.start("consumer", CHECKOUT_SHARDS=2, CHECKOUT_NAME="till-1")
        producer = self.stack.start("producer", CHECKOUT_SHARDS=2)
        wait_until(lambda: self.stack.one("select count(*) from daemons where shards_set = 2"), 30, "its heartbeat")
        before = self.moves()
        for words in (("--to", "4"), ("--to", "4", "--dry-run")):
            self.assertIn("2 programs would not follow, since CHECKOUT_SHARDS is set", self.refused(*words))
        self.assertEqual(self.moves(), before)
        producer.stop()
        self.assertRegex(self.refused("--to", "4"), r"a program would not follow, .*consumer till-1 on ")
        consumer.stop()
        self.stack.start("consumer", CHECKOUT_NAME="till-1")
        self.wait_owners(2)
        self.assertIn("2 shards would become 4", self.end_well(self.begin("--to", "4", "--dry-run")))

    def test_one_that_comes_later_has_it_taken_back(self):
        self.stack.start("consumer")
        self.wait_owners(2)
        self.stack.sql("""
            create function public.insist() returns trigger language plpgsql security definer as $$
            begin
                insert into checkout.daemons (program, host, place, pid, version, ready, shards_set)
                values ('producer', 'box', '[::1]:9', 1, '0', true, 2);
                return new;
            end $$;
            create trigger insist after insert on checkout.reshards for each row execute function public.insist()""")
        process = self.begin("--to", "4")
        problem = process.communicate(timeout=90)[1]
        self.assertEqual((process.returncode, self.state()), (1, "undone"), problem)
        self.assertIn("the first is the producer [::1]:9 on box", problem)
        self.stack.sql("drop trigger insist on reshards")
        self.stack.sql("delete from daemons")


class NoConsumers(Refused):
    """They are all gone: before it, so that nothing is begun; or when the tables have moved, so that there is no way back."""

    daemons = ("sandbox", "producer")

    def test_it_needs_them_before_and_not_when_the_tables_have_moved(self):
        for words in (("--to", "4"), ("--to", "4", "--dry-run")):
            self.assertIn("2 shards have no living consumer: start consumers first", self.refused(*words))
        consumer = self.stack.start("consumer")
        self.wait_owners(2)
        sku = self.stack.item(stock=9)
        process = self.begin_held(4)
        consumer.kill()
        self.release()
        wait_until(lambda: self.state() == "open", 60, "the new exchange to open")
        self.stack.shards = 4
        order = wait_until(lambda: self.accepted("ann", sku), 30, "an order to be accepted")
        said, problem = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 0, said + problem)
        self.assertIn("4 shards have no living consumer yet: their orders will wait", problem)
        self.assertIsNone(order.row())
        self.stack.start("consumer")
        order.wait("confirmed")
        self.stack.ctl("audit")

    def accepted(self, user, sku):
        answer = self.stack.post(user, sku)
        return harness.Order(self.stack, user, answer.json["id"]) if answer.status == 202 else None


class TooMuch(Refused):
    """What moves in one transaction stops the sale, so there is a limit."""

    daemons = ("consumer",)
    ROWS = 200000

    def test_it_is_refused_and_orders_go_on_as_before(self):
        self.wait_owners(2)
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock) select 'many-' || g, 0, 'x', 1000, 'usd', 1 "
                       "from generate_series(1, %s) g", (self.ROWS + 1,))
        self.assertIn(f"{self.ROWS + 1} rows would have to move at once, and {self.ROWS} are the most", self.refused("--to", "4", "--dry-run"))
        self.assertIn(f"{self.ROWS + 1} rows would have to move at once", self.refused("--to", "4"))
        self.assertEqual((self.state(), self.stack.one("select shards from service")), ("undone", 2))
        self.stack.sql("delete from items where sku = 'many-1'")
        self.assertIn("2 shards would become 4", self.end_well(self.begin("--to", "4", "--dry-run")))


class Behind(Refused, RestoreCase):
    """A database that lacks what was told outside: what is in RabbitMQ is of another time."""

    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        Refused.setUp(self)
        RestoreCase.setUp(self)

    def test_nothing_is_changed_until_the_restore_is_finished(self):
        self.sell("ann")
        dump = self.dump()
        self.sell("bob")
        self.wait_marked()
        self.restore(dump)
        words = (("--to", "4"), ("--to", "4", "--dry-run"), ("--abort",))
        for each in words:
            self.assertIn("no consumer has compared this database", self.refused(*each))
        consumer = self.stack.start("consumer", wait=False)
        self.wait_refused([consumer], "this database lacks events")
        for each in words:
            self.assertIn("this database lacks events", self.refused(*each))
        self.assertEqual(self.moves(), 0)
        self.finish()
        self.wait_owners(2)
        self.assertIn("2 shards would become 4", self.end_well(self.begin("--to", "4", "--dry-run")))


class WithoutRedis(Refused):
    """Events that buyers have not heard must not come after those of the new number; there may be none."""

    daemons = ("sandbox", "producer", "consumer")
    proxied = ("redis",)

    def unrelayed(self):
        return self.stack.one("select checkout.unrelayed_shards(shards) from service")

    def test_it_is_taken_back_while_events_wait_and_else_works(self):
        redis = self.stack.proxies["redis"]
        self.addCleanup(redis.up)
        self.wait_owners(2)
        sku = self.stack.item(stock=9)
        redis.down()
        self.stack.order("ann", sku).wait("confirmed")
        self.assertIn("events of 1 shards are not published yet: is Redis there?", self.refused("--to", "4"))
        self.assertEqual((self.state(), self.stack.one("select shards from service")), ("undone", 2))
        self.stack.order("bob", sku).wait("confirmed")
        redis.up()
        wait_until(lambda: not self.unrelayed(), 60, "the events to be published")
        redis.down()
        self.end_well(self.begin("--to", "4"))
        self.stack.shards = 4
        self.stack.order("cat", sku).wait("confirmed")
        redis.up()
        wait_until(lambda: not self.unrelayed(), 60, "the events to be published")
        self.stack.ctl("audit")


if __name__ == "__main__":
    harness.main()
