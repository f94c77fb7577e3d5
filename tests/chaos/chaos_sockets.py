"""The buyers' websockets: one for each, opened again when it is lost, every frame on record."""

import asyncio
import json
import random
import time

import websockets

PLACE = "checkout.order.place.v1"
TOO_OLD = 4003      # events behind the cursor were purged
FINAL = ("confirmed", "rejected", "cancelled", "refunded")
# The library renamed the argument with its new client, in version 14.
WEBSOCKET_HEADERS = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"


async def end_tasks(tasks):
    """Cancels them until they have ended: a cancellation can be lost inside wait_for()."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=1)


class Sockets:
    """`ended`: ids of orders whose final event was seen by somebody; `anew`: users who had to begin anew, since events
    behind their cursor were purged."""

    def __init__(self, users, token, url, log):
        self.users, self._token, self._url, self._log = users, token, url, log
        self._number = 0
        self._tasks = []
        self.open = set()
        self.ended, self.anew = set(), set()
        self.frames = self.reconnects = 0

    def start(self):
        self._tasks = [asyncio.ensure_future(self._keep(user)) for user in self.users]

    async def stop(self):
        """Without a word in the log: who is there is there at the end."""
        await end_tasks(self._tasks)

    def _write(self, socket, user, saw, **more):
        self._log.write(json.dumps({"socket": socket, "user": user, "at": time.monotonic(), "saw": saw, **more}) + "\n")

    async def _keep(self, user):
        last, known = 0, False
        while True:
            url = f"{self._url}?last_event_id={last}" if known else self._url
            try:
                async with websockets.connect(
                        url, **{WEBSOCKET_HEADERS: {"Authorization": "Bearer " + self._token(user)}},
                        subprotocols=["cloudevents.json"], open_timeout=5, ping_interval=3, ping_timeout=4,
                        close_timeout=1, max_size=1 << 20) as socket:
                    self._number += 1
                    number = self._number
                    known = True
                    self.open.add(user)
                    self._write(number, user, "open")
                    try:
                        async for text in socket:
                            last = self._saw(number, user, json.loads(text)) or last
                    except websockets.ConnectionClosed:
                        pass
                    self._write(number, user, "close")
                    if socket.close_code == TOO_OLD:    # all that there is, whatever was heard before
                        last = 0
                        self.anew.add(user)
                        self._write(number, user, "anew", wall=time.time())
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            self.open.discard(user)
            self.reconnects += 1
            await asyncio.sleep(random.uniform(0.1, 0.6))

    def _saw(self, number, user, event):
        """The event's id, from which on to listen after a loss; None of a place in line, which has none."""
        if event["type"] == PLACE:
            self._write(number, user, "place", event=event)
            return None
        self.frames += 1
        self._write(number, user, "frame", event=event)
        if event["data"]["status"] in FINAL:
            self.ended.add(event["subject"])
        return event["id"]
