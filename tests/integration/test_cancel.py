#!/usr/bin/python3
"""DELETE /v1/orders/{id}: in time or too late, whenever it comes, and the line behind moves at once."""

import uuid

import psycopg2

import harness
from harness import wait_until
from test_producer import CONTRACT


class Cancels(harness.TestCase):
    def cancel(self, order, user=None):
        """DELETE as the buyer; the answer is as schemas/openapi.yaml says."""
        path = f"/v1/orders/{order.id}"
        answer = self.stack.call(user or order.user, "DELETE", path)
        CONTRACT.check("DELETE", path, answer)
        return answer


class Cancelling(Cancels):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "90s"}  # longer than any payment here takes

    def setUp(self):
        self.stack.gateway.calm()

    def tearDown(self):
        self.stack.gateway.calm()

    def commands(self, order):
        return self.stack.sql("select state, result from commands where order_id = %s order by command_id",
                              (order.id,))

    def finished(self, order):
        wait_until(lambda: all(state != "pending" for state, _ in self.commands(order)), 30,
                   f"the cancel of {order.id} to be executed")
        return self.commands(order)

    def held_unit(self):
        """An item whose only unit is held, for as long as the test takes."""
        return self.stack.item(stock=1, held=1)

    def holder(self):
        """An order whose payment takes its time, and its item."""
        sku = self.stack.item(stock=1)
        self.stack.gateway.latency(60000)
        order = self.stack.order("holder", sku).wait("reserved")
        wait_until(lambda: self.stack.gateway.started(order.id), 30, "its payment to begin")
        self.stack.gateway.latency(0)
        return sku, order

    # ---- in time ----

    def test_a_waiting_order_leaves_the_line_and_everyone_hears_of_it(self):
        sku = self.held_unit()
        listener = self.stack.listen("ann")
        order = self.stack.order("ann", sku).wait("waiting")
        behind = self.stack.order("bob", sku).wait("waiting")
        answer = self.cancel(order)
        self.assertEqual((answer.status, answer.json["id"], answer.json["status_url"]),
                         (202, order.id, f"/v1/orders/{order.id}"))
        self.assertTrue(answer.json["message"])
        order.wait("cancelled")
        self.assertEqual(listener.wait_final(order.id)["data"]["status"], "cancelled")
        self.assertEqual(listener.statuses(order.id), ["waiting", "cancelled"])
        status = self.stack.status("ann", order.id).json
        self.assertEqual((status["status"], [entry["status"] for entry in status["history"]]),
                         ("cancelled", ["waiting", "cancelled"]))
        self.assertEqual(self.stack.status("bob", behind.id).json["place_in_line"], 1)
        self.assertEqual(self.stack.counts(sku), (1, 1, 0, 1))
        self.assertEqual(self.finished(order), [("done", "cancelled while it waited")])
        self.assertIsNone(self.stack.one("select payment_method from orders where order_id = %s", (order.id,)))
        listener.close()

    def test_an_operator_cancels_a_waiting_order(self):
        order = self.stack.order("ann", self.held_unit()).wait("waiting")
        self.assertEqual(self.stack.ctl("orders", "cancel", order.id).stdout, "cancelled while it waited\n")
        order.wait("cancelled")
        self.assertEqual(self.stack.ctl("orders", "cancel", order.id).stdout, "it was cancelled before\n")
        self.assertIn("@", self.stack.one("select requested_by from commands where order_id = %s limit 1", (order.id,)))
        paid = self.stack.order("bob", self.stack.item()).wait("confirmed")
        refused = self.stack.ctl("orders", "cancel", paid.id, check=False)
        self.assertEqual((refused.returncode, paid.status()), (1, "confirmed"))
        self.assertIn("too late: it is confirmed", refused.stderr)
        stranger = self.stack.ctl("orders", "cancel", str(uuid.uuid4()), check=False)
        self.assertIn("no consumer has decided order", stranger.stderr)

    def test_the_line_behind_a_cancelled_order_moves_at_once(self):
        sku = self.stack.item(stock=2, held=1)
        large = self.stack.order("large", sku, quantity=2).wait("waiting")
        small = self.stack.order("small", sku).wait("waiting")  # a unit is free, but it is not its turn
        self.assertEqual(self.cancel(large).status, 202)
        small.wait("confirmed")
        large.wait("cancelled")
        moments = self.stack.sql("select distinct created_at from order_events where order_id = any (%s::uuid[]) "
                                 "and status in ('cancelled', 'reserved')", ([large.id, small.id],))
        self.assertEqual(len(moments), 1, "not in one transaction")

    def test_a_cancel_before_the_job_arrives(self):
        sku = self.stack.item(stock=1)
        consumer = self.stack.daemon("consumer")
        consumer.terminate()
        consumer.finish()
        first = self.stack.order("ann", sku)
        second = self.stack.order("bob", sku)
        answer = self.cancel(first)
        self.assertEqual((answer.status, answer.json["status"]), (202, "queued"))
        self.assertEqual(self.commands(first), [("pending", None)])
        self.stack.start("consumer")
        first.wait("cancelled")
        second.wait("confirmed")
        self.assertEqual(self.commands(first), [("done", "cancelled before it was decided")])
        self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))

    def test_a_cancel_of_an_order_whose_job_comes_later(self):
        """The producer may hear of it while the job is still on its way into the queue."""
        sku = self.stack.item(stock=1)
        job = self.stack.job("ann", sku)
        order = harness.Order(self.stack, "ann", job["order_id"])
        self.assertEqual(self.cancel(order).status, 202)
        self.stack.publish_jobs(job, self.stack.job("bob", sku))
        order.wait("cancelled")
        self.assertEqual(self.stack.counts(sku)[:1], (1,))
        self.stack.publish_jobs(job)  # delivered again: nothing changes
        marker = self.stack.item()
        self.stack.order("marker", marker).wait("confirmed")
        self.assertEqual(order.row(), ("cancelled", None))

    def test_a_cancel_of_one_of_many_in_a_message_counts_for_no_limit(self):
        sku = self.stack.item(stock=10, limit_per_user=2)
        jobs = [self.stack.job("ann", sku) for _ in range(4)]
        orders = [harness.Order(self.stack, "ann", job["order_id"]) for job in jobs]
        self.assertEqual(self.cancel(orders[0]).status, 202)
        self.stack.publish_jobs(*jobs)
        self.assertEqual([order.wait_final() for order in orders],
                         [("cancelled", None), ("confirmed", None), ("confirmed", None),
                          ("rejected", "limit_exceeded")])

    def test_a_cancel_and_a_decision_that_did_not_see_each_other(self):
        """The command's row commits after the order was decided: the sweep brings them together."""
        sku = self.held_unit()
        job = self.stack.job("ann", sku)
        late = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        try:
            with late.cursor() as cursor:
                cursor.execute("select checkout.request_cancel(%s, 'ann')", (job["order_id"],))
                self.assertEqual(cursor.fetchall(), [("queued",)])
            self.stack.publish_jobs(job)
            order = harness.Order(self.stack, "ann", job["order_id"]).wait("waiting")
            late.commit()
        finally:
            late.close()
        order.wait("cancelled")
        self.assertEqual(self.commands(order), [("done", "cancelled while it waited")])

    def test_a_cancel_during_a_take_over(self):
        sku, holder = self.holder()
        order = self.stack.order("ann", sku).wait("waiting")
        self.stack.daemon("consumer").kill()
        self.assertEqual(self.cancel(order).status, 202)
        self.assertEqual(order.status(), "waiting")
        self.stack.start("consumer")
        order.wait("cancelled")
        self.assertEqual(self.commands(order), [("done", "cancelled while it waited")])
        self.assertEqual(holder.status(), "reserved")

    def test_the_owner_is_told_of_a_command_and_need_not_look_for_it(self):
        """Also by a new control session. The sweep alone would take nearly its whole second, as each cancel
        comes right after the one before."""
        sku = self.held_unit()

        def seconds():
            orders = [self.stack.order("ann", sku).wait("waiting") for _ in range(9)]
            for order in orders:
                self.cancel(order)
                order.wait("cancelled")
            return self.stack.one("select percentile_cont(0.5) within group (order by "
                                  "extract(epoch from finished_at - created_at)) from commands "
                                  "where order_id = any (%s::uuid[])", ([order.id for order in orders],))
        def beat():
            return self.stack.one("select heartbeats from consumers order by member_id desc limit 1")
        harness.quickest(0.5, seconds)
        before = beat()
        self.assertEqual(len(self.stack.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and application_name = 'checkout-consumer control'")), 1)
        wait_until(lambda: beat() > before, 30, "a new beat")
        harness.quickest(0.5, seconds)

    # ---- too late ----

    def test_a_reserved_order_is_not_cancellable(self):
        _, holder = self.holder()
        answer = self.cancel(holder)
        self.assertEqual((answer.status, answer.json["type"]), (409, "/problems/not-cancellable"))
        self.assertIn("payment", answer.json["detail"])
        self.assertEqual((answer.json["id"], self.commands(holder)), (holder.id, []))

    def test_a_cancel_that_is_overtaken_by_the_reservation_is_refused_with_the_reason(self):
        """It waited when the buyer asked; when the command is executed it is reserved."""
        _, holder = self.holder()
        self.stack.sql("insert into commands (kind, shard, order_id, user_id, requested_by) select 'cancel', "
                       "shard, order_id, user_id, 'buyer' from orders where order_id = %s", (holder.id,))
        self.assertEqual(self.finished(holder), [("refused", "too late: its payment is under way")])
        self.assertEqual(holder.status(), "reserved")

    def test_a_final_order_is_not_cancellable(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku).wait("confirmed")
        rejected = self.stack.order("bob", sku).wait("rejected", "sold_out")
        for done, word in ((order, "confirmed"), (rejected, "rejected")):
            answer = self.cancel(done)
            self.assertEqual((answer.status, answer.json["type"]), (409, "/problems/not-cancellable"))
            self.assertIn(word, answer.json["detail"])

    # ---- again, and by others ----

    def test_cancelling_twice_is_cancelling_once(self):
        sku = self.held_unit()
        consumer = self.stack.daemon("consumer")
        order = self.stack.order("ann", sku).wait("waiting")
        consumer.freeze()
        try:
            self.assertEqual([self.cancel(order).status for _ in range(3)], [202] * 3)
            self.assertEqual(self.commands(order), [("pending", None)])
        finally:
            consumer.thaw()
        order.wait("cancelled")
        answer = self.cancel(order)
        self.assertEqual((answer.status, answer.json["status"]), (200, "cancelled"))
        self.assertEqual(len(self.commands(order)), 1)
        self.assertEqual(self.stack.one("select count(*) from order_events where order_id = %s "
                                        "and status = 'cancelled'", (order.id,)), 1)

    def test_a_retry_of_a_cancelled_order_stays_cancelled(self):
        sku = self.held_unit()
        key = uuid.uuid4().hex
        order = self.stack.order("ann", sku, key=key).wait("waiting")
        self.cancel(order)
        order.wait("cancelled")
        again = self.stack.post("ann", sku, key=key)
        self.assertEqual((again.status, again.json["id"]), (202, order.id))
        self.stack.order("marker", self.stack.item()).wait("confirmed")
        self.assertEqual(order.row(), ("cancelled", None))

    def test_somebody_elses_order_is_not_found(self):
        sku = self.held_unit()
        order = self.stack.order("ann", sku).wait("waiting")
        self.assertEqual(self.cancel(order, user="bob").status, 404)
        for odd in ("nonsense", order.id.upper(), "00000000-0000-8000-8000-000000000000"):
            self.assertEqual(self.stack.call("ann", "DELETE", f"/v1/orders/{odd}").status, 404)
        self.assertEqual(self.stack.call(None, "DELETE", f"/v1/orders/{order.id}").status, 401)
        self.assertEqual((order.status(), self.commands(order)), ("waiting", []))

    def test_other_methods_are_told_what_is_allowed(self):
        answer = self.stack.call("ann", "PUT", "/v1/orders/x", b"")
        self.assertEqual(answer.status, 405)
        self.assertIn("DELETE", answer.headers["Allow"])


class WithoutTheDatabase(Cancels):
    daemons = ("producer",)
    proxied = ("database",)

    def test_a_cancel_says_that_it_cannot_be_done_now(self):
        order = self.stack.order("ann", self.stack.item())
        self.stack.proxies["database"].down()
        wait_until(lambda: self.cancel(order).status == 503, 30, "the database to be away")
        answer = self.cancel(order)
        self.assertEqual((answer.status, answer.json["type"]), (503, "/problems/database-unavailable"))
        self.assertTrue(int(answer.headers["Retry-After"]) > 0)
        self.stack.proxies["database"].up()
        wait_until(lambda: self.cancel(order).status == 202, 30, "it to be possible again")


class RefusedByTheDatabase(Cancels):
    daemons = ("producer",)

    def test_the_log_says_which_order_it_was(self):
        order = self.stack.order("ann", self.stack.item())
        self.stack.sql("alter function request_cancel(uuid, text) rename to request_cancel_away")
        self.stack.sql("alter table waitlist rename to waitlist_away")
        try:
            self.assertEqual(self.cancel(order).status, 503)
            self.assertEqual(self.stack.call("ann", "GET", f"/v1/orders/{order.id}").status, 503)
        finally:
            self.stack.sql("alter table waitlist_away rename to waitlist")
            self.stack.sql("alter function request_cancel_away(uuid, text) rename to request_cancel")
        for event in ("cancel request failed", "order not read"):
            with self.subTest(event=event):
                lines = [line for line in self.stack.daemon("producer").log_text().decode().splitlines() if event in line]
                self.assertEqual([order.id in line for line in lines], [True], lines)


if __name__ == "__main__":
    harness.main()
