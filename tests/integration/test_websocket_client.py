#!/usr/bin/python3
"""A buyer's websocket by npm's ws, a client that no part of this project shares code with: it refuses what a server may
not send."""

import json
import os
import subprocess
import threading

import harness
import harness_npm
from harness_wait import wait_until

WS = "ws@8.18.3"


class Client:
    """`said`: what happened, in order."""

    def __init__(self, folder, url, token):
        script = os.path.join(harness_npm.ROOT, "tests", "integration", "websocket_client.cjs")
        self.said = []
        self._process = subprocess.Popen(
            ["node", script, url, token], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": os.path.join(folder, "node_modules")})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def wait(self, what):
        """The first thing that was said with this member."""
        return wait_until(lambda: next((said for said in list(self.said) if what in said), None), 20,
                          lambda: f"{what}; it said {self.said}")

    def close(self):
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


class Ws(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    settings = {"CHECKOUT_SOCKET_PING": "1s"}

    def test_a_sale_is_heard_and_the_end_is_clean(self):
        notifier = self.stack.daemon("notifier")
        client = Client(FOLDER, notifier.url.replace("http", "ws", 1) + "/v1/events", self.stack.token("ann"))
        self.addCleanup(client.close)
        self.assertEqual(client.wait("open"), {"open": "cloudevents.json", "extensions": ""})
        self.assertEqual(client.wait("pong")["pong"], "are you there")
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        def statuses():
            return [said["event"]["data"]["status"] for said in list(client.said) if "event" in said]
        wait_until(lambda: statuses() == ["reserved", "confirmed"], 20, lambda: f"the sale; it said {client.said}")
        self.assertEqual({said["binary"] for said in client.said if "event" in said}, {False})
        self.assertEqual(client.said[-1]["event"]["subject"] if "event" in client.said[-1] else order.id, order.id)
        client.wait("ping")
        notifier.stop()
        self.assertEqual(client.wait("close"), {"close": 1012, "reason": "restarting: connect again"})
        self.assertEqual([said for said in client.said if "error" in said], [])


if __name__ == "__main__":
    FOLDER = harness_npm.install(WS)
    harness.main()
