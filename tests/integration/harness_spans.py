"""An OpenTelemetry collector for tests: it takes spans by OTLP/HTTP, or says nothing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector:
    """`bodies` is what came, as text. While `silent` it takes requests and answers none. Ends with close()."""

    def __init__(self):
        self.bodies, self.heads, self.silent = [], [], False
        self._end = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if collector.silent:
                    collector._end.wait(60)
                    self.close_connection = True
                    return
                collector.bodies.append(body)
                collector.heads.append((self.path, dict(self.headers)))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass                    # a client that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self, order_id):
        """Those of an order, as Span says; each has its program, too."""
        return [span for body in list(self.bodies) for span in Span.all_of(json.loads(body)) if span.order_id == order_id]

    def close(self):
        self._end.set()
        self._server.shutdown()
        self._server.server_close()


class Span:
    def __init__(self, program, span):
        self.program, self.name, self.kind = program, span["name"], span["kind"]
        self.trace, self.id, self.parent = span["traceId"], span["spanId"], span.get("parentSpanId")
        self.began, self.ended = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        self.failed = "status" in span
        self.notes = {note["key"]: next(iter(note["value"].values())) for note in span["attributes"]}
        self.order_id = self.notes["checkout.order.id"]

    @property
    def traceparent(self):
        return f"00-{self.trace}-{self.id}-01"

    @classmethod
    def all_of(cls, request):
        for resource in request["resourceSpans"]:
            about = {note["key"]: note["value"]["stringValue"] for note in resource["resource"]["attributes"]}
            for scope in resource["scopeSpans"]:
                yield from (cls(about["service.name"], span) for span in scope["spans"])
