#!/usr/bin/python3
"""Takes webhooks of Checkout: checks who sent each, does its work once, in order. No packages needed.

    WEBHOOK_SECRET=whsec_… PORT=8090 receiver.py
"""

import base64
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["WEBHOOK_SECRET"].split()]
TOLERANCE = 300         # seconds that the sender's clock may differ, and that a copied request stays good
newest = {}             # order → sequence. A shop keeps it in its database, in the transaction of its work


def genuine(headers, body):
    """Whether somebody with our secret has signed these very bytes, just now."""
    sent = headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE:
        return False
    content = b".".join((headers.get("webhook-id", "").encode(), sent.encode(), body))
    good = ["v1," + base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in SECRETS]
    return any(hmac.compare_digest(one.encode(), mine.encode())
               for one in headers.get("webhook-signature", "").split(" ") for mine in good)


def take(event):
    """Does the work; what raises comes again later. An event may come twice: one that is known changes nothing."""
    data = event["data"]
    if event["type"] == "test" or newest.get(data["order_id"], 0) >= data.get("sequence", 1 << 30):
        return
    if event["type"] == "order.confirmed":
        print(f"send {data['quantity']} x {data['sku']} to {data['user_id']}", flush=True)
    elif event["type"] == "order.refunded":
        print(f"stop sending {data['sku']} to {data['user_id']}", flush=True)
    if "sequence" in data:
        newest[data["order_id"]] = data["sequence"]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1 << 16))
        if not genuine(self.headers, body):
            self.send_response(401)
        else:
            take(json.loads(body))
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Receiver).serve_forever()
