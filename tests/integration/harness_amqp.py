"""A proxy that knows AMQP's frames, and can lose those of some methods on their way to the client."""

import socket
import struct
import threading

CONFIRMS = {(60, 80), (60, 120)}  # basic.ack, basic.nack

_METHOD, _HEADER, _BODY = 1, 2, 3
_HEARTBEAT = struct.pack(">BHIB", 8, 0, 0, 0xCE)


class FrameProxy:
    """Listens on a port of its own and forwards to (host, port); threads of its own."""

    def __init__(self, host, port):
        self.target = (host, port)
        self._lost = set()
        self._stranded = False
        self._consuming = set()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, methods):
        """From now on frames of these methods do not reach the client; an empty set: all do."""
        self._lost = set(methods)

    def strand(self):
        """As a node that the others have lost: it keeps its clients, heartbeats and all, but their channels are
        gone for the rest of the broker, and nothing that they ask is answered. For good."""
        self._stranded = True
        for client, server in list(self._sockets):
            self._end(server)
            threading.Thread(target=self._keep, args=(client,), daemon=True).start()

    def connections(self):
        return sum(1 for client, _ in self._sockets if client.fileno() >= 0)

    def consumers(self):
        """Connections that have asked for a shard's queue."""
        return sum(1 for client in self._consuming if client.fileno() >= 0)

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
                if self._stranded:
                    threading.Thread(target=self._keep, args=(client, False), daemon=True).start()
                    continue
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
        if not self._stranded:
            self._end(client, server)

    @staticmethod
    def _keep(client, heartbeats=True):
        """Swallows what a client sends, until it goes."""
        try:
            client.settimeout(1)
            while True:
                if heartbeats:
                    client.sendall(_HEARTBEAT)
                try:
                    if not client.recv(65536):
                        break
                except socket.timeout:
                    pass
        except OSError:
            pass
        client.close()

    def _up(self, client, server):
        while data := client.recv(65536):
            if b"checkout.jobs." in data:
                self._consuming.add(client)
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
