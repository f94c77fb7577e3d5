#!/usr/bin/python3
"""The wires between the programs and their servers, as one process that can disturb each of them.

Commands come as JSON lines on standard input and are answered by a line each:

    {"do":"open","wire":NAME,"host":H,"port":P}   → {"port":where it listens}
    {"do":"epmd","wire":NAME,"host":H,"port":P,"ports":{NODE: port}}   the same for a port mapper (wire_epmd.py)
    {"do":"reset","wire":NAME}                    connections are reset
    {"do":"down"|"up","wire":NAME}                … and new ones refused, until it is up
    {"do":"delay","wire":NAME,"seconds":S}        each chunk passes so much later
    {"do":"hold"|"pass","wire":NAME}              nothing passes, as in a network that lost its way

It ends when its standard input does.
"""

import asyncio
import json
import socket
import struct
import sys

from wire_epmd import Mapper

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero: closing sends RST
BUFFER_MAX = 1 << 20
TICK_S = 1e-6                    # keeps delayed chunks in their order


class Side(asyncio.Protocol):
    """One end of a connection; what comes in here leaves at `peer`."""

    def __init__(self, wire):
        self.wire, self.peer, self.transport = wire, None, None
        self.broken = self.ended = False
        self.waiting = []        # while the wire holds, or the server is not reached yet
        self.delayed = 0         # chunks under way
        self.latest = 0.0        # when the last of them passes

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=BUFFER_MAX)

    def data_received(self, data):
        if self.wire.holding or self.peer is None or self.waiting:
            self.waiting.append(data)
        else:
            self.send(data)

    def send(self, data):
        if self.delayed == 0 and self.wire.delay == 0:
            self.peer.write(data)
            return
        loop = asyncio.get_running_loop()
        self.latest = max(loop.time() + self.wire.delay, self.latest + TICK_S)
        self.delayed += 1
        loop.call_at(self.latest, self.arrive, data)

    def arrive(self, data):
        self.delayed -= 1
        self.peer.write(data)

    def flush(self):
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.send(data)
        if self.ended:
            self.connection_lost(None)

    def write(self, data):
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self):
        if self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, error):
        """A close comes after what was sent before it; anything else is a reset at once."""
        if error is None and not self.broken and self.waiting:
            self.ended = True    # flush() goes on with it
            return
        self.wire.sides.discard(self)
        if self.peer is None:
            return
        if error is not None or self.broken:
            self.peer.break_off()
        else:
            asyncio.get_running_loop().call_at(self.latest + TICK_S, self.peer.finish)

    def finish(self):
        if self.transport is not None:
            self.transport.close()

    def break_off(self):
        self.broken = True
        if self.transport is None:
            return
        try:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        self.transport.abort()


class ClientSide(Side):
    """The program's end; connects to the server."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.wire.sides.add(self)
        asyncio.ensure_future(self.reach_server())

    async def reach_server(self):
        server = Side(self.wire)
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self.wire.target)
        except OSError:
            self.break_off()
            return
        self.wire.sides.add(server)
        self.peer, server.peer = server, self
        if self.transport.is_closing():
            server.break_off()
        elif not self.wire.holding:
            self.flush()


class Wire:
    def __init__(self, host, port):
        self.target = (host, port)
        self.sides = set()
        self.delay, self.holding = 0.0, False
        self.server, self.port = None, 0

    async def up(self):
        if self.server is None:
            self.server = await asyncio.get_running_loop().create_server(
                lambda: ClientSide(self), "127.0.0.1", self.port, reuse_address=True)
            self.port = self.server.sockets[0].getsockname()[1]

    def down(self):
        if self.server is not None:
            self.server.close()
            self.server = None
        self.reset()

    def reset(self):
        for side in list(self.sides):
            side.break_off()

    def hold(self):
        self.holding = True

    def let_pass(self):
        self.holding = False
        for side in list(self.sides):
            if side.peer is not None:
                side.flush()


async def obey(wires, order):
    what = order["do"]
    if what == "open":
        wire = wires[order["wire"]] = Wire(order["host"], order["port"])
        await wire.up()
        return {"port": wire.port}
    if what == "epmd":
        return {"port": await Mapper(order["host"], order["port"], order["ports"]).listen()}
    wire = wires[order["wire"]]
    if what == "up":
        await wire.up()
    elif what == "delay":
        wire.delay = order["seconds"]
    else:
        {"reset": wire.reset, "down": wire.down, "hold": wire.hold, "pass": wire.let_pass}[what]()
    return {}


async def main():
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    wires = {}
    while line := await orders.readline():
        print(json.dumps(await obey(wires, json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
