"""Connections in memory: bytes arrive late, in pieces, in order, or not at all.

A connection may be reset at any moment; then what is on its way is lost, and each side learns of it at a time of its
own. When a process is killed its connections are reset, and its ports are free again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final, NamedTuple, cast

from logserver_records.batch import Buffer

from logserver.simulation.loop import Process, SimulatedLoop

_FIRST_PORT: Final = 40_000
_HIGH_WATER_BYTES: Final = 64 * 1024
_GAP_S: Final = 1e-6
"""Between two pieces: timers of the same moment go off in any order."""


class Weather(NamedTuple):
    """What the network does to bytes.

    Args:
        least_delay_s, most_delay_s: of a piece on its way.
        reset_chance: that a connection is reset when a piece is sent.
        stall_chance: that a piece takes `stall_s` instead, and all behind it wait.
        most_piece_bytes: what arrives together.
    """

    least_delay_s: float = 0.000_05
    most_delay_s: float = 0.005
    reset_chance: float = 0.0
    stall_chance: float = 0.0
    stall_s: float = 5.0
    most_piece_bytes: int = 4096


class SimulatedServer:
    """A listening socket, as far as a door looks at it."""

    def __init__(self, network: "Network", factory: Callable[[], Any], port: int, process: Process | None) -> None:
        self._network = network
        self.factory = factory
        self.port = port
        self.process = process
        self.is_serving = False
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """As a socket's."""
        return ("127.0.0.1", self.port)

    async def start_serving(self) -> None:
        """Takes connections from now on."""
        self.is_serving = True

    def close(self) -> None:
        """Takes no more connections."""
        self._network.forget(self)


class End(asyncio.Transport):
    """One end of a connection.

    Args:
        process: whose end this is; None for a client's.
    """

    def __init__(self, network: "Network", process: Process | None, names: dict[str, Any]) -> None:
        super().__init__(names)
        self._network = network
        self._loop = network.loop
        self.process = process
        self.protocol: Any = None
        self.peer: End
        # What arrived and was not taken yet, and when the last piece on its way arrives.
        self._arrived: deque[bytes | None] = deque()
        self._arrives_at_s = 0.0
        self._is_reading = True
        self._is_delivering = False
        self._on_way_bytes = 0
        self._is_paused = False
        self._high_water_bytes = _HIGH_WATER_BYTES
        self.is_closed = False

    # For the protocol

    def write(self, data: Buffer) -> None:
        """Sends bytes; they may never get there."""
        if self.is_closed or self._is_gone():
            return
        network, data = self._network, bytes(data)
        weather, random = network.weather, network.random
        position = 0
        while position < len(data):
            size = random.randint(1, weather.most_piece_bytes)
            self._send(data[position : position + size])
            position += size
        if random.random() < weather.reset_chance:
            network.reset(self)

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Sends buffers."""
        self.write(b"".join(list_of_data))

    def _send(self, piece: bytes | None) -> None:
        network, peer = self._network, self.peer
        weather, random = network.weather, network.random
        delay_s = random.uniform(weather.least_delay_s, weather.most_delay_s)
        if random.random() < weather.stall_chance:
            delay_s = weather.stall_s
        # In order: no piece arrives before the one in front of it.
        peer._arrives_at_s = max(peer._arrives_at_s + _GAP_S, self._loop.time() + delay_s)
        self._on_way_bytes += len(piece or b"")
        if self._on_way_bytes > self._high_water_bytes and not self._is_paused:
            self._is_paused = True
            self.protocol.pause_writing()
        network.schedule(peer, peer._arrives_at_s, peer._arrive, piece)

    def _arrive(self, piece: bytes | None) -> None:
        if self.is_closed or self._is_gone():
            return
        self._arrived.append(piece)
        self._deliver()

    def _deliver(self) -> None:
        """Hands over what arrived while the protocol reads."""
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._arrived and self._is_reading and not self.is_closed:
                piece = self._arrived.popleft()
                if piece is None:
                    self._lose(None)
                    return
                self.peer._taken(len(piece))
                self._hand_over(piece)
        finally:
            self._is_delivering = False

    def _hand_over(self, piece: bytes) -> None:
        if not isinstance(self.protocol, asyncio.BufferedProtocol):
            self.protocol.data_received(piece)
            return
        rest = memoryview(piece)
        while len(rest) and not self.is_closed:
            if not self._is_reading:
                self._arrived.appendleft(bytes(rest))
                return
            room = memoryview(cast(bytearray, self.protocol.get_buffer(len(rest))))
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            room.release()
            rest = rest[size:]
            self.protocol.buffer_updated(size)

    def _taken(self, size: int) -> None:
        self._on_way_bytes -= size
        if self._is_paused and self._on_way_bytes <= self._high_water_bytes // 4 and not self.is_closed:
            self._is_paused = False
            self._network.schedule(self, self._loop.time(), self._resume_writing)

    def _resume_writing(self) -> None:
        if not self.is_closed:
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        """Hands nothing over until `resume_reading`."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Hands over again."""
        self._is_reading = True
        self._network.schedule(self, self._loop.time(), self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Sets how much may be on its way before the protocol is to stop writing."""
        self._high_water_bytes = high or _HIGH_WATER_BYTES

    def close(self) -> None:
        """Closes the connection when what was written has arrived."""
        if not self.is_closed and not self._is_gone():
            self._send(None)
            self._lose(None)

    def abort(self) -> None:
        """Closes it at once."""
        self.close()

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    # For the network

    def _is_gone(self) -> bool:
        return self.process is not None and self.process.is_dead

    def lose(self) -> None:
        """The connection is gone."""
        if not self._is_gone():
            self._lose(ConnectionResetError("connection reset by peer"))

    def _lose(self, error: Exception | None) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._network.ends.pop(self, None)
        self._network.schedule(self, self._loop.time(), self.protocol.connection_lost, error)


class Network:
    """All connections.

    Args:
        random: decides about delays, pieces and resets.
    """

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.weather = Weather()
        self.ends: dict[End, None] = {}
        self._servers: dict[int, SimulatedServer] = {}
        self._next_port = _FIRST_PORT
        loop.network = self

    def listen(
        self, factory: Callable[[], Any], host: str, port: int, process: Process | None, **more: Any
    ) -> SimulatedServer:
        """Listens on a port; 0 picks one.

        Raises:
            OSError: the port is in use.
        """
        if not port:
            port, self._next_port = self._next_port, self._next_port + 1
        if port in self._servers:
            raise OSError(98, "address already in use")
        server = self._servers[port] = SimulatedServer(self, factory, port, process)
        return server

    def forget(self, server: SimulatedServer) -> None:
        """Frees a port."""
        if self._servers.get(server.port) is server:
            del self._servers[server.port]

    async def connect(self, protocol: Any, port: int) -> End:
        """Connects to a port.

        Raises:
            ConnectionRefusedError: nobody listens.
        """
        await asyncio.sleep(self.random.uniform(self.weather.least_delay_s, self.weather.most_delay_s))
        server = self._servers.get(port)
        if server is None or not server.is_serving:
            raise ConnectionRefusedError(111, "connection refused")
        own, theirs = ("127.0.0.1", self._next_port), ("127.0.0.1", port)
        self._next_port += 1
        here = End(self, None, {"peername": theirs, "sockname": own})
        there = End(self, server.process, {"peername": own, "sockname": theirs})
        here.peer, there.peer = there, here
        here.protocol = protocol
        self.ends[here] = self.ends[there] = None
        protocol.connection_made(here)
        context = server.process.context.copy() if server.process is not None else None
        if context is not None:
            there.protocol = context.run(server.factory)
            context.run(there.protocol.connection_made, there)
        else:
            there.protocol = server.factory()
            there.protocol.connection_made(there)
        return here

    def schedule(self, end: End, when_s: float, call: Callable[..., None], *args: Any) -> None:
        """Calls something of an end's process."""
        context = end.process.context.copy() if end.process is not None else None
        self.loop.call_at(when_s, call, *args, context=context)

    def reset(self, end: End) -> None:
        """Breaks a connection; each side learns of it in its own time."""
        for side in (end, end.peer):
            side._arrived.clear()
            delay_s = self.random.uniform(self.weather.least_delay_s, self.weather.most_delay_s)
            self.schedule(side, self.loop.time() + delay_s, side.lose)

    def kill(self, process: Process) -> None:
        """Resets all connections of a process, and frees its ports."""
        for server in list(self._servers.values()):
            if server.process is process:
                self.forget(server)
        for end in list(self.ends):
            if end.process is process:
                self.ends.pop(end, None)
                self.reset(end)
