"""A small TCP proxy between a daemon and a server, able to break the wire at a chosen byte."""

import selectors
import socket
import struct
import threading
import time

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero: close() sends RST


class Cut:
    """Breaks a connection's downstream once `up` (seen first, if given) and then `down` passed.

    The bytes from `down` on never reach the client: a COMMIT whose answer is lost, for instance.
    `done` is set when it has happened.
    """

    def __init__(self, up, down, times):
        self.up, self.down, self.times = up, down, times
        self.done = threading.Event()
        self.count = 0


class Loss:
    """Loses every answer on a connection from the moment one of `patterns` went up it.

    What the client sent still reaches the server: `seen` is set then, and it may do its work. The
    test then calls reset(), and the client learns only that its connection is gone.
    """

    def __init__(self, proxy, patterns):
        self._proxy, self.patterns = proxy, patterns
        self.seen = threading.Event()
        self.link = None

    def reset(self):
        self._proxy.drop(self)

    def lost(self, pattern):
        """Whether the server has answered `pattern`, among what the client did not get."""
        return self.link is not None and pattern in self.link.withheld

    def release(self):
        """The client gets all of it, late; from now on answers pass."""
        self._proxy.release(self)


class _Link:
    """One client connection and its server connection. Owned by the proxy's thread."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.up_seen = set()   # cuts whose `up` pattern this connection has sent
        self.mute = False      # answers are lost
        self.withheld = b""    # these
        self.tails = {"up": b"", "down": b""}


class Proxy:
    """Listens on `port` and forwards to (host, port). Thread-safe; one thread of its own."""

    KEEP = 4096  # bytes remembered for patterns that straddle two reads

    def __init__(self, host, port):
        self.target = (host, port)
        self._selector = selectors.DefaultSelector()
        self._listener = None
        self._links = {}
        self._lock = threading.RLock()
        self._cuts, self._losses = [], []
        self._delay = 0.0
        self._silent = False
        self._closed = False
        self.port = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- what a test says ------------------------------------------------------------------------

    def down(self):
        """As a server that is gone: connections are reset, new ones refused."""
        with self._lock:
            if self._listener:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            self.reset()

    def up(self):
        """Serves again, on the same port."""
        with self._lock:
            if not self._listener:
                self._listen()

    def reset(self):
        """Resets all present connections."""
        with self._lock:
            for link in set(self._links.values()):
                self._drop(link)

    def freeze(self, silent=True):
        """As a network that swallows: nothing passes in either direction until freeze(False)."""
        with self._lock:
            self._silent = silent

    def holds(self, pattern):
        """While frozen: whether a client has sent `pattern`, which has not passed."""
        with self._lock:
            return any(pattern in _waiting(link.client) for link in set(self._links.values()))

    def delay(self, seconds):
        """Every chunk passes this much later."""
        self._delay = seconds

    def cut(self, down, up=None, times=1):
        """Arms a Cut (see there) for the next `times` matches; returns it."""
        rule = Cut(up, down, times)
        with self._lock:
            self._cuts.append(rule)
        return rule

    def lose_answers(self, *patterns):
        """Arms a Loss (see there) for the next connection that sends one of these; returns it."""
        loss = Loss(self, patterns)
        with self._lock:
            self._losses.append(loss)
        return loss

    def drop(self, loss):
        with self._lock:
            if loss in self._losses:
                self._losses.remove(loss)
            if loss.link is not None:
                self._drop(loss.link)

    def release(self, loss):
        with self._lock:
            link, loss.link = loss.link, None
            link.mute = False
            link.client.sendall(link.withheld)

    def connections(self):
        with self._lock:
            return len(set(self._links.values()))

    def close(self):
        with self._lock:
            self._closed = True
            self.down()
        self._thread.join(5)
        self._selector.close()

    # -- the wire --------------------------------------------------------------------------------

    def _listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, "listener")

    def _run(self):
        while not self._closed:
            if self._silent:
                time.sleep(0.02)
                continue
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if self._closed:
                        return
                    if self._silent:  # since we began to wait
                        break
                    if key.data == "listener":
                        self._accept()
                    elif key.fileobj in self._links:
                        self._forward(key.fileobj)

    def _accept(self):
        if not self._listener:
            return
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(self.target, 5)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        link = _Link(client, server)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(10)
            self._links[end] = link
            self._selector.register(end, selectors.EVENT_READ, "link")

    def _forward(self, source):
        link = self._links[source]
        way = "up" if source is link.client else "down"
        try:
            data = source.recv(262144)
        except OSError:
            data = b""
        if not data:
            self._drop(link)
            return
        if self._delay:
            time.sleep(self._delay)
        passed, broken = self._apply_cuts(link, way, data)
        if way == "down" and link.mute:
            link.withheld += passed
            return
        try:
            (link.server if way == "up" else link.client).sendall(passed)
        except OSError:
            broken = True
        if broken:
            self._drop(link)

    def _apply_cuts(self, link, way, data):
        """Returns the bytes that may pass, and whether the connection breaks after them."""
        tail = link.tails[way]
        window = tail + data
        link.tails[way] = window[-self.KEEP:]
        if way == "up":
            self._note_losses(link, tail, data)
        for rule in list(self._cuts):
            if way == "up":
                if rule.up and _new_in(rule.up, tail, data):
                    link.up_seen.add(rule)
                continue
            if rule.up and rule not in link.up_seen:
                continue
            at = window.find(rule.down, max(0, len(tail) - len(rule.down) + 1))
            if at < 0:
                continue
            rule.count += 1
            if rule.count >= rule.times:
                self._cuts.remove(rule)
                rule.done.set()
            return data[:max(0, at - len(tail))], True
        return data, False

    def _note_losses(self, link, tail, data):
        for loss in list(self._losses):
            if any(_new_in(pattern, tail, data) for pattern in loss.patterns):
                self._losses.remove(loss)
                loss.link, link.mute = link, True
                loss.seen.set()

    def _drop(self, link):
        for end in (link.client, link.server):
            if self._links.pop(end, None) is None:
                continue
            self._selector.unregister(end)
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass
            end.close()


def _waiting(end):
    """What has arrived at a socket and was not read."""
    limit = end.gettimeout()
    end.settimeout(0)
    try:
        return end.recv(262144, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    finally:
        end.settimeout(limit)


def _new_in(pattern, tail, data):
    """Whether `pattern` ends in `data`, of which `tail` is what came before."""
    return pattern in (tail[-(len(pattern) - 1):] if len(pattern) > 1 else b"") + data
