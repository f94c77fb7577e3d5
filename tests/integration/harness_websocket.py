"""A websocket by hand, for what no library sends."""

import base64
import os
import re
import socket
import struct

from harness_client import EVENT_SUBPROTOCOL


def frame(opcode, payload=b"", masked=True, fin=True, rsv=0, length_bytes=None, length=None):
    """The bytes of a frame; `length_bytes`: 0, 2 or 8 for the length, though fewer would do; `length`: another one
    than the payload's."""
    length = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += {0: lambda: bytes([bit | length]), 2: lambda: struct.pack("!BH", bit | 126, length),
             8: lambda: struct.pack("!BQ", bit | 127, length)}[length_bytes]()
    mask = os.urandom(4) if masked else b""
    return head + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload)


class RawSocket:
    """A websocket by hand: reads when told to, sends any bytes."""

    def __init__(self, base, token, query="", receive_buffer=None):
        host, port = re.match(r"http://([^:]+):(\d+)", base).groups()
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(15)
        self.socket.connect((host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET /v1/events{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {EVENT_SUBPROTOCOL}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode())
        self.head, self.rest = b"", b""
        while b"\r\n\r\n" not in self.head:
            self.head += self.socket.recv(1)
        assert b" 101 " in self.head, self.head

    def send_frame(self, opcode, payload=b"", masked=True, fin=True):
        self.socket.sendall(frame(opcode, payload, masked, fin))

    def _exactly(self, count):
        while len(self.rest) < count:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self.rest += chunk
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def frame(self):
        """(opcode, payload) of the next frame."""
        first, length = self._exactly(2)
        if length == 126:
            length, = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            length, = struct.unpack("!Q", self._exactly(8))
        return first & 15, self._exactly(length)

    def close_code(self):
        """Reads on until the close frame; its code, or None at a bare end."""
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == 8:
                    return struct.unpack("!H", payload[:2])[0]
        except (EOFError, ConnectionError):
            return None

    def close(self):
        self.socket.close()

    def until_the_end(self):
        """What still comes before the server closes the connection."""
        taken, self.rest = self.rest, b""
        try:
            while chunk := self.socket.recv(65536):
                taken += chunk
        except ConnectionResetError:
            pass
        return taken
