"""A shop's backend for tests: it takes webhooks, notes each, and answers as the test says."""

import base64
import hmac
import json
import os
import secrets
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness_wait import wait_until

CUT, SILENT = "cut", "silent"       # answers that are none


class Hook:
    """One request that came; `heard`: its sender was still there when it was answered."""

    def __init__(self, headers, body):
        self.heard = False
        self.at = time.monotonic()
        self.headers, self.body = headers, body
        self.id, self.json = headers.get("webhook-id"), json.loads(body)
        self.type, self.data = self.json["type"], self.json["data"]
        self.order = self.data.get("order_id")

    def signatures(self):
        return self.headers["webhook-signature"].split(" ")

    def signed_by(self, secret):
        """Whether one of its signatures is of this whsec_."""
        content = b".".join((self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body))
        mac = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), content, "sha256")
        return "v1," + base64.b64encode(mac).decode() in self.signatures()


def hangs_up(connection):
    """Whether the other end has closed its connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Receiver:
    """`answer(hook, path)` returns a status, (status, headers, body), CUT or SILENT; `hooks` is what it took (2xx),
    `tries` everything that came. Ends with close()."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda hook, path: 200)
        self.hooks, self.tries, self.most = [], [], 0
        self._now, self._lock = 0, threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.serve(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        hook = Hook({name.lower(): value for name, value in request.headers.items()}, body)
        with self._lock:
            self.tries.append(hook)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self._respond(request, hook)
        finally:
            with self._lock:
                self._now -= 1

    def _respond(self, request, hook):
        answer = self.answer(hook, request.path)
        if answer == SILENT:
            time.sleep(10)
        if answer in (CUT, SILENT):
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            return
        hook.heard = not hangs_up(request.connection)
        status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, b"ok")
        if status // 100 == 2:
            with self._lock:
                self.hooks.append(hook)
        request.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(text)

    def of(self, order, taken=True):
        with self._lock:
            return [hook for hook in (self.hooks if taken else self.tries) if hook.order == order]

    def wait(self, order, hook_type, timeout=20):
        """What was taken of this order, once it has one of this type."""
        wait_until(lambda: hook_type in [hook.type for hook in self.of(order)], timeout,
                   lambda: f"{hook_type} of {order}; there were {[hook.type for hook in self.of(order)]}")
        return self.of(order)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def write_keys(folder, endpoint, *keys):
    """The file of an endpoint's keys, in place of the one before."""
    path = os.path.join(folder, endpoint)
    with open(path + ".new", "w", encoding="ascii") as sink:
        sink.write("".join(key + "\n" for key in keys))
    os.rename(path + ".new", path)
