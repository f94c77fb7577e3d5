"""The listening buyers: websockets that note when each order's final event arrives."""

import asyncio
import json
import random
import time
import urllib.parse

from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

try:
    from websockets.client import ClientProtocol
    from websockets.protocol import State
except ImportError:  # before websockets 11
    from websockets.client import ClientConnection as ClientProtocol
    from websockets.connection import State

FINAL = ("confirmed", "rejected", "cancelled", "refunded")
_SUBPROTOCOL = "cloudevents.json"


class Listeners:
    """Opens one websocket per user in `users`, and opens it again when it is lost.

    `finals`: (user, order id) → when its final event was first seen. `statuses`: order id → that
    event's status. `contradictions`: second final events with another status.
    """

    def __init__(self, users, tokens, urls, at_once=64):
        self.users, self.tokens, self.urls = users, tokens, urls
        self.finals, self.statuses = {}, {}
        self.events = self.reconnects = self.contradictions = 0
        self.open = set()
        self.everybody = asyncio.Event()
        self.closing = False
        self.news = asyncio.Event()
        self.turn = asyncio.Semaphore(at_once)
        self._tasks = []

    def start(self):
        for number, user in enumerate(self.users):
            listener = _Listener(self, user, self.urls[number % len(self.urls)])
            self._tasks.append(asyncio.ensure_future(listener.keep_open()))
        if not self.users:
            self.everybody.set()

    async def stop(self):
        self.closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def opened(self, user):
        self.open.add(user)
        if len(self.open) == len(self.users):
            self.everybody.set()

    def saw(self, user, event):
        self.events += 1
        status, order = event["data"]["status"], event["subject"]
        if status not in FINAL:
            return
        if (user, order) not in self.finals:
            self.finals[user, order] = time.monotonic()
            self.news.set()
        if self.statuses.setdefault(order, status) != status:
            self.contradictions += 1


class _Listener:
    """One buyer's socket through all its reconnects."""

    def __init__(self, all_, user, url):
        self.all, self.user, self.url = all_, user, url
        self.last_event_id = None
        self.known = False

    async def keep_open(self):
        loop = asyncio.get_running_loop()
        failures = 0
        while not self.all.closing:
            socket = _Socket(self, self._uri())
            try:
                await self._open(loop, socket)
                if socket.accepted:
                    failures = 0
                    self.known = True
                    self.all.opened(self.user)
                    await socket.lost.wait()
            except (OSError, asyncio.TimeoutError):
                pass
            finally:
                socket.abort()
                self.all.open.discard(self.user)
            self.all.reconnects += 1
            failures += 1
            await asyncio.sleep(min(0.05 * 2 ** min(failures, 5), 1.0) * random.uniform(0.7, 1.3))

    async def _open(self, loop, socket):
        async with self.all.turn:
            await asyncio.wait_for(
                loop.create_connection(lambda: socket, socket.uri.host, socket.uri.port), 5)
            await asyncio.wait_for(socket.ready.wait(), 10)

    def _uri(self):
        if not self.known:
            return self.url
        after = urllib.parse.quote(str(self.last_event_id or 0))
        return f"{self.url}{'&' if '?' in self.url else '?'}last_event_id={after}"


class _Socket(asyncio.Protocol):
    """One websocket connection: the library's protocol without its I/O."""

    def __init__(self, listener, url):
        self.listener = listener
        self.uri = parse_uri(url)
        self.protocol = ClientProtocol(self.uri, subprotocols=[_SUBPROTOCOL], max_size=1 << 20)
        self.transport = None
        self.accepted = False
        self.ready, self.lost = asyncio.Event(), asyncio.Event()
        self._parts = []

    def connection_made(self, transport):
        self.transport = transport
        request = self.protocol.connect()
        request.headers["Authorization"] = "Bearer " + self.listener.all.tokens.of(self.listener.user)
        self.protocol.send_request(request)
        self._flush()

    def data_received(self, data):
        self.protocol.receive_data(data)
        self._flush()
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self.accepted = self.protocol.state is State.OPEN
                self.ready.set()

    def _frame(self, frame):
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._parts.append(frame.data)
        if not frame.fin:
            return
        text, self._parts = b"".join(self._parts), []
        try:
            event = json.loads(text)
            self.listener.all.saw(self.listener.user, event)
            self.listener.last_event_id = event["id"]
        except (ValueError, KeyError, TypeError):
            self.abort()

    def _flush(self):
        for data in self.protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()

    def connection_lost(self, _error):
        self.ready.set()
        self.lost.set()

    def abort(self):
        if self.transport is not None:
            self.transport.abort()
