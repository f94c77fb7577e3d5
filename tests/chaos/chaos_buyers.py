"""The buyers: orders over keep-alive connections, retried with the same key, some taken back."""

import asyncio
import collections
import json
import random
import time
import urllib.parse

from chaos_sockets import end_tasks

CONNECTIONS = 48
TIMEOUT_S = 4.0
PATIENCE_S = 25.0
BACKLOG_MAX = 2000
NO_ANSWER = (OSError, EOFError, asyncio.TimeoutError, ValueError, IndexError, asyncio.LimitOverrunError)
RETRIED = (429, 500, 502, 503, 504)
LOSE_ANSWER, CLICK_TWICE, TAKE_BACK = 0.03, 0.03, 0.05


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, host, port):
        self._host, self._port = host, port
        self._reader = self._writer = None

    async def call(self, method, path, headers, body=b"", lose_after=None):
        """(status, parsed body, headers); raises OSError, or TimeoutError, when there is no answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.wait_for(
                asyncio.open_connection(self._host, self._port), TIMEOUT_S)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{head}"
                           f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if lose_after is not None:
            await asyncio.sleep(lose_after)
            raise ConnectionResetError("this buyer went away")
        return await asyncio.wait_for(self._answer(), TIMEOUT_S)

    async def _answer(self):
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip()
                   for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split(" ")[1]), json.loads(body) if body else {}, headers

    def close(self):
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


class Buyers:
    """Orders `rate` a second until `stop`. `accepted`: order id → user; `log`: a file."""

    def __init__(self, market, token, api, log, rate, seed):
        self.market, self.rate, self._token, self._log = market, rate, token, log
        target = urllib.parse.urlsplit(api)
        self._address = (target.hostname, target.port)
        self._random = random.Random(f"buyers {seed}")
        self._tokens = {}
        self._due = collections.deque()
        self._wake = asyncio.Event()
        self._tasks = []
        self._stopping = False
        self._cancels_answered = None     # whether the door knows DELETE; None: not asked yet
        self.accepted = {}
        self.sent = self.lost = self.skipped = 0
        self.answers = collections.Counter()

    def start(self):
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(CONNECTIONS)]
        self._tasks.append(asyncio.ensure_future(self._pace()))

    async def stop(self):
        """No new orders; what is under way is given up."""
        self._stopping = True
        await end_tasks(self._tasks)

    async def _pace(self):
        start, number = time.monotonic(), 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, start + number / self.rate - time.monotonic()))
            if len(self._due) < BACKLOG_MAX:
                self._put(self._order, self.market.wish())
            else:
                self.skipped += 1

    def _put(self, what, argument):
        if not self._stopping:
            self._due.append((what, argument))
            self._wake.set()

    def _put_later(self, seconds, what, argument):
        asyncio.get_running_loop().call_later(seconds, self._put, what, argument)

    async def _work(self):
        connection = Connection(*self._address)
        try:
            while True:
                while not self._due:
                    self._wake.clear()
                    await self._wake.wait()
                what, argument = self._due.popleft()
                await what(connection, argument)
        finally:
            connection.close()

    def _headers(self, user):
        token, made = self._tokens.get(user, (None, float("-inf")))
        if time.monotonic() - made > 1800:
            token = self._token(user)
            self._tokens[user] = (token, time.monotonic())
        return {"Authorization": f"Bearer {token}"}

    def _write(self, line):
        self._log.write(json.dumps(line) + "\n")

    async def _order(self, connection, wish):
        headers = {**self._headers(wish.user), "Idempotency-Key": wish.key,
                   "Content-Type": "application/json"}
        lose = self._random.uniform(0, 0.03) if self._random.random() < LOSE_ANSWER else None
        wish.tries += 1
        self.sent += 1
        sent = time.monotonic()
        if wish.first is None:
            wish.first = sent
        try:
            status, answer, head = await connection.call("POST", "/v1/orders", headers, wish.body, lose)
        except NO_ANSWER:
            connection.close()
            status, answer, head = 0, {}, {}
        except asyncio.CancelledError:
            self._write({"do": "order", **wish.facts, "sent": sent, "answered": None, "status": 0,
                         "order": None})
            raise
        now = time.monotonic()
        self._write({"do": "order", **wish.facts, "sent": sent, "answered": now, "status": status,
                     "order": answer.get("id") if status == 202 else None})
        self._next(wish, status, answer, head, now)

    def _next(self, wish, status, answer, head, now):
        self.answers[status] += 1
        if status == 202:
            wish.order = answer["id"]
            self.accepted[wish.order] = wish.user
            luck = self._random.random()
            if luck < CLICK_TWICE:
                self._put_later(self._random.uniform(0, 0.5), self._order, wish)
            elif luck < CLICK_TWICE + TAKE_BACK and self._cancels_answered is not False:
                self._put_later(self._random.uniform(0, 1.5), self._cancel, wish)
        elif status == 0 or status in RETRIED:
            self.lost += status == 0
            if now - wish.first < PATIENCE_S:
                pause = min(float(head.get("retry-after", 0.1)), 2.0)
                self._put_later(pause * self._random.uniform(0.5, 1.5), self._order, wish)

    async def look(self, count):
        """Reads the status of so many accepted orders; for after stop()."""
        connection = Connection(*self._address)
        for order in self._random.sample(list(self.accepted), min(count, len(self.accepted))):
            user, sent = self.accepted[order], time.monotonic()
            try:
                status, answer, _ = await connection.call("GET", f"/v1/orders/{order}", self._headers(user))
            except NO_ANSWER:
                connection.close()
                status, answer = 0, {}
            self._write({"do": "look", "user": user, "order": order, "sent": sent,
                         "answered": time.monotonic(), "status": status, "says": answer.get("status")})
        connection.close()

    async def _cancel(self, connection, wish):
        sent, status = time.monotonic(), 0
        try:
            status, _, _ = await connection.call("DELETE", f"/v1/orders/{wish.order}",
                                                 self._headers(wish.user))
        except NO_ANSWER:
            connection.close()
        finally:  # also when the run ends: it may have been heard
            self._write({"do": "cancel", "user": wish.user, "order": wish.order, "sent": sent,
                         "answered": time.monotonic(), "status": status})
        if status in (404, 405) and self._cancels_answered is None:
            self._cancels_answered = False  # this door does not offer it
        elif status in (202, 409):
            self._cancels_answered = True
        self.answers[f"DELETE {status}"] += 1
