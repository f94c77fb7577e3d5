#!/usr/bin/python3
"""checkout-console's page of the operators: what it tells, to whom, and how a browser is bound."""

import json
import os
import re
import threading
import time
import urllib.request
import uuid

import psycopg2

import harness
from harness import http_call, wait_until
from harness_services import ROOT
from test_console import CONTRACT, Console

PAGE = os.path.join(ROOT, "console", "page")
HOSTILE = "</script><img src=x onerror=alert(1)> \"'&\u202e"


class Ops(Console):
    daemons = ("sandbox", "producer", "consumer", "notifier")

    def overview(self, **claims):
        claims.setdefault("scope", "operator.read")
        answer = http_call(self.console.url, "GET", "/v1/ops/overview",
                           {"Authorization": "Bearer " + self.token(**claims)})
        CONTRACT.check("GET", "/v1/ops/overview", answer)
        return answer

    def test_only_an_operator_sees_how_the_shop_stands(self):
        for scope in ("operator.read", "operator", "shop operator.read"):
            self.assertEqual(self.overview(scope=scope).status, 200, scope)
        for scope in ("shop", "shop.read", "", "operators"):
            answer = self.overview(scope=scope)
            self.assertEqual((answer.status, answer.headers["WWW-Authenticate"].partition("scope=")[2]),
                             (403, '"operator.read"'), scope)
        self.assertEqual(self.overview(audience="checkout").status, 401)
        self.refused(403, "forbidden", "GET", "/items", scope="operator")

    def test_it_tells_lines_hot_items_daemons_and_unclear_money(self):
        self.stack.gateway.latency(8000)
        self.addCleanup(self.stack.gateway.calm)
        sku = self.made(stock=1, title=HOSTILE)
        orders = [self.stack.order(f"buyer-{n}", sku) for n in range(4)]
        orders[0].wait("reserved")
        orders[3].wait("waiting")
        self.stack.sql("update payments set unclear_since = now() - interval '90 s' where order_id = %s", (orders[0].id,))
        seen = wait_until(lambda: self.stands(sku), 20, "the overview")
        shard = seen["shards"][self.stack.shard(sku)]
        self.assertEqual((len(seen["shards"]), shard["waiting"], shard["open_payments"], shard["served"], shard["paused"]),
                         (4, 3, 1, True, False))
        self.assertEqual(self.hot(seen, sku), {"rank": 1, "sku": sku, "title": HOSTILE, "shard": shard["shard"],
                                                "orders_per_second": 0.4, "stock": 1, "held": 1, "sold": 0, "waiting": 3,
                                                "paused": False})
        self.assertEqual([row["sku"] for row in seen["busy_items"]], [sku])
        self.assertEqual([(row["order_id"], row["what"], row["amount"]) for row in seen["unclear"]],
                         [(orders[0].id, "charge", 1999)])
        self.assertEqual((seen["needs"]["unclear"], seen["needs"]["unserved"]), (1, 0))
        self.assertGreaterEqual(seen["needs"]["unclear_ms"], 90000)
        self.assertLess(seen["now"]["decision_p95_ms"], 8000)
        self.assertEqual({row["program"] for row in seen["daemons"]}, {"producer", "consumer", "notifier", "console"})
        self.assertNotIn("pm_card", json.dumps(seen))

    def test_dead_letters_are_counted(self):
        wait_until(lambda: self.overview().json["dead_letters"] == 0, 30, "none")
        self.stack.publish(0, b"no job")
        wait_until(lambda: self.overview().json["dead_letters"] == 1, 30, "one")
        self.stack.dead_letters()

    @staticmethod
    def hot(seen, sku):
        """Its row; the orders of other tests may be as hot."""
        return next(({**row, "rank": 1} for row in seen["hot_items"] if row["sku"] == sku), None)

    def stands(self, sku):
        seen = self.overview().json
        line = seen["shards"][self.stack.shard(sku)]["waiting"]
        daemons = {row["program"] for row in seen["daemons"] if row["ready"]}
        return seen if line == 3 and len(daemons) == 4 and seen["unclear"] and self.hot(seen, sku) else None

    def test_the_hour_outlives_a_console_and_ends(self):
        self.stack.sql("delete from moments")
        self.stack.sql("insert into moments select floor(extract(epoch from now()) / 10)::bigint - back, "
                       "(o.point::jsonb || jsonb_build_object('at', api_time(now() - back * interval '10 s')))::json "
                       "from overview() o, unnest(array[400, 360, 359, 5, -50]) back")
        second = self.stack.start("console", CHECKOUT_CONSOLE_JWKS_FILE=self.path)
        history = wait_until(lambda: self.ops("history", second)["points"], 20, "a point")
        second.stop()
        for point in history:
            CONTRACT.validate(point, {"$ref": "#/components/schemas/Point"})
        oldest, newest = self.stack.sql("select max(d), min(d) from (select extract(epoch from now()) / 10 - slot as d from moments) t")[0]
        self.assertLess(oldest, 363)
        self.assertGreaterEqual(newest, 0)      # a clock that was set back leaves none of the future
        self.assertGreaterEqual(len(history), 2)
        self.assertEqual([point["at"] for point in history], sorted(point["at"] for point in history))
        wait_until(lambda: len(self.ops("history")["points"]) > 2, 20, "the other console to have them, too")

    def ops(self, name, console=None):
        answer = http_call((console or self.console).url, "GET", "/v1/ops/" + name,
                           {"Authorization": "Bearer " + self.token(scope="operator")})
        CONTRACT.check("GET", "/v1/ops/" + name, answer)
        return answer.json

    # -- what an operator changes ---------------------------------------------------------------------

    def resolve(self, order, body, scope="operator", key=None, **headers):
        path = f"/v1/ops/orders/{order}/resolve"
        answer = http_call(self.console.url, "POST", path, {
            "Authorization": "Bearer " + self.token(scope=scope, user="olga"), "Idempotency-Key": key or uuid.uuid4().hex,
            **headers}, body)
        CONTRACT.check("POST", path, answer)
        return answer

    def changes(self):
        """What the page tells of changes, newest first; it is as old as the overview may be."""
        newest = self.stack.one("select max(command_id) from commands")
        wait_until(lambda: self.stack.one("select state from commands where command_id = %s", (newest,)) != "pending", 20, "its end")
        time.sleep(1.1)
        return self.overview().json["changes"]

    def test_an_unclear_payment_is_resolved_once(self):
        self.stack.gateway.latency(8000)
        self.addCleanup(self.stack.gateway.calm)
        order, key = self.stack.order("ann", self.made(stock=1)), uuid.uuid4().hex
        order.wait("reserved")
        wish = {"outcome": "release", "note": "the gateway shows none " + HOSTILE}
        self.assertEqual(self.resolve(order.id, wish).status, 409)
        self.stack.sql("update payments set unclear_since = now() - interval '90 s' where order_id = %s", (order.id,))
        for scope in ("operator.read", "shop", "shop operator.read"):
            answer = self.resolve(order.id, wish, scope)
            self.assertEqual((answer.status, answer.headers["WWW-Authenticate"].partition("scope=")[2]), (403, '"operator"'))
        self.assertEqual(self.resolve(order.id, wish, Origin="https://other.example").status, 403)
        self.assertEqual(self.resolve(order.id, {"outcome": "release"}).status, 400)
        self.assertEqual(self.resolve(uuid.uuid4(), wish).status, 404)
        first, again = (self.resolve(order.id, wish, key=key) for _ in range(2))
        self.assertEqual((first.status, again.status, again.json), (200, 200, first.json))
        self.assertEqual(self.resolve(order.id, {**wish, "outcome": "captured"}, key=key).status, 422)
        self.assertEqual(self.stack.one("select resolution from payments where order_id = %s", (order.id,)), "release")
        order.wait_final()      # its call was under way, whose answer counts for more
        self.assertEqual(self.resolve(order.id, wish).status, 409)
        self.assertEqual(self.resolve(order.id, {"outcome": "refunded", "payment": 1, "note": "no refund of it failed"}).status, 409)
        place = http_call(self.console.url, "GET", first.headers["Location"],
                          {"Authorization": "Bearer " + self.token(scope="operator.read")})
        self.assertEqual((place.status, place.json), (200, first.json))
        done = [row for row in self.changes() if row["order_id"] == order.id and row["state"] == "done"]
        self.assertEqual([(row["kind"], row["wish"], row["note"], row["requested_by"], row["result"]) for row in done],
                         [("resolve", "release", wish["note"], "console:olga", first.json["result"])])

    def replay(self, note="mended", scope="operator", key=None):
        path = "/v1/ops/dead-letters/replay"
        answer = http_call(self.console.url, "POST", path + "?wait=20", {
            "Authorization": "Bearer " + self.token(scope=scope, user="olga"), "Idempotency-Key": key or uuid.uuid4().hex},
            {"note": note})
        CONTRACT.check("POST", path, answer)
        return answer

    def test_dead_letters_are_replayed_each_job_once(self):
        self.assertEqual(self.replay(scope="shop operator.read").status, 403)
        self.assertEqual(self.replay().json["result"], "there are no dead letters")
        sku = self.made(stock=10)
        jobs = [self.stack.job(f"ann-{n}", sku, receipt_email="ann@shop.example") for n in range(4)]
        self.stack.publish_jobs(jobs[0])
        wait_until(lambda: self.stack.one("select status from orders where order_id = %s", (jobs[0]["order_id"],)) == "confirmed", 20, "it")
        letters = [harness.message(jobs[0]), harness.message(*jobs[1:3]), harness.message(jobs[2]), json.dumps(jobs[3]).encode(), b"no job",
                   harness.message({**jobs[1], "order_id": str(uuid.uuid4())})]
        for letter in letters:
            self.stack.broker.publish_dead(letter)
        key = uuid.uuid4().hex
        first, again = self.replay(key=key), self.replay(key=key)
        self.assertEqual((first.status, again.json), (200, first.json), first)
        self.assertEqual(first.json["result"],
                         "4 of 6 letters replayed: 3 of their 5 jobs had not come before; the others cannot be read")
        for job in jobs:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed")
        self.assertEqual(self.stack.counts(sku)[:3], (10, 0, 4))
        self.assertEqual(self.stack.one("select count(*) from commands where argument::text ~ 'pm_card|shop.example'"), 0)
        wait_until(lambda: self.stack.broker.dead_depth() == 2, 20, "the others to be back")
        self.assertEqual(self.replay().json["result"], "0 of 2 letters replayed: 0 of their 0 jobs had not come before; the others cannot be read")
        with self.stack.broker.consuming_dead():
            self.assertEqual((self.replay().status, self.replay().json["detail"]),
                             (409, "another program reads the dead letters; try again later"))
        self.assertEqual(sorted(body for body, _ in self.stack.dead_letters()), sorted(letters[4:]))

    def test_a_replay_waits_for_a_consumer_and_for_checkoutctl(self):
        job = self.stack.job("bob", self.made(stock=1))
        self.stack.broker.publish_dead(harness.message(job))
        with psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"]) as session:
            session.cursor().execute("select pg_advisory_lock(1128811600, 1)")      # as checkoutctl dead list does
            answers = []
            asking = threading.Thread(target=lambda: answers.append(self.replay()))
            asking.start()
            wait_until(lambda: self.console.metric("checkout_console_waiting_requests") >= 1, 10, "it waits")
            self.assertEqual(self.stack.one("select count(*) from commands where kind = 'replay' and state = 'pending'"), 1)
        session.close()
        asking.join()
        self.assertIn("1 of 1 letters replayed", answers[0].json["result"])
        harness.Order(self.stack, "bob", job["order_id"]).wait("confirmed")

    def test_who_changed_what_and_why_stands_there_and_buyers_do_not(self):
        sku = self.made(stock=3, title=HOSTILE)
        self.ask("POST", f"/items/{sku}/restock", {"units": -2, "note": HOSTILE})
        self.refused(409, "refused", "POST", f"/items/{sku}/restock", {"units": -2})
        self.stack.ctl("pause", sku)
        order = self.stack.order("ann", sku)
        order.wait("waiting")
        self.stack.call("ann", "DELETE", f"/v1/orders/{order.id}")
        order.wait("cancelled")
        changes = self.changes()
        self.assertLessEqual(len(changes), 20)
        self.assertEqual([row["at"] for row in changes], sorted((row["at"] for row in changes), reverse=True))
        ours = [row for row in changes if row["sku"] == sku]
        self.assertEqual([(row["kind"], row["wish"], row["note"], row["state"]) for row in ours],
                         [("pause", None, None, "done"), ("restock", "-2", None, "refused"), ("restock", "-2", HOSTILE, "done"),
                          ("create", HOSTILE, None, "done")])
        self.assertEqual([row["requested_by"] for row in ours[1:]], ["console:back-office"] * 3)
        self.assertIn("@", ours[0]["requested_by"])
        self.assertEqual([row for row in changes if row["order_id"] == order.id], [])

    # -- the page -------------------------------------------------------------------------------------

    def test_the_files_are_the_projects_and_bound_strictly(self):
        for name in sorted(os.listdir(PAGE)):
            answer = http_call(self.console.url, "GET", "/" if name == "index.html" else "/" + name)
            with open(os.path.join(PAGE, name), "rb") as source:
                self.assertEqual(answer.body, source.read(), name)
            policy = answer.headers["Content-Security-Policy"]
            self.assertTrue(policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual((answer.status, answer.headers["X-Content-Type-Options"], answer.headers["X-Frame-Options"],
                              answer.headers["Set-Cookie"]), (200, "nosniff", "DENY", None))
        self.assertEqual(http_call(self.console.url, "GET", "/page.c").status, 404)
        self.assertEqual(http_call(self.console.url, "POST", "/ops.js").status, 405)
        self.assertEqual(http_call(self.console.url, "HEAD", "/").body, b"")

    def test_its_code_keeps_nothing_and_makes_no_markup_of_text(self):
        for name in sorted(os.listdir(PAGE)):
            with open(os.path.join(PAGE, name), encoding="utf-8") as source:
                text = source.read()
            found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage|"
                               r"sessionStorage|indexedDB|document\.cookie|location\.|history\.(?:push|replace)|style=|\son\w+=|"
                               r"https?://(?!www\.w3\.org/2000/svg)", text)
            self.assertEqual(found, [], name)

    def test_a_strange_host_or_origin_is_refused(self):
        port = self.console.url.rpartition(":")[2]
        token = "Bearer " + self.token(scope="operator")
        for path in ("/", "/ops.js", "/v1/ops/overview", "/v1/ops/history"):
            for headers, status in (({"Host": "rebound.example:" + port}, 403), ({"Host": "127.0.0.1"}, 403),
                                    ({"Host": "localhost:" + port}, 200), ({"Origin": "https://other.example"}, 403),
                                    ({"Origin": "null"}, 403), ({"Origin": "http://localhost:" + port}, 200)):
                with self.subTest(path=path, headers=headers):
                    request = urllib.request.Request(self.console.url + path, headers={"Authorization": token, **headers})
                    try:
                        with urllib.request.urlopen(request, timeout=10) as answer:
                            code = answer.status
                    except urllib.error.HTTPError as refused:
                        code = refused.code
                        refused.close()
                    self.assertEqual(code, status)


if __name__ == "__main__":
    harness.main()
