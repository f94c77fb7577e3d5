"""The buyers' clicks: POSTs over keep-alive connections, retried with the same key.

An asyncio.Protocol on the bare socket, because the clients share the machine with what they load.
"""

import asyncio
import collections
import json
import random
import time

_ANSWER_MAX = 64 * 1024
_RETRIED = {429, 500, 502, 503, 504}


class Api:
    """Where the API is reached: one host and port of SALE_API."""

    def __init__(self, host, port):
        self.host, self.port = host, port
        self.head = f"POST /v1/orders HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer "


class Clicks:
    """Sends every click of the plan; `done` is set when each has its answer or was given up.

    A reset, a timeout, 429 and 5xx are retried with the same key after Retry-After (or a growing
    pause), until `patience` seconds after the first try.
    """

    def __init__(self, plan, tokens, apis, log, connections, rate, patience, timeout=15.0):
        self.tokens, self.apis, self.log = tokens, apis, log
        self.patience, self.timeout, self.rate = patience, timeout, rate
        self.waiting = collections.deque()   # clicks whose time has come: (wish, tries, first try)
        self.idle = []
        self.left = len(plan.clicks)
        self.accepted = set()                # distinct ids
        self.statuses = collections.Counter()
        self.accept_seconds = []
        self.retries = self.given_up = self.resets = 0
        self.problems = collections.Counter()
        self.done = asyncio.Event()
        self._plan, self._count = plan, connections
        self._connections = []

    async def run(self):
        loop = asyncio.get_running_loop()
        self._connections = [Connection(self, loop, self.apis[number % len(self.apis)])
                             for number in range(self._count)]
        for connection in self._connections:
            connection.open()
        pacer = asyncio.ensure_future(self._release())
        watchdog = asyncio.ensure_future(self._watch())
        try:
            if self.left:
                await self.done.wait()
        finally:
            for task in (pacer, watchdog):
                task.cancel()
            for connection in self._connections:
                connection.close()

    async def _release(self):
        if not self.rate:
            self.waiting.extend((wish, 0, None) for wish in self._plan.clicks)
            self._feed()
            return
        start = time.monotonic()
        for number, wish in enumerate(self._plan.clicks):
            pause = start + number / self.rate - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self.waiting.append((wish, 0, None))
            self._feed()

    async def _watch(self):
        while True:
            await asyncio.sleep(0.5)
            late = time.monotonic() - self.timeout
            for connection in self._connections:
                if connection.click and connection.sent < late:
                    connection.abort()

    def _feed(self):
        while self.waiting and self.idle:
            self.idle.pop().send(self.waiting.popleft())

    def free(self, connection):
        """A connection has nothing to do: it takes the next click, or waits for one."""
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.idle.append(connection)

    def answered(self, click, sent, status, headers, body):
        wish, _, _ = click
        now = time.monotonic()
        self.statuses[status] += 1
        answer = _parse(body)
        order = answer.get("id")
        self.log.write(wish, sent, now, status, order)
        if status == 202 and order:
            self.accept_seconds.append(now - sent)
            self.accepted.add(order)
            wish.ids.add(order)
            if wish.first_answer is None:
                wish.first_answer = now
            self._settle()
        elif status in _RETRIED:
            self._again(click, _retry_after(headers))
        else:
            self.problems[f"{status} {answer.get('type', '')}".strip()] += 1
            self._give_up(wish)

    def lost(self, click, sent, why):
        """The connection went before the answer: whether it was accepted is unknown."""
        self.resets += 1
        self.log.write(click[0], sent, time.monotonic(), why, None)
        self._again(click, None)

    def _again(self, click, retry_after):
        wish, tries, first = click
        if time.monotonic() - first > self.patience:
            self._give_up(wish)
            return
        self.retries += 1
        pause = min(0.05 * 2 ** min(tries, 6), 2.0) if retry_after is None else retry_after
        loop = asyncio.get_running_loop()
        loop.call_later(pause * random.uniform(1.0, 1.3), self._retry, (wish, tries + 1, first))

    def _retry(self, click):
        self.waiting.append(click)
        self._feed()

    def _give_up(self, wish):
        self.given_up += 1
        wish.given_up = True
        self._settle()

    def _settle(self):
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection, one click at a time; opens again when it is lost."""

    def __init__(self, clicks, loop, api):
        self.clicks, self.loop, self.api = clicks, loop, api
        self.transport = None
        self.click = None
        self.sent = 0.0
        self._buffer = b""
        self._failures = 0
        self._closed = False

    def open(self):
        if not self._closed:
            self.loop.create_task(self._connect())

    async def _connect(self):
        try:
            await asyncio.wait_for(self.loop.create_connection(
                lambda: self, self.api.host, self.api.port), 5)
        except (OSError, asyncio.TimeoutError):
            self._reopen()

    def _reopen(self):
        """The next API, after a pause that grows while none opens."""
        apis = self.clicks.apis
        self.api = apis[(apis.index(self.api) + 1) % len(apis)]
        pause = min(0.02 * 2 ** min(self._failures, 6), 1.0) * random.uniform(0.7, 1.3)
        self._failures += 1
        self.loop.call_later(pause, self.open)

    def connection_made(self, transport):
        self.transport = transport
        self._buffer = b""
        if self._closed:
            transport.abort()
        else:
            self.clicks.free(self)

    def send(self, click):
        wish, tries, first = click
        self.sent = time.monotonic()
        if wish.first_sent is None:
            wish.first_sent = self.sent
        self.click = (wish, tries, first or self.sent)
        head = (f"{self.api.head}{self.clicks.tokens.of(wish.user)}\r\nIdempotency-Key: {wish.key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(wish.body)}\r\n\r\n")
        self.transport.write(head.encode() + wish.body)

    def data_received(self, data):
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _ANSWER_MAX:
                self.abort()
            return
        try:
            status, headers = _parse_head(self._buffer[:end])
            length = int(headers["content-length"])
        except (ValueError, KeyError, IndexError):
            self.abort()
            return
        if len(self._buffer) < end + 4 + length:
            if length > _ANSWER_MAX:
                self.abort()
            return
        body = self._buffer[end + 4:end + 4 + length]
        self._buffer = self._buffer[end + 4 + length:]
        click, self.click = self.click, None
        self._failures = 0
        if click is None or self._buffer:
            self.abort()  # an answer that nobody asked for
        if click is not None:
            self.clicks.answered(click, self.sent, status, headers, body)
        if self.transport is None or self.transport.is_closing():
            return
        if headers.get("connection", "").lower() == "close":
            self.transport.close()
        else:
            self.clicks.free(self)

    def connection_lost(self, _error):
        self.transport = None
        if self in self.clicks.idle:
            self.clicks.idle.remove(self)
        click, self.click = self.click, None
        if click is not None:
            self.clicks.lost(click, self.sent, "reset")
        if not self._closed:
            self._reopen()

    def abort(self):
        if self.transport is not None:
            self.transport.abort()

    def close(self):
        self._closed = True
        self.abort()


def _parse_head(raw):
    lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(lines[0].split(" ", 2)[1]), headers


def _parse(body):
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(headers):
    try:
        return min(max(float(headers["retry-after"]), 0.0), 10.0)
    except (KeyError, ValueError):
        return None
