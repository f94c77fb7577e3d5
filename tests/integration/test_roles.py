#!/usr/bin/python3
"""Each program's database role suffices for its work (every other test shows that for the daemons, whose
logins have nothing else) and allows no more."""

import psycopg2

import harness
from harness_stack import as_login


class Roles(harness.TestCase):
    daemons = ("sandbox", "consumer")

    def url(self, program):
        return as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], program)

    def refused(self, program, *statements):
        for statement in statements:
            with self.subTest(program=program, statement=statement):
                connection = psycopg2.connect(self.url(program), options="-c search_path=checkout")
                try:
                    with connection.cursor() as cursor, \
                            self.assertRaises(psycopg2.errors.InsufficientPrivilege):
                        cursor.execute(statement)
                finally:
                    connection.close()

    def test_the_door_only_reads_and_asks(self):
        self.refused("producer", "update items set stock = 1000000", "update orders set status = 'confirmed'",
                     "insert into orders (order_id) values (gen_random_uuid())",
                     "delete from commands", "update commands set state = 'done'",
                     "select payment_method from orders", "select receipt_email from orders",
                     "select * from payments", "update shards set epoch = 0")

    def test_the_notifier_only_reads(self):
        self.refused("notifier", "select payment_method from orders", "select receipt_email from orders",
                     "select * from payments", "select * from commands",
                     "insert into order_events (shard, order_id, sequence, status) "
                     "values (0, gen_random_uuid(), 1, 'confirmed')", "update items set sold = 0")

    def test_the_counter_takes_no_history_back(self):
        self.refused("consumer", "delete from orders", "delete from payments", "delete from order_events",
                     "update order_events set status = 'confirmed'", "update service set shards = 1",
                     "insert into items (sku, shard, title, price, currency, stock) "
                     "values ('x', 0, 'x', 1, 'usd', 1)", "create table checkout.mine (n integer)")

    def test_the_operator_goes_through_the_owner_of_the_line(self):
        self.refused("operator", "update items set stock = 0", "update orders set status = 'refunded'",
                     "delete from order_events", "update payments set state = 'captured'",
                     "update shards set epoch = 0", "delete from commands")

    def test_the_operator_can_work(self):
        sku = self.stack.item(stock=1)
        for arguments in (("items", "list"), ("orders", "list"), ("items", "restock", sku, "2"),
                          ("pause", sku), ("resume", sku), ("topology",), ("doctor",)):
            with self.subTest(" ".join(arguments)):
                self.stack.ctl(*arguments, CHECKOUT_DATABASE_URL=self.url("operator"))
        self.assertEqual(self.stack.counts(sku)[0], 3)


if __name__ == "__main__":
    harness.main()
