#!/usr/bin/python3
"""Publishes orders to Checkout's queues without its API: docs/publishing.md.

    publish.py URL SHARDS SECRET_FILE <orders

URL is the broker's, e.g. amqp://user:password@127.0.0.1:5672/. Each line of standard input is an order as
JSON: {"user","key","sku","quantity","payment_method"} and, if you like, "receipt_email", "unit_price",
"reference". Prints one line for each, with its order id, once the broker has all of its message.
Needs python3-pika and python3-xxhash.
"""

import datetime
import hashlib
import hmac
import itertools
import json
import sys
import uuid

import pika
import xxhash

JOBS_MAX = 256


def shard_of(sku, shards):
    return xxhash.xxh3_64_intdigest(sku.encode()) % shards


def order_id(secret, user, key):
    digest = hashlib.sha256(b"checkout-order\0" + user.encode() + b"\0" + key.encode()).digest()
    name = int.from_bytes(digest, "big") >> (256 - 74)
    padded = (name << 6).to_bytes(10, "big")
    mac = hmac.digest(secret, b"checkout-id\0" + padded + user.encode(), "sha256")[:6]
    free = name << 48 | int.from_bytes(mac, "big")              # 122 bits
    return str(uuid.UUID(int=free >> 74 << 80 | 0b1000 << 76 | (free >> 62 & 0xfff) << 64
                         | 0b10 << 62 | free & ((1 << 62) - 1)))


def fingerprint(order):
    price = f"@{order['unit_price']}" if "unit_price" in order else "-0"
    lines = (order["sku"], f"{order['quantity']}{price}", order["payment_method"],
             order.get("receipt_email", ""), order.get("reference", ""))
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).digest()[:16].hex()


def job(order, secret):
    members = ("sku", "quantity", "payment_method", "receipt_email", "unit_price", "reference")
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"order_id": order_id(secret, order["user"], order["key"]), "user_id": order["user"],
            "accepted_at": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z",
            "fingerprint": fingerprint(order),
            **{name: order[name] for name in members if name in order}}


def publish(channel, shard, shards, jobs):
    """Returns once the broker has confirmed them; raises if it returns or refuses them."""
    properties = pika.BasicProperties(delivery_mode=2, type="checkout.jobs.v1", content_type="application/json",
                                      headers={"x-job-count": len(jobs)})
    body = json.dumps({"version": 1, "jobs": jobs}, ensure_ascii=False, separators=(",", ":")).encode()
    channel.basic_publish(f"checkout.jobs.{shards}", str(shard), body, properties, mandatory=True)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    url, shards = sys.argv[1], int(sys.argv[2])
    with open(sys.argv[3], "rb") as file:
        secret = file.read().removesuffix(b"\n")
    by_shard = {}
    for line in sys.stdin:
        order = json.loads(line)
        by_shard.setdefault(shard_of(order["sku"], shards), []).append(job(order, secret))
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    for shard, jobs in by_shard.items():
        jobs = iter(jobs)
        while part := list(itertools.islice(jobs, JOBS_MAX)):
            publish(channel, shard, shards, part)
            for sent in part:
                print(sent["order_id"], flush=True)
    connection.close()


if __name__ == "__main__":
    main()
