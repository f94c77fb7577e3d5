"""The clients of a test: HTTP, a buyer's websocket, and the gateway's own list and controls."""

import asyncio
import http.client
import json
import os
import re
import socket
import ssl
import threading
import urllib.parse

import websockets

from harness_services import ROOT
from harness_wait import wait_until

PLACE = "checkout.order.place.v1"
EVENT_SUBPROTOCOL = "cloudevents.json"
# The library renamed the argument with its new client, in version 14.
WEBSOCKET_HEADERS = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"
FINAL = ("confirmed", "rejected", "cancelled", "refunded")


def problems_of(document):
    """The table of a document in schemas/: by type, the status and the title."""
    with open(os.path.join(ROOT, "schemas", document), encoding="utf-8") as source:
        rows = re.findall(r"^ *\| (\d+) \| `(/problems/[a-z-]+)` \| (.+) \|$", source.read(), re.MULTILINE)
    return {name: (int(status), title) for status, name, title in rows}


PROBLEMS = problems_of("openapi.yaml")


class Answer:
    """An HTTP answer. `headers` is case-insensitive; `json` is the parsed body or None."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def raw(url, data, timeout=5):
    """Sends bytes on a connection of their own; returns what comes until the end or a full answer."""
    target = urllib.parse.urlsplit(url)
    with socket.create_connection((target.hostname, target.port), timeout) as connection:
        connection.sendall(data)
        got = b""
        while True:
            chunk = connection.recv(65536)
            got += chunk
            head, separator, body = got.partition(b"\r\n\r\n")
            if not chunk:
                return got
            lengths = [line for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")]
            if separator and lengths and len(body) >= int(lengths[0].split(b":")[1]):
                return got


def http_call(base, method, path, headers=None, body=None, timeout=30, authority=None):
    """One request on a connection of its own. `body`: bytes, text, or a value that becomes JSON.
    `authority`: the file of the certificate that an https server is to show."""
    target = urllib.parse.urlsplit(base)
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if authority:
        context = ssl.create_default_context(cafile=authority)
        context.verify_flags |= ssl.VERIFY_X509_STRICT      # as Debian 13's Python does by itself
        connection = http.client.HTTPSConnection(target.hostname, target.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()


def metric(admin, name):
    """Value of a series, by the address that serves it; `name` is with its labels. None: there is none."""
    text = http_call(admin, "GET", "/metrics").body.decode()
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), None)


class _Loop:
    """One asyncio loop in a thread, for all websockets of the process."""

    _loop = None
    _lock = threading.Lock()

    @classmethod
    def run(cls, coroutine, timeout=30):
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, cls._loop).result(timeout)


class Listener:
    """A buyer's websocket. `events` are the CloudEvents in the order they came."""

    def __init__(self, url, headers=None, origin=None):
        self.events = []
        self.close_code = None
        self._socket = _Loop.run(self._connect(url, headers or {}, origin))

    async def _connect(self, url, headers, origin):
        made = await websockets.connect(url, origin=origin, subprotocols=[EVENT_SUBPROTOCOL],
                                        max_size=1 << 20, **{WEBSOCKET_HEADERS: headers})
        self._reader = asyncio.ensure_future(self._read(made))
        return made

    async def _read(self, made):
        try:
            async for text in made:
                self.events.append(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        self.close_code = made.close_code

    def of(self, order_id):
        return [event for event in list(self.events) if event["subject"] == order_id and event["type"] != PLACE]

    def places(self, order_id):
        """What came of an order's place in line, beside its events."""
        return [event for event in list(self.events) if event["subject"] == order_id and event["type"] == PLACE]

    def statuses(self, order_id):
        return [event["data"]["status"] for event in self.of(order_id)]

    def wait_final(self, order_id, timeout=30):
        """The final event of an order."""
        wait_until(lambda: any(status in FINAL for status in self.statuses(order_id)), timeout,
                   lambda: f"a final event of {order_id} (seen: {self.statuses(order_id)})")
        return next(event for event in self.of(order_id) if event["data"]["status"] in FINAL)

    def send(self, data):
        _Loop.run(self._socket.send(data))

    def close(self):
        _Loop.run(self._socket.close())


class Gateway:
    """The sandbox gateway from the outside: its list of charges, its controls."""

    def __init__(self, url, key, authority=None):
        self.url, self._authority = url, authority
        self._headers = {"Authorization": "Bearer " + key}

    def call(self, method, path, form=None):
        headers = dict(self._headers)
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode(form)
        return http_call(self.url, method, path, headers, body, authority=self._authority)

    def control(self, **modes):
        """POST /_control; see deploy/sandbox."""
        answer = http_call(self.url, "POST", "/_control", self._headers, modes, authority=self._authority)
        if answer.status >= 300:
            raise AssertionError(f"the sandbox refused {modes}: {answer}")
        return answer

    def intents(self):
        """All payment intents, newest first, paging through the list."""
        found, after = [], None
        while True:
            query = {"limit": 100}
            if after:
                query["starting_after"] = after
            answer = self.call("GET", "/v1/payment_intents?" + urllib.parse.urlencode(query))
            if answer.status != 200:
                raise AssertionError(f"listing payment intents: {answer}")
            found += answer.json["data"]
            if not answer.json.get("has_more"):
                return found
            after = answer.json["data"][-1]["id"]

    def captured(self):
        """order id → number of succeeded, unrefunded intents."""
        counts = {}
        for intent in self.intents():
            if intent["status"] == "succeeded" and not intent.get("refunded"):
                order = (intent.get("metadata") or {}).get("order_id")
                counts[order] = counts.get(order, 0) + 1
        return counts

    # The controls of deploy/sandbox, by what they are for.

    def latency(self, milliseconds):
        """Payments asked for from now on are answered so much later."""
        self.control(latency_ms=milliseconds)

    def fault(self, mode, times=1):
        """The next `times` payments fail in this way."""
        self.control(mode=mode, times=times)

    def calm(self):
        """No latency, no faults."""
        self.control(latency_ms=0, mode="none")

    def started(self, order_id):
        """How often a payment of this order has begun since the gateway's start."""
        return self.call("GET", f"/_control?order_id={order_id}").json["order_requests"]

    def replays(self):
        """How many payments were asked for under a key that had its result already."""
        return self.call("GET", "/_control").json["replays"]
