"""An Erlang port mapper for one node: it asks the real one, and leads to other nodes by ports of ours.

So the connections between the nodes of a cluster pass wires. The protocol is that of Erlang's manual (ERTS, The
Erlang Distribution Protocol): a request is its length in two bytes and what it wants; the answers to "which port has
this node?" and "which nodes are there?" end with the connection, and the second begins with the mapper's own port,
which the node compares.
"""

import asyncio

NAMES, PORT_PLEASE, PORT_ANSWER, KNOWN = 110, 122, 119, 0


def changed(request, answer, own, ports):
    """The answer with our `own` port, and with ours if it tells one of a node that is in `ports` (name → port)."""
    if request[0] == NAMES:
        return own.to_bytes(4, "big") + answer[4:]
    port = ports.get(request[1:].decode()) if request[0] == PORT_PLEASE else None
    if port is None or answer[:2] != bytes([PORT_ANSWER, KNOWN]):
        return answer
    return answer[:2] + port.to_bytes(2, "big") + answer[4:]


async def pass_on(source, sink):
    """Until its end; then the other side hears of the end, too."""
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()


class Mapper:
    def __init__(self, host, port, ports):
        self._real, self._ports = (host, port), ports
        self._own = 0

    async def listen(self):
        """The port where it answers."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._own = server.sockets[0].getsockname()[1]
        return self._own

    async def _serve(self, reader, writer):
        real_writer = None
        try:
            head = await reader.readexactly(2)
            request = await reader.readexactly(int.from_bytes(head, "big"))
            real_reader, real_writer = await asyncio.open_connection(*self._real)
            real_writer.write(head + request)
            if request[0] in (NAMES, PORT_PLEASE):
                writer.write(changed(request, await real_reader.read(), self._own, self._ports))
            else:  # a node that says where it is keeps this connection for as long as it lives
                await asyncio.gather(pass_on(reader, real_writer), pass_on(real_reader, writer))
        except (OSError, EOFError):
            pass
        finally:
            for sink in (writer, real_writer):
                if sink is not None:
                    sink.close()
