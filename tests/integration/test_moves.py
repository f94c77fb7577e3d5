#!/usr/bin/python3
"""checkout.move_orders: the one writer of orders and of their history."""

import json
import unittest
import uuid

import psycopg2
from psycopg2.extras import register_uuid

import harness
from harness_database import as_login

STATES = ("waiting", "reserved", "confirmed", "rejected", "cancelled", "refunded")
STEPS = {("waiting", "reserved"), ("waiting", "rejected"), ("waiting", "cancelled"), ("reserved", "reserved"),
         ("reserved", "confirmed"), ("reserved", "rejected"), ("reserved", "cancelled"), ("confirmed", "refunded")}
SHARD = 2

register_uuid()


class Moves(harness.TestCase):
    def order(self, status="reserved", shard=SHARD):
        order = uuid.uuid4()
        self.stack.sql("insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency,"
                       " fingerprint, payment_method, ticket, sequence, accepted_at)"
                       " values (%s, 'ann', 'dress', %s, 1, %s, %s, 1000, 'usd', 'f', 'pm_x', 7, 1, now())",
                       (order, shard, status, "invalid" if status == "rejected" else None))
        return order

    def move(self, *moves):
        """Each (order, from, to, reason); returns (order, status, sequence) of those that moved."""
        return self.stack.sql("select order_id, status, sequence from move_orders(%s, array(select move_of(u.o, u.f, u.t, u.r)"
                              " from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) as u(o, f, t, r)))",
                              (SHARD, *(list(column) for column in zip(*moves))))

    def history(self, order):
        return self.stack.sql("select sequence, status, reason from order_events where order_id = %s order by sequence",
                              (order,))

    def row(self, order):
        return self.stack.sql("select status, reason, sequence, ticket, payment_method from orders where order_id = %s",
                              (order,))[0]

    def test_the_steps_that_there_are(self):
        for start in STATES:
            for end in STATES:
                order = self.order(start)
                before = self.row(order)
                reason = "expired" if end == "rejected" else None
                moved = self.move((order, start, end, reason))
                with self.subTest(start=start, end=end):
                    if (start, end) in STEPS:
                        self.assertEqual(moved, [(order, end, 2)])
                        self.assertEqual(self.row(order),
                                         (end, reason, 2, None, "pm_x" if end == "reserved" else None))
                        self.assertEqual(self.history(order), [(2, end, reason)])
                    else:
                        self.assertEqual((moved, self.row(order), self.history(order)), ([], before, []))

    def test_one_that_is_in_another_state_by_now_is_left_out(self):
        here, gone, elsewhere = self.order(), self.order("confirmed"), self.order(shard=SHARD + 1)
        moved = self.move(*((order, "reserved", "rejected", "payment_declined")
                            for order in (gone, here, elsewhere, uuid.uuid4())))
        self.assertEqual(moved, [(here, "rejected", 2)])
        self.assertEqual([self.history(order) for order in (gone, elsewhere)], [[], []])

    def test_events_come_in_the_order_of_the_moves(self):
        orders = [self.order("waiting") for _ in range(300)]
        self.move(*((order, "waiting", "rejected", "sold_out") for order in orders))
        told = self.stack.sql("select order_id from order_events where order_id = any (%s) order by event_id", (orders,))
        self.assertEqual([order for order, in told], orders)

    def make(self, **known):
        """Moves a new order: (order, status, sequence, payment method) if it was made."""
        return self.stack.sql("select order_id, status, sequence, payment_method from move_orders(%s,"
                              " array[jsonb_populate_record(null::move, %s)])", (SHARD, json.dumps(known, default=str)))

    def test_a_new_order_is_made_with_its_first_event(self):
        order = uuid.uuid4()
        known = {"order_id": order, "user_id": "ann", "sku": "dress", "quantity": 3, "fingerprint": "f"}
        moved = self.make(**known, status="waiting", ticket=4, place=2, expires_at="now", amount=3000, currency="usd",
                          reference="cart-1", payment_method="pm_x", accepted_at="now")
        self.assertEqual(moved, [(order, "waiting", 1, "pm_x")])
        self.assertEqual(self.row(order), ("waiting", None, 1, 4, "pm_x"))
        self.assertEqual(self.stack.sql("select sequence, status, place_in_line from order_events where order_id = %s",
                                        (order,)), [(1, "waiting", 2)])
        with self.assertRaises(psycopg2.errors.UniqueViolation):   # one order is never made twice
            self.make(**known, status="rejected", reason="invalid")

    def test_a_new_order_that_is_refused_has_no_payment_method(self):
        order = uuid.uuid4()
        self.make(order_id=order, user_id="ann", status="rejected", reason="invalid", payment_method="pm_x")
        self.assertEqual(self.row(order), ("rejected", "invalid", 1, None, None))

    def test_no_new_order_begins_at_its_end(self):
        for status in ("confirmed", "refunded"):
            order = uuid.uuid4()
            self.assertEqual(self.move((order, None, status, None)), [])

    def test_a_place_whose_order_ended_elsewhere_leaves_the_line_and_its_count(self):
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock, waiting, next_ticket)"
                       " values ('lamp', %s, 'Lamp', 1000, 'usd', 1, 1, 2)", (SHARD,))
        order = self.order("confirmed")
        self.stack.sql("insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at)"
                       " values ('lamp', 1, %s, %s, 1, now())", (order, SHARD))
        self.assertEqual(self.stack.sql("select leave_waitlist('lamp', array[1], 'rejected', 'expired')"), [(1,)])
        self.assertEqual(self.stack.sql("select waiting from items where sku = 'lamp'"), [(0,)])
        self.assertEqual((self.row(order)[0], self.history(order)), ("confirmed", []))

    def test_the_counter_itself_may_not_write_them(self):
        order = self.order()
        connection = psycopg2.connect(as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "consumer"))
        self.addCleanup(connection.close)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in ("update checkout.orders set status = 'confirmed'", "delete from checkout.orders",
                              "insert into checkout.order_events (shard, order_id, sequence, status)"
                              " values (0, gen_random_uuid(), 1, 'confirmed')"):
                with self.assertRaises(psycopg2.errors.InsufficientPrivilege, msg=statement):
                    cursor.execute(statement)
            cursor.execute("select status from checkout.move_orders(%s, array[checkout.move_of(%s, 'reserved', 'rejected',"
                           " 'payment_failed')])", (SHARD, order))
            self.assertEqual(cursor.fetchall(), [("rejected",)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
