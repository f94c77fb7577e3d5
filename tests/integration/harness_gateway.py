"""A gateway whose every answer a test decides: for what the sandbox, which is honest at heart, never does."""

import http.server
import json
import ssl
import threading
import urllib.parse


class ScriptedGateway:
    """Answers each charge by `answer(form)`: (status, value that becomes JSON, or bytes). Thread-safe as far
    as the test's function is. `requests` are (method, path, headers, form)."""

    def __init__(self, answer, certificate=None):
        self.answer = answer
        self.requests = []
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = dict(urllib.parse.parse_qsl(body))
                gateway.requests.append(("POST", self.path, dict(self.headers), form))
                status, answer = gateway.answer(form)
                self.reply(status, answer)

            def do_GET(self):
                gateway.requests.append(("GET", self.path, dict(self.headers), {}))
                self.reply(200, {"object": "list", "data": [], "has_more": False})

            def reply(self, status, answer):
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass                    # a client that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def charges(self):
        """The forms of all charges so far."""
        return [form for method, path, _, form in list(self.requests)
                if method == "POST" and path == "/v1/payment_intents"]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def intent(form, status="succeeded", **members):
    """The intent that a charge asks for, with `members` otherwise."""
    order = form["metadata[order_id]"]
    return {"id": "pi_" + order.replace("-", ""), "object": "payment_intent", "status": status,
            "amount": int(form["amount"]), "currency": form["currency"], "created": 1700000000,
            "metadata": {"order_id": order, "shard": form["metadata[shard]"]}, **members}
