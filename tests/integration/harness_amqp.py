"""A proxy that knows AMQP's frames: it can lose those of some methods on their way to the client, or confirm slowly, or
later."""

import socket
import struct
import threading
import time

CONFIRMS = {(60, 80), (60, 120)}  # basic.ack, basic.nack
_CONFIRM_SELECT = (85, 10)
_JOBS = b"x-job-countl" # a header of a message, and its type: 64 bits

_METHOD, _HEADER, _BODY = 1, 2, 3
_HEARTBEAT = struct.pack(">BHIB", 8, 0, 0, 0xCE)


class FrameProxy:
    """Listens on a port of its own and forwards to (host, port); threads of its own."""

    def __init__(self, host, port):
        self.target = (host, port)
        self._lost = set()
        self._stranded = False
        self._jobs_per_s = None
        self._confirms = threading.Event()
        self._confirms.set()
        self._pacers = {}
        self._consuming = set()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, methods):
        """From now on frames of these methods do not reach the client; an empty set: all do."""
        self._lost = set(methods)

    def pace(self, jobs_per_s):
        """From now on confirms come one after the other, each after the time that its jobs take at this rate, as from a
        broker that can do no more; None: at once again."""
        self._jobs_per_s = jobs_per_s

    def hold(self, held):
        """From now on confirms, and what comes after them, wait until they are let go."""
        if held:
            self._confirms.clear()
        else:
            self._confirms.set()

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
        self._confirms.set()
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
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append((client, server))
            self._pacers[client] = _Pacer()
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
            self._pacers[client].sent(data)
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
                if kind == _METHOD and struct.unpack(">HH", frame[7:11]) in CONFIRMS:
                    self._confirms.wait()
                    self._pacers[client].wait(*struct.unpack(">QB", frame[11:20]), self._jobs_per_s)
                client.sendall(frame)


class _Pacer:
    """How many jobs were in each message of a connection, by its delivery tag, and when the next is confirmed."""

    def __init__(self):
        self._buffer = b""
        self._greeted = False
        self._jobs = {}
        self._published = 0
        self._next = 0.0

    def sent(self, data):
        self._buffer += data
        if not self._greeted and len(self._buffer) >= 8:
            self._buffer, self._greeted = self._buffer[8:], True # "AMQP" and its version
        while len(self._buffer) >= 7:
            kind, _, size = struct.unpack(">BHI", self._buffer[:7])
            if len(self._buffer) < size + 8:
                return
            frame, self._buffer = self._buffer[:size + 8], self._buffer[size + 8:]
            if kind == _METHOD and struct.unpack(">HH", frame[7:11]) == _CONFIRM_SELECT:
                self._published, self._jobs = 0, {}
            if kind == _HEADER and _JOBS in frame:
                self._published += 1
                at = frame.index(_JOBS) + len(_JOBS)
                self._jobs[self._published] = struct.unpack(">q", frame[at:at + 8])[0]

    def wait(self, tag, multiple, jobs_per_s):
        tags = [known for known in self._jobs if known == tag or (multiple & 1 and known < tag)]
        jobs = sum(self._jobs.pop(known) for known in tags)
        if jobs_per_s is None:
            return
        self._next = max(self._next, time.monotonic()) + jobs / jobs_per_s
        time.sleep(max(0.0, self._next - time.monotonic()))
