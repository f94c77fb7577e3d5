#!/usr/bin/python3
"""Producers that share a port: one without a broker leaves it to the others, and none leaves as the last."""

import datetime
import json
import os
import re
import socket
import subprocess
import threading
import time
import unittest
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import wait_until
from harness_daemon import Daemon
from harness_proxy import Proxy
from test_producer import Api

SKU = "dress"
BUSY = "busy"
LEFT = "left the shared port"


def listeners(port):
    """The sockets that listen at a port, as the kernel sees it."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def listens(daemon):
    """Whether the process itself listens at the port where it serves."""
    inodes = listeners(urllib.parse.urlsplit(daemon.url).port)
    for number in os.listdir(f"/proc/{daemon.pid}/fd"):
        try:
            kind, _, rest = os.readlink(f"/proc/{daemon.pid}/fd/{number}").partition(":[")
        except OSError:
            continue  # closed meanwhile
        if kind == "socket" and rest.rstrip("]") in inodes:
            return True
    return False


def logged(daemon):
    """Its lines, each with the time when it was written, in s since 1970."""
    for line in map(json.loads, filter(lambda text: text.endswith(b"}"), daemon.log_text().splitlines())):
        yield datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp(), line["event"]


def served_at(daemon):
    """When it began to listen, the last time, as it says; waits until it has."""
    def last():
        lines = [(at, event) for at, event in logged(daemon) if event == "serving" or event.startswith(LEFT)]
        return lines[-1][0] if lines and lines[-1][1] == "serving" else None
    return wait_until(last, 30, "it says that it serves")


class SharedPort(Api):
    daemons = ()

    def setUp(self):
        target = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_AMQP_URL"])
        self.port = harness.free_port()
        self.links, self.doors = [], []
        for _ in range(2):
            link = Proxy(target.hostname, target.port)
            self.addCleanup(link.close)
            self.links.append(link)
        self.target = target
        self.stack.broker.purge()

    def door(self, link, wait=True):
        netloc = f"{self.target.username}:{self.target.password}@127.0.0.1:{link.port}"
        door = self.stack.start("producer", wait=wait, CHECKOUT_LISTEN=f"127.0.0.1:{self.port}",
                                CHECKOUT_AMQP_URL=self.target._replace(netloc=netloc).geturl())
        self.addCleanup(door.kill)
        self.doors.append(door)
        return door

    def ask(self, key=None):
        """On a connection of its own: the answer's status, the error's name, or BUSY where the broker is only slow."""
        try:
            answer = self.stack.post("ann", SKU, key=key or uuid.uuid4().hex, producer=self.doors[0])
        except OSError as error:
            return type(getattr(error, "reason", error)).__name__
        slow = answer.json.get("type") in ("/problems/accept-unknown", "/problems/overloaded")
        return BUSY if answer.status == 503 and slow else answer.status

    def send(self):
        status = self.ask()
        return 503 if status == BUSY else status

    def statuses(self, count=40):
        """What so many orders get; one that a slow broker has not confirmed is sent again."""
        def order(_):
            key = uuid.uuid4().hex
            return wait_until(lambda: status if (status := self.ask(key)) != BUSY else None, 60, "a clear answer")
        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(order, range(count)))

    def statuses_without(self, away):
        """Those while this one never listens: on a busy machine it may for a moment, since the other one says nothing."""
        def statuses():
            served = self.served(away)
            seen = self.statuses()
            return seen if not listens(away) and self.served(away) == served else None
        return wait_until(statuses, 120, "orders while it is away")

    @staticmethod
    def served(door):
        return sum(event == "serving" for _, event in logged(door))

    # -- the start -------------------------------------------------------------------------------

    def test_it_listens_within_two_seconds_though_no_server_answers(self):
        mute = socket.create_server(("127.0.0.1", 0))  # takes connections, and never says a word
        self.addCleanup(mute.close)
        url = re.sub(r"@[^/]*/", f"@127.0.0.1:{mute.getsockname()[1]}/", self.stack.direct["CHECKOUT_AMQP_URL"])
        others = {name: re.sub(r"@[^/]*/", f"@127.0.0.1:{mute.getsockname()[1]}/", self.stack.settings[name])
                  for name in ("CHECKOUT_DATABASE_URL", "CHECKOUT_REDIS_URL")}
        times = []
        for _ in range(20):  # the quickest counts, by its own clock: others on this machine only add to the time
            door = self.stack.start("producer", wait=False, CHECKOUT_AMQP_URL=url, **others)
            self.addCleanup(door.kill)
            wait_until(lambda d=door: listens(d), 60, "it listens")
            times.append(served_at(door) - door.metric("process_start_time_seconds"))
            if times[-1] < 2:
                break
            door.kill()
        self.assertLess(times[-1], 2, times)
        self.assertEqual(self.stack.post("ann", SKU, producer=door).status, 503)

    def test_one_that_never_had_a_broker_takes_no_orders_from_another(self):
        self.door(self.links[0])
        self.links[1].down()
        second = self.door(self.links[1], wait=False)
        said = (b"not on the shared port yet", LEFT.encode())   # the latter where the other one said nothing for a moment
        wait_until(lambda: any(word in second.log_text() for word in said), 60, "it says so")
        self.assertEqual(self.statuses_without(second), {202})
        self.assertEqual(harness.http_call(second.admin, "GET", "/readyz").status, 503)
        self.links[1].up()
        wait_until(lambda: listens(second), 60, "it comes when it has a broker")
        self.assertEqual(self.statuses(), {202})

    # -- losses ----------------------------------------------------------------------------------

    def test_one_that_loses_its_broker_leaves_and_answers_what_it_took(self):
        first, second = self.door(self.links[0]), self.door(self.links[1])
        seen, stop = [], threading.Event()

        def buy():
            while not stop.is_set():
                seen.append((time.time(), self.ask(), time.time()))
        buyers = [threading.Thread(target=buy) for _ in range(6)]
        for buyer in buyers:
            buyer.start()
        self.links[1].down()
        wait_until(lambda: not listens(second), 60, "it leaves the port")
        wait_until(lambda: len(self.sent_while_away(second, seen)) > 60, 60, "buyers go on")
        self.links[1].up()
        wait_until(lambda: listens(second), 60, "it is back")
        stop.set()
        for buyer in buyers:
            buyer.join()
        self.assertEqual(set(self.sent_while_away(second, seen)) - {BUSY}, {202})
        self.assertLessEqual({status for _, status, _ in seen}, {202, 503, BUSY})  # no connection is lost
        self.assertTrue(listens(first))
        self.assertEqual(second.metric("checkout_listening"), 1)

    def sent_while_away(self, door, seen):
        """What those got who began well after this door had left the port and had their answer before it was back, if it
        is: on a busy machine it may be for a moment, since the other one says nothing."""
        spans, left = [], None
        for now, event in logged(door):
            if event.startswith(LEFT):
                left = now
            elif event == "serving" and left is not None:
                spans.append((left, now))
                left = None
        spans += [(left, time.time())] if left is not None else []
        return [status for began, status, ended in list(seen) if any(a + 1.5 < began and ended < b for a, b in spans)]

    def test_both_lose_it_in_the_same_instant(self):
        self.door(self.links[0])
        self.door(self.links[1])
        for _ in range(5):
            for link in self.links:
                link.down()
            until = time.monotonic() + 2
            while time.monotonic() < until:
                self.assertEqual(self.send(), 503)
                self.assertTrue(listeners(self.port))   # one look: they may take turns
            for link in self.links:
                link.up()
            wait_until(lambda: all(listens(door) and door.metric("checkout_broker_up") == 1
                                   for door in self.doors), 60, "both take orders")
            self.assertEqual(self.statuses(), {202})

    def away(self):
        """Two doors; the second has no broker and has left."""
        first = self.door(self.links[0])
        second = self.door(self.links[1])
        self.links[1].down()
        wait_until(lambda: not listens(second), 60, "it leaves the port")
        return first, second

    def back_within(self, seconds, end, answer=None):
        """Of some rounds the quickest counts, by its own clock: others on this machine only add to the time."""
        times = []
        for _ in range(10):
            first, second = self.away()
            begun = time.time()
            end(first)
            wait_until(lambda: listens(second), 60, "it is back")
            times.append(served_at(second) - begun)
            if answer is not None:
                self.assertEqual(self.send(), answer)
            if 0 < times[-1] < seconds:     # before: the first one had said nothing for a moment
                return
            for door in self.doors:
                door.kill()
            self.doors.clear()
            for link in self.links:
                link.up()
        self.fail(f"it was back after {times}")

    def test_it_is_back_when_the_other_dies(self):
        self.back_within(1, Daemon.kill, 503)

    def test_it_is_back_when_the_other_hangs(self):
        self.back_within(1, Daemon.freeze)

    def test_it_is_back_when_the_other_leaves_in_order(self):
        self.back_within(1, Daemon.terminate)

    def test_it_is_back_when_the_other_loses_its_broker_too(self):
        self.back_within(1.5, lambda _: self.links[0].down(), 503)  # the other one notices first

    def test_away_it_ends_in_order(self):
        _, second = self.away()
        second.stop(10)
        self.assertEqual(self.statuses(), {202})

    def test_a_stranger_cannot_send_it_away(self):
        door = self.door(self.links[0])
        stranger = f"""
import os, socket, struct
os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0checkout-producer/127.0.0.1:{self.port}/1")
while True:
    word, asker = s.recvfrom(64)
    s.sendto(word[:8] + b"T" + bytes(7), asker)
    print("answered", flush=True)
"""
        liar = subprocess.Popen(["/usr/bin/python3", "-c", stranger], stdout=subprocess.PIPE)
        self.addCleanup(liar.stdout.close)
        self.addCleanup(liar.wait)
        self.addCleanup(liar.kill)
        self.links[0].down()
        for _ in range(10):  # lies, a tenth of a second apart
            self.assertEqual(liar.stdout.readline(), b"answered\n")
        self.assertTrue(listens(door))
        self.assertEqual(self.send(), 503)


if __name__ == "__main__":
    unittest.main(verbosity=2)
