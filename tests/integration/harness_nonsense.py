"""A gateway that answers nonsense: whatever bytes, as slowly, with whatever certificate, until it comes to its senses."""

import datetime
import gzip
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

from harness_gateway import intent


class NonsenseGateway:
    """Answers each request by `nonsense(handler, form)`, which writes to handler.wfile or handler.connection;
    None: it has come to its senses, and charges. It keeps results by key, and lists them. `certificate`:
    (certificate and chain, key), or None for HTTP."""

    def __init__(self, nonsense, certificate=None, port=0):
        self.nonsense = nonsense
        self.intents = {}       # key → intent
        self.asked = []         # (method, path, form)
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self.serve(dict(urllib.parse.parse_qsl(body)))

            def do_GET(self):
                self.serve({})

            def serve(self, form):
                gateway.asked.append((self.command, self.path, form))
                if gateway.nonsense is not None:
                    gateway.nonsense(self, form)
                else:
                    gateway.answer(self, form)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass                    # a client that went away

        self._server = Server(("127.0.0.1", port), Handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def use(self, certificate):
        """From now on it shows another certificate."""
        self._server.socket.context.load_cert_chain(*certificate)

    # -- in its senses ----------------------------------------------------------------------------------

    def reply(self, handler, form):
        """(status, value that becomes JSON)"""
        path = urllib.parse.urlsplit(handler.path).path
        if handler.command == "POST" and path == "/v1/payment_intents":
            return 200, self.intents.setdefault(handler.headers["Idempotency-Key"], intent(form))
        if handler.command == "GET" and path in ("/v1/payment_intents", "/v1/refunds"):
            known = list(self.intents.values())[::-1] if path.endswith("intents") else []
            limit = int(urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query).get("limit", ["10"])[0])
            return 200, {"object": "list", "data": known[:limit], "has_more": len(known) > limit}
        found = [known for known in self.intents.values() if path.endswith(known["id"])]
        return (200, found[0]) if found else (404, {"error": {"type": "invalid_request_error",
                                                              "code": "resource_missing", "message": "none"}})

    def answer(self, handler, form):
        status, value = self.reply(handler, form)
        send(handler, status, json.dumps(value).encode(), "application/json")

    def captures(self):
        """order id → how many captures"""
        counts = {}
        for known in self.intents.values():
            order = known["metadata"]["order_id"]
            counts[order] = counts.get(order, 0) + (known["status"] == "succeeded")
        return counts


def send(handler, status, body, kind, **headers):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


# -- nonsense -------------------------------------------------------------------------------------------

def html_502(handler, _):
    send(handler, 502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")


def html_200(handler, _):
    send(handler, 200, b"<html><body>Log in to the hotel's network</body></html>", "text/html")


def empty_200(handler, _):
    send(handler, 200, b"", "application/json")


def moved(handler, _):
    send(handler, 302, b"", "text/html", Location="https://login.example/")


def no_http(handler, _):
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    handler.close_connection = True


def cut(handler, _):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Type: application/json\r\n\r\n{\"id\":")
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def endless(handler, _):
    """A head that promises all, then a byte now and then."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(1200):
        handler.wfile.write(b"1\r\n \r\n")
        handler.wfile.flush()
        time.sleep(0.1)


def huge(handler, _):
    send(handler, 200, b"[" + b" " * (8 << 20) + b"]", "application/json")


def deep(handler, _):
    send(handler, 200, b"[" * 20000, "application/json")


def another_orders(handler, form):
    """The intent of another order: a proxy that caches, a test double that does not care."""
    other = intent({**form, "metadata[order_id]": "00000000-0000-8000-8000-000000000000", "amount": form.get("amount", 1),
                    "currency": form.get("currency", "usd"), "metadata[shard]": "0"})
    send(handler, 200, json.dumps(other).encode(), "application/json")


def not_ours_to_see(handler, _):
    send(handler, 404, b'{"error":{"type":"invalid_request_error","message":"Unrecognized request URL"}}', "application/json")


def gzipped(gateway):
    """True answers, compressed though nobody asked for it."""
    def answer(handler, form):
        status, value = gateway.reply(handler, form)
        send(handler, status, gzip.compress(json.dumps(value).encode()), "application/json", Content_Encoding="gzip")
    return answer


def after_a_charge(nonsense):
    """The gateway charges, and answers so all the same."""
    def make(gateway):
        def answer(handler, form):
            if handler.command == "POST":
                gateway.reply(handler, form)
            nonsense(handler, form)
        return answer
    return make


# -- certificates ---------------------------------------------------------------------------------------

class Authority:
    """Signs certificates for tests. `file` is what programs are told to trust."""

    def __init__(self, directory):
        self.directory = directory
        self.file = os.path.join(directory, "authority.pem")
        self._key = os.path.join(directory, "authority.key")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=Test authority",
                "-keyout", self._key, "-out", self.file)

    def certificate(self, name, host="localhost", days=2, authority=True):
        """(certificate, key) for `host`; one of -1 days has expired; without `authority` it signs itself."""
        key, request, made, extra = (os.path.join(self.directory, name + ending) for ending in (
            ".key", ".csr", ".pem", ".ext"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}", "-keyout", key, "-out", request)
        with open(extra, "w", encoding="ascii") as sink:
            sink.write(f"subjectAltName=DNS:{host}\n")
        signer = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial") if authority else ("-signkey", key)
        if days < 0:
            return self._expired(name, request, key, made, extra)
        openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-extfile", extra, "-out", made)
        return made, key

    def _expired(self, name, request, key, made, extra):
        """openssl x509 makes none that has ended; openssl ca does."""
        home = os.path.join(self.directory, name + "-ca")
        os.makedirs(home)
        with open(os.path.join(home, "index.txt"), "w", encoding="ascii"):
            pass
        config = os.path.join(home, "ca.cnf")
        with open(config, "w", encoding="ascii") as sink:
            sink.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={home}/index.txt\nnew_certs_dir={home}\nrand_serial=yes\n"
                       f"default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = ((now - datetime.timedelta(days=days)).strftime("%y%m%d%H%M%SZ") for days in (9, 1))
        openssl("ca", "-batch", "-config", config, "-cert", self.file, "-keyfile", self._key, "-in", request, "-extfile",
                extra, "-startdate", begin, "-enddate", end, "-out", made, "-notext")
        return made, key


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")
