"""A gateway whose every answer a test decides: for what the sandbox, which is honest at heart, never does."""

import collections
import http.server
import json
import socket
import ssl
import threading
import urllib.parse

import harness


class ScriptedGateway:
    """Answers each charge by `answer(form)`: (status, value that becomes JSON, or bytes[, headers]), or None: the
    connection is cut. `cancel(id)` answers cancels likewise, `list(query)` the list, which shows `intents`
    (newest first) unless a test says otherwise, as `get(id)` does one. `refund(form)` answers refunds, and makes one that `refunds` holds,
    the list of which `find(query)` answers with. `requests` are (method, path, headers, form)."""

    def __init__(self, answer, certificate=None):
        self.answer = answer
        self.requests = []
        self.intents = []
        self.cancel = lambda intent_id: (404, {"error": {"code": "resource_missing"}})
        self.list = self._list
        self.get = self._get
        self.refunds = []
        self.refund = self._refund
        self.find = self._find
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = dict(urllib.parse.parse_qsl(body))
                gateway.requests.append(("POST", self.path, dict(self.headers), form))
                parts = self.path.split("/")
                if parts[-1] == "refunds":
                    self.reply(gateway.refund(form))
                else:
                    self.reply(gateway.cancel(parts[3]) if parts[-1] == "cancel" else gateway.answer(form))

            def do_GET(self):
                gateway.requests.append(("GET", self.path, dict(self.headers), {}))
                url = urllib.parse.urlsplit(self.path)
                if url.path.startswith("/v1/payment_intents/"):
                    self.reply(gateway.get(url.path.rpartition("/")[2]))
                    return
                ask = gateway.find if url.path == "/v1/refunds" else gateway.list
                self.reply(ask(dict(urllib.parse.parse_qsl(url.query))))

            def reply(self, reply):
                if reply is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, answer, *more = reply
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in more[0].items() if more else ():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass                    # a client that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _list(self, query):
        shown = list(self.intents)
        ids = [intent["id"] for intent in shown]
        begin = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        end = begin + int(query["limit"])
        return 200, {"object": "list", "data": shown[begin:end], "has_more": end < len(shown)}

    def _get(self, intent_id):
        found = next((i for i in self.intents if i["id"] == intent_id), None)
        return (200, found) if found else (404, {"error": {"type": "invalid_request_error",
                                                           "code": "resource_missing", "param": "intent"}})

    def looks(self):
        """How often a single intent was looked at."""
        return sum(method == "GET" and path.startswith("/v1/payment_intents/")
                   for method, path, _, _ in list(self.requests))

    def _refund(self, form, status="succeeded"):
        paid = next((i for i in self.intents if i["id"] == form["payment_intent"]), None)
        if paid is None:
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing",
                                   "param": "payment_intent"}}
        self.refunds.insert(0, {"id": f"re_{len(self.refunds)}", "object": "refund", "status": status,
                                "amount": paid.get("amount_received", paid["amount"]), "currency": paid["currency"],
                                "payment_intent": paid["id"], "metadata": {}})
        return 200, self.refunds[0]

    def _find(self, query):
        found = [refund for refund in self.refunds if refund["payment_intent"] == query["payment_intent"]]
        return 200, {"object": "list", "data": found, "has_more": False}

    def asked_for_refunds(self):
        """The idempotency keys of all refunds that were asked for."""
        return [headers["Idempotency-Key"] for method, path, headers, _ in list(self.requests)
                if method == "POST" and path == "/v1/refunds"]

    def listings(self):
        """How often the list was asked for from its beginning."""
        return sum(method == "GET" and path.startswith("/v1/payment_intents?") and "starting_after" not in path
                   for method, path, _, _ in list(self.requests))

    def charges(self):
        """The forms of all charges so far."""
        return [form for method, path, _, form in list(self.requests)
                if method == "POST" and path == "/v1/payment_intents"]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def intent(form, status="succeeded", **members):
    """The intent that a charge asks for, with `members` otherwise."""
    order = form["metadata[order_id]"]
    return {"id": "pi_" + order.replace("-", ""), "object": "payment_intent", "status": status,
            "amount": int(form["amount"]), "currency": form["currency"], "created": 1700000000,
            "metadata": {"order_id": order, "shard": form["metadata[shard]"]}, **members}


class Scripted(harness.TestCase):
    """Each test has a consumer of its own, which calls a gateway that the test scripts."""

    daemons = ("producer",)
    certificate = None

    def setUp(self):
        self.answer = lambda form: (200, intent(form))
        self.gateway = ScriptedGateway(lambda form: self.answer(form), self.certificate)
        self.addCleanup(self.gateway.close)
        self.consumer = None

    def tearDown(self):
        if self.consumer is not None:
            self.consumer.stop()

    def consume(self, **settings):
        self.consumer = self.stack.start("consumer", CHECKOUT_GATEWAY_URL=self.gateway.url, **settings)
        return self.consumer

    def ready(self):
        return harness.http_call(self.consumer.admin, "GET", "/readyz")

    def metric(self, name):
        return self.consumer.metric(name) or 0.0


class Holding(Scripted):
    """The gateway answers at once, but not for the payment methods pm_held and pm_held_declined: these
    payments end when the test says."""

    def setUp(self):
        super().setUp()
        self._ends = collections.defaultdict(threading.Event)
        self.answer = self._pay

    def tearDown(self):
        self.let_end(*list(self._ends))
        super().tearDown()

    def _pay(self, form):
        if form["payment_method"].startswith("pm_held"):
            self._ends[form["metadata[order_id]"]].wait(300)
        if form["payment_method"].endswith("declined"):
            return 402, {"error": {"type": "card_error", "code": "card_declined", "message": "declined",
                                   "payment_intent": intent(form, "requires_payment_method")}}
        return 200, intent(form)

    def consume(self, **settings):
        return super().consume(CHECKOUT_GATEWAY_TIMEOUT="300s", **settings)

    def begun(self, order_id):
        """Whether its payment has been asked for."""
        return any(form["metadata[order_id]"] == order_id for form in self.gateway.charges())

    def held(self, user, sku, payment_method="pm_held", **members):
        """An order that is being paid for."""
        order = self.stack.order(user, sku, payment_method=payment_method, **members).wait("reserved")
        harness.wait_until(lambda: self.begun(order.id), 30, f"the payment of {user} to begin")
        return order

    def let_end(self, *order_ids):
        for order_id in order_ids:
            self._ends[order_id].set()
