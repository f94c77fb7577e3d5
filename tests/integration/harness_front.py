"""The proxies whose settings the project ships (deploy/proxy), in front of a stack's producer and notifier."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

from harness_client import http_call
from harness_services import ROOT, free_port
from harness_wait import wait_until

COMMANDS = {"nginx": ("nginx.conf", ["nginx", "-e", "stderr", "-g", "daemon off;", "-c"]),
            "haproxy": ("haproxy.cfg", ["haproxy", "-W", "-db", "-f"])}
RELOADS = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2}


def needs(kind):
    """Skips the test, or the class that is being set up, where this proxy is not installed."""
    if shutil.which(kind) is None:
        raise unittest.SkipTest(f"{kind} is not installed")


class Front:
    """`kind`: one of COMMANDS. `url`: what buyers see. `close` ends it."""

    def __init__(self, kind, producer, notifier):
        settings, command = COMMANDS[kind]
        self._kind = kind
        self._directory = tempfile.mkdtemp(prefix="checkout-proxy-")
        port = free_port()
        words = {"DIR": self._directory, "LISTEN": f"127.0.0.1:{port}", "BANK": "127.0.0.1:9", "SHOP": "127.0.0.1:9",
                 "API": urllib.parse.urlsplit(producer.url).netloc, "EVENTS": urllib.parse.urlsplit(notifier.url).netloc}
        with open(os.path.join(ROOT, "deploy", "proxy", settings), encoding="utf-8") as source:
            text = re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], source.read())
        path = os.path.join(self._directory, settings)
        with open(path, "w", encoding="utf-8") as target:
            target.write(text)
        with open(os.path.join(self._directory, "output"), "wb") as output:
            self._process = subprocess.Popen([*command, path], stdout=output, stderr=output)
        self.url = f"http://127.0.0.1:{port}"
        try:
            wait_until(self._answers, 10, lambda: f"{kind} ({self.log()})")
        except AssertionError:
            self.close()
            raise

    def _answers(self):
        try:
            return http_call(self.url, "GET", "/v1/items/none").status == 404
        except OSError:
            return False

    def log(self):
        """All that it wrote about requests, and otherwise."""
        text = ""
        for name in ("output", "access.log"):
            path = os.path.join(self._directory, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as source:
                    text += source.read()
        return text

    def reload(self):
        """Reads its settings again: its present processes end once they have answered, others take their place."""
        self._process.send_signal(RELOADS[self._kind])

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._directory)


class Recorder:
    """A server that keeps the head of one request, and ends."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.head = b""
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        return self

    def _take(self):
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.head and (chunk := connection.recv(65536)):
                self.head += chunk

    def __exit__(self, *_):
        self._thread.join()
        self._listener.close()
