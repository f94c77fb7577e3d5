"""Orders as another program would publish them: ids, shards and messages, written independently.

The scheme is that of common/shop/ids.h and schemas/; nothing here calls the code under test.
"""

import ctypes
import ctypes.util
import datetime
import hashlib
import hmac
import json
import os
import uuid

JOB_TYPE = "checkout.jobs.v1"
_SHA_BITS, _MAC_BITS = 74, 48

_xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = (ctypes.c_char_p, ctypes.c_size_t)


def shard_of(sku, shards):
    raw = sku.encode()
    return _xxhash.XXH3_64bits(raw, len(raw)) % shards


def order_id(secret, user, key):
    """The deterministic, self-authenticating UUIDv8 of a user and an Idempotency-Key."""
    user, key = _bytes(user), _bytes(key)
    digest = hashlib.sha256(b"checkout-order\0" + user + b"\0" + key).digest()
    name = int.from_bytes(digest, "big") >> (256 - _SHA_BITS)
    padded = (name << (80 - _SHA_BITS)).to_bytes(10, "big")
    mac = hmac.new(_bytes(secret), b"checkout-id\0" + padded + user, hashlib.sha256).digest()
    free = (name << _MAC_BITS) | (int.from_bytes(mac, "big") >> (256 - _MAC_BITS))
    a, b, c = free >> 74, (free >> 62) & 0xFFF, free & ((1 << 62) - 1)
    return str(uuid.UUID(int=(a << 80) | (8 << 76) | (b << 64) | (2 << 62) | c))


def job(secret, user, sku, key=None, **members):
    """A job as a dict; `members` add to it or replace what is there (None removes)."""
    key = key or uuid.uuid4().hex
    made = {
        "order_id": order_id(secret, user, key),
        "user_id": user,
        "sku": sku,
        "quantity": 1,
        "payment_method": "pm_card_visa",
        "accepted_at": now(),
        "fingerprint": os.urandom(16).hex(),
    }
    made.update(members)
    return {name: value for name, value in made.items() if value is not None}


def message(*jobs, version=1):
    """The body of a message that carries these jobs."""
    return json.dumps({"version": version, "jobs": list(jobs)}, separators=(",", ":")).encode()


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _bytes(text):
    return text.encode() if isinstance(text, str) else text
