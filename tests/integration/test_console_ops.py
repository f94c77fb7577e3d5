#!/usr/bin/python3
"""checkout-console's page of the operators: what it tells, to whom, and how a browser is bound."""

import json
import os
import re
import urllib.request

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
        self.assertEqual(seen["hot_items"][0], {"rank": 1, "sku": sku, "title": HOSTILE, "shard": shard["shard"],
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

    def stands(self, sku):
        seen = self.overview().json
        line = seen["shards"][self.stack.shard(sku)]["waiting"]
        daemons = {row["program"] for row in seen["daemons"] if row["ready"]}
        return seen if line == 3 and len(daemons) == 4 and seen["unclear"] and seen["hot_items"] else None

    def test_it_keeps_an_hour_and_asks_once_for_all(self):
        history = wait_until(lambda: self.ops("history")["points"], 20, "a point")
        CONTRACT.validate(history[0], {"$ref": "#/components/schemas/Point"})
        self.assertIn("waiting", history[-1])

    def ops(self, name):
        answer = http_call(self.console.url, "GET", "/v1/ops/" + name,
                           {"Authorization": "Bearer " + self.token(scope="operator")})
        CONTRACT.check("GET", "/v1/ops/" + name, answer)
        return answer.json

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
