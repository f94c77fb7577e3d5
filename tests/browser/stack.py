#!/usr/bin/python3
"""The real stack for the browser tests, with the storefront in front of it, and a small control for the tests.

    stack.py COMMAND…

starts a producer, a consumer, a notifier, a console, the sandbox gateway and deploy/web/serve, runs the command with
BROWSER_SHOP (the storefront's URL) and BROWSER_CONTROL (where the tests reach what a browser cannot), and
ends with its exit code. The servers are those of the environment, or private ones, as for the integration tests.
CHECKOUT_WEB_DIR: another storefront than this checkout's.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
import test_alerts  # noqa: E402
from harness_client import http_call  # noqa: E402
from harness_keys import ProviderKey, publish  # noqa: E402

HOST = "127.0.0.1"
WEB = os.environ.get("CHECKOUT_WEB_DIR") or os.path.join(ROOT, "deploy", "web")


class World:
    """What the tests may ask for: each public method is a call of the control."""

    def __init__(self):
        self.port = harness.free_port()
        self.shop = f"http://{HOST}:{self.port}"
        self.own_page = f"http://{HOST}:{harness.free_port()}"
        self.stack = harness.Stack("browser", settings={
            "CHECKOUT_ORIGINS": f"{self.shop},http://localhost:{self.port},{self.own_page}",
            "CHECKOUT_GATEWAY_RETURN_URL": self.shop + "/",
            "CHECKOUT_SOCKET_PING": "2s", "CHECKOUT_GATEWAY_TIMEOUT": "290s", "CHECKOUT_GATEWAY_LIMIT": "300s"})
        self.storefront = None
        self.crowd = self.prometheus = self.calm_items = None
        self.operators = ProviderKey("ES256", "operators")

    def start(self):
        for name in ("sandbox", "producer", "consumer", "notifier"):
            self.stack.start(name)
        keys = os.path.join(self.stack.directory, "console-jwks.json")
        publish(keys, self.operators.jwk())
        self.stack.start("console", CHECKOUT_CONSOLE_JWKS_FILE=keys)
        self._start_storefront()

    def _start_storefront(self):
        with open(os.path.join(self.stack.directory, "storefront.log"), "ab") as log:
            self.storefront = subprocess.Popen(
                [os.path.join(WEB, "serve"), "--listen", f"{HOST}:{self.port}", "--api",
                 self.stack.daemon("producer").url, "--jwt-secret-file", self.stack.settings["CHECKOUT_JWT_SECRET_FILE"]],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        harness.wait_until(self._storefront_answers, 20, "the storefront to answer")

    def _storefront_answers(self):
        try:
            return http_call(self.shop, "GET", "/").status == 200
        except OSError:
            return False

    # -- calls of the tests ----------------------------------------------------------------------

    def item(self, **columns):
        return self.stack.item(**columns)

    def change(self, sku, **columns):
        """Columns of an item, as an operator's SQL would set them."""
        names = ", ".join(f"{name} = %s" for name in columns)
        self.stack.sql(f"update items set {names} where sku = %s", [*columns.values(), sku])

    def ctl(self, arguments):
        return self.stack.ctl(*arguments).stdout

    def counts(self, sku):
        return dict(zip(("stock", "held", "sold", "waiting"), self.stack.counts(sku)))

    def orders(self, sku):
        rows = self.stack.sql("select order_id::text, user_id, status, reason, quantity from orders where sku = %s "
                              "order by created_at", (sku,))
        return [dict(zip(("id", "user", "status", "reason", "quantity"), row)) for row in rows]

    def order(self, user, sku, quantity=1, payment_method="pm_card_visa"):
        return self.stack.order(user, sku, quantity, payment_method=payment_method).id

    def wait(self, order, status):
        harness.Order(self.stack, "", order).wait(status)

    def cancel(self, user, order):
        return self.stack.call(user, "DELETE", f"/v1/orders/{order}").status

    def refund(self, order):
        return self.stack.ctl("orders", "refund", order).stdout

    def refuse_refund(self, order):
        """The gateway refuses the order's refund for good."""
        self.stack.gateway.control(refunds="disputed")
        self.stack.ctl("orders", "refund", order, check=False)
        self.stack.gateway.control(refunds="ok")

    def captured(self):
        return self.stack.gateway.captured()

    def dead_letter(self, user, sku):
        """An order that stands among the dead letters; its id."""
        job = self.stack.job(user, sku)
        self.stack.broker.publish_dead(harness.message(job))
        return job["order_id"]

    def latency(self, milliseconds):
        """Of payments from now on; with 0 those that wait are answered, too."""
        self.stack.gateway.latency(milliseconds)
        if milliseconds == 0:
            self.stack.gateway.control(hurry=True)

    def token(self, user, lifetime=3600):
        return self.stack.token(user, lifetime=lifetime)

    def console(self):
        return self.stack.daemon("console").url

    def console_token(self, scope, lifetime=3600):
        return self.operators.token("olga", aud="checkout-console", scope=scope, exp=int(time.time()) + lifetime)

    def requests(self, sku):
        """What was asked of the console about an item: what, by whom, why."""
        return self.stack.sql("select kind, requested_by, note from requests where sku = %s order by request_id", (sku,))

    def unclear(self, order, seconds):
        """As if the gateway had not said for so long what became of the order's charge."""
        self.stack.sql("update payments set unclear_since = now() - %s * interval '1 s' where order_id = %s", (seconds, order))

    def jwt_secret_file(self):
        return self.stack.settings["CHECKOUT_JWT_SECRET_FILE"]

    def api(self):
        return self.stack.daemon("producer").url

    def own_origin(self):
        """Where a page of somebody's own may be served."""
        return self.own_page

    def stop(self, name):
        """SIGTERM to a daemon, or to the "storefront"."""
        if name == "storefront":
            self.storefront.terminate()
            self.storefront.wait()
        else:
            self.stack.daemon(name).stop()

    def start_again(self, name):
        if name == "storefront":
            self._start_storefront()
            return
        full = "checkout-sandbox-gateway" if name == "sandbox" else "checkout-" + name
        self.stack.start_again([daemon for daemon in self.stack.daemons if daemon.name == full][-1])

    def kill(self, name):
        """SIGKILL, and as if its last heartbeat were 20 s ago."""
        self.stack.daemon(name).kill()
        old = "set heartbeat_at = now() - interval '20 s'"
        self.stack.sql(f"update consumers {old}" if name == "consumer" else f"update daemons {old} where program = '{name}'")

    def begin_sale(self):
        """Buyers come until end_sale, and Prometheus scrapes all daemons."""
        self.prometheus = test_alerts.Prometheus(self.stack)
        self.crowd = test_alerts.Crowd(self.stack)

    def rush(self, sku):
        """Two thirds of the buyers want this item until calm."""
        self.calm_items, self.crowd.items = self.crowd.items, [sku, self.crowd.items[0], sku]

    def calm(self):
        self.crowd.items = self.calm_items

    def end_sale(self):
        self.crowd.stop()
        self.prometheus.close()
        self.crowd = self.prometheus = None

    def panel(self, title):
        """What a panel of the dashboard shows now: its series, [labels, value] each. Those without a value are left out."""
        self.prometheus.see()
        with open(test_alerts.DASHBOARD, encoding="utf-8") as source:
            panel = next(one for one in json.load(source)["panels"] if one["title"] == title)
        return [row for target in panel["targets"]
                for row in self.prometheus.values(target["expr"].replace("$__rate_interval", test_alerts.WINDOW))]

    def says(self, arguments):
        """What checkoutctl says, whatever its exit code."""
        return self.stack.ctl(*arguments, check=False).stdout

    def freeze(self, name):
        self.stack.daemon(name).freeze()

    def thaw(self, name):
        self.stack.daemon(name).thaw()

    # --------------------------------------------------------------------------------------------

    def close(self):
        if self.crowd is not None:
            self.end_sale()
        if self.storefront is not None and self.storefront.poll() is None:
            self.storefront.terminate()
            self.storefront.wait()
        self.stack.close()


class Control(http.server.BaseHTTPRequestHandler):
    """POST /NAME with a JSON object of arguments; the answer is the call's result. One at a time."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        name = self.path.removeprefix("/")
        try:
            call = getattr(self.server.world, name) if not name.startswith("_") else None
            with self.server.lock:
                status, result = 200, call(**body)
        except Exception as error:  # pylint: disable=broad-except  # the test is told, whatever it is
            status, result = 500, f"{type(error).__name__}: {error}"
        text = json.dumps(result, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    world = World()
    command = None
    try:
        world.start()
        server = http.server.ThreadingHTTPServer((HOST, 0), Control)
        server.world, server.lock = world, threading.Lock()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {**os.environ, "BROWSER_SHOP": world.shop, "BROWSER_CONTROL": f"http://{HOST}:{server.server_port}"}
        with subprocess.Popen(sys.argv[1:], env=environment) as command:
            code = command.wait()
        if code != 0:
            world.stack.keep_logs()
            print(f"logs of the stack: {world.stack.directory}", file=sys.stderr)
    finally:
        if command is not None and command.poll() is None:
            command.terminate()
        world.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
