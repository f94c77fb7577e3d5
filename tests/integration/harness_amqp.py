"""A proxy that knows AMQP's frames, and can lose those of some methods on their way to the client."""

import socket
import struct
import threading

CONFIRMS = {(60, 80), (60, 120)}  # basic.ack, basic.nack
DELIVERIES = {(60, 60)}           # basic.deliver, with the header and body that follow it

_METHOD, _HEADER, _BODY = 1, 2, 3


class FrameProxy:
    """Listens on a port of its own and forwards to (host, port); threads of its own."""

    def __init__(self, host, port):
        self.target = (host, port)
        self._lost = set()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, methods):
        """From now on frames of these methods do not reach the client; an empty set: all do."""
        self._lost = set(methods)

    def connections(self):
        return sum(1 for client, _ in self._sockets if client.fileno() >= 0)

    def close(self):
        self._listener.close()
        for pair in self._sockets:
            self._end(*pair)

    @staticmethod
    def _end(*pair):
        for one in pair:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            self._sockets.append((client, server))
            for pump in (self._up, self._down):
                threading.Thread(target=self._run, args=(pump, client, server), daemon=True).start()

    def _run(self, pump, client, server):
        try:
            pump(client, server)
        except OSError:
            pass
        self._end(client, server)

    @staticmethod
    def _up(client, server):
        while data := client.recv(65536):
            server.sendall(data)

    def _down(self, client, server):
        buffer, losing = b"", {}
        while data := server.recv(65536):
            buffer += data
            while len(buffer) >= 7:
                kind, channel, size = struct.unpack(">BHI", buffer[:7])
                if len(buffer) < size + 8:
                    break
                frame, buffer = buffer[:size + 8], buffer[size + 8:]
                if kind == _METHOD:
                    losing[channel] = struct.unpack(">HH", frame[7:11]) in self._lost
                if kind in (_METHOD, _HEADER, _BODY) and losing.get(channel):
                    self.lost += kind == _METHOD
                    continue
                client.sendall(frame)
