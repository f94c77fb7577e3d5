#!/usr/bin/python3
"""RFC 6455 at the notifier, frame by frame: what a client may not send, and the code of the close that follows; what it
may send, after which the socket lives. Messages from clients are ignored, but they must be right."""

import os
import struct
import uuid

import harness
from harness_client import EVENT_SUBPROTOCOL
from harness_websocket import RawSocket, frame

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
SNOWMAN = "☃".encode()
LIVES = None


def closing(code, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


# name → (the bytes, the code that the server closes with)
FRAMES = {
    "text": (frame(TEXT, b"hello"), LIVES),
    "text without a byte": (frame(TEXT), LIVES),
    "binary of any bytes": (frame(BINARY, bytes(range(256))), LIVES),
    "text in pieces, a character in two of them": (
        frame(TEXT, b"a" + SNOWMAN[:1], fin=False) + frame(CONTINUED, SNOWMAN[1:2], fin=False) + frame(CONTINUED, SNOWMAN[2:]),
        LIVES),
    "a ping between the pieces of a message": (
        frame(TEXT, b"a", fin=False) + frame(PING, b"x") + frame(CONTINUED, b"b"), LIVES),
    "a pong that was not asked for": (frame(PONG, b"x"), LIVES),
    "a ping of 125 bytes": (frame(PING, b"x" * 125), LIVES),
    "the longest frame": (frame(BINARY, b"x" * 4096), LIVES),

    "no mask": (frame(TEXT, b"x", masked=False), 1002),
    "no mask on a ping": (frame(PING, b"x", masked=False), 1002),
    "RSV1, though no extension was agreed": (frame(TEXT, b"x", rsv=4), 1002),
    "RSV2": (frame(TEXT, b"x", rsv=2), 1002),
    "RSV3": (frame(PING, b"x", rsv=1), 1002),
    "opcode 3": (frame(3, b"x"), 1002),
    "opcode 7": (frame(7), 1002),
    "opcode 11": (frame(11), 1002),
    "opcode 15": (frame(15), 1002),
    "a ping in pieces": (frame(PING, b"x", fin=False), 1002),
    "a close in pieces": (frame(CLOSE, struct.pack("!H", 1000), fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUED, b"x"), 1002),
    "a message inside another": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a length in two bytes that fits into none": (frame(TEXT, b"x", length_bytes=2), 1002),
    "a length in eight bytes that fits into two": (frame(TEXT, b"x" * 200, length_bytes=8), 1002),
    "a length with its top bit set": (frame(TEXT, b"", length_bytes=8, length=1 << 63), 1002),

    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "text with a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text with an overlong slash": (frame(TEXT, b"\xc0\xaf"), 1007),
    "text that ends within a character": (frame(TEXT, SNOWMAN[:2]), 1007),
    "text in pieces that is no UTF-8": (frame(TEXT, SNOWMAN[:1], fin=False) + frame(CONTINUED, b"x"), 1007),

    "a longer frame": (frame(BINARY, b"x" * 4097), 1009),
    "a length of an exabyte": (frame(BINARY, b"", length_bytes=8, length=1 << 60), 1009),

    "a close": (closing(1000), 1000),
    "a close with a code of its own": (closing(4321, b"bye"), 4321),
    "a close with a registered code": (closing(3000), 3000),
    "a close without a code": (frame(CLOSE), "bare"),
    "a close of one byte": (frame(CLOSE, b"x"), 1002),
    "a close with a reason that is no UTF-8": (closing(1000, b"\xff"), 1007),
    **{f"a close with the code {code}": (closing(code), 1002)
       for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
}


class Rules(harness.TestCase):
    daemons = ("notifier",)
    settings = {"CHECKOUT_SOCKETS_PER_USER": "64"}

    def open(self):
        made = RawSocket(self.stack.daemon("notifier").url, self.stack.token("buyer-" + uuid.uuid4().hex))
        self.addCleanup(made.close)
        return made

    def ending(self, raw):
        """The code of the close that comes; LIVES if a ping of ours is answered instead; "bare": one without a code."""
        asked = os.urandom(8)
        try:
            raw.send_frame(PING, asked)
        except (BrokenPipeError, ConnectionResetError):
            pass
        while True:
            opcode, payload = raw.frame()
            if (opcode, payload) == (PONG, asked):
                return LIVES
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if payload else "bare"

    def test_each_frame(self):
        for name, (sent, expected) in FRAMES.items():
            with self.subTest(name):
                raw = self.open()
                raw.socket.sendall(sent)
                self.assertEqual(self.ending(raw), expected)
                if expected is not LIVES:
                    self.assertEqual(raw.until_the_end(), b"", "something came after the close")

    def test_bytes_one_by_one(self):
        raw = self.open()
        for byte in frame(TEXT, SNOWMAN) + frame(PING, b"ab"):
            raw.socket.sendall(bytes([byte]))
        self.assertEqual(raw.frame(), (PONG, b"ab"))

    def test_the_handshakes_answer(self):
        """RFC 6455, 4.2.2: the key's answer, one of the protocols that were offered, and no extension."""
        raw = self.open()
        head = raw.head.decode().lower()
        self.assertIn(f"\r\nsec-websocket-protocol: {EVENT_SUBPROTOCOL}\r\n", head)
        self.assertIn("\r\nupgrade: websocket\r\n", head)
        self.assertNotIn("sec-websocket-extensions", head)


if __name__ == "__main__":
    harness.main()
